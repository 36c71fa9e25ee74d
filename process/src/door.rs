//! Where connections come in: so many at once, and none that does nothing for long.
//!
//! What a connection carries is not looked at here, but for its first bytes: the libraries behind wait for them without
//! an end.

use std::{
    future::Future as _,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{Sleep, sleep, timeout},
};

use crate::{Bound, Fill, bound::Place, open_files};

/// How an HTTP/2 connection begins (RFC 9113, section 3.4); whatever else comes is HTTP/1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Between two attempts to accept where the system refuses, for example for want of memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    connections: Bound,
    patience: Duration,
}

/// An accepted connection. It takes a place until it is dropped.
///
/// Reading fails where its first bytes do not come within the patience, and writing where its peer takes none for as
/// long.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    patience: Duration,
    /// How much of the preface has come, as long as that is all.
    opening: Option<usize>,
    /// Runs while the first bytes are waited for.
    silent: Option<Pin<Box<Sleep>>>,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    _place: Place,
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

impl Door {
    /// Accepts at most `most` connections at once, fewer where the system has not so many open files. `name` is their
    /// label in the metrics.
    pub fn new(listener: TcpListener, name: &'static str, most: u32, patience: Duration) -> Self {
        Self { listener, connections: Bound::new(name, open_files::connections(most)), patience }
    }

    /// The bound of the connections.
    pub fn connections(&self) -> &Bound {
        &self.connections
    }

    /// The next connection. Those for which there is no room are closed at once, and counted.
    pub async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    if let Ok(place) = self.connections.enter(1) {
                        return (Connection::new(stream, self.patience, place), peer);
                    }
                }
                // The peer went away before it was its turn.
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    let Fill { held, limit, .. } = self.connections.fill();
                    tracing::error!(%error, held, limit, "a connection cannot be accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

impl Connection {
    fn new(stream: TcpStream, patience: Duration, place: Place) -> Self {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
        Self { stream, patience, opening: Some(0), silent: None, stalled: None, _place: place }
    }

    /// What its peer speaks, by its first bytes, which stay to be read.
    ///
    /// # Errors
    /// Where they do not come within the patience, or the connection breaks.
    pub async fn begins(&self) -> io::Result<Begin> {
        let mut first = [0; PREFACE.len()];
        let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "nothing was asked for");
        let count = timeout(self.patience, self.stream.peek(&mut first)).await.map_err(silent)??;
        Ok(match still_opening(0, &first[..count]) {
            Some(_) => Begin::Unclear,
            None if count == PREFACE.len() && first == *PREFACE => Begin::Http2,
            None => Begin::Http1,
        })
    }

    fn watch(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
        } else if is_over(&mut self.stalled, self.patience, cx) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer was not read")));
        }
        written
    }
}

/// How much of the preface has come with these bytes; none where it is whole, and where it is something else.
fn still_opening(matched: usize, bytes: &[u8]) -> Option<usize> {
    let rest = &PREFACE[matched..];
    let goes_on = !bytes.is_empty() && bytes.len() < rest.len() && rest.starts_with(bytes);
    goes_on.then(|| matched + bytes.len())
}

/// True once `timer` has run for `patience`; starts it where it does not run.
fn is_over(timer: &mut Option<Pin<Box<Sleep>>>, patience: Duration, cx: &mut Context<'_>) -> bool {
    timer.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(cx).is_ready()
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        let Some(matched) = this.opening else { return read };
        if read.is_pending() {
            // What drips in does not start the time again.
            if is_over(&mut this.silent, this.patience, cx) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing was asked for")));
            }
            return read;
        }
        this.opening = still_opening(matched, &buf.filled()[before..]);
        if this.opening.is_none() {
            this.silent = None;
        }
        read
    }
}

impl AsyncWrite for Connection {
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
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl tonic::transport::server::Connected for Connection {
    type ConnectInfo = tonic::transport::server::TcpConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, time::Duration};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        time::advance,
    };

    use super::{Begin, Connection, Door, PREFACE, still_opening};

    const PATIENCE: Duration = Duration::from_secs(30);

    async fn door(name: &'static str, most: u32) -> Door {
        Door::new(TcpListener::bind("127.0.0.1:0").await.unwrap(), name, most, PATIENCE)
    }

    /// A connection from both ends.
    async fn connected(name: &'static str) -> (TcpStream, Connection) {
        let mut door = door(name, 1).await;
        let client = TcpStream::connect(door.listener.local_addr().unwrap()).await.unwrap();
        (client, door.accept().await.0)
    }

    #[tokio::test]
    async fn a_connection_beyond_the_limit_is_closed_at_once_and_leaves_room_for_others() {
        let mut door = door("test_door", 1).await;
        let addr = door.listener.local_addr().unwrap();
        let (_first, held) = (TcpStream::connect(addr).await.unwrap(), door.accept().await);
        let mut second = TcpStream::connect(addr).await.unwrap();
        let bound = door.connections().clone();
        let third = tokio::spawn(async move { door.accept().await });
        assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0, "closed");
        drop(held);
        let _third = TcpStream::connect(addr).await.unwrap();
        let _held = third.await.unwrap();
        assert_eq!(bound.held(), 1);
    }

    // Where time is paused, it jumps to the next timer whenever nobody has anything to do.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_sends_nothing_or_a_part_of_a_preface_ends() {
        for sent in [&b""[..], &PREFACE[..10]] {
            let (mut client, mut server) = connected("test_silent").await;
            client.write_all(sent).await.unwrap();
            let mut read = Vec::new();
            assert_eq!(server.read_to_end(&mut read).await.unwrap_err().kind(), ErrorKind::TimedOut);
            assert_eq!(read, sent);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_begun_may_be_silent() {
        for sent in [PREFACE, b"GET / HTTP/1.1\r\n"] {
            let (mut client, mut server) = connected("test_begun").await;
            client.write_all(sent).await.unwrap();
            server.read_exact(&mut vec![0; sent.len()]).await.unwrap();
            advance(PATIENCE * 10).await;
            client.write_all(b"x").await.unwrap();
            assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_bytes_tell_the_protocol_and_stay_to_be_read() {
        for (sent, begin) in
            [(PREFACE, Begin::Http2), (b"GET / HTTP/1.1\r\n", Begin::Http1), (&PREFACE[..5], Begin::Unclear)]
        {
            let (mut client, mut server) = connected("test_begin").await;
            client.write_all(sent).await.unwrap();
            assert_eq!(server.begins().await.unwrap(), begin);
            let mut read = vec![0; sent.len()];
            server.read_exact(&mut read).await.unwrap();
            assert_eq!(read, sent);
        }
        let (_client, server) = connected("test_begin").await;
        assert_eq!(server.begins().await.unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_connection_has_begun_once_its_protocol_is_clear() {
        assert_eq!(still_opening(0, b"PRI"), Some(3));
        assert_eq!(still_opening(3, b" * "), Some(6));
        assert_eq!(still_opening(3, &PREFACE[3..]), None, "HTTP/2");
        assert_eq!(still_opening(3, b"NT /"), None, "HTTP/1");
        assert_eq!(still_opening(0, b""), None, "the end");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_not_read_ends() {
        let (_client, mut server) = connected("test_stalled").await;
        let error = loop {
            if let Err(error) = server.write_all(&[0; 65_536]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
