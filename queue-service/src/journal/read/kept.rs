//! Messages whose post was swept and which are kept all the same: they are live, or were changed since.
//!
//! Their commits are gone, so lists find them by their own rows, and those of one domain by an index that the sweep writes.

use std::ops::{Bound, RangeInclusive};

use super::Reader;
use crate::{
    domain::{Millis, Record},
    journal::{
        FormatError, JournalError, Store, Tally,
        keys::{DomainHash, Key, last_number},
    },
};

/// Bytes of text after which no further message is read: more than a page takes.
const PAGE_BYTES: usize = 1024 * 1024;

/// Some messages in the order in which they were posted, and whether there are more.
#[derive(Debug, Default)]
pub(super) struct KeptPosts {
    pub(super) records: Vec<Record>,
    pub(super) more: bool,
}

impl Store {
    /// The messages that were posted up to the change `upto` with a time stamp after `after`, of one domain or of all, oldest
    /// first: at least `limit` if there are as many and they do not take more bytes than a page, never a part of one time
    /// stamp.
    pub(super) fn kept_after(
        &self,
        after: Millis,
        upto: u64,
        domain: Option<&str>,
        limit: usize,
        tally: &Tally,
    ) -> Result<KeptPosts, JournalError> {
        let from = self.kept_at(after, upto, domain, tally)?.saturating_add(1);
        let posted = self.kept_numbers(domain, from..=upto, tally);
        self.whole_stamps(posted, domain, limit, tally)
    }

    /// The same of those before the message that was posted under number `before`, newest first.
    pub(super) fn kept_before(
        &self,
        before: u64,
        domain: Option<&str>,
        limit: usize,
        tally: &Tally,
    ) -> Result<KeptPosts, JournalError> {
        let Some(last) = before.checked_sub(1) else { return Ok(KeptPosts::default()) };
        let posted = self.kept_numbers(domain, 0..=last, tally).rev();
        self.whole_stamps(posted, domain, limit, tally)
    }

    /// True if there is a message whose post was swept.
    pub fn has_kept(&self, tally: &Tally) -> Result<bool, JournalError> {
        let upto = self.begins().seq;
        Ok(self.kept_numbers(None, 0..=upto, tally).next().transpose()?.is_some())
    }

    fn whole_stamps(
        &self,
        posted: impl Iterator<Item = Result<u64, JournalError>>,
        domain: Option<&str>,
        limit: usize,
        tally: &Tally,
    ) -> Result<KeptPosts, JournalError> {
        let (mut found, mut bytes, mut reader) = (KeptPosts::default(), 0, Reader::new(self, tally));
        for posted in posted {
            // It may have been swept since its row was read; domains whose hashes meet are told apart here.
            let Some(record) = reader.message(posted?)? else { continue };
            if domain.is_some_and(|domain| *record.content.domain != *domain) {
                continue;
            }
            let stamp = |record: &Record| record.content.timestamp;
            let ends = found.records.last().is_some_and(|last| stamp(last) != stamp(&record));
            if (found.records.len() >= limit || bytes > PAGE_BYTES) && (ends || limit == 0) {
                found.more = true;
                break;
            }
            bytes += record.content.text.len();
            found.records.push(record);
        }
        Ok(found)
    }

    /// A number so that what was posted up to it has a time stamp of at most `after`, and what was posted later, up to
    /// `upto`, a greater one: a binary search.
    fn kept_at(
        &self,
        after: Millis,
        upto: u64,
        domain: Option<&str>,
        tally: &Tally,
    ) -> Result<u64, JournalError> {
        let (mut low, mut high) = (0, upto);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.stamp_behind(middle, high, domain, tally)? {
                Some((posted, stamp)) if stamp <= after => low = posted,
                Some(_) | None => high = middle,
            }
        }
        Ok(low)
    }

    /// Number and time stamp of the first message that is kept, posted after `from` and up to `to`.
    fn stamp_behind(
        &self,
        from: u64,
        to: u64,
        domain: Option<&str>,
        tally: &Tally,
    ) -> Result<Option<(u64, Millis)>, JournalError> {
        for posted in self.kept_numbers(domain, from.saturating_add(1)..=to, tally) {
            let posted = posted?;
            if let Some((content, _)) = Reader::new(self, tally).said(posted)? {
                return Ok(Some((posted, content.timestamp)));
            }
        }
        Ok(None)
    }

    /// The numbers of messages whose posts were swept: of all, by where their contents stand now; of a domain, by the rows
    /// that were written for that.
    pub(super) fn kept_numbers(
        &self,
        domain: Option<&str>,
        posted: RangeInclusive<u64>,
        tally: &Tally,
    ) -> impl DoubleEndedIterator<Item = Result<u64, JournalError>> + use<> {
        let domain = domain.map(DomainHash::of);
        let key = |posted: &u64| match domain {
            Some(domain) => Key::Kept(domain, *posted).to_bytes(),
            None => Key::Content(*posted).to_bytes(),
        };
        // An empty range as sled wants it.
        let end = if posted.start() > posted.end() { posted.start() } else { posted.end() };
        let bounds = match posted.is_empty() {
            true => (Bound::Included(key(posted.start())), Bound::Excluded(key(end))),
            false => (Bound::Included(key(posted.start())), Bound::Included(key(end))),
        };
        let number = |row: Result<(sled::IVec, sled::IVec), JournalError>| {
            last_number(&row?.0).ok_or_else(|| FormatError::Field("posted").into())
        };
        self.0.index.range(bounds, tally).map(number)
    }
}
