//! The feeds of single domains. A quiet domain is one of which nothing is held but where its newest message stands; of
//! these only the ones that were used last are remembered, so that names alone cannot fill the memory, and the next new
//! name costs what the first did.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc};

use lru::LruCache;

use super::super::feed::{Feed, Floor};

/// Most quiet domains that are remembered.
pub(super) const QUIET_DOMAINS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

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
    /// How many are held or remembered.
    pub(super) fn len(&self) -> usize {
        self.feeds.len()
    }

    pub(super) fn get(&self, domain: &str) -> Option<&Feed> {
        self.feeds.get(domain)
    }

    /// Adds something to a feed. One that is new is complete from `floor` on.
    pub(super) fn add(&mut self, domain: &Arc<str>, floor: Floor, add: impl FnOnce(&mut Feed)) {
        let feed = self.feeds.entry(Arc::clone(domain)).or_insert_with(|| Feed::new(floor));
        if feed.is_empty() {
            self.quiet.pop(domain);
        }
        add(feed);
    }

    /// Remembers a domain, and something about its feed, to which nothing is added. One that is new is complete from
    /// `floor` on.
    pub(super) fn note(&mut self, domain: &Arc<str>, floor: Floor, note: impl FnOnce(&mut Feed)) {
        let feed = self.feeds.entry(Arc::clone(domain)).or_insert_with(|| Feed::new(floor));
        note(feed);
        if feed.is_empty() {
            self.rest(domain);
        }
    }

    /// Takes the oldest of something out of a feed.
    pub(super) fn take(&mut self, domain: &Arc<str>, take: impl FnOnce(&mut Feed)) {
        let Some(feed) = self.feeds.get_mut(domain) else { return };
        take(feed);
        if feed.is_empty() {
            self.rest(domain);
        }
    }

    /// A domain is quiet, and was used just now. At most one other is forgotten for it.
    fn rest(&mut self, domain: &Arc<str>) {
        if let Some((oldest, ())) = self.quiet.push(Arc::clone(domain), ())
            && oldest != *domain
        {
            self.feeds.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Domains, Floor, QUIET_DOMAINS};

    fn name(n: usize) -> std::sync::Arc<str> {
        n.to_string().into()
    }

    #[test]
    fn quiet_domains_leave_one_by_one_the_longest_unused_first_and_busy_ones_stay() {
        let (mut domains, floor, most) = (Domains::default(), Floor::default(), QUIET_DOMAINS.get());
        // Far more busy ones than there may be quiet ones.
        for n in 0..3 * most {
            domains.add(&name(n), floor, |feed| feed.changes.push_back(n as u64 + 1));
            assert_eq!((domains.len(), domains.quiet.len()), (n + 1, 0), "nobody is looked for in vain");
        }
        for n in 0..most {
            domains.take(&name(n), super::Feed::drop_change);
        }
        assert_eq!((domains.len(), domains.quiet.len()), (3 * most, most));
        domains.note(&name(0), floor, |_| ());
        for n in 0..most / 2 {
            let before = domains.len();
            domains.take(&name(most + n), super::Feed::drop_change);
            assert_eq!(domains.len(), before - 1, "each new quiet one pushes one out");
        }
        assert!(domains.get("0").is_some(), "it was used just now");
        assert!(domains.get("1").is_none() && domains.get(&name(most)).is_some());
        domains.add(&name(most), floor, |feed| feed.changes.push_back(u64::MAX));
        assert_eq!(domains.quiet.len(), most - 1, "it is quiet no more");
    }
}
