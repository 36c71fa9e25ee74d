//! A segment: one file of the log, and the sparse index by which records in it are found.
//!
//! The index is derived. That of the segment that is written to is in memory; a full one's is in a file beside it, read
//! when it is needed, and made anew from the segment if it is missing or not what was written.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use parking_lot::RwLock;

use super::{
    disk::{Access, Disk, DiskFile},
    header::{HEADER_BYTES, Header, file_name, index_name},
    piece::Piece,
};
use crate::record::{Place, Record, u32_at, u64_at};

/// One record in so many bytes is in the index.
const SPACING: u64 = 32 << 10;
const ENTRY: usize = 24;

/// One file of the log.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) header: Header,
    /// Where its last record ends, once another segment was begun.
    end: OnceLock<u64>,
    /// Absent while nobody reads it.
    warm: RwLock<Option<Arc<Warm>>>,
}

/// A segment that can be read.
#[derive(Debug)]
pub(super) struct Warm {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) sparse: RwLock<Sparse>,
}

impl Segment {
    pub(super) fn full(header: Header, end: u64) -> Self {
        Self { header, end: OnceLock::from(end), warm: RwLock::new(None) }
    }

    /// The one that is written to.
    pub(super) fn active(header: Header, file: Arc<dyn DiskFile>, sparse: Sparse) -> Self {
        let warm = Warm { file, sparse: RwLock::new(sparse) };
        Self { header, end: OnceLock::new(), warm: RwLock::new(Some(Arc::new(warm))) }
    }

    pub(super) fn place(&self, offset: u64) -> Place {
        Place::new(self.header.ordinal, offset as u32)
    }

    /// Where its last record ends; `None` while it is written to.
    pub(super) fn end(&self) -> Option<u64> {
        self.end.get().copied()
    }

    /// From now on nothing is written to it but zeros.
    pub(super) fn seal(&self, end: u64) {
        self.end.get_or_init(|| end);
    }

    /// What is needed to read it, and whether it had to be opened for that.
    pub(super) fn warm(&self, disk: &dyn Disk) -> io::Result<(Arc<Warm>, bool)> {
        if let Some(warm) = &*self.warm.read() {
            return Ok((Arc::clone(warm), false));
        }
        let file = disk.open(&file_name(self.header.ordinal), Access::Read)?;
        let sparse = match Sparse::load(disk, &self.header) {
            Some(sparse) => sparse,
            None => Sparse::of(&*file, &self.header, self.end().unwrap_or(HEADER_BYTES))?,
        };
        let warm = Arc::new(Warm { file, sparse: RwLock::new(sparse) });
        *self.warm.write() = Some(Arc::clone(&warm));
        Ok((warm, true))
    }

    /// Closes its file; who reads it has it still.
    pub(super) fn cool(&self) {
        *self.warm.write() = None;
    }
}

/// Some of the records of a segment, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sparse(Vec<Entry>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    offset: u64,
    /// The first number of the record.
    first: u64,
    stamp: i64,
}

impl Sparse {
    /// Notes a record, if it is far enough from the last one.
    pub(super) fn note(&mut self, offset: u64, first: u64, stamp: i64) {
        if self.0.last().is_none_or(|last| offset - last.offset >= SPACING) {
            self.0.push(Entry { offset, first, stamp });
        }
    }

    pub(super) fn note_record(&mut self, record: &Record) {
        self.note(u64::from(record.place.offset()), record.first, record.stamp);
    }

    /// Where to begin to look for a number.
    pub(super) fn before_number(&self, number: u64) -> u64 {
        self.last_of(|entry| entry.first <= number)
    }

    /// Where to begin to look for the first record with a greater stamp.
    pub(super) fn before_stamp(&self, stamp: i64) -> u64 {
        self.last_of(|entry| entry.stamp <= stamp)
    }

    /// Where to begin to read, so that what is read ends at `before` and has `bytes` at least.
    pub(super) fn before_offset(&self, before: u64, bytes: u64) -> u64 {
        self.last_of(|entry| entry.offset < before && entry.offset <= before.saturating_sub(bytes))
    }

    fn last_of(&self, is_before: impl Fn(&Entry) -> bool) -> u64 {
        let after = self.0.partition_point(is_before);
        after.checked_sub(1).map_or(HEADER_BYTES, |last| self.0[last].offset)
    }

