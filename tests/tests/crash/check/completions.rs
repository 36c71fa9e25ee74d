//! A message is answered once.

use std::collections::HashMap;

use repartee_proto::v1::ChangeKind;

use super::index::{Index, Wrote};
use crate::{
    history::{Answer, Call, Completed},
    request::{Completion, Request},
};

/// A message has one reply at the most, and every answer to a completion tells of it.
pub(super) fn a_message_is_answered_once(index: &Index<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    let mut replies = HashMap::<&str, (&str, u64)>::new();
    for post in index.posts() {
        let Some(Wrote::Reply(done)) = index.asked(post.message.eq_score).first().map(|asked| asked.wrote)
        else {
            continue;
        };
        let (id, reply) = (&done.lease.id, &post.message.id);
        if let Some((_, first)) = replies.insert(id, (reply, post.seq)) {
            broken.push(format!("{id} has two replies, in change {first} and in change {}", post.seq));
        }
    }
    for call in &index.history.calls {
        for (item, completed) in completions(call) {
            let id = item.lease.id.as_str();
            let kept = replies.get(id).map(|(reply, _)| *reply);
            if completed.reply_id.as_deref() != kept {
                let told = &completed.reply_id;
                broken.push(format!("{call} was told of the reply {told:?} to {id}, the log has {kept:?}"));
            }
            let status_of_log =
                index.changes_of(id).iter().any(|change| change.kind == ChangeKind::Completed);
            if !status_of_log {
                broken.push(format!("lost: {call} was acknowledged, and {id} is not complete in the log"));
            }
        }
    }
    broken
}

fn completions(call: &Call) -> impl Iterator<Item = (&Completion, &Completed)> {
    let answered = match (&call.request, call.answer()) {
        (Request::Complete(items), Some(Answer::Completed(answers))) => Some(items.iter().zip(answers)),
        _ => None,
    };
    answered.into_iter().flatten().filter_map(|(item, answer)| Some((item, answer.as_ref().ok()?)))
}
