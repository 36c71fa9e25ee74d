//! From the start of a post until a worker's stream has the message. Each client is both: one who asks, and the bot that
//! is asked.

use repartee_proto::v1::{ListMessagesRequest, PostMessageRequest, StreamPendingResponse, Work};
use tonic::{Status, Streaming};

use super::{
    Load,
    claim::completion,
    work::{lease_stream, next_work},
};
use crate::{
    access::Who,
    drive::{Client, Outcome},
    error::Error,
    seed::question,
    wire::{Grpc, refusal},
    world::World,
};
use std::time::Instant;

/// One who asks, with the stream of the bot.
pub(super) struct Asker {
    people: Grpc,
    bot: Grpc,
    stream: Streaming<StreamPendingResponse>,
    post: PostMessageRequest,
}

pub(super) async fn clients(world: &World, load: &Load) -> Result<Vec<Asker>, Error> {
    if load.clients != 1 {
        return Err(Error::Setting("deliver measures an idle system: it takes one client".to_owned()));
    }
    // Connections of their own, as people and workers have.
    let mut people = world.grpc(Who::Visitor, 1).await?.remove(0);
    let mut bot = world.grpc(Who::Worker, 1).await?.remove(0);
    let stream = lease_stream(&mut bot, 0, 1).await?;
    let message = Some(question("Human", load.text_bytes));
    // The first call opens what a connection needs.
    people.list_messages(ListMessagesRequest { limit: 1, ..ListMessagesRequest::default() }).await?;
    Ok(vec![Asker { people, bot, stream, post: PostMessageRequest { message, idempotency_key: None } }])
}

impl Asker {
    /// Posts and waits for the stream at the same time: the worker may have the message before its author has the answer.
    async fn ask(&mut self) -> Result<(Option<Work>, Instant), Status> {
        let posting = self.people.post_message(self.post.clone());
        let receiving = async {
            let work = next_work(&mut self.stream).await;
            (work, Instant::now())
        };
        let (posted, (work, at)) = tokio::join!(posting, receiving);
        posted?;
        Ok((work?, at))
    }
}

impl Client for Asker {
    async fn once(&mut self, _: u64) -> Outcome {
        match self.ask().await {
            Ok((Some(work), at)) => {
                let completed = self.bot.complete_message(completion(work, "Here.".to_owned())).await;
                completed.map_or_else(|status| refusal(&status), |_| Outcome::DoneAt(at))
            }
            Ok((None, _)) => Outcome::Failed("the stream ended".to_owned()),
            Err(status) => refusal(&status),
        }
    }
}
