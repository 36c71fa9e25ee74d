//! The way to the queue-service: plain, or over TLS with whom we trust, and our own certificate if it asks for one.

use std::{
    convert::Infallible,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Once},
};

use clap::Args;
use http::{Uri, uri::Scheme};
use serde::Serialize;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::{
    current::{Change, Current, Files, Source, no_pair},
    files::FileProblem,
    link::{self, Peer},
    provider,
};
use crate::InProcess;

/// The port of https, if the address names none.
const HTTPS_PORT: u16 = 443;

/// The flags, as errors name them.
pub(super) const URL: &str = "queue-url";
pub(super) const CA: &str = "queue-ca";
pub(super) const CERT: &str = "queue-client-cert";
const KEY: &str = "queue-client-key";

/// TLS on the way to the queue-service.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct QueueTlsSettings {
    /// File with the authorities, PEM, of which the certificate of an https:// queue-service has to be; if absent, those that
    /// the system trusts.
    #[arg(long, env = "REPARTEE_QUEUE_CA", value_name = "PATH")]
    pub queue_ca: Option<PathBuf>,
    /// File with the certificate by which an https:// queue-service knows this client, and those between it and its
    /// authority, PEM: for one with --tls-client-ca. It and the other two files are read again every second.
    #[arg(long, env = "REPARTEE_QUEUE_CLIENT_CERT", value_name = "PATH")]
    pub queue_client_cert: Option<PathBuf>,
    /// File with the private key of --queue-client-cert, PEM, not encrypted.
    #[arg(long, env = "REPARTEE_QUEUE_CLIENT_KEY", value_name = "PATH")]
    pub queue_client_key: Option<PathBuf>,
}

/// A setting of the way to the queue-service cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--{setting} {problem}")]
pub struct QueueLinkError {
    /// The flag, without its dashes.
    pub setting: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// Where the queue-service is and how it is reached; cheap to clone.
#[derive(Debug, Clone)]
pub struct QueueLink {
    url: Uri,
    tls: Option<LinkTls>,
    /// If it is a part of this process.
    within: Option<InProcess>,
}

#[derive(Debug, Clone)]
struct LinkTls {
    peer: Arc<Peer>,
    files: Current<LinkFiles>,
}

#[derive(Debug, Clone)]
struct LinkFiles {
    ca: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
}

impl QueueLink {
    /// The queue-service at `url`. Nothing is sent; the files are read, which blocks.
    ///
    /// # Errors
    /// What is wrong with which setting.
    pub fn new(url: &str, settings: &QueueTlsSettings) -> Result<Self, QueueLinkError> {
        let wrong = || QueueLinkError {
            setting: URL,
            problem: format!("must look like http://HOST:PORT or https://HOST:PORT, is {url:?}"),
        };
        let uri = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
        let uri = uri.filter(has_sound_port).ok_or_else(wrong)?;
        let files = settings.files()?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => {
                let name = ServerName::try_from(bare_host(&uri).to_owned()).map_err(|_| wrong())?;
                let files = Current::read(files)?;
                let host = uri.authority().map_or("", |authority| authority.as_str());
                let peer = Arc::new(Peer::new(name, host));
                Ok(Self { url: uri, tls: Some(LinkTls { peer, files }), within: None })
            }
            Some(scheme) if *scheme == Scheme::HTTP => match files.paths().next() {
                // Whoever names one of them believes that nobody reads along.
                Some((setting, _)) => Err(QueueLinkError {
                    setting,
                    problem: format!("needs a --{URL} with https://, is {url:?}"),
                }),
                None => Ok(Self { url: uri, tls: None, within: None }),
            },
            _ => Err(wrong()),
        }
    }

    /// The queue-service of this process: no socket is between, so there is nothing to be read on the way.
    pub fn in_process(way: InProcess) -> Self {
        Self { url: Uri::from_static("http://localhost"), tls: None, within: Some(way) }
    }

    /// A connection that is made when it is first needed, and made again whenever it is lost, by what the files hold then.
    /// `tune` sets what else it is to be.
    pub fn connect_lazy(&self, tune: impl FnOnce(Endpoint) -> Endpoint) -> Channel {
        if let Some(way) = self.within.clone() {
            let endpoint = tune(self.url.clone().into());
            return endpoint.connect_with_connector_lazy(service_fn(move |_| way.clone().connect()));
        }
        let Some(tls) = &self.tls else { return tune(self.url.clone().into()).connect_lazy() };
        // To tonic this is a plain connection: the TLS on it is ours, whatever features of its own are linked.
        let LinkTls { peer, files } = tls.clone();
        let endpoint = tune(plain(&self.url).into()).origin(self.url.clone());
        endpoint.connect_with_connector_lazy(service_fn(move |uri| {
            link::connect(files.get(Arc::clone), Arc::clone(&peer), uri)
        }))
    }

