//! Reporting an outcome until the service has taken it.
//!
//! A report may be repeated, because the service recognises the token: a completion whose answer was lost is not stored
//! twice. What is never done is to report another outcome once one may have arrived.

use std::time::Duration;

use repartee_proto::v1::{
    CompleteMessageRequest, FailMessageRequest, LeaseRef, ReleaseMessageRequest,
    work_outcome::Outcome as Taken, work_request::Step,
};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::{
    HandlerError, Reply,
    attempt::End,
    backoff::{Backoff, Waits},
    client::Client,
    handler::Outcome,
    held::Claim,
    status,
    steps::Steps,
    text::{ERROR_BYTES, HOLDS_BACK_BYTES, cut},
};

/// How long one step may take.
pub(crate) const CALL: Duration = Duration::from_secs(5);
/// Waits between two tries of one report.
const REPEAT: Waits = Waits::new(Duration::from_millis(50), Duration::from_secs(5));

/// The longest time that a failure may ask for before the next attempt.
const LONGEST_RETRY: Duration = Duration::from_secs(24 * 60 * 60);

/// Reports outcomes for the attempts of one session.
#[derive(Clone)]
pub(crate) struct Reporter {
    pub(crate) steps: Steps,
    /// For drafts, which have streams of their own.
    pub(crate) client: Client,
    /// The length of a lease. A restart of the service gives every lease a fresh one, so a report is worth repeating for
    /// this long past the end that this side knows of.
    pub(crate) lease: Duration,
    /// The token may be replaced: while it is refused, reports are repeated.
    pub(crate) token_may_change: bool,
}

impl Reporter {
    /// Reports `outcome` until the service has taken or finally refused it, or the lease cannot be alive any more.
    pub(crate) async fn report(self, claim: &Claim, outcome: Outcome) -> End {
        let id = &claim.lease.message_id;
        let reply = match outcome {
            Ok(reply) => reply,
            Err(error) if error.is_outage => return self.give_back(claim, &error).await,
            Err(error) => return self.fail(claim, &error).await,
        };
        let result = self.repeat(claim, &Step::Complete(complete(&claim.lease, reply))).await;
        if let Err(status) = &result
            && status.code() == Code::InvalidArgument
        {
            tracing::warn!(id, problem = status.message(), "the service refuses the reply");
            let refused = format!("the reply was refused: {}", status.message());
            return self.fail(claim, &HandlerError::retryable(refused)).await;
        }
        settled(id, "completed", &result)
    }

    async fn fail(&self, claim: &Claim, error: &HandlerError) -> End {
        let result = self.repeat(claim, &Step::Fail(failure(&claim.lease, error))).await;
        settled(&claim.lease.message_id, "failed", &result)
    }

    /// Gives the claim back because nothing can be answered at present.
    async fn give_back(&self, claim: &Claim, outage: &HandlerError) -> End {
        let holds_back = Some(cut(&outage.text, HOLDS_BACK_BYTES).to_owned());
        let request = ReleaseMessageRequest { lease: Some(claim.lease.clone()), holds_back };
        let result = self.repeat(claim, &Step::Release(request)).await;
        settled(&claim.lease.message_id, "given back", &result)
    }

    async fn repeat(&self, claim: &Claim, step: &Step) -> Result<(), Status> {
        let mut backoff = Backoff::new(REPEAT);
        loop {
            let Err(status) = self.send(step).await else { return Ok(()) };
            let wait = status::asked_wait(&status).max(backoff.next(rand::random()));
            let give_up = *claim.ends.borrow() + self.lease;
            if !self.may_pass(status.code()) || Instant::now() + wait > give_up {
                return Err(status);
            }
            tracing::debug!(id = claim.lease.message_id, code = ?status.code(), ?wait, "reporting again");
            sleep(wait).await;
        }
    }

    fn may_pass(&self, code: Code) -> bool {
        let is_of_token = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
        status::may_pass(code) || self.token_may_change && is_of_token
    }

    async fn send(&self, step: &Step) -> Result<(), Status> {
        let method = match step {
            Step::Complete(_) => "CompleteMessage",
            Step::Fail(_) => "FailMessage",
            _ => "ReleaseMessage",
        };
        if let Taken::Completed(answer) = self.steps.take(method, step.clone(), CALL).await?
            && (answer.late || answer.already_completed)
        {
            let (late, repeated) = (answer.late, answer.already_completed);
            tracing::info!(id = answer.message.map(|message| message.id), late, repeated, "completed");
        }
        Ok(())
    }
}

/// Logs how a report ended.
fn settled(id: &str, done: &str, result: &Result<(), Status>) -> End {
    let Err(status) = result else {
        tracing::debug!(id, "{done}");
        return End::Reported;
    };
    let (code, reason) = (status.code(), status::reason(status));
    if status::may_pass(code) {
        tracing::warn!(id, ?code, "not {done}: the service did not answer while the lease could be alive");
        return End::Unanswered;
    }
    tracing::warn!(id, ?code, reason, problem = status.message(), "not {done}: the service refuses it");
    End::Reported
}

fn complete(lease: &LeaseRef, reply: Option<Reply>) -> CompleteMessageRequest {
    CompleteMessageRequest { lease: Some(lease.clone()), reply: reply.map(Into::into) }
}

fn failure(lease: &LeaseRef, error: &HandlerError) -> FailMessageRequest {
    let text =
        if error.text.is_empty() { "the handler gave no reason" } else { cut(&error.text, ERROR_BYTES) };
    FailMessageRequest {
        lease: Some(lease.clone()),
        error: text.replace('\0', " "),
        retryable: error.retryable,
        retry_after: error.retry_after.and_then(|wait| wait.min(LONGEST_RETRY).try_into().ok()),
    }
}

#[cfg(test)]
mod tests {
    use repartee_process::Credential;
    use repartee_proto::v1::queue_service_client::QueueServiceClient;
    use tokio::time::Instant;
    use tonic::transport::Endpoint;

    use super::{Duration, End, Reporter};
    use crate::{Reply, held::Held, steps::Steps};

    const S: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_report_is_given_up_once_the_lease_cannot_be_alive() {
        // Whoever connects is never answered.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let channel = format!("http://{}", silent.local_addr().unwrap());
        let channel = Endpoint::from_shared(channel).unwrap().connect_lazy();
        let client = QueueServiceClient::with_interceptor(channel, Credential::default());
        let steps = Steps::new(client.clone());
        let started = Instant::now();
        let claim = Held::new(30 * S, 1).admit("m1", "t1", started).unwrap();

        let reporter = Reporter { steps, client, lease: 30 * S, token_may_change: false };
        let end = reporter.report(&claim, Ok(Some(Reply::new("late")))).await;
        assert_eq!(end, End::Unanswered);
        // The short first lease, and a fresh one that a restarted service would have given.
        let took = started.elapsed();
        assert!(30 * S < took && took <= 46 * S, "{took:?}");
    }
}
