//! Messages that are there before a measurement, posted in batches.

use repartee_proto::v1::{
    BotAddress, ClaimNextRequest, CompleteMessageRequest, LeaseRef, MessageType, NewMessage,
    PostMessageRequest, PostMessagesRequest, post_outcome::Outcome as Posted,
};
use tokio::task::JoinSet;

use crate::{access::Who, error::Error, wire::Grpc, world::World};

/// The domain of all messages of the generator.
pub(crate) const DOMAIN: &str = "load.example";
/// The bot that they are addressed to.
pub(crate) const ENTITY: &str = "load";
/// Posts in one batch: as many as the service takes.
const BATCH: u64 = 256;
/// Messages that have a timestamp of their own, so that the newest page is as long as asked for.
const NEWEST: u64 = 50;
/// Messages that wait at the same time while many are stored and worked off.
const ROUND: u64 = 10_000;
/// Those who work them off.
const WORKERS: usize = 64;
/// Batches that are on their way at the same time.
const AT_ONCE: u64 = 4;

/// Stores `count` messages that no bot has to answer. The newest of them are stored one by one: the messages of one
/// commit share a timestamp, and a page never ends inside one.
///
/// # Errors
/// Where one is refused.
pub(crate) async fn stored(world: &World, count: u64, text_bytes: u32) -> Result<(), Error> {
    let single = count.min(NEWEST);
    let message = move |number| platform_post(&format!("Human {}", number % 1_000), text_bytes);
    many(world, count - single, message).await?;
    let mut queue = world.operator().await?;
    for number in 0..single {
        let message = Some(message(number));
        queue.post_message(PostMessageRequest { message, idempotency_key: None }).await?;
    }
    Ok(())
}

/// Stores `count` messages for the bot, each in a conversation of its own.
///
/// # Errors
/// Where one is refused: more may not wait than the service allows.
pub(crate) async fn pending(world: &World, count: u64, text_bytes: u32) -> Result<(), Error> {
    let unique = uuid::Uuid::new_v4().simple().to_string();
    many(world, count, move |number| question(&format!("{unique} {number}"), text_bytes)).await
}

/// Stores `count` questions of one person to the bot: one conversation, that of the first client of a load.
///
/// # Errors
/// Where one is refused.
pub(crate) async fn conversation(world: &World, count: u64, text_bytes: u32) -> Result<(), Error> {
    many(world, count, move |_| question("Human 0", text_bytes)).await
}

/// What is different in each of many messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Distinct {
    /// The domain.
    #[default]
    Domain,
    /// The author.
    Author,
    /// The entity that is asked, and with it the conversation.
    Entity,
    /// The conversation with one entity.
    Conversation,
}

impl Distinct {
    /// The message with this name at that place.
    pub(crate) fn message(self, name: &str, text_bytes: u32) -> NewMessage {
        match self {
            Self::Domain => {
                NewMessage { domain: format!("{name}.example"), ..platform_post("Human", text_bytes) }
            }
            Self::Author => platform_post(name, text_bytes),
            Self::Entity => {
                let bot = BotAddress { entity: name.to_owned(), ..BotAddress::default() };
                NewMessage { bot: Some(bot), ..platform_post("Human", text_bytes) }
            }
            Self::Conversation => question(name, text_bytes),
        }
    }

    fn asks_a_bot(self) -> bool {
        matches!(self, Self::Entity | Self::Conversation)
    }
}

/// Stores `count` messages of which each is different there. Those for a bot are worked off, so that only what is
/// remembered of them is left.
///
/// # Errors
/// Where one is refused.
pub(crate) async fn distinct(
    world: &World,
    what: Distinct,
    count: u64,
    text_bytes: u32,
) -> Result<(), Error> {
    let unique = uuid::Uuid::new_v4().simple().to_string();
    for first in (0..count).step_by(ROUND as usize) {
        let unique = unique.clone();
        let message = move |number| what.message(&format!("{unique} {}", first + number), text_bytes);
        many(world, ROUND.min(count - first), message).await?;
        if what.asks_a_bot() {
            work_off(world).await?;
        }
    }
    Ok(())
}

/// Completes all that waits, whoever is asked.
async fn work_off(world: &World) -> Result<(), Error> {
    let mut workers = JoinSet::new();
    for mut queue in world.grpc(Who::Worker, WORKERS).await? {
        workers.spawn(async move {
            let claim = ClaimNextRequest { worker_id: "seed".to_owned(), ..ClaimNextRequest::default() };
            while let Some(work) = queue.claim_next(claim.clone()).await?.into_inner().work {
                let message_id = work.message.map(|message| message.id).unwrap_or_default();
                let lease_token = work.lease.map(|lease| lease.token).unwrap_or_default();
                let lease = Some(LeaseRef { message_id, lease_token, worker_id: String::new() });
                queue.complete_message(CompleteMessageRequest { lease, reply: None }).await?;
            }
            Ok(())
        });
    }
    workers.join_all().await.into_iter().collect()
}

async fn many<M>(world: &World, count: u64, message: M) -> Result<(), Error>
where
    M: Fn(u64) -> NewMessage + Clone + Send + 'static,
{
    let mut senders = JoinSet::new();
    let share = count.div_ceil(AT_ONCE);
    for (sender, queue) in (0..AT_ONCE).zip(world.grpc(Who::Operator, AT_ONCE as usize).await?) {
        let numbers = (sender * share)..((sender + 1) * share).min(count);
        senders.spawn(send(queue, numbers.collect(), message.clone()));
    }
    senders.join_all().await.into_iter().collect()
}

async fn send(mut queue: Grpc, numbers: Vec<u64>, message: impl Fn(u64) -> NewMessage) -> Result<(), Error> {
    for batch in numbers.chunks(BATCH as usize) {
        let item =
            |number: &u64| PostMessageRequest { message: Some(message(*number)), idempotency_key: None };
        let request = PostMessagesRequest { items: batch.iter().map(item).collect() };
        let outcomes = queue.post_messages(request).await?.into_inner().outcomes;
        let refused = outcomes.into_iter().find_map(|outcome| match outcome.outcome {
            Some(Posted::Posted(_)) => None,
            Some(Posted::Rejection(rejection)) => Some(rejection.message),
            None => Some("an outcome says nothing".to_owned()),
        });
        if let Some(why) = refused {
            return Err(tonic::Status::failed_precondition(why).into());
        }
    }
    Ok(())
}

/// A post by `username` that is addressed to no bot.
pub(crate) fn platform_post(username: &str, text_bytes: u32) -> NewMessage {
    NewMessage {
        domain: DOMAIN.to_owned(),
        text: text(text_bytes),
        username: username.to_owned(),
        color: "169080199".to_owned(),
        message_type: MessageType::Human.into(),
        ..NewMessage::default()
    }
}

/// A question by `username` to the bot.
pub(crate) fn question(username: &str, text_bytes: u32) -> NewMessage {
    let bot = BotAddress { entity: ENTITY.to_owned(), ..BotAddress::default() };
    NewMessage { bot: Some(bot), ..platform_post(username, text_bytes) }
}

/// Text of so many bytes.
pub(crate) fn text(bytes: u32) -> String {
    "All that glisters is not gold; ".chars().cycle().take(bytes as usize).collect()
}
