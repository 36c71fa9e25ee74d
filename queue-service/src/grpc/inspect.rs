//! One message as its operators see it: its conversation, its attempts, its errors, and the request that posted it.

use repartee_proto::v1;
use tonic::Status;

use super::{QueueGrpc, answer, service::refused, status};
use crate::domain::{AttemptEnd, Origin, Rejection, ShownAttempt};

/// Messages of the conversation that are shown.
const CONVERSATION: usize = 20;

impl QueueGrpc {
    pub(super) async fn inspect(
        &self,
        request: v1::InspectMessageRequest,
    ) -> Result<v1::InspectMessageResponse, Status> {
        let id = self.id(&request.message_id)?;
        let (record, mut reads) = self.reads.message(id).await.map_err(status::storage)?;
        let record = record.ok_or_else(|| refused(Rejection::NotFound(id)))?;
        let work = record.state.work.as_deref();
        let reply = work.and_then(|work| work.reply);
        let reply_number = reply.and_then(|reply| self.reads.number(reply));
        let last = reply_number.unwrap_or(0).max(record.content.posted);
        let (mut conversation, mut more) = (Vec::new(), false);
        if let Some(of) = record.content.conversation {
            let read = self.reads.conversation("InspectMessage", of, last.saturating_add(1), CONVERSATION);
            let (records, older, cost) = read.await.map_err(status::storage)?;
            conversation = records.iter().map(|record| self.message_for_operator(record)).collect();
            (more, reads) = (older, reads + cost);
        }
        let attempts = work.map(|work| work.shown_attempts()).unwrap_or_default();
        Ok(v1::InspectMessageResponse {
            message: Some(self.message_for_operator(&record)),
            attempts: attempts.into_iter().map(attempt).collect(),
            errors: work.map(|work| work.errors.clone()).unwrap_or_default(),
            trace_id: record.content.origin.as_deref().map(Origin::name),
            reply_id: reply.map(|id| id.to_string()),
            conversation,
            conversation_more: more,
            cancelled: work.is_some_and(|work| work.cancelled),
            kv_stats: answer::kv_stats(reads),
        })
    }
}

fn attempt(ShownAttempt { worker, began, ended, error }: ShownAttempt) -> v1::Attempt {
    let end = match ended.map(|(_, end)| end) {
        None => v1::AttemptEnd::Unspecified,
        Some(AttemptEnd::Completed) => v1::AttemptEnd::Completed,
        Some(AttemptEnd::Failed) => v1::AttemptEnd::Failed,
        Some(AttemptEnd::LeaseLost) => v1::AttemptEnd::LeaseLost,
        Some(AttemptEnd::Released) => v1::AttemptEnd::Released,
        Some(AttemptEnd::HeldBack) => v1::AttemptEnd::HeldBack,
        Some(AttemptEnd::Undelivered) => v1::AttemptEnd::Undelivered,
        Some(AttemptEnd::CalledOff) => v1::AttemptEnd::CalledOff,
    };
    v1::Attempt {
        worker_id: worker,
        began_at: began,
        ended_at: ended.map(|(at, _)| at),
        end: end.into(),
        error,
    }
}
