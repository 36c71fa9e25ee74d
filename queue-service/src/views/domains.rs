//! The feeds of single domains. A quiet domain is one of which nothing is cached but where its newest message stands; of
//! these only the ones that were used last are remembered, so that names alone cannot fill the memory, and the next new
//! name costs what the first did.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc};

use lru::LruCache;

use super::feed::{Feed, Floor};

/// Most quiet domains that are remembered.
const QUIET_DOMAINS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// The feeds by domain.
#[derive(Debug)]
pub(super) struct Domains {
    feeds: HashMap<Arc<str>, Feed>,
    /// The domains whose feed is empty, and no others.
    quiet: LruCache<Arc<str>, ()>,
}

impl Default for Domains {
    fn default() -> Self {
        Self { feeds: HashMap::new(), quiet: LruCache::new(QUIET_DOMAINS) }
    }
}

impl Domains {
    pub(super) fn get(&self, domain: &str) -> Option<&Feed> {
        self.feeds.get(domain)
    }

    pub(super) fn get_mut(&mut self, domain: &str) -> Option<&mut Feed> {
        self.feeds.get_mut(domain)
    }

    /// Adds something to a feed. One that is new is complete from `floor` on.
    pub(super) fn add(&mut self, domain: &str, floor: Floor, add: impl FnOnce(&mut Feed)) {
        if let Some(feed) = self.feeds.get_mut(domain) {
            if feed.is_empty() {
                self.quiet.pop(domain);
            }
            add(feed);
        } else {
            let mut feed = Feed::new(floor);
            add(&mut feed);
            self.feeds.insert(domain.into(), feed);
        }
    }

    /// Remembers a domain of which nothing may be cached. One that is new is complete from `floor` on. Returns from where
    /// on it is.
    pub(super) fn pin(&mut self, domain: &str, floor: Floor) -> Floor {
        let feed = self.feeds.entry(domain.into()).or_insert_with(|| Feed::new(floor));
        let (floor, is_empty) = (feed.floor, feed.is_empty());
        if is_empty {
            self.rest(domain);
        }
        floor
    }

    /// Takes the oldest of something out of a feed.
    pub(super) fn take(&mut self, domain: &str, take: impl FnOnce(&mut Feed)) {
        let Some(feed) = self.feeds.get_mut(domain) else { return };
        take(feed);
        if feed.is_empty() {
            self.rest(domain);
        }
    }

    /// A domain is quiet, and was used just now. At most one other is forgotten for it.
    fn rest(&mut self, domain: &str) {
        if self.quiet.promote(domain) {
            return;
        }
        if let Some((oldest, ())) = self.quiet.push(domain.into(), ()) {
            self.feeds.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Domains, Feed, Floor, QUIET_DOMAINS};

    #[test]
    fn quiet_domains_leave_one_by_one_the_longest_unused_first_and_busy_ones_stay() {
        let (mut domains, floor, most) = (Domains::default(), Floor::default(), QUIET_DOMAINS.get());
        // Far more busy ones than there may be quiet ones.
        for n in 0..3 * most {
            domains.add(&n.to_string(), floor, |feed| feed.changes.push_back(n as u64 + 1));
            assert_eq!(
                (domains.feeds.len(), domains.quiet.len()),
                (n + 1, 0),
                "nobody is looked for in vain"
            );
        }
        for n in 0..most {
            domains.take(&n.to_string(), Feed::drop_change);
        }
        assert_eq!((domains.feeds.len(), domains.quiet.len()), (3 * most, most));
        domains.pin("0", floor);
        for n in 0..most / 2 {
            let before = domains.feeds.len();
            domains.take(&(most + n).to_string(), Feed::drop_change);
            assert_eq!(domains.feeds.len(), before - 1, "each new quiet one pushes one out");
        }
        assert!(domains.get("0").is_some(), "it was used just now");
        assert!(domains.get("1").is_none() && domains.get(&most.to_string()).is_some());
        domains.add(&most.to_string(), floor, |feed| feed.changes.push_back(u64::MAX));
        assert_eq!(domains.quiet.len(), most - 1, "it is quiet no more");
    }
}
