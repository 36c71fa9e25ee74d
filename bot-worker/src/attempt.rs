//! One attempt: runs the handler on one claim, then reports what came of it.
//!
//! A handler can fail, panic or hang; none of this may reach the session.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use repartee_process::telemetry::{self, in_call};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    Breaker, HandlerError, Task,
    handler::{Handler, Outcome},
    held::Claim,
    measures::Attempts,
    report::Reporter,
    traces,
};

/// How long a handler may go on after its task was cancelled, before it is dropped.
const CANCEL_GRACE: Duration = Duration::from_millis(500);

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Token of the claim.
    pub(crate) token: String,
    /// What became of the claim.
    pub(crate) end: End,
}

/// What became of a claim at the end of its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The service has taken, or finally refused, the outcome.
    Reported,
    /// There was an outcome, but the service did not answer for as long as the lease could be alive.
    Unanswered,
    /// The attempt was stopped before it had an outcome.
    Stopped,
}

/// One attempt on one claim.
pub(crate) struct Attempt {
    pub(crate) task: Task,
    pub(crate) claim: Claim,
    pub(crate) handler: Handler,
    pub(crate) reporter: Reporter,
    /// Bounds how many handlers run, also while cancelled ones still end.
    pub(crate) slots: Arc<Semaphore>,
    /// Whether answers can be given at all.
    pub(crate) breaker: Breaker,
    pub(crate) attempts: Attempts,
}

impl Attempt {
    /// Runs the handler and reports its outcome.
    pub(crate) async fn run(self) -> Ended {
        let began = Instant::now();
        let token = self.claim.lease.lease_token.clone();
        let stop = self.claim.stop.clone();
        let draft = self.task.draft().clone().show(self.reporter.client.clone(), self.claim.lease.clone());
        // Until the outcome is reported: people see the draft until they see the reply.
        let _draft = AbortOnDropHandle::new(tokio::spawn(in_call(traces::beside(), draft)));
        let outcome = tokio::select! {
            outcome = handled(self.handler, self.task, self.slots, &self.breaker) => Some(outcome),
            () = grace_over(&stop) => None,
        };
        let mut counted = None;
        if matches!(outcome, Some(Err(_))) {
            telemetry::note_outcome(|span| span.fail("failed"));
        }
        let end = match outcome {
            // A failure because of the cancellation must not be counted against the message.
            Some(Err(_)) if stop.is_cancelled() => End::Stopped,
            Some(outcome) => {
                counted = Some(self.attempts.with(&outcome));
                self.reporter.report(&self.claim, outcome).await
            }
            None => End::Stopped,
        };
        self.attempts.note(end, counted, began.elapsed());
        match end {
            End::Reported => {}
            End::Unanswered => telemetry::note_outcome(|span| span.fail("unanswered")),
            End::Stopped => telemetry::note_outcome(|span| span.fail("stopped")),
        }
        Ended { token, end }
    }
}

async fn handled(handler: Handler, task: Task, slots: Arc<Semaphore>, breaker: &Breaker) -> Outcome {
    let _slot = slots.acquire().await.expect("the semaphore is never closed");
    // Handed out before the service knew that this worker holds back.
    if let Some(why) = breaker.outage() {
        return Err(HandlerError::outage(why));
    }
    let caught = AssertUnwindSafe(handler(task)).catch_unwind().await;
    // The panic hook has printed the payload; it may quote what people wrote, so it is not passed on.
    let outcome = caught.unwrap_or_else(|_payload| Err(HandlerError::retryable("the handler panicked")));
    if let Err(error) = &outcome
        && error.is_outage
    {
        breaker.open(&error.text, error.retry_after);
    }
    outcome
}

async fn grace_over(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(CANCEL_GRACE).await;
}
