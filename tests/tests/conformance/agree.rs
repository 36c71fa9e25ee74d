//! What followers have seen, held against what the queue-service has when everything is over.

use std::collections::{BTreeMap, HashMap};

use e2e::{Grpc, Service};
use repartee_proto::v1::{ListMessagesRequest, list_messages_request::Position};
use serde_json::Value;

use crate::{
    DOMAIN, LAST, PRESENT,
    followers::{Seen, Way},
    told,
};

/// What the queue-service has when everything is over.
struct Truth {
    queue: Grpc,
    /// All messages of the domain, in their order.
    messages: Vec<Value>,
    /// Number of the last message: leases that ended behind it are of no interest.
    end: u64,
}

impl Truth {
    async fn of(queue: &Service) -> Self {
        let queue = queue.grpc().await;
        let messages = queue.all().await.unwrap();
        let messages: Vec<Value> =
            messages.iter().filter(|message| message.domain == DOMAIN).map(told).collect();
        let end = messages.last().filter(|last| last[3] == LAST).and_then(|last| last[1].as_u64()).unwrap();
        Self { queue, messages, end }
    }

    fn is_of_interest(&self, told: &Value) -> bool {
        told[1].as_u64().unwrap() <= self.end
    }

    /// All changes after `cursor`.
    async fn changes_after(&self, cursor: &str) -> Vec<Value> {
        let (mut cursor, mut changes) = (cursor.to_owned(), Vec::new());
        loop {
            let position = Some(Position::Cursor(cursor));
            let request = ListMessagesRequest { domain: DOMAIN.to_owned(), position, limit: 1_000 };
            let page = self.queue.raw().list_messages(request).await.unwrap().into_inner();
            assert!(!page.reset, "{}", page.reset_reason);
            changes.extend(page.messages.iter().map(told).filter(|told| self.is_of_interest(told)));
            if !page.more {
                return changes;
            }
            cursor = page.next_cursor;
        }
    }

    /// They saw these changes in this order, each as it will be told for ever, and each message as it is in the end.
    fn agrees(&self, way: Way, seen: &[Value], expected: &[Value]) {
        let seen: Vec<&Value> = seen.iter().filter(|told| self.is_of_interest(told)).collect();
        let differ =
            seen.iter().zip(expected).position(|(seen, expected)| lasting(seen) != lasting(expected));
        let at = differ.unwrap_or(seen.len().min(expected.len()));
        let (seen_there, expected_there) =
            (seen.get(at).map(|told| lasting(told)), expected.get(at).map(lasting));
        assert_eq!((at, seen_there), (at, expected_there), "{way:?}");
        assert_eq!(present(seen), present(expected), "{way:?}");
    }
}

/// Nobody has lost their position: the ways by cursor saw all changes, the poll by timestamp all messages.
pub(crate) async fn agree_on_all(queue: &Service, begin: &str, all: Vec<(Way, Seen)>) {
    let truth = Truth::of(queue).await;
    let changes = truth.changes_after(begin).await;
    assert!(changes.len() > 50, "only {} changes", changes.len());
    for (way, seen) in all {
        assert_eq!((seen.resets, seen.from.as_str()), (0, begin), "{way:?}");
        if way == Way::Poll {
            assert_eq!(ids(&seen.changes), ids(&truth.messages), "{way:?}");
        } else {
            truth.agrees(way, &seen.changes, &changes);
        }
    }
}

/// Everybody who follows by cursor has lost it: they were told so, and shown the newest messages without a gap among them;
/// from there on they saw every change. The poll by timestamp went on and saw every message.
pub(crate) async fn agree_from_newest_page(queue: &Service, all: Vec<(Way, Seen)>) {
    let truth = Truth::of(queue).await;
    let there = ids(&truth.messages);
    for (way, seen) in all {
        if way == Way::Poll {
            let polled = ids(&seen.changes);
            assert!(polled.ends_with(&there), "{way:?} saw {polled:?}, there are {there:?}");
            continue;
        }
        assert!(seen.resets > 0, "{way:?} was told of no loss");
        let changes = truth.changes_after(&seen.from).await;
        truth.agrees(way, &seen.changes, &changes);

        let page = ids(&seen.page);
        let end = there.iter().rposition(|id| page.contains(id)).map_or(0, |at| at + 1);
        assert!(there[..end].ends_with(&page), "{way:?}: {page:?} is no page of {there:?}");
        let newer = ids(&changes);
        assert!(there[end..].iter().all(|id| newer.contains(id)), "{way:?}: {page:?} is not the newest page");

        let now: HashMap<&str, &Value> = there.iter().copied().zip(&truth.messages).collect();
        let known: HashMap<&str, &Value> =
            seen.page.iter().chain(&seen.changes).map(|told| (id(told), told)).collect();
        for (id, known) in known {
            let now = now.get(id).filter(|now| truth.is_of_interest(now));
            assert!(now.is_none_or(|now| *now == known), "{way:?} has {known}, it is {now:?}");
        }
    }
}

fn id(told: &Value) -> &str {
    told[0].as_str().unwrap()
}

fn ids(told: &[Value]) -> Vec<&str> {
    told.iter().map(id).collect()
}

fn lasting(told: &Value) -> &[Value] {
    &told.as_array().unwrap()[..PRESENT]
}

/// How each message is in the end: as its last change told it.
fn present<'a>(changes: impl IntoIterator<Item = &'a Value>) -> BTreeMap<&'a str, &'a [Value]> {
    changes.into_iter().map(|told| (id(told), &told.as_array().unwrap()[PRESENT..])).collect()
}
