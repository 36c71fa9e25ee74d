//! The state of the queue: all live work, what hangs on time, and what the current group of commands has touched.
//!
//! One writer owns it. A rule reads it, decides, and calls [`Queue::change`]; nothing else changes a message. Leases'
//! ends and the takers of work live here too, in memory only: they are not changes.

mod live;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use uuid::Uuid;

use super::{
    Change, ChangeKind, Content, Event, Ids, Measured, Millis, Moment, Pause, QueueRules, Record, Rejection,
    RequestKey, Requested, State, acts::ActLog, blocks::Blocks, lines::Lines, owner::Owners,
    post::FULL_RETRY_MS, selection::Selections, shares::Shares, takers::Takers, throttle::Throttle,
};
use live::goes_on;

pub(super) use live::{Live, Term};

/// The state of the queue.
#[derive(Debug)]
pub struct Queue {
    pub(super) rules: QueueRules,
    pub(super) ids: Ids,
    /// The moment of this group of commands.
    moment: Moment,
    last_seq: u64,
    last_stamp: Millis,
    live: HashMap<u64, Live>,
    live_ids: HashMap<Uuid, u64>,
    /// Finished messages and posts without work that this group of commands has looked at or changed.
    visiting: HashMap<Uuid, Record>,
    /// Idempotency keys that this group has looked at or added.
    requests: HashMap<RequestKey, Requested>,
    pub(super) owners: Owners,
    pub(super) lines: Lines,
    pub(super) shares: Shares,
    pub(super) throttle: Throttle,
    pub(super) pauses: Vec<Pause>,
    pub(super) acts: ActLog,
    pub(super) blocks: Blocks,
    pub(super) selections: Selections,
    /// What waits and is to be given up at a time.
    expiring: BTreeSet<(Millis, u64)>,
    waiting: HashMap<String, usize>,
    waiting_in_all: usize,
    /// Bytes of all live messages.
    live_bytes: usize,
    leases: BTreeSet<(Millis, u64)>,
    /// When what waits may be handed out again to who lost it last.
    returning: BTreeSet<(Millis, u64)>,
    pub(super) takers: Takers,
    changes: Vec<Change>,
    pub(super) events: Vec<Event>,
    pub(super) measured: Measured,
}

impl Queue {
    /// The queue as a log left it: its last number and time stamp, and the messages that are pending or processing.
    /// Every lease gets a fresh grace from now on.
    pub fn restore(
        rules: QueueRules,
        ids: Ids,
        last: (u64, Millis),
        live: Vec<Record>,
        moment: Moment,
    ) -> Self {
        let max_worker_claims = rules.max_worker_claims;
        let mut queue = Self {
            lines: Lines::new(rules.aging_ms, rules.one_per_conversation),
            shares: Shares::new(rules.fair_share_ms, rules.address_share_ms),
            throttle: Throttle::new(rules.entity_limits.clone()),
            pauses: Vec::new(),
            acts: ActLog::new(rules.max_acts),
            blocks: Blocks::new(rules.max_blocks),
            selections: Selections::default(),
            expiring: BTreeSet::new(),
            rules,
            ids,
            moment,
            last_seq: last.0,
            last_stamp: last.1,
            live: HashMap::new(),
            live_ids: HashMap::new(),
            visiting: HashMap::new(),
            requests: HashMap::new(),
            owners: Owners::default(),
            waiting: HashMap::new(),
            waiting_in_all: 0,
            live_bytes: 0,
            leases: BTreeSet::new(),
            returning: BTreeSet::new(),
            takers: Takers::new(max_worker_claims),
            changes: Vec::new(),
            events: Vec::new(),
            measured: Measured::default(),
        };
        for record in live {
            let posted = record.content.posted;
            queue.index(record);
            queue.grant_grace(posted, moment.now);
        }
        queue.takers.begin_again(moment.wall);
        queue
    }

    /// Begins a group of commands, all of which are decided in this moment.
    pub fn begin(&mut self, moment: Moment) {
        self.moment = moment;
    }

    /// What the wall clock shows.
    pub(super) fn wall(&self) -> Millis {
        self.moment.wall
    }

    /// A point in service time as clients see it, who know only the wall clock: it is as far away by either.
    pub(super) fn shown(&self, time: Millis) -> Millis {
        time.saturating_sub(self.moment.now).saturating_add(self.moment.wall)
    }

    /// A point in time that a client says by the wall clock, in service time.
    pub(super) fn heard(&self, said: Millis) -> Millis {
        said.saturating_sub(self.moment.wall).saturating_add(self.moment.now)
    }

    /// What clients were shown as service time; no later than now.
    fn since(&self, shown: Millis) -> Millis {
        let ago = self.moment.wall.saturating_sub(shown).max(0);
        self.moment.now.saturating_sub(ago)
    }

    /// Number of the last change.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Time stamp of the last commit with new messages.
    pub fn last_stamp(&self) -> Millis {
        self.last_stamp
    }

    /// The changes since the last call, to be committed together.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Call after the commit: forgets what only this group needed, and gives out what takers are to be told.
    pub fn committed(&mut self) -> Vec<Event> {
        self.visiting.clear();
        self.requests.clear();
        std::mem::take(&mut self.events)
    }

