//! Appending: one write and one wait a record.

use std::{fmt, io, sync::Arc};

use super::{
    FileLog,
    blocks::{Blocks, Tail, block_end},
    disk::{Access, Disk},
    header::{HEADER_BYTES, Header, file_name},
    prepare::NEXT,
    segment::{Segment, Sparse},
    shared::{Active, Shared},
    upkeep::Upkeep,
};
use crate::{
    draw,
    engine::{Appended, Epoch, Log, LogWriter},
    error::AppendError,
    record::{Draft, Standing},
};

/// The one writer of a log in files. Once it is dropped, everything that was acknowledged is synced.
pub struct FileWriter {
    pub(super) shared: Arc<Shared>,
    pub(super) sealed: bool,
    /// Dropped before the last sync, so that nobody else writes the mark.
    pub(super) upkeep: Option<Upkeep>,
}

impl LogWriter for FileWriter {
    fn append(&mut self, draft: &Draft) -> Result<Appended, AppendError> {
        let shared = Arc::clone(&self.shared);
        let length = draft.encoded_len();
        let before = *shared.end.lock();
        draft.check(before.stamp)?;
        let mut active = shared.active.lock();
        self.make_space(&mut active, length)?;
        let standing =
            Standing { salt: active.segment.header.salt, first: before.last + 1, before: before.check };
        let check = draft.encode(standing, active.tail.extend(length));
        let (at, block) = (active.at, active.block());
        let Active { file, tail, .. } = &mut *active;
        file.write_at(tail.padded(), block).map_err(|error| AppendError::Failed(shared.fail(error)))?;
        tail.keep_partial();
        active.at += length as u64;
        let (place, next) = (active.segment.place(at), active.segment.place(active.at));
        if let Ok((warm, _)) = active.segment.warm(&*shared.disk) {
            warm.sparse.write().note(at, standing.first, draft.stamp);
        }
        let end = crate::End {
            place: next,
            last: before.last + u64::from(draft.numbers),
            stamp: draft.stamp,
            check,
        };
        let was_clean = shared.mark.note(&end).map_err(|error| AppendError::Failed(shared.fail(error)))?;
        *shared.end.lock() = end;
        let is_low = shared.prepared.is_low(active.at);
        drop(active);
        shared.grown.notify_all();
        if is_low || was_clean {
            shared.signal.raise();
        }
        Ok(Appended { place, next, first: standing.first, check })
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), AppendError> {
        let shared = Arc::clone(&self.shared);
        let mut active = shared.active.lock();
        self.make_space(&mut active, bytes)
    }

    fn seal(&mut self) {
        self.sealed = true;
    }

    fn log(&self) -> Arc<dyn Log> {
        Arc::new(FileLog { shared: Arc::clone(&self.shared) })
    }
}

impl FileWriter {
    /// Makes sure that so many bytes may be written now, in this segment or in a new one. After an error that is not
    /// `Failed` nothing has changed.
    fn make_space(&mut self, active: &mut Active, bytes: usize) -> Result<(), AppendError> {
        let shared = &*self.shared;
        if let Some(error) = shared.failed.get() {
            return Err(AppendError::Failed(Arc::clone(error)));
        }
        let limit = (shared.segment_bytes - HEADER_BYTES) as usize;
        if bytes > limit {
            return Err(AppendError::TooLarge { bytes, limit });
        }
        let has_records = active.at > HEADER_BYTES;
        let is_over = active.at + bytes as u64 > shared.segment_bytes;
        if has_records && (self.sealed || is_over) {
            begin_next(shared, active)?;
        }
        self.sealed = false;
        let to = block_end(active.at + bytes as u64);
        shared.prepared.ensure(&*shared.disk, to).map_err(AppendError::Full)
    }
}

/// Begins the next segment.
fn begin_next(shared: &Shared, active: &mut Active) -> Result<(), AppendError> {
    let failed = |error| AppendError::Failed(shared.fail(error));
    let work = shared.prepared.next(&*shared.disk).map_err(AppendError::Full)?;
    // With the next segment there, what is in this one is never again taken for torn: it has to be durable, and so has the
    // mark, for a segment that ends before it would be damage.
    shared.mark.sync(&*active.file, shared.mark.acknowledged()).map_err(failed)?;
    let (end, old) = (*shared.end.lock(), Arc::clone(&active.segment));
    let header = Header {
        ordinal: old.header.ordinal + 1,
        salt: new_salt(),
        epoch: shared.epoch,
        epoch_before: shared.epoch,
        key: shared.key,
        first: end.last + 1,
        before: end.check,
        stamp_before: end.stamp,
        end_before: active.at as u32,
        salt_before: old.header.salt,
    };
    let begun = begin_segment(&*shared.disk, header).map_err(failed)?;
    shared.prepared.switch(work);
    old.seal(active.at);
    tidy(shared, active, &old);
    shared.keep_warm(old);
    *active = begun;
    shared.segments.write().push(Arc::clone(&active.segment));
    Ok(())
}

/// What makes a full segment smaller and faster to read. If it fails, it is neither.
fn tidy(shared: &Shared, active: &Active, old: &Segment) {
    let stored = old
        .warm(&*shared.disk)
        .and_then(|(warm, _)| warm.sparse.read().store(&*shared.disk, &old.header))
        .and_then(|()| active.file.set_length(block_end(active.at)));
    if let Err(error) = stored {
        let file = file_name(old.header.ordinal);
        tracing::warn!(
            file,
            error = &error as &dyn std::error::Error,
            "a full segment stays larger than it needs to be"
        );
    }
}

/// Gives the file that was prepared its header and its name, both durable before anything is written to it.
pub(super) fn begin_segment(disk: &dyn Disk, header: Header) -> io::Result<Active> {
    let name = file_name(header.ordinal);
    let mut block = Blocks::zeroed(HEADER_BYTES as usize);
    header.encode(block.bytes_mut());
    let file = disk.open(NEXT, Access::Commit)?;
    file.write_at(block.bytes(), 0)?;
    file.sync()?;
    disk.rename(NEXT, &name)?;
    disk.sync()?;
    let read = disk.open(&name, Access::Read)?;
    let segment = Arc::new(Segment::active(header, read, Sparse::default()));
    Ok(Active { segment, file, at: HEADER_BYTES, tail: Tail::new(&[]) })
}

/// Never 0, which is what blocks have that nothing was written to.
pub(super) fn new_salt() -> u32 {
    u32::from_le_bytes(draw()) | 1
}

/// A name for a new log, or for one that goes on as another.
pub(super) fn new_epoch() -> Epoch {
    Epoch(u64::from_le_bytes(draw()))
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        drop(self.upkeep.take());
        if self.shared.failed.get().is_none() {
            // If it fails, it is in the log, and the mark is older than it could be.
            let _ = self.shared.sync_mark();
        }
    }
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWriter").field("epoch", &self.shared.epoch).finish_non_exhaustive()
    }
}
