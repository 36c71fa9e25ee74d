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
/// Four times as many clients as there is room for, each of which tries again at once.
const AT_ONCE: u32 = 256;
/// How much more than 64 clients get is offered: the first is what is asked for, the others are tried where a machine does
/// not carry so much.
const TIMES: [f64; 4] = [4.0, 3.0, 2.0, 1.5];
/// The part of what is offered that has to be sent for a machine to carry it.
const CARRIED: f64 = 0.95;
/// Clients of the overload: more than wait for answers at any moment, so that none is late for want of a client.
const CROWD: u32 = 1_024;
/// Polls a second of each of the readers beside it.
const POLLS: u32 = 100;
/// The overload lasts so much longer than what is measured beside it: the readers are started when it begins.
const LEAD: Duration = Duration::from_secs(2);

/// First 64 clients, for which there is room, then four times as many at once; then four times of what the 64 get, sent when
/// it is due, while readers on both faces poll, and where that is more than the machine carries, less. The queue-service
/// has one core for itself, all others the rest: on the same cores, the crowd would take away what is to serve it.
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
    let closed = |matrix: &Matrix, clients| matrix.load(Scenario::Crowd, Over::Grpc, clients);
    let load = closed(matrix, 64);
    let usual = matrix.row(world, &load, "on one core, room for 64 commands", None).await?;
    let load = closed(matrix, AT_ONCE);
    let at_once = matrix.row(world, &load, "the same", None).await?;
    matrix.figures.refusal_p99_ms = at_once.refusal_latency.map(|refusals| refusals.p99_us / 1_000.0);
    for times in TIMES {
        let rate = times * usual.per_second;
        let crowd = open(matrix, world, rate, times).await?;
        matrix.figures.overload = Some(crowd.sent_per_second / usual.per_second);
        matrix.figures.overload_p99_ms = crowd.refusal_latency.map(|refusals| refusals.p99_us / 1_000.0);
        if crowd.sent_per_second >= CARRIED * rate {
            break;
        }
    }
    Ok(())
}

/// One open loop, with its readers.
async fn open(matrix: &mut Matrix, world: &mut World, rate: f64, times: f64) -> Result<Row, Error> {
    let limit = Limit { operations: u64::MAX, time: matrix.size.time + LEAD };
    let load = Load { pace: Pace::Rate(rate), limit, ..matrix.load(Scenario::Crowd, Over::Grpc, CROWD) };
    let readers = [Over::Grpc, Over::Json].map(|over| tokio::spawn(reader(world, over, matrix.size.time)));
    let crowd = row(world, &load).await?;
    let crowd = matrix.keep(crowd, &format!("the same, {times} × what 64 clients get"));
    for reader in readers {
        let row = reader.await.expect("a reader does not panic")?;
        matrix.keep(row, &format!("beside {times} × what 64 clients get"));
    }
    Ok(crowd)
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
