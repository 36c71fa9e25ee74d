//! Reporting an outcome until the service has taken it.
//!
//! A report may be repeated, because the service recognises the token: a completion whose answer was lost is not stored
//! twice. What is never done is to report another outcome once one may have arrived.

use std::time::Duration;

use repartee_proto::v1::{CompleteMessageRequest, FailMessageRequest, LeaseRef, ReleaseMessageRequest};
use tokio::time::{Instant, sleep};
use tonic::{Code, Request, Status};

use crate::{
    HandlerError, Reply,
    attempt::End,
    backoff::{Backoff, Waits},
    client::Client,
    handler::Outcome,
    held::Claim,
    status,
    text::{ERROR_BYTES, HOLDS_BACK_BYTES, cut},
    traces,
};

/// How long one call may take.
pub(crate) const CALL: Duration = Duration::from_secs(5);
/// Waits between two tries of one report.
const REPEAT: Waits = Waits::new(Duration::from_millis(50), Duration::from_secs(5));

/// The longest time that a failure may ask for before the next attempt.
const LONGEST_RETRY: Duration = Duration::from_secs(24 * 60 * 60);

/// The call that carries an outcome.
enum Call {
    Complete(CompleteMessageRequest),
    Fail(FailMessageRequest),
    Release(ReleaseMessageRequest),
}

/// Reports outcomes for the attempts of one session.
#[derive(Clone)]
pub(crate) struct Reporter {
    pub(crate) client: Client,
    /// The length of a lease. A restart of the service gives every lease a fresh one, so a report is worth repeating for
    /// this long past the end that this side knows of.
    pub(crate) lease: Duration,
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
        let result = self.repeat(claim, &Call::Complete(complete(&claim.lease, reply))).await;
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
        let result = self.repeat(claim, &Call::Fail(failure(&claim.lease, error))).await;
        settled(&claim.lease.message_id, "failed", &result)
    }

    /// Gives the claim back because nothing can be answered at present.
    async fn give_back(&self, claim: &Claim, outage: &HandlerError) -> End {
        let holds_back = Some(cut(&outage.text, HOLDS_BACK_BYTES).to_owned());
        let request = ReleaseMessageRequest { lease: Some(claim.lease.clone()), holds_back };
        let result = self.repeat(claim, &Call::Release(request)).await;
        settled(&claim.lease.message_id, "given back", &result)
    }

    async fn repeat(&self, claim: &Claim, call: &Call) -> Result<(), Status> {
        let mut backoff = Backoff::new(REPEAT);
        loop {
            let Err(status) = self.send(call).await else { return Ok(()) };
            let wait = status::asked_wait(&status).max(backoff.next(rand::random()));
            let give_up = *claim.ends.borrow() + self.lease;
            if !status::may_pass(status.code()) || Instant::now() + wait > give_up {
                return Err(status);
            }
            tracing::debug!(id = claim.lease.message_id, code = ?status.code(), ?wait, "reporting again");
            sleep(wait).await;
        }
    }

    async fn send(&self, call: &Call) -> Result<(), Status> {
        let mut client = self.client.clone();
        match call {
            Call::Complete(request) => {
                let request = bounded(request.clone());
                let send = |request| async move { client.complete_message(request).await };
                let answer = traces::call("CompleteMessage", request, send).await?;
                if answer.late || answer.already_completed {
                    let (late, repeated) = (answer.late, answer.already_completed);
                    tracing::info!(
                        id = answer.message.map(|message| message.id),
                        late,
                        repeated,
                        "completed"
                    );
                }
            }
            Call::Fail(request) => {
                let request = bounded(request.clone());
                let send = |request| async move { client.fail_message(request).await };
                traces::call("FailMessage", request, send).await?;
            }
            Call::Release(request) => {
                let request = bounded(request.clone());
                let send = |request| async move { client.release_message(request).await };
                traces::call("ReleaseMessage", request, send).await?;
            }
        }
        Ok(())
    }
}

/// A request that is given up after the bound of one call, on both sides.
pub(crate) fn bounded<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL);
    request
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
    use tokio::{net::TcpSocket, time::Instant};
    use tonic::transport::Endpoint;

    use super::{Duration, End, Reporter};
    use crate::{Reply, held::Held};

    const S: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_report_is_given_up_once_the_lease_cannot_be_alive() {
        // Bound, but nobody listens: every connection is refused.
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let channel = Endpoint::from_shared(url).unwrap().connect_lazy();
        let client = QueueServiceClient::with_interceptor(channel, Credential::default());
        let started = Instant::now();
        let claim = Held::new(30 * S, 1).admit("m1", "t1", started).unwrap();

        let end = Reporter { client, lease: 30 * S }.report(&claim, Ok(Some(Reply::new("late")))).await;
        assert_eq!(end, End::Unanswered);
        // The short first lease, and a fresh one that a restarted service would have given.
        let took = started.elapsed();
        assert!(30 * S < took && took <= 46 * S, "{took:?}");
    }
}
