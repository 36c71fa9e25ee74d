//! Who takes work: streams in mode LEASE, and claims that wait.
//!
//! All of it lives in memory: a taker is gone with its connection. A session outlives its streams as long as it holds
//! leases, so that a worker that reconnects gets back what it was working on.

use std::collections::{BTreeMap, BTreeSet};

use super::{Claim, ClaimBy, LeaseRef, Leased, Millis};

/// Names a taker within one process.
pub type TakerId = u64;

/// Somebody who takes work.
#[derive(Debug, Clone)]
pub struct Taker {
    /// Whose claims these are.
    pub by: ClaimBy,
    /// The entities that it answers; all where empty.
    pub entities: Vec<String>,
    /// How many unfinished messages its session may hold.
    pub max_in_flight: usize,
    /// A claim that waits: it takes one message, or none once this time has come.
    pub until: Option<Millis>,
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
}

impl Event {
    /// Who is to be told.
    pub fn taker(&self) -> TakerId {
        match self {
            Self::Work(id, _) | Self::Cancelled(id, _) | Self::Nothing(id) => *id,
        }
    }

    /// True where the taker is told nothing more: it was a claim that waited.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Work(_, leased) => leased.session_id().is_none(),
            Self::Nothing(_) => true,
            Self::Cancelled(..) => false,
        }
    }

    /// The lease in an event that nobody will see, where nobody can be working on it: it may be given back at once. One
    /// that its session has had before runs out by itself.
    pub fn unseen_lease(&self) -> Option<LeaseRef> {
        match self {
            Self::Work(_, leased) if leased.again => None,
            Self::Work(_, leased) => Some(leased.lease()),
            Self::Cancelled(..) | Self::Nothing(_) => None,
        }
    }
}

/// One session of a worker, as statistics show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Name of the worker.
    pub worker_id: String,
    /// The session.
    pub session_id: String,
    /// Its open streams.
    pub streams: usize,
    /// The leases that it holds.
    pub leases: usize,
    /// When it renewed last.
    pub last_renew_at: Option<Millis>,
}

#[derive(Debug)]
pub(super) struct Seat {
    pub(super) taker: Taker,
    /// The messages that were sent to it and are unfinished.
    pub(super) held: BTreeSet<u64>,
    /// True where its session has opened the same stream again: this one is given nothing more, it may be dead.
    superseded: bool,
}

#[derive(Debug, Default)]
pub(super) struct Session {
    worker_id: String,
    pub(super) streams: BTreeSet<TakerId>,
    pub(super) leases: BTreeSet<u64>,
    last_renew_at: Option<Millis>,
}

/// All takers.
#[derive(Debug, Default)]
pub(super) struct Takers {
    pub(super) seats: BTreeMap<TakerId, Seat>,
    /// Takers that may take more.
    hungry: BTreeSet<TakerId>,
    pub(super) last_served: TakerId,
    pub(super) deadlines: BTreeSet<(Millis, TakerId)>,
    pub(super) sessions: BTreeMap<String, Session>,
}

impl Takers {
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first().map(|(until, _)| *until)
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

    /// True where a taker may take one more: what counts is what its whole session holds.
    pub(super) fn has_room(&self, seat: &Seat) -> bool {
        let session = seat.taker.by.session_id.as_ref().and_then(|id| self.sessions.get(id));
        !seat.superseded && session.is_none_or(|session| session.leases.len() < seat.taker.max_in_flight)
    }

    /// Notes which streams of a session may take more.
    fn recount(&mut self, session_id: &str) {
        let Some(session) = self.sessions.get(session_id) else { return };
        for id in &session.streams {
            if self.seats.get(id).is_some_and(|seat| self.has_room(seat)) {
                self.hungry.insert(*id);
            } else {
                self.hungry.remove(id);
            }
        }
    }

