//! One group of commands: decide, commit, show, answer.

use std::time::Instant;

use super::{
    Clock, State,
    clock::AHEAD_MS,
    job::{Answer, Command, Job},
};
use crate::{
    disk::Stored,
    domain::{At, Change, ChangeKind, GivenUp, Millis, Moment},
    journal::{Commit, Journal, JournalError, Tally},
};

impl<J: Journal, C: Clock> State<J, C> {
    pub(super) fn serve(&mut self, group: Vec<Job>) -> Result<(), JournalError> {
        let moment = self.with.clock.read();
        let Moment { now, wall } = moment;
        // While the clock is behind, stamps run on by number.
        let stamp = wall.max(self.with.queue.last_stamp().saturating_add(1));
        let mut fresh = rand::random;
        let mut at = At { now, wall, stamp, fresh: &mut fresh };
        self.with.queue.begin(moment);

        // What time alone brings about waits until there is room; commands were refused before they came here.
        self.put_off = self.with.disk.check(Stored::Progress).is_err();
        if self.put_off {
            self.with.queue.dismiss_waiting(now);
        } else {
            self.with.queue.advance(now);
            self.release_undelivered();
        }
        let mut answers = Vec::with_capacity(group.len());
        let mut costs = Vec::with_capacity(group.len());
        for job in group {
            match job {
                Job::Command(command) => {
                    let tally = Tally::default();
                    self.show_what_it_touches(&command, &tally)?;
                    costs.push((command.call, tally));
                    answers.push((command.decide)(&mut self.with.queue, &mut at));
                }
                // A seat that was given up before its turn never joins.
                Job::Join(_, _, events) if events.is_closed() => {}
                Job::Join(id, taker, events) => {
                    self.streams.insert(id, events);
                    self.with.queue.join(id, taker, now);
                }
                Job::Wake => self.let_go(now),
            }
        }
        self.let_go(now);
        if !self.put_off {
            self.with.queue.dispatch(&mut at);
        }
        self.commit(moment, stamp)?;
        for (call, tally) in costs {
            self.with.costs.note(call, &tally);
        }
        self.answer(answers);
        self.deliver();
        Ok(())
    }

    /// Takers that are gone take nothing more.
    fn let_go(&mut self, now: Millis) {
        let gone = std::mem::take(&mut *self.parted.lock());
        for (id, unseen) in gone {
            self.streams.remove(&id);
            self.with.queue.part(id, now);
            self.undelivered.extend(unseen);
        }
    }

    /// Loads what the rule will ask for and the queue does not hold: finished messages, posts, idempotency keys.
    fn show_what_it_touches(&mut self, command: &Command, tally: &Tally) -> Result<(), JournalError> {
        for key in &command.keys {
            if !self.with.queue.knows_request(*key)
                && let Some(request) = self.with.store.find_request(*key, tally)?
            {
                self.with.queue.visit_request(request);
            }
        }
        for conversation in &command.conversations {
            if !self.with.queue.knows_owner(*conversation) {
                let owner = self.with.store.find_owner(*conversation, tally)?;
                self.with.queue.visit_owner(*conversation, owner);
            }
        }
        for id in &command.ids {
            if !self.with.queue.knows(*id)
                && let Some(record) = self.with.store.find(*id, tally)?
            {
                self.with.queue.visit(record);
            }
        }
        Ok(())
    }

    fn commit(&mut self, moment: Moment, stamp: Millis) -> Result<(), JournalError> {
        let changes = self.with.queue.take_changes();
        let (forget, mut sweep) = if self.put_off {
            Default::default()
        } else {
            (self.sweep_keys(moment.now)?, self.sweep_log(moment, &changes))
        };
        let pauses = self.with.queue.take_pauses();
        self.with.views.note_throttled(self.with.queue.throttled());
        if changes.is_empty() && forget.is_empty() && sweep.is_none() && pauses.is_empty() {
            return Ok(());
        }
        if changes.iter().any(|change| change.kind == ChangeKind::Posted) {
            self.keep_pace(moment, stamp);
        }
        if let Some(sweep) = &mut sweep {
            sweep.spare_owners(&changes);
        }
        let last_stamp = self.with.queue.last_stamp();
        let (at, service_time) = (moment.wall, moment.now);
        let owners = self.with.queue.take_owners();
        let commit = Commit { stamp: last_stamp, at, service_time, changes, forget, sweep, pauses, owners };
        let tally = Tally::default();
        let began = Instant::now();
        self.with.journal.append(&commit, &tally)?;
        metrics::histogram!("repartee_commit_seconds").record(began.elapsed());
        self.with.costs.note("Commit", &tally);
        metrics::histogram!("repartee_commit_changes").record(commit.changes.len() as f64);
        if let Some(sweep) = &commit.sweep {
            metrics::counter!("repartee_swept_messages_total").increment(sweep.messages);
            sweep.ownerless().for_each(|conversation| self.with.queue.forget_owner(conversation));
        }
        commit.changes.iter().for_each(note_given_up);
        self.with.views.show_pauses(commit.pauses);
        self.with.views.publish(commit.changes);
        Ok(())
    }

    /// Stamps that are ahead of the clock go on by 1 with each commit, so a commit a millisecond keeps them as far ahead as
    /// they are, and more would let them run away. Nothing else is waited for: how far ahead they are does not matter.
    fn keep_pace(&mut self, moment: Moment, stamp: Millis) {
        let next = self.stamped_at.saturating_add(1);
        if stamp.saturating_sub(moment.wall) > AHEAD_MS && moment.now < next {
            self.with.clock.wait_until(next);
            self.stamped_at = next;
        } else {
            self.stamped_at = moment.now;
        }
        self.with.clock.note_stamp(stamp);
    }

    /// Wakes the callers on their runtime: to wake many of them from here, one by one, would cost more than their
    /// commands.
    fn answer(&self, answers: Vec<Answer>) {
        let many = answers.len() > 1;
        let answer = move || answers.into_iter().for_each(|answer| answer());
        if many {
            self.callers.spawn(async { answer() });
        } else {
            answer();
        }
    }

    fn deliver(&mut self) {
        for event in self.with.queue.committed() {
            let id = event.taker();
            let once = event.is_last();
            let Some(stream) = self.streams.get(&id) else {
                self.undelivered.extend(event.unseen_lease());
                continue;
            };
            // A stream that is full does not read: it is ended, and its work goes to others.
            if let Err(refused) = stream.try_send(event) {
                self.streams.remove(&id);
                self.undelivered.extend(refused.into_inner().unseen_lease());
                self.with.queue.part(id, self.with.clock.read().now);
            } else if once {
                self.streams.remove(&id);
            }
        }
    }

    fn release_undelivered(&mut self) {
        for lease in std::mem::take(&mut self.undelivered) {
            // Refused where its lease has ended in the meantime: then it waits already.
            let _ = self.with.queue.give_back(&lease);
        }
    }
}

/// Counts what the queue gave up by itself.
fn note_given_up(change: &Change) {
    if change.kind != ChangeKind::Failed {
        return;
    }
    match change.record.state.work.as_deref().and_then(GivenUp::of) {
        Some(GivenUp::Expired) => metrics::counter!("repartee_expired_total").increment(1),
        Some(GivenUp::Attempts(_)) => metrics::counter!("repartee_attempts_exhausted_total").increment(1),
        Some(GivenUp::Leases(_)) | None => {}
    }
}
