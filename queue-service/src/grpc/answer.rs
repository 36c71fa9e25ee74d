//! From what the rules and views say to answers.

use std::time::Duration;

use repartee_process::Role;
use repartee_proto::v1;

use super::{QueueGrpc, caller::Caller};
use crate::{
    domain::{Address, Author, ChangeKind, Leased, Millis, Record, Status, Work},
    journal::Use,
    reads::Reads,
    views::Shown,
};

/// When a client that is sent away may come back.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// A role as the wire has it.
pub(super) fn role(role: Role) -> v1::Role {
    match role {
        Role::Worker => v1::Role::Worker,
        Role::Gateway => v1::Role::Gateway,
        Role::Operator => v1::Role::Operator,
    }
}

impl QueueGrpc {
    /// A message as clients see it. Tokens, sessions of workers and counters stay inside, a God Mode session is shown as a
    /// digest, and a hidden message looks deleted.
    pub(super) fn message(&self, record: &Record) -> v1::Message {
        let mut message = self.whole(record);
        if record.state.hidden {
            message.text.clear();
            message.deleted = true;
            if let Some(bot) = &mut message.bot_params {
                // An error may quote the text.
                bot.error = None;
            }
        }
        message
    }

    /// The same, hidden or not.
    fn whole(&self, record: &Record) -> v1::Message {
        let mut message = message_for_worker(record);
        if let Some(session) = message.bot_params.as_mut().and_then(|bot| bot.session_id.as_mut()) {
            *session = self.session_digest(record, session);
        }
        message
    }

    /// A message as this caller sees it.
    pub(super) fn message_for(&self, caller: &Caller, record: &Record) -> v1::Message {
        if caller.is_operator() { self.message_for_operator(record) } else { self.message(record) }
    }

    /// A message as operators see it: with its text though it is hidden, and with what stands for its author and its address.
    pub(super) fn message_for_operator(&self, record: &Record) -> v1::Message {
        with_sender(v1::Message { hidden: record.state.hidden, ..self.whole(record) }, record)
    }

    /// What stands for a God Mode session in public: the same for all messages of that conversation, and nobody finds the
    /// session by trying. 64 bits of a keyed hash of the conversation and the session.
    fn session_digest(&self, record: &Record, session: &str) -> String {
        let conversation = record.content.conversation.unwrap_or_default().0;
        let value = [&conversation[..], session.as_bytes()].concat();
        hex::encode(&self.rights.edits.key(Use::Session, &value)[..8])
    }
}

/// Work as this caller sees it.
pub(super) fn work_for(caller: &Caller, record: &Record) -> v1::Message {
    let message = message_for_worker(record);
    if caller.is_operator() { with_sender(message, record) } else { message }
}

fn with_sender(mut message: v1::Message, record: &Record) -> v1::Message {
    if let Some(sender) = &record.content.sender {
        message.author = Some(sender.author.to_hex());
        message.address = Some(sender.address.to_hex());
    }
    message
}

/// A message as those who work on it see it: with the God Mode session as it was given.
pub(super) fn message_for_worker(record: &Record) -> v1::Message {
    let content = &record.content;
    let author = match content.author {
        Author::Human => v1::MessageType::Human,
        Author::Ai => v1::MessageType::Ai,
    };
    v1::Message {
        id: content.id.to_string(),
        timestamp: content.timestamp,
        seq: record.state.seq,
        domain: content.domain.clone(),
        text: content.text.clone(),
        username: content.username.clone(),
        color: content.color.clone(),
        message_type: author.into(),
        reply_to: content.reply_to.map(|id| id.to_string()),
        eq_score: record.state.eq_score,
        bot_params: record.state.work.as_ref().map(|work| bot_params(record, work)),
        deleted: record.state.deleted,
        author: None,
        address: None,
        hidden: false,
    }
}

