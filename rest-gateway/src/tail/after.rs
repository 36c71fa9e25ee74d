//! Reading on by cursor, and waiting for what comes next.

use bytes::Bytes;
use tokio::sync::futures::Notified;

use super::{Tail, cursor::Cursor, feeds::Changes};

/// What the tail knows about what follows a position.
#[derive(Debug)]
pub(crate) enum After {
    /// Everything, or the first part of it.
    Held(Changes),
    /// Nothing yet: the position is ahead of what this tail shows. The queue-service knows whether it can be.
    Ahead,
    /// Not here, or not all: ask the queue-service.
    Elsewhere,
    /// Nothing, as long as the stream of changes is away.
    Away,
}

impl Tail {
    /// At most `limit` changes of a domain, of all where it is empty, after a position. They may be shown also while the
    /// stream is away: none is missing, and only what came last may not be there yet.
    pub(crate) fn after(&self, domain: &str, position: &Cursor, limit: usize) -> After {
        let reading = {
            let feeds = self.feeds.read();
            let Some(feeds) = feeds.as_ref() else { return After::Away };
            if *position.epoch != *feeds.heads().epoch() {
                return After::Elsewhere;
            }
            if position.seq > feeds.seq() {
                return After::Ahead;
            }
            feeds.changes(domain, position.seq, limit)
        };
        reading.map_or(After::Elsewhere, |reading| After::Held(reading.written()))
    }

    /// The position behind everything that is shown; `None` where there is nothing yet.
    pub(crate) fn now(&self) -> Option<Cursor> {
        let feeds = self.feeds.read();
        feeds.as_ref().map(|feeds| Cursor { epoch: feeds.heads().shared_epoch(), seq: feeds.seq() })
    }

    /// What bots have written in a domain since step `seen`, which moves on, as events.
    pub(crate) fn drafts(&self, domain: &str, seen: &mut u64) -> Vec<Bytes> {
        self.drafts.after(domain, seen)
    }

    /// The queue-service has answered for this domain, so it is one that can be.
    pub(crate) fn know(&self, domain: &str) {
        if let Some(feeds) = self.feeds.write().as_mut() {
            feeds.know(domain);
        }
    }

    /// Ends when it may be worth to look again at what follows in this domain; counted from this call, not from the
    /// first wait.
    pub(crate) fn woken(&self, domain: &str) -> Notified<'_> {
        self.notifiers.next_change(domain)
    }

    /// From now on everybody who waits is sent home.
    pub(crate) fn close(&self) {
        self.notifiers.close();
    }

    /// True once nobody is to wait any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.notifiers.are_closed()
    }
}
