//! One feed in memory: where the newest messages and changes of a domain, or of all, stand.

use std::collections::VecDeque;

/// From where on a feed is complete in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Floor {
    /// All messages with a greater time stamp are there, Unix milliseconds.
    pub(crate) stamp: i64,
    /// All changes with a greater number are there.
    pub(crate) seq: u64,
}

/// A message's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Post {
    pub(super) stamp: i64,
    /// Counts the messages in the order in which the tail took them in.
    pub(super) place: u64,
}

#[derive(Debug, Default)]
pub(super) struct Feed {
    /// In the order of their time stamps.
    pub(super) posts: VecDeque<Post>,
    /// The numbers of the changes, rising.
    pub(super) changes: VecDeque<u64>,
    pub(super) floor: Floor,
}

impl Feed {
    pub(super) fn new(floor: Floor) -> Self {
        Self { floor, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.posts.is_empty() && self.changes.is_empty()
    }

    /// The posts after a time stamp: at least `limit` where there are as many, never a part of one time stamp. Says
    /// whether there are more.
    pub(super) fn posts_after(
        &self,
        after: i64,
        limit: usize,
    ) -> (impl ExactSizeIterator<Item = &Post> + Clone, bool) {
        let from = match self.posts.back() {
            // Most who ask have seen all: they need no search.
            Some(newest) if newest.stamp > after => self.posts.partition_point(|post| post.stamp <= after),
            Some(_) | None => self.posts.len(),
        };
        let mut to = from.saturating_add(limit).min(self.posts.len());
        while to > from && to < self.posts.len() && self.posts[to].stamp == self.posts[to - 1].stamp {
            to += 1;
        }
        (self.posts.range(from..to), to < self.posts.len())
    }

    /// The newest posts: at least `limit` where there are as many, never a part of one time stamp.
    pub(super) fn newest(
        &self,
        limit: usize,
    ) -> impl ExactSizeIterator<Item = &Post> + DoubleEndedIterator + Clone {
        let mut from = self.posts.len().saturating_sub(limit);
        while from > 0 && from < self.posts.len() && self.posts[from].stamp == self.posts[from - 1].stamp {
            from -= 1;
        }
        self.posts.range(from..)
    }

    /// At most `limit` changes after a number. Says whether there are more.
    pub(super) fn changes_after(
        &self,
        seq: u64,
        limit: usize,
    ) -> (impl ExactSizeIterator<Item = &u64>, bool) {
        let from = match self.changes.back() {
            Some(newest) if *newest > seq => self.changes.partition_point(|change| *change <= seq),
            Some(_) | None => self.changes.len(),
        };
        let to = from.saturating_add(limit).min(self.changes.len());
        (self.changes.range(from..to), to < self.changes.len())
    }

    /// The oldest post leaves.
    pub(super) fn drop_post(&mut self) {
        if let Some(post) = self.posts.pop_front() {
            self.raise(post.stamp);
        }
    }

    /// Nothing up to this time stamp is complete any more.
    pub(super) fn raise(&mut self, stamp: i64) {
        self.floor.stamp = self.floor.stamp.max(stamp);
    }

    /// The oldest change leaves.
    pub(super) fn drop_change(&mut self) {
        if let Some(seq) = self.changes.pop_front() {
            self.floor.seq = seq;
        }
    }
}
