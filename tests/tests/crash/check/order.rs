//! Numbers have no gap, and time goes on.

use super::index::{Index, Side};
use crate::history::Answer;

/// The changes of the log have the numbers 1, 2, 3, …; a message tells the number of its last change; cursors name the one
/// log.
pub(super) fn numbers(index: &Index<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for (change, expected) in index.log.changes.iter().zip(1..) {
        if change.seq != expected {
            broken.push(format!("the log has a gap: change {} stands where {expected} belongs", change.seq));
            break;
        }
        if change.message.seq != change.seq {
            broken
                .push(format!("change {} shows its message as of change {}", change.seq, change.message.seq));
        }
        if change.cursor != format!("{}.{}", index.log.epoch, change.seq) {
            broken.push(format!(
                "change {} of the log {} has the cursor {}",
                change.seq, index.log.epoch, change.cursor
            ));
        }
    }
    broken
}

/// The time stamps of messages never fall, and a later commit has a greater one. From outside it is known of two commits
/// which is later where one was acknowledged before the other was asked for, and where a kill lies between.
pub(super) fn stamps(index: &Index<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    let mut before = None;
    let mut ends = index.log.ends_of_lives.iter().peekable();
    for change in index.posts() {
        let stamp = change.message.timestamp;
        let mut new_life = false;
        while ends.next_if(|end| **end < change.seq).is_some() {
            new_life = true;
        }
        if let Some((last_seq, last_stamp)) = before {
            let of = format!("change {} has the time stamp {stamp}, change {last_seq}", change.seq);
            if stamp < last_stamp {
                broken.push(format!("time stamps fall: {of} before it {last_stamp}"));
            }
            if stamp == last_stamp && new_life {
                broken.push(format!("a time stamp is used twice: {of} before the kill {last_stamp}"));
            }
        }
        before = Some((change.seq, stamp));
    }
    broken.extend(later_posts(index));
    broken
}

fn later_posts(index: &Index<'_>) -> Vec<String> {
    let (mut broken, mut newest) = (Vec::new(), (i64::MIN, String::new()));
    for (_, side, call) in index.timeline() {
        let Some(Answer::Posted(items)) = call.answer() else { continue };
        for posted in items.iter().flatten().filter(|posted| !posted.replayed) {
            let stamp = posted.message.timestamp;
            match side {
                Side::Begins if stamp <= newest.0 => broken.push(format!(
                    "a later commit has no greater time stamp: {call} has {stamp}, and {} before it {}",
                    newest.1, newest.0
                )),
                Side::Ends if stamp > newest.0 => newest = (stamp, call.to_string()),
                Side::Begins | Side::Ends => {}
            }
        }
    }
    broken
}
