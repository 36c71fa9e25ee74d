//! The sessions of workers, and what workers hold without one. A session outlives its streams as long as it holds leases, so
//! that a worker that reconnects gets back what it was working on.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
};

use super::{Seat, Taker, TakerId, Takers};
use crate::domain::{Claim, Millis, OwnName, trust::Trust};

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
    /// Why it takes nothing for now, in its own words.
    pub holds_back: Option<String>,
}

/// A position in the list of sessions: first come those with an id, in the order of their ids, then the workers that hold
/// something without one, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionsAfter {
    /// Before all.
    Start,
    /// Behind the session with this id.
    Session(OwnName),
    /// Behind the worker with this name.
    Worker(OwnName),
}

#[derive(Debug, Default)]
pub(in crate::domain) struct Session {
    pub(in crate::domain) worker: Option<OwnName>,
    pub(in crate::domain) streams: BTreeSet<TakerId>,
    pub(in crate::domain) leases: BTreeSet<u64>,
    last_claim_at: Option<Millis>,
    last_renew_at: Option<Millis>,
    pub(in crate::domain) trust: Trust,
    /// True once it has brought a result.
    pub(in crate::domain) is_proved: bool,
    pub(in crate::domain) holds_back: Option<String>,
}

impl Session {
    fn is_gone(&self) -> bool {
        self.streams.is_empty() && self.leases.is_empty()
    }

    fn view(&self, session_id: &str) -> SessionView {
        SessionView {
            worker_id: self.worker.as_ref().map_or_else(String::new, |worker| worker.name.clone()),
            session_id: session_id.to_owned(),
            streams: self.streams.len(),
            leases: self.leases.len(),
            last_claim_at: self.last_claim_at,
            last_renew_at: self.last_renew_at,
            holds_back: self.holds_back.clone(),
        }
    }
}

impl Takers {
    /// Gives a session nothing more until it opens a stream anew.
    pub(in crate::domain) fn hold_back(&mut self, session: &OwnName, why: String) {
        if let Some(held) = self.sessions.get_mut(session) {
            held.holds_back = Some(why);
            self.recount(session);
        }
    }

    /// Notes which streams of a session may take more.
    pub(in crate::domain) fn recount(&mut self, session_name: &OwnName) {
        let Some(session) = self.sessions.get(session_name) else { return };
        for id in session.streams.clone() {
            let has_room = self.seats.get(&id).is_some_and(|seat| self.has_room(seat));
            self.set_hungry(id, has_room);
        }
    }

    /// Those among whom the holder of a claim is, and its name there.
    fn holders<'a>(&mut self, claim: &'a Claim) -> (&mut BTreeMap<OwnName, Session>, &'a OwnName) {
        match &claim.session {
            Some(session_name) => (&mut self.sessions, session_name),
            None => (&mut self.alone, &claim.worker),
        }
    }

    pub(in crate::domain) fn open_lease(&mut self, claim: &Claim, posted: u64) {
        let (holders, name) = self.holders(claim);
        let holder = holders.entry(name.clone()).or_default();
        holder.worker = Some(claim.worker.clone());
        holder.leases.insert(posted);
        holder.last_claim_at = holder.last_claim_at.max(Some(claim.at));
        match &claim.session {
            Some(session_name) => self.recount(session_name),
            None => self.recount_alone(&claim.worker),
        }
    }

    pub(in crate::domain) fn close_lease(&mut self, claim: Option<&Claim>, posted: u64) {
        let Some(claim) = claim else { return };
        let (holders, name) = self.holders(claim);
        if let Some(holder) = holders.get_mut(name) {
            holder.leases.remove(&posted);
            if holder.is_gone() {
                let gone = holders.remove(name);
                if let (Some(gone), Some(session_name)) = (gone, &claim.session) {
                    self.workers.session_gone(session_name, gone.trust);
                }
            }
        }
        match &claim.session {
            Some(session_name) => self.recount(session_name),
            None => self.recount_alone(&claim.worker),
        }
    }

    pub(in crate::domain) fn note_renewal(&mut self, claim: &Claim, now: Millis) {
        let (holders, name) = self.holders(claim);
        if let Some(holder) = holders.get_mut(name) {
            holder.last_renew_at = Some(now);
        }
    }

    /// After a restart nobody has been heard of, and nobody is silent yet.
    pub(in crate::domain) fn begin_again(&mut self, now: Millis) {
        for holder in self.sessions.values_mut().chain(self.alone.values_mut()) {
            holder.last_claim_at = Some(now);
        }
    }

    pub(super) fn forget_if_gone(&mut self, session_name: &OwnName) {
        if self.sessions.get(session_name).is_some_and(Session::is_gone)
            && let Some(gone) = self.sessions.remove(session_name)
        {
            self.workers.session_gone(session_name, gone.trust);
        }
    }

    pub(super) fn enter_session(&mut self, session_name: &OwnName, id: TakerId, taker: &Taker) -> Vec<u64> {
        let session = self.sessions.entry(session_name.clone()).or_default();
        session.worker = Some(taker.by.worker.clone());
        session.holds_back.clone_from(&taker.holds_back);
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

    pub(super) fn leave_session(&mut self, session_name: &OwnName, id: TakerId, seat: &Seat) {
        let Some(session) = self.sessions.get_mut(session_name) else { return };
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

    /// How many [`Self::views`] there are from the start on.
    pub(in crate::domain) fn count(&self) -> usize {
        self.sessions.len() + self.alone.len()
    }

    pub(in crate::domain) fn views<'a>(
        &'a self,
        after: &'a SessionsAfter,
    ) -> impl Iterator<Item = (SessionsAfter, SessionView)> + 'a {
        let (of_sessions, of_workers) = match after {
            SessionsAfter::Start => (Some(Unbounded), Unbounded),
            SessionsAfter::Session(id) => (Some(Excluded(id)), Unbounded),
            SessionsAfter::Worker(name) => (None, Excluded(name)),
        };
        let sessions = of_sessions.map(|from| self.sessions.range::<OwnName, _>((from, Unbounded)));
        let sessions = sessions.into_iter().flatten();
        let sessions =
            sessions.map(|(id, session)| (SessionsAfter::Session(id.clone()), session.view(&id.name)));
        let alone = self.alone.range::<OwnName, _>((of_workers, Unbounded));
        sessions.chain(alone.map(|(name, alone)| (SessionsAfter::Worker(name.clone()), alone.view(""))))
    }
}
