//! The sections of the matrix. Each has servers and data of its own.

use std::time::Duration;

use super::{
    matrix::{Matrix, TEXT_BYTES},
    overload, rest,
};
use crate::{
    drive::Limit,
    error::Error,
    pace::Pace,
    resources::on_disk,
    row::Row,
    scenario::{Load, Scenario},
    seed::{self, Distinct},
    table::number,
    wire::Over,
    world::World,
};

/// Messages in the full cache.
const CACHED: u64 = 50_000;
/// Messages in the small storage that the large one is compared with.
const FEW: u64 = 1_000;
/// Messages that wait at a restart.
const WAITING: u64 = 1_000;
/// Messages that wait at once while the disk fills.
const ROUND: u64 = 50_000;
/// Text of a message in the real day: people write less than a benchmark.
const DAY_TEXT_BYTES: u32 = 200;

/// Messages a second under retention.
const STEADY: f64 = 2_000.0;

/// Runs every section that was asked for.
///
/// # Errors
/// Where one cannot be prepared.
pub(super) async fn all(matrix: &mut Matrix) -> Result<(), Error> {
    for name in ["rest", "posts", "work", "polls", "growth", "day", "overload", "live", "disk", "retention"] {
        if !name.contains(matrix.settings.only.as_str()) {
            continue;
        }
        match name {
            "rest" => rest::measure(matrix).await?,
            "posts" => posts(matrix).await?,
            "work" => work(matrix).await?,
            "polls" => polls(matrix).await?,
            "growth" => growth(matrix).await?,
            "day" => day(matrix).await?,
            "overload" => overload::measure(matrix).await?,
            "live" => live(matrix).await?,
            "disk" => disk(matrix).await?,
            _ => retention(matrix).await?,
        }
    }
    Ok(())
}

async fn posts(matrix: &mut Matrix) -> Result<(), Error> {
    let mut world = World::open(&matrix.settings.place, &[]).await?;
    let mut half = 0.0;
    for &clients in matrix.size.clients {
        let load = matrix.load(Scenario::Post, Over::Grpc, clients);
        let row = matrix.row(&mut world, &load, "", (clients == 64).then_some(0.5)).await?;
        match clients {
            1 => matrix.figures.post_p50_us = Some(row.latency.p50_us),
            64 => (matrix.figures.post_grpc_ratio, half) = (row.ratio, row.per_second / 2.0),
            _ => {}
        }
        let load = matrix.load(Scenario::Post, Over::Json, clients);
        let row = matrix.row(&mut world, &load, "", (clients == 64).then_some(0.4)).await?;
        if clients == 64 {
            matrix.figures.post_json_ratio = row.ratio;
        }
    }
    for clients in [64, 256] {
        let load = matrix.load(Scenario::PostItems, Over::Grpc, clients);
        matrix.row(&mut world, &load, "", None).await?;
    }
    let open = Load { pace: Pace::Rate(half), ..matrix.load(Scenario::Post, Over::Grpc, 64) };
    matrix.row(&mut world, &open, "half of what 64 clients get", None).await?;
    matrix.figures.fdatasync_p50_us = Some(matrix.ceilings.disk(1, TEXT_BYTES).await?.p50_us);
    world.close().await
}

async fn work(matrix: &mut Matrix) -> Result<(), Error> {
    let mut world = World::open(&matrix.settings.place, &[]).await?;
    let deliver = matrix.load(Scenario::Deliver, Over::Grpc, 1);
    let row = matrix.row(&mut world, &deliver, "idle", None).await?;
    matrix.figures.deliver_p50_us = Some(row.latency.p50_us);
    let backlog = matrix.size.backlog;
    for (scenario, over, clients, goal) in [
        (Scenario::ClaimComplete, Over::Grpc, 1, None),
        (Scenario::ClaimComplete, Over::Grpc, 64, None),
        (Scenario::ClaimComplete, Over::Json, 64, None),
        (Scenario::StreamComplete, Over::Grpc, 64, Some(0.35)),
        (Scenario::WorkItems, Over::Grpc, 64, None),
    ] {
        // One client is far from working off what is left of the rows before.
        seed::pending(&world, if clients == 1 { backlog / 4 } else { backlog }, TEXT_BYTES).await?;
        let load = matrix.load(scenario, over, clients);
        let row = matrix.row(&mut world, &load, "", goal).await?;
        if scenario == Scenario::StreamComplete {
            matrix.figures.stream_ratio = row.ratio;
        }
        drain(&mut world, matrix).await?;
    }
    world.close().await
}

/// Works off what waits, unmeasured.
async fn drain(world: &mut World, matrix: &Matrix) -> Result<(), Error> {
    let limit = Limit { operations: u64::MAX, time: Duration::from_secs(60) };
    let load = Load { limit, ..matrix.load(Scenario::ClaimComplete, Over::Grpc, 64) };
    crate::scenario::measure(world, &load).await.map(|_| ())
}

