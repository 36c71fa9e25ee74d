//! What operators do with messages and entities. Each act is decided and entered into the log of acts by one command of the
//! writer; authors may cancel their own message, which is no act.

use repartee_proto::v1::{self, cancel_pending_request::Which};
use tonic::Status;
use uuid::Uuid;

use super::{QueueGrpc, acts, caller::Caller, check, service::refused, status};
use crate::domain::{ActKind, Selection, Target};

/// Most commits of one call that cancels.
const PIECES: usize = 100;

impl QueueGrpc {
    pub(super) async fn retry(
        &self,
        caller: &Caller,
        v1::RetryMessageRequest { message_id, reason }: v1::RetryMessageRequest,
    ) -> Result<v1::RetryMessageResponse, Status> {
        let (id, reason) = self.message_and_reason(&message_id, reason)?;
        let deed = acts::deed(caller, ActKind::Retry, Target::Message(id), reason);
        let record = self.queue.retry(id, deed).await.map_err(status::command)?;
        Ok(v1::RetryMessageResponse { message: Some(self.message(&record)) })
    }

    pub(super) async fn cancel(
        &self,
        caller: &Caller,
        v1::CancelMessageRequest { message_id, reason }: v1::CancelMessageRequest,
    ) -> Result<v1::CancelMessageResponse, Status> {
        let (id, reason) = self.message_and_reason(&message_id, reason)?;
        self.rights.change(caller, id)?;
        let deed = acts::deed(caller, ActKind::Cancel, Target::Message(id), reason);
        let record = self.queue.cancel(id, deed).await.map_err(status::command)?;
        Ok(v1::CancelMessageResponse { message: Some(self.message(&record)) })
    }

    pub(super) async fn hide(
        &self,
        caller: &Caller,
        v1::HideMessageRequest { message_id, reason }: v1::HideMessageRequest,
    ) -> Result<v1::HideMessageResponse, Status> {
        let (id, reason) = self.message_and_reason(&message_id, reason)?;
        let deed = acts::deed(caller, ActKind::Hide, Target::Message(id), reason);
        let record = self.queue.hide(id, deed).await.map_err(status::command)?;
        Ok(v1::HideMessageResponse { message: Some(self.message_for_operator(&record)) })
    }

    pub(super) async fn restore(
        &self,
        caller: &Caller,
        v1::RestoreMessageRequest { message_id, reason }: v1::RestoreMessageRequest,
    ) -> Result<v1::RestoreMessageResponse, Status> {
        let (id, reason) = self.message_and_reason(&message_id, reason)?;
        let deed = acts::deed(caller, ActKind::Restore, Target::Message(id), reason);
        let record = self.queue.unhide(id, deed).await.map_err(status::command)?;
        Ok(v1::RestoreMessageResponse { message: Some(self.message_for_operator(&record)) })
    }

    pub(super) async fn cancel_all(
        &self,
        caller: &Caller,
        request: v1::CancelPendingRequest,
    ) -> Result<v1::CancelPendingResponse, Status> {
        let v1::CancelPendingRequest { which, include_processing, reason } = request;
        let which = which.map(|which| match which {
            Which::Entity(entity) => check::Which::Entity(entity),
            Which::Author(digest) => check::Which::Author(digest),
            Which::Address(digest) => check::Which::Address(digest),
            Which::AuthorOf(id) => check::Which::AuthorOf(id),
            Which::AddressOf(id) => check::Which::AddressOf(id),
        });
        let (which, reason) = check::selector(&self.limits, which, reason).map_err(refused)?;
        let deed = acts::deed_on_somebody(caller, ActKind::Cancel, reason)?;
        let (mut cancelled, mut seq, mut before) = (0, 0, None);
        for _ in 0..PIECES {
            let piece = self.queue.cancel_all(which.clone(), include_processing, before, deed.clone());
            let piece = piece.await.map_err(status::command)?;
            cancelled += piece.count as u64;
            seq = seq.max(piece.seq);
            before = piece.act;
            if !piece.more {
                return Ok(v1::CancelPendingResponse { cancelled, more: false, seq });
            }
        }
        Ok(v1::CancelPendingResponse { cancelled, more: true, seq })
    }

    pub(super) async fn pause(
        &self,
        caller: &Caller,
        v1::PauseEntityRequest { entity, reason }: v1::PauseEntityRequest,
    ) -> Result<v1::PauseEntityResponse, Status> {
        let (entity, reason) = check::entity(&self.limits, entity, reason).map_err(refused)?;
        let on = Target::All(Selection::Entity(entity.clone()));
        let deed = acts::deed(caller, ActKind::Pause, on, reason);
        let paused_since = self.queue.pause(entity, deed).await.map_err(status::command)?;
        Ok(v1::PauseEntityResponse { paused_since })
    }

    pub(super) async fn resume(
        &self,
        caller: &Caller,
        v1::ResumeEntityRequest { entity, reason }: v1::ResumeEntityRequest,
    ) -> Result<v1::ResumeEntityResponse, Status> {
        let (entity, reason) = check::entity(&self.limits, entity, reason).map_err(refused)?;
        let on = Target::All(Selection::Entity(entity.clone()));
        let deed = acts::deed(caller, ActKind::Resume, on, reason);
        let was_paused = self.queue.resume(entity, deed).await.map_err(status::command)?;
        Ok(v1::ResumeEntityResponse { was_paused })
    }

    fn message_and_reason(&self, message_id: &str, reason: String) -> Result<(Uuid, String), Status> {
        Ok((self.id(message_id)?, check::reason(&self.limits, reason).map_err(refused)?))
    }
}
