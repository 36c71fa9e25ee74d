//! When operations are meant to start. Owns no clock: times are offsets from the start of the measurement.
//!
//! A closed loop starts an operation when a client is free, so a slow server is asked less often and its delays hide. An
//! open loop starts them when they are due, whatever the server does; whoever is late counts the delay as latency.

use std::{sync::Arc, time::Duration};

/// How operations follow each other.
#[derive(Debug, Clone)]
pub(crate) enum Pace {
    /// Each client starts its next operation when it has finished one.
    Closed,
    /// So many operations a second, spread evenly.
    Rate(f64),
    /// Operation `n` at the n-th of these offsets, which rise.
    Plan(Arc<[Duration]>),
}

impl Pace {
    /// When operation `number` is due; none in a closed loop, and behind the end of a plan.
    pub(crate) fn due(&self, number: u64) -> Option<Duration> {
        match self {
            Self::Closed => None,
            Self::Rate(per_second) => Some(Duration::from_secs_f64(number as f64 / per_second)),
            Self::Plan(offsets) => {
                offsets.get(usize::try_from(number).expect("a count fits a machine word")).copied()
            }
        }
    }

    /// How many operations are due at `elapsed`, those at this moment included; none in a closed loop.
    pub(crate) fn due_by(&self, elapsed: Duration) -> u64 {
        match self {
            Self::Closed => 0,
            Self::Rate(per_second) => (elapsed.as_secs_f64() * per_second).floor() as u64 + 1,
            Self::Plan(offsets) => offsets.partition_point(|offset| *offset <= elapsed) as u64,
        }
    }

    /// In words, for results.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Closed => "closed".to_owned(),
            Self::Rate(per_second) => format!("open, {per_second:.0}/s"),
            Self::Plan(_) => "open, planned".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Pace;

    #[test]
    fn a_rate_spreads_operations_evenly_from_the_start_on() {
        let pace = Pace::Rate(200.0);
        let first: Vec<_> = (0..4).map(|number| pace.due(number).unwrap().as_millis()).collect();
        assert_eq!(first, [0, 5, 10, 15]);
        assert_eq!(pace.due(2_000), Some(Duration::from_secs(10)));
    }

    #[test]
    fn what_is_due_by_a_moment_is_what_was_due_at_or_before_it() {
        let plan = Pace::Plan([1, 1, 4].map(Duration::from_secs).into());
        for (pace, at_ms, due) in [
            (&Pace::Rate(200.0), 0, 1),
            (&Pace::Rate(200.0), 4, 1),
            (&Pace::Rate(200.0), 12, 3),
            (&plan, 999, 0),
            (&plan, 1_000, 2),
            (&plan, 9_000, 3),
            (&Pace::Closed, 9_000, 0),
        ] {
            assert_eq!(pace.due_by(Duration::from_millis(at_ms)), due, "{pace:?} at {at_ms} ms");
        }
    }

    #[test]
    fn a_plan_ends_and_a_closed_loop_has_no_due_times() {
        let plan = Pace::Plan([Duration::ZERO].into());
        assert_eq!((plan.due(0), plan.due(1)), (Some(Duration::ZERO), None));
        assert_eq!(Pace::Closed.due(0), None);
    }
}
