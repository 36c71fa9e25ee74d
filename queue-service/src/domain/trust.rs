//! Who loses leases, and what that costs them: first a worker gets one message at a time, then it pauses.
//!
//! A lease that ends without a result counts against the worker that lost it, and only in a row: any result, also a reported
//! failure, begins anew. It is counted twice, by session and by the worker's name; names of both kinds count for one token
//! only, so that nobody's losses fall on the workers of another token that call themselves the same. A session that has brought a result
//! is judged by itself, so that of several processes with one name a sound one does not pay for another; a session that has
//! brought none yet is judged by its name too, so that a process that is killed again and again is known. All of it lives in
//! memory: a restart begins anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Claim, ClaimBy, Millis, OwnName, Queue, Rejection, TakerId, takers::Takers};

/// Leases in a row after whose loss a worker gets one message at a time.
const LOST_IN_A_ROW: u32 = 3;
/// How long a worker pauses that loses one more; each further time twice as long.
const PAUSE_MS: Millis = 30_000;
/// Longest pause: 10 min.
const LONGEST_PAUSE_MS: Millis = 600_000;
/// Workers of which losses are remembered by name; beyond that, those whose last loss is longest ago are forgotten.
const REMEMBERED: usize = 10_000;

/// How much may be given to a worker that loses leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Allowed {
    Nothing,
    One,
    AsAsked,
}

/// What is known against a worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Trust {
    /// Leases that it lost in a row.
    lost: u32,
    /// Since when it gets one message at a time.
    one_since: Option<Millis>,
    /// Until when it gets nothing.
    paused_until: Option<Millis>,
    pauses: u32,
}

impl Trust {
    fn allowed(&self) -> Allowed {
        match (self.paused_until, self.one_since) {
            (Some(_), _) => Allowed::Nothing,
            (None, Some(_)) => Allowed::One,
            (None, None) => Allowed::AsAsked,
        }
    }

    /// A claim that was made at `claimed` has lost its lease now. What was claimed before the worker got one message at a time
    /// does not make it pause: a process that dies loses all that it holds at once.
    fn lose(&mut self, claimed: Millis, now: Millis) {
        self.lost = self.lost.saturating_add(1);
        match self.one_since {
            Some(since) if claimed >= since && self.paused_until.is_none() => {
                let span = PAUSE_MS.saturating_mul(1 << self.pauses.min(10)).min(LONGEST_PAUSE_MS);
                self.pauses += 1;
                self.paused_until = Some(now.saturating_add(span));
            }
            Some(_) => {}
            None if self.lost >= LOST_IN_A_ROW => self.one_since = Some(now),
            None => {}
        }
    }
}

/// Whose trust it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    Session(OwnName),
    Worker(OwnName),
}

/// What is known against workers by their names, and who pauses.
#[derive(Debug, Default)]
pub(super) struct Workers {
    named: BTreeMap<OwnName, Known>,
    by_last_loss: BTreeSet<(Millis, OwnName)>,
    resuming: BTreeSet<(Millis, Holder)>,
    /// Everybody who takes work, by the worker's name.
    takers: HashMap<OwnName, BTreeSet<TakerId>>,
}

#[derive(Debug)]
struct Known {
    trust: Trust,
    last_loss: Millis,
}

/// A worker that is given less than it asks for, as statistics show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    /// Name of the worker.
    pub worker_id: String,
    /// Leases that it lost in a row.
    pub lost: u32,
    /// Until when it gets nothing, in service time; none while it gets one message at a time.
    pub paused_until: Option<Millis>,
}

impl Workers {
    pub(super) fn enter(&mut self, worker: &OwnName, id: TakerId) {
        self.takers.entry(worker.clone()).or_default().insert(id);
    }

