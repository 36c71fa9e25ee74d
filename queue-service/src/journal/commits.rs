//! Commits as they stand in the log.

use std::sync::Arc;

use repartee_log::{Body, BodyAt, Record as LogRecord};

use super::{
    FormatError, JournalError,
    stored::{Pointer, StoredChange, StoredCommit, StoredErrors, StoredMessage, decode},
};
use crate::domain::{Content, Millis, State};

/// A commit that was read.
#[derive(Debug)]
pub(super) struct LogCommit {
    record: LogRecord,
    pub(super) head: StoredCommit,
    /// The first body of each entry.
    bodies: Vec<u32>,
}

impl LogCommit {
    pub(super) fn parse(record: LogRecord) -> Result<Self, JournalError> {
        let head: StoredCommit = decode(&record.head)?;
        let mut next = 0;
        let bodies = head.entries().map(|entry| {
            let first = next;
            next += entry.bodies();
            first
        });
        let bodies = bodies.collect();
        if next as usize != record.bodies.len() || head.changes.len() != record.numbers as usize {
            return Err(FormatError::Field("bodies").into());
        }
        Ok(Self { record, head, bodies })
    }

    /// The record.
    pub(super) fn record(&self) -> &LogRecord {
        &self.record
    }

    /// Number of its last change, or of the last one before if it has none.
    pub(super) fn last(&self) -> u64 {
        self.record.last()
    }

    /// The stamp of the newest message then.
    pub(super) fn stamp(&self) -> Millis {
        self.record.stamp
    }

    /// When it was made, by the wall clock.
    pub(super) fn time(&self) -> Millis {
        self.head.time(self.record.stamp)
    }

    /// Its changes, and behind them what it keeps, each with where it stands.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Pointer, &StoredChange)> {
        self.head.entries().enumerate().map(|(nth, entry)| (Pointer::to(self.record.place, nth), entry))
    }

    /// An entry.
    pub(super) fn entry(&self, nth: u32) -> Result<&StoredChange, JournalError> {
        Ok(self.head.entries().nth(nth as usize).ok_or(FormatError::Field("entry"))?)
    }

    /// The entry that posted the message with this number.
    pub(super) fn post(&self, posted: u64) -> Result<(u32, &StoredChange), JournalError> {
        let nth = posted.checked_sub(self.record.first).and_then(|nth| u32::try_from(nth).ok());
        let nth = nth.ok_or(FormatError::Field("posted"))?;
        let post =
            self.head.changes.get(nth as usize).filter(|change| change.is_post() && change.posted == posted);
        Ok((nth, post.ok_or(FormatError::Field("posted"))?))
    }

    /// What an entry says that its message says; `None` if that was erased.
    pub(super) fn content(&self, nth: u32) -> Result<Option<Arc<Content>>, JournalError> {
        let entry = self.entry(nth)?;
        let Some(body) = self.content_body(nth, entry) else {
            return Err(FormatError::Field("content").into());
        };
        let Some(bytes) = self.body(body)? else { return Ok(None) };
        let stored: StoredMessage = prost::Message::decode(bytes).map_err(FormatError::from)?;
        Ok(Some(Arc::new(stored.into_content(entry.posted)?)))
    }

    /// The errors of attempts that stand with an entry; none if they were erased.
    pub(super) fn errors(&self, nth: u32) -> Result<Vec<String>, JournalError> {
        let Some(body) = self.errors_body(nth, self.entry(nth)?) else { return Ok(Vec::new()) };
        let Some(bytes) = self.body(body)? else { return Ok(Vec::new()) };
        let stored: StoredErrors = prost::Message::decode(bytes).map_err(FormatError::from)?;
        Ok(stored.errors)
    }

    /// The state that an entry says.
    pub(super) fn state(&self, nth: u32) -> Result<State, JournalError> {
        Ok(self.entry(nth)?.state(self.errors(nth)?)?)
    }

    /// Where the content of an entry can be erased.
    pub(super) fn content_at(&self, nth: u32) -> Result<Option<BodyAt>, JournalError> {
        Ok(self.content_body(nth, self.entry(nth)?).map(|body| self.at(body)))
    }

    /// Where its errors can be.
    pub(super) fn errors_at(&self, nth: u32) -> Result<Option<BodyAt>, JournalError> {
        Ok(self.errors_body(nth, self.entry(nth)?).map(|body| self.at(body)))
    }

    fn at(&self, body: u32) -> BodyAt {
        BodyAt { record: self.record.place, body }
    }

    fn content_body(&self, nth: u32, entry: &StoredChange) -> Option<u32> {
        entry.has_content().then(|| self.bodies[nth as usize])
    }

    fn errors_body(&self, nth: u32, entry: &StoredChange) -> Option<u32> {
        entry.has_errors().then(|| self.bodies[nth as usize] + u32::from(entry.has_content()))
    }

    /// The bytes of a body; `None` if it was erased. What was being erased when the process ended is erased again before
    /// anybody reads, so what is neither whole nor erased is damaged.
    fn body(&self, body: u32) -> Result<Option<&[u8]>, JournalError> {
        match self.record.bodies.get(body as usize) {
            Some(Body::Whole(bytes)) => Ok(Some(bytes)),
            Some(Body::Erased) => Ok(None),
            Some(Body::Damaged) => Err(JournalError::Body(self.record.place)),
            None => Err(FormatError::Field("bodies").into()),
        }
    }
}
