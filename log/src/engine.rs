//! The seam: what a log is to those who use it, whatever keeps it.

use std::{fmt, io, sync::Arc, time::Duration};

use crate::{
    error::{AppendError, EraseError, ReadError},
    record::{BodyAt, Check, Draft, Place, Record},
};

/// The name of a log. A number, a place or a check means something only within one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Where a log begins, and what is known of what was dropped before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// The oldest record that can be read, if there is one.
    pub place: Place,
    /// The last number that was dropped; 0 while the log is whole.
    pub dropped: u64,
    /// The stamp of the last record that was dropped; `i64::MIN` while the log is whole.
    pub stamp: i64,
    /// The check of the last record that was dropped.
    pub check: Check,
}

/// Where a log ends. Everything before is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Where the next record will be, or a place before that with no record between.
    pub place: Place,
    /// The last number that was taken; 0 in a new log.
    pub last: u64,
    /// The stamp of the last record; `i64::MIN` in a new log.
    pub stamp: i64,
    /// The check of the last record.
    pub check: Check,
}

/// The oldest part of a log that can be dropped as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Its first record.
    pub begin: Place,
    /// The first record behind it: what [`Log::drop_before`] is given.
    pub end: Place,
    /// The last number in it or before it.
    pub last: u64,
    /// The stamp of its last record.
    pub stamp: i64,
    /// Bytes that are free once it is dropped.
    pub bytes: u64,
}

/// A record that was appended and is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Where it is.
    pub place: Place,
    /// Where the next one will be.
    pub next: Place,
    /// Its first number; the next one to be taken if it took none.
    pub first: u64,
    /// Its check.
    pub check: Check,
}

/// A log, as all but its writer see it. Shared by any number of threads; nothing here waits for the writer, and the writer
/// waits for nothing here but an erasure in the block that it is about to write.
///
/// # What an engine promises
/// A log may be kept by files, by memory, or by a replicated service. `conformance` holds an engine to all of this:
///
/// 1. **Durable when it returns.** [`LogWriter::append`] is `Ok` once the record survives whatever the engine is said to
///    survive, and only then is it readable. There is one order: that of the appends.
/// 2. **All or nothing.** A record is there with its head and all of its bodies, or not at all.
/// 3. **Numbers without a gap.** A record gets the number after the last one that was taken. Stamps never fall.
/// 4. **A chain.** Each record carries the check of the one before. An engine that finds a hole, or something else than was
///    appended, says so and never skips it.
/// 5. **One writer.** While one is there, a second is refused. An engine that can lose its writer without its knowledge, as
///    a replicated one, refuses what the old one still sends (a stream: by the expected last sequence).
/// 6. **An error is final or harmless, and says which.** [`AppendError::Failed`] means that nobody knows whether the record
///    is durable: every later append fails too, and only opening the log again tells. After any other error nothing was
///    written.
/// 7. **An erased body is gone** from what the engine keeps when [`erase`](Self::erase) returns, and nothing else is. So a
///    stream needs each body as a message of its own, in one atomic batch with the head.
/// 8. **What is dropped is the beginning**, in whole extents; [`begin`](Self::begin) moves first, and a reader that finds
///    something gone is told [`ReadError::Dropped`].
/// 9. **An epoch is one history.** A log whose end was lost, or may have been, gets a new epoch before it goes on.
pub trait Log: Send + Sync + fmt::Debug {
    /// The name of this log.
    fn epoch(&self) -> Epoch;

    /// 16 random bytes that were drawn when the log was created, and stay the same for good. The log has no use for them.
    fn key(&self) -> [u8; 16];

    /// Where it begins.
    fn begin(&self) -> Begin;

    /// Where it ends.
    fn end(&self) -> End;

    /// The records from a place on, in order: one at least if there is one, and then as many as fit into `max_bytes`. It
    /// may be fewer; at the end it is none. To go on, read from `next` of the last one.
    ///
    /// # Errors
    /// If the place is before the beginning or not where a record begins; if something that was read is not what was
    /// appended. Bodies are no error: each says what it is.
    fn read(&self, from: Place, max_bytes: usize) -> Result<Vec<Record>, ReadError>;

    /// The records before a place, in order, of which the last one ends there: one at least if there is one, and about
    /// `max_bytes`. To go on, read back from the place of the first one.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn read_back(&self, before: Place, max_bytes: usize) -> Result<Vec<Record>, ReadError>;

