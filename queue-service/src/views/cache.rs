//! The cache behind the views: bounded by messages and by bytes; the oldest leave first.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    num::NonZeroUsize,
    sync::Arc,
};

use repartee_process::QuietMap;

use super::{
    BeforeCache, EntityDepth, Floor, Page, Totals,
    feed::{Feed, Post, Shown},
    pending::Pending,
    rooms::{Room, Rooms},
};
use crate::domain::{ChangeKind, Millis, Record, State};

/// Changes kept for each message that may be cached: a message is posted, claimed and finished, some are retried.
const CHANGES_A_MESSAGE: usize = 4;
/// What a message costs beside its texts: the record, its places in the maps and feeds.
const MESSAGE_BYTES: usize = 450;
/// What a change costs: the state of the message at that moment, its places in the feeds.
const CHANGE_BYTES: usize = 450;

/// Most domains that are remembered of which nothing is cached but where their newest message stands.
const QUIET_DOMAINS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// How much may be cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// Most messages.
    pub messages: usize,
    /// Most bytes, messages and changes together, by estimate.
    pub bytes: usize,
    /// Whether it is known in which rooms the cached messages are.
    pub list_rooms: bool,
}

impl CacheLimits {
    /// Most changes.
    pub fn changes(&self) -> usize {
        self.messages.saturating_mul(CHANGES_A_MESSAGE)
    }
}

/// How much is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheFill {
    /// Messages.
    pub messages: usize,
    /// Changes.
    pub changes: usize,
    /// Bytes, by estimate.
    pub bytes: usize,
    /// The limits.
    pub limits: CacheLimits,
}

/// A change. What is said in its message is kept once, in the message's present state: an edit or a deletion reaches back
/// into all changes at the same price, however many there are.
#[derive(Debug)]
struct Kept {
    kind: ChangeKind,
    /// Its message.
    posted: u64,
    /// How it left the message; `None` while that is the message's present state.
    state: Option<State>,
}

#[derive(Debug)]
pub(super) struct Cache {
    limits: CacheLimits,
    tail: u64,
    bytes: usize,
    /// The present state of messages, by the number of their post: of those that are cached or live, and of those with a
    /// change in `kept`.
    records: HashMap<u64, Arc<Record>>,
    /// The changes whose numbers are in the feed of all.
    kept: VecDeque<Kept>,
    all: Feed,
    domains: QuietMap<Feed>,
    pending: Pending,
    /// Those of the cached messages, if rooms are listed.
    rooms: Option<Rooms>,
    counts: BTreeMap<ChangeKind, u64>,
}

