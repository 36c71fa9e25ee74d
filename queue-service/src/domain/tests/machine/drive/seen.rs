//! The queue as the model would tell it, and the comparisons of the two.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{Driven, entity_name, entity_names, refusal, worker_name};
use crate::domain::{
    Event, Record, SessionsAfter,
    tests::model::{Lease, Message, Model, Told, Work},
};

impl Driven {
    /// Every message stands as the model says: status, counters, claim, lease, errors, numbers and times.
    pub(in crate::domain::tests::machine) fn check_messages(&self, model: &Model) {
        assert_eq!(self.world.queue.last_seq(), model.seq);
        let seen: Vec<_> = self.ids.iter().map(|id| self.message(*id)).collect();
        assert_eq!(seen, model.messages);
    }

    /// What is offered next, to everybody and to each entity, is what a walk through the whole list finds.
    pub(in crate::domain::tests::machine) fn check_order(&self, model: &Model) {
        for entities in [&[][..], &[0], &[1], &[0, 1]] {
            let expected = model.next_for(entities).map(|message| model.messages[message].posted);
            assert_eq!(self.world.queue.lines.first(&entity_names(entities)), expected, "{entities:?}");
        }
    }

    /// The queue asks to be looked at no later than the first thing that happens by itself, and not in vain for ever.
    pub(in crate::domain::tests::machine) fn check_deadline(&self, model: &Model) {
        let (asked, due) = (self.world.queue.next_deadline(), model.next_deadline());
        match (asked, due) {
            (None, None) => {}
            (Some(asked), Some(due)) => assert!(asked <= due, "asked to look at {asked}, due at {due}"),
            (Some(asked), None) => assert!(asked <= self.world.now, "nothing is due, asked for {asked}"),
            (None, Some(due)) => panic!("nobody will look at {due}"),
        }
        if self.idle {
            assert!(asked.is_none_or(|asked| asked > self.world.now), "what was due is still due");
        }
    }

    /// Applying the changes alone gives the same state: nothing that a restart needs is anywhere else.
    pub(in crate::domain::tests::machine) fn check_fold(&self) {
        let (queue, folded) = (&self.world.queue, &self.folded);
        assert_eq!((folded.last_seq(), folded.last_stamp()), (queue.last_seq(), queue.last_stamp()));
        for id in &self.ids {
            let posted = self.world.record(*id).content.posted;
            let (live, again) = (queue.live(posted), folded.live(posted));
            assert_eq!(live.map(|live| &live.record), again.map(|live| &live.record));
            assert_eq!(
                live.is_some_and(|live| live.term.is_some()),
                again.is_some_and(|live| live.term.is_some())
            );
            if let Some(live) = live {
                assert_eq!(&live.record, self.world.record(*id), "live work is as its last change left it");
            }
        }
        assert_eq!(queue.unfinished_bytes(), folded.unfinished_bytes());
        let unfinished = self.world.store.values().filter(|record| record.is_unfinished());
        let bytes = unfinished.map(Record::unfinished_bytes).sum::<usize>();
        assert_eq!(queue.unfinished_bytes(), bytes, "each unfinished message is counted once, as it is now");
        for entity in [0, 1] {
            assert_eq!(queue.waiting(&entity_name(entity)), folded.waiting(&entity_name(entity)));
            let entities = entity_names(&[entity]);
            // Pauses and buckets are no changes of messages.
            if !queue.is_open(&entities[0]) {
                continue;
            }
            assert_eq!(queue.lines.first(&entities), folded.lines.first(&entities));
        }
    }

