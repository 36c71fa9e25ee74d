//! A limit of bytes that may be held at once. Taking and giving back is one addition each, so small things can be counted
//! on the fastest path; only large ones need to ask.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use metrics::Counter;

use crate::{Fill, Full, bound::refusals};

/// So many bytes may be held at once. Cheap to clone; clones share what they hold.
#[derive(Debug, Clone)]
pub struct ByteLimit(Arc<Inner>);

struct Inner {
    name: &'static str,
    limit: u64,
    held: AtomicU64,
    refused: Counter,
}

/// Bytes that are held, until it is dropped.
#[derive(Debug)]
#[must_use = "what is dropped at once is not held"]
pub struct BytePermit {
    limit: ByteLimit,
    bytes: u64,
}

impl ByteLimit {
    /// A limit with nothing held. `name` is its label in the metrics and belongs to this one only.
    pub fn new(name: &'static str, limit: u64) -> Self {
        Self(Arc::new(Inner { name, limit, held: AtomicU64::new(0), refused: refusals(name) }))
    }

    /// Holds so many bytes.
    ///
    /// # Errors
    /// If there is no room for all of them; that is counted.
    pub fn take(&self, bytes: u64) -> Result<BytePermit, Full> {
        self.grow(bytes).map(|()| BytePermit { limit: self.clone(), bytes })
    }

    /// Counts bytes that are there already, also above the limit.
    pub fn count(&self, bytes: u64) -> BytePermit {
        self.add(bytes);
        BytePermit { limit: self.clone(), bytes }
    }

    /// As [`Self::count`], for who gives them back by hand.
    pub(crate) fn add(&self, bytes: u64) {
        self.0.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives back what was added or grown by.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.0.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// True if so many bytes could be held now.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.0.held.load(Ordering::Relaxed).saturating_add(bytes) <= self.0.limit
    }

    /// Counts a refusal, and says how full the limit is.
    pub fn refuse(&self) -> Full {
        self.0.refused.increment(1);
        let small = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
        let Fill { name, held, limit } = self.fill();
        Full { name, held: small(held), limit: small(limit) }
    }

    /// How full it is.
    pub fn fill(&self) -> Fill {
        Fill { name: self.0.name, held: self.0.held.load(Ordering::Relaxed), limit: self.0.limit }
    }

    pub(crate) fn grow(&self, bytes: u64) -> Result<(), Full> {
        let fits = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= self.0.limit);
        let grown = self.0.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        grown.map(drop).map_err(|_| self.refuse())
    }
}

impl BytePermit {
    /// Holds so many bytes more.
    ///
    /// # Errors
    /// If there is no room for them; what was held stays held.
    pub fn grow(&mut self, bytes: u64) -> Result<(), Full> {
        self.limit.grow(bytes)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for BytePermit {
    fn drop(&mut self) {
        self.limit.give_back(self.bytes);
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByteLimit")
            .field("name", &self.name)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::ByteLimit;

    #[test]
    fn bytes_are_free_again_when_their_permit_is_dropped() {
        let limit = ByteLimit::new("test_bytes", 10);
        let mut six = limit.take(6).unwrap();
        assert_eq!(limit.take(5).unwrap_err().to_string(), "test_bytes: 6 of 10");
        six.grow(4).unwrap();
        assert!(six.grow(1).is_err() && !limit.has_room(1));
        drop(six);
        assert_eq!(limit.fill().held, 0);
    }

    #[test]
    fn what_is_there_already_is_counted_above_the_limit_too() {
        let limit = ByteLimit::new("test_counted_bytes", 10);
        let all = limit.count(25);
        assert_eq!((limit.fill().held, limit.take(1).is_err()), (25, true));
        drop(all);
        assert!(limit.take(10).is_ok());
    }
}