    /// Follows the files, for as long as it is polled: what is read there is for new connections.
    pub async fn follow(self) -> Infallible {
        let Some(tls) = self.tls else { return std::future::pending().await };
        let tell = |change: Change<'_>| match change {
            Change::Failed(problem) => {
                tracing::error!(%problem, "TLS to the queue-service stays as it was: fix the file");
            }
            Change::Replaced => {
                tracing::info!("the files of TLS to the queue-service were read again, for new connections");
            }
        };
        tls.files.follow(tell).await
    }

    /// Says, once in the life of a process, that what is sent to the queue-service can be read on the way, unless it goes over
    /// TLS or stays on this machine. `what` would be read.
    pub fn warn_if_readable(&self, what: &str) {
        let host = bare_host(&self.url);
        let is_here = host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        if self.tls.is_some() || is_here {
            return;
        }
        // A process may have many workers.
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            let url = self.url.to_string();
            tracing::warn!(
                url,
                "without TLS everybody on the way to the queue-service can read and change what is sent: {what}. Use an \
                 https:// --{URL}, or keep the network private"
            );
        });
    }
}

impl QueueTlsSettings {
    fn files(&self) -> Result<LinkFiles, QueueLinkError> {
        let identity = match (&self.queue_client_cert, &self.queue_client_key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
            (Some(_), None) => {
                return Err(QueueLinkError {
                    setting: CERT,
                    problem: format!("needs --{KEY}, its private key"),
                });
            }
            (None, Some(_)) => {
                return Err(QueueLinkError {
                    setting: KEY,
                    problem: format!("needs --{CERT}, its certificate"),
                });
            }
        };
        Ok(LinkFiles { ca: self.queue_ca.clone(), identity })
    }
}

impl Source for LinkFiles {
    type Made = Arc<ClientConfig>;

    fn paths(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let identity = self.identity.iter().flat_map(|(cert, key)| [(CERT, &**cert), (KEY, &**key)]);
        self.ca.as_deref().map(|path| (CA, path)).into_iter().chain(identity)
    }

    fn make(&self, files: &Files) -> Result<Arc<ClientConfig>, FileProblem> {
        let roots = files.named(CA).map_or_else(system_roots, |file| file.roots())?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for these versions")
            .with_root_certificates(roots);
        let mut config = match (files.named(CERT), files.named(KEY)) {
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(cert.certificates()?, key.key()?)
                .map_err(|error| no_pair(cert, key, &error))?,
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![link::HTTP2.to_vec()];
        Ok(Arc::new(config))
    }
}

/// The authorities that this machine trusts.
fn system_roots() -> Result<RootCertStore, FileProblem> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable > 0 {
        return Ok(roots);
    }
    let why = found.errors.first().map_or_else(String::new, |error| format!(" ({error})"));
    Err(FileProblem {
        setting: CA,
        path: PathBuf::new(),
        problem: format!("is needed for https://: this system has no authorities that it trusts{why}"),
    })
}

impl From<FileProblem> for QueueLinkError {
    fn from(problem: FileProblem) -> Self {
        let FileProblem { setting, path, problem } = problem;
        let path = path.display().to_string();
        let problem = if path.is_empty() { problem } else { format!("{path}: {problem}") };
        Self { setting, problem }
    }
}

/// The host, IPv6 without its brackets.
fn bare_host(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or_default();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// False if what is written as a port is none: it would be taken for the port of the scheme, and with it whoever is there.
fn has_sound_port(uri: &Uri) -> bool {
    let (authority, host) = (uri.authority().map_or("", |authority| authority.as_str()), uri.host());
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let port = host.and_then(|host| place.strip_prefix(host)).unwrap_or_default();
    port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

/// The same address under http, with the port of https.
fn plain(url: &Uri) -> Uri {
    let authority = format!("{}:{}", url.host().unwrap_or_default(), url.port_u16().unwrap_or(HTTPS_PORT));
    let uri = Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query("/").build();
    uri.expect("what was an address is one under another scheme")
}
