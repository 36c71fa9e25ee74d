//! Every open connection of one listener: whose it is, what it does, since when it does nothing, and who leaves when
//! there is no room for another one.
//!
//! One task looks after all of them, so that an idle connection costs no timer of its own. It never looks at what a
//! connection carries.

mod answers;
mod choice;
mod patience;
mod state;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use metrics::Counter;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::bound::refusals;
use choice::{Candidate, candidates};
use patience::{Verdict, Why, look_after};

pub use answers::{AnswerLimits, AnswerPermit, HeldAnswer};
pub use patience::Patience;
pub use state::{ConnectionState, UnfinishedBody};
pub(crate) use state::{Fate, OpenRequest};

/// The connections of one listener; cheap to clone.
#[derive(Clone)]
pub struct Connections(Arc<Registry>);

struct Registry {
    patience: Patience,
    answers: AnswerLimits,
    answers_refused: Counter,
    began: Instant,
    ended: Ended,
    /// True once no connection is to stay for another request.
    retired: AtomicBool,
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

/// A registered connection; it is forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Registration(pub(crate) Arc<ConnectionState>);

impl Connections {
    /// No connections, and a task that looks after those to come. `name` is the listener's label in the metrics.
    pub(crate) fn new(name: &'static str, patience: Patience, answers: AnswerLimits) -> Self {
        let ended = |why| {
            crate::start_metrics();
            metrics::counter!("repartee_connections_ended_total", "bound" => name, "why" => why)
        };
        let registry = Arc::new(Registry {
            patience,
            answers_refused: refusals(answers.per_connection_name),
            answers,
            began: Instant::now(),
            retired: AtomicBool::new(false),
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
        let state = Arc::new(ConnectionState::new(open.next, peer, Arc::clone(&self.0), is_reserved));
        open.all.insert(state.id(), Arc::clone(&state));
        if is_reserved {
            open.unproven.insert(state.id());
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

    /// Every connection over HTTP/1, present or to come, is to end with its next answer, which says so. None that is idle is
    /// closed for it: a request may be on its way there.
    pub(crate) fn retire(&self) {
        self.0.retired.store(true, Ordering::Relaxed);
    }

    /// Every connection is to end once its requests are answered.
    pub(crate) fn dismiss(&self) {
        self.0.open.lock().all.values().for_each(|state| state.end(Fate::Leave));
    }

    /// The same for those that have had a request. The first one of the others may be on its way.
    pub(crate) fn dismiss_served(&self) {
        let open = self.0.open.lock();
        open.all.values().filter(|state| state.has_asked()).for_each(|state| state.end(Fate::Leave));
    }

    /// The limits of answers on their way.
    pub fn answers(&self) -> &AnswerLimits {
        &self.0.answers
    }
}

impl Registry {
    /// Milliseconds since the listener began, at least 1.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Looks at every connection once.
    fn look(&self) {
        let now = self.now();
        for state in self.open.lock().all.values() {
            let Some(Verdict { fate, why }) = self.patience.judge(&state.waits(), now) else { continue };
            if state.fate() == Fate::Stay {
                self.ended.because(why).increment(1);
            }
            state.end(fate);
        }
    }
}

impl Ended {
    fn because(&self, why: Why) -> &Counter {
        match why {
            Why::Idle => &self.idle,
            Why::Head => &self.head,
            Why::Unproven => &self.unproven,
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut open = self.0.registry().open.lock();
        open.all.remove(&self.0.id());
        open.unproven.remove(&self.0.id());
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("patience", &self.0.patience).finish_non_exhaustive()
    }
}