impl Cache {
    pub(super) fn new(limits: CacheLimits, aging_ms: Millis, floor: Floor) -> Self {
        Self {
            limits,
            tail: floor.seq,
            bytes: 0,
            records: HashMap::new(),
            kept: VecDeque::new(),
            all: Feed::new(floor),
            domains: QuietMap::new(QUIET_DOMAINS, Feed::is_empty),
            pending: Pending::new(aging_ms),
            rooms: limits.list_rooms.then(Rooms::default),
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn publish(&mut self, change: Shown) {
        let (seq, kind) = (change.seq(), change.kind);
        let Shown { record, .. } = change;
        self.tail = seq;
        *self.counts.entry(kind).or_default() += 1;
        let (posted, floor) = (record.content.posted, self.all.floor);
        self.all.changes.push_back(seq);
        self.kept.push_back(Kept { kind, posted, state: None });
        self.bytes += CHANGE_BYTES;
        let post = (kind == ChangeKind::Posted).then(|| post(&record));
        self.domains.enter(
            &record.content.domain,
            || Feed::new(floor),
            |feed| {
                feed.changes.push_back(seq);
                feed.posts.extend(post);
            },
        );
        self.show(Arc::clone(&record));
        self.all.posts.extend(post);
        self.list_room_of(&record);
        self.evict();
    }

    /// The rooms show a cached message as it is now.
    fn list_room_of(&mut self, record: &Record) {
        let is_cached = self.is_cached(record.content.posted);
        let Some(rooms) = self.rooms.as_mut().filter(|_| is_cached) else { return };
        if record.state.deleted || record.state.hidden {
            rooms.hide(&record.content.domain, record.content.posted);
        } else {
            rooms.show(&record.content.domain, post(record));
        }
    }

    pub(super) fn restore_live(&mut self, record: Record) {
        self.show(Arc::new(record));
    }

    /// Counts from zero, from the log's end on.
    pub(super) fn begin_at(&mut self, tail: u64) {
        self.tail = tail;
        self.counts.clear();
    }

    /// Remembers a domain of which nothing may be cached. Returns from where on its feed is complete.
    pub(super) fn pin(&mut self, domain: &str) -> Floor {
        let floor = self.all.floor;
        self.domains.enter(domain, || Feed::new(floor), |feed| feed.floor)
    }

    pub(super) fn posted(&self, posted: u64) -> Option<Arc<Record>> {
        self.records.get(&posted).cloned()
    }

    fn feed(&self, domain: Option<&str>) -> Option<&Feed> {
        match domain {
            Some(domain) => self.domains.get(domain),
            None => Some(&self.all),
        }
    }

    pub(super) fn evicted_to(&self) -> u64 {
        self.all.evicted_to()
    }

    fn floor(&self, domain: Option<&str>) -> Floor {
        self.feed(domain).map_or(self.all.floor, |feed| feed.floor)
    }

    pub(super) fn before(
        &self,
        domain: Option<&str>,
        before: u64,
        limit: usize,
    ) -> Result<Page<Arc<Record>>, BeforeCache> {
        let (items, more): (Vec<Arc<Record>>, _) = match self.feed(domain) {
            Some(feed) => {
                let (posts, more) = feed.posts_before(before, limit);
                (posts.filter_map(|post| self.records.get(&post.posted)).cloned().collect(), more)
            }
            None => (Vec::new(), false),
        };
        let floor = self.floor(domain);
        // Of the oldest time stamp a part may have been dropped.
        let is_cut = items.first().is_some_and(|oldest| oldest.content.timestamp <= floor.stamp);
        if floor.stamp > 0 && (items.len() < limit || is_cut) {
            return Err(BeforeCache { floor, tail: self.tail });
        }
        Ok(Page { items, more: more || floor.stamp > 0, tail: self.tail })
    }

    pub(super) fn after(
        &self,
        domain: Option<&str>,
        after: Millis,
        limit: usize,
    ) -> Result<Page<Arc<Record>>, BeforeCache> {
        let floor = self.floor(domain);
        if after < floor.stamp {
            return Err(BeforeCache { floor, tail: self.tail });
        }
        let Some(feed) = self.feed(domain) else {
            return Ok(Page { items: Vec::new(), more: false, tail: self.tail });
        };
        let (posts, more) = feed.posts_after(after, limit);
        let items = posts.filter_map(|post| self.records.get(&post.posted)).cloned().collect();
        Ok(Page { items, more, tail: self.tail })
    }

    pub(super) fn changes(
        &self,
        domain: Option<&str>,
        seq: u64,
        limit: usize,
    ) -> Result<Page<Shown>, BeforeCache> {
        let floor = self.floor(domain);
        if seq < floor.seq {
            return Err(BeforeCache { floor, tail: self.tail });
        }
        let Some(feed) = self.feed(domain) else {
            return Ok(Page { items: Vec::new(), more: false, tail: self.tail });
        };
        let (changes, more) = feed.changes_after(seq, limit);
        Ok(Page { items: changes.filter_map(|seq| self.change(seq)).collect(), more, tail: self.tail })
    }

    pub(super) fn rooms(&self, before: u64, limit: usize) -> Option<Page<Room>> {
        let mut rooms = self.rooms.as_ref()?.before(before);
        let items = rooms.by_ref().take(limit).collect();
        Some(Page { items, more: rooms.next().is_some(), tail: self.tail })
    }

    pub(super) fn learn(&mut self, domain: &str, before: Floor, floor: Floor) {
        self.domains.change(domain, |feed| {
            if feed.floor == before {
                feed.floor = Floor { stamp: floor.stamp.min(before.stamp), seq: floor.seq.min(before.seq) };
            }
        });
    }

    pub(super) fn pending(&mut self, entities: &[String], limit: usize, now: Millis) -> Vec<Arc<Record>> {
        self.pending.wake(now);
        self.pending.first(entities, limit)
    }

    pub(super) fn waiting(&self) -> Vec<Arc<Record>> {
        self.pending.waiting()
    }

    pub(super) fn depth(&self, entities: &[String]) -> (u64, Option<Millis>) {
        self.pending.depth(entities)
    }

    pub(super) fn depths<T>(
        &self,
        after: &str,
        read: impl FnOnce(&mut dyn Iterator<Item = EntityDepth>) -> T,
    ) -> T {
        read(&mut self.pending.depths(after))
    }

    pub(super) fn deepest(&self, most: usize) -> Vec<EntityDepth> {
        self.pending.deepest(most)
    }

    pub(super) fn totals(&mut self, now: Millis) -> Totals {
        self.pending.wake(now);
        self.pending.totals()
    }

    pub(super) fn counts(&self) -> Vec<(ChangeKind, u64)> {
        self.counts.iter().map(|(kind, count)| (*kind, *count)).collect()
    }

    pub(super) fn fill(&self) -> CacheFill {
        CacheFill {
            messages: self.all.posts.len(),
            changes: self.all.changes.len(),
            bytes: self.bytes,
            limits: self.limits,
        }
    }

    /// A change, with what is said in its message now.
    fn change(&self, seq: u64) -> Option<Shown> {
        let Kept { kind, posted, state } = self.kept.get(self.index(seq)?)?;
        let present = self.records.get(posted)?;
        let record = match state {
            None => Arc::clone(present),
            Some(state) => {
                let mut state = state.clone();
                state.seen_from(&present.state);
                Arc::new(Record { content: Arc::clone(&present.content), state })
            }
        };
        Some(Shown { kind: *kind, record })
    }

    /// Where a change stands among those that are kept: their numbers have no gap.
    fn index(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.all.floor.seq + 1)?).ok()
    }