async fn polls(matrix: &mut Matrix) -> Result<(), Error> {
    let mut world = World::open(&matrix.settings.place, &[]).await?;
    seed::stored(&world, FEW, TEXT_BYTES).await?;
    let few = poll(matrix, &mut world, Scenario::PollNewest, Over::Json, 1, FEW).await?;
    seed::stored(&world, CACHED - FEW, TEXT_BYTES).await?;
    for &clients in matrix.size.clients {
        for scenario in [Scenario::Poll, Scenario::PollNewest] {
            let row = poll(matrix, &mut world, scenario, Over::Json, clients, CACHED).await?;
            match (scenario, clients) {
                (Scenario::Poll, 64) => matrix.figures.poll_ratio = row.ratio,
                (Scenario::PollNewest, 64) => matrix.figures.newest_ratio = row.ratio,
                _ => {}
            }
        }
    }
    for scenario in [Scenario::Poll, Scenario::PollNewest] {
        poll(matrix, &mut world, scenario, Over::Grpc, 64, CACHED).await?;
    }
    let stored = matrix.size.stored.max(CACHED);
    seed::stored(&world, stored - CACHED, TEXT_BYTES).await?;
    let many = poll(matrix, &mut world, Scenario::PollNewest, Over::Json, 1, stored).await?;
    matrix.figures.large_to_small_p50 = Some(many.latency.p50_us / few.latency.p50_us);
    if stored > CACHED {
        poll(matrix, &mut world, Scenario::Poll, Over::Json, 64, stored).await?;
    }
    large(matrix, &mut world, stored).await?;
    world.close().await
}

/// One row of polls, with the goal where it has one.
async fn poll(
    matrix: &mut Matrix,
    world: &mut World,
    scenario: Scenario,
    over: Over,
    clients: u32,
    stored: u64,
) -> Result<Row, Error> {
    let goal = match (scenario, over, clients) {
        (Scenario::Poll, Over::Json, 64) => Some(0.8),
        (Scenario::PollNewest, Over::Json, 64) => Some(0.6),
        _ => None,
    };
    let load = matrix.load(scenario, over, clients);
    matrix.row(world, &load, &format!("{} stored", number(stored as f64)), goal).await
}

/// Memory after a load, and restarts, over all that is stored.
async fn large(matrix: &mut Matrix, world: &mut World, stored: u64) -> Result<(), Error> {
    let given = format!("{} stored", number(stored as f64));
    let post = matrix.load(Scenario::Post, Over::Grpc, 64);
    let row = matrix.row(world, &post, &given, None).await?;
    matrix.figures.resident_mib = row.servers.get("queue-service").map(|usage| usage.resident_mib);
    seed::pending(world, WAITING, TEXT_BYTES).await?;
    let limit = Limit { operations: 5, time: Duration::from_secs(60) };
    let restart = Load { limit, ..matrix.load(Scenario::Restart, Over::Grpc, 1) };
    let row = matrix.row(world, &restart, &format!("{given}, 1,000 pending"), None).await?;
    // The slowest is the first: it reads what was written since the start before it.
    matrix.figures.restart_seconds = Some(row.latency.max_us / 1e6);
    Ok(())
}

/// Posts into ever longer conversations, and lists of ever more pending messages: both have to stay flat.
async fn growth(matrix: &mut Matrix) -> Result<(), Error> {
    let limit = Limit { operations: 1_000, time: matrix.size.time };
    for length in [10, 100, 1_000, 5_000] {
        let mut world = World::open(&matrix.settings.place, &[]).await?;
        seed::conversation(&world, length, TEXT_BYTES).await?;
        let load = Load { limit, ..matrix.load(Scenario::Ask, Over::Grpc, 1) };
        matrix
            .row(&mut world, &load, &format!("into a conversation of {}", number(length as f64)), None)
            .await?;
        world.close().await?;
    }
    let mut world = World::open(&matrix.settings.place, &[]).await?;
    for (more, waiting) in [(1_000, "1,000 wait"), (19_000, "20,000 wait")] {
        seed::pending(&world, more, TEXT_BYTES).await?;
        let load = matrix.load(Scenario::Pending, Over::Json, 1);
        matrix.row(&mut world, &load, waiting, None).await?;
    }
    world.close().await?;
    for what in [Distinct::Domain, Distinct::Author, Distinct::Entity, Distinct::Conversation] {
        names(matrix, what).await?;
    }
    Ok(())
}

/// Posts with a name that is new, after a few such names and after very many: memory and latency have to stay flat.
async fn names(matrix: &mut Matrix, what: Distinct) -> Result<(), Error> {
    let many = matrix.size.grown;
    let mut world = World::open(&matrix.settings.place, &[]).await?;
    let mut stored = 0;
    // The first of both is as many as fill the caches.
    for names in [CACHED.min(many / 4), many] {
        seed::distinct(&world, what, names - stored, DAY_TEXT_BYTES).await?;
        stored = names;
        let limit = Limit { operations: 1_000, time: matrix.size.time };
        let load = matrix.load(Scenario::Growth, Over::Grpc, 1);
        let load = Load { limit, text_bytes: DAY_TEXT_BYTES, distinct: what, ..load };
        let given = format!("{} {}", number(names as f64), words(what));
        matrix.row(&mut world, &load, &given, None).await?;
    }
    world.close().await
}

