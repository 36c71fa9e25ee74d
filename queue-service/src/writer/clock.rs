//! The writer's clock, a value so that tests can turn it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::Millis;

/// Tells the time.
pub trait Clock: Send + 'static {
    /// Unix time in milliseconds.
    fn now(&self) -> Millis;

    /// Returns once the clock shows `time` or later.
    fn wait_until(&self, time: Millis);
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }

    #[expect(clippy::disallowed_methods, reason = "what is waited for is the clock itself")]
    fn wait_until(&self, time: Millis) {
        while let Ok(wait @ 1..) = u64::try_from(time.saturating_sub(self.now())) {
            std::thread::sleep(Duration::from_millis(wait));
        }
    }
}
