//! Changes that must not be shown yet.
//!
//! All messages of one commit share a time stamp, and a reader who has seen a page reads on after its last time stamp.
//! A commit of which only a part is shown would lose the rest for that reader. The stream brings a commit change by
//! change; its end is known when the queue-service says that the watcher has caught up, or when a message with a
//! greater time stamp begins the next commit with messages.

use super::change::Change;

/// Changes without a message among them belong to no time stamp: so many wait at most.
const MOST_WITHOUT_POST: usize = 256;
/// No commit is as large; a queue-service that never says where one ends cannot fill the memory.
const MOST: usize = 100_000;

/// The changes since the last commit that is known to be whole.
#[derive(Debug)]
pub(super) struct Unsettled {
    /// Number of the last change that came.
    last: u64,
    changes: Vec<Change>,
    /// The newest time stamp of a message that was posted by one of them.
    stamp: Option<i64>,
}

/// A change is missing: between these two numbers nothing came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gap(pub(super) u64, pub(super) u64);

impl Unsettled {
    /// Nothing waits, and the stream goes on after number `seq`.
    pub(super) fn after(seq: u64) -> Self {
        Self { last: seq, changes: Vec::new(), stamp: None }
    }

    /// Takes a change in, and gives those that can be shown now, in order. What came before is ignored.
    ///
    /// # Errors
    /// Where a change is missing.
    pub(super) fn take_in(&mut self, change: Change, caught_up: bool) -> Result<Vec<Change>, Gap> {
        if change.seq > self.last + 1 {
            return Err(Gap(self.last, change.seq));
        }
        let mut whole = Vec::new();
        if change.seq > self.last {
            self.last = change.seq;
            if change.posted && self.stamp.is_some_and(|stamp| stamp < change.stamp) {
                whole = self.settle();
            }
            if change.posted {
                self.stamp = Some(change.stamp);
            }
            self.changes.push(change);
        }
        let most = if self.stamp.is_some() { MOST } else { MOST_WITHOUT_POST };
        if caught_up || self.changes.len() >= most {
            whole.append(&mut self.settle());
        }
        Ok(whole)
    }

    /// The queue-service says that no commit is seen in part.
    pub(super) fn settle(&mut self) -> Vec<Change> {
        self.stamp = None;
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Gap, Unsettled};
    use crate::tail::{change::Change, told::Told};

    fn change(seq: u64, posted: Option<i64>) -> Change {
        Change {
            seq,
            posted: posted.is_some(),
            reaches_back: false,
            stamp: posted.unwrap_or(1),
            answered_after: None,
            id: "m".into(),
            domain: "d".into(),
            told: Told::new("e", seq, b"{}"),
            trace: None,
        }
    }

    fn shown(unsettled: &mut Unsettled, change: Change, caught_up: bool) -> Vec<u64> {
        unsettled.take_in(change, caught_up).unwrap().iter().map(|change| change.seq).collect()
    }

    #[test]
    fn a_commit_is_shown_when_it_is_whole() {
        let mut unsettled = Unsettled::after(4);
        assert!(shown(&mut unsettled, change(5, Some(10)), false).is_empty());
        assert!(shown(&mut unsettled, change(6, Some(10)), false).is_empty());
        assert!(shown(&mut unsettled, change(7, None), false).is_empty());
        assert_eq!(shown(&mut unsettled, change(8, None), true), [5, 6, 7, 8]);
    }

    #[test]
    fn a_greater_time_stamp_ends_the_commit_before() {
        let mut unsettled = Unsettled::after(0);
        assert!(shown(&mut unsettled, change(1, Some(10)), false).is_empty());
        assert_eq!(shown(&mut unsettled, change(2, Some(11)), false), [1]);
        assert_eq!(shown(&mut unsettled, change(3, Some(12)), true), [2, 3]);
    }

    #[test]
    fn a_heartbeat_ends_a_commit() {
        let mut unsettled = Unsettled::after(0);
        assert!(shown(&mut unsettled, change(1, Some(10)), false).is_empty());
        assert_eq!(unsettled.settle().len(), 1);
        assert!(unsettled.settle().is_empty());
    }

    #[test]
    fn what_came_before_is_ignored_and_what_is_missing_is_told() {
        let mut unsettled = Unsettled::after(7);
        assert!(shown(&mut unsettled, change(7, Some(10)), true).is_empty());
        assert_eq!(shown(&mut unsettled, change(8, Some(10)), true), [8]);
        assert_eq!(unsettled.take_in(change(10, None), true).unwrap_err(), Gap(8, 10));
    }
}
