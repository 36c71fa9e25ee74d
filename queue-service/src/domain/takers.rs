//! Who takes work: streams in mode LEASE, and claims that wait.
//!
//! All of it lives in memory: a taker is gone with its connection; what its session holds is not ([`sessions`]).

mod sessions;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{ClaimBy, LeaseRef, Leased, Millis, OwnName, Rejection, trust::Workers};

pub(super) use sessions::Session;
pub use sessions::{SessionView, SessionsAfter};

/// Names a taker within one process.
pub type TakerId = u64;

/// Somebody who takes work.
#[derive(Debug, Clone)]
pub struct Taker {
    /// Whose claims these are.
    pub by: ClaimBy,
    /// The entities that it answers; all where empty.
    pub entities: Vec<String>,
    /// How many unfinished messages its session may hold, or its worker without one.
    pub max_in_flight: usize,
    /// A claim that waits: it takes one message, or none once this time has come.
    pub until: Option<Millis>,
    /// Why its session takes nothing for now, if it says so.
    pub holds_back: Option<String>,
}

/// What a taker is to be told after the commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A message was claimed for it, or it gets back one that its session holds.
    Work(TakerId, Box<Leased>),
    /// A message that it holds needs no answer any more.
    Cancelled(TakerId, uuid::Uuid),
    /// It waited long enough.
    Nothing(TakerId),
    /// A claim that waits is refused: its worker may not claim more now.
    Refused(TakerId, Rejection),
}

impl Event {
    /// Who is to be told.
    pub fn taker(&self) -> TakerId {
        match self {
            Self::Work(id, _) | Self::Cancelled(id, _) | Self::Nothing(id) | Self::Refused(id, _) => *id,
        }
    }

