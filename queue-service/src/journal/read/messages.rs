//! Reading messages, and what stands in rows of the index.

use std::{ops::Bound, sync::Arc};

use sled::IVec;
use uuid::Uuid;

use super::{Forward, Reader};
use crate::{
    domain::{Act, Block, ConversationId, Millis, Owner, Record, RequestKey, Requested, Status},
    journal::{
        FormatError, JournalError, Store, Tally,
        index::all,
        keys::{Key, List, last_number},
        stored::{StoredAct, StoredBlock, StoredOwner, StoredPause, StoredRequest, decode},
    },
};

type Row = Result<(IVec, IVec), JournalError>;

impl Store {
    /// One message by its id. A live message's state is as it was posted: the queue and the views know better.
    pub fn find(&self, id: Uuid, tally: &Tally) -> Result<Option<Record>, JournalError> {
        match self.ids().open(id) {
            Some(posted) => self.message(posted, tally),
            None => Ok(None),
        }
    }

    /// The message that was posted under a number; more reads if it is work. A live message's state is as it was posted: the
    /// queue and the views know better.
    pub fn message(&self, posted: u64, tally: &Tally) -> Result<Option<Record>, JournalError> {
        Reader::new(self, tally).message(posted)
    }

    /// What the first request with an idempotency key stored.
    pub fn find_request(&self, key: RequestKey, tally: &Tally) -> Result<Option<Requested>, JournalError> {
        let Some(row) = self.0.index.get(Key::Request(key), tally)? else { return Ok(None) };
        Ok(Some(decode::<StoredRequest>(&row)?.into_requested(key)?))
    }

    /// Whose a conversation is; `None` if it is nobody's.
    pub fn find_owner(
        &self,
        conversation: ConversationId,
        tally: &Tally,
    ) -> Result<Option<Owner>, JournalError> {
        let Some(row) = self.0.index.get(Key::Owner(conversation), tally)? else { return Ok(None) };
        Ok(Some(decode::<StoredOwner>(&row)?.into_owner()?))
    }

    /// The entities that are paused, and since when.
    pub fn paused(&self, tally: &Tally) -> Result<Vec<(String, Millis)>, JournalError> {
        let pause = |row: Row| {
            let StoredPause { entity, since } = decode(&row?.1)?;
            Ok((entity, since))
        };
        self.0.index.range(all(b'p'), tally).map(pause).collect()
    }

    /// The log of operators' acts, oldest first.
    pub fn acts(&self, tally: &Tally) -> Result<Vec<Act>, JournalError> {
        let act = |row: Row| {
            let (key, value) = row?;
            let number = last_number(&key).ok_or(FormatError::Field("number"))?;
            Ok(decode::<StoredAct>(&value)?.into_act(number)?)
        };
        self.0.index.range(all(b'a'), tally).map(act).collect()
    }

    /// Who is blocked.
    pub fn blocks(&self, tally: &Tally) -> Result<Vec<Block>, JournalError> {
        let block = |row: Row| {
            let (key, value) = row?;
            Ok(decode::<StoredBlock>(&value)?.into_block(&key)?)
        };
        self.0.index.range(all(b'x'), tally).map(block).collect()
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
        let rows = self.0.index.range((low, all(b'k').1), tally).take(limit);
        let request = |row: Row| {
            let (key, value) = row?;
            let key: [u8; 16] = key[1..].try_into().map_err(|_| FormatError::Field("key"))?;
            Ok(decode::<StoredRequest>(&value)?.into_requested(RequestKey(key))?)
        };
        rows.map(request).collect()
    }

    /// The numbers of the posts of a conversation before `before`, the newest first: one range read.
    pub fn conversation(
        &self,
        conversation: ConversationId,
        before: u64,
        tally: &Tally,
    ) -> impl Iterator<Item = Result<u64, JournalError>> + use<> {
        self.0.index.numbers_before(List::Conversation(conversation), before, tally)
    }

