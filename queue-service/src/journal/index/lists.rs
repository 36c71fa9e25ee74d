//! Lists of numbers: which commits have changes in a domain, which messages a conversation has.
//!
//! A row a number in the order of the lists would be a write to a random page for each message, which is the dearest thing
//! that sled can be asked for. So the numbers are gathered in the overlay, and all of a list are written as one row, a run.

use std::ops::Bound;

use super::Index;
use crate::journal::{
    FormatError, JournalError, Tally,
    keys::{List, last_number},
    stored::{StoredRun, decode},
};

/// Most numbers in one row: it stays below 10 KB.
pub(super) const RUN: usize = 1_024;

/// A run: its last number, which is in its key, and its numbers.
type Run = (u64, Vec<u64>);

impl Index {
    /// The numbers of a list from `from` on, rising: one range read.
    pub(in crate::journal) fn numbers_from(
        &self,
        list: List,
        from: u64,
        tally: &Tally,
    ) -> impl Iterator<Item = Result<u64, JournalError>> + use<> {
        // The memory first: what leaves it in between is in the rows then.
        let listed = self.listed(list);
        let mut next = from;
        self.stored_runs(list, from..=u64::MAX, tally)
            .chain(std::iter::once(Ok((u64::MAX, listed))))
            .flat_map(numbers)
            .filter(move |number| match number {
                // After a kill a number may stand in two runs.
                Ok(number) if *number >= next => {
                    next = number.saturating_add(1);
                    true
                }
                Ok(_) => false,
                Err(_) => true,
            })
    }

    /// The numbers of a list below `before`, falling: one range read. For a domain, of which there may be many runs above, two.
    pub(in crate::journal) fn numbers_before(
        &self,
        list: List,
        before: u64,
        tally: &Tally,
    ) -> impl Iterator<Item = Result<u64, JournalError>> + use<> {
        let listed = self.listed(list);
        let mut last = before;
        let runs: Box<dyn Iterator<Item = Result<Run, JournalError>>> = match before.checked_sub(1) {
            None => Box::new(std::iter::empty()),
            // What is in memory is above all that is written.
            Some(_)
                if matches!(list, List::Conversation(_))
                    || listed.first().is_some_and(|first| *first < before) =>
            {
                Box::new(self.stored_runs(list, 0..=u64::MAX, tally).rev())
            }
            Some(to) => {
                let with = self.stored_runs(list, before..=u64::MAX, tally).take(1);
                Box::new(with.chain(self.stored_runs(list, 0..=to, tally).rev()))
            }
        };
        std::iter::once(Ok((u64::MAX, listed))).chain(runs).flat_map(|run| numbers(run).rev()).filter(
            move |number| match number {
                Ok(number) if *number < last => {
                    last = *number;
                    true
                }
                Ok(_) => false,
                Err(_) => true,
            },
        )
    }

    /// The runs of a list that end with one of these numbers, as sled has them: one range read.
    pub(in crate::journal) fn stored_runs(
        &self,
        list: List,
        ends: std::ops::RangeInclusive<u64>,
        tally: &Tally,
    ) -> impl DoubleEndedIterator<Item = Result<Run, JournalError>> + use<> {
        let key = |last: &u64| Bound::Included(list.run(*last));
        self.range((key(ends.start()), key(ends.end())), tally).map(|row| {
            let (key, value) = row?;
            let last = last_number(&key).ok_or(FormatError::Field("run"))?;
            Ok((last, decode::<StoredRun>(&value)?.numbers))
        })
    }
}

/// The numbers of a run, or why it cannot be read.
fn numbers(run: Result<Run, JournalError>) -> std::vec::IntoIter<Result<u64, JournalError>> {
    let numbers: Vec<_> = match run {
        Ok((_, numbers)) => numbers.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    };
    numbers.into_iter()
}
