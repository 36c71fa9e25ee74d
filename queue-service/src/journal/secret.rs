//! The secret of a data directory, and what is made with it: edit tokens, and keys that stand for what is not to be told.

use std::{io, path::Path};

use hmac::{Hmac, KeyInit, Mac};
use repartee_process::private_file;
use sha2::Sha256;
use uuid::Uuid;

/// Name of the secret's file in the data directory.
const FILE: &str = "edit-secret";
/// Length of its checksum, a CRC-32, which stands behind it.
const SUM: usize = 4;

/// What a secret is used for. Each use has a key of its own, so no value of one is ever a value of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The secret of a visitor.
    Visitor,
    /// The address of a client.
    Address,
    /// A God Mode session, as it is shown.
    Session,
}

/// Makes and checks edit tokens: HMAC-SHA-256 of the message id under a secret that is kept in the data directory, so
/// that nothing is stored with a message and a replayed post returns the same token.
///
/// Each use has its own key, derived from the secret as by HKDF-Expand of RFC 5869 (one block, with the name of the use);
/// the secret is random already, so it needs no extraction (section 3.3).
#[derive(Clone)]
pub struct EditSecret {
    edits: Hmac<Sha256>,
    visitors: Hmac<Sha256>,
    addresses: Hmac<Sha256>,
    sessions: Hmac<Sha256>,
}

impl std::fmt::Debug for EditSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EditSecret(***)")
    }
}

impl EditSecret {
    /// Reads the secret of a data directory, or draws it at the first start.
    ///
    /// # Errors
    /// Where the file cannot be read or written, or does not hold a secret and its checksum.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        match private_file::read(&path) {
            Ok(bytes) => Self::read(&bytes).map_err(|wrong| {
                let text = format!(
                    "{} {wrong}; restore it from a backup, or remove it: edit tokens that were given out are refused then",
                    path.display()
                );
                io::Error::new(io::ErrorKind::InvalidData, text)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(&path),
            Err(error) => Err(error),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, String> {
        let (secret, sum) = bytes.split_first_chunk().ok_or_else(|| wrong_length(bytes))?;
        match sum.len() {
            // As it was written before there was a checksum.
            0 => Ok(Self::of(secret)),
            SUM if sum == crc32fast::hash(secret).to_be_bytes() => Ok(Self::of(secret)),
            SUM => Err("is damaged: it does not match its checksum".to_owned()),
            _ => Err(wrong_length(bytes)),
        }
    }

    fn of(secret: &[u8; 32]) -> Self {
        let key = |name: &str| keyed(&hmac(secret, &[name.as_bytes(), &[1]]).finalize().into_bytes());
        Self {
            edits: key("repartee.v1 edit token"),
            visitors: key("repartee.v1 visitor"),
            addresses: key("repartee.v1 address"),
            sessions: key("repartee.v1 session"),
        }
    }

    /// The token of a message: 64 lower-case hex digits.
    pub fn token(&self, id: Uuid) -> String {
        hex::encode(self.mac(id).finalize().into_bytes())
    }

    /// What stands for a value without telling it: the first 128 bits of an HMAC of it, for this use.
    pub fn key(&self, of: Use, value: &[u8]) -> [u8; 16] {
        let mut mac = match of {
            Use::Visitor => self.visitors.clone(),
            Use::Address => self.addresses.clone(),
            Use::Session => self.sessions.clone(),
        };
        mac.update(value);
        let mut key = [0; 16];
        key.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        key
    }

    /// True for the token of this message; compared in constant time.
    pub fn accepts(&self, id: Uuid, token: &str) -> bool {
        hex::decode(token).is_ok_and(|token| self.mac(id).verify_slice(&token).is_ok())
    }

    fn mac(&self, id: Uuid) -> Hmac<Sha256> {
        let mut mac = self.edits.clone();
        mac.update(id.as_bytes());
        mac
    }

    /// Written whole or not at all, and durable before the first token is given out.
    fn create(path: &Path) -> io::Result<Self> {
        let secret: [u8; 32] = rand::random();
        let sum = crc32fast::hash(&secret).to_be_bytes();
        private_file::replace(path, &[&secret[..], &sum].concat())?;
        Ok(Self::of(&secret))
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = keyed(key);
    parts.iter().for_each(|part| mac.update(part));
    mac
}

fn wrong_length(bytes: &[u8]) -> String {
    format!("must hold {} bytes, it holds {}", 32 + SUM, bytes.len())
}
