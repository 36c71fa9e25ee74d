//! The journal: the one seam through which everything that happens is made durable, and the storage behind it.
//!
//! The log is the truth: each commit is one record of it, synced once. The index is derived from the log and written behind
//! it. Owns the stored format. Must never decide anything: it appends what the writer gives it and reads back what was
//! appended.

mod check;
mod commits;
mod erase;
mod fold;
mod index;
mod keys;
mod log_journal;
mod open;
mod read;
mod secret;
mod served;
mod settling;
mod store;
mod stored;
mod sweep;
mod tally;

use std::sync::Arc;

use repartee_log::{AppendError, EraseError, Place, ReadError};

use crate::domain::{ActRows, BlockRow, Change, ConversationId, Millis, Owner, Pause, RequestKey};

pub use log_journal::{LogJournal, Parts};
pub use open::{Durability, OpenError, Progress, adopt, open, open_existing, rebuild_index};
pub use read::{Changes, Posts, WorkRows};
pub use secret::{EditSecret, Use};
pub use served::ServedEntities;
pub use store::Store;
pub use stored::FormatError;
pub use sweep::{Beginning, Oldest, Sweep, Sweepable, Swept};
pub use tally::{CallCost, Costs, Tally};

/// What one group of commands did: its changes are durable together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The time stamp of the last message posted so far, this commit included; it never falls.
    pub stamp: Millis,
    /// When it is committed, by the wall clock.
    pub at: Millis,
    /// The same in service time.
    pub service_time: Millis,
    /// The changes, their numbers without a gap after the commit before.
    pub changes: Vec<Change>,
    /// Idempotency keys that are over and may be forgotten.
    pub forget: Vec<RequestKey>,
    /// What is taken away from the beginning of the log.
    pub sweep: Option<Sweep>,
    /// Entities that were paused or go on.
    pub pauses: Vec<Pause>,
    /// Conversations that were begun, and whose they are.
    pub owners: Vec<(ConversationId, Owner)>,
    /// Entries of the log of operators' acts.
    pub acts: ActRows,
    /// Authors and addresses that were blocked, or are no more.
    pub blocks: Vec<BlockRow>,
}

/// The last commit of a log; zeros where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LastCommit {
    /// Number of its last change.
    pub seq: u64,
    /// Time stamp of the newest message.
    pub stamp: Millis,
    /// When it was made, by the wall clock.
    pub time: Millis,
    /// The same in service time, which goes on from there.
    pub service_time: Millis,
}

/// The storage failed; the caller must not go on from memory.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// There is no space for the commit. Nothing was written, and the same may succeed later.
    #[error("there is no space for the log")]
    Full(#[source] AppendError),
    /// The log took no commit.
    #[error("the log failed")]
    Append(#[source] AppendError),
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Read(#[from] ReadError),
    /// Something that was deleted cannot be erased.
    #[error("what was deleted cannot be erased")]
    Erase(#[from] EraseError),
    /// The storage engine of the index reported an error.
    #[error("the index failed")]
    Index(#[from] Arc<sled::Error>),
    /// The thread that writes the index ended by itself.
    #[error("the index is not written any more")]
    Settling,
    /// A write could not be made durable.
    #[error("the data could not be synced to the disk")]
    Sync(#[source] Arc<std::io::Error>),
    /// Changes have no gap in their numbers, and this one is not there.
    #[error("the log is damaged: change {0} is missing")]
    Gap(u64),
    /// A text in the log is not what was written.
    #[error("the log is damaged: a text in the record at place {:x} is not what was written", .0.to_u64())]
    Body(Place),
    /// Something stored could not be read.
    #[error("something stored cannot be read")]
    Format(#[from] FormatError),
}

impl From<sled::Error> for JournalError {
    fn from(error: sled::Error) -> Self {
        Self::Index(Arc::new(error))
    }
}

impl From<AppendError> for JournalError {
    fn from(error: AppendError) -> Self {
        if let AppendError::Full(_) = error { Self::Full(error) } else { Self::Append(error) }
    }
}

/// Where changes are made durable. The embedded journal is [`LogJournal`]; another one fits behind the same methods.
pub trait Journal: Send + 'static {
    /// Makes the commit durable, all of it or nothing. When it returns `Ok`, the commit survives a kill and, with
    /// [`Durability::Power`], a power cut, and readers find it. What is written is counted in `tally`.
    ///
    /// # Errors
    /// [`JournalError::Full`] if there is no space: nothing was written. After every other error the commit may or may not
    /// be stored, and only a restart can tell.
    fn append(&mut self, commit: &Commit, tally: &Tally) -> Result<(), JournalError>;

    /// Makes sure that so many bytes can be appended.
    ///
    /// # Errors
    /// [`JournalError::Full`] if they cannot; and as [`append`](Self::append).
    fn reserve(&mut self, _bytes: usize) -> Result<(), JournalError> {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