    /// Makes this the present state of its message, where there is a reason to know the message.
    fn show(&mut self, record: Arc<Record>) {
        let (posted, seq) = (record.content.posted, record.state.seq);
        if let Some(before) = self.records.remove(&posted) {
            self.pending.remove(&before);
            if self.is_counted(&before) {
                self.bytes -= message_bytes(&before);
            }
            let kept = self.index(before.state.seq).and_then(|index| self.kept.get_mut(index));
            if let Some(kept) = kept.filter(|_| before.state.seq != seq) {
                kept.state = Some(Arc::unwrap_or_clone(before).state);
            }
        }
        self.pending.add(&record);
        if self.is_counted(&record) {
            self.bytes += message_bytes(&record);
        }
        self.records.insert(posted, record);
    }

    /// True where a message counts as cached: it is, or a change of it is kept. What is live beside that is bounded by the
    /// queue's rules.
    fn is_counted(&self, record: &Record) -> bool {
        record.state.seq > self.all.floor.seq || self.is_cached(record.content.posted)
    }

    /// Forgets a message that nothing keeps any more.
    fn forget(&mut self, record: &Record) {
        self.bytes -= message_bytes(record);
        if !record.is_unfinished() {
            self.records.remove(&record.content.posted);
        }
    }

    fn is_cached(&self, posted: u64) -> bool {
        self.all.posts.front().is_some_and(|oldest| oldest.posted <= posted)
    }

    /// Drops what is over the limits. Where the bytes are, the greater half gives: neither many changes of a few messages
    /// nor a few long messages push the other out.
    fn evict(&mut self) {
        while self.all.posts.len() > self.limits.messages {
            self.drop_post();
        }
        while self.kept.len() > self.limits.changes() {
            self.drop_change();
        }
        while self.bytes > self.limits.bytes && !(self.kept.is_empty() && self.all.posts.is_empty()) {
            let of_changes = self.kept.len() * CHANGE_BYTES;
            if self.all.posts.is_empty() || of_changes > self.bytes / 2 {
                self.drop_change();
            } else {
                self.drop_post();
            }
        }
    }

    /// Drops all changes up to this number, and all messages that were posted by then.
    pub(super) fn evict_to(&mut self, seq: u64) {
        while self.all.posts.front().is_some_and(|oldest| oldest.posted <= seq) {
            self.drop_post();
        }
        while self.all.changes.front().is_some_and(|oldest| *oldest <= seq) {
            self.drop_change();
        }
    }

    /// The oldest post leaves, and the changes before it.
    fn drop_post(&mut self) {
        let Some(oldest) = self.all.posts.front().copied() else { return };
        while self.all.changes.front().is_some_and(|seq| *seq <= oldest.posted) {
            self.drop_change();
        }
        self.all.drop_post();
        let Some(record) = self.records.get(&oldest.posted).cloned() else { return };
        self.domains.change(&record.content.domain, Feed::drop_post);
        if let Some(rooms) = &mut self.rooms {
            rooms.hide(&record.content.domain, oldest.posted);
        }
        if !self.is_counted(&record) {
            self.forget(&record);
        }
    }

    fn drop_change(&mut self) {
        let Some(Kept { posted, .. }) = self.kept.pop_front() else { return };
        self.all.drop_change();
        self.bytes -= CHANGE_BYTES;
        let Some(record) = self.records.get(&posted).cloned() else { return };
        self.domains.change(&record.content.domain, Feed::drop_change);
        if record.state.seq == self.all.floor.seq && !self.is_counted(&record) {
            self.forget(&record);
        }
    }
}

fn post(record: &Record) -> Post {
    Post { stamp: record.content.timestamp, posted: record.content.posted }
}

/// What a change takes in memory, by estimate; with its message, where it posted that.
pub(crate) fn bytes(change: &Shown) -> usize {
    let message = if change.kind == ChangeKind::Posted { message_bytes(&change.record) } else { 0 };
    CHANGE_BYTES + message
}

/// What a message takes in memory, by estimate.
fn message_bytes(record: &Record) -> usize {
    let content = &record.content;
    let origin = content.origin.as_ref().map_or(0, |origin| origin.bytes());
    MESSAGE_BYTES
        + origin
        + content.text.len()
        + content.username.len()
        + content.color.len()
        + content.domain.len()
}
