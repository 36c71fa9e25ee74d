//! Nobody is refused what the service has promised.

use repartee_proto::v1::ChangeKind;

use super::index::Index;
use crate::{history::Seen, request::Request};

/// What clients that ask for well-formed things about messages that exist may be refused for: another one was there
/// before them. All bounds of the service are far away.
const KNOWN: [&str; 6] =
    ["NOT_PENDING", "LEASE_LOST", "ALREADY_COMPLETED", "CANCELLED", "FAILED", "WRONG_STATUS"];

/// Nobody is told that a message is not there, that something is full, or that a request is wrong.
pub(super) fn refusals_have_a_known_reason(index: &Index<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for call in &index.history.calls {
        let items = match &call.request {
            Request::Post(items) => items.len(),
            Request::Complete(items) => items.len(),
            _ => 1,
        };
        let strange = (0..items).filter_map(|item| call.refusal(item));
        if let Some(refusal) = strange.into_iter().find(|refusal| !KNOWN.contains(&refusal.reason.as_str())) {
            broken.push(format!("{call} was refused: {} {}", refusal.code, refusal.reason));
        }
    }
    broken
}

/// A completion is refused only where its claim was lost before: another claim, another end, or somebody's step.
pub(super) fn a_refused_completion_has_lost_its_lease(index: &Index<'_>) -> Vec<String> {
    let mut broken = Vec::new();
    for call in &index.history.calls {
        let Request::Complete(items) = &call.request else { continue };
        for (number, item) in items.iter().enumerate() {
            let Some(refusal) = call.refusal(number) else { continue };
            let changes = index.changes_of(&item.lease.id).iter();
            let claim =
                changes.copied().find(|change| index.token_of(change) == Some(item.lease.token.as_str()));
            let lost = claim.is_some_and(|claim| is_lost_to_others(index, claim));
            if !lost {
                let (code, reason) = (&refusal.code, &refusal.reason);
                broken.push(format!(
                    "{call} was refused ({code} {reason}), and its lease on {} was not lost",
                    item.lease.id
                ));
            }
        }
    }
    broken
}

/// Whether a claim was lost, and not by its own completion.
fn is_lost_to_others(index: &Index<'_>, claim: &Seen) -> bool {
    let later = index.changes_of(&claim.message.id).iter().filter(|change| change.seq > claim.seq);
    let first =
        later.into_iter().find(|change| !matches!(change.kind, ChangeKind::Edited | ChangeKind::Expired));
    // An operator who completes a message takes it from its worker: nobody's claim is left on it.
    let by_operator =
        |change: &Seen| change.message.bot_params.as_ref().is_some_and(|bot| bot.claimed_by.is_none());
    first.is_some_and(|change| change.kind != ChangeKind::Completed || by_operator(change))
}
