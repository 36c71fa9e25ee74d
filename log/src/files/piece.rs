//! Reading some records of one segment at once.

use std::io;

use bytes::Bytes;

use super::{disk::DiskFile, header::Header};
use crate::record::{Framed, Place, Record, frame, parse};

/// The least and the most that is read at once, but for a longer record.
const LEAST: u64 = 4096;
const MOST: u64 = 4 << 20;

/// Records that follow each other.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) records: Vec<Record>,
    /// What follows is no record.
    pub(super) is_broken: bool,
}

impl Piece {
    /// Reads from the beginning of a record on, `limit` being where the last one ends: the first record, and more as long
    /// as they fit into `max_bytes`.
    pub(super) fn read(
        file: &dyn DiskFile,
        header: &Header,
        from: u64,
        limit: u64,
        max_bytes: u64,
    ) -> io::Result<Self> {
        let mut wanted = max_bytes.clamp(LEAST, MOST).min(limit.saturating_sub(from));
        loop {
            let mut bytes = vec![0; wanted as usize];
            let read = file.read_at(&mut bytes, from)?;
            bytes.truncate(read);
            let is_all = (read as u64) < wanted;
            match Self::parse(&Bytes::from(bytes), header, from, max_bytes) {
                Ok(piece) => return Ok(piece),
                Err(needed) if needed > wanted && needed <= limit.saturating_sub(from) && !is_all => {
                    wanted = needed;
                }
                Err(_) => return Ok(Self { records: Vec::new(), is_broken: from < limit }),
            }
        }
    }

    /// What is in some bytes, or how many more are needed for the first record.
    fn parse(bytes: &Bytes, header: &Header, from: u64, max_bytes: u64) -> Result<Self, u64> {
        let (mut records, mut at) = (Vec::new(), 0);
        loop {
            let length = match frame(&bytes[at..], header.salt) {
                Framed::Record(length) => length,
                Framed::Short(needed) if records.is_empty() => return Err(needed as u64),
                Framed::Short(_) => return Ok(Self { records, is_broken: false }),
                Framed::Broken => return Ok(Self { records, is_broken: true }),
            };
            if !records.is_empty() && (at + length) as u64 > max_bytes {
                return Ok(Self { records, is_broken: false });
            }
            let place = |at: usize| Place::new(header.ordinal, (from + at as u64) as u32);
            records.push(parse(&bytes.slice(at..at + length), place(at), place(at + length)));
            at += length;
        }
    }
}

/// The bytes of the record at an offset, if there is one.
pub(super) fn frame_at(
    file: &dyn DiskFile,
    header: &Header,
    at: u64,
    limit: u64,
) -> io::Result<Option<Vec<u8>>> {
    let mut wanted = LEAST.min(limit.saturating_sub(at));
    loop {
        let mut bytes = vec![0; wanted as usize];
        let read = file.read_at(&mut bytes, at)?;
        bytes.truncate(read);
        match frame(&bytes, header.salt) {
            Framed::Record(length) => {
                bytes.truncate(length);
                return Ok(Some(bytes));
            }
            Framed::Short(needed) if needed as u64 > wanted && at + needed as u64 <= limit => {
                wanted = needed as u64;
            }
            Framed::Short(_) | Framed::Broken => return Ok(None),
        }
    }
}
