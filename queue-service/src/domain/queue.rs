//! The state of the queue: all live work, what hangs on time, and what the current group of commands has touched.
//!
//! One writer owns it. A rule reads it, decides, and calls [`Queue::change`]; nothing else changes a message. Leases'
//! ends and the takers of work live here too, in memory only: they are not changes.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use uuid::Uuid;

use super::{
    Change, ChangeKind, Content, EntityLimits, Event, Ids, Pause, Record, Rejection, RequestKey, Requested,
    State, Status, TakerId, Work, lines::Lines, owner::Owners, post::FULL_RETRY_MS, shares::Shares,
    takers::Takers, throttle::Throttle,
};

/// Milliseconds: a point in time since the Unix epoch, or a span.
pub type Millis = i64;

/// A moment as the service tells it, both in Unix milliseconds. See `writer/clock.rs`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// Service time: spans begin and end by it. It runs by the monotonic clock, and no step of the wall clock moves it.
    pub now: Millis,
    /// The wall clock: what clients are shown, and what stamps are taken from.
    pub wall: Millis,
}

impl Moment {
    /// A moment of a clock that is right: both times are the same.
    pub fn of(time: Millis) -> Self {
        Self { now: time, wall: time }
    }
}

/// The moment in which a command is decided, and the randomness that it may use.
pub struct At<'a> {
    /// Service time: spans begin and end by it.
    pub now: Millis,
    /// The wall clock: what clients are shown.
    pub wall: Millis,
    /// The time stamp of messages posted in this commit; greater than that of the commit before.
    pub stamp: Millis,
    /// 128 fresh random bits a call.
    pub fresh: &'a mut dyn FnMut() -> [u8; 16],
}

/// The settings of the queue's rules.
#[derive(Debug, Clone)]
pub struct QueueRules {
    /// Time waited that counts as one level of priority; 0 makes priority strict.
    pub aging_ms: Millis,
    /// Hand out one message at a time per conversation.
    pub one_per_conversation: bool,
    /// Most messages that may wait in all.
    pub max_pending: usize,
    /// Most messages that may wait for one entity.
    pub max_pending_per_entity: usize,
    /// Most bytes that unfinished messages may hold in memory, by estimate.
    pub max_pending_bytes: usize,
    /// Give up after this many failures.
    pub max_failures: u32,
    /// Give up after this many leases that ended without a result.
    pub max_expiries: u32,
    /// Give up after this many claims in all, however they ended; an operator's retry begins again.
    pub max_attempts: u32,
    /// How many times a message may be edited; operators may go on.
    pub max_edits: u32,
    /// By how much an author's next message counts as younger than the last one that waits; 0 gives all the same.
    pub fair_share_ms: Millis,
    /// Give up what has waited this long.
    pub pending_expiry_ms: Option<Millis>,
    /// How much of an entity's work is handed out.
    pub entity_limits: EntityLimits,
}

impl Default for QueueRules {
    fn default() -> Self {
        Self {
            aging_ms: 60_000,
            one_per_conversation: true,
            max_pending: 100_000,
            max_pending_per_entity: 10_000,
            max_pending_bytes: 256 * 1024 * 1024,
            max_failures: 5,
            max_expiries: 3,
            max_attempts: 20,
            max_edits: 100,
            fair_share_ms: 10_000,
            pending_expiry_ms: None,
            entity_limits: EntityLimits::default(),
        }
    }
}

/// A lease's end, in service time: in memory only, so that a renewal costs no write.
#[derive(Debug)]
pub(super) struct Term {
    pub(super) ends: Millis,
    /// When the message was claimed.
    pub(super) since: Millis,
    pub(super) taker: Option<TakerId>,
}

