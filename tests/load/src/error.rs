//! Why a measurement could not be made.

use std::{io, path::PathBuf};

/// Why a measurement could not be made. What the servers refuse under load is no error: it is counted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A binary is not there.
    #[error(
        "{0} is not there: build it with `cargo build --release -p queue-service -p rest-gateway -p repartee-load`, \
         or name its folder with --bin-dir"
    )]
    Binary(PathBuf),
    /// A server did not get ready, or ended.
    #[error("{name} does not serve: {why}")]
    Server {
        /// The binary.
        name: String,
        /// What happened, with the end of its log.
        why: String,
    },
    /// A URL is not one of this machine.
    #[error("{0} is not on loopback; load goes to this machine only")]
    NotLoopback(String),
    /// A token cannot be made, read or sent.
    #[error("a token for the servers: {0}")]
    Token(String),
    /// Running servers were named, and the task starts and stops its own.
    #[error("{0} starts and stops its own servers; leave out --queue-url and --http-url")]
    OwnServers(&'static str),
    /// A load without an end, or one that makes no sense.
    #[error("{0}")]
    Setting(String),
    /// A call that prepares or checks a measurement was refused.
    #[error("a call outside the measurement was refused: {0}")]
    Grpc(Box<tonic::Status>),
    /// No connection to a gRPC server.
    #[error("cannot connect over gRPC: {0}")]
    Connect(#[from] tonic::transport::Error),
    /// An HTTP call that prepares or checks a measurement failed.
    #[error("an HTTP call outside the measurement failed: {0}")]
    Http(String),
    /// A generator beside this one gave no result.
    #[error("a reader beside the load gave no result: {0}")]
    Reader(String),
    /// Files or processes.
    #[error("{0}: {1}")]
    Io(String, #[source] io::Error),
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::Grpc(Box::new(status))
    }
}

impl Error {
    /// Names what was tried when an I/O error came up.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io(what, error)
    }
}