    pub(super) fn open_lease(&mut self, claim: &Claim, posted: u64) {
        if let Some(session_id) = &claim.session_id {
            let session = self.sessions.entry(session_id.clone()).or_default();
            session.worker_id.clone_from(&claim.worker_id);
            session.leases.insert(posted);
            self.recount(session_id);
        }
    }

    pub(super) fn close_lease(&mut self, claim: Option<&Claim>, posted: u64) {
        let Some(session_id) = claim.and_then(|claim| claim.session_id.as_ref()) else { return };
        if let Some(session) = self.sessions.get_mut(session_id) {
            session.leases.remove(&posted);
            self.recount(session_id);
            self.forget_if_gone(session_id);
        }
    }

    pub(super) fn note_renewal(&mut self, claim: &Claim, now: Millis) {
        if let Some(session) = claim.session_id.as_ref().and_then(|id| self.sessions.get_mut(id)) {
            session.last_renew_at = Some(now);
        }
    }

    fn forget_if_gone(&mut self, session_id: &str) {
        if self.sessions.get(session_id).is_some_and(|s| s.streams.is_empty() && s.leases.is_empty()) {
            self.sessions.remove(session_id);
        }
    }

    /// Seats a taker. Returns what streams hold that it supersedes.
    pub(super) fn add(&mut self, id: TakerId, taker: Taker) -> Vec<u64> {
        if let Some(until) = taker.until {
            self.deadlines.insert((until, id));
        }
        let session_id = taker.by.session_id.clone();
        let superseded = session_id.as_ref().map(|session_id| self.enter_session(session_id, id, &taker));
        self.hungry.insert(id);
        self.seats.insert(id, Seat { taker, held: BTreeSet::new(), superseded: false });
        if let Some(session_id) = &session_id {
            self.recount(session_id);
        }
        superseded.unwrap_or_default()
    }

    fn enter_session(&mut self, session_id: &str, id: TakerId, taker: &Taker) -> Vec<u64> {
        let session = self.sessions.entry(session_id.to_owned()).or_default();
        session.worker_id.clone_from(&taker.by.worker_id);
        let mut held = Vec::new();
        for older in &session.streams {
            if let Some(seat) = self.seats.get_mut(older).filter(|seat| seat.taker.entities == taker.entities)
            {
                seat.superseded = true;
                held.extend(seat.held.iter().copied());
            }
        }
        session.streams.insert(id);
        held
    }

    /// Takes a seat away. Where it had superseded another stream, the newest such takes work again.
    pub(super) fn remove(&mut self, id: TakerId) -> Option<Seat> {
        let seat = self.seats.remove(&id)?;
        self.hungry.remove(&id);
        if let Some(until) = seat.taker.until {
            self.deadlines.remove(&(until, id));
        }
        if let Some(session_id) = &seat.taker.by.session_id {
            self.leave_session(session_id, id, &seat);
            self.recount(session_id);
            self.forget_if_gone(session_id);
        }
        Some(seat)
    }

    fn leave_session(&mut self, session_id: &str, id: TakerId, seat: &Seat) {
        let Some(session) = self.sessions.get_mut(session_id) else { return };
        session.streams.remove(&id);
        if seat.superseded {
            return;
        }
        for older in session.streams.iter().rev() {
            if let Some(older) = self.seats.get_mut(older).filter(|s| s.taker.entities == seat.taker.entities)
            {
                older.superseded = false;
                return;
            }
        }
    }

    /// The hungry takers, the one after the last served first.
    pub(super) fn in_turn(&self) -> Vec<TakerId> {
        let (after, before) =
            (self.hungry.range(self.last_served + 1..), self.hungry.range(..=self.last_served));
        after.chain(before).copied().collect()
    }

    pub(super) fn views(&self) -> Vec<SessionView> {
        let view = |(session_id, session): (&String, &Session)| SessionView {
            worker_id: session.worker_id.clone(),
            session_id: session_id.clone(),
            streams: session.streams.len(),
            leases: session.leases.len(),
            last_renew_at: session.last_renew_at,
        };
        self.sessions.iter().map(view).collect()
    }
}
