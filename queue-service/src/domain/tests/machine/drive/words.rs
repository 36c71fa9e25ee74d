//! The model's words in the words of the queue.

use uuid::Uuid;

use crate::domain::{
    Address, Author, Millis, NewMessage, Rejection, Request, RequestKey,
    tests::{
        model::{Command, Refusal, address_of},
        world::{question, remark, sender_at},
    },
};

pub(super) fn new_message(
    command: &Command,
    to: &[Uuid],
    key: Option<RequestKey>,
    now: Millis,
) -> (NewMessage, Option<Request>) {
    let Command::Post(ask, _) = command else {
        let said = NewMessage { text: "said".to_owned(), author: Author::Ai, ..remark("ai") };
        return (NewMessage { reply_to: to.first().copied(), ..said }, None);
    };
    let new = question(&format!("h{}", ask.human), &entity_name(ask.entity));
    let address = Address {
        entity: entity_name(ask.entity),
        // One AI answers for both entities, so that one conversation asks both.
        ai_username: "ai".to_owned(),
        ai_color: "2".to_owned(),
        session_id: ask.god_mode.then(|| "god".to_owned()),
        not_before: ask.not_before.map(|later| now + later),
        expires_at: ask.expires_at.map(|later| now + later),
    };
    let mut fingerprint = [ask.human, u8::from(ask.god_mode), ask.entity, 0].repeat(4);
    fingerprint[3] = ask.priority as u8;
    fingerprint[7] = ask.author.map_or(0, |author| author + 1);
    fingerprint[8..12].copy_from_slice(&(ask.not_before.unwrap_or(-2_000) as i32).to_be_bytes());
    fingerprint[12..].copy_from_slice(&(ask.expires_at.unwrap_or(-2_000) as i32).to_be_bytes());
    let request =
        key.map(|key| Request { key, fingerprint: fingerprint.try_into().expect("16 bytes"), before: None });
    let sender = ask.author.map(|author| sender_at(author, address_of(author)));
    let priority = ask.priority;
    let new = NewMessage { text: "asked".to_owned(), priority, address: Some(address), sender, ..new };
    (new, request)
}

pub(super) fn entity_name(entity: u8) -> String {
    format!("e{entity}")
}

pub(super) fn entity_names(entities: &[u8]) -> Vec<String> {
    entities.iter().map(|entity| entity_name(*entity)).collect()
}

pub(super) fn refusal(rejection: &Rejection) -> Refusal {
    match rejection {
        Rejection::Invalid(_) => Refusal::Invalid,
        Rejection::NameReserved(_) => panic!("no visitor posts here"),
        Rejection::NotAllowed { .. } => panic!("rights are judged before the rules"),
        Rejection::ConversationTaken => panic!("nobody claims a conversation here"),
        Rejection::NotFound(_) => Refusal::NotFound,
        Rejection::NotPending(_) => Refusal::NotPending,
        Rejection::NotDue { .. } => Refusal::NotDue,
        Rejection::EntityPaused(_) => Refusal::EntityPaused,
        Rejection::EntityLimit { .. } => Refusal::EntityLimit,
        Rejection::WorkerPaused { .. } => Refusal::WorkerPaused,
        Rejection::TooManyClaims { .. } => Refusal::TooManyClaims,
        Rejection::TooManyPaused { .. } => panic!("this test has two entities"),
        Rejection::Blocked { .. } => Refusal::Blocked,
        Rejection::TooManyBlocks { .. } => panic!("this test has two authors"),
        Rejection::Hidden(_) => Refusal::Hidden,
        Rejection::TooManyEdits { .. } => Refusal::TooManyEdits,
        Rejection::LeaseLost(_) => Refusal::LeaseLost,
        Rejection::AlreadyCompleted => Refusal::AlreadyCompleted,
        Rejection::Cancelled => Refusal::Cancelled,
        Rejection::Failed => Refusal::Failed,
        Rejection::WrongStatus(_) => Refusal::WrongStatus,
        Rejection::QueueFull { .. } | Rejection::PendingBytes { .. } => Refusal::QueueFull,
        Rejection::IdempotencyConflict => Refusal::IdempotencyConflict,
    }
}
