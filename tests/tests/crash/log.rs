//! The log as a reader sees it: every change from the first on, read by cursor across all restarts.

use crate::history::Seen;

/// All changes that were read, and where each life of the service ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Log {
    pub(crate) epoch: String,
    pub(crate) changes: Vec<Seen>,
    /// Number of the last change of each life that is over.
    pub(crate) ends_of_lives: Vec<u64>,
}

impl Log {
    /// The change with this number. The first of all has the number 1.
    pub(crate) fn change(&self, seq: u64) -> Option<&Seen> {
        let change = self.changes.get(usize::try_from(seq.checked_sub(1)?).ok()?)?;
        (change.seq == seq).then_some(change)
    }

    /// Number of the last change.
    pub(crate) fn last(&self) -> u64 {
        self.changes.last().map_or(0, |change| change.seq)
    }

    /// The cursor after the last change.
    pub(crate) fn cursor(&self) -> String {
        format!("{}.{}", self.epoch, self.last())
    }
}
