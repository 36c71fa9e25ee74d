//! What a service counts, as Prometheus reads it.

use crate::Browser;

/// The metrics of one moment.
#[derive(Debug)]
pub struct Metrics(String);

impl Metrics {
    /// Reads the metrics of the service that `browser` speaks to; both faces have them.
    pub async fn of(browser: &Browser) -> Self {
        let answer = browser.metrics().await;
        assert_eq!(answer.status, 200);
        Self(answer.text().to_owned())
    }

    /// The value of a metric with its labels, as they are written: `name{label="value"}`.
    ///
    /// # Panics
    /// Where there is none.
    pub fn value(&self, name: &str) -> f64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let Some(value) = line else { panic!("no {name} in\n{}", self.0) };
        value.parse().expect("a metric is a number")
    }

    /// How much of a bound is held, and how much may be.
    pub fn bound(&self, name: &str) -> (f64, f64) {
        let of = |metric| self.value(&format!("repartee_bound_{metric}{{bound=\"{name}\"}}"));
        (of("held"), of("limit"))
    }

    /// How often something was refused at a bound.
    pub fn refused(&self, name: &str) -> f64 {
        self.value(&format!("repartee_refusals_total{{bound=\"{name}\"}}"))
    }
}
