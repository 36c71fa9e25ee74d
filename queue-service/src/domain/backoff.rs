//! When a failed attempt is tried again: exponential backoff with full jitter, which spreads retries best.
//! Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.

use super::Millis;

/// Bound of the first wait.
const BASE_MS: Millis = 1_000;
/// Bound of every wait: 5 min.
const CAP_MS: Millis = 300_000;

/// Milliseconds to wait after failure number `failures` (from 1): uniformly between 0 and the bound of that failure.
/// `random` is 64 random bits.
pub(super) fn after(failures: u32, random: u64) -> Millis {
    let doublings = failures.saturating_sub(1).min(20);
    let bound = (BASE_MS << doublings).min(CAP_MS);
    // The bound is at most CAP_MS, so both conversions are exact; the bias of the remainder is below 1e-13.
    (random % (bound as u64 + 1)) as Millis
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_wait_stays_within_its_bound(failures in 0u32..100, random: u64) {
            let wait = after(failures, random);
            prop_assert!(wait >= 0);
            prop_assert!(wait <= CAP_MS);
            prop_assert!(failures > 1 || wait <= BASE_MS);
        }
    }

    #[test]
    fn the_bound_doubles_up_to_five_minutes() {
        let largest = |failures| (0..400_000).map(|random| after(failures, random)).max();
        assert_eq!(largest(1), Some(1_000));
        assert_eq!(largest(2), Some(2_000));
        assert_eq!(largest(5), Some(16_000));
        assert_eq!(largest(40), Some(300_000));
    }
}
