//! What keeps the feeds small: the oldest leave first, a time stamp as a whole, and where it stops is remembered.

use super::{Feed, Feeds, Held, Kept};

/// Changes kept for each message that may be kept: a message is posted, claimed and finished, some are retried.
const CHANGES_A_MESSAGE: usize = 4;
/// What a message costs beside its JSON: its id, and its places in the feeds.
const MESSAGE_BYTES: usize = 250;
/// What a change costs beside its JSON: names of its message and domain, and its places in the feeds.
const CHANGE_BYTES: usize = 200;

/// How much may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Most messages.
    pub(crate) messages: usize,
    /// Most bytes, messages and changes together, by estimate.
    pub(crate) bytes: usize,
}

/// How much is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fill {
    /// Messages.
    pub(crate) messages: usize,
    /// Changes.
    pub(crate) changes: usize,
    /// Bytes, by estimate.
    pub(crate) bytes: usize,
    /// Domains.
    pub(crate) domains: usize,
}

impl Held {
    pub(super) fn bytes(&self) -> usize {
        MESSAGE_BYTES + self.own
    }
}

impl Kept {
    pub(super) fn bytes(&self) -> usize {
        CHANGE_BYTES + self.told.len()
    }
}

impl Feeds {
    /// How much is held.
    pub(in crate::tail) fn fill(&self) -> Fill {
        Fill {
            messages: self.messages.len(),
            changes: self.kept.len(),
            bytes: self.message_bytes + self.change_bytes,
            domains: self.domains.len(),
        }
    }

    /// Drops what is over the limits. Where the bytes are, the greater half gives: neither a few loud messages nor
    /// changes of old ones push the other out.
    pub(super) fn evict(&mut self) {
        let Limits { messages, bytes } = self.limits;
        while self.messages.len() > messages {
            self.drop_stamp();
        }
        while self.kept.len() > messages.saturating_mul(CHANGES_A_MESSAGE) {
            self.drop_change();
        }
        while self.message_bytes + self.change_bytes > bytes {
            if self.change_bytes >= self.message_bytes { self.drop_change() } else { self.drop_stamp() }
        }
    }

    /// The oldest time stamp leaves, with all of its messages: a page never begins inside one.
    fn drop_stamp(&mut self) {
        let Some(stamp) = self.all.posts.front().map(|post| post.stamp) else { return };
        while self.all.posts.front().is_some_and(|post| post.stamp == stamp) {
            self.all.drop_post();
            let held = self.messages.pop_front().expect("every post has its message");
            self.gone += 1;
            self.ids.remove(&held.id);
            self.message_bytes -= held.bytes();
            self.domains.change(&held.domain, Feed::drop_post);
        }
    }

    fn drop_change(&mut self) {
        let Some(kept) = self.kept.pop_front() else { return };
        self.all.drop_change();
        self.change_bytes -= kept.bytes();
        self.domains.change(&kept.domain, Feed::drop_change);
        let (seq, bytes) = (self.all.floor.seq, kept.told.len());
        // No change is left that was told before it.
        if self.edits.get(&kept.id) == Some(&seq) {
            self.edits.remove(&kept.id);
        }
        // The bytes that a message had in common with it are its own from now on.
        let Some(place) = self.ids.get(&kept.id) else { return };
        let held = &mut self.messages[super::offset(*place, self.gone)];
        if held.seq == seq && held.own == 0 {
            held.own = bytes;
            self.message_bytes += bytes;
        }
    }
}
