//! Handshakes at a listener. Each belongs to the task of its connection and has the time of a head, so that who does not
//! finish one holds up nobody. Failures are counted by why; a few a second are told.

use std::{fmt, io, pin::pin, time::Instant};

use metrics::Counter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, rustls, server::TlsStream};

use super::Tls;
use crate::{ConnectionState, Sample, socket::Socket};

/// The first byte of a TLS connection: the record of a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// Failures that are told in a second.
const LINES: u32 = 2;
/// What one who is refused may have sent already.
const UNREAD_BYTES: u64 = 64 * 1024;
/// What they are told.
const PLAIN: &str = "this port speaks TLS: use an https:// address";

/// The handshakes of one listener.
pub(crate) struct Handshakes {
    tls: Tls,
    lines: Sample,
    failed: [Counter; Why::ALL.len()],
}

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The client left, as one does that only looks whether the port is open.
    Closed,
    /// It was not finished within the time for a head, or had to make room.
    Unfinished,
    /// The client speaks no TLS.
    Plain,
    /// The client has no certificate, or none that is accepted.
    ClientCertificate,
    /// The client refuses, mostly because it does not trust the certificate.
    Refused,
    /// There is no version, suite or protocol that both speak.
    Incompatible,
    /// Anything else.
    Broken,
}

/// A handshake that failed, and the socket, if there is something to be read there.
struct Failure {
    why: Why,
    error: io::Error,
    socket: Option<Socket>,
}

impl Failure {
    fn of(why: Why, error: io::Error) -> Self {
        Self { why, error, socket: None }
    }
}

impl Why {
    const ALL: [Self; 7] = [
        Self::Closed,
        Self::Unfinished,
        Self::Plain,
        Self::ClientCertificate,
        Self::Refused,
        Self::Incompatible,
        Self::Broken,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Unfinished => "unfinished",
            Self::Plain => "plain",
            Self::ClientCertificate => "client_certificate",
            Self::Refused => "refused",
            Self::Incompatible => "incompatible",
            Self::Broken => "broken",
        }
    }

    fn of(error: &io::Error) -> Self {
        use rustls::Error::{
            AlertReceived, InvalidCertificate, NoApplicationProtocol, NoCertificatesPresented,
            PeerIncompatible,
        };
        let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return Self::Closed;
        };
        match error {
            NoCertificatesPresented | InvalidCertificate(_) => Self::ClientCertificate,
            AlertReceived(_) => Self::Refused,
            PeerIncompatible(_) | NoApplicationProtocol => Self::Incompatible,
            _ => Self::Broken,
        }
    }
}

impl Handshakes {
    /// `listener` is the label of the metrics.
    pub(crate) fn new(tls: Tls, listener: &'static str) -> Self {
        crate::start_metrics();
        let failed = Why::ALL.map(|why| {
            metrics::counter!("repartee_tls_handshakes_failed_total", "bound" => listener, "why" => why.label())
        });
        Self { tls, lines: Sample::new(LINES), failed }
    }

    /// Shakes hands with whoever has connected.
    ///
    /// # Errors
    /// If that fails, or the connection is dismissed before; it is counted.
    pub(crate) async fn shake(
        &self,
        socket: Socket,
        state: &ConnectionState,
    ) -> io::Result<TlsStream<Socket>> {
        state.begin_handshake();
        // It holds the socket until what became of it is counted: whoever sees the end finds it in the metrics.
        let mut accepting = pin!(self.accept(socket));
        let outcome = tokio::select! {
            outcome = &mut accepting => outcome,
            () = state.dismissed() => Err(Failure::of(Why::Unfinished, io::ErrorKind::TimedOut.into())),
        };
        let Failure { why, error, socket } = match outcome {
            Ok(stream) => {
                state.end_handshake();
                return Ok(stream);
            }
            Err(failure) => failure,
        };
        self.note(why, &error);
        if let Some(socket) = socket {
            tokio::select! {
                () = linger(socket) => {}
                () = state.dismissed() => {}
            }
        }
        Err(error)
    }

    async fn accept(&self, mut socket: Socket) -> Result<TlsStream<Socket>, Failure> {
        let mut first = [0; 4];
        match socket.peek(&mut first).await {
            Ok(0) => return Err(Failure::of(Why::Closed, io::ErrorKind::UnexpectedEof.into())),
            Ok(_) if first[0] == HANDSHAKE => {}
            Ok(count) => {
                // Whoever is gone is not told.
                let _ = socket.write_all(&refusal_of(&first[..count])).await;
                let error = io::Error::new(io::ErrorKind::InvalidData, "it is no TLS");
                return Err(Failure { why: Why::Plain, error, socket: Some(socket) });
            }
            Err(error) => return Err(Failure::of(Why::Closed, error)),
        }
        let accepted = TlsAcceptor::from(self.tls.config()).accept(socket).into_fallible().await;
        accepted.map_err(|(error, socket)| Failure { why: Why::of(&error), error, socket: Some(socket) })
    }

    fn note(&self, why: Why, error: &io::Error) {
        self.failed[why as usize].increment(1);
        // Load balancers look whether a port is open, all day long.
        if why == Why::Closed {
            return;
        }
        if let Some(left_out) = self.lines.admit(Instant::now()) {
            tracing::info!(why = why.label(), %error, left_out, "a TLS handshake failed");
        }
    }
}

impl fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshakes").field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// What tells a client without TLS what is wrong, in the protocol that it speaks.
fn refusal_of(first: &[u8]) -> Vec<u8> {
    match first {
        [b'P', b'R', b'I', ..] => go_away(),
        [letter, ..] if letter.is_ascii_alphabetic() => {
            let body =
                format!(r#"{{"type":"about:blank","title":"Bad Request","status":400,"detail":"{PLAIN}"}}"#);
            format!(
                "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        }
        _ => Vec::new(),
    }
}

/// How a server of HTTP/2 begins and at once ends a connection: no settings, then GOAWAY (RFC 9113, sections 6.5 and 6.8).
fn go_away() -> Vec<u8> {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // Tells clients that they may try again, which INADEQUATE_SECURITY would have them take for a right that they lack.
    const REFUSED_STREAM: u8 = 7;
    let length = u8::try_from(8 + PLAIN.len()).expect("the text is short");
    let head = [0, 0, length, 7, 0, 0, 0, 0, 0];
    let (last_stream, code) = ([0; 4], [0, 0, 0, REFUSED_STREAM]);
    [&SETTINGS[..], &head, &last_stream, &code, PLAIN.as_bytes()].concat()
}

/// Reads what was sent before it closes: a socket that is closed with unread bytes takes back what was written to it, which
/// says what is wrong.
async fn linger(mut socket: Socket) {
    // However it ends, it is over.
    let _ = socket.shutdown().await;
    let _ = tokio::io::copy(&mut socket.take(UNREAD_BYTES), &mut tokio::io::sink()).await;
}

#[cfg(test)]
mod tests {
    use super::{Why, go_away, refusal_of};

    #[test]
    fn each_failure_has_a_counter_of_its_own() {
        for (at, why) in Why::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, at);
        }
    }

    #[test]
    fn who_speaks_no_tls_is_told_in_their_own_protocol() {
        let http1 = String::from_utf8(refusal_of(b"GET ")).unwrap();
        let (head, body) = http1.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 400 ") && head.contains(&format!("Content-Length: {}", body.len()))
        );
        assert_eq!(refusal_of(b"PRI "), go_away());
        assert_eq!(refusal_of(&[0x80, 1, 2, 3]), b"", "nothing that could be answered");
    }
}
