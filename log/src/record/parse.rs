//! Reading a record back, and what is wrong with it if it cannot be read.

use std::ops::Range;

use bytes::Bytes;

use super::{ALIGNMENT, Body, Check, FIXED_BYTES, Kind, PRESENT, Place, Record, TABLE_LINE, u32_at, u64_at};

/// What stands at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framed {
    /// A record whose head is whole, of so many bytes in all.
    Record(usize),
    /// What may be one: to tell takes so many bytes.
    Short(usize),
    /// None.
    Broken,
}

/// Looks for a record at the beginning of `bytes`: everything but its bodies is checked.
pub(crate) fn frame(bytes: &[u8], salt: u32) -> Framed {
    if bytes.len() < FIXED_BYTES {
        return Framed::Short(FIXED_BYTES);
    }
    let length = u32_at(bytes, 0) as usize;
    let is_ours = u32_at(bytes, 8) == salt && Kind::from_byte(bytes[44]).is_some();
    if !is_ours || !length.is_multiple_of(ALIGNMENT) || length < head(bytes).end {
        return Framed::Broken;
    }
    if bytes.len() < length {
        return Framed::Short(length);
    }
    if crc32fast::hash(&bytes[8..head(bytes).end]) != u32_at(bytes, 4) {
        return Framed::Broken;
    }
    let bodies: usize = table(bytes).map(|(length, _)| length).sum();
    let end = head(bytes).end + bodies;
    let is_whole =
        end.next_multiple_of(ALIGNMENT) == length && bytes[end..length].iter().all(|byte| *byte == 0);
    let numbers = u32_at(bytes, 24);
    let is_numbered = u64_at(bytes, 16) > 0 && (numbers == 0 || bytes[44] == Kind::Commit.to_byte());
    if is_whole && is_numbered { Framed::Record(length) } else { Framed::Broken }
}

/// The record at the beginning of `bytes`, which [`frame`] found there.
pub(crate) fn parse(bytes: &Bytes, place: Place, next: Place) -> Record {
    let mut at = head(bytes).end;
    let body = |(length, checksum)| {
        let body = bytes.slice(at..at + length);
        at += length;
        if body.iter().all(|byte| *byte == 0) {
            Body::Erased
        } else if crc32fast::hash(&body) == checksum && body[0] == PRESENT {
            Body::Whole(body.slice(1..))
        } else {
            Body::Damaged
        }
    };
    Record {
        place,
        next,
        kind: Kind::from_byte(bytes[44]).expect("its frame was checked"),
        first: u64_at(bytes, 16),
        numbers: u32_at(bytes, 24),
        stamp: u64_at(bytes, 32).cast_signed(),
        before: Check(u32_at(bytes, 40)),
        check: Check(u32_at(bytes, 4)),
        head: bytes.slice(head(bytes)),
        bodies: table(bytes).map(body).collect(),
    }
}

/// Where a body of a record is in its bytes; `None` if it has fewer.
pub(crate) fn body_range(bytes: &[u8], body: u32) -> Option<Range<usize>> {
    let mut lengths = table(bytes).map(|(length, _)| length);
    let from: usize = head(bytes).end + lengths.by_ref().take(body as usize).sum::<usize>();
    lengths.next().map(|length| from..from + length)
}

fn head(bytes: &[u8]) -> Range<usize> {
    let from = FIXED_BYTES + u32_at(bytes, 28) as usize * TABLE_LINE;
    from..from + u32_at(bytes, 12) as usize
}

/// Length and checksum of each body.
fn table(bytes: &[u8]) -> impl Iterator<Item = (usize, u32)> {
    let lines = bytes[FIXED_BYTES..head(bytes).start].chunks_exact(TABLE_LINE);
    lines.map(|line| (u32_at(line, 0) as usize, u32_at(line, 4)))
}
