//! What time does to the model, and what comes and goes with connections and processes.

use super::super::world::worker_name;
use super::{Lease, Millis, Model, Status, Taker, TakerId, Told};

/// Longest lease until its first renew, and the least that a session or a restart leaves of one.
const SHORT_MS: Millis = 10_000;
/// No claim outlives this.
const LIMIT_MS: Millis = 15 * 60 * 1_000;

impl Model {
    pub(super) fn advance(&mut self) {
        while let Some((_, _, message)) = self.running().into_iter().min().filter(|l| l.0 <= self.now) {
            self.end_lease(message);
        }
        self.give_up_expired();
        self.blocked.retain(|_, until| *until > self.now);
        while let Some((until, taker)) = self.waits().into_iter().min()
            && until <= self.now
        {
            self.takers.remove(&taker);
            self.told.push(Told::Nothing { taker });
        }
    }

    pub(super) fn give_up_expired(&mut self) {
        while let Some((_, _, message)) = self.ends().into_iter().min().filter(|e| e.0 <= self.now) {
            super::decide::give_up(self.work(message), "expired");
            self.changed(message);
        }
    }

    fn end_lease(&mut self, message: usize) {
        let (max, now) = (self.rules.max_expiries, self.now);
        let claim = self.work(message).claim.expect("a lease is of a claim");
        let worker = worker_name(self.claims[claim].worker);
        let work = self.work(message);
        (work.lease, work.lost_at) = (None, Some(now));
        work.expiries += 1;
        if work.lost_by == [worker.clone()] {
            work.uncounted += 1;
        } else if !work.lost_by.contains(&worker) {
            work.lost_by.push(worker);
            work.lost_by.truncate(2);
        }
        if work.expiries >= max && work.lost_by.len() == 2 {
            let error = format!("{} leases ended without a result", work.expiries);
            super::decide::give_up(work, &error);
            self.changed(message);
        } else {
            self.put_back(message);
        }
        self.note_loss(claim);
    }

    /// When what waits is to be given up, its number and its message.
    fn ends(&self) -> Vec<(Millis, u64, usize)> {
        let end = |(at, message): (usize, &super::Message)| {
            let work = message.work.as_ref().filter(|work| work.status == Status::Pending)?;
            Some((work.expires_at?, message.posted, at))
        };
        self.messages.iter().enumerate().filter_map(end).collect()
    }

    /// End, number and message of every lease that is running.
    fn running(&self) -> Vec<(Millis, u64, usize)> {
        let lease = |(at, message): (usize, &super::Message)| {
            Some((message.work.as_ref()?.lease?.ends, message.posted, at))
        };
        self.messages.iter().enumerate().filter_map(lease).collect()
    }

    fn waits(&self) -> Vec<(Millis, TakerId)> {
        self.takers.iter().filter_map(|(id, taker)| Some((taker.until?, *id))).collect()
    }

    /// The first moment at which something happens by itself.
    pub(in crate::domain::tests) fn next_deadline(&self) -> Option<Millis> {
        let leases = self.running().into_iter().map(|(ends, ..)| ends);
        let retries = self.messages.iter().filter_map(|message| {
            let work = message.work.as_ref().filter(|work| work.status == Status::Pending)?;
            work.not_before.filter(|due| *due > self.now)
        });
        let ends = self.ends().into_iter().map(|(end, ..)| end);
        let returns = (0..self.messages.len()).filter_map(|message| self.returns_at(message));
        let returns = returns.filter(|due| *due > self.now);
        let buckets = [0, 1].into_iter().filter_map(|entity| self.reopens(entity));
        leases
            .chain(retries)
            .chain(ends)
            .chain(buckets)
            .chain(returns)
            .chain(self.pauses())
            .chain(self.blocked.values().copied())
            .chain(self.waits().into_iter().map(|(until, _)| until))
            .min()
    }

    pub(super) fn join(&mut self, taker: Taker) {
        self.joined += 1;
        let (id, session) = (self.joined, taker.session);
        let older = |(_, other): &(&TakerId, &Taker)| {
            session.is_some() && other.session == session && other.entities == taker.entities
        };
        let superseded = self.takers.iter().filter(older).map(|(id, _)| *id);
        let theirs: Vec<_> = superseded.flat_map(|older| self.holds(older)).collect();
        for message in theirs {
            if let Some(lease) = &mut self.work(message).lease {
                lease.taker = None;
            }
        }
        self.takers.insert(id, taker);
        self.holding_back.retain(|other| Some(*other) != session);
        self.adopt(session, true);
    }

    pub(super) fn part(&mut self, id: TakerId) {
        let held = self.holds(id);
        let Some(taker) = self.takers.remove(&id) else { return };
        let latest = self.now + SHORT_MS;
        for message in held {
            if let Some(lease) = &mut self.work(message).lease {
                *lease = Lease { ends: lease.ends.min(latest), taker: None };
            }
        }
        self.adopt(taker.session, false);
        self.forget_sessions();
    }

    /// Gives the leases of a session that no stream of it has to its newest stream; extended where it came back.
    fn adopt(&mut self, session: Option<u8>, came_back: bool) {
        let of_session = |(_, taker): &(&TakerId, &Taker)| session.is_some() && taker.session == session;
        let Some((&id, _)) = self.takers.iter().rfind(of_session) else { return };
        for message in 0..self.messages.len() {
            let Some(work) = &self.messages[message].work else { continue };
            let (Some(claim), Some(Lease { ends, taker: None })) = (work.claim, work.lease) else { continue };
            if self.claims[claim].session != session {
                continue;
            }
            let ends = if came_back { ends.max(self.full_end(claim)) } else { ends };
            self.work(message).lease = Some(Lease { ends, taker: Some(id) });
            self.told.push(Told::Work { taker: id, claim, ends });
        }
    }

    /// Where the lease of a claim ends that is extended now.
    fn full_end(&self, claim: usize) -> Millis {
        let claim = &self.claims[claim];
        (self.now + claim.lease_ms).min(claim.at + LIMIT_MS)
    }

    /// The process ends and starts again: connections are gone, and every lease gets a fresh grace.
    pub(in crate::domain::tests) fn restart(&mut self) {
        self.outcomes.clear();
        self.told.clear();
        self.takers.clear();
        self.losses.clear();
        self.proved.clear();
        self.holding_back.clear();
        self.last_served = 0;
        self.before_start = self.claims.len();
        for message in 0..self.messages.len() {
            let Some(work) = &self.messages[message].work else { continue };
            if let (Some(claim), Some(_)) = (work.claim, work.lease) {
                let least = self.now + SHORT_MS.min(self.claims[claim].lease_ms);
                let ends = self.full_end(claim).max(least);
                self.work(message).lease = Some(Lease { ends, taker: None });
            }
        }
    }

    pub(super) fn renewed(&mut self, message: usize, lease_ms: Option<Millis>) -> Millis {
        let now = self.now;
        let claim = self.work(message).claim.expect("held work is claimed");
        let Self { claims, .. } = self;
        let ends = (now + lease_ms.unwrap_or(claims[claim].lease_ms)).min(claims[claim].at + LIMIT_MS);
        if let Some(lease) = &mut self.work(message).lease {
            lease.ends = ends;
        }
        ends
    }
}