    /// True where the taker is told nothing more: it was a claim that waited.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Work(_, leased) => leased.session().is_none(),
            Self::Nothing(_) | Self::Refused(..) => true,
            Self::Cancelled(..) => false,
        }
    }

    /// The lease in an event that nobody will see, where nobody can be working on it: it may be given back at once. One
    /// that its session has had before runs out by itself.
    pub fn unseen_lease(&self) -> Option<LeaseRef> {
        match self {
            Self::Work(_, leased) if leased.again => None,
            Self::Work(_, leased) => Some(leased.lease()),
            Self::Cancelled(..) | Self::Nothing(_) | Self::Refused(..) => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Seat {
    pub(super) taker: Taker,
    /// The messages that were sent to it and are unfinished.
    pub(super) held: BTreeSet<u64>,
    /// True where its session has opened the same stream again: this one is given nothing more, it may be dead.
    superseded: bool,
}

/// All takers.
#[derive(Debug, Default)]
pub(super) struct Takers {
    pub(super) seats: BTreeMap<TakerId, Seat>,
    /// Takers that may take more.
    hungry: BTreeSet<TakerId>,
    /// How many of them answer each entity.
    hungry_for: HashMap<String, usize>,
    /// How many of them answer all.
    hungry_for_all: usize,
    pub(super) last_served: TakerId,
    pub(super) deadlines: BTreeSet<(Millis, TakerId)>,
    pub(super) sessions: BTreeMap<OwnName, Session>,
    /// What workers hold without a session, by their names.
    pub(super) alone: BTreeMap<OwnName, Session>,
    /// How many messages a worker may hold without a session.
    pub(super) max_worker_claims: usize,
    pub(super) workers: Workers,
}

impl Takers {
    pub(super) fn new(max_worker_claims: usize) -> Self {
        Self { max_worker_claims, ..Self::default() }
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        let waiting = self.deadlines.first().map(|(until, _)| *until);
        waiting.into_iter().chain(self.workers.next_deadline()).min()
    }

    pub(super) fn hold(&mut self, taker: Option<TakerId>, posted: u64) {
        if let Some(seat) = taker.and_then(|id| self.seats.get_mut(&id)) {
            seat.held.insert(posted);
        }
    }

    pub(super) fn unhold(&mut self, taker: Option<TakerId>, posted: u64) {
        if let Some(seat) = taker.and_then(|id| self.seats.get_mut(&id)) {
            seat.held.remove(&posted);
        }
    }

    /// True where a taker may take one more.
    pub(super) fn has_room(&self, seat: &Seat) -> bool {
        !seat.superseded && self.may_hold_more(&seat.taker.by, seat.taker.max_in_flight)
    }

    /// True if somebody of another worker may take more of this entity.
    pub(super) fn has_others(&self, worker: &OwnName, entity: &str) -> bool {
        let answers = |taker: &Taker| {
            taker.by.worker != *worker
                && (taker.entities.is_empty() || taker.entities.iter().any(|answered| answered == entity))
        };
        self.hungry.iter().filter_map(|id| self.seats.get(id)).any(|seat| answers(&seat.taker))
    }

    /// Notes whether a taker may take more.
    pub(super) fn set_hungry(&mut self, id: TakerId, is_hungry: bool) {
        let changed = if is_hungry { self.hungry.insert(id) } else { self.hungry.remove(&id) };
        let Some(seat) = self.seats.get(&id).filter(|_| changed) else { return };
        let entities = &seat.taker.entities;
        if entities.is_empty() {
            self.hungry_for_all = if is_hungry { self.hungry_for_all + 1 } else { self.hungry_for_all - 1 };
        }
        for entity in entities {
            let takers = self.hungry_for.get(entity).copied().unwrap_or(0);
            match if is_hungry { takers + 1 } else { takers.saturating_sub(1) } {
                0 => drop(self.hungry_for.remove(entity)),
                takers => match self.hungry_for.get_mut(entity) {
                    Some(of) => *of = takers,
                    None => drop(self.hungry_for.insert(entity.clone(), takers)),
                },
            }
        }
    }

    /// True where a taker may take more of one of these entities. Costs as much as the shorter of both lists is long: what
    /// is offered to nobody does not make each commit ask everybody.
    pub(super) fn is_hungry_for<T>(&self, offered: &HashMap<String, T>) -> bool {
        if self.hungry_for_all > 0 {
            return !offered.is_empty();
        }
        if offered.len() < self.hungry_for.len() {
            offered.keys().any(|entity| self.hungry_for.contains_key(entity))
        } else {
            self.hungry_for.keys().any(|entity| offered.contains_key(entity))
        }
    }

    /// Seats a taker. Returns what streams hold that it supersedes.
    pub(super) fn add(&mut self, id: TakerId, taker: Taker) -> Vec<u64> {
        if let Some(until) = taker.until {
            self.deadlines.insert((until, id));
        }
        let session_name = taker.by.session.clone();
        let superseded =
            session_name.as_ref().map(|session_name| self.enter_session(session_name, id, &taker));
        self.workers.enter(&taker.by.worker, id);
        let seat = Seat { taker, held: BTreeSet::new(), superseded: false };
        let may_take = self.has_room(&seat);
        self.seats.insert(id, seat);
        self.set_hungry(id, may_take);
        if let Some(session_name) = &session_name {
            self.recount(session_name);
        }
        superseded.unwrap_or_default()
    }

    /// Takes a seat away. Where it had superseded another stream, the newest such takes work again.
    pub(super) fn remove(&mut self, id: TakerId) -> Option<Seat> {
        self.set_hungry(id, false);
        let seat = self.seats.remove(&id)?;
        self.workers.leave(&seat.taker.by.worker, id);
        if let Some(until) = seat.taker.until {
            self.deadlines.remove(&(until, id));
        }
        if let Some(session_name) = &seat.taker.by.session {
            self.leave_session(session_name, id, &seat);
            self.recount(session_name);
            self.forget_if_gone(session_name);
        }
        Some(seat)
    }

    /// The hungry takers, the one after the last served first.
    pub(super) fn in_turn(&self) -> Vec<TakerId> {
        let (after, before) =
            (self.hungry.range(self.last_served + 1..), self.hungry.range(..=self.last_served));
        after.chain(before).copied().collect()
    }
}
