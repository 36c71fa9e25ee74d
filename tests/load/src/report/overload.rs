//! More than the service can take: how long refusals take, and whether others are still served.

use std::{process::Stdio, time::Duration};

use tokio::process::Command;

use super::{matrix::Matrix, row};
use crate::{
    cores::Cores,
    drive::Limit,
    error::Error,
    pace::Pace,
    row::Row,
    scenario::{Load, Scenario},
    wire::Over,
    world::World,
};

/// Room for commands: as many as there are clients in the row that the overload is counted by.
const CROWDED: [&str; 2] = ["--max-commands", "64"];
/// How much more than these clients get is sent.
pub(super) const TIMES: f64 = 4.0;
/// Clients of the overload: more than wait for answers at any moment, so that none is late for want of a client.
const CROWD: u32 = 1_024;
/// Polls a second of each of the readers beside it.
const POLLS: u32 = 100;
/// The overload lasts so much longer than what is measured beside it: the readers are started when it begins.
const LEAD: Duration = Duration::from_secs(2);

/// Sends four times of what 64 clients get, when it is due, while readers on both faces poll. The queue-service has one
/// core for itself, all others the rest: on the same cores, the crowd would take away what is to serve it.
///
/// # Errors
/// Where it cannot be prepared.
pub(super) async fn measure(matrix: &mut Matrix) -> Result<(), Error> {
    let cores = Cores::split()?;
    let mut world = World::open_on(&matrix.settings.place, &CROWDED, cores).await?;
    if let Some(cores) = cores {
        cores.leave_first()?;
    }
    let measured = flood(matrix, &mut world).await;
    if let Some(cores) = cores {
        cores.use_all()?;
    }
    world.close().await.and(measured)
}

async fn flood(matrix: &mut Matrix, world: &mut World) -> Result<(), Error> {
    let usual = matrix.load(Scenario::Crowd, Over::Grpc, 64);
    let usual = matrix.row(world, &usual, "on one core, room for 64 commands", None).await?;
    let limit = Limit { operations: u64::MAX, time: matrix.size.time + LEAD };
    let pace = Pace::Rate(TIMES * usual.per_second);
    let load = Load { pace, limit, ..matrix.load(Scenario::Crowd, Over::Grpc, CROWD) };
    let readers = [Over::Grpc, Over::Json].map(|over| tokio::spawn(reader(world, over, matrix.size.time)));
    let crowd = row(world, &load).await?;
    let crowd = matrix.keep(crowd, "the same, 4 × what 64 clients get");
    for reader in readers {
        let row = reader.await.expect("a reader does not panic")?;
        matrix.keep(row, "beside 4 × what 64 clients get");
    }
    matrix.figures.overload = Some(crowd.sent_per_second / usual.per_second);
    matrix.figures.refusal_p99_ms = crowd.refusal_latency.map(|refusals| refusals.p99_us / 1_000.0);
    Ok(())
}

/// Polls from a process of its own, which waits for nothing that the overload's clients wait for.
fn reader(world: &World, over: Over, time: Duration) -> impl Future<Output = Result<Row, Error>> + use<> {
    let (flags, rate) = (world.flags(), POLLS.to_string());
    let (face, seconds) = (over.name().to_lowercase(), time.as_secs_f64().to_string());
    async move {
        let own = std::env::current_exe().map_err(Error::io("finding this program"))?;
        let output = Command::new(own)
            .args(["run", "poll-newest", "--no-ceiling", "--json", "--clients", "1", "--over", &face])
            .args(["--rate", &rate, "--seconds", &seconds])
            .args(flags)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(Error::io("starting a reader"))?;
        serde_json::from_slice(&output.stdout).map_err(|error| Error::Reader(error.to_string()))
    }
}
