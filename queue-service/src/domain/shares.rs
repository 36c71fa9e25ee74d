//! Fair share: whoever has messages waiting already stands further back with the next one.
//!
//! Every message gets a *base* when it is posted: the time from which it counts as waiting. Usually that is when
//! it was posted, in service time. If its author has messages waiting, it is the last of their bases plus one share, so sixty
//! questions in one second count as if they had been asked one share apart, and a person who asks after them is among the
//! first few. The order stays one static key, `base − priority × aging`: nothing is ever sorted again, and nothing starves.
//!
//! Anybody can be many authors, by a new secret for each question. So the messages of one address, whoever they are by, stand
//! at least a smaller share apart: each takes the first place from its author's on that is free at its address. A household
//! hardly notices it, also beside somebody who floods, for one author leaves most places free. An address from which
//! everybody seems to ask gets no more than one message a small share before the others, however many authors it invents.
//!
//! A base is stored with the work and never changes: not by a retry, a release or an operator's retry, and not by a
//! restart. What is kept here follows from the messages that wait, so a restart finds the same; authors and addresses that
//! have none are forgotten.

use std::collections::{BTreeSet, HashMap};

use super::{Millis, Record, Sender, SenderKey, Work};

/// How many messages of an address are looked at for a free place: more than a household has waiting together. From then on
/// a message stands as far back as if all of the address stood in one row, so that a post costs the same however many wait.
const LOOKED_AT: usize = 64;

/// The authors and addresses of what waits.
#[derive(Debug)]
pub(super) struct Shares {
    share_ms: Millis,
    /// How far the messages of one address stand apart at least; 0 if that does not matter.
    address_share_ms: Millis,
    /// The bases of what waits, by author; without what was posted for later.
    bases: BTreeSet<(SenderKey, Millis, u64)>,
    /// How many messages wait that were posted for later, by author. They count among themselves: a reminder for next
    /// month must not put back what its author asks today.
    for_later: HashMap<SenderKey, u32>,
    /// The bases of all that waits, by address.
    places: BTreeSet<(SenderKey, Millis, u64)>,
    /// How many those are.
    at_address: HashMap<SenderKey, u32>,
}

impl Shares {
    pub(super) fn new(share_ms: Millis, address_share_ms: Millis) -> Self {
        Self {
            share_ms,
            address_share_ms: if share_ms == 0 { 0 } else { address_share_ms },
            bases: BTreeSet::new(),
            for_later: HashMap::new(),
            places: BTreeSet::new(),
            at_address: HashMap::new(),
        }
    }

    /// The base of a sender's next message, which may be served from `start` on.
    pub(super) fn base(&self, sender: Sender, for_later: bool, start: Millis) -> Millis {
        self.free_place(sender.address, self.after_own(sender.author, for_later, start))
    }

    /// A share after the last that the author has waiting.
    fn after_own(&self, author: SenderKey, for_later: bool, start: Millis) -> Millis {
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

    /// The first place from `from` on that is a share of the address away from everything that waits there.
    fn free_place(&self, address: SenderKey, from: Millis) -> Millis {
        let share = self.address_share_ms;
        if share == 0 {
            return from;
        }
        let near = (address, from.saturating_sub(share - 1), 0)..=(address, Millis::MAX, u64::MAX);
        let mut place = from;
        for (looked_at, (_, taken, _)) in self.places.range(near).enumerate() {
            if *taken >= place.saturating_add(share) {
                break;
            }
            if looked_at == LOOKED_AT {
                let waiting = self.at_address.get(&address).copied().unwrap_or(0);
                return from.saturating_add(share.saturating_mul(waiting.into()));
            }
            place = taken.saturating_add(share);
        }
        place
    }

    /// Notes a message that waits.
    pub(super) fn enter(&mut self, record: &Record, work: &Work) {
        let Some((sender, for_later)) = of(record) else { return };
        let posted = record.content.posted;
        self.places.insert((sender.address, work.base, posted));
        *self.at_address.entry(sender.address).or_default() += 1;
        if for_later {
            *self.for_later.entry(sender.author).or_default() += 1;
        } else {
            self.bases.insert((sender.author, work.base, posted));
        }
    }

    /// Forgets a message that waited.
    pub(super) fn leave(&mut self, record: &Record, work: &Work) {
        let Some((sender, for_later)) = of(record) else { return };
        let posted = record.content.posted;
        self.places.remove(&(sender.address, work.base, posted));
        one_less(&mut self.at_address, sender.address);
        if for_later {
            one_less(&mut self.for_later, sender.author);
        } else {
            self.bases.remove(&(sender.author, work.base, posted));
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.bases.is_empty()
            && self.for_later.is_empty()
            && self.places.is_empty()
            && self.at_address.is_empty()
    }
}

fn one_less(counts: &mut HashMap<SenderKey, u32>, key: SenderKey) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

/// Who sent a message, and whether it was posted for later; none if it has no share.
fn of(record: &Record) -> Option<(Sender, bool)> {
    let address = record.content.address.as_ref()?;
    Some((record.content.sender?, address.not_before.is_some()))
}
