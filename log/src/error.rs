//! What can go wrong, one type for each who asks.

use std::{io, path::PathBuf, sync::Arc};

use crate::{
    engine::{Begin, Epoch},
    record::Place,
};

/// Why a record was not appended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Too large for this log. Nothing was written.
    #[error("the record has {bytes} bytes, at most {limit} fit into this log")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The longest that fits.
        limit: usize,
    },
    /// Stamps never fall. Nothing was written.
    #[error("the record's stamp is {stamp}, older than the last one, {last}")]
    Stamp {
        /// Its stamp.
        stamp: i64,
        /// The last one.
        last: i64,
    },
    /// A kept record takes no numbers. Nothing was written.
    #[error("a kept record takes no numbers, this one asks for {0}")]
    Numbered(u32),
    /// There is no space. Nothing was written, and the same may succeed later.
    #[error("no space can be prepared for the record; nothing was written")]
    Full(#[source] Arc<io::Error>),
    /// A write failed, now or before. Whether the record is durable only opening the log again tells.
    #[error("the log failed and takes nothing more; what is stored only a restart can tell")]
    Failed(#[source] Arc<io::Error>),
}

/// Why nothing could be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// It was dropped.
    #[error("it was dropped: the log begins after number {}", .0.dropped)]
    Dropped(Begin),
    /// No record begins at this place.
    #[error("no record begins at place {:x}", .0.to_u64())]
    NoRecord(Place),
    /// What is stored is not what was appended.
    #[error("the log is damaged: {0}")]
    Damaged(#[from] Damage),
    /// A record does not follow the one before.
    #[error("the log is damaged: the record at place {:x} does not follow the one before it", .0.to_u64())]
    Chain(Place),
    /// It could not be read.
    #[error("the log cannot be read")]
    Io(#[source] Arc<io::Error>),
}

/// Why bodies were not erased.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EraseError {
    /// The record has fewer bodies.
    #[error("the record at place {:x} has no body {body}", .record.to_u64())]
    NoBody {
        /// The record.
        record: Place,
        /// The body that was asked for, from 0.
        body: u32,
    },
    /// The record cannot be read.
    #[error("a record with a body to be erased cannot be read")]
    Read(#[from] ReadError),
    /// It could not be written: the log takes no more appends.
    #[error("a body could not be erased; whether it is still stored only a restart can tell")]
    Failed(#[source] Arc<io::Error>),
}

/// What is not as it was written, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, byte {offset}: {what}")]
pub struct Damage {
    /// Name of the file.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// What was found.
    pub what: &'static str,
}

/// Why a log was not opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error("the log {0} cannot be used; check that it exists, is writable and has space")]
    Io(PathBuf, #[source] io::Error),
    /// Another process has it, or this one.
    #[error("the log {0} is in use; stop the process that has it, or choose another directory")]
    InUse(PathBuf),
    /// It was written by another version.
    #[error(
        "the log was written in format {found}, this program reads {known}; start the version that wrote it"
    )]
    Version {
        /// The version of the file.
        found: String,
        /// The one that this program knows.
        known: &'static str,
    },
    /// Something in it is not what was written, so that acknowledged records would be lost.
    #[error(
        "the log is damaged: {0}. No file was changed: check the disk, keep a copy, and restore a backup"
    )]
    Damaged(#[from] Damage),
    /// A file of it is missing.
    #[error("the log is damaged: the file {0} is missing. Restore it, or a backup of the whole log")]
    Missing(String),
    /// It is not what was acknowledged. It can be adopted.
    #[error("{0}; to take the log as it is, under a new name, adopt it")]
    Unacknowledged(#[from] MarkFault),
    /// A setting makes no sense.
    #[error("{name} is {value}, it has to be {allowed}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: u64,
        /// What it may be.
        allowed: &'static str,
    },
}

/// How a log differs from what its high-water mark says was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MarkFault {
    /// There are records and no mark.
    #[error("the mark of what was acknowledged is missing, so whether the log is whole cannot be told")]
    Absent,
    /// The mark cannot be read.
    #[error("the mark of what was acknowledged is damaged, so whether the log is whole cannot be told")]
    Damaged,
    /// The log ends too early.
    #[error(
        "the log ends with number {last}, but number {acknowledged} was acknowledged: its end is damaged or gone"
    )]
    End {
        /// The last number in the log.
        last: u64,
        /// The last one that was acknowledged.
        acknowledged: u64,
    },
    /// It is another log.
    #[error("the log {found} is not the one that was written here, {acknowledged}: it was lost or replaced")]
    Other {
        /// The log's name.
        found: Epoch,
        /// The name in the mark.
        acknowledged: Epoch,
    },
    /// It has the same name, but the record that was acknowledged is another.
    #[error(
        "number {0} in the log is not the one that was acknowledged: the log was replaced by one that went another way"
    )]
    Diverged(u64),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}
