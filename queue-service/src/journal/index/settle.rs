//! Writing the overlay into sled: in sorted pieces, durable, and the checkpoint last.
//!
//! Pieces need no atomicity: until the checkpoint is durable, a start reads the log from the one before, and writes the same
//! rows again.

use std::sync::Arc;

use super::{Checkpoint, Index, SledRows, Table, lists::RUN};
use crate::journal::{
    JournalError, Tally,
    keys::Key,
    stored::{StoredCheckpoint, StoredRun, decode, encode},
};
use repartee_log::{Check, Epoch, Place};

/// The version of the rows. An index of another version is made anew.
const VERSION: u32 = 1;

impl Index {
    /// Writes what the overlay holds. Commits go on meanwhile, and what they add comes next time. `first` is done before
    /// anything is written, once it is settled what will be. Says up to where the log stands in sled then, and how many rows
    /// were written; `None` if there was nothing to write.
    ///
    /// # Errors
    /// If sled or the disk fails. Then the index takes nothing more.
    pub(in crate::journal) fn settle(
        &self,
        epoch: Epoch,
        first: impl FnOnce() -> Result<(), JournalError>,
    ) -> Result<Option<(Checkpoint, u64)>, JournalError> {
        let (Some(rows), Some((table, upto))) = (&self.rows, self.begin_settling()) else {
            return first().map(|()| None);
        };
        first()?;
        let mut written = write(rows, &table)?;
        let checkpoint = StoredCheckpoint {
            version: VERSION,
            epoch: epoch.0,
            place: upto.place.to_u64(),
            check: upto.check.0,
        };
        let row = (Key::Checkpoint.to_bytes(), Some(encode(&checkpoint).into()));
        written += rows.write(std::iter::once(row))?;
        self.overlay.write().settling = None;
        self.note_settled();
        Ok(Some((upto, written)))
    }

    /// From now on commits add to another table. `None` if this one is empty.
    fn begin_settling(&self) -> Option<(Arc<Table>, Checkpoint)> {
        let mut overlay = self.overlay.write();
        let upto = overlay.active.upto?;
        let table = Arc::new(std::mem::take(&mut overlay.active));
        overlay.settling = Some(Arc::clone(&table));
        Some((table, upto))
    }

    /// Up to where the log of this name stands in sled; `None` if that cannot be told, or the rows are of another version
    /// or another log.
    pub(in crate::journal) fn checkpoint(
        &self,
        epoch: Epoch,
        tally: &Tally,
    ) -> Result<Option<Checkpoint>, JournalError> {
        let Some(row) = self.get(Key::Checkpoint, tally)? else { return Ok(None) };
        let Ok(StoredCheckpoint { version: VERSION, epoch: of, place, check }) = decode(&row) else {
            return Ok(None);
        };
        Ok((of == epoch.0).then_some(Checkpoint { place: Place::from_u64(place), check: Check(check) }))
    }
}

/// Writes the rows and the lists of a table. Says how many.
fn write(rows: &SledRows, table: &Table) -> Result<u64, JournalError> {
    let written = rows.write(table.rows().map(|(key, value)| (key.to_vec(), value.cloned())))?;
    let runs = table.lists().flat_map(|(list, numbers)| {
        numbers.chunks(RUN).filter_map(move |run| {
            let stored = StoredRun { numbers: run.to_vec() };
            Some((list.run(*run.last()?), Some(encode(&stored).into())))
        })
    });
    Ok(written + rows.write(runs)?)
}

#[cfg(test)]
impl Index {
    /// Ends before the checkpoint, as a kill would.
    pub(in crate::journal) fn settle_without_checkpoint(
        &self,
        first: impl FnOnce() -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let (Some(rows), Some((table, _))) = (&self.rows, self.begin_settling()) else { return Ok(()) };
        first()?;
        write(rows, &table).map(drop)
    }
}
