//! One connection as its list knows it: whose it is, what it does, since when it does nothing, and what is to become of
//! it.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;

use super::{Patience, Registry, choice, patience::Waits};
use crate::ClientKey;

/// Shorter than the time for the answer to a ping: who is slowed down is not taken for dead.
const LONGEST_PAUSE_MS: u64 = 15_000;

/// What is known of one connection.
pub struct ConnectionState {
    id: u64,
    peer: SocketAddr,
    registry: Arc<Registry>,
    /// Requests that are being answered.
    requests: AtomicU32,
    /// Requests whose bodies are still on their way.
    bodies: AtomicU32,
    /// Bytes of answers on their way.
    pub(super) answer_bytes: AtomicU64,
    /// Since when nothing is asked for; milliseconds since the listener began.
    idle_since: AtomicU64,
    /// When the head that is on its way began, in the same measure; 0 if none is.
    head_since: AtomicU64,
    /// True once a request has come.
    asked: AtomicBool,
    kept: AtomicBool,
    /// Since when it stands in a reserved place without a proof, in the same measure; 0 if it does not.
    unproven_since: AtomicU64,
    shared: AtomicBool,
    trusted: AtomicBool,
    /// Nothing is read before this time, in the same measure; 0: at once.
    read_after: AtomicU64,
    /// Most streams over HTTP/2 that were reset before they were looked at; 0: what the library thinks right.
    resets: AtomicU32,
    fate: AtomicU8,
    waker: AtomicWaker,
}

/// What is to become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Fate {
    /// It goes on.
    Stay,
    /// It is to end once its requests are answered.
    Leave,
    /// It is to end now.
    End,
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenRequest(Arc<ConnectionState>);

/// A request whose body is still on its way, until it is dropped.
#[derive(Debug)]
#[must_use = "what is dropped at once is not counted"]
pub struct UnfinishedBody(Arc<ConnectionState>);

