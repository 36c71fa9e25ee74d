//! Opening: what is there is held against itself and against the mark, and only then anything is changed.
//!
//! A record is begun when the one before it is durable. So at most the last one can be torn, and it was never acknowledged.
//! Whatever else does not match is damage, and the log is not opened: to cut it off there would lose what was acknowledged.

mod newest;
mod repair;

use std::{io, sync::Arc};

use self::newest::{Found, scan};
use super::{
    disk::{Access, Disk, DiskFile},
    header::{HEADER_BYTES, Header, file_name, ordinal_of},
    mark::{Mark, MarkFile},
    prepare::{Limits, Ready},
    segment::Segment,
    shared::Active,
    writer::{begin_segment, new_epoch, new_salt},
};
use crate::{
    draw,
    engine::{End, Epoch},
    error::{Damage, MarkFault, OpenError},
    record::Check,
};

/// Why a log was not opened.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Refused(OpenError),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<E: Into<OpenError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// What is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unacknowledged {
    /// Is refused.
    Refuse,
    /// Is taken as another log.
    Adopt,
}

/// A log that can be written to.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) epoch: Epoch,
    pub(super) key: [u8; 16],
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) active: Active,
    pub(super) ready: Ready,
    pub(super) end: End,
    pub(super) mark: MarkFile,
    /// What was cut off at the end.
    pub(super) cut: Cut,
}

/// What was behind the last whole record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// Whether there was anything.
    pub(super) is_torn: bool,
    /// Whole records that followed a broken one.
    pub(super) records: u64,
}

pub(super) fn recover(disk: &dyn Disk, limits: Limits, how: Unacknowledged) -> Result<Recovered, Fault> {
    let mut ordinals: Vec<u32> = disk.names()?.iter().filter_map(|name| ordinal_of(name)).collect();
    ordinals.sort_unstable();
    let mark = match (how, Mark::read(disk)?) {
        (Unacknowledged::Adopt, _) => None,
        (Unacknowledged::Refuse, mark) => mark?,
    };
    let Some(newest) = ordinals.last() else {
        return match mark {
            Some(mark) => Err(OpenError::Missing(file_name(mark.begin)).into()),
            None => create(disk, limits),
        };
    };
    // What was dropped may still be there.
    let begin = mark.map_or(ordinals[0], |mark| mark.begin.min(*newest));
    let headers = read_headers(disk, ordinals.iter().copied().filter(|ordinal| *ordinal >= begin))?;
    check_headers(disk, &headers, mark.as_ref())?;
    let header = headers[headers.len() - 1];
    let file = disk.open(&file_name(header.ordinal), Access::Read)?;
    let found = scan(&*file, &header, mark.as_ref(), how)?;
    if mark.is_none() && how == Unacknowledged::Refuse && !is_new(&headers, &found) {
        return Err(MarkFault::Absent.into());
    }
    let dropped = ordinals.into_iter().filter(|ordinal| *ordinal < begin);
    repair::remove(disk, dropped)?;
    repair::mend(disk, &*file, &header, &found, how)?;
    let segments = full_segments(&headers);
    match how {
        Unacknowledged::Refuse => go_on(disk, limits, segments, header, found),
        Unacknowledged::Adopt => go_on_as_another(disk, limits, segments, header, &found),
    }
}

/// A log that was created and never written to.
fn is_new(headers: &[Header], found: &Found) -> bool {
    headers[0].ordinal == 0 && headers.len() == 1 && found.at == HEADER_BYTES && !found.cut.is_torn
}

fn read_headers(disk: &dyn Disk, ordinals: impl Iterator<Item = u32>) -> Result<Vec<Header>, Fault> {
    let mut block = vec![0; HEADER_BYTES as usize];
    let mut headers = Vec::new();
    for ordinal in ordinals {
        let read = disk.open(&file_name(ordinal), Access::Read)?.read_at(&mut block, 0)?;
        headers.push(Header::decode(ordinal, &block[..read])?);
    }
    Ok(headers)
}

/// Each segment is followed by the one that was begun after it, and none is missing.
fn check_headers(disk: &dyn Disk, headers: &[Header], mark: Option<&Mark>) -> Result<(), Fault> {
    let (oldest, newest) = (headers[0], headers[headers.len() - 1]);
    if let Some(mark) = mark {
        if newest.epoch != mark.epoch {
            let (found, acknowledged) = (newest.epoch, mark.epoch);
            return Err(MarkFault::Other { found, acknowledged }.into());
        }
        if oldest.ordinal > mark.begin {
            return Err(OpenError::Missing(file_name(mark.begin)).into());
        }
    }
    for pair in headers.windows(2) {
        let (one, next) = (&pair[0], &pair[1]);
        if next.ordinal != one.ordinal + 1 {
            return Err(OpenError::Missing(file_name(one.ordinal + 1)).into());
        }
        let follows = (next.epoch_before, next.key, next.salt_before) == (one.epoch, one.key, one.salt);
        if !follows || next.first < one.first {
            let what = "it does not follow the part of the log before it";
            return Err(Damage { file: file_name(next.ordinal), offset: 0, what }.into());
        }
        let length = disk.open(&file_name(one.ordinal), Access::Read)?.length()?;
        if length < u64::from(next.end_before) {
            let what = "the file was cut off here";
            return Err(Damage { file: file_name(one.ordinal), offset: length, what }.into());
        }
    }
    Ok(())
}

