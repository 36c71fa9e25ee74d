//! The index: everything that is looked up and does not stand in the log under its number. Derived from the log, and written
//! behind it.
//!
//! What a commit adds is in memory at once (the overlay) and in sled some seconds later, in sorted pieces. Readers ask the
//! overlay, then sled. Owns sled; beside it only the types of rows are named. Must never hold a text of a message, and never be
//! ahead of the log.

mod lists;
mod overlay;
mod rows;
mod settle;
mod sled_rows;

use parking_lot::{Condvar, Mutex, RwLock};
use sled::IVec;

use super::{
    JournalError, Tally,
    keys::{Key, List},
};

pub(super) use overlay::{Checkpoint, Op};
pub(super) use rows::{KeyRange, Rows, all};
pub(super) use sled_rows::{SledRows, Unusable, set_aside};

use overlay::{Overlay, Table};

/// Memory that the overlay may take before it is written, in bytes, by estimate.
const SETTLE_BYTES: usize = 8 << 20;
/// Memory that it may take at all: whoever adds to it waits then.
const MOST_BYTES: usize = 64 << 20;

/// The index of one log.
pub(super) struct Index {
    /// `None` in one that is only in memory.
    rows: Option<SledRows>,
    overlay: RwLock<Overlay>,
    /// Told when the overlay has room again, or never will.
    settled: (Mutex<()>, Condvar),
}

impl Index {
    /// An index whose rows are kept by sled, or one that is only in memory.
    pub(super) fn new(rows: Option<SledRows>) -> Self {
        Self { rows, overlay: RwLock::default(), settled: (Mutex::default(), Condvar::new()) }
    }

    /// Adds what a commit says; up to its end the log stands in the index then.
    pub(super) fn apply(&self, ops: Vec<Op>, upto: Checkpoint) {
        self.overlay.write().active.apply(ops, upto);
    }

    /// True if it is time to write the overlay, however young it is.
    pub(super) fn is_large(&self) -> bool {
        self.overlay.read().active.bytes >= SETTLE_BYTES
    }

    /// Waits while the overlay takes more memory than it may.
    pub(super) fn wait_for_room(&self, may_go_on: impl Fn() -> bool) {
        let is_full = || {
            let overlay = self.overlay.read();
            overlay.active.bytes + overlay.settling.as_ref().map_or(0, |table| table.bytes) > MOST_BYTES
        };
        if is_full() {
            let (lock, changed) = &self.settled;
            changed.wait_while(&mut lock.lock(), |()| is_full() && may_go_on());
        }
    }

    /// Wakes those who wait for room.
    pub(super) fn note_settled(&self) {
        let _order = self.settled.0.lock();
        self.settled.1.notify_all();
    }

    /// A row.
    pub(super) fn get(&self, key: Key, tally: &Tally) -> Result<Option<IVec>, JournalError> {
        self.get_bytes(&key.to_bytes(), tally)
    }

    /// The same by the bytes of its key.
    pub(super) fn get_bytes(&self, key: &[u8], tally: &Tally) -> Result<Option<IVec>, JournalError> {
        if let Some(found) = self.overlay.read().get(key) {
            return Ok(found);
        }
        let Some(rows) = &self.rows else { return Ok(None) };
        tally.count_read();
        rows.get(key)
    }

    /// What the overlay says of a row: `None` if nothing, `Some(None)` that there is none. Reads nothing.
    pub(super) fn in_memory(&self, key: Key) -> Option<Option<IVec>> {
        self.overlay.read().get(&key.to_bytes())
    }

    /// The rows of a range, from either end.
    pub(super) fn range(&self, range: KeyRange, tally: &Tally) -> Rows {
        // The memory first: what leaves it in between is in sled then.
        let over = self.overlay.read().range(&range);
        tally.count_read();
        Rows::new(over, self.rows.as_ref().map(|rows| rows.range(range)))
    }

    /// Whether there is a row, in sled or above it.
    pub(super) fn has(&self, key: Key, tally: &Tally) -> Result<bool, JournalError> {
        Ok(self.get(key, tally)?.is_some())
    }

    /// Whether sled has no row at all.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.as_ref().is_none_or(SledRows::is_empty)
    }

    /// All lists of which the overlay holds something.
    pub(super) fn all_listed(&self) -> Vec<(List, Vec<u64>)> {
        let overlay = self.overlay.read();
        let tables = overlay.settling.iter().map(std::ops::Deref::deref).chain([&overlay.active]);
        tables.flat_map(Table::lists).map(|(list, numbers)| (list, numbers.to_vec())).collect()
    }

    /// Numbers of a list that the overlay holds.
    fn listed(&self, list: List) -> Vec<u64> {
        self.overlay.read().list(list)
    }
}

/// The keys of rows that some changes leave in an empty index, and how long their values are; `None` if they are removed. Of
/// a list the key is the beginning of those of its runs.
#[cfg(test)]
pub(super) fn effect(ops: Vec<Op>) -> Vec<(Vec<u8>, Option<usize>)> {
    let mut table = Table::default();
    table.apply(ops, Checkpoint { place: repartee_log::Place::from_u64(0), check: repartee_log::Check(0) });
    let lists = table.lists().map(|(list, numbers)| (list.prefix().to_vec(), Some(size_of_val(numbers))));
    table.rows().map(|(key, value)| (key.to_vec(), value.map(|value| value.len()))).chain(lists).collect()
}
