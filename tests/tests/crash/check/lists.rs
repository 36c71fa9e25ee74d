//! The lists of pending and of failed messages, and conversations: they show what the log says, nothing else, in order.

use std::collections::{BTreeSet, HashMap};

use repartee_proto::v1::{ChangeKind, Message, MessageType, Status};

use super::{index::Index, lifecycle::status};
use crate::{
    history::{Answer, Call, Seen},
    request::{Pair, Request},
};

/// What a list shows at the most.
const LONGEST: usize = 1_000;
/// Milliseconds of waiting that count as one level of priority; the default of the service.
const AGING: i64 = 60_000;

/// One list: read after change `from` and before change `to + 1`.
struct List<'a> {
    call: &'a Call,
    from: u64,
    to: u64,
    messages: &'a [Message],
    is_pending: bool,
}

/// Where a message stands for a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    In,
    /// Pending, and perhaps not due before later: it may be listed or not.
    Perhaps,
    Out,
}

/// A list has every message that belongs to it, and no other, in its order.
pub(super) fn lists_are_complete(index: &Index<'_>) -> Vec<String> {
    let mut lists: Vec<List<'_>> = index.history.calls.iter().filter_map(list).collect();
    lists.sort_by_key(|list| list.from);
    let mut broken = Vec::new();
    let mut places = [HashMap::new(), HashMap::new()];
    let mut changes = index.log.changes.iter().peekable();
    for list in &lists {
        while let Some(change) = changes.next_if(|change| change.seq <= list.from) {
            for (is_pending, places) in [true, false].into_iter().zip(&mut places) {
                step(places, change, is_pending);
            }
        }
        let places = if list.is_pending { &places[0] } else { &places[1] };
        broken.extend(check_members(index, list, places).or_else(|| check_order(index, list)));
    }
    broken
}

fn list(call: &Call) -> Option<List<'_>> {
    let Some(Answer::Listed { from, to, messages }) = call.answer() else { return None };
    let is_pending = match call.request {
        Request::ListPending => true,
        Request::ListFailed => false,
        _ => return None,
    };
    Some(List { call, from: *from, to: *to, messages, is_pending })
}

/// Notes where a message stands after a change. Only those are kept that are not out.
fn step<'a>(places: &mut HashMap<&'a str, Place>, change: &'a Seen, is_pending: bool) {
    let before = places.get(change.message.id.as_str()).copied().unwrap_or(Place::Out);
    match place(change, is_pending, before) {
        Place::Out => places.remove(change.message.id.as_str()),
        place => places.insert(&change.message.id, place),
    };
}

fn place(change: &Seen, is_pending: bool, before: Place) -> Place {
    match (status(change), change.kind, is_pending) {
        (_, ChangeKind::Deleted, _) => Place::Out,
        // An edit leaves a wait for a retry as it was.
        (_, ChangeKind::Edited, _) => before,
        (Some(Status::Pending), ChangeKind::RetryScheduled, true) => Place::Perhaps,
        (Some(Status::Pending), _, true) | (Some(Status::Failed), _, false) => Place::In,
        _ => Place::Out,
    }
}

fn check_members(index: &Index<'_>, list: &List<'_>, places: &HashMap<&str, Place>) -> Option<String> {
    // What changed while the list was read may be in it before and after.
    let begin = index.log.changes.partition_point(|change| change.seq <= list.from);
    let end = index.log.changes.partition_point(|change| change.seq <= list.to);
    let meanwhile = &index.log.changes[begin..end.max(begin)];
    let moved: BTreeSet<&str> = meanwhile.iter().map(|change| change.message.id.as_str()).collect();
    let shown: BTreeSet<&str> = list.messages.iter().map(|message| message.id.as_str()).collect();
    if shown.len() < list.messages.len() {
        return Some(format!("{} shows a message twice", list.call));
    }
    if let Some(stranger) = shown.iter().find(|id| !places.contains_key(**id) && !moved.contains(**id)) {
        return Some(format!("{} shows {stranger}, which does not belong to it", list.call));
    }
    if list.messages.len() >= LONGEST && list.is_pending {
        return None;
    }
    let belongs = places.iter().filter(|(id, place)| **place == Place::In && !moved.contains(**id));
    let missing = belongs.map(|(id, _)| *id).find(|id| !shown.contains(id))?;
    Some(format!(
        "{} misses {missing} (it was read between the changes {} and {})",
        list.call, list.from, list.to
    ))
}

