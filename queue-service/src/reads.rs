//! Reading: from the views where they reach, from the storage where they do not, and counted either way.
//!
//! Must never go through the writer, and never show what the views do not show yet.

mod feed;
mod page;
mod work;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::{
    domain::{ConversationId, Millis, Owner, Record, Status},
    journal::{Costs, JournalError, Store, Tally},
    views::{Page, Room, Views},
};

pub(crate) use feed::{Listed, Lost};
pub(crate) use page::{PAGE_BYTES, weight};
pub(crate) use work::WorkFilter;

/// Deleted and hidden messages of a conversation that one read passes over.
const DELETED: usize = 1_000;

/// Everything that readers read from; cheap to clone.
#[derive(Clone)]
pub(crate) struct Reads {
    /// What is in memory.
    pub views: Arc<Views>,
    /// What is on disk.
    pub store: Store,
    /// Where storage calls are counted.
    pub costs: Costs,
    /// How many messages were failed when they were counted last.
    pub failures: Arc<Mutex<Option<FailureCount>>>,
}

/// A count that may have taken long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailureCount {
    count: u64,
    took: Duration,
    at: Instant,
}

/// A position in the feed, opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Names the log.
    pub epoch: Arc<str>,
    /// Number of the last change seen.
    pub seq: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

impl Cursor {
    /// Reads a cursor; `None` where it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (epoch, seq) = text.rsplit_once('.')?;
        let well_formed = epoch.len() == 16 && epoch.bytes().all(|b| b.is_ascii_hexdigit());
        // `parse` alone would accept a sign, and other spellings of the same number.
        let digits = seq.bytes().all(|b| b.is_ascii_digit()) && (seq == "0" || !seq.starts_with('0'));
        (well_formed && digits).then_some(())?;
        Some(Self { epoch: epoch.into(), seq: seq.parse().ok()? })
    }
}

impl Reads {
    /// The cursor after change `seq`.
    pub(crate) fn cursor(&self, seq: u64) -> Cursor {
        Cursor { epoch: Arc::clone(self.store.epoch()), seq }
    }

    /// Number of the newest change that readers can see.
    pub(crate) fn tail(&self) -> u64 {
        *self.views.subscribe().borrow()
    }

    /// A message, where it is cached or live.
    pub(crate) fn shown(&self, id: Uuid) -> Option<Arc<Record>> {
        self.views.posted(self.store.ids().open(id)?)
    }

    /// One message.
    pub(crate) async fn message(&self, id: Uuid) -> Result<(Option<Arc<Record>>, u64), JournalError> {
        if let Some(record) = self.shown(id) {
            self.costs.note("GetMessage", &Tally::default());
            return Ok((Some(record), 0));
        }
        let (found, reads) =
            self.on_disk("GetMessage", move |reads, tally| reads.store.find(id, tally)).await?;
        self.until_durable(&found).await;
        Ok((found.and_then(|record| self.present(record)), reads))
    }

    /// Whose a conversation is: one read.
    pub(crate) async fn owner(
        &self,
        conversation: ConversationId,
    ) -> Result<(Option<Owner>, u64), JournalError> {
        self.on_disk("GetConversation", move |reads, tally| reads.store.find_owner(conversation, tally)).await
    }

    /// The last messages of a conversation that were posted before number `before`, oldest first: one range read, and
    /// one read for each message that has left the cache. Ends after `limit` of them, or by their bytes; says whether there
    /// are older ones. Behind [`DELETED`] deleted ones nothing is looked for: what somebody posts and deletes again does
    /// not make a conversation dear to read.
    pub(crate) async fn conversation(
        &self,
        call: &'static str,
        conversation: ConversationId,
        before: u64,
        limit: usize,
    ) -> Result<(Vec<Arc<Record>>, bool, u64), JournalError> {
        let before = before.min(self.tail().saturating_add(1));
        let find = move |reads: &Self, tally: &Tally| {
            let (mut records, mut deleted, mut bytes, mut more) = (Vec::new(), 0, 0, false);
            for posted in reads.store.conversation(conversation, before, tally) {
                // Retention may have taken a message that a run still names.
                let Some(record) = reads.posted(posted?, tally)? else { continue };
                if record.state.deleted || record.state.hidden {
                    deleted += 1;
                    if deleted == DELETED {
                        break;
                    }
                    continue;
                }
                bytes += weight(&record);
                more = records.len() == limit || bytes > PAGE_BYTES && !records.is_empty();
                if more {
                    break;
                }
                records.push(record);
            }
            records.reverse();
            Ok((records, more))
        };
        let ((records, more), reads) = self.on_disk(call, find).await?;
        self.until_durable(records.iter().map(AsRef::as_ref)).await;
        Ok((records, more, reads))
    }

    /// The message that was posted under a number, as readers see it.
    fn posted(&self, posted: u64, tally: &Tally) -> Result<Option<Arc<Record>>, JournalError> {
        if let Some(shown) = self.views.posted(posted) {
            return Ok(Some(shown));
        }
        Ok(self.store.message(posted, tally)?.and_then(|record| self.present(record)))
    }

