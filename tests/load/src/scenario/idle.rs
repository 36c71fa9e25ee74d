//! Many who look and find nothing new: polls by time stamp and by cursor in turn.

use super::{Load, poll::up_to_date_path};
use crate::{
    access::Who,
    cost::NOT_ASKED_FOR,
    drive::{Client, Measured, Outcome, drive},
    error::Error,
    row::StorageCalls,
    seed::DOMAIN,
    wire::{Answer, Json, stats},
    world::World,
};

/// One who looks.
pub(super) struct Idle {
    connection: Json,
    paths: [String; 2],
}

pub(super) async fn measure(world: &World, load: &Load) -> Result<Measured, Error> {
    let mut clients = clients(world, load).await?;
    // What the gateway does not hold yet it asks for once, however many look.
    if let Some(first) = clients.first_mut() {
        first.once(0).await;
        first.once(1).await;
    }
    let mut queue = world.operator().await?;
    let before = stats(&mut queue).await?;
    let mut measured = drive(clients, load.pace.clone(), load.limit).await.0;
    let after = stats(&mut queue).await?;
    // Our own looking is no part of it, nor what the services do by the clock.
    let calls = |of: &StorageCalls| {
        of.iter()
            .filter(|(name, _)| !NOT_ASKED_FOR.contains(&name.as_str()))
            .map(|(_, cost)| cost[0])
            .sum::<u64>()
    };
    measured.queue_calls = Some(calls(&after).saturating_sub(calls(&before)));
    Ok(measured)
}

async fn clients(world: &World, load: &Load) -> Result<Vec<Idle>, Error> {
    let mut connections = world.json(Who::Visitor, load.clients as usize).await?;
    let first = connections.first_mut().expect("there is at least one client");
    let newest = first.get(&format!("/api/comments/changes?domain={DOMAIN}&limit=1")).await;
    let newest = newest.map_err(|error| Error::Http(error.to_string()))?.json();
    let cursor = newest["next"].as_str().ok_or_else(|| Error::Http(newest.to_string()))?;
    let by_cursor = format!("/api/comments/changes?domain={DOMAIN}&cursor={cursor}");
    let paths = [up_to_date_path(world).await?, by_cursor];
    Ok(connections.into_iter().map(|connection| Idle { connection, paths: paths.clone() }).collect())
}

impl Client for Idle {
    async fn once(&mut self, number: u64) -> Outcome {
        Answer::outcome(&self.connection.get(&self.paths[usize::from(number % 2 == 1)]).await)
    }
}
