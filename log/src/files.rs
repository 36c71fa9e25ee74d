//! A log in files of one folder.
//!
//! Owns the files and the order in which they are written. The format and its recovery are described in the crate's README.

mod blocks;
mod disk;
mod erase;
mod header;
mod log;
mod mark;
mod os;
mod piece;
mod prepare;
mod recover;
mod segment;
mod shared;
mod upkeep;
mod writer;

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use parking_lot::{Condvar, Mutex, RwLock};

pub use self::{log::FileLog, writer::FileWriter};

use self::{
    blocks::BLOCK,
    disk::Disk,
    os::OsDisk,
    prepare::{Limits, Prepared},
    recover::{Fault, Recovered, Unacknowledged, recover},
    shared::Shared,
    upkeep::{Signal, Upkeep},
};
use crate::{engine::Epoch, error::OpenError};

/// Limits of [`Options::segment_bytes`].
const SMALLEST_SEGMENT: u64 = 16 << 10;
const LARGEST_SEGMENT: u64 = 1 << 30;

/// What an acknowledged record survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Durability {
    /// A power cut: each record is synced to the device.
    Power,
    /// The end of the process: each record is with the kernel, which is told to write it within about a second. After a
    /// power cut the log ends with what was written by then.
    Process,
}

/// How a log in files is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder; made if it is missing. All files in it are the log's.
    pub folder: PathBuf,
    /// What an acknowledged record survives.
    pub durability: Durability,
    /// Bytes of a segment, which is what is dropped at once and limits a record: 16 KiB to 1 GiB in whole blocks of 4 KiB.
    /// May be another at each start.
    pub segment_bytes: u64,
    /// Whether a thread prepares space and syncs the mark. Without it the writer does both when it has to.
    pub background: bool,
}

impl Options {
    /// For a folder: power, segments of 64 MiB, in the background.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { folder, durability: Durability::Power, segment_bytes: 64 << 20, background: true }
    }

    fn limits(&self) -> Result<Limits, OpenError> {
        let segment_bytes = self.segment_bytes;
        let is_allowed = (SMALLEST_SEGMENT..=LARGEST_SEGMENT).contains(&segment_bytes)
            && segment_bytes.is_multiple_of(BLOCK as u64);
        if !is_allowed {
            return Err(OpenError::Setting {
                name: "segment_bytes",
                value: segment_bytes,
                allowed: "a multiple of 4096 from 16384 to 1073741824",
            });
        }
        Ok(Limits { segment_bytes, durability: self.durability })
    }
}

/// A log that was taken as it was.
#[derive(Debug)]
pub struct Adopted {
    /// Its writer.
    pub writer: FileWriter,
    /// The name that it had. It has another one now, so that nobody continues what is not there any more.
    pub before: Epoch,
    /// Whether something behind the last whole record was cut off.
    pub is_cut: bool,
    /// How many whole records were among that: they followed one that is damaged.
    pub cut_records: u64,
}

impl FileWriter {
    /// Opens a log, and creates it if the folder is empty.
    ///
    /// # Errors
    /// If anything that was acknowledged is missing or damaged, as far as that shows without reading what is older than the
    /// segment that was written to last; see [`OpenError`]. Nothing was changed then.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let limits = options.limits()?;
        let disk = Arc::new(OsDisk::open(&options.folder, options.durability)?);
        let opened = open_on(disk, limits, Unacknowledged::Refuse, options.background);
        opened.map(|(writer, _)| writer).map_err(|fault| of_folder(fault, &options.folder))
    }

    /// Takes a log as it is: a copy that was put back, or one whose end was lost. It gets a new name. What follows the last
    /// whole record of its newest segment is cut off for good, so keep a copy.
    ///
    /// # Errors
    /// If a segment is missing or its beginning is damaged, and as [`open`](Self::open).
    pub fn adopt(options: &Options) -> Result<Adopted, OpenError> {
        let limits = options.limits()?;
        let disk = Arc::new(OsDisk::open(&options.folder, options.durability)?);
        let opened = open_on(disk, limits, Unacknowledged::Adopt, options.background);
        let (writer, cut) = opened.map_err(|fault| of_folder(fault, &options.folder))?;
        let before = writer.shared.active.lock().segment.header.epoch_before;
        Ok(Adopted { writer, before, is_cut: cut.is_torn, cut_records: cut.records })
    }
}

fn of_folder(fault: Fault, folder: &Path) -> OpenError {
    match fault {
        Fault::Io(error) => OpenError::Io(folder.to_owned(), error),
        Fault::Refused(refused) => refused,
    }
}

fn open_on(
    disk: Arc<dyn Disk>,
    limits: Limits,
    how: Unacknowledged,
    background: bool,
) -> Result<(FileWriter, recover::Cut), Fault> {
    let Recovered { epoch, key, segments, active, ready, end, mark, cut } = recover(&*disk, limits, how)?;
    let shared = Arc::new(Shared {
        disk,
        segment_bytes: limits.segment_bytes,
        epoch,
        key,
        segments: RwLock::new(segments),
        end: Mutex::new(end),
        grown: Condvar::new(),
        active: Mutex::new(active),
        erasing: Mutex::new(()),
        mark,
        prepared: Prepared::new(limits, ready),
        signal: Signal::default(),
        failed: OnceLock::new(),
        warm: Mutex::new(VecDeque::new()),
    });
    let upkeep = background.then(|| Upkeep::start(&shared)).transpose()?;
    shared.signal.raise();
    Ok((FileWriter { shared, sealed: false, upkeep }, cut))
}

#[cfg(test)]
mod tests;
