//! Looks at sled's log before sled does, because sled cannot tell damage from an unfinished write.
//!
//! At a start sled replays its log from the last snapshot on. An entry that does not match its checksum is to it the
//! end of a write that a crash cut off: it skips the rest of that segment, and at the end of the log it overwrites what
//! follows. After a crash that is right. Of a log that a disk has damaged it would silently drop what was acknowledged.
//!
//! What has to be there is known: the header of each segment says how far the log was complete when that segment was
//! begun. So every entry up to there is checked first, and where one does not match, the log is damaged and sled is kept
//! away from it. For what comes after, the end of the log, there is the high-water mark.
//!
//! This module reads the format of sled 0.34 (`pagecache/logger.rs`, `pagecache/iterator.rs`), and writes nothing.

mod entry;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    path::Path,
};

use entry::{Entry, Header};
use repartee_process::private_file;

/// Position in the log, counted in bytes since the log was begun; segments that were freed leave gaps.
type Lsn = i64;

/// What a power cut may take where acknowledged writes are not synced: sled syncs every 500 ms.
const UNSYNCED_SEGMENTS: Lsn = 8;

/// Why a log must not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    /// It cannot be read.
    #[error("its file cannot be read")]
    Read(#[from] io::Error),
    /// An entry is not what was written.
    #[error(
        "the file db is damaged at byte {0}: what was written there is not what is read now, and what follows would be \
         lost"
    )]
    Entry(u64),
    /// The beginning of a segment is not what was written.
    #[error(
        "the file db is damaged at byte {0}: a part of the log begins there, and its header cannot be read"
    )]
    Header(u64),
    /// A segment is gone.
    #[error("the file db is damaged or was cut off: the part of the log that was written last is not in it")]
    Missing,
}

/// What is known of a log.
struct Log {
    file: File,
    segment_bytes: usize,
    /// Where sled begins to read.
    from: Lsn,
    /// Every entry before this one was complete.
    complete: Lsn,
    /// Where the segments from there on are in the file.
    segments: BTreeMap<Lsn, u64>,
}

/// Opens the log's file to read it, or to make it durable: sled names it `db`.
pub(super) fn open_log(folder: &Path) -> io::Result<File> {
    private_file::open(private_file::options().read(true), &folder.join("db"))
}

/// Checks all that sled will read of the log in `folder`, as far as it was complete. `synced` is false where the end of
/// it may not have been on disk when the power was cut.
///
/// # Errors
/// Where the log is damaged.
pub(super) fn check(folder: &Path, segment_bytes: usize, synced: bool) -> Result<(), LogError> {
    let file = match open_log(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let mut log = Log::survey(file, segment_bytes, snapshot(folder)?)?;
    if synced {
        log.check_end()?;
    } else {
        log.complete = log.from.max(log.complete - UNSYNCED_SEGMENTS * log.span());
    }
    log.check_entries()
}

/// Removes snapshots that were never finished. sled renames one once it is whole, but at the next start it takes a
/// draft that was left over for a damaged snapshot.
pub(super) fn remove_drafts(folder: &Path) -> io::Result<()> {
    for name in names(folder)? {
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(folder.join(name))?;
        }
    }
    Ok(())
}

/// How far the newest snapshot reaches; its name says it.
fn snapshot(folder: &Path) -> io::Result<Lsn> {
    let reach = |name: String| Lsn::from_str_radix(name.strip_prefix("snap.")?, 16).ok();
    Ok(names(folder)?.into_iter().filter_map(reach).max().unwrap_or(0))
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    fs::read_dir(folder)?.map(name).collect()
}

