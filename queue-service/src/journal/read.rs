//! Reading the store: the overlay first, then the index, then the log. Every call counts what it reads: a point read or the
//! opening of a range in the index, and a look into the log, are one read each.

mod feed;
mod kept;
mod messages;
mod work;

use std::{collections::VecDeque, sync::Arc};

use repartee_log::{Place, ReadError, Record as LogRecord};

use super::{
    FormatError, JournalError, Store, Tally,
    commits::LogCommit,
    keys::Key,
    stored::{Pointer, decode},
};
use crate::domain::{Content, State};

pub use feed::{Changes, Posts};
pub use work::WorkRows;

/// Commits that one reader remembers: what belongs together stands together.
const REMEMBERED: usize = 16;
/// How often a pointer is followed again that was moved meanwhile.
const TRIES: usize = 16;
/// Bytes of the log that are read at once, one commit after the other.
const PIECE: usize = 128 << 10;

/// One call that reads, and what it has seen of the log.
pub(super) struct Reader<'a> {
    store: &'a Store,
    tally: &'a Tally,
    seen: VecDeque<Arc<LogCommit>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(store: &'a Store, tally: &'a Tally) -> Self {
        Self { store, tally, seen: VecDeque::new() }
    }

    /// The commit with a change; `None` if it was dropped, or there is none yet.
    pub(super) fn commit_of(&mut self, seq: u64) -> Result<Option<Arc<LogCommit>>, JournalError> {
        if let Some(seen) = self.seen.iter().find(|commit| commit.record().has(seq)) {
            return Ok(Some(Arc::clone(seen)));
        }
        self.tally.count_read();
        let found = not_dropped(self.store.0.log.find(seq))?.flatten();
        found.map(|record| self.remember(record)).transpose()
    }

    /// The commit at a place; `None` if it was dropped.
    fn commit_at(&mut self, place: Place) -> Result<Option<Arc<LogCommit>>, JournalError> {
        if let Some(seen) = self.seen.iter().find(|commit| commit.record().place == place) {
            return Ok(Some(Arc::clone(seen)));
        }
        self.tally.count_read();
        let found = not_dropped(self.store.0.log.read(place, 1))?;
        found.and_then(|records| records.into_iter().next()).map(|record| self.remember(record)).transpose()
    }

    fn remember(&mut self, record: LogRecord) -> Result<Arc<LogCommit>, JournalError> {
        let commit = Arc::new(LogCommit::parse(record)?);
        self.note(&commit);
        Ok(commit)
    }

    /// Notes a commit that is at hand.
    pub(super) fn note(&mut self, commit: &Arc<LogCommit>) {
        self.seen.push_front(Arc::clone(commit));
        self.seen.truncate(REMEMBERED);
    }

    /// What the message says that was posted under a number, and the state that stands with it; `None` if it is gone.
    pub(super) fn said(&mut self, posted: u64) -> Result<Option<(Arc<Content>, State)>, JournalError> {
        for _ in 0..TRIES {
            let (commit, nth) = match self.content_at(posted)? {
                Stands::At(pointer) => match self.commit_at(pointer.place())? {
                    Some(commit) => (commit, pointer.entry),
                    None => continue,
                },
                Stands::WherePosted => match self.commit_of(posted)? {
                    Some(commit) => {
                        let nth = commit.post(posted)?.0;
                        (commit, nth)
                    }
                    None => continue,
                },
                Stands::Nowhere => return Ok(None),
            };
            if let Some(content) = commit.content(nth)? {
                return Ok(Some((content, commit.state(nth)?)));
            }
            // It was erased, so it stands elsewhere by now; what was seen before that is old.
            self.seen.clear();
        }
        Err(FormatError::Field("content").into())
    }

    /// Where the content of a message stands. Only an edit, a deletion or a sweep moves it, so most are found without a look
    /// into the index.
    fn content_at(&mut self, posted: u64) -> Result<Stands, JournalError> {
        let key = Key::Content(posted);
        let swept = posted <= self.store.0.begins_seq();
        match self.store.0.index.in_memory(key) {
            Some(Some(row)) => return Ok(Stands::At(decode(&row)?)),
            Some(None) => return Ok(Stands::Nowhere),
            None => {}
        }
        if !swept && let Some(commit) = self.commit_of(posted)? {
            let (nth, _) = commit.post(posted)?;
            if commit.content(nth)?.is_some() {
                return Ok(Stands::WherePosted);
            }
        }
        Ok(match self.store.0.index.get(key, self.tally)? {
            Some(row) => Stands::At(decode(&row)?),
            None => Stands::Nowhere,
        })
    }

    /// The state at a place; `None` if that was dropped.
    pub(super) fn state_at(&mut self, pointer: Pointer) -> Result<Option<State>, JournalError> {
        let Some(commit) = self.commit_at(pointer.place())? else { return Ok(None) };
        Ok(Some(commit.state(pointer.entry)?))
    }
}

