//! Any message, any state, any change that a log could hold.

use std::sync::Arc;

use proptest::{option, prelude::*};
use uuid::Uuid;

use crate::domain::{
    Address, Author, Change, ChangeKind, Claim, Content, ConversationId, Record, RequestKey, Requested,
    Sender, SenderKey, State, Status, Token, Work,
};

/// Every kind of change.
pub(super) const KINDS: [ChangeKind; 11] = [
    ChangeKind::Posted,
    ChangeKind::Claimed,
    ChangeKind::Released,
    ChangeKind::Expired,
    ChangeKind::RetryScheduled,
    ChangeKind::Failed,
    ChangeKind::Completed,
    ChangeKind::Cancelled,
    ChangeKind::Retried,
    ChangeKind::Edited,
    ChangeKind::Deleted,
];

pub(super) fn record() -> impl Strategy<Value = Record> {
    (content(), state()).prop_map(|(content, state)| Record { content: Arc::new(content), state })
}

pub(super) fn change() -> impl Strategy<Value = Change> {
    (prop::sample::select(&KINDS[..]), record()).prop_map(|(kind, record)| Change {
        kind,
        record,
        request: None,
    })
}

pub(super) fn requested() -> impl Strategy<Value = Requested> {
    (any::<[u8; 16]>(), any::<[u8; 16]>(), id(), any::<u64>(), any::<i64>(), any::<i32>()).prop_map(
        |(key, fingerprint, id, posted, timestamp, later)| Requested {
            key: RequestKey(key),
            fingerprint,
            id,
            posted,
            timestamp,
            at: timestamp.saturating_add(later.into()),
        },
    )
}

fn id() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), any::<String>()]
}

fn content() -> impl Strategy<Value = Content> {
    let conversation = option::of((1..=u128::MAX).prop_map(|id| ConversationId(id.to_be_bytes())));
    let times = (option::of(any::<i64>()), option::of(any::<i64>()));
    let address = (text(), text(), text(), option::of(text()), times).prop_map(
        |(entity, name, color, session_id, (not_before, expires_at))| Address {
            entity,
            ai_username: name,
            ai_color: color,
            session_id,
            not_before,
            expires_at,
        },
    );
    let author = prop_oneof![Just(Author::Human), Just(Author::Ai)];
    let names = (text(), text(), text(), text());
    let sender = (any::<[u8; 16]>(), any::<[u8; 16]>())
        .prop_map(|(author, address)| Sender { author: SenderKey(author), address: SenderKey(address) });
    let to = (option::of(id()), conversation, option::of(address), option::of(sender));
    (id(), any::<u64>(), any::<i64>(), names, author, to).prop_map(
        |(id, posted, timestamp, names, author, (reply_to, conversation, address, sender))| Content {
            id,
            posted,
            timestamp,
            domain: names.0,
            text: names.1,
            username: names.2,
            color: names.3,
            author,
            reply_to,
            conversation,
            address: address.map(Box::new),
            sender,
        },
    )
}

fn state() -> impl Strategy<Value = State> {
    (any::<u64>(), any::<i32>(), any::<bool>(), any::<u32>(), option::of(work())).prop_map(
        |(seq, eq_score, deleted, edits, work)| State {
            seq,
            eq_score,
            deleted,
            edits,
            work: work.map(Box::new),
        },
    )
}

fn work() -> impl Strategy<Value = Work> {
    let status = prop_oneof![
        Just(Status::Pending),
        Just(Status::Processing),
        Just(Status::Complete),
        Just(Status::Failed),
    ];
    let claim = (any::<[u8; 16]>(), text(), option::of(text()), any::<i64>(), any::<i64>()).prop_map(
        |(token, worker_id, session_id, at, lease_ms)| Claim {
            token: Token(token),
            worker_id,
            session_id,
            at,
            lease_ms,
        },
    );
    let counters = any::<[u32; 5]>();
    let errors = prop::collection::vec(text(), 0..=Work::ERRORS_KEPT);
    let times = (option::of(any::<i64>()), option::of(any::<i64>()), option::of(any::<i64>()), any::<i64>());
    (status, counters, any::<bool>(), errors, times, option::of(claim), option::of(id())).prop_map(
        |(
            status,
            [priority, claims, uncounted, failures, expiries],
            cancelled,
            errors,
            times,
            claim,
            reply,
        )| Work {
            status,
            priority,
            base: times.3,
            claims,
            uncounted,
            failures,
            expiries,
            cancelled,
            errors,
            not_before: times.0,
            claim,
            expires_at: times.2,
            completed_at: times.1,
            reply,
        },
    )
}
