//! What the model holds against those who lose leases: the list of what each has lost in a row, told again for every question.

use super::{Holder, Millis, Model, Refusal, Status, Taker, TakerId};

impl Model {
    /// How many messages may be held by who has lost so much in a row: of `asked`, one, or none until a time.
    fn allowed(&self, holder: Holder, asked: usize) -> (usize, Option<Millis>) {
        let (mut one_since, mut paused_until, mut pauses) = (None::<Millis>, None::<Millis>, 0);
        for (number, (claimed, ended)) in (1..).zip(self.losses.get(&holder).into_iter().flatten()) {
            let pausing = paused_until.is_some_and(|until| until > *ended);
            if one_since.is_some_and(|since| *claimed >= since) && !pausing {
                paused_until = Some(ended + (30_000 << pauses).min(600_000));
                pauses += 1;
            } else if one_since.is_none() && number >= 3 {
                one_since = Some(*ended);
            }
        }
        match (paused_until.filter(|until| *until > self.now), one_since) {
            (Some(until), _) => (0, Some(until)),
            (None, Some(_)) => (asked.min(1), None),
            (None, None) => (asked, None),
        }
    }

    /// How many messages somebody may hold.
    fn may_hold(&self, worker: u8, session: Option<u8>, asked: usize) -> usize {
        let own = session.map_or(asked, |session| self.allowed(Holder::Session(session), asked).0);
        match session {
            Some(session) if self.proved.contains(&session) => own,
            _ => own.min(self.allowed(Holder::Worker(worker), asked).0),
        }
    }

    fn held_alone(&self, worker: u8) -> usize {
        let claims = self.leased().map(|claim| &self.claims[claim]);
        claims.filter(|claim| claim.session.is_none() && claim.worker == worker).count()
    }

    /// The claims that hold a message.
    fn leased(&self) -> impl Iterator<Item = usize> {
        let works = self.messages.iter().filter_map(|message| message.work.as_ref());
        works.filter(|work| work.lease.is_some()).filter_map(|work| work.claim)
    }

    pub(super) fn may_take(&self, id: TakerId) -> bool {
        let Taker { worker, session, room, .. } = self.takers[&id];
        let (held, asked) = match session {
            Some(session) => (self.of_session(session), room),
            None => (self.held_alone(worker), self.rules.max_worker_claims),
        };
        let holds_back = session.is_some_and(|session| self.holding_back.contains(&session));
        held < self.may_hold(worker, session, asked) && !self.is_superseded(id) && !holds_back
    }

    /// Whether a worker without a session may claim one more.
    pub(super) fn check_worker(&self, worker: u8) -> Result<(), Refusal> {
        let asked = self.rules.max_worker_claims;
        if self.held_alone(worker) < self.may_hold(worker, None, asked) {
            return Ok(());
        }
        let (_, paused) = self.allowed(Holder::Worker(worker), asked);
        Err(if paused.is_some() { Refusal::WorkerPaused } else { Refusal::TooManyClaims })
    }

    /// When each message that waits may be handed out again to who lost it last.
    pub(super) fn returns_at(&self, message: usize) -> Option<Millis> {
        let work = self.messages[message].work.as_ref().filter(|work| work.status == Status::Pending)?;
        let lease_ms = self.claims[work.claim?].lease_ms;
        Some(work.lost_at? + (lease_ms << (work.expiries - 1).min(10)).min(600_000))
    }

    pub(super) fn is_kept_from(&self, message: usize, taker: &Taker) -> bool {
        let Some(work) = &self.messages[message].work else { return false };
        let Some(claim) = work.claim.map(|claim| &self.claims[claim]) else { return false };
        let same = match (claim.session, taker.session) {
            (None, None) => claim.worker == taker.worker,
            (one, other) => one == other,
        };
        let untried = taker.session.is_none_or(|session| !self.proved.contains(&session));
        self.returns_at(message).is_some_and(|until| until > self.now)
            && (same || (claim.worker == taker.worker && work.expiries > 1 && untried))
    }

    pub(super) fn others_come_first(&self, message: usize, worker: u8) -> bool {
        let Some(work) = &self.messages[message].work else { return false };
        let lost_by = work.claim.filter(|_| work.lost_at.is_some()).map(|claim| self.claims[claim].worker);
        let answers = |taker: &Taker| taker.entities.is_empty() || taker.entities.contains(&work.entity);
        let others = self.takers.iter().filter(|(_, other)| other.worker != worker && answers(other));
        lost_by == Some(worker) && others.into_iter().any(|(id, _)| self.may_take(*id))
    }

    pub(super) fn note_loss(&mut self, claim: usize) {
        let (at, now) = (self.claims[claim].at, self.now);
        let (worker, session) = (self.claims[claim].worker, self.claims[claim].session);
        self.forget_sessions();
        self.losses.entry(Holder::Worker(worker)).or_default().push((at, now));
        if let Some(session) = session.filter(|session| self.is_here(*session)) {
            self.losses.entry(Holder::Session(session)).or_default().push((at, now));
        }
    }

    pub(super) fn note_result(&mut self, claim: usize) {
        self.losses.remove(&Holder::Worker(self.claims[claim].worker));
        if let Some(session) = self.claims[claim].session.filter(|session| self.is_here(*session)) {
            self.losses.remove(&Holder::Session(session));
            self.proved.insert(session);
        }
    }

    /// A session is here while it streams or holds something.
    fn is_here(&self, session: u8) -> bool {
        self.takers.values().any(|taker| taker.session == Some(session)) || self.of_session(session) > 0
    }

    /// Nothing is known of sessions that are gone.
    pub(super) fn forget_sessions(&mut self) {
        let gone: Vec<_> = (0..=9).filter(|session| !self.is_here(*session)).collect();
        for session in gone {
            self.losses.remove(&Holder::Session(session));
            self.proved.remove(&session);
        }
    }

    /// When pauses end.
    pub(super) fn pauses(&self) -> Vec<Millis> {
        self.losses.keys().filter_map(|holder| self.allowed(*holder, 1).1).collect()
    }

    /// The workers that are given less than they ask for: their names, losses in a row, and pauses.
    pub(in crate::domain::tests) fn held_back(&self) -> Vec<(u8, u32, Option<Millis>)> {
        let mut rows = Vec::new();
        for worker in 0..=9 {
            let theirs = self.losses.iter().filter(|(holder, _)| match holder {
                Holder::Worker(name) => *name == worker,
                // In the machine, a session has the number of its worker.
                Holder::Session(session) => *session == worker,
            });
            let judged = theirs.map(|(holder, lost)| (self.allowed(*holder, 2), lost.len() as u32));
            let held_back = judged.filter(|((allowed, _), _)| *allowed < 2);
            let worst = held_back.map(|((_, paused), lost)| (paused, lost)).max();
            rows.extend(worst.map(|(paused, lost)| (worker, lost, paused)));
        }
        rows
    }
}
