//! Tokens: what is accepted, until when, and what the file holds.

use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::followed::LOOK_EVERY;

fn draw(role: Role, entities: &[&str], expires: Option<SystemTime>) -> NewToken {
    let entities: Vec<String> = entities.iter().map(|entity| (*entity).to_owned()).collect();
    NewToken::draw(role, &entities, "a name", expires)
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A file with these tokens.
fn kept(tokens: &[&NewToken]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tokens");
    for token in tokens {
        TokensFile::at(&path).add(token, at(1_000)).unwrap();
    }
    (folder, path)
}

#[test]
fn a_token_proves_what_it_was_made_for() {
    let (worker, operator) = (draw(Role::Worker, &["helper"], None), draw(Role::Operator, &[], None));
    let (_folder, path) = kept(&[&worker, &operator]);
    let tokens = Tokens::load(Some(&path), &[]).unwrap();
    let grant = tokens.authenticate(worker.secret.reveal(), at(2_000)).unwrap();
    assert_eq!(*grant, worker.grant);
    assert!(grant.answers("helper") && !grant.answers("another") && !grant.is_for_all());
    assert_eq!(tokens.authenticate(operator.secret.reveal(), at(2_000)).unwrap().role, Role::Operator);
    assert_eq!(tokens.entities(), ["helper"]);
}

#[test]
fn several_tokens_of_a_role_count_at_once_until_one_is_revoked() {
    let (old, new) = (draw(Role::Gateway, &[], None), draw(Role::Gateway, &[], None));
    let (_folder, path) = kept(&[&old, &new]);
    let accepted = || {
        let tokens = Tokens::load(Some(&path), &[]).unwrap();
        [&old, &new].map(|token| tokens.authenticate(token.secret.reveal(), at(0)).is_ok())
    };
    assert_eq!(accepted(), [true, true]);
    assert_eq!(TokensFile::at(&path).revoke(&old.grant.id).unwrap(), old.grant);
    assert_eq!(accepted(), [false, true]);
    let unknown = TokensFile::at(&path).revoke(&old.grant.id).unwrap_err();
    assert!(unknown.to_string().contains(&old.grant.id), "{unknown}");
}

#[test]
fn a_token_is_refused_from_its_end_on() {
    let token = draw(Role::Worker, &["*"], Some(at(5_000)));
    let tokens =
        Tokens::load(None, &[NewToken { secret: token.secret.clone(), grant: token.grant }]).unwrap();
    assert!(tokens.authenticate(token.secret.reveal(), at(4_999)).unwrap().answers("anybody"));
    assert_eq!(tokens.authenticate(token.secret.reveal(), at(5_000)), Err(TokenRefused::Expired));
}

#[test]
fn the_file_holds_no_token_and_only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let token = draw(Role::Operator, &[], Some(at(9_000)));
    let (_folder, path) = kept(&[&token]);
    let text = std::fs::read_to_string(&path).unwrap();
    let (_, secret) = token.secret.reveal().rsplit_once('_').unwrap();
    assert!(!text.contains(secret) && text.contains(&token.grant.id), "{text}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_wrong_line_is_named_and_nothing_of_the_file_counts() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tokens");
    let hash = "0".repeat(64);
    let worker = format!(
        r#"{{"id":"a","role":"worker","entities":["e"],"created":"2026-01-01T00:00:00Z","sha256":"{hash}"}}"#
    );
    for wrong in [
        "no json".to_owned(),
        worker.replace("worker", "king"),
        worker.replace(&hash, "12"),
        worker.replace(r#""entities":["e"],"#, ""),
        worker.replace("2026-01-01", "yesterday"),
        worker.replace("created", "made"),
    ] {
        std::fs::write(&path, format!("{worker}\n\n{wrong}\n")).unwrap();
        let error = Tokens::load(Some(&path), &[]).unwrap_err().to_string();
        assert!(error.contains("line 3"), "{error}");
    }
}

#[test]
fn no_file_is_no_token() {
    let folder = TempDir::new().unwrap();
    let tokens = Tokens::load(Some(&folder.path().join("tokens")), &[]).unwrap();
    assert!(tokens.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_running_service_learns_of_new_and_of_revoked_tokens_and_keeps_them_over_a_broken_file() {
    let (first, second) = (draw(Role::Worker, &["e"], None), draw(Role::Worker, &["e"], None));
    let (_folder, path) = kept(&[&first]);
    let tokens = Tokens::load(Some(&path), &[]).unwrap();
    let following = tokio::spawn(tokens.clone().follow());
    let becomes = async |expected: [bool; 2]| {
        while [&first, &second].map(|token| tokens.authenticate(token.secret.reveal(), at(0)).is_ok())
            != expected
        {
            tokio::time::advance(LOOK_EVERY).await;
            tokio::task::yield_now().await;
        }
    };
    becomes([true, false]).await;
    TokensFile::at(&path).add(&second, at(1)).unwrap();
    becomes([true, true]).await;
    let grant = tokens.authenticate(first.secret.reveal(), at(0)).unwrap();
    let held = tokens.clone();
    let first_is_refused = tokio::spawn(async move { held.until_refused(grant).await });
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, "broken").unwrap();
    for _ in 0..5 {
        tokio::time::advance(LOOK_EVERY).await;
        tokio::task::yield_now().await;
    }
    assert!(tokens.authenticate(second.secret.reveal(), at(0)).is_ok());
    std::fs::write(&path, whole).unwrap();
    TokensFile::at(&path).revoke(&first.grant.id).unwrap();
    becomes([false, true]).await;
    first_is_refused.await.unwrap();
    let kept = tokens.authenticate(second.secret.reveal(), at(0)).unwrap();
    assert!(!tokens.is_refused(&kept, at(0)));
    // Another secret under the same id, with the same rights.
    let text = std::fs::read_to_string(&path).unwrap();
    let hash = hex::encode(hash(second.secret.reveal()));
    assert!(text.contains(&hash));
    std::fs::write(&path, text.replace(&hash, &"0".repeat(64))).unwrap();
    becomes([false, false]).await;
    assert!(tokens.is_refused(&kept, at(0)), "what was opened with the old one ends");
    tokens.until_refused(kept).await;
    std::fs::remove_file(&path).unwrap();
    becomes([false, false]).await;
    following.abort();
}

proptest! {
    #[test]
    fn nothing_but_the_whole_token_is_accepted(sent in "(rpt_)?[0-9a-f_]{0,80}", at_byte in 0usize..80, with: u8) {
        let token = draw(Role::Operator, &[], None);
        let secret = token.secret.reveal().to_owned();
        let tokens = Tokens::load(None, &[token]).unwrap();
        prop_assert!(tokens.authenticate(&sent, at(0)).is_err());
        let mut changed = secret.clone().into_bytes();
        let at_byte = at_byte % changed.len();
        changed[at_byte] = with;
        if let Ok(changed) = String::from_utf8(changed) {
            prop_assert_eq!(tokens.authenticate(&changed, at(0)).is_ok(), changed == secret);
        }
        prop_assert!(tokens.authenticate(&secret[..at_byte], at(0)).is_err());
    }
}
