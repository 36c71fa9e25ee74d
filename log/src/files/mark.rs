//! The high-water mark: up to where the log was acknowledged, in a file beside the segments.
//!
//! A log whose end is damaged or gone looks like one that was never longer; the mark tells the difference. It must never
//! be ahead of what is durable. A mark that is behind does no harm: what comes after it is judged by what is there.

use std::{io, sync::Arc};

use parking_lot::Mutex;

use super::{
    Durability,
    disk::{Access, Disk, DiskFile},
};
use crate::{
    engine::{End, Epoch},
    error::MarkFault,
    record::{Check, Place, u32_at, u64_at},
};

/// Name of the file.
const FILE: &str = "high-water";
/// Under this name it is made.
const DRAFT: &str = "high-water.tmp";
const MAGIC: &[u8; 8] = b"RPTMARK1";
const BYTES: usize = 64;

/// What was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) epoch: Epoch,
    /// The segment that the log begins with.
    pub(super) begin: u32,
    /// How what comes behind the mark was made durable.
    pub(super) durability: Durability,
    /// Where the last acknowledged record ends, the last number, and its check.
    pub(super) place: Place,
    pub(super) last: u64,
    pub(super) check: Check,
}

impl Mark {
    /// What is to be acknowledged of a log that ends so.
    pub(super) fn of(epoch: Epoch, begin: u32, durability: Durability, end: &End) -> Self {
        Self { epoch, begin, durability, place: end.place, last: end.last, check: end.check }
    }

    fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, MAGIC);
        put(8, &self.epoch.0.to_le_bytes());
        put(16, &self.place.to_u64().to_le_bytes());
        put(24, &self.last.to_le_bytes());
        put(32, &self.check.0.to_le_bytes());
        put(36, &self.begin.to_le_bytes());
        put(40, &[u8::from(self.durability == Durability::Process)]);
        let checksum = crc32fast::hash(&bytes[..BYTES - 4]);
        bytes[BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let is_whole = bytes.len() == BYTES
            && bytes[..8] == *MAGIC
            && crc32fast::hash(&bytes[..BYTES - 4]) == u32_at(bytes, BYTES - 4);
        is_whole.then(|| Self {
            epoch: Epoch(u64_at(bytes, 8)),
            begin: u32_at(bytes, 36),
            durability: if bytes[40] == 1 { Durability::Process } else { Durability::Power },
            place: Place::from_u64(u64_at(bytes, 16)),
            last: u64_at(bytes, 24),
            check: Check(u32_at(bytes, 32)),
        })
    }

    /// Reads the mark of a folder, if there is one.
    pub(super) fn read(disk: &dyn Disk) -> io::Result<Result<Option<Self>, MarkFault>> {
        let file = match disk.open(FILE, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(None)),
            file => file?,
        };
        let mut bytes = [0; BYTES + 1];
        let read = file.read_at(&mut bytes, 0)?;
        Ok(Self::decode(&bytes[..read]).map(Some).ok_or(MarkFault::Damaged))
    }
}

/// Keeps the mark of a log that is written to.
#[derive(Debug)]
pub(super) struct MarkFile {
    file: Arc<dyn DiskFile>,
    state: Mutex<State>,
    /// One sync at a time.
    syncing: Mutex<()>,
}

#[derive(Debug)]
struct State {
    /// What is acknowledged.
    acknowledged: Mark,
    /// What the file says. Behind that if commits are not synced one by one.
    written: Mark,
    /// Up to where the file is durable.
    synced: Place,
}

impl MarkFile {
    /// Makes the file, whole or not at all, and durable.
    pub(super) fn create(disk: &dyn Disk, mark: Mark) -> io::Result<Self> {
        disk.create(DRAFT)?;
        let file = disk.open(DRAFT, Access::Small)?;
        file.write_at(&mark.encode(), 0)?;
        file.sync()?;
        disk.rename(DRAFT, FILE)?;
        disk.sync()?;
        let state = State { acknowledged: mark, written: mark, synced: mark.place };
        Ok(Self { file, state: Mutex::new(state), syncing: Mutex::new(()) })
    }

    /// Notes what is acknowledged from now on, and says whether all before was durable. If commits are durable one by one
    /// it is written at once: a small write to memory.
    pub(super) fn note(&self, end: &End) -> io::Result<bool> {
        let mut state = self.state.lock();
        let was_clean = state.acknowledged.place <= state.synced;
        let Mark { epoch, begin, durability, .. } = state.acknowledged;
        state.acknowledged = Mark::of(epoch, begin, durability, end);
        if durability == Durability::Power {
            state.written = state.acknowledged;
            self.file.write_at(&state.written.encode(), 0)?;
        }
        Ok(was_clean)
    }

    /// What is acknowledged.
    pub(super) fn acknowledged(&self) -> Mark {
        self.state.lock().acknowledged
    }

    /// Whether the mark is durable up to a place.
    pub(super) fn is_durable(&self, place: Place) -> bool {
        self.state.lock().synced >= place
    }

    /// Makes the mark durable up to `mark`, which was acknowledged; `log` is the file that it ends in.
    pub(super) fn sync(&self, log: &dyn DiskFile, mark: Mark) -> io::Result<()> {
        let _one = self.syncing.lock();
        if self.is_durable(mark.place) {
            return Ok(());
        }
        if mark.durability == Durability::Process {
            log.sync()?;
        }
        let written = {
            let mut state = self.state.lock();
            if state.written.place < mark.place {
                state.written = Mark { begin: state.acknowledged.begin, ..mark };
                self.file.write_at(&state.written.encode(), 0)?;
            }
            state.written.place
        };
        self.file.sync()?;
        self.state.lock().synced = written;
        Ok(())
    }

    /// Makes durable that the log begins with another segment.
    pub(super) fn set_begin(&self, begin: u32) -> io::Result<()> {
        let _one = self.syncing.lock();
        let written = {
            let mut state = self.state.lock();
            (state.acknowledged.begin, state.written.begin) = (begin, begin);
            self.file.write_at(&state.written.encode(), 0)?;
            state.written.place
        };
        self.file.sync()?;
        let mut state = self.state.lock();
        state.synced = state.synced.max(written);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_no_flipped_bit_passes() {
        let end = End { place: Place::new(3, 4104), last: 9, stamp: 1, check: Check(7) };
        for durability in [Durability::Power, Durability::Process] {
            let mark = Mark::of(Epoch(5), 2, durability, &end);
            assert_eq!(Mark::decode(&mark.encode()), Some(mark));
            for at in 0..BYTES {
                let mut bytes = mark.encode();
                bytes[at] ^= 4;
                assert_eq!(Mark::decode(&bytes), None, "byte {at}");
            }
            assert_eq!(Mark::decode(&mark.encode()[..BYTES - 1]), None);
        }
    }
}
