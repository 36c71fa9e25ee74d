//! Erasing what was deleted or replaced: the bodies in the log are overwritten with zeros.

use repartee_log::{BodyAt, EraseError, ReadError};

use super::{JournalError, commits::LogCommit, store::Shared, stored::Pointer};

/// Something that is to be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Erase {
    /// The content that stands with an entry.
    Content(Pointer),
    /// The content with which this message was posted.
    Posted(u64),
    /// The errors that stand with an entry.
    Errors(Pointer),
}

impl Shared {
    /// Erases what is to be erased, and returns once it is gone from the disk. One at a time: whoever writes the index
    /// relies on it that nothing is still being erased.
    ///
    /// # Errors
    /// If something cannot be read or written. Then nothing is said of what is still there.
    pub(super) fn erase_due(&self) -> Result<(), JournalError> {
        let due = std::mem::take(&mut *self.erase.lock());
        if due.is_empty() {
            return Ok(());
        }
        let mut bodies = Vec::with_capacity(due.len());
        for erase in due {
            bodies.extend(self.locate(erase)?);
        }
        match self.log.erase(&bodies) {
            // What was dropped meanwhile is gone as well.
            Ok(()) | Err(EraseError::Read(ReadError::Dropped(_))) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Where it stands; `None` if it was dropped.
    fn locate(&self, erase: Erase) -> Result<Option<BodyAt>, JournalError> {
        let read = match erase {
            Erase::Posted(posted) => self.log.find(posted),
            Erase::Content(pointer) | Erase::Errors(pointer) => {
                self.log.read(pointer.place(), 1).map(|records| records.into_iter().next())
            }
        };
        let record = match read {
            Err(ReadError::Dropped(_)) | Ok(None) => return Ok(None),
            Err(error) => return Err(error.into()),
            Ok(Some(record)) => LogCommit::parse(record)?,
        };
        match erase {
            Erase::Posted(posted) => record.content_at(record.post(posted)?.0),
            Erase::Content(pointer) => record.content_at(pointer.entry),
            Erase::Errors(pointer) => record.errors_at(pointer.entry),
        }
    }
}
