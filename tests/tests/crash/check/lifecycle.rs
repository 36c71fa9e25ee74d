//! Every message goes through its life step by step, as the drawing in ARCHITECTURE.md shows it.

use repartee_proto::v1::{ChangeKind, Status};

use super::index::Index;
use crate::history::Seen;

/// Leases without a result after which a message is given up at the earliest, by the default of the service: two workers at
/// least have lost it then.
const MOST_EXPIRIES: usize = 3;

/// Each change of a message leads on from the one before it.
pub(super) fn every_step_leads_on(index: &Index<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for (id, changes) in index.messages() {
        if changes[0].kind != ChangeKind::Posted {
            broken.push(format!("change {} is of {id}, which was never posted", changes[0].seq));
        }
        for (number, pair) in changes.windows(2).enumerate() {
            let [before, now] = pair else { continue };
            if let Some(why) = misstep(&changes[..=number], before, now) {
                broken.push(format!("change {} of {id} after change {}: {why}", now.seq, before.seq));
            }
        }
    }
    broken
}

/// Why one change cannot follow another.
fn misstep(history: &[&Seen], before: &Seen, now: &Seen) -> Option<String> {
    let (from, to) = (status(before), status(now));
    let claims = |change: &Seen| change.message.bot_params.as_ref().map_or(0, |bot| bot.attempts);
    let expected_claims = claims(before) + u32::from(now.kind == ChangeKind::Claimed);
    if claims(now) != expected_claims {
        return Some(format!("it has {} claims in place of {expected_claims}", claims(now)));
    }
    if history.iter().any(|change| change.kind == ChangeKind::Deleted) {
        return Some(format!("{:?} after its deletion", now.kind));
    }
    let leads_on = match now.kind {
        ChangeKind::Posted => return Some("it was posted twice".to_owned()),
        ChangeKind::Claimed if from == Some(Status::Processing) => {
            return Some("it was claimed while another claim held it".to_owned());
        }
        ChangeKind::Completed if from == Some(Status::Complete) => {
            return Some("it was completed twice".to_owned());
        }
        ChangeKind::Claimed => (from, to) == (Some(Status::Pending), Some(Status::Processing)),
        ChangeKind::Released | ChangeKind::Expired | ChangeKind::RetryScheduled => {
            (from, to) == (Some(Status::Processing), Some(Status::Pending))
        }
        ChangeKind::Failed => {
            (from, to) == (Some(Status::Processing), Some(Status::Failed)) && was_given_up(history, now)
        }
        ChangeKind::Completed => {
            let late = from == Some(Status::Pending) && last_step(history) == Some(ChangeKind::Expired);
            (from == Some(Status::Processing) || late) && to == Some(Status::Complete)
        }
        ChangeKind::Cancelled => {
            let may = matches!(from, Some(Status::Pending | Status::Processing | Status::Failed));
            may && to == Some(Status::Failed) && last_step(history) != Some(ChangeKind::Cancelled)
        }
        ChangeKind::Retried => (from, to) == (Some(Status::Failed), Some(Status::Pending)),
        ChangeKind::Edited => from == to,
        ChangeKind::Deleted => match from {
            Some(Status::Pending | Status::Processing) => to == Some(Status::Failed),
            other => other == to,
        },
        // Nobody is told of these.
        ChangeKind::Hidden | ChangeKind::Restored | ChangeKind::Unspecified => false,
    };
    (!leads_on).then(|| format!("{:?} leads from {from:?} to {to:?}", now.kind))
}

/// A message that is given up without a worker's word was given up for its leases that ended.
fn was_given_up(history: &[&Seen], now: &Seen) -> bool {
    let error = now.message.bot_params.as_ref().and_then(|bot| bot.error.as_deref()).unwrap_or_default();
    if !error.ends_with("leases ended without a result") {
        return true;
    }
    let since_retry = history.iter().rev().take_while(|change| change.kind != ChangeKind::Retried);
    since_retry.filter(|change| change.kind == ChangeKind::Expired).count() + 1 >= MOST_EXPIRIES
}

/// The last change that was a step: edits are none.
fn last_step(history: &[&Seen]) -> Option<ChangeKind> {
    history.iter().map(|change| change.kind).rfind(|kind| *kind != ChangeKind::Edited)
}

/// Where the work in a message stands; none where it is no work.
pub(super) fn status(change: &Seen) -> Option<Status> {
    change.message.bot_params.as_ref().map(|bot| bot.status())
}
