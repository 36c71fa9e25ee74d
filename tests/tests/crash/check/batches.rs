//! A request happens as a whole or not at all: all items of a batch, a reply with its completion, an edit with its step.

use std::collections::HashSet;

use repartee_proto::v1::ChangeKind;

use super::{
    index::{Index, Wrote},
    lifecycle::status,
};
use crate::{
    history::{Call, Seen},
    request::{Completion, Edit, Post, Request},
};

/// What one request asked for stands in the log together, in its order and under one time stamp.
pub(super) fn a_request_happens_as_a_whole(index: &Index<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for call in &index.history.calls {
        broken.extend(match &call.request {
            Request::Post(posts) if posts.len() > 1 => torn_posts(index, call, posts),
            Request::Complete(items) if items.len() > 1 => torn_completions(index, call, items),
            Request::Edit(edit) => torn_edit(index, call, edit),
            _ => None,
        });
    }
    broken.extend(index.posts().filter_map(|post| torn_reply(index, post)));
    broken
}

/// A batch of posts: what is not there was refused or had been stored before. A batch that was repeated counts once.
fn torn_posts(index: &Index<'_>, call: &Call, posts: &[Post]) -> Option<String> {
    // Under a key, an item may be a repetition of an earlier post; it was stored with that one.
    let fresh = |post: &&Post| {
        let first = index.asked(post.mark()).iter().min_by_key(|asked| asked.call.begun.tick);
        first.is_some_and(|first| first.call.request == call.request)
    };
    let wanted = posts.iter().enumerate().filter(|(item, _)| call.refusal(*item).is_none());
    let wanted: Vec<&Post> = wanted.map(|(_, post)| post).filter(fresh).collect();
    let stored: Vec<&Seen> = wanted.iter().filter_map(|post| index.posted_under(post.mark())).collect();
    if !stored.is_empty() && stored.len() < wanted.len() {
        return Some(format!("torn: of {call}, {} of {} items are in the log", stored.len(), wanted.len()));
    }
    let apart = stored.windows(2).any(|pair| pair[1].seq != pair[0].seq + 1);
    (apart || stamps(&stored) > 1)
        .then(|| format!("torn: {call} is scattered over the changes {:?}", numbers(&stored)))
}

/// A batch of completions: what it did stands together, and no other of its items could have been done then. What a
/// worker or an operator had done before is left out.
fn torn_completions(index: &Index<'_>, call: &Call, items: &[Completion]) -> Option<String> {
    let mut made: Vec<&Seen> = items.iter().filter_map(|item| made_by(index, call, item)).flatten().collect();
    made.sort_by_key(|change| change.seq);
    let first = made.first()?.seq;
    let ids: HashSet<&str> = items.iter().map(|item| item.lease.id.as_str()).collect();
    let is_own = |change: &Seen| {
        let answered = change.message.reply_to.as_deref().unwrap_or_default();
        ids.contains(change.message.id.as_str()) || ids.contains(answered)
    };
    // Items without a reply stand between the others; who completed them is not written there.
    let last = made.last()?.seq;
    let stranger = (first..last).filter_map(|seq| index.log.change(seq)).find(|change| !is_own(change));
    if stranger.is_some() || stamps(&made) > 1 {
        return Some(format!("torn: {call} is scattered over the changes {:?}", numbers(&made)));
    }
    let claims = items.iter().filter_map(|item| claim_of(index, item));
    let mut undone = claims.filter(|claim| completion_of(index, claim).is_none());
    let id = &undone.find(|claim| !is_lost(index, claim, first))?.message.id;
    Some(format!(
        "torn: {call} is in the log from change {first} on, without {id}, which was still its worker's"
    ))
}

/// The changes that a batch made for one of its items: the reply and the completion. None where it made none, or where
/// it cannot be told who did.
fn made_by<'a>(index: &Index<'a>, call: &Call, item: &Completion) -> Option<[&'a Seen; 2]> {
    let asked = index.asked(item.reply.as_ref()?.0);
    let first = asked.iter().min_by_key(|asked| asked.call.begun.tick)?;
    let reply = index.posted_under(item.reply.as_ref()?.0)?;
    let completed = completion_of(index, claim_of(index, item)?)?;
    (first.call.request == call.request).then_some([reply, completed])
}

/// An edit that asks for a step too.
fn torn_edit(index: &Index<'_>, call: &Call, edit: &Edit) -> Option<String> {
    let wanted = edit.status?;
    let edited = index
        .changes_of(&edit.id)
        .iter()
        .find(|change| change.kind == ChangeKind::Edited && change.message.eq_score == edit.mark)?;
    if status(edited) == Some(wanted) {
        return None;
    }
    let next = index.log.change(edited.seq + 1);
    let is_step = next.is_some_and(|next| next.message.id == edit.id && status(next) == Some(wanted));
    (!is_step).then(|| {
        format!("torn: of {call}, change {} is in the log without its step to {wanted:?}", edited.seq)
    })
}

/// A reply stands right before the completion that brought it, and no such completion stands without it.
fn torn_reply(index: &Index<'_>, post: &Seen) -> Option<String> {
    let asked = index.asked(post.message.eq_score).first()?;
    let Wrote::Reply(done) = asked.wrote else { return None };
    let next = index.log.change(post.seq + 1);
    let is_whole =
        next.is_some_and(|next| next.message.id == done.lease.id && next.kind == ChangeKind::Completed);
    (!is_whole)
        .then(|| format!("torn: the reply in change {} has no completion of {}", post.seq, done.lease.id))
}

/// The claim that a completion names, where it is known.
fn claim_of<'a>(index: &Index<'a>, item: &Completion) -> Option<&'a Seen> {
    let changes = index.changes_of(&item.lease.id).iter().copied();
    let mut claims = changes.filter(|change| change.kind == ChangeKind::Claimed);
    claims.find(|claim| index.token_of(claim) == Some(item.lease.token.as_str()))
}

/// The completion of this claim.
fn completion_of<'a>(index: &Index<'a>, claim: &Seen) -> Option<&'a Seen> {
    let changes = index.changes_of(&claim.message.id).iter().copied();
    changes
        .filter(|change| change.seq > claim.seq)
        .find(|change| change.kind == ChangeKind::Completed)
        .filter(|completed| {
            index.claim_at(&claim.message.id, completed.seq).is_some_and(|last| last.seq == claim.seq)
        })
}

/// Whether a claim could not be completed any more at a change: something but an edit or its end by time came between.
fn is_lost(index: &Index<'_>, claim: &Seen, at: u64) -> bool {
    let later =
        index.changes_of(&claim.message.id).iter().filter(|change| (claim.seq + 1..at).contains(&change.seq));
    later.into_iter().any(|change| !matches!(change.kind, ChangeKind::Edited | ChangeKind::Expired))
}

/// How many time stamps the posts among these changes have.
fn stamps(changes: &[&Seen]) -> usize {
    let posts = changes.iter().filter(|change| change.kind == ChangeKind::Posted);
    posts.map(|post| post.message.timestamp).collect::<HashSet<_>>().len()
}

fn numbers(changes: &[&Seen]) -> Vec<u64> {
    changes.iter().map(|change| change.seq).collect()
}