impl ConnectionState {
    /// A connection that was just taken in.
    pub(super) fn new(id: u64, peer: SocketAddr, registry: Arc<Registry>, is_reserved: bool) -> Self {
        let now = registry.now();
        Self {
            id,
            peer,
            registry,
            requests: AtomicU32::new(0),
            bodies: AtomicU32::new(0),
            answer_bytes: AtomicU64::new(0),
            idle_since: AtomicU64::new(now),
            head_since: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            kept: AtomicBool::new(false),
            unproven_since: AtomicU64::new(if is_reserved { now } else { 0 }),
            shared: AtomicBool::new(false),
            trusted: AtomicBool::new(false),
            read_after: AtomicU64::new(0),
            resets: AtomicU32::new(0),
            fate: AtomicU8::new(Fate::Stay as u8),
            waker: AtomicWaker::new(),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The address at the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn patience(&self) -> Patience {
        self.registry.patience
    }

    /// This connection is never ended in favour of a newcomer: it is one of those that everybody depends on.
    /// If it stands in a reserved place, that is its own from now on.
    pub fn keep(&self) {
        if self.kept.load(Ordering::Relaxed) {
            return;
        }
        self.kept.store(true, Ordering::Relaxed);
        self.unproven_since.store(0, Ordering::Relaxed);
        self.registry.open.lock().unproven.remove(&self.id);
    }

    /// Whoever speaks here does so for many, who give up what they asked for: so many streams over HTTP/2 may be reset
    /// before they were looked at, until the connection is ended. Has to be said before the first request.
    pub fn expect_resets(&self, most: u32) {
        self.resets.store(most, Ordering::Relaxed);
    }

    pub(crate) fn resets(&self) -> u32 {
        self.resets.load(Ordering::Relaxed)
    }

    /// Many clients come by this connection, as by a proxy's: its address says nothing of any of them.
    pub fn share(&self) {
        self.shared.store(true, Ordering::Relaxed);
    }

    /// Says whether whoever speaks here has proved to be no stranger. It holds until it is said again.
    pub fn trust(&self, is_trusted: bool) {
        self.trusted.store(is_trusted, Ordering::Relaxed);
    }

    /// True if whoever speaks here has proved to be no stranger.
    pub fn is_trusted(&self) -> bool {
        self.trusted.load(Ordering::Relaxed)
    }

    /// Reads nothing more for `pause`, added to what there is of an earlier one, at most 15 s in all. What was read already
    /// is answered meanwhile.
    pub fn slow_down(&self, pause: Duration) {
        let now = self.registry.now();
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).max(1);
        let later = |after: u64| Some(after.max(now).saturating_add(pause).min(now + LONGEST_PAUSE_MS));
        // Never refused: the function gives a value always.
        let _ = self.read_after.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }

    /// How long nothing is to be read from now on; `None`: it may be read.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let after = self.read_after.load(Ordering::Relaxed);
        if after == 0 {
            return None;
        }
        let left = after.saturating_sub(self.registry.now());
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// Counts a request whose body is still on its way, unless there are `most` of them.
    pub fn begin_body(self: &Arc<Self>, most: u32) -> Option<UnfinishedBody> {
        let fits = |bodies: u32| (bodies < most).then_some(bodies + 1);
        let counted = self.bodies.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        counted.is_ok().then(|| UnfinishedBody(Arc::clone(self)))
    }

    /// A request has come.
    pub(crate) fn begin_request(self: &Arc<Self>) -> OpenRequest {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.head_since.store(0, Ordering::Relaxed);
        self.asked.store(true, Ordering::Relaxed);
        OpenRequest(Arc::clone(self))
    }

    /// Bytes have come over HTTP/1: outside of a request they belong to the head of the next one.
    pub(crate) fn note_bytes(&self) {
        if self.requests.load(Ordering::Acquire) == 0 && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.registry.now(), Ordering::Relaxed);
        }
    }

    /// A handshake has begun. Until [`Self::end_handshake`] it has the time of a head.
    pub(crate) fn begin_handshake(&self) {
        self.head_since.store(self.registry.now(), Ordering::Relaxed);
    }

    /// The handshake is over: the connection is idle from now on.
    pub(crate) fn end_handshake(&self) {
        self.idle_since.store(self.registry.now(), Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
    }

    /// True once it has had a request.
    pub(super) fn has_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// True if it is to end with its next answer.
    pub(crate) fn retires(&self) -> bool {
        self.registry.retired.load(Ordering::Relaxed)
    }

    pub(crate) fn fate(&self) -> Fate {
        match self.fate.load(Ordering::Acquire) {
            0 => Fate::Stay,
            1 => Fate::Leave,
            _ => Fate::End,
        }
    }

    /// Its fate, and a wake-up of this task when that changes.
    pub(crate) fn poll_fate(&self, cx: &Context<'_>) -> Fate {
        self.waker.register(cx.waker());
        self.fate()
    }

    /// Returns once it is not to stay.
    pub(crate) async fn dismissed(&self) {
        let is_over = |cx: &mut Context<'_>| match self.poll_fate(cx) {
            Fate::Stay => Poll::Pending,
            Fate::Leave | Fate::End => Poll::Ready(()),
        };
        std::future::poll_fn(is_over).await;
    }

    pub(super) fn end(&self, fate: Fate) {
        if self.fate.fetch_max(fate as u8, Ordering::AcqRel) < fate as u8 {
            self.waker.wake();
        }
    }

    /// Since when it lets its listener wait.
    pub(super) fn waits(&self) -> Waits {
        let since = |time: &AtomicU64| Some(time.load(Ordering::Relaxed)).filter(|since| *since > 0);
        let is_idle = self.requests.load(Ordering::Acquire) == 0;
        Waits {
            unproven: since(&self.unproven_since),
            head: since(&self.head_since),
            idle: is_idle.then(|| self.idle_since.load(Ordering::Relaxed)),
        }
    }

    pub(super) fn seen(&self) -> choice::Seen {
        let is_idle = self.requests.load(Ordering::Acquire) == 0;
        choice::Seen {
            id: self.id,
            client: ClientKey::from(self.peer.ip()),
            idle_since: is_idle.then(|| self.idle_since.load(Ordering::Relaxed)),
            is_shared: self.shared.load(Ordering::Relaxed),
            may_end: !self.kept.load(Ordering::Relaxed)
                // Its place is of no use to those who have no reserved one.
                && self.unproven_since.load(Ordering::Relaxed) == 0
                && self.fate() != Fate::End,
        }
    }
}

impl OpenRequest {
    pub(crate) fn connection(&self) -> &Arc<ConnectionState> {
        &self.0
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        // Written before the count: whoever sees no request sees since when.
        self.0.idle_since.store(self.0.registry.now(), Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for UnfinishedBody {
    fn drop(&mut self) {
        self.0.bodies.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionState").field("peer", &self.peer).finish_non_exhaustive()
    }
}
