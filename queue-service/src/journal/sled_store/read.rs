//! Reading messages and keys. Every call counts what it reads: a point read or the opening of a range is one read each.

use std::ops::Bound;

use sled::IVec;
use uuid::Uuid;

use super::SledStore;
use crate::{
    domain::{ConversationId, Millis, Record, RequestKey, Requested},
    journal::{
        FormatError, JournalError, Tally,
        keys::{Key, Place, last_number},
        stored::{StoredCommit, StoredLive, StoredMessage, StoredRequest, StoredState, decode},
    },
};

/// A range of encoded keys.
pub(super) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// All rows whose keys begin with this byte.
pub(super) fn all(row: u8) -> KeyRange {
    (Bound::Included(vec![row]), Bound::Excluded(vec![row + 1]))
}

impl SledStore {
    /// One message by its id. A live message's state is as it was posted: the queue and the views know better.
    pub fn find(&self, id: Uuid, tally: &Tally) -> Result<Option<Record>, JournalError> {
        let Some(row) = self.get(Key::Id(id), tally)? else { return Ok(None) };
        let place = Place::from_bytes(&row).ok_or(FormatError::Field("place"))?;
        self.message(place, tally)
    }

    /// What the first request with an idempotency key stored.
    pub fn find_request(&self, key: RequestKey, tally: &Tally) -> Result<Option<Requested>, JournalError> {
        let Some(row) = self.get(Key::Request(key), tally)? else { return Ok(None) };
        Ok(Some(decode::<StoredRequest>(&row)?.into_requested(key)?))
    }

    /// Up to `limit` requests in the order of their keys, after `from`: to find those that are over.
    pub fn requests_after(
        &self,
        from: Option<RequestKey>,
        limit: usize,
        tally: &Tally,
    ) -> Result<Vec<Requested>, JournalError> {
        let low = match from {
            Some(key) => Bound::Excluded(Key::Request(key).to_bytes()),
            None => Bound::Included(vec![b'k']),
        };
        let rows = self.range((low, all(b'k').1), tally).take(limit);
        let request = |row: Result<(IVec, IVec), JournalError>| {
            let (key, value) = row?;
            let key: [u8; 16] = key[1..].try_into().map_err(|_| FormatError::Field("key"))?;
            Ok(decode::<StoredRequest>(&value)?.into_requested(RequestKey(key))?)
        };
        rows.map(request).collect()
    }

    /// The last messages of a conversation, oldest first, up to those posted before `before`: one range read.
    pub fn conversation(
        &self,
        conversation: ConversationId,
        before: u64,
        limit: usize,
        tally: &Tally,
    ) -> Result<Vec<Record>, JournalError> {
        let key = |posted| Key::Message(Place::new(Some(conversation), posted)).to_bytes();
        let rows = self.range((Bound::Included(key(0)), Bound::Excluded(key(before))), tally).rev();
        let mut records = Vec::new();
        for row in rows {
            let (key, value) = row?;
            let place = Place::from_bytes(&key[1..]).ok_or(FormatError::Field("place"))?;
            let record = decode::<StoredMessage>(&value)?.into_record(place)?;
            if !record.state.deleted {
                records.push(record);
            }
            if records.len() == limit {
                break;
            }
        }
        records.reverse();
        Ok(records)
    }

    /// All live work with its present state.
    pub fn live(&self, tally: &Tally) -> Result<Vec<Record>, JournalError> {
        let mut live = Vec::new();
        for row in self.range(all(b'l'), tally) {
            let (key, value) = row?;
            let posted = last_number(&key).ok_or(FormatError::Field("posted"))?;
            let stored = decode::<StoredLive>(&value)?;
            let place = stored.place(posted)?;
            let mut record = self.message(place, tally)?.ok_or(FormatError::Field("live"))?;
            record.state = StoredState::into_state(stored.state)?;
            live.push(record);
        }
        Ok(live)
    }

    /// Failed messages, newest first, posted before `before`.
    pub fn failed(&self, before: u64, limit: usize, tally: &Tally) -> Result<Vec<Record>, JournalError> {
        let range = (all(b'f').0, Bound::Excluded(Key::Failed(before).to_bytes()));
        let mut failed = Vec::new();
        for row in self.range(range, tally).rev().take(limit) {
            let (key, value) = row?;
            let posted = last_number(&key).ok_or(FormatError::Field("posted"))?;
            let conversation = value.as_ref().try_into().map_err(|_| FormatError::Field("conversation"))?;
            failed.extend(self.message(Place { conversation, posted }, tally)?);
        }
        Ok(failed)
    }

    /// How many messages are failed: one range read of keys.
    pub fn count_failed(&self, tally: &Tally) -> Result<u64, JournalError> {
        let mut count = 0;
        for row in self.range(all(b'f'), tally) {
            row?;
            count += 1;
        }
        Ok(count)
    }

    /// Number of the last change and time stamp of the last message; zeros in a new log.
    pub fn last(&self, tally: &Tally) -> Result<(u64, Millis), JournalError> {
        match self.range(all(b'j'), tally).next_back().transpose()? {
            Some((key, value)) => {
                let seq = last_number(&key).ok_or(FormatError::Field("seq"))?;
                Ok((seq, decode::<StoredCommit>(&value)?.stamp))
            }
            None => Ok((0, 0)),
        }
    }

    /// One message by its place.
    pub(super) fn message(&self, place: Place, tally: &Tally) -> Result<Option<Record>, JournalError> {
        let row = self.get(Key::Message(place), tally)?;
        Ok(row.map(|row| decode::<StoredMessage>(&row)?.into_record(place)).transpose()?)
    }

    pub(super) fn get(&self, key: Key, tally: &Tally) -> Result<Option<IVec>, JournalError> {
        tally.count_read();
        Ok(self.db.get(key.to_bytes())?)
    }

    pub(super) fn range(
        &self,
        range: KeyRange,
        tally: &Tally,
    ) -> impl DoubleEndedIterator<Item = Result<(IVec, IVec), JournalError>> + use<> {
        tally.count_read();
        self.db.range(range).map(|row| Ok(row?))
    }
}
