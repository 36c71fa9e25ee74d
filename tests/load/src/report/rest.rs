//! What the servers take while nobody asks for anything.

use std::time::Duration;

use super::matrix::Matrix;
use crate::{error::Error, resources::Taken, world::World};

/// How long after the start what it took has been given back.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// What one server takes at rest.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(super) struct Rest {
    /// Percentage of one core.
    core_percent: f64,
    /// Resident at the end, in MiB.
    resident_mib: f64,
}

impl Rest {
    /// The percentage of one core, if it was measured.
    pub(super) fn core_percent(rest: Option<&Self>) -> Option<f64> {
        rest.map(|rest| rest.core_percent)
    }

    /// What is resident in MiB, if it was measured.
    pub(super) fn resident_mib(rest: Option<&Self>) -> Option<f64> {
        rest.map(|rest| rest.resident_mib)
    }

    fn between(before: Taken, after: Taken, time: Duration) -> Self {
        let cores = (after.cpu_seconds - before.cpu_seconds) / time.as_secs_f64();
        Self { core_percent: 100.0 * cores, resident_mib: after.resident as f64 / f64::from(1 << 20) }
    }
}

/// Watches a new queue-service and its gateway.
///
/// # Errors
/// If they cannot be started.
pub(super) async fn measure(matrix: &mut Matrix) -> Result<(), Error> {
    let world = World::open(&matrix.settings.place, &[]).await?;
    tokio::time::sleep(SETTLES_WITHIN).await;
    let before = world.taken();
    tokio::time::sleep(matrix.size.rest).await;
    for (name, after) in world.taken() {
        let rest = Rest::between(before.get(&name).copied().unwrap_or_default(), after, matrix.size.rest);
        matrix.figures.rest.insert(name, rest);
    }
    world.close().await
}

#[cfg(test)]
mod tests {
    use super::{Duration, Rest, Taken};

    #[test]
    fn a_tick_in_a_minute_is_a_sixtieth_of_a_percent() {
        let before = Taken { cpu_seconds: 1.0, resident: 0, peak: 0 };
        let after = Taken { cpu_seconds: 1.01, resident: 30 << 20, peak: 0 };
        let rest = Rest::between(before, after, Duration::from_secs(60));
        assert!((rest.core_percent - 1.0 / 60.0).abs() < 1e-9);
        assert!((rest.resident_mib - 30.0).abs() < 1e-9);
    }
}