fn words(what: Distinct) -> &'static str {
    match what {
        Distinct::Domain => "domains",
        Distinct::Author => "authors",
        Distinct::Entity => "entities, worked off",
        Distinct::Conversation => "conversations, worked off",
    }
}

async fn day(matrix: &mut Matrix) -> Result<(), Error> {
    let mut world = World::open(&matrix.settings.place, &[]).await?;
    let limit = Limit { operations: u64::MAX, time: matrix.size.day };
    let load = Load {
        limit,
        pace: Pace::Plan([].into()),
        text_bytes: DAY_TEXT_BYTES,
        users: 1_000,
        ..matrix.load(Scenario::Mixed, Over::Json, 64)
    };
    matrix.row(&mut world, &load, "1,000 users, 360 × as fast", None).await?;
    world.close().await
}

/// Many who look: what a message takes to all of them, and what they take where nothing happens.
async fn live(matrix: &mut Matrix) -> Result<(), Error> {
    let mut world = World::open(&matrix.settings.place, &[]).await?;
    let limit = Limit { operations: u64::MAX, time: 2 * matrix.size.time };
    let open = |scenario: Scenario, load: Load| Load {
        limit,
        text_bytes: DAY_TEXT_BYTES,
        pace: scenario.rate().map_or(Pace::Closed, Pace::Rate),
        ..load
    };
    let sse = open(Scenario::Sse, matrix.load(Scenario::Sse, Over::Json, matrix.size.streams));
    let row = matrix.row(&mut world, &sse, "all of one domain", None).await?;
    matrix.figures.last_p99_ms = Some(row.latency.p99_us / 1_000.0);
    matrix.figures.idle_client_kib = row.idle_client_kib;
    let idle = open(Scenario::IdlePolls, matrix.load(Scenario::IdlePolls, Over::Json, 64));
    let row = matrix.row(&mut world, &idle, "100,000 a minute", None).await?;
    matrix.figures.idle_calls = row.queue_calls.map(|calls| calls as f64 / row.operations as f64);
    matrix.figures.idle_cores = row.servers.get("queue-service").map(|usage| usage.cores);
    world.close().await
}

/// Messages go through their whole life, and stay; what do they take on the disk?
async fn disk(matrix: &mut Matrix) -> Result<(), Error> {
    let mut world = World::open(&matrix.settings.place, &[]).await?;
    let Some(folder) = world.data_dir() else { return Ok(()) };
    let churned = matrix.size.churned;
    let mut left = churned;
    while left > 0 {
        let round = left.min(ROUND);
        seed::pending(&world, round, TEXT_BYTES).await?;
        let limit = Limit { operations: round, time: Duration::from_secs(600) };
        let load = Load { limit, ..matrix.load(Scenario::StreamComplete, Over::Grpc, 64) };
        left -= round;
        if left == 0 {
            let given = format!("{} worked off before", number((churned - round) as f64));
            matrix.row(&mut world, &load, &given, None).await?;
        } else {
            crate::scenario::measure(&mut world, &load).await?;
        }
    }
    let texts = churned as f64 * 2.0 * f64::from(TEXT_BYTES);
    matrix.figures.disk_ratio = Some(on_disk(&folder) as f64 / texts);
    world.close().await
}

/// Messages come steadily and are kept for a while; does what they take on the disk stop growing?
async fn retention(matrix: &mut Matrix) -> Result<(), Error> {
    let time = matrix.size.steady;
    let kept = format!("{}s", (time.as_secs() / 10).max(1));
    let settings = ["--retention", &kept, "--cache-messages", "1000"];
    let mut world = World::open(&matrix.settings.place, &settings).await?;
    let limit = Limit { operations: u64::MAX, time };
    let load = Load { limit, pace: Pace::Rate(STEADY), ..matrix.load(Scenario::Post, Over::Grpc, 64) };
    let row = matrix.row(&mut world, &load, &format!("kept for {kept}"), None).await?;
    matrix.figures.steady_growth = later_growth(&row.disk_mib);
    world.close().await
}

/// The most in the last half of the time, as a multiple of the most in the first half.
fn later_growth(disk_mib: &[f64]) -> Option<f64> {
    let (early, late) = disk_mib.split_at(disk_mib.len() / 2);
    let most = |half: &[f64]| half.iter().copied().reduce(f64::max);
    Some(most(late)? / most(early)?)
}

#[cfg(test)]
mod tests {
    use super::later_growth;

    #[test]
    fn growth_is_told_by_halves() {
        assert_eq!(later_growth(&[1.0, 4.0, 3.0, 5.0, 4.0]), Some(1.25));
        assert_eq!(later_growth(&[1.0]), None);
    }
}
