//! What became of the claims of a message, for those who look after the queue: the last few that ended. No rule asks for it.

use super::{Claim, Millis, Record, Status, Work};

/// A claim that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Name of the worker.
    pub worker: String,
    /// When the claim was made, by the wall clock.
    pub began: Millis,
    /// When it ended, by the wall clock.
    pub ended: Millis,
    /// How it ended.
    pub end: AttemptEnd,
    /// Which of all errors of the message it left, counted from 0; none if it left none.
    pub error: Option<u32>,
}

/// How a claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The worker finished the message.
    Completed,
    /// The worker reported a failure.
    Failed,
    /// Its lease ended without a result.
    LeaseLost,
    /// The worker gave the message back.
    Released,
    /// The worker gave it back because of an outage, and takes nothing for now.
    HeldBack,
    /// The worker never saw the message: it was gone when the message was handed to it.
    Undelivered,
    /// Somebody called the work off, or took it away from the worker.
    CalledOff,
}

/// An attempt as it is shown: with its error, and without an end while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownAttempt {
    /// Name of the worker.
    pub worker: String,
    /// When the claim was made.
    pub began: Millis,
    /// When and how it ended; none while the worker holds the message.
    pub ended: Option<(Millis, AttemptEnd)>,
    /// The error that it left, if that is still kept.
    pub error: Option<String>,
}

impl Work {
    /// How many attempts that ended are kept with a message.
    pub const ATTEMPTS_KEPT: usize = 10;

    /// Notes that the claim which holds the message ends now. Nothing happens if none does.
    pub(super) fn end_attempt(&mut self, end: AttemptEnd, wall: Millis) {
        let Some(claim) = self.claim.as_ref().filter(|_| self.status == Status::Processing) else { return };
        let left_error = end == AttemptEnd::Failed;
        let error = left_error.then(|| self.errors_forgotten + self.errors.len().saturating_sub(1) as u32);
        let Claim { worker, at, .. } = claim;
        let attempt = Attempt { worker: worker.name.clone(), began: *at, ended: wall, end, error };
        self.past_attempts.push(attempt);
        let surplus = self.past_attempts.len().saturating_sub(Self::ATTEMPTS_KEPT);
        self.past_attempts.drain(..surplus);
    }

    /// Forgets all errors: one may quote a text that is gone.
    pub(super) fn forget_errors(&mut self) {
        self.errors_forgotten = self.errors_forgotten.saturating_add(self.errors.len() as u32);
        self.errors.clear();
    }

    /// The attempts that are known, oldest first: the last ones that ended, and the one that goes on or that finished the
    /// message.
    pub fn shown_attempts(&self) -> Vec<ShownAttempt> {
        let ended = |attempt: &Attempt| ShownAttempt {
            worker: attempt.worker.clone(),
            began: attempt.began,
            ended: Some((attempt.ended, attempt.end)),
            error: attempt.error.and_then(|number| self.error(number)).cloned(),
        };
        let mut shown: Vec<_> = self.past_attempts.iter().map(ended).collect();
        let Some(claim) = &self.claim else { return shown };
        let ended = match self.status {
            Status::Processing => None,
            Status::Complete => self.completed_at.map(|at| (at, AttemptEnd::Completed)),
            Status::Pending | Status::Failed => return shown,
        };
        // A late answer finishes the claim whose lease had ended before.
        let is_late = |last: &mut ShownAttempt| last.began == claim.at && last.worker == claim.worker.name;
        shown.pop_if(is_late);
        shown.push(ShownAttempt { worker: claim.worker.name.clone(), began: claim.at, ended, error: None });
        shown
    }

    /// The error with this number, if it is still kept.
    fn error(&self, number: u32) -> Option<&String> {
        self.errors.get(number.checked_sub(self.errors_forgotten)? as usize)
    }

    /// Bytes that the kept attempts take, by estimate.
    pub(super) fn attempts_bytes(&self) -> usize {
        self.past_attempts.iter().map(|attempt| size_of::<Attempt>() + attempt.worker.len()).sum()
    }
}

impl Record {
    /// Notes that the claim which holds this message ends now.
    pub(super) fn end_attempt(&mut self, end: AttemptEnd, wall: Millis) {
        if let Some(work) = &mut self.state.work {
            work.end_attempt(end, wall);
        }
    }
}
