//! Where those wait who have seen everything of a domain. A change wakes the room of its domain, and the room of those who
//! follow all domains; nobody else.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicBool, Ordering},
};

use tokio::sync::{Notify, futures::Notified};

/// Domains share a room where their hashes meet; that costs those who wait in it a look now and then.
const ROOMS: usize = 4_096;

/// The rooms.
#[derive(Debug)]
pub(super) struct Rooms {
    hasher: RandomState,
    of_domains: Box<[Notify]>,
    of_all: Notify,
    closed: AtomicBool,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            of_domains: (0..ROOMS).map(|_| Notify::new()).collect(),
            of_all: Notify::new(),
            closed: AtomicBool::new(false),
        }
    }
}

impl Rooms {
    /// Ends with the next change of this domain, of any where it is empty, counted from now: whoever looks after this
    /// call misses nothing.
    pub(super) fn wait_in(&self, domain: &str) -> Notified<'_> {
        self.room(domain).notified()
    }

    /// There is something new in these domains.
    pub(super) fn wake<'a>(&self, domains: impl Iterator<Item = &'a str>) {
        let mut last = None;
        for domain in domains.filter(|domain| !domain.is_empty()) {
            // Most changes that come together are of one domain.
            if last != Some(domain) {
                self.room(domain).notify_waiters();
            }
            last = Some(domain);
        }
        self.of_all.notify_waiters();
    }

    /// Everybody has to look.
    pub(super) fn wake_all(&self) {
        self.of_domains.iter().for_each(Notify::notify_waiters);
        self.of_all.notify_waiters();
    }

    /// The server stops: from now on nobody waits.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake_all();
    }

    /// True once the server stops.
    pub(super) fn are_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn room(&self, domain: &str) -> &Notify {
        if domain.is_empty() {
            return &self.of_all;
        }
        let hash = self.hasher.hash_one(domain);
        &self.of_domains[usize::try_from(hash % ROOMS as u64).expect("less than the number of rooms")]
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::Rooms;

    #[test]
    fn a_change_wakes_those_of_its_domain_and_those_of_all_only() {
        let rooms = Rooms::default();
        let quiet = (0..100).map(|n| n.to_string());
        let quiet =
            quiet.into_iter().find(|name| !std::ptr::eq(rooms.room(name), rooms.room("busy"))).unwrap();
        let (of_busy, of_quiet, of_all) = (rooms.wait_in("busy"), rooms.wait_in(&quiet), rooms.wait_in(""));
        rooms.wake(["busy", "busy"].into_iter());
        assert!(of_busy.now_or_never().is_some() && of_all.now_or_never().is_some());
        assert!(of_quiet.now_or_never().is_none());
    }

    #[test]
    fn everybody_is_woken_when_the_rooms_close() {
        let rooms = Rooms::default();
        let waiting = rooms.wait_in("quiet");
        rooms.close();
        assert!(waiting.now_or_never().is_some() && rooms.are_closed());
    }
}
