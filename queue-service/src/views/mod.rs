//! What readers see: the newest messages and changes, all live work, and the order of the pending.
//!
//! Owns the memory that polls, lists and watchers read from. Only the writer publishes, and only what is durable;
//! readers hold a short lock while they copy pointers, and never touch the storage.

mod acts;
mod blocks;
mod cache;
mod feed;
mod pauses;
mod pending;
mod rooms;

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::domain::{Change, ChangeKind, Millis, Record};

pub(crate) use cache::bytes;
pub use cache::{CacheFill, CacheLimits};
pub use feed::{Floor, Shown};
pub use pending::{EntityDepth, Totals};
pub use rooms::Room;

use acts::Acts;
use blocks::Blocks;
use cache::Cache;
use pauses::Pauses;

/// The views; shared by everybody who reads.
#[derive(Debug)]
pub struct Views {
    cache: RwLock<Cache>,
    tail: watch::Sender<u64>,
    pauses: Pauses,
    acts: Acts,
    blocks: Blocks,
}

/// A part of a feed.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What was asked for, messages and changes oldest first.
    pub items: Vec<T>,
    /// True where more can be read at once.
    pub more: bool,
    /// Number of the newest change that readers could see at that moment.
    pub tail: u64,
}

/// The cache does not reach back that far; the storage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeforeCache {
    /// From where on the cache holds everything of the feed that was asked for.
    pub floor: Floor,
    /// Number of the newest change that readers could see at that moment.
    pub tail: u64,
}

impl Views {
    /// The views of a log that ends at number `tail`: its newest commits in order, and all live work. `floor` is where
    /// the commits begin.
    pub fn restore(
        limits: CacheLimits,
        aging_ms: Millis,
        floor: Floor,
        commits: impl Iterator<Item = Shown>,
        live: &[Record],
        tail: u64,
    ) -> Self {
        let mut cache = Cache::new(limits, aging_ms, floor);
        commits.for_each(|change| cache.publish(change));
        live.iter().for_each(|record| cache.restore_live(record.clone()));
        cache.begin_at(tail);
        Self {
            cache: RwLock::new(cache),
            tail: watch::Sender::new(tail),
            pauses: Pauses::default(),
            acts: Acts::default(),
            blocks: Blocks::default(),
        }
    }

    /// Shows the changes of a durable commit, and wakes those who wait for them.
    pub fn publish(&self, changes: Vec<Change>) {
        let Some(tail) = changes.last().map(Change::seq) else { return };
        let mut cache = self.cache.write();
        for change in changes {
            cache.publish(change.into());
        }
        // Under the lock: whoever reads a cursor from the cache finds it within the tail.
        self.tail.send_replace(tail);
    }

    /// The number of the newest change, and every later one. Subscribe before reading, so that nothing is missed.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.tail.subscribe()
    }

    /// The message that was posted under a number, where it is cached or live.
    pub fn posted(&self, posted: u64) -> Option<Arc<Record>> {
        self.cache.read().posted(posted)
    }

    /// The newest messages of a domain or of all that were posted before number `before`: at least `limit` where there are
    /// as many, and back to the beginning of a time stamp.
    ///
    /// # Errors
    /// Where the cache holds fewer than `limit` and the log may hold more.
    pub fn before(
        &self,
        domain: Option<&str>,
        before: u64,
        limit: usize,
    ) -> Result<Page<Arc<Record>>, BeforeCache> {
        self.cache.read().before(domain, before, limit)
    }

    /// Messages with a time stamp after `after`, whole time stamps, at least `limit` where there are as many.
    ///
    /// # Errors
    /// Where the cache does not reach back that far.
    pub fn after(
        &self,
        domain: Option<&str>,
        after: Millis,
        limit: usize,
    ) -> Result<Page<Arc<Record>>, BeforeCache> {
        self.cache.read().after(domain, after, limit)
    }

    /// At most `limit` changes after number `seq`.
    ///
    /// # Errors
    /// Where the cache does not reach back that far.
    pub fn changes(&self, domain: Option<&str>, seq: u64, limit: usize) -> Result<Page<Shown>, BeforeCache> {
        self.cache.read().changes(domain, seq, limit)
    }

    /// The rooms whose newest message that readers can see was posted before number `before`: at most `limit`, the one that
    /// was spoken in last first. `None` if rooms are not listed.
    pub fn rooms(&self, before: u64, limit: usize) -> Option<Page<Room>> {
        self.cache.read().rooms(before, limit)
    }

    /// Number up to which everything has left the cache: every change, and every message that was last changed by then.
    pub fn evicted_to(&self) -> u64 {
        self.cache.read().evicted_to()
    }

    /// Lets everything up to this number leave the cache: it is about to leave the storage.
    pub fn evict_to(&self, seq: u64) {
        self.cache.write().evict_to(seq);
    }

    /// Call before looking for a domain in the storage: from then on its floor tells of this domain alone.
    pub fn pin(&self, domain: &str) -> Floor {
        self.cache.write().pin(domain)
    }

    /// Notes what a look into the storage has shown: since `floor` the cache holds everything of this domain. Ignored
    /// where the cache has dropped something of it since the look began, when its floor was `before`.
    pub fn learn(&self, domain: &str, before: Floor, floor: Floor) {
        self.cache.write().learn(domain, before, floor);
    }

    /// The first `limit` pending messages in the order in which they are handed out, of these entities, of all if none is named; those
    /// that wait for a retry at `now` are left out.
    pub fn pending(&self, entities: &[String], limit: usize, now: Millis) -> Vec<Arc<Record>> {
        self.cache.write().pending(entities, limit, now)
    }

    /// All that waits, also what waits for its time.
    pub fn waiting(&self) -> Vec<Arc<Record>> {
        self.cache.read().waiting()
    }

    /// The queue of one entity or of all these: how many wait, and since when the oldest.
    pub fn depth(&self, entities: &[String]) -> (u64, Option<Millis>) {
        self.cache.read().depth(entities)
    }

    /// Reads the queues of the entities behind this name, in the order of their names. Short: everybody waits meanwhile.
    pub fn depths<T>(&self, after: &str, read: impl FnOnce(&mut dyn Iterator<Item = EntityDepth>) -> T) -> T {
        self.cache.read().depths(after, read)
    }

    /// The `most` entities for which the most messages wait, the deepest first.
    pub fn deepest(&self, most: usize) -> Vec<EntityDepth> {
        self.cache.read().deepest(most)
    }

    /// All queues together. Costs the same however many there are.
    pub fn totals(&self, now: Millis) -> Totals {
        self.cache.write().totals(now)
    }

    /// How full the cache is.
    pub fn fill(&self) -> CacheFill {
        self.cache.read().fill()
    }

    /// How many changes of each kind were published since the start.
    pub fn counts(&self) -> Vec<(ChangeKind, u64)> {
        self.cache.read().counts()
    }
}

#[cfg(test)]
mod tests;
