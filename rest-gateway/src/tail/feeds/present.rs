//! How a change that was told long ago shows what is said in its message now.
//!
//! An edit rewrites nothing: that would cost the more, the more was made of the message before. It is noted instead, and
//! an earlier change is written anew when somebody reads it. Those who follow read the same few changes at the same
//! time, so the last ones that were written so are shared.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use metrics::counter;
use parking_lot::Mutex;

use super::Changes;
use crate::{
    json::{Message, Said},
    tail::told::Told,
};

/// Changes written anew that are kept for the next reader; at most so many messages' worth of memory.
const RECENT: usize = 32;

/// What was written anew last, of one log.
#[derive(Debug)]
pub(super) struct Recent {
    epoch: Arc<str>,
    written_anew: AtomicU64,
    slots: Box<[Mutex<Option<Written>>]>,
}

#[derive(Debug)]
struct Written {
    seq: u64,
    /// Number of the change whose text it has.
    edit: u64,
    told: Told,
}

/// A part of a feed as it was found, some of it to be written anew: best without holding a lock.
#[derive(Debug)]
pub(in crate::tail) struct Reading {
    pub(super) items: Vec<Item>,
    pub(super) more: bool,
    pub(super) next: u64,
    pub(super) recent: Arc<Recent>,
}

/// A change, and the later one that says what is said in its message now.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) seq: u64,
    pub(super) told: Told,
    pub(super) edit: Option<(u64, Told)>,
}

impl Reading {
    /// The changes, each with what is said now.
    pub(in crate::tail) fn written(self) -> Changes {
        let Self { items, more, next, recent } = self;
        let mut said = None;
        let items = items.into_iter().map(|item| recent.written(item, &mut said)).collect();
        Changes { items, more, next }
    }
}

impl Item {
    /// Bytes of the change as it will be told, at the most.
    pub(super) fn len(&self) -> usize {
        self.told.len() + self.edit.as_ref().map_or(0, |(_, edit)| edit.len())
    }
}

impl Recent {
    pub(super) fn new(epoch: Arc<str>) -> Self {
        // It is there before the first read.
        counter!("repartee_tail_rewrites_total").increment(0);
        Self {
            epoch,
            written_anew: AtomicU64::new(0),
            slots: (0..RECENT).map(|_| Mutex::new(None)).collect(),
        }
    }

    /// How many changes were written anew so far.
    #[cfg(test)]
    pub(super) fn written_anew(&self) -> u64 {
        self.written_anew.load(Ordering::Relaxed)
    }

    /// A change with what is said now. `said` is what the last one needed: most that are read together are of one message.
    fn written(&self, item: Item, said: &mut Option<(u64, Said)>) -> Told {
        let Item { seq, told, edit: Some((edit, present)) } = item else { return item.told };
        let slot = &self.slots[usize::try_from(seq % RECENT as u64).expect("less than the number of slots")];
        if let Some(written) =
            slot.lock().as_ref().filter(|written| (written.seq, written.edit) == (seq, edit))
        {
            return written.told.clone();
        }
        self.written_anew.fetch_add(1, Ordering::Relaxed);
        counter!("repartee_tail_rewrites_total").increment(1);
        if said.as_ref().is_none_or(|(of, _)| *of != edit) {
            *said = Some((edit, Said::read(&present.json())));
        }
        let said = said.as_ref().map(|(_, said)| said);
        let json = Message::rewritten(&told.json(), said.expect("it was just read"));
        let told = Told::new(&self.epoch, seq, &json);
        *slot.lock() = Some(Written { seq, edit, told: told.clone() });
        told
    }
}
