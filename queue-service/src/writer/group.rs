//! One group of commands: decide, commit, show, answer.

use std::time::Instant;

use super::{
    Clock, State,
    clock::AHEAD_MS,
    job::{Answer, Command, Job},
};
use repartee_process::telemetry::{NewSpan, Span, SpanKind, TraceContext};

use crate::{
    disk::Stored,
    domain::{At, ChangeKind, Millis, Moment},
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
        let mut calls = Vec::new();
        for job in group {
            match job {
                Job::Command(command) => {
                    let tally = Tally::default();
                    self.show_what_it_touches(&command, &tally)?;
                    costs.push((command.call, tally));
                    calls.extend(command.call_span);
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
        self.commit(moment, stamp, answers.len(), calls)?;
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
        for conversation in &command.conversations {
            if !self.with.queue.knows_owner(*conversation) {
                let owner = self.with.store.find_owner(*conversation, tally)?;
                self.with.queue.visit_owner(*conversation, owner);
            }
        }
        let keys = command.keys.iter().copied();
        let before = command.keys_before.iter().filter(|(of, _)| self.with.queue.awaits_secret(*of));
        let keys: Vec<_> = keys.chain(before.map(|(_, key)| *key)).collect();
        for key in keys {
            if !self.with.queue.knows_request(key)
                && let Some(request) = self.with.store.find_request(key, tally)?
            {
                self.with.queue.visit_request(request);
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

    fn commit(
        &mut self,
        moment: Moment,
        stamp: Millis,
        commands: usize,
        calls: Vec<TraceContext>,
    ) -> Result<(), JournalError> {
        let (changes, measured) = (self.with.queue.take_changes(), self.with.queue.take_measured());
        let (forget, mut sweep) = if self.put_off {
            Default::default()
        } else {
            (self.sweep_keys(moment.now)?, self.sweep_log(moment, &changes))
        };
        let (pauses, acts) = (self.with.queue.take_pauses(), self.with.queue.take_acts());
        let blocks = self.with.queue.take_blocks();
        self.with.views.note_throttled(self.with.queue.throttled());
        let is_quiet = pauses.is_empty() && acts.is_empty() && blocks.is_empty();
        if changes.is_empty() && forget.is_empty() && sweep.is_none() && is_quiet {
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
        let commit = Commit {
            stamp: last_stamp,
            at,
            service_time,
            changes,
            forget,
            sweep,
            pauses,
            owners,
            acts,
            blocks,
        };
        let tally = Tally::default();
        let began = Instant::now();
        let span = span_of_commit(calls, commit.changes.len());
        self.with.journal.append(&commit, &tally)?;
        drop(span);
        self.measures.note_commit(began.elapsed(), commands, &commit);
        self.measures.note(&measured);
        self.with.costs.note("Commit", &tally);
        self.with.disk.note_data(self.with.store.data_bytes());
        if let Some(sweep) = &commit.sweep {
            sweep.ownerless().for_each(|conversation| self.with.queue.forget_owner(conversation));
        }
        self.with.views.show_pauses(commit.pauses);
        self.with.views.show_acts(commit.acts);
        self.with.views.show_blocks(commit.blocks);
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

/// A commit serves many calls: it is a trace of its own, linked to the spans of those that wait for it.
fn span_of_commit(calls: Vec<TraceContext>, changes: usize) -> Span {
    if calls.is_empty() {
        return Span::default();
    }
    let count = calls.len();
    let new = NewSpan { links: calls, ..NewSpan::of(SpanKind::Internal, None) };
    let mut span = new.begin(|| "commit");
    span.set("messaging.batch.message_count", || (count as i64).into());
    span.set("repartee.changes", || (changes as i64).into());
    span
}
