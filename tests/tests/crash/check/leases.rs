//! No two workers hold a message at the same time, as far as they were told, and no lease ends before its time.

use std::collections::BTreeMap;

use repartee_proto::v1::{ChangeKind, Status};

use super::index::Index;
use crate::{
    history::{Answer, Call, Granted},
    request::Request,
};

/// Service time is told by the wall clock, and each life of the service sets the one against the other anew, in whole
/// milliseconds: so long may one moment differ between two of them.
const ROUNDING: i64 = 10;

/// What a worker was told of one claim: from a moment of the clock until the end of its lease it holds the message.
#[derive(Debug)]
struct Hold<'a> {
    id: &'a str,
    token: &'a str,
    worker: &'a str,
    claimed_at: i64,
    told: Vec<(i64, i64)>,
}

/// At the moment of a claim nobody else holds the message: neither under a lease that was told and may not have been
/// ended, nor under the same claim.
pub(super) fn a_lease_is_held_alone(index: &Index<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for (id, holds) in holds(index) {
        for one in &holds {
            for other in holds.iter().filter(|other| other.token != one.token) {
                let at = other.claimed_at;
                if is_held(index, one, at) {
                    broken.push(format!(
                        "two leases at once on {id}: {} claimed it at {at}, and {} held it until {}",
                        other.worker,
                        one.worker,
                        one.told.iter().map(|(_, end)| *end).max().unwrap_or_default()
                    ));
                }
            }
        }
    }
    broken.extend(index.history.calls.iter().filter_map(of_another_worker));
    broken
}

/// A lease does not expire before the end that its worker was told last. The clock of the service is seen in the time
/// stamps of later messages, which are never behind it.
pub(super) fn no_lease_ends_early(index: &Index<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    let posts: Vec<(u64, i64)> = index.posts().map(|post| (post.seq, post.message.timestamp)).collect();
    for (id, holds) in holds(index) {
        let expiries = index.changes_of(id).iter().filter(|change| change.kind == ChangeKind::Expired);
        for expired in expiries {
            let Some(token) = index.claim_at(id, expired.seq).and_then(|claim| index.token_of(claim)) else {
                continue;
            };
            let Some(hold) = holds.iter().find(|hold| hold.token == token) else { continue };
            let end = hold.told.iter().map(|(_, end)| *end).max().unwrap_or_default();
            let next = posts.partition_point(|(seq, _)| *seq < expired.seq);
            if let Some((seq, stamp)) = posts.get(next).filter(|(_, stamp)| *stamp < end - ROUNDING) {
                broken.push(format!(
                    "the lease of {} on {id} was to last until {end}, it expired in change {}, before {stamp} (change {seq})",
                    hold.worker, expired.seq
                ));
            }
        }
    }
    broken
}

/// All that workers were told, by message and in the order of their claims.
fn holds<'a>(index: &Index<'a>) -> BTreeMap<&'a str, Vec<Hold<'a>>> {
    let mut holds = BTreeMap::<&str, Vec<Hold<'_>>>::new();
    for call in &index.history.calls {
        let Some((granted, worker)) = grant(call) else { continue };
        let of_message = holds.entry(&granted.message.id).or_default();
        let told = (call.ended.wall, granted.expires_at);
        match of_message.iter_mut().find(|hold| hold.token == granted.token) {
            Some(hold) => hold.told.push(told),
            None => of_message.push(Hold {
                id: &granted.message.id,
                token: &granted.token,
                worker,
                claimed_at: granted
                    .message
                    .bot_params
                    .as_ref()
                    .and_then(|bot| bot.claimed_at)
                    .unwrap_or_default(),
                told: vec![told],
            }),
        }
    }
    for hold in holds.values_mut().flatten() {
        for (call, _) in index.steps_under(hold.token) {
            if let Some(Answer::Renewed(end)) = call.answer() {
                hold.told.push((call.ended.wall, *end));
            }
        }
    }
    holds
}

/// Work that was handed out, and to whom.
fn grant(call: &Call) -> Option<(&Granted, &str)> {
    let Some(Answer::Work(Some(granted))) = call.answer() else { return None };
    let (Request::Claim { worker, .. } | Request::ClaimNext { worker, .. } | Request::Stream { worker, .. }) =
        &call.request
    else {
        return None;
    };
    Some((granted, worker))
}

/// Whether a worker holds its message at a moment of the clock for sure: it had been told so, and nobody had begun
/// anything that might end it.
fn is_held(index: &Index<'_>, hold: &Hold<'_>, at: i64) -> bool {
    let told = hold.told.iter().any(|(since, end)| (*since..*end - ROUNDING).contains(&at));
    let by_worker = index.steps_under(hold.token).iter().any(|(call, item)| {
        !matches!(call.request, Request::Renew(_)) && call.begun.wall <= at && call.refusal(*item).is_none()
    });
    let by_others = index.steps_on(hold.id).iter().any(|call| may_end_a_claim(call) && call.begun.wall <= at);
    told && !by_worker && !by_others
}

fn may_end_a_claim(call: &Call) -> bool {
    call.refusal(0).is_none()
        && match &call.request {
            Request::Cancel(_) | Request::Delete { .. } => true,
            Request::Edit(edit) => {
                matches!(edit.status, Some(Status::Pending | Status::Complete | Status::Failed))
            }
            _ => false,
        }
}

/// A claim that was answered with another worker's.
fn of_another_worker(call: &Call) -> Option<String> {
    let (granted, worker) = grant(call)?;
    let by = granted.message.bot_params.as_ref()?.claimed_by.as_deref()?;
    (by != worker).then(|| format!("{call} was given {}, which {by} holds", granted.message.id))
}
