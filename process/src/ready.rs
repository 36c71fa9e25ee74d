//! The ready file: where a server listens, written once it serves. With port 0 it is how a caller learns the port.

use std::{io, io::Write, net::SocketAddr, path::Path};

use serde::{Deserialize, Serialize};

/// The addresses that a binary bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Address of the gRPC face, where the binary has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<SocketAddr>,
    /// Address of the HTTP face, where the binary has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<SocketAddr>,
    /// Address of the metrics, where they have one of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
}

/// The ready file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the ready file {path}")]
pub struct ReadyFileError {
    path: String,
    source: io::Error,
}

impl Ready {
    /// Writes the addresses as JSON to `path`, all at once: a reader sees the whole file or none.
    ///
    /// # Errors
    /// Where the file cannot be written there.
    pub fn write_to(&self, path: &Path) -> Result<(), ReadyFileError> {
        self.replace(path).map_err(|source| ReadyFileError { path: path.display().to_string(), source })
    }

    fn replace(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.persist(path)?;
        Ok(())
    }
}
