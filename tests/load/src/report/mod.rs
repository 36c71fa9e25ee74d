//! Rows, checks, and the files they are written to.

mod check;
mod matrix;
mod overload;
mod rest;
mod sections;

pub(crate) use matrix::matrix;

use std::time::Duration;

use crate::{
    ceiling::Ceilings,
    drive::Limit,
    error::Error,
    pace::Pace,
    resources::DiskWatch,
    row::{Meters, Row},
    scenario::{Load, Scenario, measure},
    seed,
    settings::Run,
    table,
    wire::stats,
    world::World,
};

/// How long each ceiling of a single scenario is measured.
const CEILING: Duration = Duration::from_secs(1);
/// How long a server is kept busy before it is measured, where more of the same does no harm.
const WARM_UP: Duration = Duration::from_millis(300);

/// Runs one scenario and prints its row.
///
/// # Errors
/// Where it cannot be prepared.
#[expect(clippy::print_stdout, reason = "the row is what the command is for")]
pub(crate) async fn one(settings: Run) -> Result<(), Error> {
    let queue_settings: Vec<&str> = settings.queue_setting.iter().map(String::as_str).collect();
    let mut world = World::open(&settings.place, &queue_settings).await?;
    seed::stored(&world, settings.stored, settings.text_bytes).await?;
    seed::pending(&world, settings.pending, settings.text_bytes).await?;
    seed::distinct(&world, settings.distinct, settings.grown, settings.text_bytes).await?;
    let load = Load {
        scenario: settings.scenario,
        over: settings.over,
        clients: settings.clients,
        pace: settings.rate.or(settings.scenario.rate()).map_or(Pace::Closed, Pace::Rate),
        limit: Limit { operations: settings.operations, time: Duration::from_secs_f64(settings.seconds) },
        text_bytes: settings.text_bytes,
        users: settings.users,
        distinct: settings.distinct,
    };
    let ceiling = if settings.no_ceiling {
        None
    } else {
        let ceilings = Ceilings::open(&settings.place, CEILING).await?;
        let ceiling = ceilings.of(&world, &load).await?;
        ceilings.close().await?;
        ceiling
    };
    let row = row(&mut world, &load).await?.under(ceiling);
    world.close().await?;
    if settings.json {
        println!("{}", serde_json::to_string_pretty(&row).expect("a row is plain values"));
    } else {
        print!("{}", table::results(&[row]));
    }
    Ok(())
}

/// Lets a load run, and reads the meters around it.
///
/// # Errors
/// Where it cannot be prepared.
async fn row(world: &mut World, load: &Load) -> Result<Row, Error> {
    if matches!(
        load.scenario,
        Scenario::Post | Scenario::Crowd | Scenario::Poll | Scenario::PollNewest | Scenario::Pending
    ) {
        let limit = Limit { operations: load.limit.operations / 10, time: WARM_UP.min(load.limit.time) };
        measure(world, &Load { limit, pace: Pace::Closed, ..load.clone() }).await?;
    }
    let before = meters(world).await?;
    let disk = world.data_dir().map(DiskWatch::start);
    let measured = measure(world, load).await?;
    let disk_mib = disk.map(DiskWatch::end).unwrap_or_default();
    let after = meters(world).await?;
    Ok(Row { disk_mib, ..Row::new(load, &measured, &before, &after) })
}

async fn meters(world: &World) -> Result<Meters, Error> {
    let mut storage = stats(&mut world.operator().await?).await?;
    // Our own looking is no part of a load.
    storage.remove("GetStats");
    Ok(Meters { servers: world.taken(), storage })
}
