//! The parts of this process that measure themselves, for what looks at all of them and is asked by nobody.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::timeout;

use super::{Measure, measured_text};

/// What a part may take to measure itself when it ends.
const LAST_LOOK: Duration = Duration::from_secs(1);

static PARTS: Mutex<Vec<(u64, Measure)>> = Mutex::new(Vec::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A part is measured as long as this is there.
#[derive(Debug)]
#[must_use]
pub struct MeasuredPart(u64);

/// From now on a part is measured whenever metrics are sent somewhere. What is scraped through another part belongs to that one.
pub fn measure_part(measure: Measure) -> MeasuredPart {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    PARTS.lock().push((number, measure));
    MeasuredPart(number)
}

impl MeasuredPart {
    /// The part measures once more, so that what is sent behind its end has its last counts; for a second at the most.
    pub async fn end(self) {
        let part =
            PARTS.lock().iter().find(|(number, _)| *number == self.0).map(|(_, part)| Arc::clone(part));
        if let Some(measure) = part {
            // What has rows that come and go has none any more.
            let _ = timeout(LAST_LOOK, measure()).await;
        }
    }
}

impl Drop for MeasuredPart {
    fn drop(&mut self) {
        // What it holds may drop others: not under the lock.
        let mut parts = PARTS.lock();
        let gone = parts.iter().position(|(number, _)| *number == self.0).map(|at| parts.swap_remove(at));
        drop(parts);
        drop(gone);
    }
}

/// All that is counted, once all parts have measured.
pub(crate) async fn measured() -> String {
    let parts: Vec<_> = PARTS.lock().iter().map(|(_, measure)| Arc::clone(measure)).collect();
    measured_text(&parts).await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{measure_part, measured};

    #[tokio::test]
    async fn a_part_is_measured_as_long_as_it_is_there() {
        let part = measure_part(Arc::new(|| Box::pin(async { "test_part 1\n".to_owned() })));
        assert!(measured().await.contains("test_part 1"));
        drop(part);
        assert!(!measured().await.contains("test_part"));
    }
}