    /// Statistics tell the sessions that stream or hold leases, and what workers hold without one; nothing else.
    pub(in crate::domain::tests::machine) fn check_sessions(&self, model: &Model) {
        let works = model.messages.iter().filter_map(|message| message.work.as_ref());
        let leased = works.filter(|work| work.lease.is_some()).filter_map(|work| work.claim);
        let claims: Vec<_> = leased.map(|claim| &model.claims[claim]).collect();
        let mut expected = Vec::new();
        for session in 0..3u8 {
            let streams = model.takers.values().filter(|taker| taker.session == Some(session)).count();
            let leases = claims.iter().filter(|claim| claim.session == Some(session)).count();
            if streams + leases > 0 {
                expected.push((worker_name(session), format!("s{session}"), streams, leases));
            }
        }
        let alone = claims.iter().filter(|claim| claim.session.is_none());
        let workers: BTreeSet<_> = alone.clone().map(|claim| worker_name(claim.worker)).collect();
        for worker in workers {
            let leases = alone.clone().filter(|claim| worker_name(claim.worker) == worker).count();
            expected.push((worker, String::new(), 0, leases));
        }
        let seen = self.world.queue.sessions(&SessionsAfter::Start).map(|(_, view)| view);
        let seen: Vec<_> = seen.map(|s| (s.worker_id, s.session_id, s.streams, s.leases)).collect();
        assert_eq!(seen, expected);
    }

    /// Statistics tell the workers that are given less than they ask for.
    pub(in crate::domain::tests::machine) fn check_held_back(&self, model: &Model) {
        let seen = self.world.queue.held_back().into_iter();
        let seen: BTreeSet<_> = seen.map(|row| (row.worker_id, row.lost, row.paused_until)).collect();
        let expected = model.held_back().into_iter();
        let expected: BTreeSet<_> =
            expected.map(|(worker, lost, paused)| (worker_name(worker), lost, paused)).collect();
        assert_eq!(seen, expected);
    }

    pub(super) fn told(&self, event: &Event) -> Told {
        match event {
            Event::Work(taker, leased) => {
                Told::Work { taker: *taker, claim: self.claim_of(leased.token), ends: leased.ends }
            }
            Event::Cancelled(taker, id) => Told::Cancelled { taker: *taker, message: self.place(*id) },
            Event::Nothing(taker) => Told::Nothing { taker: *taker },
            Event::Refused(taker, rejection) => Told::Refused { taker: *taker, why: refusal(rejection) },
        }
    }

    fn message(&self, id: Uuid) -> Message {
        let record = self.world.record(id);
        let content = &record.content;
        Message {
            posted: content.posted,
            seq: record.state.seq,
            timestamp: content.timestamp,
            text: content.text.clone(),
            deleted: record.state.deleted,
            hidden: record.state.hidden,
            edits: record.state.edits,
            reply_to: content.reply_to.map(|id| self.place(id)),
            work: self.seen_work(record),
        }
    }

    fn seen_work(&self, record: &Record) -> Option<Work> {
        let work = record.state.work.clone()?;
        let address = record.content.address.as_ref()?;
        let term = self.world.queue.live(record.content.posted).and_then(|live| live.term.as_ref());
        let digit = |text: &str| text[1..].parse().expect("names of the machine are a letter and a digit");
        Some(Work {
            entity: digit(&address.entity),
            conversation: (digit(&record.content.username), address.session_id.is_some()),
            author: record.content.sender.map(|sender| sender.author.0[0]),
            for_later: address.not_before.is_some(),
            status: work.status,
            priority: work.priority,
            base: work.base,
            claims: work.claims,
            uncounted: work.uncounted,
            outages: work.outages,
            failures: work.failures,
            expiries: work.expiries,
            lost_by: work.lost_by.into_iter().map(|worker| worker.name).collect(),
            released_by: work.released_by.map(|worker| worker.name),
            lost_at: work.lost_at,
            cancelled: work.cancelled,
            errors: work.errors,
            not_before: work.not_before,
            expires_at: work.expires_at,
            claim: work.claim.map(|claim| self.claim_of(claim.token)),
            lease: term.map(|term| Lease { ends: term.ends, taker: term.taker }),
            completed_at: work.completed_at,
            reply: work.reply.map(|id| self.place(id)),
        })
    }
}