/// Where something stands.
enum Stands {
    WherePosted,
    At(Pointer),
    Nowhere,
}

/// What was dropped is not there.
fn not_dropped<T>(read: Result<T, ReadError>) -> Result<Option<T>, JournalError> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(ReadError::Dropped(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The commits of the log from a place on, piece by piece.
pub(super) struct Forward<'a> {
    store: &'a Store,
    tally: &'a Tally,
    place: Place,
    piece: VecDeque<LogRecord>,
}

impl<'a> Forward<'a> {
    pub(super) fn from(store: &'a Store, place: Place, tally: &'a Tally) -> Self {
        Self { store, tally, place, piece: VecDeque::new() }
    }

    /// From the commit with the change behind `seq` on; nothing if there is none, or it was dropped.
    pub(super) fn after(store: &'a Store, seq: u64, tally: &'a Tally) -> Result<Self, JournalError> {
        let log = &store.0.log;
        let end = log.end();
        if seq >= end.last {
            return Ok(Self::from(store, end.place, tally));
        }
        tally.count_read();
        let place = match not_dropped(log.find(seq.saturating_add(1)))?.flatten() {
            Some(record) => record.place,
            None => log.begin().place,
        };
        Ok(Self::from(store, place, tally))
    }

    fn read(&mut self) -> Result<Option<Arc<LogCommit>>, JournalError> {
        if self.piece.is_empty() {
            self.tally.count_read();
            let log = &self.store.0.log;
            let read = match log.read(self.place, PIECE) {
                // What was there was swept; what is behind it was not.
                Err(ReadError::Dropped(begin)) => log.read(begin.place, PIECE),
                read => read,
            };
            self.piece = not_dropped(read)?.unwrap_or_default().into();
        }
        let Some(record) = self.piece.pop_front() else { return Ok(None) };
        self.place = record.next;
        Ok(Some(Arc::new(LogCommit::parse(record)?)))
    }
}

impl Iterator for Forward<'_> {
    type Item = Result<Arc<LogCommit>, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The commits of the log before a place, the newest first, as far as readers see them.
pub(super) struct Backward<'a> {
    store: &'a Store,
    tally: &'a Tally,
    place: Place,
    piece: Vec<LogRecord>,
}

impl<'a> Backward<'a> {
    /// From the commit on that has this change; from the newest on if there is none yet.
    pub(super) fn from(store: &'a Store, seq: u64, tally: &'a Tally) -> Result<Self, JournalError> {
        let log = &store.0.log;
        let end = log.end();
        let mut place = end.place;
        if seq <= end.last {
            tally.count_read();
            place = match not_dropped(log.find(seq))?.flatten() {
                Some(record) => record.next,
                // What is before it is gone as well, or it is before all that there is.
                None => log.begin().place,
            };
        }
        Ok(Self { store, tally, place, piece: Vec::new() })
    }

    fn read(&mut self) -> Result<Option<Arc<LogCommit>>, JournalError> {
        if self.piece.is_empty() {
            self.tally.count_read();
            self.piece = not_dropped(self.store.0.log.read_back(self.place, PIECE))?.unwrap_or_default();
        }
        let Some(record) = self.piece.pop() else { return Ok(None) };
        self.place = record.place;
        if record.last() <= self.store.0.begins_seq() {
            return Ok(None);
        }
        Ok(Some(Arc::new(LogCommit::parse(record)?)))
    }
}

impl Iterator for Backward<'_> {
    type Item = Result<Arc<LogCommit>, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