fn full_segments(headers: &[Header]) -> Vec<Arc<Segment>> {
    let full = headers.windows(2);
    full.map(|pair| Arc::new(Segment::full(pair[0], pair[1].end_before.into()))).collect()
}

fn create(disk: &dyn Disk, limits: Limits) -> Result<Recovered, Fault> {
    let (epoch, key) = (new_epoch(), draw());
    let header = Header {
        ordinal: 0,
        salt: new_salt(),
        epoch,
        epoch_before: epoch,
        key,
        first: 1,
        before: Check::default(),
        stamp_before: i64::MIN,
        end_before: 0,
        salt_before: 0,
    };
    begin(disk, limits, Vec::new(), header, Cut::default())
}

/// Goes on in the segment that was written to last.
fn go_on(
    disk: &dyn Disk,
    limits: Limits,
    mut segments: Vec<Arc<Segment>>,
    header: Header,
    found: Found,
) -> Result<Recovered, Fault> {
    let name = file_name(header.ordinal);
    let read = disk.open(&name, Access::Read)?;
    let tail = repair::tail(&*read, found.at)?;
    let ready = Ready { to: read.length()?, file: disk.open(&name, Access::Blocks)? };
    let segment = Arc::new(Segment::active(header, read, found.sparse));
    segments.push(Arc::clone(&segment));
    let active = Active { segment, file: disk.open(&name, Access::Commit)?, at: found.at, tail };
    let (end, cut) = (found.end, found.cut);
    finish(disk, limits, Whole { segments, active, ready, end, cut })
}

/// Begins another segment, from which on the log has another name.
fn go_on_as_another(
    disk: &dyn Disk,
    limits: Limits,
    mut segments: Vec<Arc<Segment>>,
    before: Header,
    found: &Found,
) -> Result<Recovered, Fault> {
    let header = Header {
        ordinal: before.ordinal + 1,
        salt: new_salt(),
        epoch: new_epoch(),
        epoch_before: before.epoch,
        key: before.key,
        first: found.end.last + 1,
        before: found.end.check,
        stamp_before: found.end.stamp,
        end_before: found.at as u32,
        salt_before: before.salt,
    };
    segments.push(Arc::new(Segment::full(before, found.at)));
    begin(disk, limits, segments, header, found.cut)
}

fn begin(
    disk: &dyn Disk,
    limits: Limits,
    mut segments: Vec<Arc<Segment>>,
    header: Header,
    cut: Cut,
) -> Result<Recovered, Fault> {
    let ready = limits.begin(disk, limits.first_step())?;
    let active = begin_segment(disk, header)?;
    segments.push(Arc::clone(&active.segment));
    let place = active.segment.place(HEADER_BYTES);
    let end = End { place, last: header.first - 1, stamp: header.stamp_before, check: header.before };
    finish(disk, limits, Whole { segments, active, ready, end, cut })
}

/// A log that is whole, and has no mark yet.
struct Whole {
    segments: Vec<Arc<Segment>>,
    active: Active,
    ready: Ready,
    end: End,
    cut: Cut,
}

fn finish(disk: &dyn Disk, limits: Limits, whole: Whole) -> Result<Recovered, Fault> {
    let Whole { segments, active, ready, mut end, cut } = whole;
    // Behind the last record, also if a segment was begun since: whoever has read that one is at the end.
    if active.at == HEADER_BYTES
        && let [.., full, _] = &segments[..]
        && let Some(at) = full.end()
    {
        end.place = full.place(at);
    }
    let Header { epoch, key, .. } = active.segment.header;
    let begin = segments[0].header.ordinal;
    let mark = MarkFile::create(disk, Mark::of(epoch, begin, limits.durability, &end))?;
    Ok(Recovered { epoch, key, segments, active, ready, end, mark, cut })
}

/// Reads a file up to its end or a limit.
fn read_some(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; to.saturating_sub(from) as usize];
    let read = file.read_at(&mut bytes, from)?;
    bytes.truncate(read);
    Ok(bytes)
}
