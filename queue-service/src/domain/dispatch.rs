//! Handing out work: streams and claims that wait take from the same index, in turn.

use super::{At, Event, Leased, Millis, Queue, Record, SessionView, SessionsAfter, Taker, TakerId};

impl Queue {
    /// Lets a taker take work from now on. What its session holds and no other stream of it has is sent again, with
    /// the same token and a fresh lease. A stream that its session opens again supersedes the older one, which may be
    /// dead without anybody having noticed: what that one holds is sent again too.
    pub fn join(&mut self, id: TakerId, taker: Taker, now: Millis) {
        let session_id = taker.by.session_id.clone();
        for posted in self.takers.add(id, taker) {
            self.set_taker(posted, None);
        }
        if let Some(session_id) = session_id {
            self.adopt(&session_id, id, Some(now));
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
            // Nobody came back: the other stream may be as dead, so the leases stay as short as they are.
            self.adopt(&session_id, other, None);
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

    /// Gives the leases of a session that count against no stream to one of its streams. They are renewed where the
    /// session came back at a time.
    fn adopt(&mut self, session_id: &str, id: TakerId, back: Option<Millis>) {
        let Some(session) = self.takers.sessions.get(session_id) else { return };
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
