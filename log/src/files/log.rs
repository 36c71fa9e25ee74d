//! Reading, for all but the writer, and dropping the beginning.

use std::{fmt, io, sync::Arc, time::Duration};

use super::{
    blocks::block_end,
    header::{HEADER_BYTES, file_name, index_name},
    piece::Piece,
    segment::{Segment, Warm},
    shared::Shared,
};
use crate::{
    engine::{Begin, End, Epoch, Extent, Log},
    error::{Damage, EraseError, ReadError},
    record::{Body, BodyAt, Place, Record},
};

/// Bytes that are read at once to look for something.
const LOOK: u64 = 32 << 10;

/// A log in files, as all but its writer see it. Clones are handles of the same one. The folder is free once the writer and
/// all of these are gone.
#[derive(Clone)]
pub struct FileLog {
    pub(super) shared: Arc<Shared>,
}

impl Shared {
    /// The segment of a place, where in it that is, and where its last record ends. The end of a full segment is the
    /// beginning of the next one.
    pub(super) fn resolve(&self, place: Place) -> Result<(Arc<Segment>, u64, u64), ReadError> {
        // First of all: what is appended from now on need not be seen.
        let end = self.end.lock().place;
        let segments = self.segments.read();
        let oldest = &segments[0];
        let header = &oldest.header;
        // Who has read all that was dropped has missed nothing.
        let has_read =
            place.segment().checked_add(1) == Some(header.ordinal) && place.offset() == header.end_before;
        let place = if has_read { oldest.place(HEADER_BYTES) } else { place };
        if place < oldest.place(HEADER_BYTES) {
            return Err(ReadError::Dropped(begin_of(oldest)));
        }
        let mut nth = (place.segment() - oldest.header.ordinal) as usize;
        let mut offset = u64::from(place.offset());
        if segments.get(nth).is_some_and(|segment| segment.end() == Some(offset)) && nth + 1 < segments.len()
        {
            (nth, offset) = (nth + 1, HEADER_BYTES);
        }
        let segment = segments.get(nth).ok_or(ReadError::NoRecord(place))?;
        let limit = limit(segment, end);
        if offset < HEADER_BYTES || offset > limit || !offset.is_multiple_of(8) {
            return Err(ReadError::NoRecord(place));
        }
        Ok((Arc::clone(segment), offset, limit))
    }

    /// Where the newest segment ends.
    pub(super) fn written_to(&self) -> u64 {
        let end = self.end.lock().place;
        self.segments.read().last().map_or(HEADER_BYTES, |newest| limit(newest, end))
    }

    /// Records from an offset on. Who finds a body that is neither whole nor erased looks again once nobody is erasing.
    fn piece(
        &self,
        segment: &Arc<Segment>,
        from: u64,
        limit: u64,
        bytes: u64,
    ) -> Result<Vec<Record>, ReadError> {
        let warm = self.warm(segment).map_err(|error| self.gone(segment, error))?;
        let read = || Piece::read(&*warm.file, &segment.header, from, limit, bytes);
        let mut piece = read()?;
        if piece.records.iter().any(|record| record.bodies.contains(&Body::Damaged)) {
            let _nobody = self.erasing.lock();
            piece = read()?;
        }
        if piece.records.is_empty() && piece.is_broken {
            return Err(self.broken(segment, from));
        }
        Ok(piece.records)
    }

    /// The file of a segment that was dropped a moment ago is gone.
    fn gone(&self, segment: &Segment, error: io::Error) -> ReadError {
        let begin = begin_of(&self.segments.read()[0]);
        if segment.place(HEADER_BYTES) < begin.place { ReadError::Dropped(begin) } else { error.into() }
    }

    /// A place that somebody had from elsewhere may be none; one to which the records before it lead is damaged.
    fn broken(&self, segment: &Segment, offset: u64) -> ReadError {
        let what = "what was written here is not what is read now";
        Damage { file: file_name(segment.header.ordinal), offset, what }.into()
    }

