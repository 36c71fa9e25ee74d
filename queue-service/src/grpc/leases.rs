//! What workers do with one message at a time: claiming it by its id, renewing, releasing, completing and failing.

use repartee_proto::v1;
use tonic::Status;

use super::{
    QueueGrpc, answer, batch::batch, caller::Caller, check, service::refused, status, traces::HandedOut,
};
use crate::{
    domain::{ClaimBy, Completed, Rejection},
    reads::{PAGE_BYTES, weight},
};

impl QueueGrpc {
    pub(super) async fn claim(
        &self,
        caller: &Caller,
        v1::ClaimMessageRequest { message_id, worker_id, lease }: v1::ClaimMessageRequest,
    ) -> Result<v1::ClaimMessageResponse, Status> {
        let id = self.id(&message_id)?;
        self.may_answer(caller, id).await?;
        let worker = check::worker(&self.limits, worker_id, Vec::new(), lease, 0).map_err(refused)?;
        let by = ClaimBy::new(worker.worker_id, None, worker.lease_ms).under(caller.worker_token());
        let leased = self.queue.claim(id, by).await.map_err(status::command)?.accept();
        let (traceparent, tracestate) = HandedOut::begin(&leased.record).told();
        let (message, lease) =
            (Some(answer::message_for_worker(&leased.record)), Some(answer::lease(&leased)));
        Ok(v1::ClaimMessageResponse { message, lease, traceparent, tracestate })
    }

    pub(super) async fn renew(
        &self,
        caller: &Caller,
        v1::RenewLeasesRequest { leases, lease }: v1::RenewLeasesRequest,
    ) -> Result<v1::RenewLeasesResponse, Status> {
        let lease_ms = check::renewal(&self.limits, leases.len(), lease).map_err(refused)?;
        let checked =
            leases.into_iter().map(|lease| check::lease(&self.limits, caller, Some(lease))).collect();
        let checked = self.may_answer_each(caller, checked, |lease| lease.id).await?;
        let outcomes = batch(checked, |leases| self.queue.renew(leases, lease_ms)).await?;
        let outcome = |outcome: Result<i64, Rejection>| v1::RenewOutcome {
            outcome: Some(match outcome {
                Ok(expires_at) => v1::renew_outcome::Outcome::ExpiresAt(expires_at),
                Err(rejection) => v1::renew_outcome::Outcome::Rejection(status::rejection(&rejection)),
            }),
        };
        Ok(v1::RenewLeasesResponse { outcomes: outcomes.into_iter().map(outcome).collect() })
    }

    pub(super) async fn release(
        &self,
        caller: &Caller,
        request: v1::ReleaseMessageRequest,
    ) -> Result<v1::ReleaseMessageResponse, Status> {
        let (lease, holds_back) = check::release(&self.limits, caller, request).map_err(refused)?;
        self.may_answer(caller, lease.id).await?;
        let record = self.queue.release(lease, holds_back).await.map_err(status::command)?;
        Ok(v1::ReleaseMessageResponse { message: Some(self.message(&record)) })
    }

    pub(super) async fn complete(
        &self,
        caller: &Caller,
        request: v1::CompleteMessageRequest,
    ) -> Result<v1::CompleteMessageResponse, Status> {
        let item = check::completion(&self.limits, caller, request).map_err(refused)?;
        self.may_answer(caller, item.0.id).await?;
        let mut outcomes =
            self.queue.complete("CompleteMessage", vec![item]).await.map_err(status::command)?;
        let completed = outcomes.pop().expect("one outcome an item").map_err(refused)?;
        Ok(self.completion(&completed, true))
    }

    pub(super) async fn complete_each(
        &self,
        caller: &Caller,
        v1::CompleteMessagesRequest { items }: v1::CompleteMessagesRequest,
    ) -> Result<v1::CompleteMessagesResponse, Status> {
        let texts = items.iter().map(|item| item.reply.as_ref().map_or(0, |reply| reply.text.len()));
        check::batch(&self.limits, texts).map_err(refused)?;
        let checked = items.into_iter().map(|item| check::completion(&self.limits, caller, item)).collect();
        let checked = self.may_answer_each(caller, checked, |(lease, _)| lease.id).await?;
        let outcomes = batch(checked, |items| self.queue.complete("CompleteMessages", items)).await?;
        let mut bytes = 0;
        let outcome = |outcome: Result<Completed, Rejection>| v1::CompleteOutcome {
            outcome: Some(match outcome {
                Ok(completed) => {
                    // All questions of a batch may be longer than an answer may be, and what was stored must not look refused.
                    bytes += weight(&completed.record);
                    let completion = self.completion(&completed, bytes <= PAGE_BYTES);
                    v1::complete_outcome::Outcome::Completed(completion)
                }
                Err(rejection) => v1::complete_outcome::Outcome::Rejection(status::rejection(&rejection)),
            }),
        };
        Ok(v1::CompleteMessagesResponse { outcomes: outcomes.into_iter().map(outcome).collect() })
    }

    pub(super) async fn fail(
        &self,
        caller: &Caller,
        request: v1::FailMessageRequest,
    ) -> Result<v1::FailMessageResponse, Status> {
        let (lease, failure) = check::failure(&self.limits, caller, request).map_err(refused)?;
        self.may_answer(caller, lease.id).await?;
        let failed = self.queue.fail(lease, failure).await.map_err(status::command)?;
        let message = Some(self.message(&failed.record));
        Ok(v1::FailMessageResponse { message, retry_at: failed.retry_at })
    }

    fn completion(&self, completed: &Completed, with_message: bool) -> v1::CompleteMessageResponse {
        v1::CompleteMessageResponse {
            message: with_message.then(|| self.message(&completed.record)),
            reply_id: completed.reply.map(|id| id.to_string()),
            late: completed.late,
            already_completed: completed.already_completed,
        }
    }
}
