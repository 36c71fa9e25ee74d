//! Every open connection of one listener: whose it is, what it does, since when it does nothing, and who leaves when
//! there is no room for another one.
//!
//! One task looks after all of them, so that an idle connection costs no timer of its own. It never looks at what a
//! connection carries.

mod choice;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use metrics::Counter;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::{ByteLimit, ClientKey, Full, bound::refusals};
use choice::{Candidate, candidates};

/// How long a connection that was asked to leave may take, before it is closed.
const GRACE: Duration = Duration::from_secs(5);
/// The looks at all connections come so often within the shortest patience, but neither more often nor more rarely than
/// this.
const LOOKS: u32 = 8;
const OFTEN: Duration = Duration::from_millis(50);
const RARELY: Duration = Duration::from_secs(1);

/// How long a listener waits for its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a connection may be open without a request, and a peer may take nothing of an answer.
    pub idle: Duration,
    /// How long the head of a request may take from its first byte.
    pub head: Duration,
    /// Bytes a second that a peer has to take of an answer that waits for it, on average over `idle`.
    pub least_rate: u64,
}

impl Patience {
    /// Bytes that have to be taken within `idle` of what waits; at least one.
    pub(crate) fn least_bytes(&self) -> u64 {
        (self.idle.as_secs_f64() * self.least_rate as f64).ceil().max(1.0) as u64
    }
}

/// How many bytes of answers may be on their way.
#[derive(Debug, Clone)]
pub struct AnswerLimits {
    /// In all.
    pub total: ByteLimit,
    /// On one connection.
    pub per_connection: u64,
    /// The label of the latter in the metrics.
    pub per_connection_name: &'static str,
}

/// The connections of one listener; cheap to clone.
#[derive(Clone)]
pub struct Connections(Arc<Registry>);

struct Registry {
    patience: Patience,
    answers: AnswerLimits,
    answers_refused: Counter,
    began: Instant,
    ended: Ended,
    open: Mutex<Open>,
}

/// How often connections were ended, by why.
struct Ended {
    idle: Counter,
    head: Counter,
    crowded: Counter,
    unproven: Counter,
}

#[derive(Default)]
struct Open {
    next: u64,
    all: HashMap<u64, Arc<ConnectionState>>,
    /// Who leaves next for a newcomer.
    candidates: VecDeque<Candidate>,
    /// Those in reserved places that have proved nothing yet.
    unproven: BTreeSet<u64>,
}

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
    answer_bytes: AtomicU64,
    /// Since when nothing is asked for; milliseconds since the listener began.
    idle_since: AtomicU64,
    /// When the head that is on its way began, in the same measure; 0 if none is.
    head_since: AtomicU64,
    kept: AtomicBool,
    /// Since when it stands in a reserved place without a proof, in the same measure; 0 if it does not.
    unproven_since: AtomicU64,
    shared: AtomicBool,
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

/// Bytes of an answer on their way, of its connection and of all, until it is dropped.
#[derive(Debug)]
#[must_use = "what is dropped at once is not held"]
pub struct AnswerPermit {
    connection: Arc<ConnectionState>,
    bytes: u64,
}

/// The permit of an answer, as an extension of the response: its body holds it until the last byte is sent.
#[derive(Debug, Clone)]
pub struct HeldAnswer(pub Arc<AnswerPermit>);

/// A registered connection; it is forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Registration(pub(crate) Arc<ConnectionState>);

impl Connections {
    /// No connections, and a task that looks after those to come. `name` is the listener's label in the metrics.
    pub(crate) fn new(name: &'static str, patience: Patience, answers: AnswerLimits) -> Self {
        let ended = |why| {
            crate::recorder();
            metrics::counter!("repartee_connections_ended_total", "bound" => name, "why" => why)
        };
        let registry = Arc::new(Registry {
            patience,
            answers_refused: refusals(answers.per_connection_name),
            answers,
            began: Instant::now(),
            ended: Ended {
                idle: ended("idle"),
                head: ended("head"),
                crowded: ended("crowded"),
                unproven: ended("unproven"),
            },
            open: Mutex::default(),
        });
        tokio::spawn(look_after(Arc::downgrade(&registry)));
        Self(registry)
    }

