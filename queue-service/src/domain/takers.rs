//! Who takes work: streams in mode LEASE, and claims that wait. Both take from the same index, in turn.
//!
//! All of it lives in memory: a taker is gone with its connection. A session outlives its streams as long as it holds
//! leases, so that a worker that reconnects gets back what it was working on.

use std::collections::{BTreeMap, BTreeSet};

use super::{At, Claim, ClaimBy, LeaseRef, Leased, Millis, Queue, Record};

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

    /// The lease in an event that nobody will see.
    pub fn unseen_lease(&self) -> Option<LeaseRef> {
        match self {
            Self::Work(_, leased) => {
                let id = leased.record.content.id;
                Some(LeaseRef { id, token: Some(leased.token), worker_id: String::new() })
            }
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
struct Seat {
    taker: Taker,
    held: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct Session {
    worker_id: String,
    streams: BTreeSet<TakerId>,
    leases: BTreeSet<u64>,
    last_renew_at: Option<Millis>,
}

/// All takers.
#[derive(Debug, Default)]
pub(super) struct Takers {
    seats: BTreeMap<TakerId, Seat>,
    /// Takers that may take more.
    hungry: BTreeSet<TakerId>,
    last_served: TakerId,
    deadlines: BTreeSet<(Millis, TakerId)>,
    sessions: BTreeMap<String, Session>,
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
    fn has_room(&self, taker: &Taker) -> bool {
        let session = taker.by.session_id.as_ref().and_then(|id| self.sessions.get(id));
        session.is_none_or(|session| session.leases.len() < taker.max_in_flight)
    }

    /// Notes which streams of a session may take more.
    fn recount(&mut self, session_id: &str) {
        let Some(session) = self.sessions.get(session_id) else { return };
        for id in &session.streams {
            let Some(seat) = self.seats.get(id) else { continue };
            if session.leases.len() < seat.taker.max_in_flight {
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

    fn add(&mut self, id: TakerId, taker: Taker) {
        if let Some(until) = taker.until {
            self.deadlines.insert((until, id));
        }
        if let Some(session_id) = &taker.by.session_id {
            let session = self.sessions.entry(session_id.clone()).or_default();
            session.worker_id.clone_from(&taker.by.worker_id);
            session.streams.insert(id);
        }
        if self.has_room(&taker) {
            self.hungry.insert(id);
        }
        self.seats.insert(id, Seat { taker, held: BTreeSet::new() });
    }

    fn remove(&mut self, id: TakerId) -> Option<Seat> {
        let seat = self.seats.remove(&id)?;
        self.hungry.remove(&id);
        if let Some(until) = seat.taker.until {
            self.deadlines.remove(&(until, id));
        }
        if let Some(session_id) = &seat.taker.by.session_id {
            if let Some(session) = self.sessions.get_mut(session_id) {
                session.streams.remove(&id);
            }
            self.forget_if_gone(session_id);
        }
        Some(seat)
    }

    /// The hungry takers, the one after the last served first.
    fn in_turn(&self) -> Vec<TakerId> {
        let (after, before) =
            (self.hungry.range(self.last_served + 1..), self.hungry.range(..=self.last_served));
        after.chain(before).copied().collect()
    }
}

impl Queue {
    /// Lets a taker take work from now on. What its session holds and no other stream of it has is sent again, with
    /// the same token and a fresh lease.
    pub fn join(&mut self, id: TakerId, taker: Taker, now: Millis) {
        let session_id = taker.by.session_id.clone();
        self.takers.add(id, taker);
        if let Some(session_id) = session_id {
            self.adopt(&session_id, id, now);
        }
    }

    /// A taker is gone. Where it was the last stream of its session, the session's leases are cut short.
    pub fn part(&mut self, id: TakerId, now: Millis) {
        let Some(seat) = self.takers.remove(id) else { return };
        for posted in seat.held {
            self.set_taker(posted, None);
            if seat.taker.by.session_id.is_some() {
                self.cut_lease(posted, now);
            }
        }
        let Some(session_id) = seat.taker.by.session_id else { return };
        let newest =
            self.takers.sessions.get(&session_id).and_then(|session| session.streams.last()).copied();
        if let Some(other) = newest {
            self.adopt(&session_id, other, now);
        }
    }

    /// Hands out what is offered to those who have room, in turn, until nobody can take more.
    pub fn dispatch(&mut self, at: &mut At<'_>) {
        let mut served = true;
        while served && !self.lines.is_empty() {
            served = false;
            for id in self.takers.in_turn() {
                served |= self.serve(id, at);
            }
        }
    }

    /// The sessions that stream or hold leases, in the order of their ids.
    pub fn sessions(&self) -> Vec<SessionView> {
        let view = |(session_id, session): (&String, &Session)| SessionView {
            worker_id: session.worker_id.clone(),
            session_id: session_id.clone(),
            streams: session.streams.len(),
            leases: session.leases.len(),
            last_renew_at: session.last_renew_at,
        };
        self.takers.sessions.iter().map(view).collect()
    }

    fn serve(&mut self, id: TakerId, at: &mut At<'_>) -> bool {
        let Some(seat) = self.takers.seats.get(&id).filter(|seat| self.takers.has_room(&seat.taker)) else {
            return false;
        };
        let Some(record) = self.lines.first(&seat.taker.entities).and_then(|posted| self.live(posted)) else {
            return false;
        };
        let (record, by, once) = (record.record.clone(), seat.taker.by.clone(), seat.taker.until.is_some());
        let leased = self.claimed(record, &by, at);
        if once {
            self.takers.remove(id);
        } else {
            self.set_taker(leased.record.content.posted, Some(id));
        }
        self.takers.last_served = id;
        self.events.push(Event::Work(id, Box::new(leased)));
        true
    }

    /// Gives the leases of a session that count against no stream to one of its streams.
    fn adopt(&mut self, session_id: &str, id: TakerId, now: Millis) {
        let Some(session) = self.takers.sessions.get(session_id) else { return };
        for posted in session.leases.clone() {
            let orphan = self.live(posted).filter(|l| l.term.as_ref().is_some_and(|t| t.taker.is_none()));
            let Some(record) = orphan.map(|live| live.record.clone()) else { continue };
            self.set_taker(posted, Some(id));
            self.welcome_back(posted, now);
            if let Some(leased) = self.leased(record) {
                self.events.push(Event::Work(id, Box::new(leased)));
            }
        }
    }

    fn leased(&self, record: Record) -> Option<Leased> {
        let token = record.state.work.as_ref()?.claim.as_ref()?.token;
        let ends = self.live(record.content.posted)?.term.as_ref()?.ends;
        Some(Leased { record, token, ends })
    }

    /// Tells the stream that holds a message that it needs no answer any more.
    pub(super) fn tell_holder(&mut self, record: &Record) {
        let term = self.live(record.content.posted).and_then(|live| live.term.as_ref());
        if let Some(taker) = term.and_then(|term| term.taker) {
            self.events.push(Event::Cancelled(taker, record.content.id));
        }
    }

    /// Sends claims away that waited long enough.
    pub(super) fn dismiss_waiting(&mut self, now: Millis) {
        while let Some((_, id)) = self.takers.deadlines.first().copied().filter(|(until, _)| *until <= now) {
            self.takers.remove(id);
            self.events.push(Event::Nothing(id));
        }
    }
}
