//! Watches: whoever goes on from the last cursor sees every change once and in order, whatever lies between.

use std::collections::{BTreeMap, HashMap};

use repartee_proto::v1::ChangeKind;

use super::index::Index;
use crate::history::{Seen, Watched};

/// All watches of one client together show the changes of its domain one by one, from its first cursor on.
pub(super) fn watches_have_no_gap(index: &Index<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    let mut domains = HashMap::new();
    let mut cursors = BTreeMap::<&str, &str>::new();
    for watched in &index.history.watched {
        let changes =
            domains.entry(watched.domain.as_str()).or_insert_with(|| index.changes_in(&watched.domain));
        broken.extend(check_one(index, watched, changes));
        if let Some(cursor) = cursors.get(watched.by.as_str()).filter(|cursor| **cursor != watched.from) {
            broken.push(format!(
                "the watch of {} went on from {}, it was at {cursor}",
                watched.by, watched.from
            ));
        }
        let last = watched.changes.last().map_or(&watched.from, |last| &last.cursor);
        cursors.insert(&watched.by, last);
    }
    broken
}

fn check_one(index: &Index<'_>, watched: &Watched, changes: &[&Seen]) -> Option<String> {
    let Watched { by, from, epoch, .. } = watched;
    if *epoch != index.log.epoch {
        return Some(format!("the watch of {by} is of the epoch {epoch}, the log of {}", index.log.epoch));
    }
    let Some(mut at) = index.number_of(from).filter(|_| watched.resumed) else {
        return Some(format!("the watch of {by} did not go on from its cursor {from}"));
    };
    let begin = changes.partition_point(|change| change.seq <= at);
    for (number, seen) in watched.changes.iter().enumerate() {
        let expected = changes.get(begin + number).map(|change| change.seq);
        let wrong = match expected {
            Some(expected) if seen.seq == expected => None,
            _ if seen.seq == at => Some("twice".to_owned()),
            _ if seen.seq < at => Some(format!("out of order: it was at {at}")),
            Some(expected) if seen.seq < expected => Some("which is not of its domain".to_owned()),
            Some(expected) => Some(format!("after {at}, and has a gap: {expected} is missing")),
            None => Some("which is lost: the log does not have it".to_owned()),
        };
        if let Some(wrong) = wrong {
            return Some(format!("the watch of {by} showed change {}, {wrong}", seen.seq));
        }
        if seen.caught_up && cuts_a_stamp(changes, begin + number) {
            return Some(format!(
                "the watch of {by} had caught up at change {}, inside a time stamp",
                seen.seq
            ));
        }
        at = seen.seq;
    }
    None
}

/// Whether messages of one time stamp stand on both sides of a place.
fn cuts_a_stamp(changes: &[&Seen], place: usize) -> bool {
    let stamp = |change: &&&Seen| change.kind == ChangeKind::Posted;
    let before = changes[..=place].iter().rfind(stamp).map(|post| post.message.timestamp);
    let after = changes[place + 1..].iter().find(stamp).map(|post| post.message.timestamp);
    before.is_some() && before == after
}
