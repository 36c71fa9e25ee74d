//! The people and the workers: one step at a time, chosen by the seed.

use std::ops::Range;

use e2e::{Grpc, held, reply};
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};
use repartee_proto::v1::{
    BotAddress, DeleteMessageRequest, LeaseRef, MessageType, NewMessage, PostMessageRequest,
    PostMessagesRequest, UpdateMessageRequest,
};

use crate::{DOMAIN, LAST};

/// Everybody who does something.
pub(crate) struct Actor {
    rng: StdRng,
    pub(crate) queue: Grpc,
    /// How long texts are, in bytes.
    texts: Range<usize>,
    ids: Vec<String>,
    claims: Vec<LeaseRef>,
    failed: Vec<String>,
    count: u32,
}

impl Actor {
    pub(crate) fn new(rng: StdRng, queue: Grpc, texts: Range<usize>) -> Self {
        Self { rng, queue, texts, ids: Vec::new(), claims: Vec::new(), failed: Vec::new(), count: 0 }
    }

    /// Does something. What the rules refuse is no change, and so of no interest.
    pub(crate) async fn step(&mut self) {
        match self.rng.random_range(0..20) {
            0..=5 => self.post().await,
            6 => self.post_many().await,
            7..=9 => self.claim().await,
            10..=12 => self.complete().await,
            13 => self.fail().await,
            14 => self.release().await,
            15 => self.retry().await,
            16 => self.cancel().await,
            17 | 18 => self.edit().await,
            _ => self.delete().await,
        }
    }

    /// The message that ends it all.
    pub(crate) async fn post_last(&mut self) {
        let message = NewMessage { eq_score: LAST, ..self.message(DOMAIN, None) };
        self.queue.post(message).await.expect("the last message is stored");
    }

    fn message(&mut self, domain: &str, entity: Option<&str>) -> NewMessage {
        self.count += 1;
        NewMessage {
            domain: domain.to_owned(),
            text: format!("Number {}. {}", self.count, "x".repeat(self.rng.random_range(self.texts.clone()))),
            username: format!("Human {}", self.count),
            color: "001001001".to_owned(),
            message_type: MessageType::Human.into(),
            bot: entity.map(|entity| BotAddress { entity: entity.to_owned(), ..BotAddress::default() }),
            ..NewMessage::default()
        }
    }

    /// Most are of the domain that is followed, and most of those are for a bot.
    fn any_message(&mut self) -> NewMessage {
        let domain = if self.rng.random_bool(0.8) { DOMAIN } else { "elsewhere.example" };
        let entity = self.rng.random_bool(0.7).then_some("echo");
        self.message(domain, entity)
    }

    async fn post(&mut self) {
        let message = self.any_message();
        if let Ok(posted) = self.queue.post(message).await {
            self.ids.push(posted.id);
        }
    }

    /// Several in one commit, with one timestamp.
    pub(crate) async fn post_many(&mut self) {
        let count = self.rng.random_range(2..12);
        let item = |message| PostMessageRequest { message: Some(message), idempotency_key: None };
        let items = (0..count).map(|_| item(self.any_message())).collect();
        let _ = self.queue.raw().post_messages(PostMessagesRequest { items }).await;
    }

    async fn claim(&mut self) {
        if let Ok(Some(work)) = self.queue.claim_next("worker 1", &["echo"], 0).await {
            self.claims.push(held(&work));
        }
    }

    fn held(&mut self) -> Option<LeaseRef> {
        let count = self.claims.len();
        (count > 0).then(|| self.claims.swap_remove(self.rng.random_range(0..count)))
    }

    async fn complete(&mut self) {
        if let Some(lease) = self.held() {
            let said = self.rng.random_bool(0.8).then(|| reply("Because.")).flatten();
            let _ = self.queue.complete(lease, said).await;
        }
    }

    async fn fail(&mut self) {
        if let Some(lease) = self.held() {
            let id = lease.message_id.clone();
            if self.rng.random_bool(0.5) {
                let _ = self.queue.give_up(lease, "No idea.").await;
                self.failed.push(id);
            } else {
                let _ = self.queue.fail(lease, "Not now.", Some(3_600)).await;
            }
        }
    }

    async fn release(&mut self) {
        if let Some(lease) = self.held() {
            let _ = self.queue.release(lease).await;
        }
    }

    async fn retry(&mut self) {
        if let Some(id) = self.failed.pop() {
            let _ = self.queue.retry(&id).await;
        }
    }

    async fn cancel(&mut self) {
        if let Some(id) = self.ids.choose(&mut self.rng) {
            let _ = self.queue.cancel(id).await;
        }
    }

    async fn edit(&mut self) {
        let (score, text) = (self.rng.random_range(0..100), self.rng.random_bool(0.7));
        if let Some(id) = self.ids.choose(&mut self.rng) {
            let request = UpdateMessageRequest {
                message_id: id.clone(),
                eq_score: Some(score),
                text: text.then(|| format!("Edited, {score}.")),
                ..UpdateMessageRequest::default()
            };
            let _ = self.queue.raw().update_message(request).await;
        }
    }

    async fn delete(&mut self) {
        if let Some(id) = self.ids.choose(&mut self.rng) {
            let _ = self
                .queue
                .raw()
                .delete_message(DeleteMessageRequest { message_id: id.clone(), ..Default::default() })
                .await;
        }
    }
}
