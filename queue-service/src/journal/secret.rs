//! The secret behind edit tokens.

use std::{io, path::Path};

use hmac::{Hmac, KeyInit, Mac};
use repartee_process::private_file;
use sha2::Sha256;
use uuid::Uuid;

/// Name of the secret's file in the data directory.
const FILE: &str = "edit-secret";
/// Length of its checksum, a CRC-32, which stands behind it.
const SUM: usize = 4;

/// Makes and checks edit tokens: HMAC-SHA-256 of the message id under a secret that is kept in the data directory, so
/// that nothing is stored with a message and a replayed post returns the same token.
#[derive(Clone)]
pub struct EditSecret([u8; 32]);

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
            0 => Ok(Self(*secret)),
            SUM if sum == crc32fast::hash(secret).to_be_bytes() => Ok(Self(*secret)),
            SUM => Err("is damaged: it does not match its checksum".to_owned()),
            _ => Err(wrong_length(bytes)),
        }
    }

    /// The token of a message: 64 lower-case hex digits.
    pub fn token(&self, id: Uuid) -> String {
        hex::encode(self.mac(id).finalize().into_bytes())
    }

    /// What stands for a value without telling it: the first 128 bits of an HMAC of it. The same value has another key in
    /// another use.
    pub fn key(&self, of: u8, value: &[u8]) -> [u8; 16] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        // No id of a message is as short as this prefix, so no edit token is ever such a key.
        mac.update(&[of]);
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
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(id.as_bytes());
        mac
    }

    /// Written whole or not at all, and durable before the first token is given out.
    fn create(path: &Path) -> io::Result<Self> {
        let secret = Self(rand::random());
        let sum = crc32fast::hash(&secret.0).to_be_bytes();
        private_file::replace(path, &[&secret.0[..], &sum].concat())?;
        Ok(secret)
    }
}

fn wrong_length(bytes: &[u8]) -> String {
    format!("must hold {} bytes, it holds {}", 32 + SUM, bytes.len())
}
