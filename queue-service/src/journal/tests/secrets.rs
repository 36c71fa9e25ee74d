//! The secret behind edit tokens.

use std::fs;

use tempfile::TempDir;
use uuid::Uuid;

use crate::journal::{EditSecret, Use};

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

#[test]
fn what_stands_for_a_value_is_another_in_each_use_and_directory_and_the_same_over_restarts() {
    let (here, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (secret, other) = (EditSecret::open(here.path()).unwrap(), EditSecret::open(there.path()).unwrap());
    let values = [ID.as_bytes(), &b"1"[..], b"", b"repartee.v1 visitor\x01"];
    let mut seen = std::collections::HashSet::new();
    for value in values {
        for of in [Use::Visitor, Use::Address, Use::Session] {
            assert!(seen.insert(secret.key(of, value)), "{of:?} of {value:?}");
            assert!(seen.insert(other.key(of, value)), "{of:?} of {value:?}");
            assert_eq!(EditSecret::open(here.path()).unwrap().key(of, value), secret.key(of, value));
        }
    }
    let token = hex::decode(secret.token(ID)).unwrap();
    assert!(!seen.contains(&token[..16]), "no key is the beginning of an edit token");
}

#[test]
fn keys_are_those_of_rfc_5869_and_rfc_2104() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("edit-secret"), [7; 32]).unwrap();
    let secret = EditSecret::open(dir.path()).unwrap();
    // Computed with Python: k = hmac.new(b"\7" * 32, b"repartee.v1 visitor\1", "sha256").digest(), and so on.
    assert_eq!(hex::encode(secret.key(Use::Visitor, b"ann")), "10faa61eaee119ea10a3591dc04b78a3");
    assert_eq!(secret.token(ID), "a0dab442904b695c8cbaea9e6d4a1f833bef9d7285968ab8604ea7ff21e6479e");
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
    for wrong in ["", "short", "as long as a secret and a little longer"] {
        fs::write(&path, wrong).unwrap();
        let refusal = EditSecret::open(dir.path()).err().unwrap().to_string();
        let lengths = format!("must hold 36 bytes, it holds {}", wrong.len());
        assert!(refusal.contains(&lengths), "{refusal}");
        assert_eq!(fs::read_to_string(&path).unwrap(), wrong);
    }
}

#[test]
fn a_secret_with_a_flipped_bit_is_refused_and_kept() {
    let dir = TempDir::new().unwrap();
    EditSecret::open(dir.path()).unwrap();
    let path = dir.path().join("edit-secret");
    let whole = fs::read(&path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).unwrap();
        let refusal = EditSecret::open(dir.path()).err().unwrap().to_string();
        assert!(refusal.contains("edit-secret is damaged"), "{refusal}");
        assert_eq!(fs::read(&path).unwrap(), flipped);
    }
}

#[test]
fn a_secret_that_was_written_without_a_checksum_is_still_good() {
    let dir = TempDir::new().unwrap();
    let token = EditSecret::open(dir.path()).unwrap().token(ID);
    let path = dir.path().join("edit-secret");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..32]).unwrap();
    assert_eq!(EditSecret::open(dir.path()).unwrap().token(ID), token);
}

#[test]
fn a_draft_that_a_crash_left_behind_is_in_nobodys_way() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("edit-secret.new"), "half").unwrap();
    let token = EditSecret::open(dir.path()).unwrap().token(ID);
    assert_eq!(EditSecret::open(dir.path()).unwrap().token(ID), token);
}
