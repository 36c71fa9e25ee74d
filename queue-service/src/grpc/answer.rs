//! From what the rules and views say to answers.

use std::time::Duration;

use repartee_process::Role;
use repartee_proto::v1;
use sha2::{Digest as _, Sha256};

use crate::{
    domain::{Address, Author, ChangeKind, Leased, Millis, Record, Status, Work},
    reads::Reads,
    views::Shown,
};

/// A role as the wire has it.
pub(super) fn role(role: Role) -> v1::Role {
    match role {
        Role::Worker => v1::Role::Worker,
        Role::Gateway => v1::Role::Gateway,
        Role::Operator => v1::Role::Operator,
    }
}

/// A message as those who work on it see it: with the God Mode session as it was given.
pub(super) fn message_for_worker(record: &Record) -> v1::Message {
    let mut message = message(record);
    if let (Some(bot), Some(address)) = (&mut message.bot_params, record.content.address.as_deref()) {
        bot.session_id.clone_from(&address.session_id);
    }
    message
}

/// A message as clients see it. Tokens, sessions of workers and counters stay inside.
pub(super) fn message(record: &Record) -> v1::Message {
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
        session_id: session_id.map(|session| session_digest(record, &session)),
        claimed_by: work.claim.as_ref().map(|claim| claim.worker_id.clone()),
        claimed_at: work.claim.as_ref().map(|claim| claim.at),
        completed_at: work.completed_at,
        attempts: work.claims,
        error: work.errors.last().cloned(),
        not_before,
        expires_at,
    }
}

/// What stands for a God Mode session in public: the same for all messages of that conversation. A session that can be
/// guessed can be found by trying; it opens nothing where conversations have owners. 64 bits of SHA-256 over the conversation
/// and the session.
fn session_digest(record: &Record, session: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(record.content.conversation.unwrap_or_default().0);
    hash.update(session.as_bytes());
    hex::encode(&hash.finalize()[..8])
}

fn status(status: Status) -> v1::Status {
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
    }
}

pub(super) fn change(reads: &Reads, change: &Shown, caught_up: bool) -> v1::Change {
    v1::Change {
        seq: change.seq(),
        cursor: reads.cursor(change.seq()).to_string(),
        kind: kind(change.kind).into(),
        message: Some(message(&change.record)),
        caught_up,
    }
}

pub(super) fn lease(leased: &Leased) -> v1::Lease {
    v1::Lease { token: leased.token.to_hex(), expires_at: leased.ends }
}

pub(super) fn failed(record: &Record) -> v1::FailedMessage {
    let work = record.state.work.clone();
    let (errors, failures, expiries, cancelled) =
        work.map(|w| (w.errors, w.failures, w.expiries, w.cancelled)).unwrap_or_default();
    v1::FailedMessage { message: Some(message(record)), errors, failures, expiries, cancelled }
}

pub(super) fn kv_stats(reads: u64) -> Option<v1::KvStats> {
    Some(v1::KvStats { reads, writes: 0 })
}

/// A span on the wire.
pub(super) fn span(span: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(span).unwrap_or_default()
}

/// How long ago that was.
pub(super) fn age(since: Option<Millis>, now: Millis) -> Option<prost_types::Duration> {
    since.map(|since| span(Duration::from_millis(now.saturating_sub(since).max(0).unsigned_abs())))
}
