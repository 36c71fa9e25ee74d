//! One feed in memory: the newest messages and changes of a domain, or of all.

use std::{collections::VecDeque, sync::Arc};

use crate::domain::{Change, ChangeKind, Millis, Record};

/// From where on a feed is complete in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Floor {
    /// All messages with a greater time stamp are there.
    pub stamp: Millis,
    /// All changes with a greater number are there.
    pub seq: u64,
}

/// A message's place in a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Post {
    pub(super) stamp: Millis,
    pub(super) posted: u64,
}

/// A change as readers see it; cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// What happened.
    pub kind: ChangeKind,
    /// The message afterwards.
    pub record: Arc<Record>,
}

impl Shown {
    /// Number of the change.
    pub fn seq(&self) -> u64 {
        self.record.state.seq
    }
}

impl From<Change> for Shown {
    fn from(change: Change) -> Self {
        Self { kind: change.kind, record: Arc::new(change.record) }
    }
}

#[derive(Debug, Default)]
pub(super) struct Feed {
    /// In the order of their time stamps, which is that of their numbers.
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
    pub(super) fn posts_after(&self, after: Millis, limit: usize) -> (impl Iterator<Item = &Post>, bool) {
        let from = self.posts.partition_point(|post| post.stamp <= after);
        let mut to = from.saturating_add(limit).min(self.posts.len());
        while to > from && to < self.posts.len() && self.posts[to].stamp == self.posts[to - 1].stamp {
            to += 1;
        }
        (self.posts.range(from..to), to < self.posts.len())
    }

    /// The newest of the posts before number `before`: at least `limit` where there are as many, and back to the beginning
    /// of a time stamp. Says whether there are more.
    pub(super) fn posts_before(&self, before: u64, limit: usize) -> (impl Iterator<Item = &Post>, bool) {
        let to = self.posts.partition_point(|post| post.posted < before);
        let mut from = to.saturating_sub(limit);
        while from > 0 && from < to && self.posts[from].stamp == self.posts[from - 1].stamp {
            from -= 1;
        }
        (self.posts.range(from..to), from > 0)
    }

    /// At most `limit` changes after a number. Says whether there are more.
    pub(super) fn changes_after(&self, seq: u64, limit: usize) -> (impl Iterator<Item = u64>, bool) {
        let from = self.changes.partition_point(|change| *change <= seq);
        let to = from.saturating_add(limit).min(self.changes.len());
        (self.changes.range(from..to).copied(), to < self.changes.len())
    }

    /// Nothing up to this number is here: no change, and no message that was last changed by then.
    pub(super) fn evicted_to(&self) -> u64 {
        let posts = self.posts.front().map_or(u64::MAX, |oldest| oldest.posted.saturating_sub(1));
        self.floor.seq.min(posts)
    }

    /// The oldest post leaves.
    pub(super) fn drop_post(&mut self) {
        if let Some(post) = self.posts.pop_front() {
            self.floor.stamp = post.stamp;
        }
    }

    /// The oldest change leaves.
    pub(super) fn drop_change(&mut self) {
        if let Some(seq) = self.changes.pop_front() {
            self.floor.seq = seq;
        }
    }
}
