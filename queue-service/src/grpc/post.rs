//! What is said: posts one by one and in batches, one message by its id, edits and deletions.

use repartee_proto::v1;
use tonic::Status;

use super::{
    QueueGrpc, acts, answer, batch::batch, caller::Caller, check, fields, service::refused, status, traces,
};
use crate::{
    domain::{ActKind, Deed, Posted, Rejection, Target},
    writer::Post,
};

impl QueueGrpc {
    pub(super) async fn post(
        &self,
        caller: &Caller,
        request: v1::PostMessageRequest,
    ) -> Result<v1::PostMessageResponse, Status> {
        let post = self.checked_post(caller, request).await?.map_err(refused)?;
        let mut outcomes = self.queue.post("PostMessage", vec![post]).await.map_err(status::command)?;
        let posted = outcomes.pop().expect("one outcome an item").map_err(refused)?;
        traces::note_posted(&posted.record);
        Ok(self.posted(&posted))
    }

    pub(super) async fn post_each(
        &self,
        caller: &Caller,
        v1::PostMessagesRequest { items }: v1::PostMessagesRequest,
    ) -> Result<v1::PostMessagesResponse, Status> {
        let texts = items.iter().map(|item| item.message.as_ref().map_or(0, |message| message.text.len()));
        check::batch(&self.limits, texts).map_err(refused)?;
        let mut checked = Vec::with_capacity(items.len());
        for item in items {
            checked.push(self.checked_post(caller, item).await?);
        }
        let outcomes = batch(checked, |posts| self.queue.post("PostMessages", posts)).await?;
        let outcome = |outcome: Result<Posted, Rejection>| v1::PostOutcome {
            outcome: Some(match outcome {
                Ok(posted) => v1::post_outcome::Outcome::Posted(self.posted(&posted)),
                Err(rejection) => v1::post_outcome::Outcome::Rejection(status::rejection(&rejection)),
            }),
        };
        Ok(v1::PostMessagesResponse { outcomes: outcomes.into_iter().map(outcome).collect() })
    }

    pub(super) async fn get(
        &self,
        caller: &Caller,
        request: v1::GetMessageRequest,
    ) -> Result<v1::GetMessageResponse, Status> {
        let id = self.id(&request.message_id)?;
        let (record, reads) = self.reads.message(id).await.map_err(status::storage)?;
        let record = record.ok_or_else(|| refused(Rejection::NotFound(id)))?;
        let message = Some(self.message_for(caller, &record));
        Ok(v1::GetMessageResponse { message, kv_stats: answer::kv_stats(reads) })
    }

    pub(super) async fn update(
        &self,
        caller: &Caller,
        mut request: v1::UpdateMessageRequest,
    ) -> Result<v1::UpdateMessageResponse, Status> {
        let id = self.id(&request.message_id)?;
        let editor = self.rights.change(caller, id)?;
        fields::update(caller, &request).map_err(refused)?;
        let detail = acts::detail(&request);
        let reason = check::reason(&self.limits, std::mem::take(&mut request.reason)).map_err(refused)?;
        let (id, update) = check::update(&self.limits, request).map_err(refused)?;
        let deed = acts::deed(caller, ActKind::Edit, Target::Message(id), reason);
        let deed = deed.map(|deed| Deed { detail, ..deed });
        let record = self.queue.update(id, update, editor, deed).await.map_err(status::command)?;
        Ok(v1::UpdateMessageResponse { message: Some(self.message(&record)) })
    }

    pub(super) async fn delete(
        &self,
        caller: &Caller,
        request: v1::DeleteMessageRequest,
    ) -> Result<v1::DeleteMessageResponse, Status> {
        let id = self.id(&request.message_id)?;
        self.rights.change(caller, id)?;
        let reason = check::reason(&self.limits, request.reason).map_err(refused)?;
        let deed = acts::deed(caller, ActKind::Delete, Target::Message(id), reason);
        let record = self.queue.delete(id, deed).await.map_err(status::command)?;
        Ok(v1::DeleteMessageResponse { message: Some(self.message(&record)) })
    }

    /// A post, checked against the limits and its caller's rights: the refusal of the item, or of the call.
    async fn checked_post(
        &self,
        caller: &Caller,
        mut request: v1::PostMessageRequest,
    ) -> Result<Result<Post, Rejection>, Status> {
        if let Err(rejection) = fields::post(caller, &mut request, self.visitor_priority) {
            return Ok(Err(rejection));
        }
        let sender = caller.sender(&self.rights.edits);
        let claimant = self.claimant(caller);
        let (scope, before) = (caller.scope(sender), caller.scope_before(sender));
        let post = match check::post(&self.limits, request, sender, &scope, before.as_deref(), claimant) {
            Ok(post) => post,
            Err(rejection) => return Ok(Err(rejection)),
        };
        if let Err(rejection) = self.names.check(&post.0, caller.is_visitor()) {
            return Ok(Err(rejection));
        }
        Ok(self.may_speak(caller, &post.0).await?.map(|()| post))
    }

    fn posted(&self, posted: &Posted) -> v1::PostMessageResponse {
        v1::PostMessageResponse {
            message: Some(self.message(&posted.record)),
            edit_token: self.rights.edits.token(posted.record.content.id),
            replayed: posted.replayed,
            owns_conversation: posted.owns_conversation,
        }
    }
}
