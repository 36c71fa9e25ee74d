//! Restarts: the queue-service is stopped, and started on the same data. The latency is the time until it serves.

use std::time::Instant;

use super::Load;
use crate::{
    drive::{Measured, Outcome},
    error::Error,
    world::World,
};

pub(super) async fn measure(world: &mut World, load: &Load) -> Result<Measured, Error> {
    let mut measured = Measured::new();
    let begun = Instant::now();
    for _ in 0..load.limit.operations {
        let took = world.restart_queue().await?;
        let now = Instant::now();
        measured.note(Outcome::DoneAt(now), now.checked_sub(took).unwrap_or(now));
        if begun.elapsed() > load.limit.time {
            break;
        }
    }
    measured.elapsed = begun.elapsed();
    Ok(measured)
}
