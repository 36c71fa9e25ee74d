//! What operators measure of the decisions of one group: how long messages waited and were worked on, and which leases were
//! lost. No rule asks for it, and nothing of it is stored.

use super::{AttemptEnd, Change, ChangeKind, Millis, Queue, Record, Status, Work, claim::CLAIM_LIMIT_MS};

/// The measurements since the last [`Queue::take_measured`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Of each claim, how long its message could have been taken before.
    pub waited: Vec<Millis>,
    /// Of each completion by a worker, how long after its claim it came.
    pub worked: Vec<Millis>,
    /// The leases that ended without their worker having said anything.
    pub lost: Vec<LeaseLoss>,
}

/// Why a worker has lost a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseLoss {
    /// It was not renewed in time.
    Expired,
    /// It was renewed for as long as a claim may last.
    ClaimLimit,
    /// The worker was gone when the message was handed to it.
    Undelivered,
    /// Somebody cancelled, deleted, hid or decided the message.
    CalledOff,
}

impl LeaseLoss {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Expired, Self::ClaimLimit, Self::Undelivered, Self::CalledOff];

    /// The reason of this end of a claim, if that was a loss.
    fn of(work: &Work) -> Option<Self> {
        let attempt = work.past_attempts.last()?;
        match attempt.end {
            AttemptEnd::LeaseLost if attempt.ended - attempt.began >= CLAIM_LIMIT_MS => {
                Some(Self::ClaimLimit)
            }
            AttemptEnd::LeaseLost => Some(Self::Expired),
            AttemptEnd::Undelivered => Some(Self::Undelivered),
            AttemptEnd::CalledOff => Some(Self::CalledOff),
            AttemptEnd::Completed | AttemptEnd::Failed | AttemptEnd::Released | AttemptEnd::HeldBack => None,
        }
    }
}

impl Queue {
    /// Hands over what was measured since the last call.
    pub fn take_measured(&mut self) -> Measured {
        std::mem::take(&mut self.measured)
    }

    /// Measures a claim that is made now on this pending message.
    pub(super) fn measure_wait(&mut self, record: &Record) {
        let Some(work) = &record.state.work else { return };
        if work.claims > 0 && work.attempts() == 0 {
            // Put back by an operator: nothing says when.
            return;
        }
        let due = work.not_before.map(|due| self.shown(due));
        let given_back = work.past_attempts.last().map(|attempt| attempt.ended);
        let offered = due.into_iter().chain(given_back).fold(record.content.timestamp, Millis::max);
        // Who claims by id may take what is not due yet; stamps may be a little ahead.
        self.measured.waited.push(self.wall().saturating_sub(offered).max(0));
    }

    /// Measures a change that is about to be applied.
    pub(super) fn measure(&mut self, change: &Change) {
        let Record { content, state } = &change.record;
        let Some(work) = &state.work else { return };
        match (change.kind, &work.claim) {
            // The claim of who completed it is kept; that of a worker from whom it was taken is not.
            (ChangeKind::Completed, Some(claim)) => {
                let completed_at = work.completed_at.unwrap_or(claim.at);
                self.measured.worked.push(completed_at.saturating_sub(claim.at).max(0));
            }
            (
                ChangeKind::Completed
                | ChangeKind::Released
                | ChangeKind::Expired
                | ChangeKind::Failed
                | ChangeKind::Cancelled
                | ChangeKind::Deleted
                | ChangeKind::Hidden,
                _,
            ) => {
                let before = self.live(content.posted).and_then(|live| live.record.state.work.as_ref());
                if before.is_some_and(|before| before.status == Status::Processing) {
                    self.measured.lost.extend(LeaseLoss::of(work));
                }
            }
            (
                ChangeKind::Posted
                | ChangeKind::Claimed
                | ChangeKind::RetryScheduled
                | ChangeKind::Retried
                | ChangeKind::Edited
                | ChangeKind::Restored,
                _,
            ) => {}
        }
    }
}
