//! TLS: at our listeners, and on the way to the queue-service.
//!
//! Owns certificates, keys and handshakes. Proves who a server is, and keeps others from reading along; no certificate
//! gives a right here, only tokens do (`tokens/`).

mod client;
mod current;
mod files;
mod handshake;
mod link;
mod server;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

pub use client::{QueueLink, QueueLinkError, QueueTlsSettings};
pub(crate) use handshake::Handshakes;
pub use server::{Tls, TlsSettings};

/// The cryptography of every connection of ours, named rather than found: another crate may link another one.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

#[cfg(test)]
mod tests;