    /// Takes a connection in. One in a reserved place has to prove within the time for a head that it is for those.
    pub(crate) fn register(&self, peer: SocketAddr, is_reserved: bool) -> Registration {
        let mut open = self.0.open.lock();
        open.next += 1;
        let state = Arc::new(ConnectionState {
            id: open.next,
            peer,
            registry: Arc::clone(&self.0),
            requests: AtomicU32::new(0),
            bodies: AtomicU32::new(0),
            answer_bytes: AtomicU64::new(0),
            idle_since: AtomicU64::new(self.0.now()),
            head_since: AtomicU64::new(0),
            kept: AtomicBool::new(false),
            unproven_since: AtomicU64::new(if is_reserved { self.0.now() } else { 0 }),
            shared: AtomicBool::new(false),
            resets: AtomicU32::new(0),
            fate: AtomicU8::new(Fate::Stay as u8),
            waker: AtomicWaker::new(),
        });
        open.all.insert(state.id, Arc::clone(&state));
        if is_reserved {
            open.unproven.insert(state.id);
        }
        Registration(state)
    }

    /// Ends one connection in favour of a newcomer: the one that has been idle for longest; if none is idle, one of the
    /// client with the most. False if it is the newcomer who has to go.
    pub(crate) fn make_room(&self, newcomer: SocketAddr) -> bool {
        let mut open = self.0.open.lock();
        // What was chosen at the last look may have changed since; then all are looked at once more.
        for fresh in [false, true] {
            if fresh {
                open.candidates = candidates(open.all.values().map(|state| state.seen()), newcomer.ip());
            }
            while let Some(candidate) = open.candidates.pop_front() {
                let state = open.all.get(&candidate.id);
                if let Some(state) = state.filter(|state| candidate.still_holds(&state.seen(), newcomer.ip()))
                {
                    self.0.ended.crowded.increment(1);
                    state.end(Fate::End);
                    return true;
                }
            }
        }
        false
    }

    /// Ends the connection that has stood for longest in a reserved place without a proof. False if there is none.
    pub(crate) fn make_reserved_room(&self) -> bool {
        let mut open = self.0.open.lock();
        while let Some(id) = open.unproven.pop_first() {
            if let Some(state) = open.all.get(&id).filter(|state| state.fate() != Fate::End) {
                self.0.ended.unproven.increment(1);
                state.end(Fate::End);
                return true;
            }
        }
        false
    }

    /// Every connection is to end once its requests are answered.
    pub(crate) fn dismiss(&self) {
        self.0.open.lock().all.values().for_each(|state| state.end(Fate::Leave));
    }

    /// How many connections a client has.
    pub fn of_client(&self, client: ClientKey) -> usize {
        self.0.open.lock().all.values().filter(|state| ClientKey::from(state.peer.ip()) == client).count()
    }

    /// The limits of answers on their way.
    pub fn answers(&self) -> &AnswerLimits {
        &self.0.answers
    }
}

/// Ends what does nothing, until the listener and its last connection are gone.
async fn look_after(registry: Weak<Registry>) {
    while let Some(registry) = registry.upgrade() {
        registry.look();
        let pause = registry.patience.idle.min(registry.patience.head) / LOOKS;
        drop(registry);
        sleep(pause.clamp(OFTEN, RARELY)).await;
    }
}

