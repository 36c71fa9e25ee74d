//! Where connections come in: so many at once, and none that does nothing for long.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    AnswerLimits, Bound, Connection, Connections, Fill, Patience, Tls, bound::Place, closing, open_files,
    tls::Handshakes,
};

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
    tls: Option<FollowedTls>,
}

/// The TLS of a door, and the task that follows its files.
#[derive(Debug)]
struct FollowedTls {
    handshakes: Arc<Handshakes>,
    _following: AbortOnDropHandle<()>,
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
        let connections = Connections::new(name, patience, answers);
        Self { listener, places, reserve: None, connections, tls: None }
    }

    /// Speaks TLS with whoever connects, and follows the files that it takes; nothing changes without any. Has to be called
    /// within a runtime.
    pub fn with_tls(mut self, tls: Option<Tls>) -> Self {
        let listener = self.places.fill().name;
        self.tls = tls.map(|tls| FollowedTls {
            handshakes: Arc::new(Handshakes::new(tls.clone(), listener)),
            _following: AbortOnDropHandle::new(tokio::spawn(
                async move { match tls.follow(listener).await {} },
            )),
        });
        self
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

    /// True if it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Says, once, that what comes here can be read on the way, unless it comes over TLS or from this machine. `flag` is the
    /// setting of the address, and `what` would be read.
    pub fn warn_if_readable(&self, flag: &str, what: &str) {
        if self.tls.is_none()
            && !self.is_loopback()
            && let Ok(addr) = self.listener.local_addr()
        {
            tracing::warn!(
                %addr,
                "without TLS everybody on the way can read and change what is sent here: {what}. Set --tls-cert and \
                 --tls-key, or keep the network private, or set {flag} to a loopback address with a proxy before it that \
                 speaks TLS"
            );
        }
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

    /// Lets nobody new connect, if the system can do that. Whoever has begun to may still come.
    pub(crate) fn pass_over_newcomers(&self) {
        closing::pass_over_newcomers(&self.listener);
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
        let handshake = self.tls.as_ref().map(|tls| Arc::clone(&tls.handshakes));
        Connection::new(stream, self.connections.register(peer, is_reserved), place, handshake)
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, time::Duration};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::Door;
    use crate::{AnswerLimits, Begin, ByteLimit, Connection, Patience, connection::PREFACE};

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
        let (_first, (held, _)) = (TcpStream::connect(addr).await.unwrap(), door.accept().await);
        let _second = TcpStream::connect(addr).await.unwrap();
        let bound = door.places().clone();
        let second = tokio::spawn(async move { door.accept().await });
        assert_eq!(held.begins().await.unwrap_err().kind(), ErrorKind::TimedOut);
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
        let (_door, _client, server) = connected("test_silent").await;
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
        let (_door, mut client, server) = connected("test_head").await;
        tokio::time::sleep(IDLE / 2).await;
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let (begin, mut server) = server.begins().await.unwrap();
        assert_eq!(begin, Begin::Http1);
        let began = tokio::time::Instant::now();
        server.read_exact(&mut [0; 16]).await.unwrap();
        server.state().dismissed().await;
        let took = began.elapsed();
        assert!((Duration::from_secs(20)..Duration::from_secs(22)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slowed_down_is_read_later_but_not_much_later() {
        let (_door, mut client, mut server) = connected("test_slowed").await;
        client.write_all(b"one, two").await.unwrap();
        for (pauses, seconds) in [(&[2, 3][..], 5), (&[3_600, 3_600], 15)] {
            let began = tokio::time::Instant::now();
            pauses.iter().for_each(|pause| server.state().slow_down(Duration::from_secs(*pause)));
            server.read_exact(&mut [0; 3]).await.unwrap();
            assert_eq!(began.elapsed().as_secs(), seconds);
            // What comes after is not slower for it.
            server.read_exact(&mut [0; 1]).await.unwrap();
            assert_eq!(began.elapsed().as_secs(), seconds);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_bytes_tell_the_protocol_and_stay_to_be_read() {
        for (sent, begin) in
            [(PREFACE, Begin::Http2), (b"GET / HTTP/1.1\r\n", Begin::Http1), (&PREFACE[..5], Begin::Unclear)]
        {
            let (_door, mut client, server) = connected("test_begin").await;
            client.write_all(sent).await.unwrap();
            let (begun, mut server) = server.begins().await.unwrap();
            assert_eq!(begun, begin);
            let mut read = vec![0; sent.len()];
            server.read_exact(&mut read).await.unwrap();
            assert_eq!(read, sent);
        }
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
