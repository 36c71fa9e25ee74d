//! Clients that post: one message or many, with and without idempotency keys.

use rand::RngExt;
use repartee_proto::v1::{BotAddress, MessageType, NewMessage};

use super::{Cast, Client, DOMAINS, ENTITIES};
use crate::{
    face::Face,
    request::{Pair, Post, Request},
};

/// People that one poster speaks for: few enough that conversations grow.
const PEOPLE: u32 = 12;
/// With so many messages open, only platform posts are made.
const ENOUGH_OPEN: usize = 250;
/// Most messages of one batch.
const BATCH: usize = 12;

/// A poster.
pub(super) struct Poster {
    client: Client,
    cast: Cast,
    /// What was posted under a key, to be posted again.
    keyed: Vec<Post>,
}

impl Poster {
    pub(super) fn new(cast: &Cast, client: Client) -> Self {
        Self { client, cast: cast.clone(), keyed: Vec::new() }
    }

    /// Posts until enough was asked.
    pub(super) async fn run(mut self) {
        while !self.cast.enough.is_cancelled() {
            match self.client.random.random_range(0..12) {
                0 => self.repeat_an_old_one().await,
                1..3 if matches!(self.client.face, Face::Grpc(_)) => self.post_a_batch().await,
                _ => self.post_one().await,
            }
        }
    }

    /// A post with a key is repeated until it is acknowledged, and sometimes once more; one without is left in doubt.
    async fn post_one(&mut self) {
        let has_key = self.client.random.random_bool(0.5);
        let post = self.some_post(has_key);
        let request = Request::Post(vec![post.clone()]);
        if !has_key {
            self.client.call(request).await;
            return;
        }
        self.client.insist(request.clone()).await;
        if self.client.random.random_ratio(1, 5) {
            self.client.call(request).await;
        }
        self.keyed.push(post);
    }

    async fn post_a_batch(&mut self) {
        let (count, have_keys) =
            (self.client.random.random_range(2..=BATCH), self.client.random.random_bool(0.5));
        let fresh: Vec<Post> = (0..count).map(|_| self.some_post(have_keys)).collect();
        let mut items = fresh.clone();
        if let (true, Some(old)) = (self.client.random.random_bool(0.3), self.old_one()) {
            items.insert(self.client.random.random_range(0..=items.len()), old);
        }
        if have_keys {
            self.client.insist(Request::Post(items)).await;
            self.keyed.extend(fresh);
        } else {
            self.client.call(Request::Post(items)).await;
        }
    }

    async fn repeat_an_old_one(&mut self) {
        if let Some(old) = self.old_one() {
            self.client.call(Request::Post(vec![old])).await;
        }
    }

    fn old_one(&mut self) -> Option<Post> {
        let Self { client, keyed, .. } = self;
        (!keyed.is_empty()).then(|| keyed[client.random.random_range(0..keyed.len())].clone())
    }

    /// A question, a platform post, or a bot's word to something that was said.
    fn some_post(&mut self, has_key: bool) -> Post {
        let is_question = self.client.random.random_bool(0.6) && *self.cast.open.borrow() < ENOUGH_OPEN;
        let (mark, random) = (self.client.recorder.mark(), &mut self.client.random);
        let mut message = NewMessage {
            domain: DOMAINS[random.random_range(0..DOMAINS.len())].to_owned(),
            text: format!("Post {mark}. {}", "…".repeat(random.random_range(0..150))),
            username: person(&self.client.name, random.random_range(0..PEOPLE)),
            color: "169080199".to_owned(),
            message_type: MessageType::Human.into(),
            eq_score: mark,
            ..NewMessage::default()
        };
        if random.random_ratio(1, 8) {
            message.reply_to = self.client.recorder.any_known(random).map(|known| known.id);
        }
        if is_question {
            message.bot = Some(BotAddress {
                entity: ENTITIES[random.random_range(0..ENTITIES.len())].to_owned(),
                priority: random.random_bool(0.3).then(|| random.random_range(0..100)),
                ..BotAddress::default()
            });
        } else if message.reply_to.is_some() && random.random_bool(0.5) {
            message.message_type = MessageType::Ai.into();
        }
        let key = has_key.then(|| format!("key-{mark}"));
        Post { message, key }
    }
}

/// The conversations that a poster may have begun.
pub(super) fn conversations(poster: &str) -> Vec<Pair> {
    let of_person = |number| {
        ENTITIES.map(|entity| Pair {
            human: (person(poster, number), "169080199".to_owned()),
            ai: (entity.to_owned(), "default".to_owned()),
        })
    };
    (0..PEOPLE).flat_map(of_person).collect()
}

fn person(poster: &str, number: u32) -> String {
    format!("{poster}.{number}")
}
