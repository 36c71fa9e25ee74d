//! How operators look for work, and the steps that they take on many messages at once.

use repartee_proto::v1::{self, step_outcome::Outcome};
use tonic::Status;

use super::{QueueGrpc, acts, answer, caller::Caller, check, service::refused, status};
use crate::domain::{ActKind, Record, Rejection, Target};

impl QueueGrpc {
    pub(super) async fn list_of_work(
        &self,
        request: v1::ListWorkRequest,
    ) -> Result<v1::ListWorkResponse, Status> {
        let (filter, limit) = check::work(&self.limits, &request).map_err(refused)?;
        let before = request.before_id.map_or(Ok(u64::MAX), |id| self.number(&id))?;
        let page = self.reads.work(filter, before, limit).await.map_err(status::storage)?;
        let next = page.next.map(|posted| self.reads.store.ids().seal(posted).to_string());
        Ok(v1::ListWorkResponse {
            messages: page.records.iter().map(|record| self.message_for_operator(record)).collect(),
            kv_stats: answer::kv_stats(page.reads),
            next_before_id: next.unwrap_or_default(),
        })
    }

    pub(super) async fn retry_each(
        &self,
        caller: &Caller,
        request: v1::RetryMessagesRequest,
    ) -> Result<v1::RetryMessagesResponse, Status> {
        let v1::RetryMessagesRequest { message_ids, reason } = request;
        let (ids, reason) = check::messages(&self.limits, &message_ids, reason).map_err(refused)?;
        let deed = |id| acts::deed(caller, ActKind::Retry, Target::Message(id), reason.clone());
        let steps = ids.into_iter().map(|id| (id, deed(id))).collect();
        let outcomes = self.queue.retry_each(steps).await.map_err(status::command)?;
        Ok(v1::RetryMessagesResponse { outcomes: outcomes.into_iter().map(outcome).collect() })
    }

    pub(super) async fn cancel_each(
        &self,
        caller: &Caller,
        request: v1::CancelMessagesRequest,
    ) -> Result<v1::CancelMessagesResponse, Status> {
        let v1::CancelMessagesRequest { message_ids, reason } = request;
        let (ids, reason) = check::messages(&self.limits, &message_ids, reason).map_err(refused)?;
        let deed = |id| acts::deed(caller, ActKind::Cancel, Target::Message(id), reason.clone());
        let steps = ids.into_iter().map(|id| (id, deed(id))).collect();
        let outcomes = self.queue.cancel_each(steps).await.map_err(status::command)?;
        Ok(v1::CancelMessagesResponse { outcomes: outcomes.into_iter().map(outcome).collect() })
    }
}

/// Without the message: 256 of them could be longer than an answer may be.
fn outcome(outcome: Result<Record, Rejection>) -> v1::StepOutcome {
    let taken = |record: Record| {
        let status = record.state.work.map_or(v1::Status::Unspecified, |work| answer::status(work.status));
        Outcome::Taken(v1::StepTaken { status: status.into(), seq: record.state.seq })
    };
    let refused = |rejection| Outcome::Rejection(status::rejection(&rejection));
    v1::StepOutcome { outcome: Some(outcome.map_or_else(refused, taken)) }
}
