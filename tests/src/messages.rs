//! Short ways to write the requests that most tests need.

use prost_types::Duration;
use repartee_proto::v1::{BotAddress, LeaseRef, Message, MessageType, NewMessage, Reply, Work};
use serde_json::{Value, json};
use uuid::Uuid;

/// The domain of all messages whose test does not care.
pub const DOMAIN: &str = "test.example";

/// A question to `entity` by a person that nobody else is: a conversation of its own.
pub fn question(entity: &str, text: &str) -> NewMessage {
    question_from(&somebody(), entity, text)
}

/// A question to `entity` by `username`.
pub fn question_from(username: &str, entity: &str, text: &str) -> NewMessage {
    let bot = BotAddress { entity: entity.to_owned(), ..BotAddress::default() };
    NewMessage { bot: Some(bot), ..platform_post(username, text) }
}

/// A post by `username` that is addressed to no bot.
pub fn platform_post(username: &str, text: &str) -> NewMessage {
    NewMessage {
        domain: DOMAIN.to_owned(),
        text: text.to_owned(),
        username: username.to_owned(),
        color: "169080199".to_owned(),
        message_type: MessageType::Human.into(),
        ..NewMessage::default()
    }
}

/// A question to `entity` as a browser sends it, by a person that nobody else is.
pub fn question_json(entity: &str, text: &str) -> Value {
    json!({
        "domain": DOMAIN, "text": text, "username": somebody(), "color": "169080199",
        "message-type": "human", "botParams": {"entity": entity},
    })
}

/// The id of the message in `work`.
///
/// # Panics
/// Where the work came without a message.
pub fn id_of(work: &Work) -> String {
    work.message.as_ref().expect("work has a message").id.clone()
}

/// The claim that came with `work`.
///
/// # Panics
/// Where the work came without a lease.
pub fn held(work: &Work) -> LeaseRef {
    let message: &Message = work.message.as_ref().expect("work has a message");
    let lease = work.lease.as_ref().expect("work in mode LEASE has a lease");
    LeaseRef { message_id: message.id.clone(), lease_token: lease.token.clone(), worker_id: String::new() }
}

/// A reply that says `text`.
pub fn reply(text: &str) -> Option<Reply> {
    Some(Reply { text: text.to_owned(), eq_score: 0 })
}

/// So many seconds on the wire.
pub fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

/// A name that nobody else has.
fn somebody() -> String {
    format!("Human {}", Uuid::new_v4().simple())
}
