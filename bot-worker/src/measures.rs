//! What a bot counts of its attempts. Each handle is made once, with the worker.

use std::{sync::Arc, time::Duration};

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use crate::{attempt::End, handler::Outcome};

/// The counts of one bot; clones share them.
#[derive(Clone)]
pub(crate) struct Attempts(Arc<Counts>);

struct Counts {
    completed: Counter,
    failed: Counter,
    refused: Counter,
    outage: Counter,
    stopped: Counter,
    unreported: Counter,
    seconds: Histogram,
}

impl Attempts {
    /// Of the bot of this name.
    pub(crate) fn new(bot: &str) -> Self {
        describe();
        let of = |outcome: &'static str| {
            let counter =
                counter!("repartee_bot_attempts_total", "bot" => bot.to_owned(), "outcome" => outcome);
            // It is there before the first attempt.
            counter.increment(0);
            counter
        };
        Self(Arc::new(Counts {
            completed: of("completed"),
            failed: of("failed"),
            refused: of("refused"),
            outage: of("outage"),
            stopped: of("stopped"),
            unreported: of("unreported"),
            seconds: histogram!("repartee_bot_attempt_seconds", "bot" => bot.to_owned()),
        }))
    }

    /// The counter of attempts with this outcome.
    pub(crate) fn with(&self, outcome: &Outcome) -> &Counter {
        match outcome {
            Ok(_) => &self.0.completed,
            Err(error) if error.is_outage => &self.0.outage,
            Err(error) if error.retryable => &self.0.failed,
            Err(_) => &self.0.refused,
        }
    }

    /// Notes an attempt that has ended so; `reported` counts its outcome, if it had one.
    pub(crate) fn note(&self, end: End, reported: Option<&Counter>, took: Duration) {
        let counter = match end {
            End::Reported => reported.unwrap_or(&self.0.stopped),
            End::Unanswered => &self.0.unreported,
            End::Stopped => &self.0.stopped,
        };
        counter.increment(1);
        self.0.seconds.record(took);
    }
}

fn describe() {
    describe_counter!(
        "repartee_bot_attempts_total",
        Unit::Count,
        "Attempts that ended, by outcome: completed, failed (to be tried again), refused (not to be tried again), outage, \
         stopped (the answer was not wanted any more), unreported (the queue-service did not answer in time)"
    );
    describe_histogram!(
        "repartee_bot_attempt_seconds",
        Unit::Seconds,
        "Time from taking a message until its outcome was reported"
    );
}
