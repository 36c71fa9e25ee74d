//! Tests of the stored format, of what follows from a commit, and of what is read back from it.

mod erasing;
mod format;
mod opening;
mod reading;
mod rebuilding;
mod rows;
mod samples;
mod secrets;
mod sweeping;

use std::{collections::HashSet, fs, os::unix::fs::FileExt as _, path::Path};

use tempfile::TempDir;

use super::{Commit, Durability, Journal as _, LogJournal, OpenError, Store, Sweepable, Tally};
use crate::domain::{
    Millis,
    tests::{
        history::{Act, Lived},
        world::is_live,
    },
};

/// A history and the store that keeps it.
pub(crate) struct Kept {
    pub(crate) lived: Lived,
    pub(crate) journal: LogJournal,
    pub(crate) store: Store,
    pub(crate) dir: TempDir,
}

/// Makes the commit that ends with this change unreadable, in the log of this data directory.
pub(crate) fn spoil_commit(dir: &Path, store: &Store, last: u64) {
    let place = store.0.log.find(last).unwrap().expect("it was appended").place.to_u64();
    let (segment, offset) = (place >> 32, place & u64::from(u32::MAX));
    let path = dir.join(format!("log/{segment:010}.log"));
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[0xff; 16], offset + 24).unwrap();
}

impl Kept {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let journal = open(&dir);
        let store = journal.store().clone();
        Self { lived: Lived::new(store.ids().clone()), journal, store, dir }
    }

    /// Lives through commits and keeps each.
    pub(crate) fn keep(&mut self, commits: &[(Millis, Vec<Act>)]) {
        for (later, acts) in commits {
            let changes = self.lived.live(*later, acts).to_vec();
            if !changes.is_empty() {
                let stamp = self.lived.world.queue.last_stamp();
                let commit = Commit { stamp, at: self.lived.world.now, changes, ..Commit::default() };
                self.journal.append(&commit, &Tally::default()).unwrap();
            }
        }
    }

    /// Lives through a commit that sweeps, too: commits that end with number `to` or before, until there are so many
    /// changes. Live work stays, and what the commit changes. What is gone is forgotten here, too.
    pub(crate) fn keep_and_sweep(&mut self, (later, acts): &(Millis, Vec<Act>), to: u64, most: usize) {
        let changes = self.lived.live(*later, acts).to_vec();
        let world = &mut self.lived.world;
        let touched: HashSet<_> = changes.iter().map(|change| change.record.content.posted).collect();
        let stays = |posted| world.queue.is_live(posted) || touched.contains(&posted);
        let may =
            Sweepable { to, before: Millis::MAX, now: Millis::MAX, free: 0, changes: most, stays: &stays };
        let sweep = self.store.sweep(&may, &Tally::default()).unwrap().sweep;
        let stamp = world.queue.last_stamp();
        let commit = Commit { stamp, at: world.now, changes, sweep, ..Commit::default() };
        self.journal.append(&commit, &Tally::default()).unwrap();
        let begins = self.store.begins().seq;
        world.store.retain(|_, record| is_live(record) || record.state.seq > begins);
    }

    /// Closes the store and opens it again.
    pub(crate) fn reopen(self) -> Self {
        let Self { lived, journal, store, dir } = self;
        drop((journal, store));
        let journal = open(&dir);
        let store = journal.store().clone();
        Self { lived, journal, store, dir }
    }
}

/// Opens a store that survives the end of the process: no test can cut the power. sled gives its lock back a moment
/// after the last handle is gone.
pub(crate) fn open(dir: &TempDir) -> LogJournal {
    loop {
        match super::open(dir.path(), Durability::Process, &Tally::default()) {
            Err(OpenError::InUse(_)) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}
