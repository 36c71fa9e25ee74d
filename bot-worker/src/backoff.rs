//! How long to wait before the next try. Pure: randomness comes in, a duration goes out, nobody sleeps here.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

/// Exponential backoff with full jitter: a uniformly random wait between zero and a ceiling that doubles with every try.
/// Of the usual forms it spreads a crowd of clients best, see "Exponential Backoff And Jitter", AWS Architecture Blog,
/// 2015. `backon` gives the ceilings; its own jitter would only add to them.
#[derive(Debug)]
pub(crate) struct Backoff {
    waits: Waits,
    ceilings: ExponentialBackoff,
}

/// The first ceiling and the last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits {
    pub(crate) first: Duration,
    pub(crate) cap: Duration,
}

impl Waits {
    pub(crate) const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap }
    }

    fn ceilings(self) -> ExponentialBackoff {
        let doubling = ExponentialBuilder::new().with_min_delay(self.first).with_max_delay(self.cap);
        doubling.with_factor(2.0).without_max_times().build()
    }
}

impl Backoff {
    /// A backoff that has not waited yet.
    pub(crate) fn new(waits: Waits) -> Self {
        Self { waits, ceilings: waits.ceilings() }
    }

    /// The next wait, for a `unit` from 0 to 1.
    pub(crate) fn next(&mut self, unit: f64) -> Duration {
        self.ceilings.next().unwrap_or(self.waits.cap).mul_f64(unit)
    }

    /// Starts over: the last try succeeded.
    pub(crate) fn reset(&mut self) {
        self.ceilings = self.waits.ceilings();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, Waits};

    const WAITS: Waits = Waits::new(Duration::from_millis(50), Duration::from_millis(300));

    /// The next wait in milliseconds; the ceilings are rounded to microseconds.
    fn next(backoff: &mut Backoff, unit: f64) -> u128 {
        backoff.next(unit).as_millis()
    }

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let mut backoff = Backoff::new(WAITS);
        let ceilings: Vec<_> = (0..200).map(|_| next(&mut backoff, 1.0)).collect();
        assert_eq!(ceilings[..5], [50, 100, 200, 300, 300]);
        assert!(ceilings[5..].iter().all(|ceiling| *ceiling == 300));
    }

    #[test]
    fn the_wait_is_anywhere_below_the_ceiling() {
        let mut backoff = Backoff::new(WAITS);
        assert_eq!(next(&mut backoff, 0.0), 0);
        assert_eq!(next(&mut backoff, 0.5), 50);
        assert_eq!(next(&mut backoff, 0.25), 50);
    }

    #[test]
    fn a_success_starts_over() {
        let mut backoff = Backoff::new(WAITS);
        backoff.next(1.0);
        backoff.next(1.0);
        backoff.reset();
        assert_eq!(next(&mut backoff, 1.0), 50);
    }
}
