//! How long to wait before the next try. Pure: randomness comes in, a duration goes out, nobody sleeps here.

use std::time::Duration;

/// Exponential backoff with full jitter: a uniformly random wait between zero and a ceiling that doubles with every try.
/// Of the usual forms it spreads a crowd of clients best, see "Exponential Backoff And Jitter", AWS Architecture Blog,
/// 2015.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    base: Duration,
    cap: Duration,
    tries: u32,
}

impl Backoff {
    /// A backoff whose first ceiling is `base` and whose last is `cap`.
    pub(crate) const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, tries: 0 }
    }

    /// The next wait, for a `unit` from 0 to 1.
    pub(crate) fn next(&mut self, unit: f64) -> Duration {
        let ceiling = self.base.saturating_mul(2_u32.saturating_pow(self.tries)).min(self.cap);
        self.tries = self.tries.saturating_add(1);
        ceiling.mul_f64(unit)
    }

    /// Starts over: the last try succeeded.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_ceiling_doubles_up_to_the_cap() {
        let mut backoff = Backoff::new(50 * MS, 300 * MS);
        let ceilings: Vec<_> = (0..5).map(|_| backoff.next(1.0)).collect();
        assert_eq!(ceilings, [50 * MS, 100 * MS, 200 * MS, 300 * MS, 300 * MS]);
    }

    #[test]
    fn the_wait_is_anywhere_below_the_ceiling() {
        let mut backoff = Backoff::new(50 * MS, 300 * MS);
        assert_eq!(backoff.next(0.0), Duration::ZERO);
        assert_eq!(backoff.next(0.5), 50 * MS);
        assert_eq!(backoff.next(0.25), 50 * MS);
    }

    #[test]
    fn a_success_starts_over() {
        let mut backoff = Backoff::new(50 * MS, 300 * MS);
        backoff.next(1.0);
        backoff.next(1.0);
        backoff.reset();
        assert_eq!(backoff.next(1.0), 50 * MS);
    }

    #[test]
    fn no_number_of_tries_overflows() {
        let mut backoff = Backoff::new(50 * MS, 300 * MS);
        backoff.tries = u32::MAX;
        assert_eq!(backoff.next(1.0), 300 * MS);
    }
}
