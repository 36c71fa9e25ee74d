//! A TCP connection that ends if its peer takes too little of what waits for it. It lies below TLS, so that what counts is
//! what leaves the machine.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};
use tonic::transport::server::{Connected as _, TcpConnectInfo};

use crate::Patience;

/// Writing fails if the peer takes less of what waits for it than the least rate.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    patience: Patience,
    /// Runs while the peer does not take all that there is.
    blocked: Option<Pin<Box<Sleep>>>,
    /// Bytes that it has taken since.
    taken: u64,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, patience: Patience) -> Self {
        Self { stream, patience, blocked: None, taken: 0 }
    }

    /// The first bytes that the peer has sent, which stay to be read; none at the end.
    pub(crate) async fn peek(&self, first: &mut [u8]) -> io::Result<usize> {
        self.stream.peek(first).await
    }

    pub(crate) fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }

    /// Ends the connection if its peer takes too little of what waits for it.
    fn watch(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => self.taken += *bytes as u64,
            Poll::Ready(Err(_)) => return written,
            Poll::Pending if self.blocked.is_none() => {
                self.taken = 0;
                self.blocked = Some(Box::pin(sleep(self.patience.idle)));
            }
            Poll::Pending => {}
        }
        let Some(blocked) = &mut self.blocked else { return written };
        if blocked.as_mut().poll(cx).is_ready() {
            self.blocked = None;
            if self.taken < self.patience.least_bytes() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer was not read")));
            }
            if written.is_pending() {
                return self.watch(written, cx);
            }
        }
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever flushes has written all that there was: nothing waits for the peer now.
        self.blocked = None;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