    /// The record that took a number; `None` if none has yet.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`ReadError::Dropped`] if the number was dropped.
    fn find(&self, number: u64) -> Result<Option<Record>, ReadError>;

    /// The place of the first record with a stamp greater than this one; the end if there is none.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn after_stamp(&self, stamp: i64) -> Result<Place, ReadError>;

    /// Waits until the log ends behind this place, and says where it ends then. After `at_most` it says so anyway.
    fn wait(&self, beyond: Place, at_most: Duration) -> End;

    /// Erases bodies: they are gone from what is stored when it returns. What was erased or dropped before is passed over,
    /// so it may be repeated.
    ///
    /// # Errors
    /// If a place is not that of a record, or the record has no such body: then none was erased. If something cannot be
    /// read or written: then some may be erased, or partly, and the log takes no more appends.
    fn erase(&self, bodies: &[BodyAt]) -> Result<(), EraseError>;

    /// The oldest part that can be dropped; `None` while there is only the part that is written to.
    fn oldest(&self) -> Option<Extent>;

    /// Drops the extents that end at a place or before, never the one that is written to, and says where the log begins
    /// then. Readers see the new beginning before anything is gone.
    ///
    /// # Errors
    /// If it cannot be written down or removed. The log begins where it says all the same, and what is still there is removed
    /// by the next start.
    fn drop_before(&self, place: Place) -> io::Result<Begin>;

    /// Bytes that are stored, with what is prepared for the next records.
    fn bytes(&self) -> u64;

    /// Why no space can be prepared for the next records, if that is so. Appends succeed until what was prepared before is
    /// used up. An engine tries again by itself.
    fn shortage(&self) -> Option<Arc<io::Error>>;
}

/// The one writer of a log.
pub trait LogWriter: Send + fmt::Debug {
    /// Appends a record. When it returns `Ok` the record is durable and can be read.
    ///
    /// # Errors
    /// See [`AppendError`].
    fn append(&mut self, draft: &Draft) -> Result<Appended, AppendError>;

    /// Makes sure that a record of so many bytes ([`Draft::encoded_len`]) finds space, before anything depends on it.
    ///
    /// # Errors
    /// [`AppendError::Full`] if there is none, and as [`append`](Self::append).
    fn reserve(&mut self, bytes: usize) -> Result<(), AppendError>;

    /// Ends the extent that is written to: the next record begins another, so that this one can be dropped when it is old
    /// enough, however little was written. Without a record in it nothing happens.
    fn seal(&mut self);

    /// The log, for all others. It stays readable when the writer is gone.
    fn log(&self) -> Arc<dyn Log>;
}

/// What [`verify`] has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records.
    pub records: u64,
    /// Bodies that are as they were appended.
    pub bodies: u64,
    /// Bodies that were erased.
    pub erased: u64,
    /// Bodies that are damaged.
    pub damaged: u64,
    /// The first record that has one.
    pub first_damaged: Option<Place>,
}

/// Reads a whole log, from its beginning to its present end: all checksums, the chain, and the numbers. `progress` is told
/// each place that was reached.
///
/// # Errors
/// See [`ReadError`].
pub fn verify(log: &dyn Log, mut progress: impl FnMut(Place)) -> Result<Verified, ReadError> {
    const AT_ONCE: usize = 1 << 20;
    let (begin, end) = (log.begin(), log.end().place);
    let (mut place, mut before, mut last) = (begin.place, begin.check, begin.dropped);
    let mut verified = Verified::default();
    while place < end {
        let records = log.read(place, AT_ONCE)?;
        for record in &records {
            if record.before != before || record.first != last + 1 {
                return Err(ReadError::Chain(record.place));
            }
            verified.count(record);
            (before, last, place) = (record.check, record.last(), record.next);
        }
        if records.is_empty() {
            break;
        }
        progress(place);
    }
    Ok(verified)
}

impl Verified {
    fn count(&mut self, record: &Record) {
        self.records += 1;
        for body in &record.bodies {
            match body {
                crate::Body::Whole(_) => self.bodies += 1,
                crate::Body::Erased => self.erased += 1,
                crate::Body::Damaged => {
                    self.damaged += 1;
                    self.first_damaged.get_or_insert(record.place);
                }
            }
        }
    }
}
