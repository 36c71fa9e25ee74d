//! What a listener proves itself with: its certificate and key, and whom it asks for theirs.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use clap::Args;
use serde::Serialize;
use tokio_rustls::rustls::{ServerConfig, pki_types::CertificateDer, server::WebPkiClientVerifier};
use x509_cert::{Certificate, der::Decode as _};

use super::{
    current::{Change, Current, Files, Source, no_pair},
    files::FileProblem,
    provider,
};

/// What is spoken over TLS, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The flags, as errors name them.
const CERT: &str = "tls-cert";
const KEY: &str = "tls-key";
const CLIENT_CA: &str = "tls-client-ca";

/// TLS at an address of ours.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct TlsSettings {
    /// File with the certificate of this server, followed by those between it and its authority, PEM. With it and --tls-key
    /// the address speaks TLS only. The files are read again every second: new connections get what they hold then.
    #[arg(long, env = "REPARTEE_TLS_CERT", value_name = "PATH")]
    pub tls_cert: Option<PathBuf>,
    /// File with the private key of --tls-cert, PEM, not encrypted.
    #[arg(long, env = "REPARTEE_TLS_KEY", value_name = "PATH")]
    pub tls_key: Option<PathBuf>,
    /// File with authorities, PEM: a client without a certificate of one of them is refused. It needs its token all the
    /// same, for a certificate gives no right.
    #[arg(long, env = "REPARTEE_TLS_CLIENT_CA", value_name = "PATH")]
    pub tls_client_ca: Option<PathBuf>,
}

/// A certificate, its key, and the authorities of clients, as their files held them last; cheap to clone.
#[derive(Debug, Clone)]
pub struct Tls(Current<ServerFiles>);

/// The files, once it is known that there are some.
#[derive(Debug, Clone)]
struct ServerFiles {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    expires: Option<SystemTime>,
}

impl TlsSettings {
    /// Checks that the files can be used. Blocks.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn check(&self) -> Result<(), String> {
        self.load().map(drop)
    }

    /// Reads the files; `None` if TLS is not asked for. Blocks.
    ///
    /// # Errors
    /// One sentence that names the flag, the file and what is wrong with it.
    pub fn load(&self) -> Result<Option<Tls>, String> {
        let (cert, key) = match (&self.tls_cert, &self.tls_key, &self.tls_client_ca) {
            (None, None, None) => return Ok(None),
            (Some(cert), Some(key), _) => (cert.clone(), key.clone()),
            (Some(_), None, _) => {
                return Err("--tls-cert needs --tls-key, the file of its private key".into());
            }
            (None, Some(_), _) => {
                return Err("--tls-key needs --tls-cert, the file of its certificate".into());
            }
            (None, None, Some(_)) => return Err("--tls-client-ca needs --tls-cert and --tls-key".into()),
        };
        let files = ServerFiles { cert, key, client_ca: self.tls_client_ca.clone() };
        Current::read(files).map(|current| Some(Tls(current))).map_err(|problem| problem.to_string())
    }
}

impl Source for ServerFiles {
    type Made = Loaded;

    fn paths(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let client_ca = self.client_ca.as_deref().map(|path| (CLIENT_CA, path));
        [(CERT, &*self.cert), (KEY, &*self.key)].into_iter().chain(client_ca)
    }

    fn make(&self, files: &Files) -> Result<Loaded, FileProblem> {
        let [cert, key] = [CERT, KEY].map(|setting| files.named(setting).expect("it is among the paths"));
        let chain = cert.certificates()?;
        let expires = chain.first().and_then(expiry);
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for these versions");
        let builder = match files.named(CLIENT_CA) {
            Some(file) => {
                let roots = Arc::new(file.roots()?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| file.problem(error.to_string()))?)
            }
            None => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(chain, key.key()?);
        let mut config = config.map_err(|error| no_pair(cert, key, &error))?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(Loaded { config: Arc::new(config), expires })
    }
}

impl Tls {
    /// For the next handshake.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.0.get(|loaded| Arc::clone(&loaded.config))
    }

    /// Follows the files for as long as it is polled. `listener` is the label of the metrics.
    pub(crate) async fn follow(self, listener: &'static str) -> Infallible {
        crate::start_metrics();
        let failed = metrics::counter!("repartee_tls_reloads_failed_total", "bound" => listener);
        self.show_expiry(listener);
        let tell = |change: Change<'_>| match change {
            Change::Failed(problem) => {
                failed.increment(1);
                tracing::error!(bound = listener, %problem, "the TLS certificate stays as it was: fix the file");
            }
            Change::Replaced => {
                tracing::info!(bound = listener, "the TLS certificate was read again, for new connections");
                self.show_expiry(listener);
            }
        };
        self.0.clone().follow(tell).await
    }

    fn show_expiry(&self, listener: &'static str) {
        let Some(expires) = self.0.get(|loaded| loaded.expires) else { return };
        let since_epoch = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        metrics::gauge!("repartee_tls_certificate_expiry_seconds", "bound" => listener)
            .set(since_epoch.as_secs_f64());
        if expires <= SystemTime::now() {
            let expired = humantime::format_rfc3339_seconds(expires);
            tracing::warn!(bound = listener, %expired, "the TLS certificate has expired: clients refuse it");
        }
    }
}

/// When a certificate ends, if that can be read.
fn expiry(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let end = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    SystemTime::UNIX_EPOCH.checked_add(end)
}

#[cfg(test)]
mod tests;
