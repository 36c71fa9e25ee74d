//! Files that are followed while the process runs: read again every second.
//!
//! They are read whole and by their path. So a file that a rename replaces is noticed like one that is written in place,
//! and so is one behind a symbolic link that is turned to another folder, as Kubernetes does with a Secret.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Interval, MissedTickBehavior, interval};

/// Between two looks.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks at something, one after the other. Must be made within a runtime.
pub struct Looks<F> {
    every: Interval,
    read: Arc<F>,
}

impl<T, F> Looks<F>
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    /// Looks by `read`, which may block.
    pub fn by(read: F) -> Self {
        let mut every = interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { every, read: Arc::new(read) }
    }

    /// What the next look shows: the first at once, others a second after the one before.
    pub async fn next(&mut self) -> T {
        loop {
            self.every.tick().await;
            let read = Arc::clone(&self.read);
            // A look that panicked has said so, and the next one may go well.
            if let Ok(seen) = tokio::task::spawn_blocking(move || read()).await {
                return seen;
            }
        }
    }
}

impl<F> fmt::Debug for Looks<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Looks").finish_non_exhaustive()
    }
}