impl Registry {
    /// Milliseconds since the listener began, at least 1.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn look(&self) {
        let now = self.now();
        let waited = |since: u64| Duration::from_millis(now.saturating_sub(since));
        for state in self.open.lock().all.values() {
            let unproven = state.unproven_since.load(Ordering::Relaxed);
            if unproven > 0 && waited(unproven) >= self.patience.head {
                self.end(state, Fate::End, &self.ended.unproven);
            }
            if state.requests.load(Ordering::Acquire) > 0 {
                continue;
            }
            let head = state.head_since.load(Ordering::Relaxed);
            let idle = waited(state.idle_since.load(Ordering::Relaxed));
            if head > 0 && waited(head) >= self.patience.head {
                self.end(state, Fate::End, &self.ended.head);
            } else if head == 0 && idle >= self.patience.idle + GRACE {
                self.end(state, Fate::End, &self.ended.idle);
            } else if head == 0 && idle >= self.patience.idle {
                self.end(state, Fate::Leave, &self.ended.idle);
            }
        }
    }

    fn end(&self, state: &ConnectionState, fate: Fate, why: &Counter) {
        if state.fate() == Fate::Stay {
            why.increment(1);
        }
        state.end(fate);
    }
}

impl ConnectionState {
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

    /// Counts a request whose body is still on its way, unless there are `most` of them.
    pub fn begin_body(self: &Arc<Self>, most: u32) -> Option<UnfinishedBody> {
        let fits = |bodies: u32| (bodies < most).then_some(bodies + 1);
        let counted = self.bodies.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        counted.is_ok().then(|| UnfinishedBody(Arc::clone(self)))
    }

    /// Holds so many bytes for an answer that is about to be made.
    ///
    /// # Errors
    /// If too many are on their way, on this connection or in all; that is counted.
    pub fn take_answer(self: &Arc<Self>, bytes: u64) -> Result<AnswerPermit, Full> {
        let AnswerLimits { total, per_connection, .. } = &self.registry.answers;
        let held = self.answer_bytes.fetch_add(bytes, Ordering::Relaxed);
        let given_back = || self.answer_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if held.saturating_add(bytes) > *per_connection && held > 0 {
            given_back();
            return Err(self.refuse_answer(held));
        }
        match total.grow(bytes) {
            Ok(()) => Ok(AnswerPermit { connection: Arc::clone(self), bytes }),
            Err(full) => {
                given_back();
                Err(full)
            }
        }
    }

    /// Counts bytes of an answer that is there already.
    pub(crate) fn count_answer(self: &Arc<Self>, bytes: u64) -> AnswerPermit {
        self.answer_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.registry.answers.total.add(bytes);
        AnswerPermit { connection: Arc::clone(self), bytes }
    }

    fn refuse_answer(&self, held: u64) -> Full {
        self.registry.answers_refused.increment(1);
        let AnswerLimits { per_connection, per_connection_name, .. } = &self.registry.answers;
        let small = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
        Full { name: per_connection_name, held: small(held), limit: small(*per_connection) }
    }

    /// A request has come.
    pub(crate) fn begin_request(self: &Arc<Self>) -> OpenRequest {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.head_since.store(0, Ordering::Relaxed);
        OpenRequest(Arc::clone(self))
    }

    /// Bytes have come over HTTP/1: outside of a request they belong to the head of the next one.
    pub(crate) fn note_bytes(&self) {
        if self.requests.load(Ordering::Acquire) == 0 && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.registry.now(), Ordering::Relaxed);
        }
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

    fn end(&self, fate: Fate) {
        if self.fate.fetch_max(fate as u8, Ordering::AcqRel) < fate as u8 {
            self.waker.wake();
        }
    }

    fn seen(&self) -> choice::Seen {
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

impl Drop for AnswerPermit {
    fn drop(&mut self) {
        self.connection.answer_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.connection.registry.answers.total.give_back(self.bytes);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut open = self.0.registry.open.lock();
        open.all.remove(&self.0.id);
        open.unproven.remove(&self.0.id);
    }
}

impl OpenRequest {
    pub(crate) fn connection(&self) -> &Arc<ConnectionState> {
        &self.0
    }
}

impl fmt::Debug for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionState").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("patience", &self.0.patience).finish_non_exhaustive()
    }
}