impl Log {
    /// Reads the headers of all segments.
    fn survey(file: File, segment_bytes: usize, snapshot: Lsn) -> Result<Self, LogError> {
        let bytes = segment_bytes as u64;
        let end = file.metadata()?.len();
        let from = snapshot - snapshot % segment_bytes as Lsn;
        let mut log = Self { file, segment_bytes, from, complete: snapshot, segments: BTreeMap::new() };
        for offset in (0..end).step_by(segment_bytes) {
            let mut header = [0; entry::SEGMENT_HEADER];
            if offset + header.len() as u64 > end {
                break;
            }
            log.file.read_exact_at(&mut header, offset)?;
            match Header::read(&header) {
                // Freed, or not written yet.
                Header::Blank => {}
                Header::Of { lsn, .. } if lsn < from => {}
                Header::Of { lsn, complete } => {
                    log.complete = log.complete.max(complete);
                    log.segments.insert(lsn, offset);
                }
                Header::Damaged if log.is_read_no_more(offset, (end - offset).min(bytes))? => {}
                Header::Damaged => return Err(LogError::Header(offset)),
            }
        }
        Ok(log)
    }

    fn span(&self) -> Lsn {
        self.segment_bytes as Lsn
    }

    /// True for a segment that sled has in its snapshot: it never looks at that header again.
    fn is_read_no_more(&self, offset: u64, bytes: u64) -> io::Result<bool> {
        let mut segment = vec![0; usize::try_from(bytes).unwrap_or(self.segment_bytes)];
        self.file.read_exact_at(&mut segment, offset)?;
        let read = |number: u64| Lsn::try_from(number).is_ok_and(|number| number < self.from / self.span());
        Ok(entry::number_at(&segment, entry::SEGMENT_HEADER, read).is_some())
    }

    /// The segment that was complete last is there: it is not freed before two others were begun after it.
    fn check_end(&self) -> Result<(), LogError> {
        let last = self.complete - 1;
        if last >= self.from && !self.segments.contains_key(&(last - last % self.span())) {
            return Err(LogError::Missing);
        }
        Ok(())
    }

    fn check_entries(&self) -> Result<(), LogError> {
        let end = self.file.metadata()?.len();
        for (lsn, offset) in self.segments.range(..self.complete) {
            let mut bytes =
                vec![0; self.segment_bytes.min(usize::try_from(end - offset).unwrap_or(usize::MAX))];
            self.file.read_exact_at(&mut bytes, *offset)?;
            bytes.resize(self.segment_bytes, 0);
            let whole = usize::try_from(self.complete - lsn).unwrap_or(usize::MAX).min(self.segment_bytes);
            if let Some(broken) = self.first_broken(*lsn, &bytes, whole)
                && !self.is_overwritten(*lsn, &bytes, broken.clone())
            {
                return Err(LogError::Entry(offset + broken.start as u64));
            }
        }
        Ok(())
    }

    /// The first entry below `whole` that does not match its checksum, and what may follow it.
    fn first_broken(&self, lsn: Lsn, bytes: &[u8], whole: usize) -> Option<Range<usize>> {
        let number = (lsn / self.span()).unsigned_abs();
        let mut at = entry::SEGMENT_HEADER;
        while at < whole && at + entry::LARGEST_HEADER <= bytes.len() {
            match entry::read(bytes, at, number) {
                Entry::Whole { next } => at = next,
                Entry::Last => return None,
                Entry::Broken => return Some(at..bytes.len()),
            }
        }
        None
    }

    /// True where a segment was freed and is being written anew, and the process ended after the second write to it
    /// and before the first. Nobody needs what was in it, and nothing in it was acknowledged since.
    fn is_overwritten(&self, lsn: Lsn, bytes: &[u8], rest: Range<usize>) -> bool {
        let newest = self.segments.keys().next_back().map_or(0, |lsn| lsn / self.span());
        let begun = (self.complete / self.span()).max(lsn / self.span() + 1)..=newest + 1;
        let anew = |number| Lsn::try_from(number).is_ok_and(|number| begun.contains(&number));
        rest.into_iter().any(|at| entry::number_at(bytes, at, anew).is_some())
    }
}

#[cfg(test)]
mod tests;
