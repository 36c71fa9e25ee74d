//! Nothing happens that nobody asked for, and what was asked for happens once.

use std::collections::HashMap;

use repartee_proto::v1::{ChangeKind, Message, MessageType, Status};

use super::index::{Asked, Index, Wrote};
use crate::{
    history::{Answer, Call, Outcome, Posted, Seen},
    request::{Edit, Post, Request},
};

/// Every change has a request that was not refused and could make it, or comes from a lease that ended; no request made
/// two; and an answered request made the change that its answer shows.
pub(super) fn every_change_was_asked_for(index: &Index<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    let mut marks = HashMap::new();
    for change in &index.log.changes {
        let (seq, kind, id) = (change.seq, change.kind, &change.message.id);
        if let Some(why) = uncaused(index, change) {
            broken.push(format!("change {seq} ({kind:?} of {id}) {why}"));
        }
        if matches!(kind, ChangeKind::Posted | ChangeKind::Edited)
            && let Some(first) = marks.insert(change.message.eq_score, seq)
        {
            broken.push(format!(
                "change {seq} ({kind:?} of {id}) was made a second time, after change {first}"
            ));
        }
    }
    broken.extend(steps_on_one_message(index));
    broken.extend(index.history.calls.iter().filter_map(|call| without_effect(index, call)));
    broken
}

/// Why a change has no cause.
fn uncaused(index: &Index<'_>, change: &Seen) -> Option<String> {
    let message = &change.message;
    match change.kind {
        ChangeKind::Posted | ChangeKind::Edited => {
            let asked = index.asked(message.eq_score);
            if !asked.iter().any(|asked| fits(asked, change)) {
                return Some("is nothing that anybody asked for".to_owned());
            }
            let all_refused = asked.iter().all(|asked| asked.call.refusal(asked.item).is_some());
            all_refused.then(|| format!("was made, and yet {} was refused", asked[0].call))
        }
        ChangeKind::Claimed => unclaimed(index, change),
        // A lease that ends asks nobody. That it was over is for another rule to say.
        ChangeKind::Expired => None,
        // A deletion takes the reason away, for it may quote the text.
        ChangeKind::Failed if was_given_up(message) || message.deleted => None,
        ChangeKind::Released | ChangeKind::RetryScheduled | ChangeKind::Failed | ChangeKind::Completed => {
            not_ended(index, change)
        }
        ChangeKind::Cancelled | ChangeKind::Retried | ChangeKind::Deleted => {
            let asked = index.steps_on(&message.id).iter().any(|call| is_step(call, change.kind));
            (!asked).then(|| "is nothing that anybody asked for, or it was refused".to_owned())
        }
        ChangeKind::Unspecified => Some("has no kind".to_owned()),
        ChangeKind::Hidden | ChangeKind::Restored => Some("is of a kind that nobody is told of".to_owned()),
    }
}

/// Whether this was asked for, word by word.
fn fits(asked: &Asked<'_>, change: &Seen) -> bool {
    let message = &change.message;
    match (asked.wrote, change.kind) {
        (Wrote::Post(post), ChangeKind::Posted) => is_as_posted(post, message),
        (Wrote::Reply(done), ChangeKind::Posted) => {
            message.reply_to.as_ref() == Some(&done.lease.id) && message.message_type() == MessageType::Ai
        }
        (Wrote::Edit(edit), ChangeKind::Edited) => is_as_edited(edit, message),
        _ => false,
    }
}

fn is_as_posted(post: &Post, message: &Message) -> bool {
    let new = &post.message;
    let bot = match (&new.bot, &message.bot_params) {
        (None, None) => true,
        (Some(address), Some(bot)) => {
            (&address.entity, address.priority.unwrap_or(5)) == (&bot.entity, bot.priority)
                && bot.status() == Status::Pending
        }
        (None, Some(_)) | (Some(_), None) => false,
    };
    let of_new = (&new.domain, &new.username, &new.color, new.message_type, &new.reply_to);
    bot && of_new
        == (&message.domain, &message.username, &message.color, message.message_type, &message.reply_to)
}

fn is_as_edited(edit: &Edit, message: &Message) -> bool {
    let priority = message.bot_params.as_ref().map(|bot| bot.priority);
    edit.id == message.id && (edit.priority.is_none() || edit.priority == priority)
}

/// Why nobody made this claim. No two claims have the same worker; a stream claims as often as it likes.
fn unclaimed(index: &Index<'_>, claim: &Seen) -> Option<String> {
    let worker = claim.message.bot_params.as_ref()?.claimed_by.as_deref().unwrap_or_default();
    let calls = index.claims_by(worker);
    let could = |call: &&Call| match (&call.request, &call.outcome) {
        (Request::Stream { .. }, _) => true,
        (_, Outcome::Answered(Answer::Work(Some(granted)))) => granted.message.seq == claim.seq,
        (Request::Claim { id, .. }, Outcome::Lost(_)) => *id == claim.message.id,
        (_, Outcome::Lost(_)) => true,
        _ => false,
    };
    (!calls.iter().copied().any(|call| could(&call)))
        .then(|| format!("is for the worker {worker:?}, who was not given it"))
}

