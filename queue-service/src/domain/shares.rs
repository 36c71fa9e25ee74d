//! Fair share: whoever has messages waiting already stands further back with the next one.
//!
//! Every message gets a *base* when it is posted: the time from which it counts as waiting. Usually that is when
//! it was posted, in service time. If its author has messages waiting, it is the last of their bases plus one share, so sixty questions in one
//! second count as if they had been asked one share apart, and a person who asks after them is among the first few.
//! The order stays one static key, `base − priority × aging`: nothing is ever sorted again, and nothing starves.
//!
//! A base is stored with the work and never changes: not by a retry, a release or an operator's retry, and not by a
//! restart. What is kept here follows from the messages that wait, so a restart finds the same; an author who has none
//! is forgotten.

use std::collections::{BTreeSet, HashMap};

use super::{Millis, Record, SenderKey, Work};

/// The authors of what waits.
#[derive(Debug)]
pub(super) struct Shares {
    share_ms: Millis,
    /// The bases of what waits, by author; without what was posted for later.
    bases: BTreeSet<(SenderKey, Millis, u64)>,
    /// How many messages wait that were posted for later, by author. They count among themselves: a reminder for next
    /// month must not put back what its author asks today.
    for_later: HashMap<SenderKey, u32>,
}

impl Shares {
    pub(super) fn new(share_ms: Millis) -> Self {
        Self { share_ms, bases: BTreeSet::new(), for_later: HashMap::new() }
    }

    /// The base of an author's next message, which may be served from `start` on.
    pub(super) fn base(&self, author: SenderKey, for_later: bool, start: Millis) -> Millis {
        if self.share_ms == 0 {
            return start;
        }
        if for_later {
            let before = self.for_later.get(&author).copied().unwrap_or(0);
            return start.saturating_add(self.share_ms.saturating_mul(before.into()));
        }
        let theirs = (author, Millis::MIN, 0)..=(author, Millis::MAX, u64::MAX);
        let last = self.bases.range(theirs).next_back();
        last.map_or(start, |(_, base, _)| start.max(base.saturating_add(self.share_ms)))
    }

    /// Notes a message that waits.
    pub(super) fn enter(&mut self, record: &Record, work: &Work) {
        match of(record) {
            Some((author, true)) => *self.for_later.entry(author).or_default() += 1,
            Some((author, false)) => {
                self.bases.insert((author, work.base, record.content.posted));
            }
            None => {}
        }
    }

    /// Forgets a message that waited.
    pub(super) fn leave(&mut self, record: &Record, work: &Work) {
        match of(record) {
            Some((author, true)) => {
                if let Some(count) = self.for_later.get_mut(&author) {
                    *count -= 1;
                    if *count == 0 {
                        self.for_later.remove(&author);
                    }
                }
            }
            Some((author, false)) => {
                self.bases.remove(&(author, work.base, record.content.posted));
            }
            None => {}
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.bases.is_empty() && self.for_later.is_empty()
    }
}

/// The author of a message, and whether it was posted for later; none if it has no share.
fn of(record: &Record) -> Option<(SenderKey, bool)> {
    let address = record.content.address.as_ref()?;
    Some((record.content.sender?.author, address.not_before.is_some()))
}
