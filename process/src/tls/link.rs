//! One connection to the queue-service over TLS, whose errors say what to do.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use http::Uri;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{self, AlertDescription, CertificateError, ClientConfig, pki_types::ServerName},
};
use tower::ServiceExt as _;

use super::client::{CA, CERT, URL};
use crate::Sample;

/// What gRPC is spoken in.
pub(super) const HTTP2: &[u8] = b"h2";

/// The queue-service as a client knows it.
#[derive(Debug)]
pub(super) struct Peer {
    /// The name that its certificate has to hold.
    name: ServerName<'static>,
    /// The same with its port, for errors.
    host: Box<str>,
    /// Of what is told about connections that it ended.
    lines: Sample,
}

/// A TLS connection to the queue-service.
pub(super) struct LinkStream {
    stream: TlsStream<TcpStream>,
    peer: Arc<Peer>,
}

/// Why there is no TLS with the queue-service.
#[derive(Debug, thiserror::Error)]
#[error("no TLS with https://{host}: {problem}")]
struct LinkProblem {
    host: Box<str>,
    problem: String,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Connects to the address of `uri`, and shakes hands with `peer`.
pub(super) async fn connect(
    config: Arc<ClientConfig>,
    peer: Arc<Peer>,
    uri: Uri,
) -> Result<TokioIo<LinkStream>, BoxError> {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    let tcp = http.oneshot(uri).await?.into_inner();
    let connected = TlsConnector::from(config).connect(peer.name.clone(), tcp).await;
    let stream = connected.map_err(|error| match (tls_error(&error), error.kind()) {
        (Some(why), _) => peer.problem(explanation(why)).into(),
        (None, io::ErrorKind::UnexpectedEof) => peer.problem("it hung up; does it speak TLS?").into(),
        (None, _) => BoxError::from(error),
    })?;
    if stream.get_ref().1.alpn_protocol() != Some(HTTP2) {
        let problem = "it does not offer HTTP/2 (the protocol \"h2\" of ALPN), which gRPC needs";
        return Err(peer.problem(problem).into());
    }
    Ok(TokioIo::new(LinkStream { stream, peer }))
}

impl Peer {
    pub(super) fn new(name: ServerName<'static>, host: &str) -> Self {
        Self { name, host: host.into(), lines: Sample::new(1) }
    }

    fn problem(&self, problem: impl Into<String>) -> LinkProblem {
        LinkProblem { host: self.host.clone(), problem: problem.into() }
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn explanation(error: &rustls::Error) -> String {
    use AlertDescription as Alert;
    match error {
        rustls::Error::InvalidMessage(_) => {
            format!("it does not speak TLS; if it is not meant to, begin --{URL} with http://")
        }
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            format!(
                "its certificate is of no authority that is trusted here; name the right one's file in --{CA}"
            )
        }
        rustls::Error::InvalidCertificate(_) => format!("its certificate is not accepted: {error}"),
        rustls::Error::AlertReceived(
            alert @ (Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::AccessDenied),
        ) => {
            format!(
                "it wants a certificate of this client that it trusts ({alert:?}); name its file in --{CERT}"
            )
        }
        error => error.to_string(),
    }
}

impl AsyncRead for LinkStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        // Whether our certificate is accepted shows only here: for us, TLS 1.3 was established before. And whoever waits for
        // an answer learns no more than that the connection has ended.
        if let Poll::Ready(Err(error)) = &read
            && let Some(why) = tls_error(error)
            && let Some(left_out) = self.peer.lines.admit(Instant::now())
        {
            let problem = self.peer.problem(explanation(why));
            tracing::warn!(%problem, left_out, "the queue-service has ended a connection");
        }
        read
    }
}

impl AsyncWrite for LinkStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
