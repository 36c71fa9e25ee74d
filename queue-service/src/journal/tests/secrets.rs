//! The secret behind edit tokens.

use std::fs;

use tempfile::TempDir;
use uuid::Uuid;

use crate::journal::EditSecret;

const ID: Uuid = Uuid::from_u128(1);

#[test]
fn a_token_stays_the_same_over_restarts() {
    let dir = TempDir::new().unwrap();
    let token = EditSecret::open(dir.path()).unwrap().token(ID);
    let again = EditSecret::open(dir.path()).unwrap();
    assert_eq!(again.token(ID), token);
    assert!(again.accepts(ID, &token));
}

#[test]
fn a_token_is_of_one_message_and_of_one_data_directory() {
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (here, there) = (EditSecret::open(here.path()).unwrap(), EditSecret::open(there.path()).unwrap());
    let token = here.token(ID);
    assert_eq!(token.len(), 64);
    assert!(!here.accepts(Uuid::from_u128(2), &token));
    assert!(!there.accepts(ID, &token));
    for wrong in ["", "zz", &token[..62], &format!("{token}00")] {
        assert!(!here.accepts(ID, wrong));
    }
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_secret() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    EditSecret::open(dir.path()).unwrap();
    let mode = fs::metadata(dir.path().join("edit-secret")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_secret_of_the_wrong_length_is_refused_and_kept() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("edit-secret");
    fs::write(&path, "short").unwrap();
    let refusal = EditSecret::open(dir.path()).err().unwrap().to_string();
    assert!(refusal.ends_with("must hold 32 bytes, it holds 5"), "{refusal}");
    assert_eq!(fs::read(&path).unwrap(), b"short");
}

#[test]
fn a_draft_that_a_crash_left_behind_is_in_nobodys_way() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("edit-secret.new"), "half").unwrap();
    let token = EditSecret::open(dir.path()).unwrap().token(ID);
    assert_eq!(EditSecret::open(dir.path()).unwrap().token(ID), token);
}
