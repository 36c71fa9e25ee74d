//! Reading the feed: pages by time stamp and by cursor.
//!
//! Time stamps and cursors differ where the beginning of the log was swept. A time stamp asks for what there is after it, so
//! its pages begin with the oldest that is kept. A cursor stands for all that its reader has seen, so one that is older than
//! the log is lost, and its reader is told.

use std::sync::Arc;

use super::{
    Cursor, Reads,
    page::{at_least_one, whole_stamps},
};
use crate::{
    domain::{Millis, Record},
    journal::{JournalError, Tally},
    views::{BeforeCache, Floor, Shown},
};

/// A page of the feed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed<T> {
    /// Oldest first.
    pub items: Vec<T>,
    /// Number after which to read on.
    pub next: u64,
    /// True where more can be read at once.
    pub more: bool,
    /// Storage reads.
    pub reads: u64,
}

/// Why a position in the feed cannot be read on from: who had it begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost(pub &'static str);

const SWEPT: Lost = Lost("the cursor is older than what is kept: retention has removed changes after it");

impl Reads {
    /// The number of a cursor.
    ///
    /// # Errors
    /// Why the position is lost.
    pub(crate) fn position(&self, cursor: &Cursor) -> Result<u64, Lost> {
        if cursor.epoch != *self.store.epoch() {
            return Err(Lost("the cursor is of another log: the data was replaced"));
        }
        if cursor.seq > self.tail() {
            return Err(Lost("the cursor is ahead of the log: newer data was lost or replaced"));
        }
        if cursor.seq < self.store.begins().seq {
            return Err(SWEPT);
        }
        Ok(cursor.seq)
    }

    /// The newest messages, as [`Self::before`].
    pub(crate) async fn newest(
        &self,
        domain: Option<String>,
        limit: usize,
    ) -> Result<Listed<Arc<Record>>, JournalError> {
        self.before(domain, u64::MAX, limit).await
    }

    /// The newest of the messages that were posted before number `before`: at least `limit` where there are as many and the
    /// page does not end by its bytes. Says whether there may be older ones.
    pub(crate) async fn before(
        &self,
        domain: Option<String>,
        before: u64,
        limit: usize,
    ) -> Result<Listed<Arc<Record>>, JournalError> {
        let tail = match self.views.before(domain.as_deref(), before, limit) {
            Ok(page) => {
                self.costs.note("ListMessages", &Tally::default());
                return Ok(newest_of(page.items, page.more, page.tail, 0));
            }
            Err(BeforeCache { tail, .. }) => tail,
        };
        let pinned = domain.as_deref().map(|domain| self.views.pin(domain));
        let of = domain.clone();
        let find =
            move |reads: &Self, tally: &Tally| reads.store.posts_before(before, of.as_deref(), limit, tally);
        let (posts, reads) = self.on_disk("ListMessages", find).await?;
        // A domain in which nobody has written yet: from now on the cache knows all of it.
        let is_empty = before == u64::MAX && posts.records.is_empty();
        if let (Some(domain), Some(pinned), true) = (domain, pinned, is_empty) {
            self.views.learn(&domain, pinned, Floor { stamp: 0, seq: pinned.seq });
        }
        let items = self.visible(posts.records, tail).await;
        Ok(newest_of(items, posts.more, tail, reads))
    }

    /// Messages with a time stamp after `after`: at least `limit` where there are as many and the page does not end by its
    /// bytes.
    pub(crate) async fn after(
        &self,
        domain: Option<String>,
        after: Millis,
        limit: usize,
    ) -> Result<Listed<Arc<Record>>, JournalError> {
        let tail = match self.views.after(domain.as_deref(), after, limit) {
            Ok(page) => {
                self.costs.note("ListMessages", &Tally::default());
                return Ok(listed(page.items, page.more, page.tail, 0));
            }
            Err(BeforeCache { tail, .. }) => tail,
        };
        let before = domain.as_deref().map(|domain| self.views.pin(domain));
        let of = domain.clone();
        let find =
            move |reads: &Self, tally: &Tally| reads.store.posts_after(after, of.as_deref(), limit, tally);
        let (posts, reads) = self.on_disk("ListMessages", find).await?;
        if let (Some(domain), Some(before), false) = (domain, before, posts.more) {
            let older = |record: &&Record| record.content.timestamp <= before.stamp;
            let newest = posts.records.iter().rfind(older).map_or(after, |record| record.content.timestamp);
            self.views.learn(&domain, before, Floor { stamp: newest, seq: before.seq });
        }
        Ok(listed(self.visible(posts.records, tail).await, posts.more, tail, reads))
    }

    /// Changes after number `seq`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// Outside, where the storage fails; inside, where some of them are swept.
    pub(crate) async fn changes(
        &self,
        call: &'static str,
        domain: Option<String>,
        seq: u64,
        limit: usize,
    ) -> Result<Result<Listed<Shown>, Lost>, JournalError> {
        let tail = match self.views.changes(domain.as_deref(), seq, limit) {
            Ok(page) => {
                self.costs.note(call, &Tally::default());
                return Ok(Ok(changed(page.items, page.more, limit, seq, page.tail, 0)));
            }
            Err(BeforeCache { tail, .. }) => tail,
        };
        let before = domain.as_deref().map(|domain| self.views.pin(domain));
        let of = domain.clone();
        let find =
            move |reads: &Self, tally: &Tally| reads.store.changes_after(seq, of.as_deref(), limit, tally);
        let (found, reads) = self.on_disk(call, find).await?;
        let Some(found) = found else { return Ok(Err(SWEPT)) };
        let items: Vec<_> =
            found.changes.into_iter().filter(|change| change.seq() <= tail).map(Shown::from).collect();
        if let (Some(domain), Some(before), false) = (domain, before, found.more) {
            let older = |change: &&Shown| change.seq() <= before.seq;
            let newest = items.iter().rfind(older).map_or(seq, |change| change.seq());
            self.views.learn(&domain, before, Floor { stamp: before.stamp, seq: newest });
        }
        Ok(Ok(changed(items, found.more, limit, seq, tail, reads)))
    }
}

/// The newest of these messages that make a page.
fn newest_of(mut items: Vec<Arc<Record>>, more: bool, tail: u64, reads: u64) -> Listed<Arc<Record>> {
    let left_out = items.len() - whole_stamps(items.iter().rev().map(AsRef::as_ref));
    items.drain(..left_out);
    Listed { items, next: tail, more: more || left_out > 0, reads }
}

/// The first of these changes that make a page of at most `limit`; all of them are after number `seq`. The storage gives
/// whole commits.
fn changed(
    mut items: Vec<Shown>,
    more: bool,
    limit: usize,
    seq: u64,
    tail: u64,
    reads: u64,
) -> Listed<Shown> {
    let fitting = at_least_one(items.iter().map(|change| &*change.record)).min(limit);
    let more = more || fitting < items.len();
    items.truncate(fitting);
    let next = if more { items.last().map_or(seq, |change| change.seq()) } else { tail };
    Listed { items, next, more, reads }
}

/// The first of these messages that make a page.
fn listed(mut items: Vec<Arc<Record>>, more: bool, tail: u64, reads: u64) -> Listed<Arc<Record>> {
    let fitting = whole_stamps(items.iter().map(AsRef::as_ref));
    let more = more || fitting < items.len();
    items.truncate(fitting);
    let next = if more { items.last().map_or(tail, |record| record.content.posted) } else { tail };
    Listed { items, next, more, reads }
}
