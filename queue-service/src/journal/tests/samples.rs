//! Any message, any state, any change that a log could hold.

use std::sync::Arc;

use proptest::{option, prelude::*};
use repartee_process::telemetry::TraceContext;
use uuid::Uuid;

use crate::domain::{
    Act, ActKind, Actor, Address, Attempt, AttemptEnd, Author, Block, Change, ChangeKind, Claim, Content,
    ConversationId, Deed, Origin, OwnName, Record, RequestKey, Requested, Selection, Sender, SenderKey,
    Source, State, Status, Target, Token, Work,
};

/// Every kind of change.
pub(super) const KINDS: [ChangeKind; 13] = [
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
    ChangeKind::Hidden,
    ChangeKind::Restored,
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

fn origin() -> impl Strategy<Value = Origin> {
    let trace = ("[0-9a-f]{31}[1-9]", "[0-9a-f]{15}[1-9]", option::of(Just("vendor=1,other=2")));
    let trace = trace.prop_map(|(trace, span, state)| {
        Origin::Trace(TraceContext::parse(&format!("00-{trace}-{span}-01"), state).unwrap())
    });
    prop_oneof![trace, text().prop_map(|id| Origin::Request(id.into()))]
}

/// Every kind of act.
const ACTS: [ActKind; 10] = [
    ActKind::Cancel,
    ActKind::Retry,
    ActKind::Edit,
    ActKind::Delete,
    ActKind::Pause,
    ActKind::Resume,
    ActKind::Hide,
    ActKind::Restore,
    ActKind::Block,
    ActKind::Unblock,
];

pub(super) fn block() -> impl Strategy<Value = Block> {
    let who = (any::<bool>(), any::<[u8; 16]>()).prop_map(|(is_author, key)| {
        let key = SenderKey(key);
        if is_author { Source::Author(key) } else { Source::Address(key) }
    });
    (who, any::<i64>(), any::<i64>(), text()).prop_map(|(who, since, until, reason)| Block {
        who,
        since,
        until,
        reason,
    })
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    let key = || any::<[u8; 16]>().prop_map(SenderKey);
    let on = prop_oneof![
        id().prop_map(Target::Message),
        text().prop_map(|entity| Target::All(Selection::Entity(entity))),
        key().prop_map(|key| Target::All(Selection::Author(key))),
        key().prop_map(|key| Target::All(Selection::Address(key))),
    ];
    let by = (text(), text()).prop_map(|(token_id, name)| Actor { token_id, name });
    let numbers = (any::<u64>(), any::<i64>(), any::<u64>());
    (numbers, by, prop::sample::select(&ACTS[..]), on, text(), text()).prop_map(
        |((number, at, count), by, kind, on, detail, reason)| Act {
            number,
            at,
            deed: Deed { by, kind, on, detail, reason },
            count,
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
    let origin = option::of(origin()).prop_map(|origin| origin.map(Box::new));
    let to = (option::of(id()), conversation, option::of(address), option::of(sender), origin);
    (id(), any::<u64>(), any::<i64>(), names, author, to).prop_map(
        |(id, posted, timestamp, names, author, (reply_to, conversation, address, sender, origin))| Content {
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
            origin,
        },
    )
}

fn state() -> impl Strategy<Value = State> {
    (any::<u64>(), any::<i32>(), any::<[bool; 2]>(), any::<u32>(), option::of(work())).prop_map(
        |(seq, eq_score, [deleted, hidden], edits, work)| State {
            seq,
            eq_score,
            deleted,
            hidden,
            edits,
            work: work.map(Box::new),
        },
    )
}

fn own_name() -> impl Strategy<Value = OwnName> {
    let token_id = option::of("[0-9a-f]{12}").prop_map(|id| id.map(Into::into));
    (token_id, text()).prop_map(|(token_id, name)| OwnName { token_id, name })
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let end = prop_oneof![
        Just(AttemptEnd::Completed),
        Just(AttemptEnd::Failed),
        Just(AttemptEnd::LeaseLost),
        Just(AttemptEnd::Released),
        Just(AttemptEnd::HeldBack),
        Just(AttemptEnd::Undelivered),
        Just(AttemptEnd::CalledOff),
    ];
    let attempt = (text(), any::<i64>(), any::<i64>(), end, option::of(any::<u32>()))
        .prop_map(|(worker, began, ended, end, error)| Attempt { worker, began, ended, end, error });
    prop::collection::vec(attempt, 0..=Work::ATTEMPTS_KEPT)
}

fn work() -> impl Strategy<Value = Work> {
    let status = prop_oneof![
        Just(Status::Pending),
        Just(Status::Processing),
        Just(Status::Complete),
        Just(Status::Failed),
    ];
    let claim = (any::<[u8; 16]>(), own_name(), option::of(text()), any::<i64>(), any::<i64>()).prop_map(
        |(token, worker, session, at, lease_ms)| Claim {
            first_ms: lease_ms / 3,
            token: Token(token),
            session: session.map(|name| OwnName { name, ..worker.clone() }),
            worker,
            at,
            lease_ms,
        },
    );
    let counters = any::<[u32; 6]>();
    let lost_by = (prop::collection::vec(own_name(), 0..=2), option::of(own_name()));
    let errors = (prop::collection::vec(text(), 0..=Work::ERRORS_KEPT), any::<u32>(), attempts());
    let times = (option::of(any::<i64>()), option::of(any::<i64>()), option::of(any::<i64>()), any::<i64>());
    (status, counters, any::<bool>(), (errors, lost_by), times, option::of(claim), option::of(id())).prop_map(
        |(
            status,
            [priority, claims, uncounted, outages, failures, expiries],
            cancelled,
            ((errors, errors_forgotten, past_attempts), (lost_by, released_by)),
            times,
            claim,
            reply,
        )| Work {
            status,
            priority,
            base: times.3,
            claims,
            uncounted,
            outages,
            failures,
            expiries,
            lost_by,
            released_by,
            lost_at: times.1,
            cancelled,
            errors,
            errors_forgotten,
            past_attempts,
            not_before: times.0,
            claim,
            expires_at: times.2,
            completed_at: times.1,
            reply,
        },
    )
}