#[derive(Debug)]
pub(super) struct Live {
    pub(super) record: Record,
    /// Set while it is processing.
    pub(super) term: Option<Term>,
}

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
    /// What waits and is to be given up at a time.
    expiring: BTreeSet<(Millis, u64)>,
    waiting: HashMap<String, usize>,
    waiting_in_all: usize,
    /// Bytes of all live messages.
    live_bytes: usize,
    leases: BTreeSet<(Millis, u64)>,
    pub(super) takers: Takers,
    changes: Vec<Change>,
    pub(super) events: Vec<Event>,
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
        let mut queue = Self {
            lines: Lines::new(rules.aging_ms, rules.one_per_conversation),
            shares: Shares::new(rules.fair_share_ms),
            throttle: Throttle::new(rules.entity_limits.clone()),
            pauses: Vec::new(),
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
            takers: Takers::default(),
            changes: Vec::new(),
            events: Vec::new(),
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
    /// an entity that may be handed out again.
    pub fn next_deadline(&self) -> Option<Millis> {
        let lease = self.leases.first().map(|(ends, _)| *ends);
        let expiry = self.expiring.first().map(|(due, _)| *due);
        let others = [self.lines.next_wake(), self.takers.next_deadline(), self.throttle.next_deadline()];
        others.into_iter().chain([lease, expiry]).flatten().min()
    }

    /// The first message that waits and whose time is over at `now`.
    pub(super) fn expired(&self, now: Millis) -> Option<u64> {
        self.expiring.first().filter(|(due, _)| *due <= now).map(|(_, posted)| *posted)
    }

    /// The first live message whose lease is over at `now`.
    pub(super) fn lapsed(&self, now: Millis) -> Option<u64> {
        self.leases.first().filter(|(ends, _)| *ends <= now).map(|(_, posted)| *posted)
    }

    /// Moves the end of a lease, and returns it.
    pub(super) fn set_term(&mut self, posted: u64, ends: Millis) -> Millis {
        if let Some(term) = self.live.get_mut(&posted).and_then(|live| live.term.as_mut()) {
            self.leases.remove(&(term.ends, posted));
            self.leases.insert((ends, posted));
            term.ends = ends;
        }
        ends
    }

    /// Notes which taker a lease counts against.
    pub(super) fn set_taker(&mut self, posted: u64, taker: Option<TakerId>) {
        if let Some(term) = self.live.get_mut(&posted).and_then(|live| live.term.as_mut()) {
            self.takers.unhold(term.taker, posted);
            term.taker = taker;
            self.takers.hold(taker, posted);
        }
    }

    fn index(&mut self, record: Record) {
        let (id, posted) = (record.content.id, record.content.posted);
        let Some(work) = record.state.work.clone() else {
            self.visiting.insert(id, record);
            return;
        };
        let term = match work.status {
            Status::Pending => {
                self.lines.enter(&record, &work);
                self.shares.enter(&record, &work);
                self.expiring.extend(work.expires_at.map(|due| (due, posted)));
                *self.waiting.entry(entity(&record).to_owned()).or_default() += 1;
                self.waiting_in_all += 1;
                None
            }
            Status::Processing => Some(self.open_term(&record, &work)),
            Status::Complete | Status::Failed => {
                self.visiting.insert(id, record);
                return;
            }
        };
        self.live_ids.insert(id, posted);
        self.live_bytes += record.unfinished_bytes();
        self.live.insert(posted, Live { record, term });
    }

    fn open_term(&mut self, record: &Record, work: &Work) -> Term {
        let posted = record.content.posted;
        let claim = work.claim.as_ref().expect("only a claim makes work processing");
        let since = self.since(claim.at);
        let ends = claim.first_end(since);
        self.lines.begin(record);
        self.throttle.begin(entity(record));
        self.reconsider(entity(record));
        self.leases.insert((ends, posted));
        self.takers.open_lease(claim, posted);
        Term { ends, since, taker: None }
    }

    fn unindex(&mut self, id: Uuid) {
        let Some(live) = self.live_ids.remove(&id).and_then(|posted| self.live.remove(&posted)) else {
            return;
        };
        let Live { record, term } = live;
        self.live_bytes -= record.unfinished_bytes();
        let posted = record.content.posted;
        let work = record.state.work.as_ref().expect("live messages have work");
        if let Some(term) = term {
            self.lines.end(&record);
            self.throttle.end(entity(&record));
            self.reconsider(entity(&record));
            self.leases.remove(&(term.ends, posted));
            self.takers.unhold(term.taker, posted);
            self.takers.close_lease(work.claim.as_ref(), posted);
            return;
        }
        self.lines.leave(&record, work);
        self.shares.leave(&record, work);
        if let Some(due) = work.expires_at {
            self.expiring.remove(&(due, posted));
        }
        self.waiting_in_all -= 1;
        let entity = entity(&record);
        if let Some(count) = self.waiting.get_mut(entity) {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(entity);
            }
        }
    }
}

/// True where a change leaves the claim on a message as it was: an edit in the middle of the work.
fn goes_on(before: &Record, after: &Record) -> bool {
    match (&before.state.work, &after.state.work) {
        (Some(before), Some(after)) => {
            before.status == Status::Processing
                && after.status == Status::Processing
                && before.claim.as_ref().map(|c| c.token) == after.claim.as_ref().map(|c| c.token)
        }
        _ => false,
    }
}

/// The entity that a message is for; empty where it is for none.
pub(super) fn entity(record: &Record) -> &str {
    record.content.address.as_ref().map_or("", |address| &address.entity)
}
