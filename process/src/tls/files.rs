//! Certificates and keys in files, PEM. What a key file holds is never told, not even as part of an error.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
};

/// Largest file: several times what all authorities of the public web take together.
const MOST_BYTES: u64 = 2 * 1024 * 1024;

/// A file that cannot be used, by the flag that names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{setting} {}: {problem}", path.display())]
pub struct FileProblem {
    /// The flag, without its dashes.
    pub setting: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// A file that was read.
pub(super) struct PemFile {
    setting: &'static str,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl PemFile {
    /// Reads the file. Blocks.
    pub(super) fn read(setting: &'static str, path: &Path) -> Result<Self, FileProblem> {
        let mut file = Self { setting, path: path.to_owned(), bytes: Vec::new() };
        let read =
            File::open(path).and_then(|opened| opened.take(MOST_BYTES + 1).read_to_end(&mut file.bytes));
        match read {
            Ok(_) if file.bytes.len() as u64 > MOST_BYTES => {
                Err(file.problem(format!("may have at most {MOST_BYTES} bytes, has more")))
            }
            Ok(_) => Ok(file),
            Err(error) => Err(file.unreadable(&error)),
        }
    }

    /// Its certificates; at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, FileProblem> {
        let read = CertificateDer::pem_slice_iter(&self.bytes).collect::<Result<Vec<_>, _>>();
        match read {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            Ok(_) => Err(self.problem("holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")),
            Err(_) => Err(self.problem("is not well-formed PEM")),
        }
    }

    /// Its private key.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, FileProblem> {
        const ENCRYPTED: &[u8] = b"ENCRYPTED";
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|error| match error {
            pem::Error::NoItemsFound
                if self.bytes.windows(ENCRYPTED.len()).any(|bytes| bytes == ENCRYPTED) =>
            {
                self.problem(
                    "the key is encrypted, and nobody is there to ask for its passphrase; decrypt it",
                )
            }
            pem::Error::NoItemsFound => {
                self.problem("holds no private key in PEM form (PKCS #8, PKCS #1 or SEC 1)")
            }
            _ => self.problem("is not well-formed PEM"),
        })
    }

    /// Its certificates, as authorities that are trusted.
    pub(super) fn roots(&self) -> Result<RootCertStore, FileProblem> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| self.problem(format!("holds no authority: {error}")))?;
        }
        Ok(roots)
    }

    pub(super) fn setting(&self) -> &'static str {
        self.setting
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn problem(&self, problem: impl Into<String>) -> FileProblem {
        FileProblem { setting: self.setting, path: self.path.clone(), problem: problem.into() }
    }

    fn unreadable(&self, error: &io::Error) -> FileProblem {
        self.problem(format!("cannot be read: {error}"))
    }
}
