//! Polling.

use repartee_proto::v1::{ListMessagesRequest, ListPendingRequest, list_messages_request::Position};

use super::{Load, Scenario};
use crate::{
    access::Who,
    drive::{Client, Outcome},
    error::Error,
    seed::DOMAIN,
    wire::{Answer, Grpc, Json, outcome},
    world::World,
};

/// How many messages the poll of the newest asks for.
const NEWEST: u32 = 10;

/// Polls over gRPC.
pub(super) enum OverGrpc {
    /// The feed.
    Feed(Grpc, ListMessagesRequest),
    /// The queue.
    Pending(Grpc, ListPendingRequest),
}

/// Polls over JSON.
pub(super) struct OverJson(Json, String);

pub(super) async fn over_grpc(world: &World, load: &Load) -> Result<Vec<OverGrpc>, Error> {
    let request = match load.scenario {
        Scenario::Poll => {
            let position = Some(Position::After(newest_timestamp(world).await?));
            ListMessagesRequest { domain: DOMAIN.to_owned(), limit: 0, position }
        }
        _ => ListMessagesRequest { domain: DOMAIN.to_owned(), limit: NEWEST, position: None },
    };
    let client = |queue| match load.scenario {
        Scenario::Pending => OverGrpc::Pending(queue, ListPendingRequest::default()),
        _ => OverGrpc::Feed(queue, request.clone()),
    };
    Ok(world.grpc(who(load), load.clients as usize).await?.into_iter().map(client).collect())
}

pub(super) async fn over_json(world: &World, load: &Load) -> Result<Vec<OverJson>, Error> {
    let path = match load.scenario {
        Scenario::Poll => up_to_date_path(world).await?,
        Scenario::Pending => "/api/queue/pending".to_owned(),
        _ => newest_path(),
    };
    let connections = world.json(who(load), load.clients as usize).await?;
    Ok(connections.into_iter().map(|connection| OverJson(connection, path.clone())).collect())
}

/// Who polls this.
fn who(load: &Load) -> Who {
    if load.scenario == Scenario::Pending { Who::Worker } else { Who::Visitor }
}

/// Path of the poll of a browser that has seen everything.
///
/// # Errors
/// Where the queue-service refuses to tell the newest timestamp.
pub(crate) async fn up_to_date_path(world: &World) -> Result<String, Error> {
    Ok(format!("/api/comments?domain={DOMAIN}&after={}", newest_timestamp(world).await?))
}

/// Path of the poll of the newest messages.
pub(crate) fn newest_path() -> String {
    format!("/api/comments?domain={DOMAIN}&limit={NEWEST}")
}

async fn newest_timestamp(world: &World) -> Result<i64, Error> {
    let request = ListMessagesRequest { domain: DOMAIN.to_owned(), limit: 1, position: None };
    let page = world.operator().await?.list_messages(request).await?.into_inner();
    Ok(page.messages.last().map_or(1, |message| message.timestamp))
}

impl Client for OverGrpc {
    async fn once(&mut self, _: u64) -> Outcome {
        match self {
            Self::Feed(queue, request) => outcome(queue.list_messages(request.clone()).await),
            Self::Pending(queue, request) => outcome(queue.list_pending(request.clone()).await),
        }
    }
}

impl Client for OverJson {
    async fn once(&mut self, _: u64) -> Outcome {
        Answer::outcome(&self.0.get(&self.1).await)
    }
}
