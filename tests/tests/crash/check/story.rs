//! What happened to a message, for who has to find out why a promise was broken.

use std::collections::BTreeSet;

use crate::{
    history::{Call, History},
    log::Log,
};

/// Lines that are told at the most.
const LINES: usize = 60;

/// The changes and calls of the messages that a sentence names, in the order in which they happened as far as that is known.
pub(crate) fn of_those_in(sentence: &str, history: &History, log: &Log) -> String {
    let mut story = String::new();
    for id in ids(sentence) {
        let changes = log.changes.iter().filter(|change| change.message.id == id).map(|change| {
            let bot = change.message.bot_params.clone().unwrap_or_default();
            format!(
                "  change {} {:?} for {:?} at {:?}",
                change.seq, change.kind, bot.claimed_by, bot.claimed_at
            )
        });
        let mut calls: Vec<&Call> = history.calls.iter().filter(|call| is_about(call, id)).collect();
        calls.sort_by_key(|call| call.ended);
        let calls = calls.into_iter().map(|call| {
            let mut outcome = format!("{:?}", call.outcome);
            outcome.truncate(outcome.floor_char_boundary(160));
            format!("  {call}, {} to {} ms: {outcome}", call.begun.wall, call.ended.wall)
        });
        let lines: Vec<String> = changes.chain(calls).take(LINES).collect();
        story.push_str(&format!("{id}\n{}\n", lines.join("\n")));
    }
    story
}

/// The ids of messages in a sentence.
fn ids(sentence: &str) -> BTreeSet<&str> {
    let is_id = |word: &&str| word.len() == 36 && word.matches('-').count() == 4;
    sentence.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(is_id).collect()
}

/// Whether a call concerns a message. Pages and lists are left out: they concern too many.
fn is_about(call: &Call, id: &str) -> bool {
    let shown = call.shown();
    call.request.to_string().contains(id) || shown.len() == 1 && shown[0].id == id
}
