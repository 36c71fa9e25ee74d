//! What was shown to anybody is kept: a write that was acknowledged, and also what a reader has seen.

use repartee_proto::v1::{BotParams, ChangeKind, Message};

use super::index::Index;
use crate::history::Seen;

/// Every message that an answer or a watch showed stands in the log as it was shown, at the number that it was shown with.
pub(super) fn what_was_shown_is_kept(index: &Index<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for call in &index.history.calls {
        for message in call.shown() {
            broken.extend(check(index, message, None, || call.to_string()));
        }
    }
    for watched in &index.history.watched {
        for seen in &watched.changes {
            broken.extend(check(index, &seen.message, Some(seen.kind), || {
                format!("the watch of {}", watched.by)
            }));
        }
    }
    for (id, changes) in index.messages() {
        broken.extend(check_text_now(index, id, changes));
    }
    broken
}

fn check(
    index: &Index<'_>,
    shown: &Message,
    kind: Option<ChangeKind>,
    who: impl Fn() -> String,
) -> Option<String> {
    let (seq, id) = (shown.seq, &shown.id);
    let Some(kept) = index.log.change(seq) else {
        return Some(format!(
            "lost: {} showed change {seq} of {id}, and the log ends at {}",
            who(),
            index.log.last()
        ));
    };
    if kept.message.id != *id {
        return Some(format!(
            "lost: {} showed change {seq} of {id}, and in the log it is one of {}",
            who(),
            kept.message.id
        ));
    }
    if kind.is_some_and(|kind| kind != kept.kind) {
        return Some(format!(
            "{} showed change {seq} of {id} as {kind:?}, the log has {:?}",
            who(),
            kept.kind
        ));
    }
    if !same_state(shown, &kept.message) {
        return Some(format!("{} showed change {seq} as {shown:?}, the log has {:?}", who(), kept.message));
    }
    let texts = texts(index, index.changes_of(id), seq);
    let fits = texts.is_empty() || texts.contains(&shown.text.as_str());
    let gone = (texts.contains(&""), texts == [""]);
    if !fits || shown.deleted && !gone.0 || !shown.deleted && gone.1 {
        let text = if shown.deleted { "(deleted)" } else { &shown.text };
        return Some(format!(
            "{} showed change {seq} of {id} with the text {text:?}, then and later it had {texts:?}",
            who()
        ));
    }
    None
}

/// In the log the last change of a message shows the text of its last edit, or that it is deleted.
fn check_text_now(index: &Index<'_>, id: &str, changes: &[&Seen]) -> Option<String> {
    let last = changes.last()?;
    // Who asked for no change of this message is told by another rule.
    let now = *texts(index, changes, last.seq).first()?;
    (last.message.text != now || last.message.deleted != now.is_empty())
        .then(|| format!("the text of {id} should be {now:?}, the log has {:?}", last.message.text))
}

/// The text that a message had at a change, and those that it had later: an old change shows the text of today.
fn texts<'a>(index: &Index<'a>, changes: &[&'a Seen], seq: u64) -> Vec<&'a str> {
    let mut texts = Vec::new();
    for change in changes {
        let text = match change.kind {
            ChangeKind::Posted | ChangeKind::Edited => index.text_under(change.message.eq_score),
            ChangeKind::Deleted => Some(""),
            _ => None,
        };
        if let Some(text) = text {
            if change.seq <= seq {
                texts.clear();
            }
            texts.push(text);
        }
    }
    texts
}

/// Whether two showings of a change differ in nothing but what an edit or a deletion takes back: the text, and an error
/// that may quote it.
fn same_state(shown: &Message, kept: &Message) -> bool {
    let Message {
        id,
        timestamp,
        seq,
        domain,
        text: _,
        username,
        color,
        message_type,
        reply_to,
        eq_score,
        bot_params,
        deleted,
        // Shown to operators only.
        author: _,
        address: _,
        hidden: _,
    } = shown;
    let of_message = (id, timestamp, seq, domain, username, color, message_type, reply_to, eq_score);
    let Message { id, timestamp, seq, domain, username, color, message_type, reply_to, eq_score, .. } = kept;
    let blurred = |bot: &Option<BotParams>| {
        bot.clone().map(|bot| BotParams { error: bot.error.filter(|_| !deleted && !kept.deleted), ..bot })
    };
    of_message == (id, timestamp, seq, domain, username, color, message_type, reply_to, eq_score)
        && (*bot_params == kept.bot_params || blurred(bot_params) == blurred(&kept.bot_params))
}
