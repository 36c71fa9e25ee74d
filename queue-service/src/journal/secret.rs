//! The secret behind edit tokens.

use std::{fs, io, io::Write, path::Path};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// Name of the secret's file in the data directory.
const FILE: &str = "edit-secret";

/// Makes and checks edit tokens: HMAC-SHA-256 of the message id under a secret that is kept in the data directory, so
/// that nothing is stored with a message and a replayed post returns the same token.
#[derive(Clone)]
pub struct EditSecret([u8; 32]);

impl EditSecret {
    /// Reads the secret of a data directory, or draws it at the first start.
    ///
    /// # Errors
    /// Where the file cannot be read or written, or is not 32 bytes long.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => bytes.try_into().map(Self).map_err(|bytes: Vec<u8>| {
                let text = format!("{} must hold 32 bytes, it holds {}", path.display(), bytes.len());
                io::Error::new(io::ErrorKind::InvalidData, text)
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(data_dir, &path),
            Err(error) => Err(error),
        }
    }

    /// The token of a message: 64 lower-case hex digits.
    pub fn token(&self, id: Uuid) -> String {
        hex::encode(self.mac(id).finalize().into_bytes())
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
    fn create(data_dir: &Path, path: &Path) -> io::Result<Self> {
        let secret = Self(rand::random());
        let draft = data_dir.join(format!("{FILE}.new"));
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&draft)?;
        file.write_all(&secret.0)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        fs::File::open(data_dir)?.sync_all()?;
        Ok(secret)
    }
}
