//! Posting.

use hyper::body::Bytes;
use repartee_proto::v1::PostMessageRequest;
use serde_json::json;

use super::Load;
use crate::{
    access::Who,
    drive::{Client, Outcome},
    error::Error,
    seed::{DOMAIN, ENTITY, platform_post, question, text},
    wire::{Answer, Bare, Grpc, Json, outcome},
    world::World,
};

/// Posts over gRPC.
pub(super) struct OverGrpc(Grpc, PostMessageRequest);

/// Posts over gRPC, by as little work as can be.
pub(super) struct Crowd(Bare);

/// Posts over JSON.
pub(super) struct OverJson(Json, Bytes);

pub(super) async fn over_grpc(world: &World, load: &Load, for_a_bot: bool) -> Result<Vec<OverGrpc>, Error> {
    let message = if for_a_bot { question } else { platform_post };
    let connections = world.grpc(Who::Visitor, load.clients as usize).await?.into_iter().enumerate();
    let clients = connections.map(|(number, queue)| {
        let message = Some(message(&format!("Human {number}"), load.text_bytes));
        OverGrpc(queue, PostMessageRequest { message, idempotency_key: None })
    });
    Ok(clients.collect())
}

pub(super) async fn over_json(world: &World, load: &Load, for_a_bot: bool) -> Result<Vec<OverJson>, Error> {
    let connections = world.json(Who::Visitor, load.clients as usize).await?.into_iter().enumerate();
    let clients = connections.map(|(number, connection)| {
        OverJson(connection, comment(&format!("Human {number}"), load.text_bytes, for_a_bot))
    });
    Ok(clients.collect())
}

pub(super) async fn by_a_crowd(world: &World, load: &Load) -> Result<Vec<Crowd>, Error> {
    let message = Some(platform_post("Human", load.text_bytes));
    let request = PostMessageRequest { message, idempotency_key: None };
    let clients =
        Bare::connect_all(world.queue_url(), "PostMessage", &request, load.clients as usize).await?;
    Ok(clients.into_iter().map(Crowd).collect())
}

/// A comment as a browser sends it.
pub(crate) fn comment(username: &str, text_bytes: u32, for_a_bot: bool) -> Bytes {
    let bot = for_a_bot.then(|| json!({"entity": ENTITY}));
    let comment = json!({
        "domain": DOMAIN, "text": text(text_bytes), "username": username, "color": "169080199",
        "message-type": "human", "botParams": bot,
    });
    comment.to_string().into()
}

impl Client for OverGrpc {
    async fn once(&mut self, _: u64) -> Outcome {
        outcome(self.0.post_message(self.1.clone()).await)
    }
}

impl Client for Crowd {
    async fn once(&mut self, _: u64) -> Outcome {
        self.0.call().await
    }
}

impl Client for OverJson {
    async fn once(&mut self, _: u64) -> Outcome {
        Answer::outcome(&self.0.post("/api/comments", self.1.clone()).await)
    }
}
