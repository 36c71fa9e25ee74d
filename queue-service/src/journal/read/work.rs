//! The numbers of messages that are addressed to bots, by where their work stands.

use std::ops::Bound;

use crate::{
    domain::Status,
    journal::{FormatError, JournalError, Store, Tally, keys::last_number},
};

/// Which rows name the work that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkRows {
    /// All work.
    All,
    /// What waits or is in work.
    Live,
    /// What is complete, and with it what has failed.
    Finished,
    /// What has failed, but for what was hidden or deleted since: its rows are for those who try again.
    Failed,
}

impl WorkRows {
    /// The rows among which the work with this status is, and as little else as can be.
    pub fn with(status: Option<Status>) -> Self {
        match status {
            None => Self::All,
            Some(Status::Pending | Status::Processing) => Self::Live,
            Some(Status::Complete) => Self::Finished,
            Some(Status::Failed) => Self::Failed,
        }
    }

    /// What is finished meanwhile leaves the first range for the second, so the first is read first.
    fn prefixes(self) -> &'static [u8] {
        match self {
            Self::All => b"ls",
            Self::Live => b"l",
            Self::Finished => b"s",
            Self::Failed => b"f",
        }
    }
}

impl Store {
    /// The numbers of at most `most` messages that were posted before number `before`, newest first: one range read for each
    /// kind of row, whatever else is stored.
    pub fn work_before(
        &self,
        rows: WorkRows,
        before: u64,
        most: usize,
        tally: &Tally,
    ) -> Result<Vec<u64>, JournalError> {
        let mut found = Vec::new();
        for prefix in rows.prefixes() {
            let end = [&[*prefix][..], &before.to_be_bytes()].concat();
            let range = (Bound::Included(vec![*prefix]), Bound::Excluded(end));
            for row in self.0.index.range(range, tally).rev().take(most) {
                found.push(last_number(&row?.0).ok_or(FormatError::Field("posted"))?);
            }
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        // One that was finished between the two ranges stands in both.
        found.dedup();
        found.truncate(most);
        Ok(found)
    }
}
