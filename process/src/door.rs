//! Where connections come in: so many at once, and none that does nothing for long.
//!
//! What a connection carries is not looked at here, but for its first bytes: the libraries behind wait for them without
//! an end.

use std::{
    future::Future as _,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{Sleep, sleep, timeout},
};

use crate::{
    AnswerLimits, Bound, ConnectionState, Connections, Fill, Patience, bound::Place,
    connections::Registration, open_files,
};

/// How an HTTP/2 connection begins (RFC 9113, section 3.4); whatever else comes is HTTP/1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Between two attempts to accept where the system refuses, for example for want of memory.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a newcomer waits for the place of a connection that was ended for it.
const HANDOVER: Duration = Duration::from_secs(1);

/// Accepts connections.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    places: Bound,
    reserve: Option<Bound>,
    connections: Connections,
}

/// An accepted connection. It takes a place until it is dropped.
///
/// Writing fails if its peer takes less of what waits for it than the least rate.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// True once it is known to be HTTP/1.
    is_http1: bool,
    /// Runs while the peer does not take all that there is.
    blocked: Option<Pin<Box<Sleep>>>,
    /// Bytes that it has taken since.
    taken: u64,
    registration: Registration,
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
    /// label in the metrics. Has to be called within a runtime.
    pub fn new(
        listener: TcpListener,
        name: &'static str,
        most: u32,
        patience: Patience,
        answers: AnswerLimits,
    ) -> Self {
        let places = Bound::new(name, open_files::connections(most));
        Self { listener, places, reserve: None, connections: Connections::new(name, patience, answers) }
    }

    /// Keeps `most` places more, for those whom everybody depends on ([`ConnectionState::keep`]): who comes when there is
    /// no other room takes one, and has the time for a head to prove to be one of those. If all of these are taken, the
    /// one that has proved nothing for longest is ended for the newcomer. `name` is their label in the metrics.
    pub fn with_reserve(mut self, name: &'static str, most: u32) -> Self {
        let (of_places, limit) = (self.places.fill().name, self.places.limit());
        let wanted = limit.saturating_add(most);
        let possible = open_files::connections(wanted);
        // Where the system has fewer, both give.
        let reserve = if possible < wanted { most.min(possible / 2) } else { most };
        self.places = Bound::new(of_places, possible - reserve);
        self.reserve = Some(Bound::new(name, reserve)).filter(|_| reserve > 0);
        self
    }

    /// The bound of the reserved places, if there are any.
    pub fn reserve(&self) -> Option<&Bound> {
        self.reserve.as_ref()
    }

    /// True if only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.listener.local_addr().is_ok_and(|addr| addr.ip().to_canonical().is_loopback())
    }

    /// The bound of the connections.
    pub fn places(&self) -> &Bound {
        &self.places
    }

    /// The connections that are open.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// The next connection. If there is no room, another one is ended for it, the idlest first; if there is none to end,
    /// the newcomer is closed at once, and counted.
    pub async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    if let Some(place) = self.place_for(peer).await {
                        return (self.connection(stream, peer, place, false), peer);
                    }
                    if let Some(place) = self.reserved_place().await {
                        return (self.connection(stream, peer, place, true), peer);
                    }
                    self.places.refuse();
                }
                // The peer went away before it was its turn.
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    let Fill { held, limit, .. } = self.places.fill();
                    tracing::error!(%error, held, limit, "a connection cannot be accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn place_for(&self, newcomer: SocketAddr) -> Option<Place> {
        if let Some(place) = self.places.try_enter(1) {
            return Some(place);
        }
        if !self.connections.make_room(newcomer) {
            return None;
        }
        timeout(HANDOVER, self.places.entered(1)).await.ok()
    }

    async fn reserved_place(&self) -> Option<Place> {
        let reserve = self.reserve.as_ref()?;
        if let Some(place) = reserve.try_enter(1) {
            return Some(place);
        }
        if !self.connections.make_reserved_room() {
            return None;
        }
        timeout(HANDOVER, reserve.entered(1)).await.ok()
    }

    fn connection(&self, stream: TcpStream, peer: SocketAddr, place: Place, is_reserved: bool) -> Connection {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
        Connection {
            stream,
            is_http1: false,
            blocked: None,
            taken: 0,
            registration: self.connections.register(peer, is_reserved),
            _place: place,
        }
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

impl Connection {
    /// What is known of it.
    pub fn state(&self) -> &Arc<ConnectionState> {
        &self.registration.0
    }

    pub(crate) fn patience(&self) -> Patience {
        self.state().patience()
    }

    /// What its peer speaks, by its first bytes, which stay to be read.
    ///
    /// # Errors
    /// If it is dismissed before they come, or breaks.
    pub async fn begins(&mut self) -> io::Result<Begin> {
        let mut first = [0; PREFACE.len()];
        let count = tokio::select! {
            count = self.stream.peek(&mut first) => count?,
            () = self.registration.0.dismissed() => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing was asked for"));
            }
        };
        let begin = begin_of(&first[..count]);
        self.is_http1 = begin == Begin::Http1;
        Ok(begin)
    }

    /// Ends the connection if its peer takes too little of what waits for it.
    fn watch(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => self.taken += *bytes as u64,
            Poll::Ready(Err(_)) => return written,
            Poll::Pending if self.blocked.is_none() => {
                self.taken = 0;
                self.blocked = Some(Box::pin(sleep(self.patience().idle)));
            }
            Poll::Pending => {}
        }
        let Some(blocked) = &mut self.blocked else { return written };
        if blocked.as_mut().poll(cx).is_ready() {
            self.blocked = None;
            if self.taken < self.patience().least_bytes() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer was not read")));
            }
            if written.is_pending() {
                return self.watch(written, cx);
            }
        }
        written
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
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if self.is_http1 {
            self.state().note_bytes();
        }
        Poll::Ready(Ok(()))
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
        // Whoever flushes has written all that there was: nothing waits for the peer now.
        self.blocked = None;
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
    };

    use super::{Begin, Connection, Door, PREFACE, begin_of};
    use crate::{AnswerLimits, ByteLimit, Patience};

    const IDLE: Duration = Duration::from_secs(30);

    async fn door(name: &'static str, most: u32) -> Door {
        let patience = Patience { idle: IDLE, head: Duration::from_secs(20), least_rate: 100 };
        let total = ByteLimit::new("test_door_answers", 1 << 20);
        let answers =
            AnswerLimits { total, per_connection: 1 << 10, per_connection_name: "test_door_answer" };
        Door::new(TcpListener::bind("127.0.0.1:0").await.unwrap(), name, most, patience, answers)
    }

    /// A connection from both ends.
    async fn connected(name: &'static str) -> (Door, TcpStream, Connection) {
        let mut door = door(name, 1).await;
        let client = TcpStream::connect(door.listener.local_addr().unwrap()).await.unwrap();
        let server = door.accept().await.0;
        (door, client, server)
    }

    #[tokio::test]
    async fn a_connection_beyond_the_limit_ends_the_idlest() {
        let mut door = door("test_door", 1).await;
        let addr = door.listener.local_addr().unwrap();
        let (_first, (mut held, _)) = (TcpStream::connect(addr).await.unwrap(), door.accept().await);
        let _second = TcpStream::connect(addr).await.unwrap();
        let bound = door.places().clone();
        let second = tokio::spawn(async move { door.accept().await });
        assert_eq!(held.begins().await.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(held);
        let _second = second.await.unwrap();
        assert_eq!(bound.held(), 1);
    }

    #[tokio::test]
    async fn a_connection_that_is_one_too_many_among_busy_ones_of_its_own_client_is_closed_at_once() {
        let mut door = door("test_full_door", 1).await;
        let addr = door.listener.local_addr().unwrap();
        let (_first, (held, _)) = (TcpStream::connect(addr).await.unwrap(), door.accept().await);
        let request = held.state().begin_request();
        let mut second = TcpStream::connect(addr).await.unwrap();
        let third = tokio::spawn(async move { door.accept().await });
        assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0, "closed");
        drop((request, held));
        let _third = TcpStream::connect(addr).await.unwrap();
        let _held = third.await.unwrap();
    }

    // Where time is paused, it jumps to the next timer whenever nobody has anything to do.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_sends_nothing_is_dismissed() {
        let (_door, _client, mut server) = connected("test_silent").await;
        assert_eq!(server.begins().await.unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_dismissed_once_it_is_idle_and_not_while_it_has_a_request() {
        let (_door, _client, server) = connected("test_idle").await;
        let began = tokio::time::Instant::now();
        let request = server.state().begin_request();
        tokio::time::sleep(IDLE * 3).await;
        drop(request);
        server.state().dismissed().await;
        assert!(began.elapsed() >= IDLE * 4, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_over_http_1_has_its_own_time_from_its_first_byte() {
        let (_door, mut client, mut server) = connected("test_head").await;
        tokio::time::sleep(IDLE / 2).await;
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        assert_eq!(server.begins().await.unwrap(), Begin::Http1);
        let began = tokio::time::Instant::now();
        server.read_exact(&mut [0; 16]).await.unwrap();
        server.state().dismissed().await;
        let took = began.elapsed();
        assert!((Duration::from_secs(20)..Duration::from_secs(22)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_bytes_tell_the_protocol_and_stay_to_be_read() {
        for (sent, begin) in
            [(PREFACE, Begin::Http2), (b"GET / HTTP/1.1\r\n", Begin::Http1), (&PREFACE[..5], Begin::Unclear)]
        {
            let (_door, mut client, mut server) = connected("test_begin").await;
            client.write_all(sent).await.unwrap();
            assert_eq!(server.begins().await.unwrap(), begin);
            let mut read = vec![0; sent.len()];
            server.read_exact(&mut read).await.unwrap();
            assert_eq!(read, sent);
        }
    }

    #[test]
    fn a_part_of_a_preface_may_become_either() {
        assert_eq!(begin_of(PREFACE), Begin::Http2);
        assert_eq!(begin_of(b"PRI * H"), Begin::Unclear);
        assert_eq!(begin_of(b"PRINT /"), Begin::Http1);
        assert_eq!(begin_of(b""), Begin::Http1, "the end");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_not_read_ends() {
        let (_door, _client, mut server) = connected("test_stalled").await;
        let error = loop {
            if let Err(error) = server.write_all(&[0; 65_536]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
