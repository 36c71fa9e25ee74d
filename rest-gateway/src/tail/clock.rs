//! The clock of the queue-service, as its stream of changes tells it: everything that the gateway says of the time is by that
//! one, for all times in messages are.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics::gauge;
use parking_lot::Mutex;

/// A difference of the two hosts' clocks that is worth a warning.
const NOTEWORTHY: Duration = Duration::from_secs(2);

/// What the queue-service's clock showed last, and when that was.
#[derive(Debug, Default)]
pub(crate) struct ServiceClock {
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    last: Option<(i64, Instant)>,
    is_noteworthy: bool,
}

impl ServiceClock {
    /// The queue-service's time, Unix milliseconds; this host's until the queue-service has told its own.
    pub(crate) fn now(&self) -> u64 {
        let told = self.told.lock().last;
        let own = |told: (i64, Instant)| told.0.saturating_add(millis(told.1.elapsed()));
        u64::try_from(told.map_or_else(host, own)).unwrap_or_default()
    }

    /// The queue-service has told its time just now. Warns once if this host's clock differs much.
    pub(super) fn set(&self, time: i64) {
        if time <= 0 {
            // One of before it told its time.
            return;
        }
        let ahead = host().saturating_sub(time);
        gauge!("repartee_clock_difference_seconds").set(ahead as f64 / 1_000.0);
        let is_noteworthy = ahead.unsigned_abs() > millis(NOTEWORTHY).unsigned_abs();
        let mut told = self.told.lock();
        if is_noteworthy && !told.is_noteworthy {
            let ahead_s = ahead as f64 / 1_000.0;
            tracing::warn!(
                ahead_s,
                "the clocks of this host and of the queue-service differ; clients are told the queue-service's"
            );
        }
        *told = Told { last: Some((time, Instant::now())), is_noteworthy };
    }
}

/// What the clock of this host shows, Unix milliseconds.
fn host() -> i64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{ServiceClock, host};

    #[test]
    fn the_time_is_the_queue_services_however_far_this_hosts_clock_is_off() {
        for difference in [-300_000, -3_000, 0, 3_000, 300_000] {
            let (clock, theirs) = (ServiceClock::default(), host() + difference);
            clock.set(theirs);
            let now = i64::try_from(clock.now()).unwrap();
            assert!(now >= theirs && now - difference <= host(), "{difference}: {now} after {theirs}");
        }
    }

    #[test]
    fn until_it_is_told_it_is_this_hosts() {
        let clock = ServiceClock::default();
        clock.set(0);
        let before = host();
        assert!(i64::try_from(clock.now()).unwrap() >= before);
    }
}
