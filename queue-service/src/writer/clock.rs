//! The service's clock: one for everything that asks what time it is, and a value so that tests can turn it.
//!
//! The system has two clocks, and neither is enough. The wall clock can step: back by seconds when it is corrected, ahead
//! by months for a moment. The monotonic clock cannot, but it knows no date and begins anew with each start of the
//! machine; it counts while the machine sleeps. So there are two times here, made from both:
//!
//! - **service time** measures spans: leases, waits for a retry, the age of idempotency keys. It runs by the monotonic
//!   clock only, so no step of the wall clock ends a lease. A start begins it with the wall clock, and never before the
//!   service time of the last commit: it does not go back over restarts either.
//! - **wall time** is what clients are shown and what retention counts by: the wall clock, except that a jump ahead of
//!   more than a limit is not believed until it has lasted as long as that limit. A step back is believed at once: it
//!   takes nothing away from anybody.
//!
//! While the clock is not tampered with, the two are the same. Must never make anybody wait for the wall clock.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

use crate::{
    domain::{Millis, Moment},
    journal::LastCommit,
};

/// The stamps of messages may run so far ahead of the wall clock by the number of commits alone, without the clock being
/// behind: there may be more than one a millisecond for a while.
pub(super) const AHEAD_MS: Millis = 1_000;

/// Tells the time.
pub trait Clock: Send + 'static {
    /// What time it is. Service time never goes back from one call to the next.
    fn read(&self) -> Moment;

    /// Returns once service time is `now` or later.
    fn wait_until(&self, now: Millis);

    /// Notes the stamp of the newest message.
    fn note_stamp(&self, _stamp: Millis) {}
}

/// What the clocks of the system show, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Readings {
    /// The wall clock: Unix time.
    wall: Millis,
    /// The monotonic clock: since the start of this process.
    monotonic: Millis,
}

/// Turns readings into moments. Pure: the same readings give the same moments.
#[derive(Debug)]
struct Judge {
    /// What service time was when the monotonic clock showed 0.
    zero: Millis,
    /// The last reading whose wall clock was believed.
    believed: Readings,
    /// A jump ahead of more than this is not believed until it has lasted as long.
    max_jump: Millis,
    /// Since when the wall clock has shown a jump that is not believed, by the monotonic clock.
    doubted_since: Option<Millis>,
}

impl Judge {
    /// There is nothing yet to hold the first reading against, so its wall clock is believed.
    fn new(first: Readings, last: LastCommit, max_jump: Millis) -> Self {
        let zero = first.wall.max(last.service_time).saturating_sub(first.monotonic);
        Self { zero, believed: first, max_jump, doubted_since: None }
    }

    fn judge(&mut self, seen: Readings) -> Moment {
        let now = self.zero.saturating_add(seen.monotonic);
        let passed = seen.monotonic.saturating_sub(self.believed.monotonic);
        let expected = self.believed.wall.saturating_add(passed);
        // A clock that only comes back to where it was before it stepped back does not jump ahead.
        if seen.wall.saturating_sub(expected.max(now)) > self.max_jump {
            let since = *self.doubted_since.get_or_insert(seen.monotonic);
            if seen.monotonic.saturating_sub(since) < self.max_jump {
                return Moment { now, wall: expected };
            }
        }
        self.doubted_since = None;
        self.believed = seen;
        Moment { now, wall: seen.wall }
    }
}

/// The clock of a running service; cheap to clone, and the same for all clones.
#[derive(Clone)]
pub struct ServiceClock(Arc<Shared>);

struct Shared {
    /// The monotonic clock at the start.
    began: Millis,
    judge: Mutex<Judge>,
    /// The stamp of the newest message.
    last_stamp: AtomicI64,
    /// What is to be said once is said at the edges.
    said: Mutex<Said>,
    starts_ahead: bool,
    max_jump: Millis,
}

/// What the log was told last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Said {
    behind: bool,
    doubted: bool,
}

