//! The cache behind the views: bounded by messages and by bytes; the oldest leave first.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    BeforeCache, EntityDepth, Floor, Page,
    feed::{Feed, Post, Shown},
    pending::Pending,
};
use crate::domain::{ChangeKind, Millis, Record, Status};

/// Changes kept for each message that may be cached: a message is posted, claimed and finished, some are retried.
const CHANGES_A_MESSAGE: usize = 4;
/// What a message costs beside its texts: the record, its places in the maps and feeds.
const MESSAGE_BYTES: usize = 450;
/// What a change costs: the state of the message at that moment, its places in the feeds.
const CHANGE_BYTES: usize = 450;
/// Domains of which nothing is cached but where their newest message stands; the memory of more is forgotten.
const QUIET_DOMAINS: usize = 10_000;

/// How much may be cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// Most messages.
    pub messages: usize,
    /// Most bytes, messages and changes together, by estimate.
    pub bytes: usize,
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

#[derive(Debug)]
pub(super) struct Cache {
    limits: CacheLimits,
    tail: u64,
    bytes: usize,
    /// Cached and live messages by the number of their post.
    records: HashMap<u64, Arc<Record>>,
    all: Feed,
    domains: HashMap<String, Feed>,
    pending: Pending,
    counts: BTreeMap<ChangeKind, u64>,
}

impl Cache {
    pub(super) fn new(limits: CacheLimits, aging_ms: Millis, floor: Floor) -> Self {
        Self {
            limits,
            tail: floor.seq,
            bytes: 0,
            records: HashMap::new(),
            all: Feed::new(floor),
            domains: HashMap::new(),
            pending: Pending::new(aging_ms),
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn publish(&mut self, change: Shown) {
        let Shown { kind, record } = change.clone();
        self.tail = change.seq();
        *self.counts.entry(kind).or_default() += 1;
        self.bytes += bytes(&change);
        self.show(Arc::clone(&record), kind == ChangeKind::Posted);
        let domain = self.domain(&record.content.domain);
        domain.changes.push_back(change.clone());
        if kind == ChangeKind::Posted {
            domain.posts.push_back(post(&record));
            self.all.posts.push_back(post(&record));
        }
        self.all.changes.push_back(change);
        if matches!(kind, ChangeKind::Edited | ChangeKind::Deleted) {
            self.all.rewrite(&record);
            self.domain(&record.content.domain).rewrite(&record);
        }
        self.evict();
    }

    pub(super) fn restore_live(&mut self, record: Record) {
        let record = Arc::new(record);
        if let Some(before) = self.records.insert(record.content.posted, Arc::clone(&record)) {
            self.pending.remove(&before);
        }
        self.pending.add(&record);
    }

    /// Counts from zero, from the log's end on.
    pub(super) fn begin_at(&mut self, tail: u64) {
        self.tail = tail;
        self.counts.clear();
    }

    /// Remembers a domain of which nothing may be cached. Returns from where on its feed is complete.
    pub(super) fn pin(&mut self, domain: &str) -> Floor {
        self.domain(domain).floor
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
        Ok(Page { items: changes.cloned().collect(), more, tail: self.tail })
    }

    pub(super) fn learn(&mut self, domain: &str, before: Floor, floor: Floor) {
        if let Some(feed) = self.domains.get_mut(domain).filter(|feed| feed.floor == before) {
            feed.floor = Floor { stamp: floor.stamp.min(before.stamp), seq: floor.seq.min(before.seq) };
        }
    }

    pub(super) fn pending(&self, entity: Option<&str>, limit: usize, now: Millis) -> Vec<Arc<Record>> {
        self.pending.first(entity, limit, now)
    }

    pub(super) fn depth(&self, entities: &[String]) -> (u64, Option<Millis>) {
        self.pending.depth(entities)
    }

    pub(super) fn depths(&self, now: Millis) -> Vec<EntityDepth> {
        self.pending.depths(now)
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

    /// Makes this the present state of a message, where it is live, cached or just posted.
    fn show(&mut self, record: Arc<Record>, posted: bool) {
        let place = record.content.posted;
        if let Some(before) = self.records.get(&place).cloned() {
            self.pending.remove(&before);
            if self.is_cached(place) {
                self.bytes = self.bytes + message_bytes(&record) - message_bytes(&before);
            }
        }
        self.pending.add(&record);
        if posted || is_live(&record) || self.is_cached(place) {
            self.records.insert(place, record);
        } else {
            self.records.remove(&place);
        }
    }

    fn is_cached(&self, posted: u64) -> bool {
        self.all.posts.front().is_some_and(|oldest| oldest.posted <= posted)
    }

    fn domain(&mut self, domain: &str) -> &mut Feed {
        if !self.domains.contains_key(domain) {
            self.forget_quiet_domains();
            self.domains.insert(domain.to_owned(), Feed::new(self.all.floor));
        }
        self.domains.get_mut(domain).expect("it is there or was just inserted")
    }

    fn forget_quiet_domains(&mut self) {
        if self.domains.len() >= QUIET_DOMAINS + self.all.posts.len() {
            self.domains.retain(|_, feed| !feed.is_empty());
        }
    }

    fn evict(&mut self) {
        while self.all.posts.len() > self.limits.messages || self.bytes > self.limits.bytes {
            let Some(oldest) = self.all.posts.front().copied() else {
                if self.all.changes.is_empty() {
                    break;
                }
                self.drop_change();
                continue;
            };
            while self.all.changes.front().is_some_and(|change| change.seq() <= oldest.posted) {
                self.drop_change();
            }
            self.drop_post(oldest);
        }
        while self.all.changes.len() > self.limits.changes() {
            self.drop_change();
        }
    }

    fn drop_post(&mut self, oldest: Post) {
        self.all.drop_post();
        let Some(record) = self.records.get(&oldest.posted).cloned() else { return };
        if let Some(feed) = self.domains.get_mut(&record.content.domain) {
            feed.drop_post();
        }
        self.bytes -= message_bytes(&record);
        if !is_live(&record) {
            self.records.remove(&oldest.posted);
        }
    }

    fn drop_change(&mut self) {
        let Some(change) = self.all.changes.front().cloned() else { return };
        self.all.drop_change();
        if let Some(feed) = self.domains.get_mut(&change.record.content.domain) {
            feed.drop_change();
        }
        self.bytes -= CHANGE_BYTES;
    }
}

fn post(record: &Record) -> Post {
    Post { stamp: record.content.timestamp, posted: record.content.posted }
}

fn is_live(record: &Record) -> bool {
    let status = record.state.work.as_ref().map(|work| work.status);
    matches!(status, Some(Status::Pending | Status::Processing))
}

/// What a change takes in memory, by estimate; with its message, where it posted that.
pub(crate) fn bytes(change: &Shown) -> usize {
    let message = if change.kind == ChangeKind::Posted { message_bytes(&change.record) } else { 0 };
    CHANGE_BYTES + message
}

/// What a message takes in memory, by estimate.
fn message_bytes(record: &Record) -> usize {
    let content = &record.content;
    MESSAGE_BYTES + content.text.len() + content.username.len() + content.color.len() + content.domain.len()
}