    pub(super) fn leave(&mut self, worker: &OwnName, id: TakerId) {
        if let Some(takers) = self.takers.get_mut(worker) {
            takers.remove(&id);
            if takers.is_empty() {
                self.takers.remove(worker);
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.resuming.first().map(|(until, _)| *until)
    }

    fn trust(&self, worker: &OwnName) -> Trust {
        self.named.get(worker).map(|known| known.trust).unwrap_or_default()
    }

    /// Returns whether anything was known.
    fn forget(&mut self, worker: &OwnName) -> bool {
        let Some(known) = self.named.remove(worker) else { return false };
        self.by_last_loss.remove(&(known.last_loss, worker.clone()));
        self.set_pause(Holder::Worker(worker.clone()), known.trust.paused_until, None);
        true
    }

    fn set_pause(&mut self, holder: Holder, before: Option<Millis>, after: Option<Millis>) {
        if let Some(until) = before {
            self.resuming.remove(&(until, holder.clone()));
        }
        self.resuming.extend(after.map(|until| (until, holder)));
    }

    /// A session is gone, and what was known against it.
    pub(super) fn session_gone(&mut self, session: &OwnName, trust: Trust) {
        self.set_pause(Holder::Session(session.clone()), trust.paused_until, None);
    }

    /// Returns whom it has forgotten for want of room.
    fn lose(&mut self, worker: &OwnName, claimed: Millis, now: Millis) -> Option<OwnName> {
        let mut trust = self.trust(worker);
        self.forget(worker);
        trust.lose(claimed, now);
        self.named.insert(worker.clone(), Known { trust, last_loss: now });
        self.by_last_loss.insert((now, worker.clone()));
        self.set_pause(Holder::Worker(worker.clone()), None, trust.paused_until);
        if self.named.len() <= REMEMBERED {
            return None;
        }
        let (_, oldest) = self.by_last_loss.first().cloned()?;
        self.forget(&oldest);
        Some(oldest)
    }
}

impl Takers {
    /// How many messages somebody may hold who wants to hold `asked`, and a worker without a session, who says no number.
    fn allowed(&self, by: &ClaimBy, asked: usize) -> usize {
        let session = by.session.as_ref().and_then(|id| self.sessions.get(id));
        let own = session.map_or(Allowed::AsAsked, |session| session.trust.allowed());
        let named = match session {
            Some(session) if session.is_proved => Allowed::AsAsked,
            _ => self.workers.trust(&by.worker).allowed(),
        };
        match own.min(named) {
            Allowed::Nothing => 0,
            Allowed::One => asked.min(1),
            Allowed::AsAsked => asked,
        }
    }

    /// True if somebody who takes work may hold one more, and does not hold back by itself; what counts is what its whole session holds, or all that its worker
    /// holds without a session.
    pub(super) fn may_hold_more(&self, by: &ClaimBy, asked: usize) -> bool {
        let held = match &by.session {
            Some(session_id) => self.sessions.get(session_id),
            None => self.alone.get(&by.worker),
        };
        if held.is_some_and(|holder| holder.holds_back.is_some()) {
            return false;
        }
        held.map_or(0, |holder| holder.leases.len()) < self.allowed(by, asked)
    }

    /// Notes which takers of a worker may take more.
    fn recount_worker(&mut self, worker: &OwnName) {
        for id in self.workers.takers.get(worker).cloned().unwrap_or_default() {
            let may_take = self.seats.get(&id).is_some_and(|seat| self.has_room(seat));
            self.set_hungry(id, may_take);
        }
    }

    /// A lease has ended without a result; its claim was made at `claimed`, in service time.
    pub(super) fn note_loss(&mut self, claim: &Claim, claimed: Millis, now: Millis) {
        if let Some(session_id) = &claim.session
            && let Some(session) = self.sessions.get_mut(session_id)
        {
            let before = session.trust.paused_until;
            session.trust.lose(claimed, now);
            let after = session.trust.paused_until;
            self.workers.set_pause(Holder::Session(session_id.clone()), before, after);
        }
        let forgotten = self.workers.lose(&claim.worker, claimed, now);
        self.recount_worker(&claim.worker);
        if let Some(forgotten) = forgotten {
            self.recount_worker(&forgotten);
        }
    }

    /// A worker has brought a result, and be it a failure: nothing is held against it any more.
    pub(super) fn note_result(&mut self, claim: &Claim) {
        let mut changed = self.workers.forget(&claim.worker);
        if let Some(session_id) = &claim.session
            && let Some(session) = self.sessions.get_mut(session_id)
        {
            let trust = std::mem::take(&mut session.trust);
            changed |= trust != Trust::default() || !session.is_proved;
            session.is_proved = true;
            self.workers.session_gone(session_id, trust);
        }
        if changed {
            self.recount_worker(&claim.worker);
        }
    }

    /// True if a session has brought a result; a worker without a session proves nothing.
    pub(super) fn is_proved(&self, by: &ClaimBy) -> bool {
        let session = by.session.as_ref().and_then(|id| self.sessions.get(id));
        session.is_some_and(|session| session.is_proved)
    }

    /// What a worker holds without a session has changed: notes whether its claims that wait may take more, if that can be
    /// different now.
    pub(super) fn recount_alone(&mut self, worker: &OwnName) {
        let held = self.alone.get(worker).map_or(0, |holder| holder.leases.len());
        if held + 1 >= self.max_worker_claims || self.workers.named.contains_key(worker) {
            self.recount_worker(worker);
        }
    }

    /// Ends the pauses that are over.
    pub(super) fn resume_workers(&mut self, now: Millis) {
        while self.workers.resuming.first().is_some_and(|(until, _)| *until <= now) {
            let Some((until, holder)) = self.workers.resuming.pop_first() else { return };
            let (trust, worker) = match holder {
                Holder::Session(id) => {
                    let Some(session) = self.sessions.get_mut(&id) else { continue };
                    (&mut session.trust, session.worker.clone())
                }
                Holder::Worker(name) => {
                    let Some(known) = self.workers.named.get_mut(&name) else { continue };
                    (&mut known.trust, Some(name))
                }
            };
            if trust.paused_until == Some(until) {
                trust.paused_until = None;
                if let Some(worker) = worker {
                    self.recount_worker(&worker);
                }
            }
        }
    }

    /// The workers that are given less than they ask for, by their names; each with the worst that is
    /// known of it or of one of its sessions.
    fn held_back(&self) -> Vec<HeldBack> {
        let named = self.workers.named.iter().map(|(worker, known)| (worker.name.as_str(), known.trust));
        let sessions = self.sessions.values();
        let sessions =
            sessions.filter_map(|session| Some((session.worker.as_ref()?.name.as_str(), session.trust)));
        let mut worst = BTreeMap::<&str, Trust>::new();
        for (worker_id, trust) in named.chain(sessions) {
            if trust.allowed() < Allowed::AsAsked {
                let known = worst.entry(worker_id).or_insert(trust);
                if (trust.paused_until, trust.lost) > (known.paused_until, known.lost) {
                    *known = trust;
                }
            }
        }
        let view = |(worker_id, Trust { lost, paused_until, .. }): (&str, Trust)| HeldBack {
            worker_id: worker_id.to_owned(),
            lost,
            paused_until,
        };
        worst.into_iter().map(view).collect()
    }
}

impl Queue {
    /// Checks that a worker without a session may claim one more now.
    ///
    /// # Errors
    /// `WorkerPaused`, `TooManyClaims`.
    pub(super) fn check_worker(&self, by: &ClaimBy, now: Millis) -> Result<(), Rejection> {
        let limit = self.rules.max_worker_claims;
        if by.session.is_some() || self.takers.may_hold_more(by, limit) {
            return Ok(());
        }
        let (worker_id, trust) = (by.worker.name.clone(), self.takers.workers.trust(&by.worker));
        Err(match trust.paused_until {
            Some(until) => Rejection::WorkerPaused {
                worker_id,
                lost: trust.lost,
                retry_after_ms: until.saturating_sub(now).max(1),
            },
            None => Rejection::TooManyClaims {
                worker_id,
                limit: self.takers.allowed(by, limit),
                lost: trust.lost,
            },
        })
    }

    /// The workers that are given less than they ask for, because their leases end without results.
    pub fn held_back(&self) -> Vec<HeldBack> {
        self.takers.held_back()
    }
}
