//! What wakes those who have seen everything of a domain. A change wakes those of its domain, and those who follow all
//! domains; nobody else.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicBool, Ordering},
};

use tokio::sync::{Notify, futures::Notified};

/// Domains share a notifier if their hashes meet; that costs those who wait for it a look now and then.
const NOTIFIERS: usize = 4_096;

/// A notifier for each domain, and one for all of them.
#[derive(Debug)]
pub(super) struct Notifiers {
    hasher: RandomState,
    of_domains: Box<[Notify]>,
    of_all: Notify,
    closed: AtomicBool,
}

impl Default for Notifiers {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            of_domains: (0..NOTIFIERS).map(|_| Notify::new()).collect(),
            of_all: Notify::new(),
            closed: AtomicBool::new(false),
        }
    }
}

impl Notifiers {
    /// Ends with the next change of this domain, of any if it is empty, counted from now: whoever looks after this call
    /// misses nothing.
    pub(super) fn next_change(&self, domain: &str) -> Notified<'_> {
        self.notifier(domain).notified()
    }

    /// There is something new in these domains.
    pub(super) fn wake<'a>(&self, domains: impl Iterator<Item = &'a str>) {
        let mut last = None;
        for domain in domains.filter(|domain| !domain.is_empty()) {
            // Most changes that come together are of one domain.
            if last != Some(domain) {
                self.notifier(domain).notify_waiters();
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

    fn notifier(&self, domain: &str) -> &Notify {
        if domain.is_empty() {
            return &self.of_all;
        }
        let hash = self.hasher.hash_one(domain);
        let place = usize::try_from(hash % NOTIFIERS as u64).expect("less than the number of notifiers");
        &self.of_domains[place]
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::Notifiers;

    #[test]
    fn a_change_wakes_those_of_its_domain_and_those_of_all_only() {
        let notifiers = Notifiers::default();
        let is_another = |name: &String| !std::ptr::eq(notifiers.notifier(name), notifiers.notifier("busy"));
        let quiet = (0..100).map(|n| n.to_string()).find(is_another).unwrap();
        let [of_busy, of_quiet, of_all] = ["busy", &quiet, ""].map(|domain| notifiers.next_change(domain));
        notifiers.wake(["busy", "busy"].into_iter());
        assert!(of_busy.now_or_never().is_some() && of_all.now_or_never().is_some());
        assert!(of_quiet.now_or_never().is_none());
    }

    #[test]
    fn everybody_is_woken_when_the_server_stops() {
        let notifiers = Notifiers::default();
        let waiting = notifiers.next_change("quiet");
        notifiers.close();
        assert!(waiting.now_or_never().is_some() && notifiers.are_closed());
    }
}
