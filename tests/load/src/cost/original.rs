//! A model of the original design that counts: a key-value store that is billed by operation, read whole by every poll.
//!
//! - A poll, by a browser or by the timer, scans the store: one list request for each 1,000 keys, and one read for each key.
//! - A timer scans every 3 s to rebuild a cache, also when nobody is there.
//! - All messages of a conversation are one value. A post, a claim, a completion and the bot's reply each read and rewrite
//!   it: one read and one write a step, four steps for a message with its answer.
//!
//! In favour of the original: the store never grows, and its presence service, which rewrote one key at every heartbeat,
//! is left out, since this design's presence is not built yet.

use super::Operations;
use crate::day::{DAY, Event, Kind};

/// Keys that one list request gives at most.
const LISTED_AT_ONCE: u64 = 1_000;
/// Between two scans of the timer, in seconds.
const TIMER: u64 = 3;
/// Steps of a message with its answer: post, claim, complete, reply.
const STEPS: u32 = 4;

/// What the people of a day cost, and what the timer costs in a day whoever is there.
pub(super) fn count(events: &[Event], keys: u64) -> (Operations, Operations) {
    let mut store = Store { keys, asked: Operations::default() };
    for event in events {
        match event.kind {
            Kind::Poll => store.scan(),
            Kind::Post => (0..STEPS).for_each(|_| store.rewrite_conversation()),
        }
    }
    let mut timer = Store { keys, asked: Operations::default() };
    (0..DAY.as_secs() / TIMER).for_each(|_| timer.scan());
    (store.asked, timer.asked)
}

/// A store that only counts.
struct Store {
    keys: u64,
    asked: Operations,
}

impl Store {
    fn scan(&mut self) {
        self.asked.lists += self.keys.div_ceil(LISTED_AT_ONCE) as f64;
        self.asked.reads += self.keys as f64;
    }

    fn rewrite_conversation(&mut self) {
        self.asked.reads += 1.0;
        self.asked.writes += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Operations, count};
    use crate::day::{Event, Kind};

    #[test]
    fn every_poll_reads_every_key() {
        let event = |kind| Event { at: Duration::ZERO, user: 0, kind };
        let events = [event(Kind::Poll), event(Kind::Poll), event(Kind::Post)];
        let (people, timer) = count(&events, 1_841);
        assert_eq!(people, Operations { reads: 2.0 * 1_841.0 + 4.0, writes: 4.0, lists: 4.0 });
        assert_eq!(timer.reads, 28_800.0 * 1_841.0);
    }
}
