//! A connection that was accepted: what carries it, and what it begins with.
//!
//! What it carries is not looked at here, but for its first bytes: the libraries behind wait for them without an end.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};
use tokio_rustls::server::TlsStream;

use crate::{
    ConnectionState, Patience, bound::Place, connections::Registration, socket::Socket, tls::Handshakes,
};

/// How an HTTP/2 connection begins (RFC 9113, section 3.4); whatever else comes is HTTP/1.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An accepted connection. It takes a place until it is dropped.
///
/// Writing fails if its peer takes less of what waits for it than the least rate. Reading waits while it is to be slow
/// ([`ConnectionState::slow_down`]).
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    /// The handshake that is still to come.
    handshake: Option<Arc<Handshakes>>,
    /// True once it is known to be HTTP/1.
    is_http1: bool,
    /// Runs while nothing is to be read.
    pause: Option<Pin<Box<Sleep>>>,
    registration: Registration,
    _place: Place,
}

/// What carries the bytes.
#[derive(Debug)]
enum Wire {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// How a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// As every client of HTTP/1 does.
    Http1,
    /// With the preface of HTTP/2.
    Http2,
    /// With a part of that preface.
    Unclear,
}

impl Connection {
    pub(crate) fn new(
        stream: TcpStream,
        registration: Registration,
        place: Place,
        handshake: Option<Arc<Handshakes>>,
    ) -> Self {
        let wire = Wire::Plain(Socket::new(stream, registration.0.patience()));
        Self { wire, handshake, is_http1: false, pause: None, registration, _place: place }
    }

    /// What is known of it.
    pub fn state(&self) -> &Arc<ConnectionState> {
        &self.registration.0
    }

    pub(crate) fn patience(&self) -> Patience {
        self.state().patience()
    }

    /// Shakes hands, if it is to be over TLS, and finds out by the first bytes what its peer speaks; they stay to be read.
    ///
    /// # Errors
    /// If it is dismissed before they come, or breaks.
    pub async fn begins(self) -> io::Result<(Begin, Self)> {
        let mut connection = self.with_handshake().await?;
        let Self { wire, registration, .. } = &mut connection;
        let begin = tokio::select! {
            begin = wire.begins() => begin?,
            () = registration.0.dismissed() => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing was asked for"));
            }
        };
        connection.is_http1 = begin == Begin::Http1;
        Ok((begin, connection))
    }

    async fn with_handshake(self) -> io::Result<Self> {
        let Self { wire, handshake, is_http1, pause, registration, _place } = self;
        let wire = match (handshake, wire) {
            // In a box, so that connections without TLS do not take its room.
            (Some(handshakes), Wire::Plain(socket)) => {
                Wire::Tls(Box::new(Box::pin(handshakes.shake(socket, &registration.0)).await?))
            }
            (_, wire) => wire,
        };
        Ok(Self { wire, handshake: None, is_http1, pause, registration, _place })
    }

    /// Ready once it may be read.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(left) = self.state().pause() {
            // What was added meanwhile is waited for in the next round.
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(left)));
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        self.pause = None;
        Poll::Ready(())
    }
}

impl Wire {
    async fn begins(&mut self) -> io::Result<Begin> {
        match self {
            Self::Plain(socket) => {
                let mut first = [0; PREFACE.len()];
                let count = socket.peek(&mut first).await?;
                Ok(begin_of(&first[..count]))
            }
            Self::Tls(stream) => {
                let first = stream.fill_buf().await?;
                Ok(begin_of(&first[..first.len().min(PREFACE.len())]))
            }
        }
    }
}

/// What begins with these bytes.
fn begin_of(first: &[u8]) -> Begin {
    if first == PREFACE {
        Begin::Http2
    } else if !first.is_empty() && PREFACE.starts_with(first) {
        Begin::Unclear
    } else {
        Begin::Http1
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_pause(cx));
        ready!(match &mut self.wire {
            Wire::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        })?;
        if self.is_http1 {
            self.state().note_bytes();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.wire {
            Wire::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.wire {
            Wire::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(socket) => socket.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl tonic::transport::server::Connected for Connection {
    type ConnectInfo = tonic::transport::server::TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        match &self.wire {
            Wire::Plain(socket) => socket.connect_info(),
            Wire::Tls(stream) => stream.get_ref().0.connect_info(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Begin, PREFACE, begin_of};

    #[test]
    fn a_part_of_a_preface_may_become_either() {
        assert_eq!(begin_of(PREFACE), Begin::Http2);
        assert_eq!(begin_of(b"PRI * H"), Begin::Unclear);
        assert_eq!(begin_of(b"PRINT /"), Begin::Http1);
        assert_eq!(begin_of(b""), Begin::Http1, "the end");
    }
}
