//! The bytes of sled 0.34's log: the header of a segment, and one entry.

use std::ops::Range;

/// Length of a segment's header: a checksum, the position of the segment, and how far the log was complete.
pub(super) const SEGMENT_HEADER: usize = 20;
/// Nothing begins so close to the end of a segment.
pub(super) const LARGEST_HEADER: usize = 32;

/// sled keeps numbers and checksums with all bits turned, so that zeros are never valid.
const TURNED: i64 = i64::MAX;

/// The kinds of entries: none, cancelled, filling up to the end of the segment, and those that hold something.
const NONE: u8 = 0;
const FILLING: u8 = 2;
const LAST_KIND: u8 = 11;

/// The beginning of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// Nothing.
    Blank,
    /// It does not match its checksum.
    Damaged,
    /// A segment.
    Of {
        /// Its position in the log.
        lsn: i64,
        /// The first position that was not complete when it was begun.
        complete: i64,
    },
}

/// What stands at a place in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// An entry; the next one follows it.
    Whole { next: usize },
    /// The last one of its segment.
    Last,
    /// Nothing that matches its checksum and belongs to this segment.
    Broken,
}

impl Header {
    pub(super) fn read(bytes: &[u8; SEGMENT_HEADER]) -> Self {
        if bytes == &[0; SEGMENT_HEADER] {
            return Self::Blank;
        }
        let number = |at: usize| i64::from_le_bytes(std::array::from_fn(|n| bytes[at + n])) ^ TURNED;
        if u32_at(bytes, 0) != Some(!crc32fast::hash(&bytes[4..])) {
            return Self::Damaged;
        }
        Self::Of { lsn: number(4), complete: number(12).saturating_add(1) }
    }
}

/// Reads the entry at `at` of the segment with this number.
pub(super) fn read(segment: &[u8], at: usize, number: u64) -> Entry {
    match Found::at(segment, at) {
        Some(found) if found.number != number || !found.is_whole(segment) => Entry::Broken,
        Some(found) if found.kind == FILLING => Entry::Last,
        Some(found) => Entry::Whole { next: found.body.end },
        None => Entry::Broken,
    }
}

/// The number of the segment to which the entry at `at` belongs, where there is a whole one of a `wanted` number.
pub(super) fn number_at(segment: &[u8], at: usize, wanted: impl FnOnce(u64) -> bool) -> Option<u64> {
    let found = Found::at(segment, at)?;
    (wanted(found.number) && found.is_whole(segment)).then_some(found.number)
}

/// What may be an entry: checksum:4 kind:1, then length, segment number and page as numbers of 1 to 9 bytes, then the
/// body.
struct Found {
    kind: u8,
    number: u64,
    header: Range<usize>,
    body: Range<usize>,
}

impl Found {
    fn at(segment: &[u8], at: usize) -> Option<Self> {
        let kind = *segment.get(at + 4)?;
        if kind == NONE || kind > LAST_KIND {
            return None;
        }
        let mut rest = segment.get(at + 5..)?;
        let (length, number, _page) = (varint(&mut rest)?, varint(&mut rest)?, varint(&mut rest)?);
        rest.get(..usize::try_from(length).ok()?)?;
        let begin = segment.len() - rest.len();
        Some(Self { kind, number, header: at..begin, body: begin..begin + usize::try_from(length).ok()? })
    }

    /// The checksum is that of the body and the rest of the header behind it.
    fn is_whole(&self, segment: &[u8]) -> bool {
        let header = &segment[self.header.clone()];
        let mut sum = crc32fast::Hasher::new();
        sum.update(&segment[self.body.clone()]);
        sum.update(&header[4..]);
        u32_at(header, 0) == Some(!sum.finalize())
    }
}

/// sled's numbers: up to 240 in one byte, up to 67,823 in two or three, then a byte that tells how many follow.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    let (value, rest) = match first {
        0..=240 => (u64::from(first), rest),
        241..=248 => {
            let (&low, rest) = rest.split_first()?;
            (240 + 256 * (u64::from(first) - 241) + u64::from(low), rest)
        }
        249 => {
            let (&[high, low], rest) = rest.split_first_chunk()?;
            (2_288 + 256 * u64::from(high) + u64::from(low), rest)
        }
        250..=255 => {
            let (number, rest) = rest.split_at_checked(usize::from(first) - 247)?;
            (number.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)), rest)
        }
    };
    *bytes = rest;
    Some(value)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
