//! Tests of the views: against a walk through the whole history, and of what a poll costs.

mod polls;
mod rooms;
mod swept;
mod walk;

use std::sync::Arc;

use super::{CacheLimits, Floor, Shown, Views};
use crate::domain::{QueueRules, Record, tests::history::Lived};

/// A cache in which everything has room.
const ROOMY: CacheLimits = CacheLimits { messages: 1_000, bytes: 10_000_000, list_rooms: true };

/// The views of a new log.
fn empty(limits: CacheLimits) -> Views {
    Views::restore(limits, QueueRules::default().aging_ms, Floor::default(), std::iter::empty(), &[], 0)
}

fn numbers<'a>(records: impl IntoIterator<Item = &'a Arc<Record>>) -> Vec<u64> {
    records.into_iter().map(|record| record.content.posted).collect()
}

/// The messages of a domain in their order.
fn posts<'a>(lived: &'a Lived, domain: Option<&str>) -> Vec<&'a Record> {
    let messages = lived.messages().into_iter();
    messages.filter(|record| domain.is_none_or(|domain| record.content.domain == domain)).collect()
}

/// The changes of a domain in their order, with what is said now.
fn changes(lived: &Lived, domain: Option<&str>) -> Vec<Shown> {
    let changes = lived.changes().into_iter().map(Shown::from);
    changes.filter(|change| domain.is_none_or(|domain| change.record.content.domain == domain)).collect()
}
