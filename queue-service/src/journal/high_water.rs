//! The high-water mark: the last change that was acknowledged, kept in a file beside the log.
//!
//! A log whose end is damaged or gone looks like one that was never longer: sled opens it without a word. The mark tells
//! the difference. It must never be ahead of what is on disk, and is never needed to read the log.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use repartee_process::private_file;

use super::{Commit, Durability, Journal, JournalError, OpenError, SledStore, Tally, sled_log::open_log};
use crate::domain::Change;

/// Name of the mark's file in the data directory.
const FILE: &str = "high-water";

/// How often the mark itself is made durable. A mark that is older than the log does no harm.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Why the log is not what was acknowledged.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(
        "its file {FILE} is damaged, so whether the log is whole cannot be told; to go on with the log as it is, remove {FILE}"
    )]
    Mark,
    #[error(
        "the log ends with change {last}, but change {acknowledged} was acknowledged: its end is damaged or gone; to go on with what is left, remove the file {FILE}"
    )]
    End { last: u64, acknowledged: u64 },
    #[error(
        "the log {found} is not the one that was written here, {written}: it was lost or replaced; to go on with it, remove the file {FILE}"
    )]
    Log { found: Arc<str>, written: String },
}

/// The mark of one log.
pub struct HighWater {
    file: File,
    epoch: Arc<str>,
    /// Number of the change that the file holds.
    marked: u64,
}

impl HighWater {
    /// Holds the log against its mark, and makes a mark where there is none. A log that has changes and no mark may be
    /// any part of what it was, so it gets a new name: cursors of the old one must not be continued.
    ///
    /// # Errors
    /// Where the log ends before the mark, or is another log; where the file cannot be read or written.
    pub fn open(data_dir: &Path, store: &mut SledStore, tally: &Tally) -> Result<Self, OpenError> {
        let unusable = |error| OpenError::Directory(data_dir.to_owned(), error);
        let (last, marked) = Self::compare(data_dir, store, tally)?;
        if !marked && last > 0 {
            store.name_anew().map_err(|error| OpenError::reading(data_dir, error))?;
            tracing::warn!(
                data = %data_dir.display(),
                last,
                epoch = &**store.epoch(),
                "the file {FILE} is missing: whether the log is whole cannot be told; it goes on under a new name"
            );
        }
        if !marked {
            let line = line(store.epoch(), last);
            private_file::replace(&data_dir.join(FILE), line.as_bytes()).map_err(unusable)?;
        }
        let file = private_file::open(private_file::options().write(true), &data_dir.join(FILE))
            .map_err(unusable)?;
        let mut mark = Self { file, epoch: Arc::clone(store.epoch()), marked: last };
        // From now on readers see all of it.
        mark.set(last).map_err(unusable)?;
        Ok(mark)
    }

    /// Holds the log against its mark: the number of its last change, and whether there is a mark.
    ///
    /// # Errors
    /// Where the log ends before the mark, or is another log; where the file cannot be read.
    pub fn compare(data_dir: &Path, store: &SledStore, tally: &Tally) -> Result<(u64, bool), OpenError> {
        let damaged = |lost: Lost| OpenError::Damaged(data_dir.to_owned(), Box::new(lost));
        let (last, _) = store.last(tally).map_err(|error| OpenError::reading(data_dir, error))?;
        let line = match private_file::read(&data_dir.join(FILE)) {
            Ok(line) => line,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((last, false)),
            Err(error) => return Err(OpenError::Directory(data_dir.to_owned(), error)),
        };
        let (epoch, acknowledged) = parse(&line).ok_or_else(|| damaged(Lost::Mark))?;
        if *epoch != **store.epoch() {
            let found = Arc::clone(store.epoch());
            return Err(damaged(Lost::Log { found, written: epoch.to_owned() }));
        }
        if last < acknowledged {
            return Err(damaged(Lost::End { last, acknowledged }));
        }
        Ok((last, true))
    }

    fn set(&mut self, seq: u64) -> io::Result<()> {
        self.file.write_all_at(line(&self.epoch, seq).as_bytes(), 0)?;
        self.marked = seq;
        Ok(())
    }
}

/// A journal that keeps the mark of its log.
pub struct Marked<J> {
    journal: J,
    mark: HighWater,
    /// The log's file where commits are not synced one by one: what is marked has to be synced before.
    unsynced: Option<File>,
    acknowledged: u64,
    synced: Instant,
}

impl<J> Marked<J> {
    /// Keeps `mark` for what `journal` appends to the log in `data_dir`.
    ///
    /// # Errors
    /// Where the log's file cannot be opened.
    pub fn new(
        journal: J,
        mark: HighWater,
        data_dir: &Path,
        durability: Durability,
    ) -> Result<Self, OpenError> {
        let unsynced = match durability {
            Durability::Power => None,
            Durability::Process => Some(open_log(data_dir)),
        };
        let unsynced =
            unsynced.transpose().map_err(|error| OpenError::Directory(data_dir.to_owned(), error))?;
        Ok(Self { acknowledged: mark.marked, journal, mark, unsynced, synced: Instant::now() })
    }

    /// Where each commit is synced, each is marked: that is one small write to memory. Where not, the log is synced now
    /// and then and marked after it.
    fn keep(&mut self) -> io::Result<()> {
        let due = self.synced.elapsed() >= SYNC_EVERY;
        if due || self.unsynced.is_none() {
            self.catch_up()?;
        }
        if due {
            self.mark.file.sync_data()?;
            self.synced = Instant::now();
        }
        Ok(())
    }

    fn catch_up(&mut self) -> io::Result<()> {
        if self.mark.marked < self.acknowledged {
            self.unsynced.as_ref().map_or(Ok(()), File::sync_data)?;
            self.mark.set(self.acknowledged)?;
        }
        Ok(())
    }
}

impl<J: Journal> Journal for Marked<J> {
    fn append(&mut self, commit: &Commit, tally: &Tally) -> Result<(), JournalError> {
        self.journal.append(commit, tally)?;
        if let Some(last) = commit.changes.last().map(Change::seq) {
            self.acknowledged = last;
            self.keep().map_err(|error| JournalError::Sync(Arc::new(error)))?;
        }
        Ok(())
    }
}

impl<J> Drop for Marked<J> {
    fn drop(&mut self) {
        // Where this fails, the mark is older than it could be.
        let _ = self.catch_up();
    }
}

/// `epoch seq checksum`: a line of one length, so that it can be written over the one before.
fn line(epoch: &str, seq: u64) -> String {
    let said = format!("{epoch} {seq:020}");
    format!("{said} {:08x}\n", crc32fast::hash(said.as_bytes()))
}

fn parse(bytes: &[u8]) -> Option<(&str, u64)> {
    let text = str::from_utf8(bytes).ok()?;
    let (epoch, rest) = text.split_once(' ')?;
    let seq = rest.split_once(' ')?.0.parse().ok()?;
    (line(epoch, seq) == text).then_some((epoch, seq))
}
