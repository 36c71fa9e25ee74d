//! What one client may hold at once, beside the bound of what all of them may: however much one takes, the rest of the
//! bound is left to others.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use metrics::Counter;
use parking_lot::Mutex;

use crate::{ClientKey, Fill, Full, refusals};

/// Clients that do not share a lock.
const SHARDS: usize = 16;

/// So much of something may each client hold at once. Cheap to clone; clones share what is held.
///
/// It has an entry for each client that holds something, so there are never more than the bound beside it lets in.
#[derive(Debug, Clone)]
pub struct ClientPermits(Arc<Inner>);

struct Inner {
    name: &'static str,
    limit: u32,
    hasher: RandomState,
    shards: [Mutex<HashMap<ClientKey, u32>>; SHARDS],
    refused: Counter,
}

/// What a client holds, until it is dropped.
#[derive(Debug)]
#[must_use = "what is dropped at once is not held"]
pub struct ClientPermit {
    permits: Arc<Inner>,
    client: ClientKey,
    count: u32,
}

impl ClientPermits {
    /// Nothing is held. `name` is the label in the metrics and belongs to this limit only.
    pub fn new(name: &'static str, limit: u32) -> Self {
        let (hasher, shards) = (RandomState::new(), Default::default());
        Self(Arc::new(Inner { name, limit, hasher, shards, refused: refusals(name) }))
    }

    /// Holds one for `client`.
    ///
    /// # Errors
    /// If it holds as many as it may; that is counted.
    pub fn acquire(&self, client: ClientKey) -> Result<ClientPermit, Full> {
        self.acquire_many(client, 1)
    }

    /// Holds so many for `client`; also more than it may if it holds nothing yet, for it would never get them otherwise.
    ///
    /// # Errors
    /// If it would hold more than it may; that is counted.
    pub fn acquire_many(&self, client: ClientKey, count: u32) -> Result<ClientPermit, Full> {
        let Inner { name, limit, refused, .. } = &*self.0;
        let mut shard = self.0.shard(client).lock();
        let held = shard.entry(client).or_insert(0);
        if *held > 0 && held.checked_add(count).is_none_or(|sum| sum > *limit) {
            refused.increment(1);
            return Err(Full { name, held: *held, limit: *limit });
        }
        *held += count;
        Ok(ClientPermit { permits: Arc::clone(&self.0), client, count })
    }

    /// How much `client` holds.
    pub fn held(&self, client: ClientKey) -> u32 {
        self.0.shard(client).lock().get(&client).copied().unwrap_or(0)
    }

    /// How much the client holds that holds most.
    pub fn fill(&self) -> Fill {
        let most = self.0.shards.iter().filter_map(|shard| shard.lock().values().max().copied()).max();
        Fill { name: self.0.name, held: most.unwrap_or(0).into(), limit: self.0.limit.into() }
    }

    #[cfg(test)]
    fn clients(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

impl Inner {
    fn shard(&self, client: ClientKey) -> &Mutex<HashMap<ClientKey, u32>> {
        &self.shards[self.hasher.hash_one(client) as usize % SHARDS]
    }
}

impl Drop for ClientPermit {
    fn drop(&mut self) {
        if let Entry::Occupied(mut held) = self.permits.shard(self.client).lock().entry(self.client) {
            *held.get_mut() -= self.count;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientPermits")
            .field("name", &self.name)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::ClientPermits;
    use crate::{ClientKey, Full};

    fn client(last: u8) -> ClientKey {
        IpAddr::from([203, 0, 113, last]).into()
    }

    #[test]
    fn one_client_that_holds_all_it_may_leaves_others_theirs() {
        let permits = ClientPermits::new("test_client_share", 2);
        let (first, _second) = (permits.acquire(client(1)).unwrap(), permits.acquire(client(1)).unwrap());
        let full = Full { name: "test_client_share", held: 2, limit: 2 };
        assert_eq!(permits.acquire(client(1)).unwrap_err(), full);
        let _other = permits.acquire(client(2)).unwrap();
        assert_eq!(permits.fill().held, 2);
        drop(first);
        let _again = permits.acquire(client(1)).unwrap();
    }

    #[test]
    fn many_are_held_and_given_back_together_and_whoever_holds_nothing_gets_them_always() {
        let permits = ClientPermits::new("test_client_many", 10);
        let six = permits.acquire_many(client(1), 6).unwrap();
        let full = Full { name: "test_client_many", held: 6, limit: 10 };
        assert_eq!(permits.acquire_many(client(1), 5).unwrap_err(), full);
        assert!(permits.acquire_many(client(1), u32::MAX).is_err());
        let _four = permits.acquire_many(client(1), 4).unwrap();
        assert_eq!((permits.held(client(1)), permits.held(client(2))), (10, 0));
        let large = permits.acquire_many(client(2), 25).unwrap();
        assert!(permits.acquire(client(2)).is_err());
        drop((six, large));
        assert_eq!(permits.fill().held, 4);
    }

    #[test]
    fn of_a_client_that_holds_nothing_nothing_is_kept() {
        let permits = ClientPermits::new("test_client_gone", 1);
        for last in 0..=255 {
            drop(permits.acquire(client(last)).unwrap());
        }
        assert_eq!((permits.clients(), permits.fill().held), (0, 0));
    }
}
