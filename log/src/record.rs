//! A record: what is appended, what is read back, and the bytes between the two.
//!
//! Owns the codec of one record; must never touch a file, and never look into a head or a body.

mod draft;
mod parse;

use bytes::Bytes;

pub use draft::Draft;
pub(crate) use draft::Standing;
pub(crate) use parse::{Framed, body_range, frame, parse};

/// Bytes of a record before its table of bodies.
pub(crate) const FIXED_BYTES: usize = 48;
/// Bytes of one line in the table of bodies: length and checksum.
const TABLE_LINE: usize = 8;
/// Records begin at multiples of this.
const ALIGNMENT: usize = 8;
/// The byte before each body; zero once the body is erased, so any content can be told from an erased one.
const PRESENT: u8 = 1;

/// What a record is for. The log treats both alike; readers need to know which numbers they may expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// News: it takes as many numbers as its entries need.
    Commit,
    /// What outlives the part of the log that it was in, appended again before that part is dropped. Takes no number.
    Kept,
}

/// Where a record is. Places rise along the log; what else is in one belongs to the engine that made it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u64);

impl Place {
    /// A place that was stored as a number.
    #[must_use]
    pub const fn from_u64(place: u64) -> Self {
        Self(place)
    }

    /// The place as a number, to be stored.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    pub(crate) const fn new(segment: u32, offset: u32) -> Self {
        Self((segment as u64) << 32 | offset as u64)
    }

    pub(crate) const fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) const fn offset(self) -> u32 {
        self.0 as u32
    }
}

/// The checksum of a record's fixed part, table and head. Each record carries the one of the record before it, so a check
/// stands for the whole log up to there: if two logs have the same number with different checks, they went different ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Check(pub u32);

/// One body of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// As it was appended.
    Whole(Bytes),
    /// It was erased.
    Erased,
    /// Neither: its bytes are not what was appended, nor all zeros. After a crash that is a body that was being erased if
    /// a later record gives a reason to erase it (erase it again then), and damage if none does.
    Damaged,
}

/// A body of a record, to be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BodyAt {
    /// Where the record is.
    pub record: Place,
    /// Which of its bodies, from 0.
    pub body: u32,
}

/// A record as it is read. Head and bodies are slices of one buffer: copy what is kept for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it begins.
    pub place: Place,
    /// Where the next one begins, or will.
    pub next: Place,
    /// What it is for.
    pub kind: Kind,
    /// The first number that it takes; the next one to be taken if it takes none.
    pub first: u64,
    /// How many numbers it takes.
    pub numbers: u32,
    /// Never lower than that of the record before; several records may share one.
    pub stamp: i64,
    /// The check of the record before.
    pub before: Check,
    /// Its own.
    pub check: Check,
    /// The part that is never erased.
    pub head: Bytes,
    /// The parts that can be erased, each by itself.
    pub bodies: Vec<Body>,
}

impl Record {
    /// The last number that was taken by this record or before it.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.first + self.numbers as u64 - 1
    }

    /// Whether it takes this number.
    #[must_use]
    pub const fn has(&self, number: u64) -> bool {
        number >= self.first && number - self.first < self.numbers as u64
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests;
