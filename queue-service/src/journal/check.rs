//! Holding what is stored against itself: the log against its checksums, and the index against the log.

use std::collections::BTreeMap;

use repartee_log::Verified;

use super::{
    JournalError, Store, Tally,
    commits::LogCommit,
    fold::{At, Folded, Seen, fold},
    index::{Checkpoint, Index, all},
    keys::{Key, List},
    stored::{Pointer, StoredPointers, StoredRun, decode},
};

/// Bytes of the log that are read at once.
const PIECE: usize = 1 << 20;
/// The rows that have to be the same.
const ROWS: &[u8] = b"tmlsfhbkpoax";

/// All numbers that lists have, by the list.
type Lists = BTreeMap<Vec<u8>, Vec<u64>>;

impl Store {
    /// Reads the whole log: all checksums, the chain and the numbers.
    ///
    /// # Errors
    /// If it is not what was written.
    pub fn verify(&self) -> Result<Verified, JournalError> {
        Ok(repartee_log::verify(&*self.0.log, |_| {})?)
    }

    /// Folds the whole log once more and holds the index against it: how many rows there are, or what is different.
    ///
    /// # Errors
    /// If something cannot be read.
    pub fn check_index(&self, tally: &Tally) -> Result<Result<u64, String>, JournalError> {
        let anew = self.fold_anew(tally)?;
        let (index, mut rows) = (&self.0.index, 0);
        for row in ROWS {
            let (mut kept, mut right) = (index.range(all(*row), tally), anew.range(all(*row), tally));
            loop {
                let pair = (kept.next().transpose()?, right.next().transpose()?);
                match &pair {
                    (None, None) => break,
                    (Some(one), Some(other)) if one == other => rows += 1,
                    (Some((key, _)), _) | (None, Some((key, _))) => {
                        return Ok(Err(format!("row {} is not what it has to be", hex::encode(key))));
                    }
                }
            }
        }
        let (kept, right) = (self.errors(index, tally)?, self.errors(&anew, tally)?);
        if kept != right {
            return Ok(Err("the places of errors are not what they have to be".to_owned()));
        }
        rows += kept.len() as u64;
        for row in [b'c', b'd'] {
            let (kept, right) = (self.lists(index, row, tally)?, self.lists(&anew, row, tally)?);
            if let Some(list) =
                kept.keys().chain(right.keys()).find(|list| kept.get(*list) != right.get(*list))
            {
                return Ok(Err(format!("list {} is not what it has to be", hex::encode(list))));
            }
            rows += kept.len() as u64;
        }
        Ok(Ok(rows))
    }

    fn fold_anew(&self, tally: &Tally) -> Result<Index, JournalError> {
        let (log, index) = (&self.0.log, Index::new(None));
        let (mut place, dropped) = (log.begin().place, log.begin().dropped);
        loop {
            let records = log.read(place, PIECE)?;
            if records.is_empty() {
                return Ok(index);
            }
            for record in records {
                let (next, check) = (record.next, record.check);
                let at = At { place: record.place, last: record.last(), dropped };
                let commit = LogCommit::parse(record)?;
                let Folded { ops, .. } = fold(&index, &commit.head, at, Seen::Perhaps, tally)?;
                index.apply(ops, Checkpoint { place: next, check });
                place = next;
            }
        }
    }

    /// Where the errors of messages stand, as far as that was not dropped.
    fn errors(&self, index: &Index, tally: &Tally) -> Result<BTreeMap<Vec<u8>, Vec<Pointer>>, JournalError> {
        let (begin, mut errors) = (self.0.log.begin().place, BTreeMap::new());
        for row in index.range(all(b'q'), tally) {
            let (key, value) = row?;
            let mut pointers = decode::<StoredPointers>(&value)?.pointers;
            pointers.retain(|pointer| pointer.place() >= begin);
            if !pointers.is_empty() {
                errors.insert(key.to_vec(), pointers);
            }
        }
        Ok(errors)
    }

    /// The numbers of all lists of a kind that readers see: how they are cut into runs does not matter, nor what a run still
    /// names of what was swept.
    fn lists(&self, index: &Index, row: u8, tally: &Tally) -> Result<Lists, JournalError> {
        let mut lists = Lists::new();
        for run in index.range(all(row), tally) {
            let (key, value) = run?;
            let numbers = decode::<StoredRun>(&value)?.numbers;
            lists.entry(key[..17].to_vec()).or_default().extend(numbers);
        }
        for (list, numbers) in index.all_listed() {
            let is_asked = matches!((list, row), (List::Conversation(_), b'c') | (List::Domain(_), b'd'));
            if is_asked {
                lists.entry(list.prefix().to_vec()).or_default().extend(numbers);
            }
        }
        let begins = self.begins().seq;
        for numbers in lists.values_mut() {
            numbers.sort_unstable();
            numbers.dedup();
            let mut kept = Vec::new();
            for number in numbers.drain(..) {
                let is_there = number > begins || row == b'c' && index.has(Key::Content(number), tally)?;
                if is_there {
                    kept.push(number);
                }
            }
            *numbers = kept;
        }
        lists.retain(|_, numbers| !numbers.is_empty());
        Ok(lists)
    }
}
