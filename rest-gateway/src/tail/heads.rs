//! Where each domain stands, as numbers that anybody may read without a lock.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Domains share a number where their hashes meet; that costs one of them an answer in full now and then.
const BUCKETS: usize = 4_096;

/// The numbers of one log, from a seed of the tail to its next reset.
#[derive(Debug)]
pub(super) struct Heads {
    epoch: Arc<str>,
    hasher: RandomState,
    /// Number of the last change that is shown.
    shown: AtomicU64,
    /// Number of the last change of each domain, or of another one that shares its place.
    domains: Box<[AtomicU64]>,
    /// Number of the last change that a caller of this gateway was told of, where the tail had not reached it in time.
    owed: AtomicU64,
}

impl Heads {
    /// The log `epoch` as it was at change `seq`.
    pub(super) fn new(epoch: &str, seq: u64) -> Self {
        Self {
            epoch: epoch.into(),
            hasher: RandomState::new(),
            shown: AtomicU64::new(seq),
            domains: (0..BUCKETS).map(|_| AtomicU64::new(seq)).collect(),
            owed: AtomicU64::new(0),
        }
    }

    pub(super) fn epoch(&self) -> &str {
        &self.epoch
    }

    pub(super) fn shared_epoch(&self) -> Arc<str> {
        Arc::clone(&self.epoch)
    }

    /// Number of the last change that is shown.
    pub(super) fn shown(&self) -> u64 {
        self.shown.load(Ordering::Acquire)
    }

    /// A change of `domain` is in the feeds.
    pub(super) fn note(&self, domain: &str, seq: u64) {
        self.place(domain).fetch_max(seq, Ordering::Release);
        self.shown.fetch_max(seq, Ordering::Release);
    }

    /// The entity tag of what a domain, or all where it is empty, shows. The same tag means that no change came between.
    pub(super) fn tag(&self, domain: &str) -> String {
        let seq = if domain.is_empty() { self.shown() } else { self.place(domain).load(Ordering::Acquire) };
        tag(&self.epoch, seq)
    }

    /// A caller was told of a change that is not shown yet: polls wait for it from now on.
    pub(super) fn owe(&self, seq: u64) {
        self.owed.fetch_max(seq, Ordering::AcqRel);
    }

    /// True where everything is shown that callers were told of.
    pub(super) fn owes_nothing(&self) -> bool {
        self.owed.load(Ordering::Acquire) <= self.shown()
    }

    fn place(&self, domain: &str) -> &AtomicU64 {
        let hash = self.hasher.hash_one(domain);
        &self.domains[usize::try_from(hash % BUCKETS as u64).expect("less than the number of buckets")]
    }
}

/// The entity tag of what all domains show at a position of the queue-service; `None` where that is none.
pub(crate) fn tag_at(position: &str) -> Option<String> {
    let (epoch, seq) = super::cursor::parse(position)?;
    Some(tag(epoch, seq))
}

fn tag(epoch: &str, seq: u64) -> String {
    ["\"", epoch, "-", itoa::Buffer::new().format(seq), "\""].concat()
}

#[cfg(test)]
mod tests {
    use super::Heads;

    #[test]
    fn the_tag_of_a_domain_changes_with_its_changes_only() {
        let heads = Heads::new("e", 5);
        let quiet = (0..100)
            .map(|n| n.to_string())
            .find(|name| !std::ptr::eq(heads.place(name), heads.place("busy")));
        let quiet = quiet.unwrap();
        assert_eq!([heads.tag(""), heads.tag(&quiet), heads.tag("busy")], ["\"e-5\"", "\"e-5\"", "\"e-5\""]);
        heads.note("busy", 6);
        assert_eq!([heads.tag(""), heads.tag(&quiet), heads.tag("busy")], ["\"e-6\"", "\"e-5\"", "\"e-6\""]);
    }

    #[test]
    fn what_is_owed_is_paid_when_it_is_shown() {
        let heads = Heads::new("e", 5);
        assert!(heads.owes_nothing());
        heads.owe(7);
        heads.owe(6);
        heads.note("d", 6);
        assert!(!heads.owes_nothing());
        heads.note("d", 7);
        assert!(heads.owes_nothing());
    }
}
