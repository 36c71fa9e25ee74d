//! How long the endpoint took for its answers, as operators see it.

use std::time::Duration;

use metrics::{Histogram, Unit, describe_histogram, histogram};

use super::failure::Failure;

/// The latencies of one bot's endpoint, by outcome. Each handle is made once.
#[derive(Debug)]
pub(super) struct Latency {
    answered: Histogram,
    failed: Histogram,
    outage: Histogram,
}

impl Latency {
    /// Of the bot of this name.
    pub(super) fn new(bot: &str) -> Self {
        describe_histogram!(
            "repartee_bot_endpoint_seconds",
            Unit::Seconds,
            "Time until the endpoint had answered one request as a whole, by outcome: answered, failed, outage"
        );
        let of = |outcome: &'static str| histogram!("repartee_bot_endpoint_seconds", "bot" => bot.to_owned(), "outcome" => outcome);
        Self { answered: of("answered"), failed: of("failed"), outage: of("outage") }
    }

    /// Notes a request that took so long.
    pub(super) fn note<T>(&self, result: &Result<T, Failure>, took: Duration) {
        let histogram = match result {
            Ok(_) => &self.answered,
            Err(Failure::Message(_) | Failure::Doubt(_)) => &self.failed,
            Err(Failure::Outage(_)) => &self.outage,
        };
        histogram.record(took);
    }
}