    /// True where the queue knows the message without asking the storage.
    pub fn knows(&self, id: Uuid) -> bool {
        self.record(id).is_some()
    }

    /// True where the message that was posted under this number is pending or processing.
    pub fn is_live(&self, posted: u64) -> bool {
        self.live.contains_key(&posted)
    }

    /// Lets this group of commands see a message from the storage.
    pub fn visit(&mut self, record: Record) {
        self.visiting.insert(record.content.id, record);
    }

    /// True where the queue knows the idempotency key without asking the storage.
    pub fn knows_request(&self, key: RequestKey) -> bool {
        self.requests.contains_key(&key)
    }

    /// Lets this group of commands see an idempotency key from the storage.
    pub fn visit_request(&mut self, request: Requested) {
        self.requests.insert(request.key, request);
    }

    pub(super) fn request(&self, key: RequestKey) -> Option<&Requested> {
        self.requests.get(&key)
    }

    pub(super) fn record(&self, id: Uuid) -> Option<&Record> {
        match self.live_ids.get(&id) {
            Some(posted) => self.live.get(posted).map(|live| &live.record),
            None => self.visiting.get(&id),
        }
    }

    pub(super) fn live(&self, posted: u64) -> Option<&Live> {
        self.live.get(&posted)
    }

    /// How many messages wait: in all, and for one entity.
    pub(super) fn waiting(&self, entity: &str) -> (usize, usize) {
        (self.waiting_in_all, self.waiting.get(entity).copied().unwrap_or(0))
    }

    /// Bytes that unfinished messages hold in memory, by estimate.
    #[cfg(test)]
    pub(super) fn unfinished_bytes(&self) -> usize {
        self.live_bytes
    }

    /// Checks that unfinished messages may hold so many bytes more. One that is larger than the limit is let in alone.
    pub(super) fn check_bytes(&self, more: usize) -> Result<(), Rejection> {
        let (bytes, limit) = (self.live_bytes, self.rules.max_pending_bytes);
        if bytes > 0 && bytes.saturating_add(more) > limit {
            return Err(Rejection::PendingBytes { bytes, limit, retry_after_ms: FULL_RETRY_MS });
        }
        Ok(())
    }

    /// Makes a change: gives it the next number, applies it, and keeps it for the commit.
    pub(super) fn change(&mut self, kind: ChangeKind, content: Arc<Content>, mut state: State) -> Record {
        state.seq = self.last_seq + 1;
        let record = Record { content, state };
        self.commit(Change { kind, record: record.clone(), request: None });
        record
    }

    /// The number that the next change gets.
    pub(super) fn next_seq(&self) -> u64 {
        self.last_seq + 1
    }

    pub(super) fn commit(&mut self, change: Change) {
        self.measure(&change);
        self.apply(&change);
        self.changes.push(change);
    }

    /// Applies a change. Deterministic: the same changes on the same state give the same state.
    pub fn apply(&mut self, change: &Change) {
        self.last_seq = change.seq();
        if change.kind == ChangeKind::Posted {
            self.last_stamp = change.record.content.timestamp;
        }
        if let Some(request) = &change.request {
            self.requests.insert(request.key, request.clone());
        }
        let record = change.record.clone();
        if let Some(live) = self.live.get_mut(&record.content.posted)
            && goes_on(&live.record, &record)
        {
            self.live_bytes -= live.record.unfinished_bytes();
            self.live_bytes += record.unfinished_bytes();
            live.record = record;
            return;
        }
        self.unindex(record.content.id);
        self.index(record);
    }

    /// When the queue has to be looked at again: the end of a lease or of a waiting claim, a message that is due or expires,
    /// an entity that may be handed out again, a block that ends.
    pub fn next_deadline(&self) -> Option<Millis> {
        let lease = self.leases.first().map(|(ends, _)| *ends);
        let expiry = self.expiring.first().map(|(due, _)| *due);
        let returning = self.returning.first().map(|(due, _)| *due);
        let others = [self.lines.next_wake(), self.takers.next_deadline(), self.throttle.next_deadline()];
        let deadlines = [lease, expiry, returning, self.blocks.next_deadline()];
        others.into_iter().chain(deadlines).flatten().min()
    }

    /// The first message that waits and whose time is over at `now`.
    pub(super) fn expired(&self, now: Millis) -> Option<u64> {
        self.expiring.first().filter(|(due, _)| *due <= now).map(|(_, posted)| *posted)
    }

    /// The first live message whose lease is over at `now`.
    pub(super) fn lapsed(&self, now: Millis) -> Option<u64> {
        self.leases.first().filter(|(ends, _)| *ends <= now).map(|(_, posted)| *posted)
    }

    /// Forgets the times at which messages may be handed out again to who lost them, once they have come.
    pub(super) fn let_return(&mut self, now: Millis) {
        while self.returning.first().is_some_and(|(due, _)| *due <= now) {
            self.returning.pop_first();
        }
    }
}

/// The entity that a message is for; empty where it is for none.
pub(super) fn entity(record: &Record) -> &str {
    record.content.address.as_ref().map_or("", |address| &address.entity)
}