impl ServiceClock {
    /// The clock of a service whose journal ends with `last`. A jump ahead of more than `max_jump` is not believed until it
    /// has lasted as long. Says in the log when the clock is behind the newest message.
    pub fn start(last: LastCommit, max_jump: Duration) -> Self {
        let max_jump = Millis::try_from(max_jump.as_millis()).unwrap_or(Millis::MAX);
        let first = Readings { wall: system_wall(), monotonic: 0 };
        let clock = Self(Arc::new(Shared {
            began: system_monotonic(),
            judge: Mutex::new(Judge::new(first, last, max_jump)),
            last_stamp: AtomicI64::new(last.stamp),
            said: Mutex::default(),
            starts_ahead: last.time > 0 && first.wall.saturating_sub(last.time) > max_jump,
            max_jump,
        }));
        clock.observe();
        clock
    }

    /// Until when, in service time, nothing is taken away for its age. A start that finds the clock far ahead of the last
    /// commit has nothing to hold it against: most often the service was off, but a clock that is wrong for a moment must
    /// not sweep anything, so age waits as long as a jump has to last.
    pub fn ages_from(&self) -> Millis {
        if self.0.starts_ahead { self.read().now.saturating_add(self.0.max_jump) } else { Millis::MIN }
    }

    /// Shows how far the clock is behind the newest message, and logs where that begins and ends. To be called regularly.
    pub fn observe(&self) {
        let Moment { wall, .. } = self.read();
        let doubted = self.0.judge.lock().doubted_since.is_some();
        let behind_ms = self.0.last_stamp.load(Ordering::Relaxed).saturating_sub(wall).max(0);
        let is = Said { behind: behind_ms > AHEAD_MS, doubted };
        metrics::gauge!("repartee_clock_behind_seconds").set(if is.behind {
            behind_ms as f64 / 1_000.0
        } else {
            0.0
        });
        metrics::gauge!("repartee_clock_jump_doubted").set(if doubted { 1.0 } else { 0.0 });
        let was = std::mem::replace(&mut *self.0.said.lock(), is);
        match (was.behind, is.behind) {
            (false, true) => tracing::warn!(
                behind_ms,
                "the clock is behind the newest message: the stamps of new ones go on from that by 1 until the clock has \
                 caught up; leases and retries run on"
            ),
            (true, false) => tracing::info!("the clock has caught up with the newest message"),
            (false, false) | (true, true) => {}
        }
        match (was.doubted, is.doubted) {
            (false, true) => tracing::warn!(
                limit_ms = self.0.max_jump,
                "the clock jumped ahead by more than --max-clock-jump: not believed until it has lasted as long"
            ),
            (true, false) => tracing::info!("the clock is believed again"),
            (false, false) | (true, true) => {}
        }
    }
}

impl Clock for ServiceClock {
    fn read(&self) -> Moment {
        // Both clocks are read under the lock: then the monotonic one never seems to go back.
        let mut judge = self.0.judge.lock();
        let monotonic = system_monotonic().saturating_sub(self.0.began);
        judge.judge(Readings { wall: system_wall(), monotonic })
    }

    #[expect(clippy::disallowed_methods, reason = "what is waited for is the clock itself")]
    fn wait_until(&self, now: Millis) {
        while let Ok(wait @ 1..) = u64::try_from(now.saturating_sub(self.read().now)) {
            std::thread::sleep(Duration::from_millis(wait));
        }
    }

    fn note_stamp(&self, stamp: Millis) {
        self.0.last_stamp.store(stamp, Ordering::Relaxed);
    }
}

impl fmt::Debug for ServiceClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceClock({:?})", self.read())
    }
}

/// The wall clock; 0 where it is before 1970.
fn system_wall() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// The monotonic clock. The one that counts while the machine sleeps, if there is one: what is due in an hour is due in an
/// hour of everybody else's.
fn system_monotonic() -> Millis {
    #[cfg(target_os = "linux")]
    let time = clock_gettime(ClockId::Boottime);
    #[cfg(not(target_os = "linux"))]
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.saturating_mul(1_000).saturating_add(time.tv_nsec / 1_000_000)
}

#[cfg(test)]
mod tests;
