//! The rooms: domains in the order of their newest message that readers can see.
//!
//! Covers the messages that are cached, and is bounded with them. A change costs a few steps in two trees and a page its own
//! rows, however many rooms there are.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::feed::Post;
use crate::domain::Millis;

/// A domain in which somebody has spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The domain.
    pub domain: Arc<str>,
    /// Number of its newest message that readers can see.
    pub posted: u64,
    /// When that was posted.
    pub stamp: Millis,
}

#[derive(Debug, Default)]
pub(super) struct Rooms {
    /// Of each domain the messages that can be seen, when each was posted by its number; no domain without any.
    seen: HashMap<Arc<str>, BTreeMap<u64, Millis>>,
    /// The domains by the number of their newest one.
    newest: BTreeMap<u64, Arc<str>>,
}

impl Rooms {
    /// This message can be seen.
    pub(super) fn show(&mut self, domain: &str, post: Post) {
        self.change(domain, |seen| {
            seen.insert(post.posted, post.stamp);
        });
    }

    /// This message cannot be seen, or has left the cache.
    pub(super) fn hide(&mut self, domain: &str, posted: u64) {
        self.change(domain, |seen| {
            seen.remove(&posted);
        });
    }

    /// The rooms whose newest message was posted before number `before`, the newest first.
    pub(super) fn before(&self, before: u64) -> impl Iterator<Item = Room> {
        self.newest.range(..before).rev().map(|(posted, domain)| Room {
            domain: Arc::clone(domain),
            posted: *posted,
            stamp: self.seen[domain][posted],
        })
    }

    fn change(&mut self, domain: &str, change: impl FnOnce(&mut BTreeMap<u64, Millis>)) {
        let known = self.seen.get_key_value(domain).map(|(name, _)| Arc::clone(name));
        let name = known.unwrap_or_else(|| domain.into());
        let seen = self.seen.entry(Arc::clone(&name)).or_default();
        let newest = |seen: &BTreeMap<u64, Millis>| seen.last_key_value().map(|(posted, _)| *posted);
        let before = newest(seen);
        change(seen);
        let now = newest(seen);
        if now.is_none() {
            self.seen.remove(&name);
        }
        if before != now {
            before.map(|posted| self.newest.remove(&posted));
            now.map(|posted| self.newest.insert(posted, name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Post, Rooms};

    fn listed(rooms: &Rooms, before: u64) -> Vec<(String, u64)> {
        rooms.before(before).map(|room| (room.domain.to_string(), room.posted)).collect()
    }

    fn rooms(posts: &[(&str, u64)]) -> Rooms {
        let mut rooms = Rooms::default();
        for (domain, posted) in posts {
            rooms.show(domain, Post { posted: *posted, stamp: 1_000 + i64::try_from(*posted).unwrap() });
        }
        rooms
    }

    #[test]
    fn the_room_that_was_spoken_in_last_comes_first_and_each_comes_once() {
        let rooms = rooms(&[("a", 1), ("b", 2), ("c", 3), ("a", 4)]);
        assert_eq!(listed(&rooms, u64::MAX), [("a".to_owned(), 4), ("c".to_owned(), 3), ("b".to_owned(), 2)]);
        assert_eq!(listed(&rooms, 3), [("b".to_owned(), 2)]);
        assert_eq!(rooms.before(u64::MAX).next().unwrap().stamp, 1_004);
    }

    #[test]
    fn what_cannot_be_seen_is_no_activity() {
        let mut rooms = rooms(&[("a", 1), ("b", 2), ("a", 3)]);
        rooms.hide("a", 3);
        assert_eq!(listed(&rooms, u64::MAX), [("b".to_owned(), 2), ("a".to_owned(), 1)]);
        rooms.hide("b", 2);
        rooms.hide("b", 2);
        assert_eq!(
            listed(&rooms, u64::MAX),
            [("a".to_owned(), 1)],
            "a room that shows nothing is not listed"
        );
        rooms.show("a", Post { posted: 3, stamp: 1_003 });
        rooms.hide("a", 1);
        assert_eq!(listed(&rooms, u64::MAX), [("a".to_owned(), 3)]);
        rooms.hide("a", 3);
        rooms.hide("never", 9);
        assert!(rooms.seen.is_empty() && rooms.newest.is_empty(), "nothing is left of them");
    }
}
