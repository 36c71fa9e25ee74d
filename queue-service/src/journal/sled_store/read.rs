//! Reading messages and keys. Every call counts what it reads: a point read or the opening of a range is one read each.

use std::ops::{Bound, RangeInclusive};

use sled::IVec;
use uuid::Uuid;

use super::SledStore;
use crate::{
    domain::{Act, Block, ConversationId, Millis, Owner, Record, RequestKey, Requested, Status},
    journal::{
        FormatError, JournalError, LastCommit, Tally,
        data_size::of_row,
        keys::{Key, last_number},
        stored::{
            StoredAct, StoredBlock, StoredCommit, StoredMark, StoredMessage, StoredOwner, StoredPause,
            StoredRequest, StoredRun, StoredState, decode,
        },
    },
};

/// A range of encoded keys.
pub(in crate::journal) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// All rows whose keys begin with this byte.
pub(in crate::journal) fn all(row: u8) -> KeyRange {
    (Bound::Included(vec![row]), Bound::Excluded(vec![row + 1]))
}

impl SledStore {
    /// One message by its id. A live message's state is as it was posted: the queue and the views know better.
    pub fn find(&self, id: Uuid, tally: &Tally) -> Result<Option<Record>, JournalError> {
        match self.ids().open(id) {
            Some(posted) => self.message(posted, tally),
            None => Ok(None),
        }
    }

    /// What the first request with an idempotency key stored.
    pub fn find_request(&self, key: RequestKey, tally: &Tally) -> Result<Option<Requested>, JournalError> {
        let Some(row) = self.get(Key::Request(key), tally)? else { return Ok(None) };
        Ok(Some(decode::<StoredRequest>(&row)?.into_requested(key)?))
    }

    /// Whose a conversation is; `None` if it is nobody's.
    pub fn find_owner(
        &self,
        conversation: ConversationId,
        tally: &Tally,
    ) -> Result<Option<Owner>, JournalError> {
        let Some(row) = self.get(Key::Owner(conversation), tally)? else { return Ok(None) };
        Ok(Some(decode::<StoredOwner>(&row)?.into_owner()?))
    }

    /// The entities that are paused, and since when.
    pub fn paused(&self, tally: &Tally) -> Result<Vec<(String, Millis)>, JournalError> {
        let pause = |row: Result<(IVec, IVec), JournalError>| {
            let StoredPause { entity, since } = decode(&row?.1)?;
            Ok((entity, since))
        };
        self.range(all(b'p'), tally).map(pause).collect()
    }

    /// The log of operators' acts, oldest first.
    pub fn acts(&self, tally: &Tally) -> Result<Vec<Act>, JournalError> {
        let act = |row: Result<(IVec, IVec), JournalError>| {
            let (key, value) = row?;
            let number = last_number(&key).ok_or(FormatError::Field("number"))?;
            Ok(decode::<StoredAct>(&value)?.into_act(number)?)
        };
        self.range(all(b'a'), tally).map(act).collect()
    }

