//! When a failed attempt is tried again: the wait grows eightfold up to a cap, so that five attempts outlast what an
//! endpoint needs to come back (5 s, 40 s, 5 min, 5 min by default). Up to a fifth is added at random, so that what failed
//! together does not come back together.

use super::Millis;

/// By what each wait exceeds the one before.
const GROWTH: Millis = 8;
/// The part of a wait that may be added to it: a fifth.
const SPREAD: Millis = 5;

/// How long a message waits after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure, in milliseconds.
    pub first_ms: Millis,
    /// No wait is longer than this and a fifth of it.
    pub cap_ms: Millis,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first_ms: 5_000, cap_ms: 300_000 }
    }
}

impl Backoff {
    /// Milliseconds to wait after failure number `failures` (from 1). `random` is 64 random bits.
    pub(super) fn after(self, failures: u32, random: u64) -> Millis {
        let growth = GROWTH.saturating_pow(failures.saturating_sub(1));
        let wait = self.first_ms.saturating_mul(growth).min(self.cap_ms);
        // A span of settings is far below the end of the range, so both conversions are exact.
        wait + (random % (wait / SPREAD + 1) as u64) as Millis
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_wait_is_at_most_a_fifth_longer_than_the_cap(failures in 0u32..100, random: u64) {
            let wait = Backoff::default().after(failures, random);
            prop_assert!((5_000..=360_000).contains(&wait));
        }
    }

    #[test]
    fn waits_grow_up_to_the_cap_and_five_attempts_span_ten_minutes() {
        let shortest: Vec<_> = (1..=5).map(|failures| Backoff::default().after(failures, 0)).collect();
        assert_eq!(shortest, [5_000, 40_000, 300_000, 300_000, 300_000]);
        assert!(shortest[..4].iter().sum::<Millis>() >= 600_000);
    }

    #[test]
    fn waits_follow_the_settings() {
        let backoff = Backoff { first_ms: 100, cap_ms: 1_000 };
        let waits = [1, 2, 9, u32::MAX].map(|failures| backoff.after(failures, 0));
        assert_eq!(waits, [100, 800, 1_000, 1_000]);
    }
}
