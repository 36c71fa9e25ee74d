//! A record that is being made.

use crate::error::AppendError;

use super::{ALIGNMENT, Check, FIXED_BYTES, Kind, PRESENT, TABLE_LINE};

/// What is appended. Its buffers are used again after [`clear`](Self::clear), so one draft serves a writer for good.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What the record is for.
    pub kind: Kind,
    /// How many numbers it takes; 0 for a kept one.
    pub numbers: u32,
    /// Its stamp: at least that of the record before.
    pub stamp: i64,
    head: Vec<u8>,
    bodies: Vec<u8>,
    /// Length and checksum of each body.
    table: Vec<(u32, u32)>,
}

/// Where an encoded record stands in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) salt: u32,
    pub(crate) first: u64,
    pub(crate) before: Check,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            kind: Kind::Commit,
            numbers: 0,
            stamp: 0,
            head: Vec::new(),
            bodies: Vec::new(),
            table: Vec::new(),
        }
    }
}

impl Draft {
    /// An empty one.
    #[must_use]
    pub fn new(kind: Kind, numbers: u32, stamp: i64) -> Self {
        Self { kind, numbers, stamp, ..Self::default() }
    }

    /// Empties it and keeps its buffers.
    pub fn clear(&mut self) {
        (self.kind, self.numbers, self.stamp) = (Kind::Commit, 0, 0);
        self.head.clear();
        self.bodies.clear();
        self.table.clear();
    }

    /// The head, to be written to. It is never erased: what people wrote belongs into a body.
    pub fn head(&mut self) -> &mut Vec<u8> {
        &mut self.head
    }

    /// Adds a body that `write` appends to the buffer, and returns its index in the record. `write` must not touch what is
    /// in the buffer already.
    pub fn add_body(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> u32 {
        let from = self.bodies.len();
        self.bodies.push(PRESENT);
        write(&mut self.bodies);
        let body = &self.bodies[from..];
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        self.table.push((length, crc32fast::hash(body)));
        u32::try_from(self.table.len() - 1).unwrap_or(u32::MAX)
    }

    /// Bytes that the record takes in a log.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let bytes = FIXED_BYTES + self.table.len() * TABLE_LINE + self.head.len() + self.bodies.len();
        bytes.next_multiple_of(ALIGNMENT)
    }

    /// Refuses what no engine takes behind a record with this stamp.
    pub(crate) fn check(&self, last: i64) -> Result<(), AppendError> {
        match *self {
            Self { kind: Kind::Kept, numbers: numbers @ 1.., .. } => Err(AppendError::Numbered(numbers)),
            Self { stamp, .. } if stamp < last => Err(AppendError::Stamp { stamp, last }),
            Self { .. } => Ok(()),
        }
    }

    /// Writes the record over `out`, which has just its length. That has to fit in 32 bits: whoever knows a segment's size
    /// has checked it.
    pub(crate) fn encode(&self, standing: Standing, out: &mut [u8]) -> Check {
        let length = out.len() as u32;
        let table = FIXED_BYTES + self.table.len() * TABLE_LINE;
        let bodies = table + self.head.len();
        let end = bodies + self.bodies.len();
        out[..FIXED_BYTES].fill(0);
        for (line, (length, checksum)) in
            out[FIXED_BYTES..table].chunks_exact_mut(TABLE_LINE).zip(&self.table)
        {
            line[..4].copy_from_slice(&length.to_le_bytes());
            line[4..].copy_from_slice(&checksum.to_le_bytes());
        }
        out[table..bodies].copy_from_slice(&self.head);
        out[bodies..end].copy_from_slice(&self.bodies);
        out[end..].fill(0);
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &length.to_le_bytes());
        put(8, &standing.salt.to_le_bytes());
        put(12, &(self.head.len() as u32).to_le_bytes());
        put(16, &standing.first.to_le_bytes());
        put(24, &self.numbers.to_le_bytes());
        put(28, &(self.table.len() as u32).to_le_bytes());
        put(32, &self.stamp.to_le_bytes());
        put(40, &standing.before.0.to_le_bytes());
        put(44, &[self.kind.to_byte()]);
        let check = Check(crc32fast::hash(&out[8..bodies]));
        out[4..8].copy_from_slice(&check.0.to_le_bytes());
        check
    }
}

impl Kind {
    pub(super) const fn to_byte(self) -> u8 {
        match self {
            Self::Commit => 0,
            Self::Kept => 1,
        }
    }

    pub(super) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Commit),
            1 => Some(Self::Kept),
            _ => None,
        }
    }
}
