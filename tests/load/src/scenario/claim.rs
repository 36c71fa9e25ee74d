//! Claiming the next message and completing it with a reply: two calls, two commits.

use repartee_proto::v1::{ClaimNextRequest, CompleteMessageRequest, LeaseRef, Reply, Work};
use serde_json::json;

use super::Load;
use crate::{
    access::Who,
    drive::{Client, Outcome},
    error::Error,
    seed::{ENTITY, text},
    wire::{Answer, Grpc, Json, outcome, refusal},
    world::World,
};

/// A worker over gRPC.
pub(super) struct OverGrpc {
    queue: Grpc,
    claim: ClaimNextRequest,
    reply: String,
}

/// A worker over JSON.
pub(super) struct OverJson {
    connection: Json,
    claim: String,
    reply: String,
}

pub(super) async fn over_grpc(world: &World, load: &Load) -> Result<Vec<OverGrpc>, Error> {
    let worker = |(number, queue)| OverGrpc {
        queue,
        claim: ClaimNextRequest {
            worker_id: format!("worker {number}"),
            entities: vec![ENTITY.to_owned()],
            ..ClaimNextRequest::default()
        },
        reply: text(load.text_bytes),
    };
    Ok(world.grpc(Who::Worker, load.clients as usize).await?.into_iter().enumerate().map(worker).collect())
}

pub(super) async fn over_json(world: &World, load: &Load) -> Result<Vec<OverJson>, Error> {
    let worker = |(number, connection)| OverJson {
        connection,
        claim: json!({"workerId": format!("worker {number}"), "entities": [ENTITY]}).to_string(),
        reply: text(load.text_bytes),
    };
    let connections = world.json(Who::Worker, load.clients as usize).await?;
    Ok(connections.into_iter().enumerate().map(worker).collect())
}

/// The completion of `work` with a reply.
pub(super) fn completion(work: Work, reply: String) -> CompleteMessageRequest {
    let message_id = work.message.map(|message| message.id).unwrap_or_default();
    let lease_token = work.lease.map(|lease| lease.token).unwrap_or_default();
    CompleteMessageRequest {
        lease: Some(LeaseRef { message_id, lease_token, worker_id: String::new() }),
        reply: Some(Reply { text: reply, eq_score: 0 }),
    }
}

impl Client for OverGrpc {
    async fn once(&mut self, _: u64) -> Outcome {
        let work = match self.queue.claim_next(self.claim.clone()).await {
            Ok(answer) => answer.into_inner().work,
            Err(status) => return refusal(&status),
        };
        let Some(work) = work else { return Outcome::Drained };
        outcome(self.queue.complete_message(completion(work, self.reply.clone())).await)
    }
}

impl Client for OverJson {
    async fn once(&mut self, _: u64) -> Outcome {
        let claimed = self.connection.post("/api/queue/claim-next", self.claim.clone()).await;
        let claimed = match claimed {
            Ok(answer) if answer.status == http::StatusCode::NO_CONTENT => return Outcome::Drained,
            Ok(answer) if answer.status.is_success() => answer.json(),
            other => return Answer::outcome(&other),
        };
        let completion = json!({
            "messageId": claimed["message"]["id"], "leaseToken": claimed["lease"]["token"],
            "reply": {"text": self.reply},
        });
        Answer::outcome(&self.connection.post("/api/queue/complete", completion.to_string()).await)
    }
}