    /// Who is blocked.
    pub fn blocks(&self, tally: &Tally) -> Result<Vec<Block>, JournalError> {
        let block = |row: Result<(IVec, IVec), JournalError>| {
            let (key, value) = row?;
            Ok(decode::<StoredBlock>(&value)?.into_block(&key)?)
        };
        self.range(all(b'x'), tally).map(block).collect()
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

    /// The numbers of the posts of a conversation before `before`, the newest first: one range read.
    pub fn conversation(
        &self,
        conversation: ConversationId,
        before: u64,
        tally: &Tally,
    ) -> impl Iterator<Item = Result<u64, JournalError>> + use<> {
        // The memory first: what leaves it in between is in the rows then.
        let gathered = self.gathered.read().before(conversation, before);
        let stored = self.runs(conversation, 0..=u64::MAX, tally).rev().flat_map(|run| match run {
            Ok((_, posted)) => posted.into_iter().rev().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        // After a kill a number may stand in two runs.
        let mut last = before;
        gathered.into_iter().map(Ok).chain(stored).filter(move |posted| match posted {
            Ok(posted) if *posted < last => {
                last = *posted;
                true
            }
            Ok(_) => false,
            Err(_) => true,
        })
    }

    /// The runs of a conversation that end with one of these numbers: one range read.
    pub(in crate::journal) fn runs(
        &self,
        conversation: ConversationId,
        ends: RangeInclusive<u64>,
        tally: &Tally,
    ) -> impl DoubleEndedIterator<Item = Result<(Key, Vec<u64>), JournalError>> + use<> {
        let key = |last: &u64| Bound::Included(Key::Run(conversation, *last).to_bytes());
        self.range((key(ends.start()), key(ends.end())), tally).map(move |row| {
            let (key, value) = row?;
            let last = last_number(&key).ok_or(FormatError::Field("run"))?;
            Ok((Key::Run(conversation, last), decode::<StoredRun>(&value)?.posted))
        })
    }

    /// Gathers what stands in no run yet.
    pub(super) fn gather(&self, tally: &Tally) -> Result<(), JournalError> {
        let mark = match self.get(Key::RunsUpTo, tally)? {
            Some(row) => decode::<StoredMark>(&row)?.seq,
            None => 0,
        };
        let mut gathered = self.gathered.write();
        gathered.begin_at(mark);
        for commit in self.commits(mark, None, tally) {
            for change in commit?.changes {
                if let Some(conversation) = change.posted_in()? {
                    gathered.gather(conversation, change.posted);
                }
            }
        }
        Ok(())
    }

    /// All live work with its present state.
    pub fn live(&self, tally: &Tally) -> Result<Vec<Record>, JournalError> {
        let mut live = Vec::new();
        for row in self.range(all(b'l'), tally) {
            let (key, value) = row?;
            let posted = last_number(&key).ok_or(FormatError::Field("posted"))?;
            let mut record = self.said(posted, tally)?.ok_or(FormatError::Field("live"))?;
            record.state = decode::<StoredState>(&value)?.into_state()?;
            live.push(record);
        }
        Ok(live)
    }

    /// Failed messages, newest first, posted before `before`.
    pub fn failed(&self, before: u64, limit: usize, tally: &Tally) -> Result<Vec<Record>, JournalError> {
        let range = (all(b'f').0, Bound::Excluded(Key::Failed(before).to_bytes()));
        let mut failed = Vec::new();
        for row in self.range(range, tally).rev() {
            if failed.len() == limit {
                break;
            }
            let posted = last_number(&row?.0).ok_or(FormatError::Field("posted"))?;
            // It may be swept between this look and the one before.
            let is_failed = |record: &Record| {
                record.state.work.as_ref().is_some_and(|work| work.status == Status::Failed)
            };
            failed.extend(self.message(posted, tally)?.filter(is_failed));
        }
        Ok(failed)
    }

    /// Hidden messages, those that were posted last first, posted before `before`.
    pub fn hidden(&self, before: u64, limit: usize, tally: &Tally) -> Result<Vec<Record>, JournalError> {
        let range = (all(b'h').0, Bound::Excluded(Key::Hidden(before).to_bytes()));
        let mut hidden = Vec::new();
        for row in self.range(range, tally).rev() {
            if hidden.len() == limit {
                break;
            }
            let posted = last_number(&row?.0).ok_or(FormatError::Field("posted"))?;
            // It may be swept or shown between this look and the one before.
            hidden.extend(self.message(posted, tally)?.filter(|record| record.state.hidden));
        }
        Ok(hidden)
    }

    /// Reads all messages, and counts them.
    pub fn count_messages(&self, tally: &Tally) -> Result<u64, JournalError> {
        let mut count = 0;
        for row in self.range(all(b'm'), tally) {
            let posted = last_number(&row?.0).ok_or(FormatError::Field("posted"))?;
            count += u64::from(self.message(posted, tally)?.is_some());
        }
        Ok(count)
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
        self.last_commit(tally).map(|last| (last.seq, last.stamp))
    }

    /// The last commit.
    pub fn last_commit(&self, tally: &Tally) -> Result<LastCommit, JournalError> {
        match self.range(all(b'j'), tally).next_back().transpose()? {
            Some((key, value)) => {
                let seq = last_number(&key).ok_or(FormatError::Field("seq"))?;
                let commit = decode::<StoredCommit>(&value)?;
                let (time, service_time) = (commit.time(), commit.service_time());
                Ok(LastCommit { seq, stamp: commit.stamp, time, service_time })
            }
            None => Ok(LastCommit::default()),
        }
    }

    /// The message that was posted under a number; two reads where it is work. A live message's state is as it was
    /// posted: the queue and the views know better.
    pub fn message(&self, posted: u64, tally: &Tally) -> Result<Option<Record>, JournalError> {
        Ok(self.message_and_size(posted, tally)?.map(|(record, _)| record))
    }

    /// The same with the bytes of its rows that are counted.
    pub(in crate::journal) fn message_and_size(
        &self,
        posted: u64,
        tally: &Tally,
    ) -> Result<Option<(Record, u64)>, JournalError> {
        let Some(row) = self.get(Key::Message(posted), tally)? else { return Ok(None) };
        let mut record = decode::<StoredMessage>(&row)?.into_record(posted)?;
        let mut bytes = of_row(Key::Message(posted), row.len());
        if record.state.work.is_some()
            && let Some(row) = self.get(Key::Finished(posted), tally)?
        {
            record.state = decode::<StoredState>(&row)?.into_state()?;
            bytes += of_row(Key::Finished(posted), row.len());
        }
        Ok(Some((record, bytes)))
    }

    /// The same without a look at where its work stands.
    pub(super) fn said(&self, posted: u64, tally: &Tally) -> Result<Option<Record>, JournalError> {
        let row = self.get(Key::Message(posted), tally)?;
        Ok(row.map(|row| decode::<StoredMessage>(&row)?.into_record(posted)).transpose()?)
    }

    pub(in crate::journal) fn get(&self, key: Key, tally: &Tally) -> Result<Option<IVec>, JournalError> {
        tally.count_read();
        Ok(self.db.get(key.to_bytes())?)
    }

    pub(in crate::journal) fn range(
        &self,
        range: KeyRange,
        tally: &Tally,
    ) -> impl DoubleEndedIterator<Item = Result<(IVec, IVec), JournalError>> + use<> {
        tally.count_read();
        self.db.range(range).map(|row| Ok(row?))
    }
}