    /// Made of the records themselves, as far as they can be read.
    fn of(file: &dyn DiskFile, header: &Header, end: u64) -> io::Result<Self> {
        let (mut sparse, mut at) = (Self::default(), HEADER_BYTES);
        while at < end {
            let piece = Piece::read(file, header, at, end, 1 << 20)?;
            let Some(last) = piece.records.last() else { break };
            at = u64::from(last.next.offset());
            piece.records.iter().for_each(|record| sparse.note_record(record));
        }
        Ok(sparse)
    }

    fn encode(&self, header: &Header) -> Vec<u8> {
        let mut bytes = header.salt.to_le_bytes().to_vec();
        for entry in &self.0 {
            bytes.extend(entry.offset.to_le_bytes());
            bytes.extend(entry.first.to_le_bytes());
            bytes.extend(entry.stamp.to_le_bytes());
        }
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8], header: &Header) -> Option<Self> {
        let entries = bytes.len().checked_sub(8)?;
        let checked = &bytes[..bytes.len() - 4];
        let is_ours = entries.is_multiple_of(ENTRY)
            && u32_at(bytes, 0) == header.salt
            && crc32fast::hash(checked) == u32_at(bytes, bytes.len() - 4);
        let entry = |line: &[u8]| Entry {
            offset: u64_at(line, 0),
            first: u64_at(line, 8),
            stamp: u64_at(line, 16).cast_signed(),
        };
        is_ours.then(|| Self(checked[4..].chunks_exact(ENTRY).map(entry).collect()))
    }

    /// Writes it beside its segment. It need not be durable.
    pub(super) fn store(&self, disk: &dyn Disk, header: &Header) -> io::Result<()> {
        let name = index_name(header.ordinal);
        disk.create(&name)?;
        disk.open(&name, Access::Small)?.write_at(&self.encode(header), 0)
    }

    fn load(disk: &dyn Disk, header: &Header) -> Option<Self> {
        let file = disk.open(&index_name(header.ordinal), Access::Read).ok()?;
        let mut bytes = vec![0; usize::try_from(file.length().ok()?).ok()?];
        let read = file.read_at(&mut bytes, 0).ok()?;
        Self::decode(&bytes[..read], header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::Epoch, record::Check};

    fn header(salt: u32) -> Header {
        let epoch = Epoch(1);
        let (before, stamp_before, key) = (Check(0), 0, [0; 16]);
        Header {
            ordinal: 0,
            salt,
            epoch,
            epoch_before: epoch,
            key,
            first: 1,
            before,
            stamp_before,
            end_before: 0,
            salt_before: 0,
        }
    }

    fn sparse() -> Sparse {
        let mut sparse = Sparse::default();
        for nth in 0..100 {
            sparse.note(HEADER_BYTES + nth * 10_000, nth + 1, nth as i64 / 8 * 10);
        }
        sparse
    }

    #[test]
    fn one_record_in_some_is_noted_and_the_one_before_is_found() {
        let sparse = sparse();
        assert_eq!(sparse.0.len(), 25);
        assert_eq!([1, 4, 5, 6, 100].map(|number| sparse.before_number(number)), {
            let nth = |nth: u64| HEADER_BYTES + nth * 10_000;
            [nth(0), nth(0), nth(4), nth(4), nth(96)]
        });
        assert_eq!(sparse.before_stamp(-1), HEADER_BYTES);
        assert_eq!(sparse.before_stamp(10), HEADER_BYTES + 120_000);
        assert_eq!(sparse.before_offset(HEADER_BYTES + 50_000, 0), HEADER_BYTES + 40_000);
        assert_eq!(sparse.before_offset(HEADER_BYTES + 40_000, 0), HEADER_BYTES);
        assert_eq!(sparse.before_offset(HEADER_BYTES + 90_000, 30_000), HEADER_BYTES + 40_000);
    }

    #[test]
    fn a_stored_index_is_read_again_unless_it_is_damaged_or_of_another_segment() {
        let bytes = sparse().encode(&header(1));
        assert_eq!(Sparse::decode(&bytes, &header(1)), Some(sparse()));
        assert_eq!(Sparse::decode(&bytes, &header(2)), None);
        assert_eq!(Sparse::decode(&bytes[..bytes.len() - ENTRY], &header(1)), None);
        assert_eq!(Sparse::decode(&[], &header(1)), None);
        let mut flipped = bytes;
        flipped[30] ^= 1;
        assert_eq!(Sparse::decode(&flipped, &header(1)), None);
    }
}
