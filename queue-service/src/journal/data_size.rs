//! How many bytes are stored. Every commit notes it in its row, so nobody has to count.
//!
//! Counted are the keys and values of the rows that grow with what is said: messages (`m`), final states of work (`s`),
//! commits (`j`) and their domains (`d`), each as it stands now. Not counted is what has a bound of its own, or is a small
//! part of a message: live states, idempotency keys, owners, the numbers in the runs of conversations, the index of what
//! outlives its commit or is hidden, blocks, and operators' acts. What sled takes beside them on the disk is not known here.

use super::{
    Beginning, Commit, JournalError, SledStore, Tally,
    keys::{Key, last_number},
    sled_store::all,
    stored::{StoredBeginning, StoredCommit, decode, encode},
};
use crate::domain::ChangeKind;

/// The rows that are counted.
const COUNTED: [u8; 4] = [b'm', b's', b'j', b'd'];

/// What is stored, up to the newest change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DataSize {
    /// `None` in a log that older code has written, and nobody has counted.
    pub(super) bytes: Option<u64>,
    /// Number of the newest change.
    pub(super) newest: u64,
}

/// Bytes of a row with a value of this length; 0 if such rows are not counted.
pub(super) fn of_row(key: Key, value: usize) -> u64 {
    let key = match key {
        Key::Message(_) | Key::Finished(_) | Key::Commit(_) => 1 + 8,
        Key::Domain(..) => 1 + 16 + 8,
        Key::Meta | Key::Run(..) | Key::RunsUpTo | Key::Begins | Key::Live(_) | Key::Failed(_) => return 0,
        Key::Request(_) | Key::Pause(_) | Key::Owner(_) | Key::Kept(..) => return 0,
        Key::Hidden(_) | Key::Act(_) | Key::Block(_) => return 0,
    };
    key + value as u64
}

impl SledStore {
    /// Bytes of the rows that grow with what is said; `None` in a log that older code has written, until
    /// [`Self::count_data`] has counted them once.
    pub fn data_bytes(&self) -> Option<u64> {
        self.size.read().bytes
    }

    /// Finds what the newest commit, or a sweep after it, has noted: one range read and the row of the beginning.
    pub(super) fn read_data_size(&self, tally: &Tally) -> Result<(), JournalError> {
        let newest = self.range(all(b'j'), tally).next_back().transpose()?;
        let begins = self.get(Key::Begins, tally)?.map(|row| decode::<StoredBeginning>(&row)).transpose()?;
        let (newest, noted) = match newest {
            Some((key, row)) => (last_number(&key).unwrap_or(0), decode::<StoredCommit>(&row)?.data_bytes),
            None => (0, Some(0)),
        };
        let bytes = match begins {
            // Swept or counted after the newest commit.
            Some(StoredBeginning { data_bytes: Some(bytes), newest: at, .. }) if at == newest => Some(bytes),
            // Older code has swept since, and noted nothing.
            Some(StoredBeginning { data_bytes: None, seq: 1.., .. }) => None,
            Some(_) | None => noted,
        };
        *self.size.write() = DataSize { bytes, newest };
        Ok(())
    }

    /// Counts what is stored by reading all of it, if it is not known, and notes it. Tells whether it had to.
    ///
    /// # Errors
    /// If a row cannot be read, or the result not be stored.
    pub fn count_data(&self, tally: &Tally) -> Result<bool, JournalError> {
        if self.data_bytes().is_some() {
            return Ok(false);
        }
        let mut bytes = 0;
        for row in COUNTED {
            for row in self.range(all(row), tally) {
                let (key, value) = row?;
                bytes += (key.len() + value.len()) as u64;
            }
        }
        let newest = self.size.read().newest;
        let Beginning { seq, stamp } = self.begins();
        // An index was made when the log was opened, if it had none.
        let row = StoredBeginning { seq, stamp, indexed: true, data_bytes: Some(bytes), newest };
        self.put(Key::Begins, encode(&row))?;
        *self.size.write() = DataSize { bytes: Some(bytes), newest };
        Ok(true)
    }

    /// What is left of the rows that are there when this commit sweeps some and writes some anew.
    pub(super) fn left_by(&self, commit: &Commit, tally: &Tally) -> Result<Option<u64>, JournalError> {
        let Some(bytes) = self.data_bytes() else { return Ok(None) };
        let freed = commit.sweep.as_ref().map_or(0, |sweep| sweep.freed);
        Ok(Some(bytes.saturating_sub(freed).saturating_sub(self.replaced(commit, tally)?)))
    }

    /// Bytes of rows that this commit writes again or removes, but for those that it sweeps. Only live work gets a result,
    /// and has none yet, so claims and completions cost no read.
    fn replaced(&self, commit: &Commit, tally: &Tally) -> Result<u64, JournalError> {
        use ChangeKind::{Cancelled, Deleted, Edited, Hidden, Restored, Retried};
        let mut keys = Vec::new();
        for change in &commit.changes {
            let posted = change.record.content.posted;
            if matches!(change.kind, Edited | Deleted | Hidden | Restored) {
                keys.push(Key::Message(posted));
            }
            let is_work = change.record.state.work.is_some();
            if is_work && matches!(change.kind, Edited | Deleted | Cancelled | Retried | Hidden | Restored) {
                keys.push(Key::Finished(posted));
            }
        }
        keys.sort_unstable();
        keys.dedup();
        let mut bytes = 0;
        for key in keys {
            bytes += self.get(key, tally)?.map_or(0, |row| of_row(key, row.len()));
        }
        Ok(bytes)
    }

    /// Takes what is noted out of the newest commit, as if older code had written it.
    #[cfg(test)]
    pub(super) fn forget_data_bytes(&self) {
        let row = self.range(all(b'j'), &Tally::default()).next_back();
        let (key, value) = row.expect("a commit").expect("sled reads it");
        let mut commit = decode::<StoredCommit>(&value).expect("it was written");
        commit.data_bytes = None;
        self.put(Key::Commit(last_number(&key).expect("a number")), encode(&commit)).expect("sled takes it");
    }
}
