//! Erasing bodies in place.
//!
//! A block that the writer may write again is only changed together with what the writer has of it in memory, or its next
//! commit would bring the text back.

use std::{ops::Range, sync::Arc};

use super::{
    blocks::{BLOCK, Blocks, block_end, block_start},
    disk::{Access, DiskFile},
    header::file_name,
    piece::frame_at,
    segment::Segment,
    shared::Shared,
};
use crate::{
    error::{EraseError, ReadError},
    record::{BodyAt, Place, body_range},
};

/// Bytes of bodies in one segment.
struct Spans {
    segment: Arc<Segment>,
    spans: Vec<Range<u64>>,
}

impl Shared {
    pub(super) fn erase(&self, bodies: &[BodyAt]) -> Result<(), EraseError> {
        let _one = self.erasing.lock();
        let mut bodies = bodies.to_vec();
        bodies.sort_unstable();
        bodies.dedup();
        if let Some(error) = self.failed.get() {
            return Err(EraseError::Failed(Arc::clone(error)));
        }
        let Some(behind) = self.locate(&bodies)? else { return Ok(()) };
        // A body that is neither whole nor erased is one that was being erased only if its record was acknowledged, and
        // after a crash only the mark tells that. And whatever gives the reason to erase it was appended before: it must
        // not be lost while the body is gone.
        if !self.mark.is_durable(self.mark.acknowledged().place) {
            self.sync_mark().map_err(EraseError::Failed)?;
        }
        for spans in behind.segments {
            self.zero(&spans).map_err(|error| EraseError::Failed(self.fail(error)))?;
        }
        Ok(())
    }

    /// Where all of these are, and where the last of their records ends; `None` if all of it was dropped.
    fn locate(&self, bodies: &[BodyAt]) -> Result<Option<Located>, EraseError> {
        let mut located: Option<Located> = None;
        for of_record in bodies.chunk_by(|one, other| one.record == other.record) {
            let place = of_record[0].record;
            let (segment, offset, limit) = match self.resolve(place) {
                Err(ReadError::Dropped(_)) => continue,
                found => found?,
            };
            let no_record = || ReadError::NoRecord(place);
            let warm = self.warm(&segment).map_err(ReadError::from)?;
            let record = frame_at(&*warm.file, &segment.header, offset, limit).map_err(ReadError::from)?;
            let record = record.ok_or_else(no_record)?;
            let end = segment.place(offset + record.len() as u64);
            let located = located.get_or_insert_with(|| Located { end, segments: Vec::new() });
            located.end = located.end.max(end);
            if located.segments.last().is_none_or(|last| !Arc::ptr_eq(&last.segment, &segment)) {
                located.segments.push(Spans { segment, spans: Vec::new() });
            }
            for at in of_record {
                let range = body_range(&record, at.body)
                    .ok_or(EraseError::NoBody { record: place, body: at.body })?;
                let spans = &mut located.segments.last_mut().expect("one was pushed").spans;
                spans.push(offset + range.start as u64..offset + range.end as u64);
            }
        }
        Ok(located)
    }

    /// Overwrites with zeros, and makes that durable.
    fn zero(&self, Spans { segment, spans }: &Spans) -> std::io::Result<()> {
        let name = file_name(segment.header.ordinal);
        let file = match self.disk.open(&name, Access::Blocks) {
            // It was dropped in the meantime.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !self.has(segment) => return Ok(()),
            file => file?,
        };
        for span in spans {
            let mut active = self.active.lock();
            if !Arc::ptr_eq(&active.segment, segment) || span.end <= active.block() {
                drop(active);
                zero_blocks(&*file, span.clone())?;
                continue;
            }
            let block = active.block();
            if span.start < block {
                zero_blocks(&*file, span.start..block)?;
            }
            active.tail.zero((span.start.max(block) - block) as usize..(span.end - block) as usize);
            let active = &mut *active;
            active.file.write_at(active.tail.padded(), block)?;
        }
        file.sync()
    }

    fn has(&self, segment: &Arc<Segment>) -> bool {
        self.segments.read().iter().any(|one| Arc::ptr_eq(one, segment))
    }
}

struct Located {
    end: Place,
    segments: Vec<Spans>,
}

/// Reads the blocks around a span, and writes them with zeros in it: both by the way that goes past the page cache, which may
/// hold what was there before.
fn zero_blocks(file: &dyn DiskFile, span: Range<u64>) -> std::io::Result<()> {
    let from = block_start(span.start);
    let mut blocks = Blocks::zeroed((block_end(span.end) - from) as usize);
    let whole = blocks.bytes().len();
    let filled = file.read_at(blocks.bytes_mut(), from)?;
    if filled + BLOCK <= whole {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    blocks.bytes_mut()[(span.start - from) as usize..(span.end - from) as usize].fill(0);
    file.write_at(blocks.bytes(), from)
}