    /// All live work with its present state.
    pub fn live(&self, tally: &Tally) -> Result<Vec<Record>, JournalError> {
        let (mut live, mut reader) = (Vec::new(), Reader::new(self, tally));
        for row in self.0.index.range(all(b'l'), tally) {
            let (key, value) = row?;
            let posted = last_number(&key).ok_or(FormatError::Field("posted"))?;
            let (content, _) = reader.said(posted)?.ok_or(FormatError::Field("live"))?;
            let state = reader.state_at(decode(&value)?)?.ok_or(FormatError::Field("live"))?;
            live.push(Record { content, state });
        }
        Ok(live)
    }

    /// Failed messages, newest first, posted before `before`.
    pub fn failed(&self, before: u64, limit: usize, tally: &Tally) -> Result<Vec<Record>, JournalError> {
        let is_failed =
            |record: &Record| record.state.work.as_ref().is_some_and(|work| work.status == Status::Failed);
        self.listed(b'f', before, limit, is_failed, tally)
    }

    /// Hidden messages, those that were posted last first, posted before `before`.
    pub fn hidden(&self, before: u64, limit: usize, tally: &Tally) -> Result<Vec<Record>, JournalError> {
        self.listed(b'h', before, limit, |record| record.state.hidden, tally)
    }

    /// The messages with a row of this kind. One may be swept or changed between this look and the one before.
    fn listed(
        &self,
        row: u8,
        before: u64,
        limit: usize,
        is_it: impl Fn(&Record) -> bool,
        tally: &Tally,
    ) -> Result<Vec<Record>, JournalError> {
        let end = [&[row][..], &before.to_be_bytes()].concat();
        let (mut found, mut reader) = (Vec::new(), Reader::new(self, tally));
        for row in self.0.index.range((all(row).0, Bound::Excluded(end)), tally).rev() {
            if found.len() == limit {
                break;
            }
            let posted = last_number(&row?.0).ok_or(FormatError::Field("posted"))?;
            found.extend(reader.message(posted)?.filter(&is_it));
        }
        Ok(found)
    }

    /// Reads all messages, and counts them.
    pub fn count_messages(&self, tally: &Tally) -> Result<u64, JournalError> {
        let (mut count, begins) = (0, self.begins());
        for posted in self.kept_numbers(None, 0..=begins.seq, tally) {
            count += u64::from(self.message(posted?, tally)?.is_some());
        }
        let mut reader = Reader::new(self, tally);
        for commit in Forward::from(self, begins.place.max(self.0.log.begin().place), tally) {
            let commit = commit?;
            reader.note(&commit);
            for change in commit.head.changes.iter().filter(|change| change.is_post()) {
                count += u64::from(reader.message(change.posted)?.is_some());
            }
        }
        Ok(count)
    }

    /// How many messages are failed: one range read of keys.
    pub fn count_failed(&self, tally: &Tally) -> Result<u64, JournalError> {
        let mut count = 0;
        for row in self.0.index.range(all(b'f'), tally) {
            row?;
            count += 1;
        }
        Ok(count)
    }

    /// Number of the last change and time stamp of the last message; zeros in a new log.
    pub fn last(&self, tally: &Tally) -> Result<(u64, Millis), JournalError> {
        self.last_commit(tally).map(|last| (last.seq, last.stamp))
    }
}

impl Reader<'_> {
    /// The message that was posted under a number. Of finished work the state stands elsewhere.
    pub(in crate::journal) fn message(&mut self, posted: u64) -> Result<Option<Record>, JournalError> {
        let Some((content, mut state)) = self.said(posted)? else { return Ok(None) };
        if state.work.is_some()
            && let Some(row) = self.store.0.index.get(Key::Finished(posted), self.tally)?
            // Dropped meanwhile, it was swept, or is kept elsewhere with a state that is as old.
            && let Some(finished) = self.state_at(decode(&row)?)?
        {
            state = finished;
        }
        Ok(Some(Record { content: Arc::clone(&content), state }))
    }
}