fn bot_params(record: &Record, work: &Work) -> v1::BotParams {
    let address = record.content.address.as_deref().cloned();
    let Address { entity, ai_username, ai_color, session_id, not_before, expires_at } =
        address.unwrap_or_default();
    v1::BotParams {
        status: status(work.status).into(),
        priority: work.priority,
        entity,
        ai_username,
        ai_color,
        session_id,
        claimed_by: work.claim.as_ref().map(|claim| claim.worker.name.clone()),
        claimed_at: work.claim.as_ref().map(|claim| claim.at),
        completed_at: work.completed_at,
        attempts: work.claims,
        error: work.errors.last().cloned(),
        not_before,
        expires_at,
    }
}

/// Where work stands, as the wire has it.
pub(super) fn status(status: Status) -> v1::Status {
    match status {
        Status::Pending => v1::Status::Pending,
        Status::Processing => v1::Status::Processing,
        Status::Complete => v1::Status::Complete,
        Status::Failed => v1::Status::Failed,
    }
}

pub(super) fn kind(kind: ChangeKind) -> v1::ChangeKind {
    match kind {
        ChangeKind::Posted => v1::ChangeKind::Posted,
        ChangeKind::Claimed => v1::ChangeKind::Claimed,
        ChangeKind::Released => v1::ChangeKind::Released,
        ChangeKind::Expired => v1::ChangeKind::Expired,
        ChangeKind::RetryScheduled => v1::ChangeKind::RetryScheduled,
        ChangeKind::Failed => v1::ChangeKind::Failed,
        ChangeKind::Completed => v1::ChangeKind::Completed,
        ChangeKind::Cancelled => v1::ChangeKind::Cancelled,
        ChangeKind::Retried => v1::ChangeKind::Retried,
        ChangeKind::Edited => v1::ChangeKind::Edited,
        ChangeKind::Deleted => v1::ChangeKind::Deleted,
        ChangeKind::Hidden => v1::ChangeKind::Hidden,
        ChangeKind::Restored => v1::ChangeKind::Restored,
    }
}

/// The kind of a change as followers are told: what is hidden looks deleted, and what is shown again is said anew.
fn told(kind_of: ChangeKind) -> v1::ChangeKind {
    match kind(kind_of) {
        v1::ChangeKind::Hidden => v1::ChangeKind::Deleted,
        v1::ChangeKind::Restored => v1::ChangeKind::Edited,
        other => other,
    }
}

/// A change as followers are told; gateways are told of its trace too.
pub(super) fn change(
    reads: &Reads,
    change: &Shown,
    message: v1::Message,
    caught_up: bool,
    traceparent: Option<String>,
) -> v1::Change {
    v1::Change {
        seq: change.seq(),
        cursor: reads.cursor(change.seq()).to_string(),
        kind: told(change.kind).into(),
        message: Some(message),
        caught_up,
        traceparent,
    }
}

pub(super) fn lease(leased: &Leased) -> v1::Lease {
    v1::Lease { token: leased.token.to_hex(), expires_at: leased.ends }
}

pub(super) fn failed(record: &Record, message: v1::Message) -> v1::FailedMessage {
    let work = record.state.work.clone();
    let (errors, failures, expiries, cancelled) =
        work.map(|w| (w.errors, w.failures, w.expiries, w.cancelled)).unwrap_or_default();
    v1::FailedMessage { message: Some(message), errors, failures, expiries, cancelled }
}

pub(super) fn kv_stats(reads: u64) -> Option<v1::KvStats> {
    Some(v1::KvStats { reads, writes: 0 })
}

/// A span on the wire.
pub(super) fn span(span: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(span).unwrap_or_default()
}

/// Says that a stream is about to end.
pub(super) fn going_away() -> v1::GoingAway {
    v1::GoingAway { retry_after: Some(span(RETRY_AFTER)) }
}

/// How long ago that was.
pub(super) fn age(since: Option<Millis>, now: Millis) -> Option<prost_types::Duration> {
    since.map(|since| span(Duration::from_millis(now.saturating_sub(since).max(0).unsigned_abs())))
}
