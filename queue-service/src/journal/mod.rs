//! The journal: the one seam through which everything that happens is made durable, and the storage behind it.
//!
//! Owns the stored format and is the only place that names sled. Must never decide anything: it appends what the
//! writer gives it and reads back what was appended.

mod appended;
mod data_size;
mod high_water;
mod keys;
mod runs;
mod secret;
mod served;
mod sled_log;
mod sled_store;
mod stored;
mod sweep;
mod tally;

use std::sync::Arc;

use crate::domain::{ActRows, BlockRow, Change, ConversationId, Millis, Owner, Pause, RequestKey};

pub use high_water::{HighWater, Marked};
pub use secret::{EditSecret, Use};
pub use served::ServedEntities;
pub use sled_store::{Changes, Durability, OpenError, Posts, SledStore, WorkRows};
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
    /// The storage engine reported an error.
    #[error("the storage failed")]
    Storage(#[from] Arc<sled::Error>),
    /// A write could not be made durable.
    #[error("the data could not be synced to the disk")]
    Sync(#[source] Arc<std::io::Error>),
    /// Changes have no gap in their numbers, and this one is not there.
    #[error("the log is damaged: change {0} is missing")]
    Gap(u64),
    /// A stored row could not be read.
    #[error("a stored row cannot be read")]
    Format(#[from] FormatError),
}

impl From<sled::Error> for JournalError {
    fn from(error: sled::Error) -> Self {
        Self::Storage(Arc::new(error))
    }
}

/// Where changes are made durable. The embedded journal is [`SledStore`]; a replicated one fits behind the same method.
pub trait Journal: Send + 'static {
    /// Makes the commit durable, all of it or nothing. When it returns `Ok`, the commit survives a kill and, with
    /// [`Durability::Power`], a power cut. The rows written are counted in `tally`.
    ///
    /// # Errors
    /// Where durability is not certain. The commit may or may not be stored: only a restart can tell.
    fn append(&mut self, commit: &Commit, tally: &Tally) -> Result<(), JournalError>;
}

#[cfg(test)]
pub(crate) mod tests;
