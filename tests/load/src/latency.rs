//! How long operations took: a histogram of high dynamic range, exact to three digits from nanoseconds to minutes.

use std::{fmt, time::Duration};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Digits that are kept of each value.
const DIGITS: u8 = 3;

/// Longer durations count as this long: no call of ours may take so long.
const LONGEST: Duration = Duration::from_secs(3_600);

/// A histogram of durations.
#[derive(Clone)]
pub(crate) struct Latencies(Histogram<u32>);

/// What is shown of a histogram, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    /// The median.
    pub(crate) p50_us: f64,
    /// 90 % took at most this.
    pub(crate) p90_us: f64,
    /// 99 % took at most this.
    pub(crate) p99_us: f64,
    /// 99.9 % took at most this.
    pub(crate) p999_us: f64,
    /// The slowest.
    pub(crate) max_us: f64,
}

impl Latencies {
    /// An empty histogram.
    pub(crate) fn new() -> Self {
        Self(Histogram::new(DIGITS).expect("three digits are allowed"))
    }

    /// Adds one duration.
    pub(crate) fn record(&mut self, took: Duration) {
        let nanos = took.min(LONGEST).as_nanos().max(1) as u64;
        self.0.record(nanos).expect("an automatic histogram grows as far as needed");
    }

    /// Adds all durations of another histogram.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("an automatic histogram grows as far as needed");
    }

    /// How many were recorded.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// What is shown of it; zeros where it is empty.
    pub(crate) fn quantiles(&self) -> Quantiles {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1_000.0;
        let max_us = self.0.max() as f64 / 1_000.0;
        Quantiles { p50_us: at(0.5), p90_us: at(0.9), p99_us: at(0.99), p999_us: at(0.999), max_us }
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} latencies, {:?}", self.count(), self.quantiles())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Latencies, Quantiles};

    #[test]
    fn quantiles_are_exact_to_three_digits() {
        let mut latencies = Latencies::new();
        (1..=1_000).for_each(|micros| latencies.record(Duration::from_micros(micros)));
        let quantiles = latencies.quantiles();
        for (shown, exact) in [
            (quantiles.p50_us, 500.0),
            (quantiles.p90_us, 900.0),
            (quantiles.p99_us, 990.0),
            (quantiles.p999_us, 999.0),
            (quantiles.max_us, 1_000.0),
        ] {
            assert!((shown / exact - 1.0).abs() < 0.002, "{shown} for {exact}");
        }
    }

    #[test]
    fn histograms_of_clients_add_up_whatever_their_range() {
        let (mut fast, mut slow) = (Latencies::new(), Latencies::new());
        fast.record(Duration::from_micros(10));
        slow.record(Duration::from_secs(90));
        fast.add(&slow);
        assert_eq!(fast.count(), 2);
        assert!(fast.quantiles().max_us >= 90_000_000.0);
    }

    #[test]
    fn an_empty_histogram_shows_zeros() {
        assert_eq!(Latencies::new().quantiles(), Quantiles::default());
    }
}