    /// The first pending messages in the order in which they are handed out, at most `limit`, fewer by their bytes; says
    /// whether more wait.
    pub(crate) fn pending(&self, entities: &[String], limit: usize, now: Millis) -> (Vec<Arc<Record>>, bool) {
        self.costs.note("ListPending", &Tally::default());
        let mut pending = self.views.pending(entities, limit.saturating_add(1), now);
        let found = pending.len();
        pending.truncate(page::at_least_one(pending.iter().map(AsRef::as_ref)).min(limit));
        let more = pending.len() < found;
        (pending, more)
    }

    /// The rooms whose newest message was posted before number `before`, the one that was spoken in last first: at most
    /// `limit`, fewer by their bytes. `None` if rooms are not listed.
    pub(crate) fn rooms(&self, before: u64, limit: usize) -> Option<Page<Room>> {
        let mut page = self.views.rooms(before, limit)?;
        self.costs.note("ListRooms", &Tally::default());
        let fitting = page::rooms_at_least_one(&page.items);
        page.more |= fitting < page.items.len();
        page.items.truncate(fitting);
        Some(page)
    }

    /// The number under which a message was posted, also where it was swept since; `None` where the id is of no message of
    /// this log. Asks nobody: the number is in the id.
    pub(crate) fn number(&self, id: Uuid) -> Option<u64> {
        self.store.ids().open(id).filter(|posted| *posted <= self.tail())
    }

    /// The failed messages, newest first, those that were posted before number `before`: at most `limit`, fewer by their
    /// bytes. Says whether there are older ones.
    pub(crate) async fn failed(
        &self,
        before: u64,
        limit: usize,
    ) -> Result<(Vec<Record>, bool, u64), JournalError> {
        let most = limit.saturating_add(1);
        let find = move |reads: &Self, tally: &Tally| reads.store.failed(before, most, tally);
        let (mut failed, reads) = self.on_disk("ListFailed", find).await?;
        self.until_durable(&failed).await;
        let found = failed.len();
        failed.truncate(page::at_least_one(failed.iter()).min(limit));
        let more = failed.len() < found;
        Ok((failed, more, reads))
    }

    /// The hidden messages, as [`Self::failed`].
    pub(crate) async fn hidden(
        &self,
        before: u64,
        limit: usize,
    ) -> Result<(Vec<Record>, bool, u64), JournalError> {
        let most = limit.saturating_add(1);
        let find = move |reads: &Self, tally: &Tally| reads.store.hidden(before, most, tally);
        let (mut hidden, reads) = self.on_disk("ListHidden", find).await?;
        self.until_durable(&hidden).await;
        let found = hidden.len();
        hidden.truncate(page::at_least_one(hidden.iter()).min(limit));
        let more = hidden.len() < found;
        Ok((hidden, more, reads))
    }

    /// How many messages are failed. All of them are gone through for it: where that took long, the number is kept for as
    /// long as it costs 5 % of the time. `call` is what it is counted under.
    pub(crate) async fn count_failed(&self, call: &'static str) -> Result<u64, JournalError> {
        const LONG: Duration = Duration::from_millis(50);
        if let Some(last) = self.failures.lock().as_ref()
            && last.took > LONG
            && last.at.elapsed() < 20 * last.took
        {
            return Ok(last.count);
        }
        let began = Instant::now();
        let (count, _) = self.on_disk(call, |reads, tally| reads.store.count_failed(tally)).await?;
        *self.failures.lock() = Some(FailureCount { count, took: began.elapsed(), at: Instant::now() });
        Ok(count)
    }

    /// Runs a look into the storage on a thread that may block, and counts it.
    async fn on_disk<T: Send + 'static>(
        &self,
        call: &'static str,
        find: impl FnOnce(&Self, &Tally) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<(T, u64), JournalError> {
        let reads = self.clone();
        let look = move || {
            let tally = Tally::default();
            let found = find(&reads, &tally);
            reads.costs.note(call, &tally);
            found.map(|found| (found, tally.reads()))
        };
        tokio::task::spawn_blocking(look).await.expect("a look into the storage does not panic")
    }

    /// The storage shows a row a moment before it is durable: whoever has read one waits for its commit. Where the
    /// commit fails, the process ends.
    async fn until_durable<'a>(&self, records: impl IntoIterator<Item = &'a Record>) {
        let Some(seq) = records.into_iter().map(|record| record.state.seq).max() else { return };
        // The sender lives as long as the views do.
        let _ = self.views.subscribe().wait_for(|tail| *tail >= seq).await;
    }

    /// Of what the storage holds, only what the views show already.
    async fn visible(&self, records: Vec<Record>, tail: u64) -> Vec<Arc<Record>> {
        self.until_durable(&records).await;
        let shown = records.into_iter().filter(|record| record.content.posted <= tail);
        shown.filter_map(|record| self.present(record)).collect()
    }

    /// A stored message with its present state: that of live work is in the views. `None` where it was swept since.
    fn present(&self, record: Record) -> Option<Arc<Record>> {
        if let Some(shown) = self.views.posted(record.content.posted) {
            return Some(shown);
        }
        let status = record.state.work.as_ref().map(|work| work.status);
        if matches!(status, Some(Status::Pending | Status::Processing)) {
            // It was finished between the two looks: its row has the final state now, or is swept already.
            let finished = self.store.message(record.content.posted, &Tally::default());
            return finished.unwrap_or(Some(record)).map(Arc::new);
        }
        Some(Arc::new(record))
    }
}
