//! A log in memory: for tests of those who use a log, and as the shortest description of what a log does.
//!
//! It outlives its writer, so a "restart" is another writer; with its last handle it is gone.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::{
    draw,
    engine::{Appended, Begin, End, Epoch, Extent, Log, LogWriter},
    error::{AppendError, EraseError, ReadError},
    record::{Body, BodyAt, Check, Draft, Place, Record, Standing, parse},
};

/// Space of an extent before its first record, so that no place is 0.
const FIRST_OFFSET: u32 = 8;

/// The log. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    epoch: Epoch,
    key: [u8; 16],
    /// An extent ends before it grows beyond this.
    extent_bytes: usize,
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Debug)]
struct State {
    begin: Begin,
    end: End,
    /// Oldest first; never without one.
    extents: VecDeque<Vec<Record>>,
    has_writer: bool,
    full: Option<Arc<io::Error>>,
    fails_next: bool,
}

/// Its writer.
#[derive(Debug)]
pub struct MemoryWriter {
    shared: Arc<Shared>,
    sealed: bool,
    failed: Option<Arc<io::Error>>,
}

impl MemoryLog {
    /// A new log whose extents hold up to so many bytes of records each, 1 GiB at most.
    #[must_use]
    pub fn new(extent_bytes: usize) -> Self {
        let place = Place::new(0, FIRST_OFFSET);
        let begin = Begin { place, dropped: 0, stamp: i64::MIN, check: Check::default() };
        let end = End { place, last: 0, stamp: i64::MIN, check: Check::default() };
        let state = State {
            begin,
            end,
            extents: VecDeque::from([Vec::new()]),
            has_writer: false,
            full: None,
            fails_next: false,
        };
        let shared = Shared {
            epoch: Epoch(u64::from_le_bytes(draw())),
            key: draw(),
            extent_bytes: extent_bytes.min(1 << 30),
            state: Mutex::new(state),
            grown: Condvar::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The writer; `None` while there is one.
    #[must_use]
    pub fn writer(&self) -> Option<MemoryWriter> {
        let mut state = self.shared.state.lock();
        let is_free = !std::mem::replace(&mut state.has_writer, true);
        is_free.then(|| MemoryWriter { shared: Arc::clone(&self.shared), sealed: false, failed: None })
    }

    /// From now on there is no space, or there is again.
    pub fn set_full(&self, full: bool) {
        let error = io::Error::from(io::ErrorKind::StorageFull);
        self.shared.state.lock().full = full.then(|| Arc::new(error));
    }

    /// The next append fails, so that its writer takes nothing more.
    pub fn fail_next(&self) {
        self.shared.state.lock().fails_next = true;
    }
}

impl State {
    /// The records from a place on: the place of one, or the end.
    fn from(&self, place: Place) -> Result<impl DoubleEndedIterator<Item = &Record>, ReadError> {
        let (extent, record) = self.index(place)?;
        let is_first = move |(index, _): &(usize, _)| *index == extent;
        let records = self.extents.iter().enumerate().skip(extent);
        Ok(records.flat_map(move |numbered| {
            let skip = if is_first(&numbered) { record } else { 0 };
            numbered.1[skip..].iter()
        }))
    }

    /// Which extent a place is in, and which of its records is there.
    fn index(&self, place: Place) -> Result<(usize, usize), ReadError> {
        if place < self.begin.place {
            return Err(ReadError::Dropped(self.begin));
        }
        let extent = (place.segment() - self.begin.place.segment()) as usize;
        let records = self.extents.get(extent).ok_or(ReadError::NoRecord(place))?;
        match records.binary_search_by_key(&place, |record| record.place) {
            Ok(record) => Ok((extent, record)),
            Err(end) if records.last().map_or(self.end.place, |record| record.next) == place => {
                Ok((extent, end))
            }
            Err(_) => Err(ReadError::NoRecord(place)),
        }
    }
}

impl Log for MemoryLog {
    fn epoch(&self) -> Epoch {
        self.shared.epoch
    }

    fn key(&self) -> [u8; 16] {
        self.shared.key
    }

    fn begin(&self) -> Begin {
        self.shared.state.lock().begin
    }

    fn end(&self) -> End {
        self.shared.state.lock().end
    }

    fn read(&self, from: Place, max_bytes: usize) -> Result<Vec<Record>, ReadError> {
        let state = self.shared.state.lock();
        Ok(within(max_bytes, state.from(from)?.cloned()))
    }

    fn read_back(&self, before: Place, max_bytes: usize) -> Result<Vec<Record>, ReadError> {
        let state = self.shared.state.lock();
        state.index(before)?;
        let records = state.from(state.begin.place)?.rev();
        let mut records = within(max_bytes, records.skip_while(|record| record.place >= before).cloned());
        records.reverse();
        Ok(records)
    }

    fn find(&self, number: u64) -> Result<Option<Record>, ReadError> {
        let state = self.shared.state.lock();
        if number <= state.begin.dropped {
            return Err(ReadError::Dropped(state.begin));
        }
        let found = state.from(state.begin.place)?.find(|record| record.has(number));
        Ok(found.cloned())
    }

    fn after_stamp(&self, stamp: i64) -> Result<Place, ReadError> {
        let state = self.shared.state.lock();
        let found = state.from(state.begin.place)?.find(|record| record.stamp > stamp);
        Ok(found.map_or(state.end.place, |record| record.place))
    }

    fn wait(&self, beyond: Place, at_most: Duration) -> End {
        let mut state = self.shared.state.lock();
        let is_behind = |state: &mut State| state.end.place <= beyond;
        self.shared.grown.wait_while_for(&mut state, is_behind, at_most);
        state.end
    }

    fn erase(&self, bodies: &[BodyAt]) -> Result<(), EraseError> {
        let mut state = self.shared.state.lock();
        let mut found = Vec::with_capacity(bodies.len());
        for at in bodies.iter().filter(|at| at.record >= state.begin.place) {
            let (extent, record) = state.index(at.record)?;
            let there = state.extents[extent].get(record).ok_or(ReadError::NoRecord(at.record))?;
            if at.body as usize >= there.bodies.len() {
                return Err(EraseError::NoBody { record: at.record, body: at.body });
            }
            found.push((extent, record, at.body as usize));
        }
        for (extent, record, body) in found {
            state.extents[extent][record].bodies[body] = Body::Erased;
        }
        Ok(())
    }

    fn oldest(&self) -> Option<Extent> {
        let state = self.shared.state.lock();
        let (oldest, next) = (state.extents.front()?, state.extents.get(1)?);
        let (first, last, next) = (oldest.first()?, oldest.last()?, next.first()?);
        let bytes = oldest.iter().map(length).sum();
        Some(Extent { begin: first.place, end: next.place, last: last.last(), stamp: last.stamp, bytes })
    }

    fn drop_before(&self, place: Place) -> io::Result<Begin> {
        let mut state = self.shared.state.lock();
        while state.extents.get(1).and_then(|next| next.first()).is_some_and(|next| next.place <= place) {
            let dropped = state.extents.pop_front().and_then(|records| records.last().cloned());
            if let (Some(last), Some(next)) = (dropped, state.extents[0].first()) {
                let place = next.place;
                state.begin = Begin { place, dropped: last.last(), stamp: last.stamp, check: last.check };
            }
        }
        Ok(state.begin)
    }

    fn bytes(&self) -> u64 {
        self.shared.state.lock().extents.iter().flatten().map(length).sum()
    }

    fn shortage(&self) -> Option<Arc<io::Error>> {
        self.shared.state.lock().full.clone()
    }
}

/// As many as fit into so many bytes, and one in any case.
fn within(max_bytes: usize, records: impl Iterator<Item = Record>) -> Vec<Record> {
    let mut left = max_bytes as u64;
    let mut taken = Vec::new();
    for record in records {
        let fits = left.checked_sub(length(&record));
        if fits.is_none() && !taken.is_empty() {
            break;
        }
        left = fits.unwrap_or(0);
        taken.push(record);
    }
    taken
}

fn length(record: &Record) -> u64 {
    u64::from(record.next.offset() - record.place.offset())
}

impl LogWriter for MemoryWriter {
    fn append(&mut self, draft: &Draft) -> Result<Appended, AppendError> {
        self.reserve(draft.encoded_len())?;
        let mut state = self.shared.state.lock();
        draft.check(state.end.stamp)?;
        if std::mem::take(&mut state.fails_next) {
            let error = Arc::new(io::Error::other("the log was told to fail"));
            self.failed = Some(Arc::clone(&error));
            return Err(AppendError::Failed(error));
        }
        let mut bytes = vec![0; draft.encoded_len()];
        let end = state.end;
        let standing = Standing { salt: 0, first: end.last + 1, before: end.check };
        let check = draft.encode(standing, &mut bytes);
        let mut place = end.place;
        let is_over =
            place.offset() as usize + bytes.len() > self.shared.extent_bytes + FIRST_OFFSET as usize;
        let has_records = state.extents.back().is_some_and(|records| !records.is_empty());
        if (std::mem::take(&mut self.sealed) || is_over) && has_records {
            state.extents.push_back(Vec::new());
            place = Place::new(place.segment() + 1, FIRST_OFFSET);
        }
        let next = Place::new(place.segment(), place.offset() + bytes.len() as u32);
        let record = parse(&Bytes::from(bytes), place, next);
        state.end = End { place: next, last: record.last(), stamp: record.stamp, check };
        let appended = Appended { place, next, first: record.first, check };
        state.extents.back_mut().expect("there is always one").push(record);
        drop(state);
        self.shared.grown.notify_all();
        Ok(appended)
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), AppendError> {
        if let Some(error) = &self.failed {
            return Err(AppendError::Failed(Arc::clone(error)));
        }
        if bytes > self.shared.extent_bytes {
            return Err(AppendError::TooLarge { bytes, limit: self.shared.extent_bytes });
        }
        self.shared.state.lock().full.clone().map_or(Ok(()), |full| Err(AppendError::Full(full)))
    }

    fn seal(&mut self) {
        self.sealed = true;
    }

    fn log(&self) -> Arc<dyn Log> {
        Arc::new(MemoryLog { shared: Arc::clone(&self.shared) })
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        self.shared.state.lock().has_writer = false;
    }
}

#[cfg(test)]
mod tests;
