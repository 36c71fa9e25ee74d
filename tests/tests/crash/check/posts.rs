//! An idempotency key stands for one message.

use std::collections::{BTreeMap, HashMap};

use super::index::Index;
use crate::{
    history::{Answer, Call, Posted},
    request::Request,
};

/// Whatever is posted under a key is stored once, and every answer under it tells of that one message. The edit token of
/// a message is always the same.
pub(super) fn a_key_stands_for_one_message(index: &Index<'_>) -> Vec<String> {
    let mut by_key = BTreeMap::<&str, Vec<(&Call, &Posted)>>::new();
    let mut tokens = HashMap::<&str, &str>::new();
    let mut broken = Vec::new();
    for call in &index.history.calls {
        let (Request::Post(posts), Some(Answer::Posted(answers))) = (&call.request, call.answer()) else {
            continue;
        };
        for (post, answer) in posts.iter().zip(answers) {
            let Ok(posted) = answer else { continue };
            if let Some(key) = &post.key {
                by_key.entry(key).or_default().push((call, posted));
            }
            let token = tokens.entry(&posted.message.id).or_insert(&posted.edit_token);
            if *token != posted.edit_token {
                broken.push(format!("{call} gave {} another edit token than before", posted.message.id));
            }
        }
    }
    for (key, answers) in by_key {
        let first = &answers[0].1.message;
        for (call, posted) in &answers {
            if (&posted.message.id, posted.message.seq) != (&first.id, first.seq) {
                let id = &posted.message.id;
                broken
                    .push(format!("the key {key} stands for {} and, as {call} was told, for {id}", first.id));
            }
        }
        let stored = answers.iter().filter(|(_, posted)| !posted.replayed).count();
        if stored > 1 {
            broken.push(format!("the key {key} was stored {stored} times, as its answers say"));
        }
    }
    broken
}