fn check_order(index: &Index<'_>, list: &List<'_>) -> Option<String> {
    let key = |message: &Message| {
        let priority = message.bot_params.as_ref().map_or(0, |bot| i64::from(bot.priority));
        (message.timestamp - priority * AGING, posted(index, message))
    };
    let in_order = if list.is_pending {
        list.messages.is_sorted_by_key(key)
    } else {
        list.messages.iter().rev().is_sorted_by_key(|message| posted(index, message))
    };
    (!in_order).then(|| format!("{} is out of order", list.call))
}

/// A conversation shows its messages, the oldest first, without those that were deleted.
pub(super) fn conversations_are_complete(index: &Index<'_>) -> Vec<String> {
    let conversations = conversations(index);
    let check = |call: &Call| {
        let (Request::GetConversation(pair), Some(Answer::Listed { from, to, messages })) =
            (&call.request, call.answer())
        else {
            return None;
        };
        let said = conversations.get(pair).map_or(&[][..], Vec::as_slice);
        let shown: Vec<u64> = messages.iter().map(|message| posted(index, message)).collect();
        let is_there =
            |post: &&&Seen, at: u64| post.seq <= at && deleted(index, post).is_none_or(|seq| seq > at);
        let (before, after) = (
            said.iter().filter(|post| is_there(post, *from)),
            said.iter().filter(|post| is_there(post, *to)),
        );
        let (before, after): (BTreeSet<u64>, BTreeSet<u64>) =
            (before.map(|post| post.seq).collect(), after.map(|post| post.seq).collect());
        if !shown.is_sorted_by(|one, next| one < next) {
            return Some(format!("{call} is out of order: {shown:?}"));
        }
        let stranger = shown.iter().find(|seq| !before.contains(seq) && !after.contains(seq));
        if let Some(stranger) = stranger {
            return Some(format!("{call} shows change {stranger}, which does not belong to it"));
        }
        let stays = before.iter().rev().filter(|seq| after.contains(seq)).take(LONGEST);
        let missing = stays.copied().find(|seq| !shown.contains(seq))?;
        Some(format!("{call} misses change {missing}"))
    };
    index.history.calls.iter().filter_map(check).collect()
}

/// Number of the change that posted a message.
fn posted(index: &Index<'_>, message: &Message) -> u64 {
    index.changes_of(&message.id).first().map_or(0, |change| change.seq)
}

/// Number of the change that deleted a message.
fn deleted(index: &Index<'_>, post: &Seen) -> Option<u64> {
    let mut changes = index.changes_of(&post.message.id).iter();
    changes.find(|change| change.kind == ChangeKind::Deleted).map(|change| change.seq)
}

/// Who said what to whom: a question, and what an AI says to a message of its conversation.
fn conversations<'a>(index: &Index<'a>) -> HashMap<Pair, Vec<&'a Seen>> {
    let mut said = HashMap::<Pair, Vec<&Seen>>::new();
    let mut pair_of = HashMap::<&str, (Option<Pair>, (String, String))>::new();
    for post in index.posts() {
        let message = &post.message;
        let author = (message.username.clone(), message.color.clone());
        let answered = message.reply_to.as_deref().and_then(|id| pair_of.get(id));
        let pair = match (&message.bot_params, answered) {
            (Some(bot), _) => {
                Some(Pair { human: author.clone(), ai: (bot.ai_username.clone(), bot.ai_color.clone()) })
            }
            (None, Some((pair, human))) if message.message_type() == MessageType::Ai => {
                Some(pair.clone().unwrap_or_else(|| Pair { human: human.clone(), ai: author.clone() }))
            }
            (None, _) => None,
        };
        if let Some(pair) = &pair {
            said.entry(pair.clone()).or_default().push(post);
        }
        pair_of.insert(&message.id, (pair, author));
    }
    said
}
