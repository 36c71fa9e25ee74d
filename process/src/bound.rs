//! A bound: something of which so much may be held at once. Who asks for more is refused at once, and counted.

use std::sync::Arc;

use metrics::Counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::start_metrics;

/// So much of something may be held at once. Cheap to clone; clones share what they hold.
#[derive(Debug, Clone)]
pub struct Bound(Arc<Inner>);

struct Inner {
    name: &'static str,
    limit: u32,
    free: Arc<Semaphore>,
    refused: Counter,
}

/// What is held of a bound, until it is dropped.
#[derive(Debug)]
#[must_use = "what is dropped at once is not held"]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {held} of {limit}")]
pub struct Full {
    /// Name of the bound.
    pub name: &'static str,
    /// How much is held.
    pub held: u32,
    /// How much may be held.
    pub limit: u32,
}

/// How full a bound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Name of the bound.
    pub name: &'static str,
    /// How much is held.
    pub held: u64,
    /// How much may be held.
    pub limit: u64,
}

impl Bound {
    /// A bound with nothing held. `name` is its label in the metrics and belongs to this one only.
    pub fn new(name: &'static str, limit: u32) -> Self {
        Self(Arc::new(Inner {
            name,
            limit,
            free: Arc::new(Semaphore::new(limit as usize)),
            refused: refusals(name),
        }))
    }

    /// Holds `amount`, or all that there is room for where `amount` is more than the limit.
    ///
    /// # Errors
    /// Where there is no room; that is counted.
    pub fn enter(&self, amount: u32) -> Result<Place, Full> {
        self.try_enter(amount).ok_or_else(|| self.refuse())
    }

    /// Holds `amount` if there is room for it now; that there is none is not counted.
    pub fn try_enter(&self, amount: u32) -> Option<Place> {
        let free = Arc::clone(&self.0.free);
        free.try_acquire_many_owned(amount.min(self.0.limit)).ok().map(|permit| Place { _permit: permit })
    }

    /// Holds `amount` as soon as there is room for it.
    pub async fn entered(&self, amount: u32) -> Place {
        let free = Arc::clone(&self.0.free);
        let permit = free.acquire_many_owned(amount.min(self.0.limit)).await;
        Place { _permit: permit.expect("the semaphore is never closed") }
    }

    /// True where so much could be held now.
    pub fn has_room(&self, amount: u32) -> bool {
        self.0.free.available_permits() >= amount.min(self.0.limit) as usize
    }

    /// Counts a refusal, and says how full the bound is.
    pub fn refuse(&self) -> Full {
        self.0.refused.increment(1);
        Full { name: self.0.name, held: self.held(), limit: self.0.limit }
    }

    /// How much may be held.
    pub fn limit(&self) -> u32 {
        self.0.limit
    }

    /// How much is held.
    pub fn held(&self) -> u32 {
        let free = u32::try_from(self.0.free.available_permits()).unwrap_or(u32::MAX);
        self.0.limit.saturating_sub(free)
    }

    /// Returns once nothing is held. Nobody can enter while somebody waits for that.
    pub async fn emptied(&self) {
        // Never closed, so this cannot fail.
        let _ = self.0.free.acquire_many(self.0.limit).await;
    }

    /// How full it is.
    pub fn fill(&self) -> Fill {
        Fill { name: self.0.name, held: self.held().into(), limit: self.0.limit.into() }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("name", &self.name).field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Fill {
    /// Writes it down for the metrics.
    pub fn show(self) {
        metrics::gauge!("repartee_bound_held", "bound" => self.name).set(self.held as f64);
        metrics::gauge!("repartee_bound_limit", "bound" => self.name).set(self.limit as f64);
    }
}

/// Counts what was refused at a bound.
pub fn refusals(name: &'static str) -> Counter {
    // A counter that is made before the recorder would count for nobody.
    start_metrics();
    metrics::counter!("repartee_refusals_total", "bound" => name)
}

#[cfg(test)]
mod tests {
    use super::{Bound, Full};

    #[test]
    fn what_is_held_is_free_again_when_it_is_dropped() {
        let bound = Bound::new("test_free", 3);
        let (one, two) = (bound.enter(1).unwrap(), bound.enter(2).unwrap());
        assert_eq!(bound.enter(1).unwrap_err(), Full { name: "test_free", held: 3, limit: 3 });
        drop(two);
        assert_eq!(bound.held(), 1);
        drop(one);
        assert_eq!(bound.fill().held, 0);
    }

    #[test]
    fn more_than_the_limit_fits_where_nothing_else_is_held() {
        let bound = Bound::new("test_more", 3);
        let all = bound.enter(10).unwrap();
        assert_eq!(bound.held(), 3);
        assert!(bound.enter(1).is_err());
        drop(all);
        let _one = bound.enter(1).unwrap();
        assert!(bound.enter(10).is_err());
    }

    #[test]
    fn refusals_are_counted_by_the_name_of_the_bound() {
        let bound = Bound::new("test_counted", 1);
        let _held = bound.enter(1).unwrap();
        assert!(bound.enter(1).is_err() && bound.enter(1).is_err());
        bound.fill().show();
        let shown = crate::metrics_text();
        for line in [
            "repartee_refusals_total{bound=\"test_counted\"} 2",
            "repartee_bound_held{bound=\"test_counted\"} 1",
            "repartee_bound_limit{bound=\"test_counted\"} 1",
        ] {
            assert!(shown.contains(line), "{line} in\n{shown}");
        }
    }

    #[tokio::test]
    async fn a_bound_is_emptied_once_the_last_place_is_given_up() {
        let bound = Bound::new("test_emptied", 2);
        let place = bound.enter(1).unwrap();
        let waiting = bound.clone();
        let emptied = tokio::spawn(async move { waiting.emptied().await });
        drop(place);
        emptied.await.unwrap();
    }
}
