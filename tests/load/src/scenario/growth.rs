//! Posts of which each names something that nobody has named before.

use repartee_proto::v1::PostMessageRequest;

use super::Load;
use crate::{
    access::Who,
    drive::{Client, Outcome},
    error::Error,
    seed::Distinct,
    wire::{Grpc, outcome},
    world::World,
};

/// Posts over gRPC.
pub(super) struct OverGrpc {
    queue: Grpc,
    distinct: Distinct,
    text_bytes: u32,
    /// In front of each name, so that it is nobody else's.
    unique: String,
}

pub(super) async fn over_grpc(world: &World, load: &Load) -> Result<Vec<OverGrpc>, Error> {
    let client = |queue| OverGrpc {
        queue,
        distinct: load.distinct,
        text_bytes: load.text_bytes,
        unique: uuid::Uuid::new_v4().simple().to_string(),
    };
    Ok(world.grpc(Who::Visitor, load.clients as usize).await?.into_iter().map(client).collect())
}

impl Client for OverGrpc {
    async fn once(&mut self, number: u64) -> Outcome {
        let message = Some(self.distinct.message(&format!("{} {number}", self.unique), self.text_bytes));
        outcome(self.queue.post_message(PostMessageRequest { message, idempotency_key: None }).await)
    }
}