    /// The first record from an offset on that is looked for, in one segment.
    fn look(
        &self,
        segment: &Arc<Segment>,
        from: impl FnOnce(&Warm) -> u64,
        is_it: impl Fn(&Record) -> bool,
    ) -> Result<Option<Record>, ReadError> {
        let end = self.end.lock().place;
        let warm = self.warm(segment).map_err(|error| self.gone(segment, error))?;
        let (mut at, limit) = (from(&warm), limit(segment, end));
        while at < limit {
            let records = self.piece(segment, at, limit, LOOK)?;
            at = records.last().map_or(limit, |last| u64::from(last.next.offset()));
            if let Some(found) = records.into_iter().find(|record| is_it(record)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// Where what can be read of a segment ends.
fn limit(segment: &Segment, end: Place) -> u64 {
    let of_end = || if end.segment() == segment.header.ordinal { end.offset().into() } else { HEADER_BYTES };
    segment.end().unwrap_or_else(of_end)
}

fn begin_of(oldest: &Segment) -> Begin {
    let header = &oldest.header;
    let place = oldest.place(HEADER_BYTES);
    Begin { place, dropped: header.first - 1, stamp: header.stamp_before, check: header.before }
}

impl Log for FileLog {
    fn epoch(&self) -> Epoch {
        self.shared.epoch
    }

    fn key(&self) -> [u8; 16] {
        self.shared.key
    }

    fn begin(&self) -> Begin {
        begin_of(&self.shared.segments.read()[0])
    }

    fn end(&self) -> End {
        *self.shared.end.lock()
    }

    fn read(&self, from: Place, max_bytes: usize) -> Result<Vec<Record>, ReadError> {
        let (segment, offset, limit) = self.shared.resolve(from)?;
        if offset == limit {
            return Ok(Vec::new());
        }
        match self.shared.piece(&segment, offset, limit, max_bytes as u64) {
            Err(ReadError::Damaged(_)) if !self.leads_to(&segment, offset)? => Err(ReadError::NoRecord(from)),
            read => read,
        }
    }

    fn read_back(&self, before: Place, max_bytes: usize) -> Result<Vec<Record>, ReadError> {
        let (mut segment, mut offset, _) = self.shared.resolve(before)?;
        if offset == HEADER_BYTES {
            let ordinal = segment.header.ordinal.checked_sub(1);
            let segments = self.shared.segments.read();
            let Some(full) = segments.iter().rev().find(|one| Some(one.header.ordinal) == ordinal) else {
                return Ok(Vec::new());
            };
            (segment, offset) = (Arc::clone(full), full.end().unwrap_or(HEADER_BYTES));
        }
        let bytes = (max_bytes as u64).min(1 << 20);
        let warm = self.shared.warm(&segment).map_err(|error| self.shared.gone(&segment, error))?;
        let from = warm.sparse.read().before_offset(offset, bytes);
        let (mut records, mut at) = (Vec::<Record>::new(), from);
        while at < offset {
            let more = match self.shared.piece(&segment, at, offset, offset - at) {
                Err(ReadError::Damaged(_)) if !self.leads_to(&segment, offset)? => {
                    return Err(ReadError::NoRecord(before));
                }
                more => more?,
            };
            at = more.last().map_or(offset, |last| u64::from(last.next.offset()));
            records.extend(more);
        }
        Ok(records)
    }

    fn find(&self, number: u64) -> Result<Option<Record>, ReadError> {
        let segment = {
            let segments = self.shared.segments.read();
            let begin = begin_of(&segments[0]);
            if number <= begin.dropped {
                return Err(ReadError::Dropped(begin));
            }
            let after = segments.partition_point(|segment| segment.header.first <= number);
            Arc::clone(&segments[after.saturating_sub(1)])
        };
        let from = |warm: &Warm| warm.sparse.read().before_number(number);
        self.shared.look(&segment, from, |record| record.has(number))
    }

    fn after_stamp(&self, stamp: i64) -> Result<Place, ReadError> {
        let end = self.end();
        let segments: Vec<_> = {
            let segments = self.shared.segments.read();
            let after = segments.partition_point(|segment| segment.header.stamp_before <= stamp);
            segments[after.saturating_sub(1)..].to_vec()
        };
        for segment in segments {
            let from = |warm: &Warm| warm.sparse.read().before_stamp(stamp);
            if let Some(found) = self.shared.look(&segment, from, |record| record.stamp > stamp)? {
                return Ok(found.place);
            }
        }
        Ok(end.place)
    }

    fn wait(&self, beyond: Place, at_most: Duration) -> End {
        let mut end = self.shared.end.lock();
        self.shared.grown.wait_while_for(&mut end, |end| end.place <= beyond, at_most);
        *end
    }

    fn erase(&self, bodies: &[BodyAt]) -> Result<(), EraseError> {
        self.shared.erase(bodies)
    }

    fn oldest(&self) -> Option<Extent> {
        let segments = self.shared.segments.read();
        let (oldest, next) = (segments.first()?, segments.get(1)?);
        Some(Extent {
            begin: oldest.place(HEADER_BYTES),
            end: next.place(HEADER_BYTES),
            last: next.header.first - 1,
            stamp: next.header.stamp_before,
            bytes: block_end(oldest.end()?),
        })
    }

    fn drop_before(&self, place: Place) -> io::Result<Begin> {
        let shared = &*self.shared;
        // One at a time, and nobody is erasing in what is removed.
        let _one = shared.erasing.lock();
        let (dropped, begin) = {
            let mut segments = shared.segments.write();
            let goes = |next: &Arc<Segment>| next.place(HEADER_BYTES) <= place;
            let count = segments[1..].iter().take_while(|next| goes(next)).count();
            let dropped: Vec<_> = segments.drain(..count).collect();
            let begin = begin_of(&segments[0]);
            // The last record may be among it, with nothing appended to the segment behind it yet.
            let mut end = shared.end.lock();
            end.place = end.place.max(begin.place);
            (dropped, begin)
        };
        if dropped.is_empty() {
            return Ok(begin);
        }
        // Written down before: a beginning that is missing without that is damage.
        shared.mark.set_begin(begin.place.segment())?;
        for segment in dropped {
            segment.cool();
            shared.disk.remove(&file_name(segment.header.ordinal))?;
            match shared.disk.remove(&index_name(segment.header.ordinal)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        shared.disk.sync()?;
        Ok(begin)
    }

    fn bytes(&self) -> u64 {
        let segments = self.shared.segments.read();
        let full: u64 = segments.iter().filter_map(|segment| segment.end()).map(block_end).sum();
        full + self.shared.prepared.ready()
    }

    fn shortage(&self) -> Option<Arc<io::Error>> {
        self.shared.prepared.short()
    }
}

impl FileLog {
    /// Whether the records before an offset lead to it: then what is there ought to be one.
    fn leads_to(&self, segment: &Arc<Segment>, offset: u64) -> Result<bool, ReadError> {
        if offset == HEADER_BYTES {
            return Ok(true);
        }
        let from = |warm: &Warm| warm.sparse.read().before_offset(offset, 0);
        let found = self.shared.look(segment, from, |record| u64::from(record.next.offset()) >= offset)?;
        Ok(found.is_none_or(|record| u64::from(record.next.offset()) == offset))
    }
}

impl fmt::Debug for FileLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileLog").field("epoch", &self.shared.epoch).finish_non_exhaustive()
    }
}
