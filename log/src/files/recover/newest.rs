//! Where the log ends: the segment that was written to last is read as a whole.

use super::{Cut, Fault, Unacknowledged, read_some};
use crate::{
    Body, Durability,
    engine::End,
    error::{Damage, MarkFault},
    files::{
        disk::DiskFile,
        header::{HEADER_BYTES, Header, file_name},
        mark::Mark,
        piece::{Piece, frame_at},
        segment::Sparse,
    },
    record::{FIXED_BYTES, Place, Record, u32_at},
};

/// Bytes that are read at once.
const AT_ONCE: u64 = 1 << 20;
/// Records begin at multiples of this.
const STEP: usize = 8;

/// The whole records of a segment.
#[derive(Debug)]
pub(super) struct Found {
    /// Where the last of them ends.
    pub(super) at: u64,
    /// Where it begins.
    pub(super) last_record: u64,
    /// Where what was acknowledged ends, if that is in this segment.
    pub(super) acknowledged: u64,
    pub(super) end: End,
    pub(super) sparse: Sparse,
    pub(super) cut: Cut,
    /// A record ends where the mark says that one was acknowledged.
    has_mark: bool,
}

pub(super) fn scan(
    file: &dyn DiskFile,
    header: &Header,
    mark: Option<&Mark>,
    how: Unacknowledged,
) -> Result<Found, Fault> {
    let length = file.length()?;
    let place = Place::new(header.ordinal, HEADER_BYTES as u32);
    let end = End { place, last: header.first - 1, stamp: header.stamp_before, check: header.before };
    let scan = Scan { file, header, mark, how, length };
    let mut found = Found {
        at: HEADER_BYTES,
        last_record: HEADER_BYTES,
        acknowledged: mark.map_or(HEADER_BYTES, |mark| scan.offset(mark)),
        end,
        sparse: Sparse::default(),
        cut: Cut::default(),
        has_mark: mark.is_none_or(|mark| mark.place <= place),
    };
    scan.check_mark(&end)?;
    while found.at < length {
        let piece = Piece::read(file, header, found.at, length, AT_ONCE)?;
        let whole = piece.records.len();
        for record in piece.records {
            if !scan.is_whole(&record)? {
                return scan.stop(found);
            }
            scan.take(&mut found, &record)?;
        }
        if piece.is_broken || whole == 0 {
            break;
        }
    }
    scan.stop(found)
}

struct Scan<'a> {
    file: &'a dyn DiskFile,
    header: &'a Header,
    mark: Option<&'a Mark>,
    how: Unacknowledged,
    length: u64,
}

impl Scan<'_> {
    /// Where the mark is in this segment; its beginning if it is before.
    fn offset(&self, mark: &Mark) -> u64 {
        let is_here = mark.place.segment() == self.header.ordinal;
        if is_here { mark.place.offset().into() } else { HEADER_BYTES }
    }

    fn damage(&self, offset: u64, what: &'static str) -> Fault {
        Damage { file: file_name(self.header.ordinal), offset, what }.into()
    }

    /// A record whose head is whole and a body of which is not was either acknowledged, and the body was being erased or is
    /// damaged, which whoever reads it finds out; or it is torn. Erasing moves the mark first, and what is prepared is zeros: an
    /// erased body behind the mark was never written.
    fn is_whole(&self, record: &Record) -> Result<bool, Fault> {
        let is_damaged = record.bodies.contains(&Body::Damaged);
        if !is_damaged && !record.bodies.contains(&Body::Erased) {
            return Ok(true);
        }
        match (self.mark, self.how) {
            (Some(mark), Unacknowledged::Refuse) => Ok(record.next <= mark.place),
            (None, _) | (Some(_), Unacknowledged::Adopt) if !is_damaged => Ok(true),
            (None, _) | (Some(_), Unacknowledged::Adopt) => {
                let next = u64::from(record.next.offset());
                Ok(frame_at(self.file, self.header, next, self.length)?.is_some())
            }
        }
    }

    fn take(&self, found: &mut Found, record: &Record) -> Result<(), Fault> {
        let offset = u64::from(record.place.offset());
        let follows = record.before == found.end.check
            && record.first == found.end.last + 1
            && record.stamp >= found.end.stamp;
        if !follows {
            return Err(self.damage(offset, "what is written here does not follow what is before it"));
        }
        found.sparse.note_record(record);
        (found.at, found.last_record) = (record.next.offset().into(), offset);
        found.end = End { place: record.next, last: record.last(), stamp: record.stamp, check: record.check };
        found.has_mark |= self.mark.is_some_and(|mark| mark.place == found.end.place);
        self.check_mark(&found.end)
    }

    /// What was acknowledged last has to be the record that ends at the mark.
    fn check_mark(&self, end: &End) -> Result<(), Fault> {
        let Some(mark) = self.mark else { return Ok(()) };
        // The end of the segment before is the beginning of this one.
        let is_border = end.place.offset() == HEADER_BYTES as u32
            && mark.place.segment() + 1 == self.header.ordinal
            && mark.place.offset() == self.header.end_before;
        let is_same = (mark.check, mark.last) == (end.check, end.last);
        if (is_border || mark.place == end.place) && !is_same {
            return Err(MarkFault::Diverged(mark.last).into());
        }
        Ok(())
    }

    /// Decides about what follows the last whole record.
    fn stop(&self, mut found: Found) -> Result<Found, Fault> {
        let at = found.end.place;
        found.cut.is_torn = self.is_dirty(found.at)?;
        if found.cut.is_torn {
            found.cut.records = self.count_behind(found.at)?;
        }
        let has_followers = found.cut.records > 0;
        match self.mark {
            None if self.how == Unacknowledged::Refuse && has_followers => {
                Err(self.damage(found.at, "a record is not what was written, and others follow it"))
            }
            None => Ok(found),
            Some(mark) if has_followers && (at < mark.place || mark.durability == Durability::Power) => {
                Err(self.damage(found.at, "a record is not what was written, and others follow it"))
            }
            Some(mark) if at < mark.place => {
                let (last, acknowledged) = (found.end.last, mark.last);
                Err(MarkFault::End { last, acknowledged }.into())
            }
            Some(mark) if !found.has_mark => Err(MarkFault::Diverged(mark.last).into()),
            Some(_) => Ok(found),
        }
    }

    /// Whether anything but zeros follows.
    fn is_dirty(&self, mut at: u64) -> Result<bool, Fault> {
        while at < self.length {
            let bytes = read_some(self.file, at, self.length.min(at + AT_ONCE))?;
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(true);
            }
            at += AT_ONCE;
        }
        Ok(false)
    }

    /// How many whole records follow a broken one.
    fn count_behind(&self, broken: u64) -> Result<u64, Fault> {
        let (mut count, mut at) = (0, broken + STEP as u64);
        while at < self.length {
            let bytes = read_some(self.file, at, self.length.min(at + AT_ONCE + FIXED_BYTES as u64))?;
            let mut next = at + AT_ONCE;
            let may_be = |from: usize| u32_at(&bytes, from + 8) == self.header.salt;
            let last = bytes.len().saturating_sub(FIXED_BYTES).min(AT_ONCE as usize - STEP);
            let candidates = (0..=last).step_by(STEP).filter(|from| from + FIXED_BYTES <= bytes.len());
            for from in candidates.filter(|from| may_be(*from)) {
                let offset = at + from as u64;
                if let Some(record) = frame_at(self.file, self.header, offset, self.length)? {
                    count += 1;
                    next = offset + record.len() as u64;
                    break;
                }
            }
            at = next;
        }
        Ok(count)
    }
}
