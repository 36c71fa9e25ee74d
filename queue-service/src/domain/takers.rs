//! Who takes work: streams in mode LEASE, and claims that wait.
//!
//! All of it lives in memory: a taker is gone with its connection. A session outlives its streams as long as it holds
//! leases, so that a worker that reconnects gets back what it was working on.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound::{Excluded, Unbounded},
};

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

/// One session of a worker, or what a worker holds without one, as statistics show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Name of the worker.
    pub worker_id: String,
    /// The session; empty for the claims of a worker that were made without one.
    pub session_id: String,
    /// Its open streams.
    pub streams: usize,
    /// The leases that it holds.
    pub leases: usize,
    /// When it claimed last; of what it held at a restart, when that was.
    pub last_claim_at: Option<Millis>,
    /// When it renewed last.
    pub last_renew_at: Option<Millis>,
}

/// A position in the list of sessions: first come those with an id, in the order of their ids, then the workers that hold
/// something without one, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionsAfter {
    /// Before all.
    Start,
    /// Behind the session with this id.
    Session(String),
    /// Behind the worker with this name.
    Worker(String),
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
    last_claim_at: Option<Millis>,
    last_renew_at: Option<Millis>,
}

impl Session {
    fn is_gone(&self) -> bool {
        self.streams.is_empty() && self.leases.is_empty()
    }

    fn view(&self, session_id: &str) -> SessionView {
        SessionView {
            worker_id: self.worker_id.clone(),
            session_id: session_id.to_owned(),
            streams: self.streams.len(),
            leases: self.leases.len(),
            last_claim_at: self.last_claim_at,
            last_renew_at: self.last_renew_at,
        }
    }
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
    pub(super) sessions: BTreeMap<String, Session>,
    /// What workers hold without a session, by their names: to be shown only, nothing is decided by it.
    alone: BTreeMap<String, Session>,
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
        for id in session.streams.clone() {
            let has_room = self.seats.get(&id).is_some_and(|seat| self.has_room(seat));
            self.set_hungry(id, has_room);
        }
    }

    /// Notes whether a taker may take more.
    fn set_hungry(&mut self, id: TakerId, is_hungry: bool) {
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

    /// Those among whom the holder of a claim is, and its name there.
    fn holders<'a>(&mut self, claim: &'a Claim) -> (&mut BTreeMap<String, Session>, &'a String) {
        match &claim.session_id {
            Some(session_id) => (&mut self.sessions, session_id),
            None => (&mut self.alone, &claim.worker_id),
        }
    }

    pub(super) fn open_lease(&mut self, claim: &Claim, posted: u64) {
        let (holders, name) = self.holders(claim);
        let holder = holders.entry(name.clone()).or_default();
        holder.worker_id.clone_from(&claim.worker_id);
        holder.leases.insert(posted);
        holder.last_claim_at = holder.last_claim_at.max(Some(claim.at));
        if let Some(session_id) = &claim.session_id {
            self.recount(session_id);
        }
    }

    pub(super) fn close_lease(&mut self, claim: Option<&Claim>, posted: u64) {
        let Some(claim) = claim else { return };
        let (holders, name) = self.holders(claim);
        if let Some(holder) = holders.get_mut(name) {
            holder.leases.remove(&posted);
            if holder.is_gone() {
                holders.remove(name);
            }
        }
        if let Some(session_id) = &claim.session_id {
            self.recount(session_id);
        }
    }

    pub(super) fn note_renewal(&mut self, claim: &Claim, now: Millis) {
        let (holders, name) = self.holders(claim);
        if let Some(holder) = holders.get_mut(name) {
            holder.last_renew_at = Some(now);
        }
    }

    /// After a restart nobody has been heard of, and nobody is silent yet.
    pub(super) fn begin_again(&mut self, now: Millis) {
        for holder in self.sessions.values_mut().chain(self.alone.values_mut()) {
            holder.last_claim_at = Some(now);
        }
    }

    fn forget_if_gone(&mut self, session_id: &str) {
        if self.sessions.get(session_id).is_some_and(Session::is_gone) {
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
        self.seats.insert(id, Seat { taker, held: BTreeSet::new(), superseded: false });
        self.set_hungry(id, true);
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
        self.set_hungry(id, false);
        let seat = self.seats.remove(&id)?;
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

    /// How many [`Self::views`] there are from the start on.
    pub(super) fn count(&self) -> usize {
        self.sessions.len() + self.alone.len()
    }

    pub(super) fn views<'a>(
        &'a self,
        after: &'a SessionsAfter,
    ) -> impl Iterator<Item = (SessionsAfter, SessionView)> + 'a {
        let (of_sessions, of_workers) = match after {
            SessionsAfter::Start => (Some(Unbounded), Unbounded),
            SessionsAfter::Session(id) => (Some(Excluded(id.as_str())), Unbounded),
            SessionsAfter::Worker(name) => (None, Excluded(name.as_str())),
        };
        let sessions = of_sessions.map(|from| self.sessions.range::<str, _>((from, Unbounded)));
        let sessions = sessions.into_iter().flatten();
        let sessions = sessions.map(|(id, session)| (SessionsAfter::Session(id.clone()), session.view(id)));
        let alone = self.alone.range::<str, _>((of_workers, Unbounded));
        sessions.chain(alone.map(|(name, alone)| (SessionsAfter::Worker(name.clone()), alone.view(""))))
    }
}