/// Why nobody ended this claim so: whoever did must have known its token, and must not have been refused.
fn not_ended(index: &Index<'_>, change: &Seen) -> Option<String> {
    let id = &change.message.id;
    if index.steps_on(id).iter().any(|call| is_step(call, change.kind)) {
        return None;
    }
    let Some(claim) = index.claim_at(id, change.seq) else { return Some("ends no claim".to_owned()) };
    let Some(token) = index.token_of(claim) else {
        // Work that never reached its worker goes back by itself.
        let back = change.kind == ChangeKind::Released;
        return (!back).then(|| format!("ends claim {}, whose token nobody was told", claim.seq));
    };
    let steps = index.steps_under(token);
    let asked = steps.iter().any(|(call, item)| {
        call.refusal(*item).is_none()
            && match (&call.request, change.kind) {
                (Request::Release(_), ChangeKind::Released) => true,
                (Request::Fail { retryable, .. }, ChangeKind::RetryScheduled) => *retryable,
                (Request::Fail { .. }, ChangeKind::Failed) => true,
                (Request::Complete(_), ChangeKind::Completed) => true,
                _ => false,
            }
    });
    (!asked)
        .then(|| format!("ends claim {}, and its worker asked for no such thing, or was refused", claim.seq))
}

/// Whether a call is such a step of an author or an operator, and was not refused.
fn is_step(call: &Call, kind: ChangeKind) -> bool {
    let by_hand = |edit: &Edit| match edit.status {
        Some(Status::Pending) => matches!(kind, ChangeKind::Released | ChangeKind::Retried),
        Some(Status::Complete) => kind == ChangeKind::Completed,
        Some(Status::Failed) => kind == ChangeKind::Cancelled,
        Some(Status::Processing | Status::Unspecified) | None => false,
    };
    call.refusal(0).is_none()
        && match &call.request {
            Request::Cancel(_) => kind == ChangeKind::Cancelled,
            Request::Retry(_) => kind == ChangeKind::Retried,
            Request::Delete { .. } => kind == ChangeKind::Deleted,
            Request::Edit(edit) => by_hand(edit),
            _ => false,
        }
}

/// A message is not cancelled, retried or deleted more often than somebody asked for it.
fn steps_on_one_message(index: &Index<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for (id, changes) in index.messages() {
        for kind in [ChangeKind::Cancelled, ChangeKind::Retried, ChangeKind::Deleted] {
            let made = changes.iter().filter(|change| change.kind == kind).count();
            let asked = index.steps_on(id).iter().filter(|call| is_step(call, kind)).count();
            if made > asked && asked > 0 {
                broken.push(format!("{id} has {made} changes {kind:?}, and {asked} were asked for"));
            }
        }
    }
    broken
}

/// An answered call whose answer shows another change than it asked for.
fn without_effect(index: &Index<'_>, call: &Call) -> Option<String> {
    let expected: &[ChangeKind] = match &call.request {
        Request::Post(_) => &[ChangeKind::Posted],
        Request::Edit(Edit { status: None, .. }) => &[ChangeKind::Edited],
        // A step to where the message stands is none.
        Request::Edit(_) => return None,
        Request::Delete { .. } => &[ChangeKind::Deleted],
        Request::Claim { .. } | Request::ClaimNext { .. } => &[ChangeKind::Claimed],
        Request::Release(_) => &[ChangeKind::Released],
        Request::Fail { retryable: true, .. } => &[ChangeKind::RetryScheduled, ChangeKind::Failed],
        Request::Fail { retryable: false, .. } => &[ChangeKind::Failed],
        _ => return None,
    };
    if let Some((post, posted)) =
        answers_of(call).find(|(post, posted)| post.mark() != posted.message.eq_score)
    {
        return Some(format!(
            "{call} was answered for {} with the post {}",
            post.mark(),
            posted.message.eq_score
        ));
    }
    call.shown().into_iter().find_map(|message| {
        let kind = index.log.change(message.seq)?.kind;
        (!expected.contains(&kind))
            .then(|| format!("{call} was answered with change {}, which is {kind:?}", message.seq))
    })
}

/// Each post of a call with its answer.
fn answers_of(call: &Call) -> impl Iterator<Item = (&Post, &Posted)> {
    let answered = match (&call.request, call.answer()) {
        (Request::Post(posts), Some(Answer::Posted(answers))) => Some(posts.iter().zip(answers)),
        _ => None,
    };
    answered.into_iter().flatten().filter_map(|(post, answer)| Some((post, answer.as_ref().ok()?)))
}

fn was_given_up(message: &Message) -> bool {
    let error = message.bot_params.as_ref().and_then(|bot| bot.error.as_deref());
    error.is_some_and(|error| error.ends_with("leases ended without a result"))
}
