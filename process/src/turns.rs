//! Turns: of what one client has woken at the same moment, a few go on at a time, and others' requests come between.
//!
//! A change wakes everybody who waits for it. A client with hundreds of waits would else have hundreds of answers made in a
//! row, and everybody else's requests would stand behind them.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
};

use tokio::{sync::Semaphore, task::yield_now};

use crate::ClientKey;

/// Clients are told apart by so many. Those that fall together come one after the other, for a turn lasts no longer than
/// until everything else that is ready has run once.
const SLOTS: usize = 1_024;

/// The turns of all clients. Takes the same memory however many clients there are.
pub struct Turns {
    hasher: RandomState,
    slots: Box<[Semaphore]>,
}

impl Turns {
    /// `at_once` turns for each client.
    pub fn new(at_once: usize) -> Self {
        let slots = (0..SLOTS).map(|_| Semaphore::new(at_once)).collect();
        Self { hasher: RandomState::new(), slots }
    }

    /// Waits for a turn of this client, first come, first served, and then until what is ready already has run.
    pub async fn pass(&self, client: ClientKey) {
        let slot = self.hasher.hash_one(client) % SLOTS as u64;
        let _turn = self.slots[slot as usize].acquire().await.expect("no slot is closed");
        yield_now().await;
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::Arc};

    use parking_lot::Mutex;

    use super::Turns;
    use crate::ClientKey;

    fn client(number: u8) -> ClientKey {
        IpAddr::from([203, 0, 113, number]).into()
    }

    /// What goes on in which order if ten tasks of one client are woken, and then one of somebody else.
    #[tokio::test]
    async fn what_somebody_else_asks_for_comes_before_what_one_client_has_woken_in_a_row() {
        let (turns, order) = (Arc::new(Turns::new(2)), Arc::new(Mutex::new(Vec::new())));
        let mut tasks = tokio::task::JoinSet::new();
        for who in [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2] {
            let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
            tasks.spawn(async move {
                if who == 1 {
                    turns.pass(client(who)).await;
                }
                order.lock().push(who);
            });
        }
        tasks.join_all().await;
        let order = order.lock();
        assert_eq!(order.len(), 11, "everybody has their turn");
        assert_eq!(order[0], 2, "{order:?}");
    }

    #[tokio::test]
    async fn a_few_of_a_client_go_on_between_two_of_others() {
        let (turns, order) = (Arc::new(Turns::new(2)), Arc::new(Mutex::new(Vec::new())));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
            tasks.spawn(async move {
                turns.pass(client(1)).await;
                order.lock().push(1);
            });
        }
        let seen = Arc::clone(&order);
        tasks.spawn(async move {
            while seen.lock().iter().filter(|who| **who == 1).count() < 12 {
                seen.lock().push(2);
                tokio::task::yield_now().await;
            }
        });
        tasks.join_all().await;
        let order = order.lock();
        let in_a_row = order.split(|who| *who == 2).map(<[i32]>::len).max();
        // Those whose turn it is, and those before them: the runtime wakes what has yielded in turns from either end.
        assert!(in_a_row <= Some(4), "{order:?}");
    }
}
