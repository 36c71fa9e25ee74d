//! Nobody sees less than what was acknowledged before they asked, and what was asked for later happens later.

use std::collections::HashMap;

use super::index::{Index, Side};
use crate::{
    history::{Answer, Call, FaceKind},
    request::Request,
};

/// The newest state of each message that was shown so far.
type Newest<'a> = HashMap<&'a str, u64>;

/// No answer shows a message older than an answer before it. The queue-service shows to everybody what it has told
/// anybody; a gateway's pages show what was written through this gateway, or stood on a page of it.
pub(super) fn nothing_shown_is_older_than_what_was_acknowledged(index: &Index<'_>) -> Vec<String> {
    let (mut of_queue, mut of_gateway) = (Newest::new(), Newest::new());
    let mut broken = Vec::new();
    for (_, side, call) in index.timeline() {
        let through_tail = call.face == FaceKind::Json && matches!(call.request, Request::Page { .. });
        match side {
            Side::Begins if shows_an_older_state(call) => {}
            Side::Begins => {
                let known = if through_tail { &of_gateway } else { &of_queue };
                broken.extend(older_than(known, call));
            }
            Side::Ends => {
                learn(&mut of_queue, call);
                if through_tail || call.face == FaceKind::Json && call.request.writes() {
                    learn(&mut of_gateway, call);
                }
            }
        }
    }
    broken
}

fn older_than(known: &Newest<'_>, call: &Call) -> Option<String> {
    call.shown().into_iter().find_map(|message| {
        let known = *known.get(message.id.as_str())?;
        (message.seq < known).then(|| {
            format!(
                "{call} shows {} as of change {}, change {known} was shown before",
                message.id, message.seq
            )
        })
    })
}

fn learn<'a>(known: &mut Newest<'a>, call: &'a Call) {
    for message in call.shown() {
        let newest = known.entry(&message.id).or_default();
        *newest = message.seq.max(*newest);
    }
}

/// A replay tells the first answer again, a page of changes tells what was, and a stream was opened long before.
fn shows_an_older_state(call: &Call) -> bool {
    match (&call.request, call.answer()) {
        (_, Some(Answer::Posted(items))) => items.iter().flatten().any(|posted| posted.replayed),
        (Request::Page { from, .. }, _) => matches!(from, crate::request::From::Cursor(_)),
        (Request::Stream { .. }, _) => true,
        _ => false,
    }
}

/// A change that was asked for after another one was shown has a greater number.
pub(super) fn what_is_asked_later_happens_later(index: &Index<'_>) -> Vec<String> {
    let (mut broken, mut newest) = (Vec::new(), 0);
    for (_, side, call) in index.timeline() {
        match side {
            Side::Begins => {
                if let Some(seq) = made_by(call).filter(|seq| *seq <= newest) {
                    broken.push(format!(
                        "{call} was asked for after change {newest} was shown, and became {seq}"
                    ));
                }
            }
            Side::Ends => newest = call.shown().iter().map(|message| message.seq).fold(newest, u64::max),
        }
    }
    broken
}

/// Number of the change that a call made for sure.
fn made_by(call: &Call) -> Option<u64> {
    match (&call.request, call.answer()?) {
        (_, Answer::Posted(items)) => {
            items.iter().flatten().filter(|posted| !posted.replayed).map(|posted| posted.message.seq).min()
        }
        (Request::Claim { .. } | Request::ClaimNext { .. }, Answer::Work(granted)) => {
            granted.as_ref().map(|granted| granted.message.seq)
        }
        (Request::Edit(_) | Request::Release(_) | Request::Fail { .. }, Answer::Message(message)) => {
            Some(message.seq)
        }
        (_, Answer::Completed(items)) => {
            let made = items.iter().flatten().filter(|completed| !completed.already);
            made.filter_map(|completed| completed.message.as_ref()).map(|message| message.seq).min()
        }
        _ => None,
    }
}
