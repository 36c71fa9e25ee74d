//! Handing out work: streams and claims that wait take from the same index, in turn.

use super::{
    At, ClaimBy, Event, Leased, Millis, OwnName, Queue, Record, SessionView, SessionsAfter, Taker, TakerId,
    queue::entity,
};

impl Queue {
    /// Lets a taker take work from now on. What its session holds and no other stream of it has is sent again, with
    /// the same token and a fresh lease. A stream that its session opens again supersedes the older one, which may be
    /// dead without anybody having noticed: what that one holds is sent again too. A claim that waits is refused at once if
    /// its worker may not claim more.
    pub fn join(&mut self, id: TakerId, mut taker: Taker, now: Millis) {
        if taker.until.is_some() {
            if let Err(refusal) = self.check_worker(&taker.by, now) {
                self.events.push(Event::Refused(id, refusal));
                return;
            }
            taker.max_in_flight = self.rules.max_worker_claims;
        }
        let session = taker.by.session.clone();
        for posted in self.takers.add(id, taker) {
            self.set_taker(posted, None);
        }
        if let Some(session) = session {
            self.adopt(&session, id, Some(now));
        }
    }

    /// A taker is gone. Where it was the last stream of its session, the session's leases are cut short.
    pub fn part(&mut self, id: TakerId, now: Millis) {
        let Some(seat) = self.takers.remove(id) else { return };
        for posted in seat.held {
            self.set_taker(posted, None);
            if seat.taker.by.session.is_some() {
                self.cut_lease(posted, now);
            }
        }
        let Some(session) = seat.taker.by.session else { return };
        let newest = self.takers.sessions.get(&session).and_then(|session| session.streams.last()).copied();
        if let Some(other) = newest {
            // Nobody came back: the other stream may be as dead, so the leases stay as short as they are.
            self.adopt(&session, other, None);
        }
    }

    /// Hands out what is offered to those who have room, in turn, until nobody can take more.
    pub fn dispatch(&mut self, at: &mut At<'_>) {
        // What was given back in this group may have expired meanwhile.
        self.give_up_expired(at.now);
        if self.expired(at.now).is_some() {
            // More expires than one commit takes: the next one comes at once.
            return;
        }
        let mut served = true;
        while served && self.takers.is_hungry_for(self.lines.offered()) {
            served = false;
            for id in self.takers.in_turn() {
                if self.lines.is_empty() {
                    return;
                }
                served |= self.serve(id, at);
            }
        }
    }

    /// The sessions that stream or hold leases, in the order of their ids; then what workers hold without a session, in
    /// the order of their names: those behind a position, each with its own.
    pub fn sessions<'a>(
        &'a self,
        after: &'a SessionsAfter,
    ) -> impl Iterator<Item = (SessionsAfter, SessionView)> + 'a {
        self.takers.views(after)
    }

    /// How many there are in all.
    pub fn count_sessions(&self) -> usize {
        self.takers.count()
    }

    fn serve(&mut self, id: TakerId, at: &mut At<'_>) -> bool {
        let Some(seat) = self.takers.seats.get(&id).filter(|seat| self.takers.has_room(seat)) else {
            return false;
        };
        let by = &seat.taker.by;
        let may_have = |posted| self.live(posted).is_some_and(|live| !self.lost_it(&live.record, by, at.now));
        let first = self.lines.first_that(&seat.taker.entities, may_have);
        let Some(record) = first.and_then(|posted| self.live(posted)) else { return false };
        if self.others_come_first(&record.record, by) {
            return false;
        }
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

    /// True while a message is kept from somebody who lost it last: from the same session, or the same worker without one; after
    /// the second loss also from a session of the same worker that has brought no result yet.
    fn lost_it(&self, record: &Record, by: &ClaimBy, now: Millis) -> bool {
        let Some(work) = &record.state.work else { return false };
        let (Some(claim), Some(returns_at)) = (&work.claim, work.returns_at()) else { return false };
        let same_worker = claim.worker == by.worker;
        let same_holder = claim.session == by.session && (by.session.is_some() || same_worker);
        now < returns_at && (same_holder || (same_worker && work.expiries > 1 && !self.takers.is_proved(by)))
    }

    /// True if somebody of another worker may take a message that a worker of this name lost last: they come first.
    fn others_come_first(&self, record: &Record, by: &ClaimBy) -> bool {
        let work = record.state.work.as_ref().filter(|work| work.lost_at.is_some());
        let lost_by = work.and_then(|work| work.claim.as_ref()).map(|claim| &claim.worker);
        lost_by == Some(&by.worker) && self.takers.has_others(&by.worker, entity(record))
    }

    /// Gives the leases of a session that count against no stream to one of its streams. They are renewed where the
    /// session came back at a time.
    fn adopt(&mut self, session: &OwnName, id: TakerId, back: Option<Millis>) {
        let Some(session) = self.takers.sessions.get(session) else { return };
        for posted in session.leases.clone() {
            let orphan = self.live(posted).filter(|l| l.term.as_ref().is_some_and(|t| t.taker.is_none()));
            let Some(record) = orphan.map(|live| live.record.clone()) else { continue };
            self.set_taker(posted, Some(id));
            if let Some(now) = back {
                self.welcome_back(posted, now);
            }
            if let Some(leased) = self.leased_again(record) {
                self.events.push(Event::Work(id, Box::new(leased)));
            }
        }
    }

    fn leased_again(&self, record: Record) -> Option<Leased> {
        let token = record.state.work.as_ref()?.claim.as_ref()?.token;
        let ends = self.shown(self.live(record.content.posted)?.term.as_ref()?.ends);
        Some(Leased { record, token, ends, again: true })
    }

    /// Tells the stream that holds a message that it needs no answer any more.
    pub(super) fn tell_holder(&mut self, record: &Record) {
        let term = self.live(record.content.posted).and_then(|live| live.term.as_ref());
        if let Some(taker) = term.and_then(|term| term.taker) {
            self.events.push(Event::Cancelled(taker, record.content.id));
        }
    }

    /// Sends claims away that waited long enough.
    pub fn dismiss_waiting(&mut self, now: Millis) {
        while let Some((_, id)) = self.takers.deadlines.first().copied().filter(|(until, _)| *until <= now) {
            self.takers.remove(id);
            self.events.push(Event::Nothing(id));
        }
    }
}
