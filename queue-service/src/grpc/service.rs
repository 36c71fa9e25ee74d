//! The calls of QueueService: each checks its request, does one thing, and says the outcome.

use std::{sync::Arc, time::Duration};

use prost::Message;
use repartee_process::{ConnectionState, HeldAnswer};
use repartee_proto::v1::{self, queue_service_server::QueueService};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::{QueueGrpc, answer, batch::batch, caller::Caller, check, fields, lists, outlet::Inlet, status};
use crate::{
    domain::{ClaimBy, Claimant, Completed, ConversationId, Posted, Rejection},
    writer::{Clock as _, Post},
};

/// Messages of a conversation whose reader did not say.
const CONVERSATION: u32 = 100;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl QueueService for QueueGrpc {
    type WatchMessagesStream = Inlet<v1::WatchMessagesResponse>;
    type StreamPendingStream = Inlet<v1::StreamPendingResponse>;

    async fn post_message(
        &self,
        request: Request<v1::PostMessageRequest>,
    ) -> Answer<v1::PostMessageResponse> {
        let caller = Caller::of(&request);
        let post = self.checked_post(&caller, request.into_inner()).await?.map_err(refused)?;
        let mut outcomes = self.queue.post("PostMessage", vec![post]).await.map_err(status::command)?;
        let posted = outcomes.pop().expect("one outcome an item").map_err(refused)?;
        Ok(Response::new(self.posted(&posted)))
    }

    async fn post_messages(
        &self,
        request: Request<v1::PostMessagesRequest>,
    ) -> Answer<v1::PostMessagesResponse> {
        let caller = Caller::of(&request);
        let items = request.into_inner().items;
        let texts = items.iter().map(|item| item.message.as_ref().map_or(0, |message| message.text.len()));
        check::batch(&self.limits, texts).map_err(refused)?;
        let mut checked = Vec::with_capacity(items.len());
        for item in items {
            checked.push(self.checked_post(&caller, item).await?);
        }
        let outcomes = batch(checked, |posts| self.queue.post("PostMessages", posts)).await?;
        let outcome = |outcome: Result<Posted, Rejection>| v1::PostOutcome {
            outcome: Some(match outcome {
                Ok(posted) => v1::post_outcome::Outcome::Posted(self.posted(&posted)),
                Err(rejection) => v1::post_outcome::Outcome::Rejection(status::rejection(&rejection)),
            }),
        };
        Ok(Response::new(v1::PostMessagesResponse { outcomes: outcomes.into_iter().map(outcome).collect() }))
    }

    async fn get_message(&self, request: Request<v1::GetMessageRequest>) -> Answer<v1::GetMessageResponse> {
        let id = self.id(&request.get_ref().message_id)?;
        let (record, reads) = self.reads.message(id).await.map_err(status::storage)?;
        let record = record.ok_or_else(|| refused(Rejection::NotFound(id)))?;
        let message = Some(answer::message(&record));
        Ok(Response::new(v1::GetMessageResponse { message, kv_stats: answer::kv_stats(reads) }))
    }

    async fn update_message(
        &self,
        request: Request<v1::UpdateMessageRequest>,
    ) -> Answer<v1::UpdateMessageResponse> {
        let (caller, id) = (Caller::of(&request), self.id(&request.get_ref().message_id)?);
        let editor = self.rights.change(&caller, id)?;
        fields::update(&caller, request.get_ref()).map_err(refused)?;
        let (id, update) = check::update(&self.limits, request.into_inner()).map_err(refused)?;
        let record = self.queue.update(id, update, editor).await.map_err(status::command)?;
        Ok(Response::new(v1::UpdateMessageResponse { message: Some(answer::message(&record)) }))
    }

    async fn delete_message(
        &self,
        request: Request<v1::DeleteMessageRequest>,
    ) -> Answer<v1::DeleteMessageResponse> {
        let id = self.id(&request.get_ref().message_id)?;
        self.rights.change(&Caller::of(&request), id)?;
        let record = self.queue.delete(id).await.map_err(status::command)?;
        Ok(Response::new(v1::DeleteMessageResponse { message: Some(answer::message(&record)) }))
    }

    async fn list_messages(
        &self,
        request: Request<v1::ListMessagesRequest>,
    ) -> Answer<v1::ListMessagesResponse> {
        let connection = connection(&request);
        held(connection, self.list(request.into_inner()).await?)
    }

    async fn watch_messages(
        &self,
        request: Request<v1::WatchMessagesRequest>,
    ) -> Answer<Self::WatchMessagesStream> {
        let caller = Caller::of(&request);
        self.watch(caller, request.into_inner()).map(Response::new)
    }

    async fn get_conversation(
        &self,
        request: Request<v1::GetConversationRequest>,
    ) -> Answer<v1::GetConversationResponse> {
        let caller = Caller::of(&request);
        let claimant = self.claimant(&caller);
        let (connection, mut request) = (connection(&request), request.into_inner());
        check::conversation(&self.limits, &mut request).map_err(refused)?;
        let (_, limit) =
            check::page(&self.limits, String::new(), request.limit, CONVERSATION).map_err(refused)?;
        let human = (request.human_username.as_str(), request.human_color.as_str());
        let ai = (request.ai_username.as_str(), request.ai_color.as_str());
        let id = ConversationId::of(human, ai, request.session_id.as_deref());
        let mut looks = 0;
        if let Some(claimant) = claimant {
            let (owner, reads) = self.reads.owner(id).await.map_err(status::storage)?;
            looks = reads;
            if owner.is_some_and(|owner| !owner.is(&claimant)) {
                return Err(status::conversation_of_another());
            }
        }
        let read = self.reads.conversation("GetConversation", id, u64::MAX, limit);
        let (records, more, reads) = read.await.map_err(status::storage)?;
        self.may_read(&caller, &records).await?;
        let reads = reads + looks;
        let messages = records.iter().map(|record| answer::message(record)).collect();
        held(connection, v1::GetConversationResponse { messages, kv_stats: answer::kv_stats(reads), more })
    }

    async fn list_pending(
        &self,
        request: Request<v1::ListPendingRequest>,
    ) -> Answer<v1::ListPendingResponse> {
        let (connection, caller) = (connection(&request), Caller::of(&request));
        let v1::ListPendingRequest { entity, limit } = request.into_inner();
        let (entity, limit) = check::pending(&self.limits, entity, limit, lists::PAGE).map_err(refused)?;
        let entities = Self::granted(&caller, entity.into_iter().collect()).map_err(refused)?;
        let (pending, more) = self.reads.pending(&entities, limit, self.clock.read().now);
        let messages = pending.iter().map(|record| answer::message_for_worker(record)).collect();
        held(connection, v1::ListPendingResponse { messages, kv_stats: answer::kv_stats(0), more })
    }

    async fn list_failed(&self, request: Request<v1::ListFailedRequest>) -> Answer<v1::ListFailedResponse> {
        let connection = connection(&request);
        held(connection, self.list_of_failed(request.into_inner()).await?)
    }

    async fn stream_pending(
        &self,
        request: Request<v1::StreamPendingRequest>,
    ) -> Answer<Self::StreamPendingStream> {
        let caller = Caller::of(&request);
        self.stream_work(&caller, request.into_inner()).map(Response::new)
    }

    async fn claim_message(
        &self,
        request: Request<v1::ClaimMessageRequest>,
    ) -> Answer<v1::ClaimMessageResponse> {
        let caller = Caller::of(&request);
        let v1::ClaimMessageRequest { message_id, worker_id, lease } = request.into_inner();
        let id = self.id(&message_id)?;
        self.may_answer(&caller, id).await?;
        let worker = check::worker(&self.limits, worker_id, Vec::new(), lease, 0).map_err(refused)?;
        let by = ClaimBy { worker_id: worker.worker_id, session_id: None, lease_ms: worker.lease_ms };
        let leased = self.queue.claim(id, by).await.map_err(status::command)?.accept();
        let (message, lease) =
            (Some(answer::message_for_worker(&leased.record)), Some(answer::lease(&leased)));
        Ok(Response::new(v1::ClaimMessageResponse { message, lease }))
    }

    async fn claim_next(&self, request: Request<v1::ClaimNextRequest>) -> Answer<v1::ClaimNextResponse> {
        let caller = Caller::of(&request);
        let work = self.next_work(&caller, request.into_inner()).await?;
        Ok(Response::new(v1::ClaimNextResponse { work }))
    }

    async fn renew_leases(
        &self,
        request: Request<v1::RenewLeasesRequest>,
    ) -> Answer<v1::RenewLeasesResponse> {
        let caller = Caller::of(&request);
        let v1::RenewLeasesRequest { leases, lease } = request.into_inner();
        let lease_ms = check::renewal(&self.limits, leases.len(), lease).map_err(refused)?;
        let checked = leases.into_iter().map(|lease| check::lease(&self.limits, Some(lease))).collect();
        let checked = self.may_answer_each(&caller, checked, |lease| lease.id).await?;
        let outcomes = batch(checked, |leases| self.queue.renew(leases, lease_ms)).await?;
        let outcome = |outcome: Result<i64, Rejection>| v1::RenewOutcome {
            outcome: Some(match outcome {
                Ok(expires_at) => v1::renew_outcome::Outcome::ExpiresAt(expires_at),
                Err(rejection) => v1::renew_outcome::Outcome::Rejection(status::rejection(&rejection)),
            }),
        };
        Ok(Response::new(v1::RenewLeasesResponse { outcomes: outcomes.into_iter().map(outcome).collect() }))
    }

    async fn stream_draft(
        &self,
        request: Request<Streaming<v1::StreamDraftRequest>>,
    ) -> Answer<v1::StreamDraftResponse> {
        let caller = Caller::of(&request);
        self.draft(&caller, request.into_inner()).await?;
        Ok(Response::new(v1::StreamDraftResponse {}))
    }

    async fn release_message(
        &self,
        request: Request<v1::ReleaseMessageRequest>,
    ) -> Answer<v1::ReleaseMessageResponse> {
        let caller = Caller::of(&request);
        let lease = check::lease(&self.limits, request.into_inner().lease).map_err(refused)?;
        self.may_answer(&caller, lease.id).await?;
        let record = self.queue.release(lease).await.map_err(status::command)?;
        Ok(Response::new(v1::ReleaseMessageResponse { message: Some(answer::message(&record)) }))
    }

    async fn complete_message(
        &self,
        request: Request<v1::CompleteMessageRequest>,
    ) -> Answer<v1::CompleteMessageResponse> {
        let caller = Caller::of(&request);
        let item = check::completion(&self.limits, request.into_inner()).map_err(refused)?;
        self.may_answer(&caller, item.0.id).await?;
        let mut outcomes =
            self.queue.complete("CompleteMessage", vec![item]).await.map_err(status::command)?;
        let completed = outcomes.pop().expect("one outcome an item").map_err(refused)?;
        Ok(Response::new(completion(&completed)))
    }

    async fn complete_messages(
        &self,
        request: Request<v1::CompleteMessagesRequest>,
    ) -> Answer<v1::CompleteMessagesResponse> {
        let caller = Caller::of(&request);
        let items = request.into_inner().items;
        let texts = items.iter().map(|item| item.reply.as_ref().map_or(0, |reply| reply.text.len()));
        check::batch(&self.limits, texts).map_err(refused)?;
        let checked = items.into_iter().map(|item| check::completion(&self.limits, item)).collect();
        let checked = self.may_answer_each(&caller, checked, |(lease, _)| lease.id).await?;
        let outcomes = batch(checked, |items| self.queue.complete("CompleteMessages", items)).await?;
        let outcome = |outcome: Result<Completed, Rejection>| v1::CompleteOutcome {
            outcome: Some(match outcome {
                Ok(completed) => v1::complete_outcome::Outcome::Completed(completion(&completed)),
                Err(rejection) => v1::complete_outcome::Outcome::Rejection(status::rejection(&rejection)),
            }),
        };
        Ok(Response::new(v1::CompleteMessagesResponse {
            outcomes: outcomes.into_iter().map(outcome).collect(),
        }))
    }

    async fn fail_message(
        &self,
        request: Request<v1::FailMessageRequest>,
    ) -> Answer<v1::FailMessageResponse> {
        let caller = Caller::of(&request);
        let (lease, failure) = check::failure(&self.limits, request.into_inner()).map_err(refused)?;
        self.may_answer(&caller, lease.id).await?;
        let failed = self.queue.fail(lease, failure).await.map_err(status::command)?;
        let message = Some(answer::message(&failed.record));
        Ok(Response::new(v1::FailMessageResponse { message, retry_at: failed.retry_at }))
    }

    async fn retry_message(
        &self,
        request: Request<v1::RetryMessageRequest>,
    ) -> Answer<v1::RetryMessageResponse> {
        let id = self.id(&request.get_ref().message_id)?;
        let record = self.queue.retry(id).await.map_err(status::command)?;
        Ok(Response::new(v1::RetryMessageResponse { message: Some(answer::message(&record)) }))
    }

    async fn cancel_message(
        &self,
        request: Request<v1::CancelMessageRequest>,
    ) -> Answer<v1::CancelMessageResponse> {
        let id = self.id(&request.get_ref().message_id)?;
        self.rights.change(&Caller::of(&request), id)?;
        let record = self.queue.cancel(id).await.map_err(status::command)?;
        Ok(Response::new(v1::CancelMessageResponse { message: Some(answer::message(&record)) }))
    }

    async fn pause_entity(
        &self,
        request: Request<v1::PauseEntityRequest>,
    ) -> Answer<v1::PauseEntityResponse> {
        let entity = check::entity(&self.limits, request.into_inner().entity).map_err(refused)?;
        let paused_since = self.queue.pause(entity).await.map_err(status::command)?;
        Ok(Response::new(v1::PauseEntityResponse { paused_since }))
    }

    async fn resume_entity(
        &self,
        request: Request<v1::ResumeEntityRequest>,
    ) -> Answer<v1::ResumeEntityResponse> {
        let entity = check::entity(&self.limits, request.into_inner().entity).map_err(refused)?;
        let was_paused = self.queue.resume(entity).await.map_err(status::command)?;
        Ok(Response::new(v1::ResumeEntityResponse { was_paused }))
    }

    async fn authenticate(
        &self,
        request: Request<v1::AuthenticateRequest>,
    ) -> Answer<v1::AuthenticateResponse> {
        let grant = self.rights.grant(&request.into_inner().token)?;
        Ok(Response::new(v1::AuthenticateResponse {
            role: answer::role(grant.role).into(),
            token_id: grant.id.clone(),
            name: grant.name.clone(),
            entities: grant.entities.to_vec(),
        }))
    }

    async fn get_stats(&self, request: Request<v1::GetStatsRequest>) -> Answer<v1::GetStatsResponse> {
        self.stats(request.into_inner()).await.map(Response::new)
    }
}

impl QueueGrpc {
    pub(super) fn id(&self, id: &str) -> Result<Uuid, Status> {
        check::id(&self.limits, "message_id", id).map_err(refused)
    }

    /// Who asks for a conversation; none for callers with a role, and if conversations are nobody's.
    fn claimant(&self, caller: &Caller) -> Option<Claimant> {
        if self.conversation_owners { caller.claimant(&self.rights.edits) } else { None }
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
        let post = match check::post(&self.limits, request, sender, &caller.scope(sender), claimant) {
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
            message: Some(answer::message(&posted.record)),
            edit_token: self.rights.edits.token(posted.record.content.id),
            replayed: posted.replayed,
        }
    }
}

fn completion(completed: &Completed) -> v1::CompleteMessageResponse {
    v1::CompleteMessageResponse {
        message: Some(answer::message(&completed.record)),
        reply_id: completed.reply.map(|id| id.to_string()),
        late: completed.late,
        already_completed: completed.already_completed,
    }
}

/// The connection that a call came by.
fn connection<T>(request: &Request<T>) -> Option<Arc<ConnectionState>> {
    request.extensions().get().cloned()
}

/// A list as the answer, which holds its bytes until it is sent.
fn held<T: Message>(connection: Option<Arc<ConnectionState>>, list: T) -> Answer<T> {
    let bytes = list.encoded_len() as u64;
    let mut response = Response::new(list);
    if let Some(connection) = connection {
        let permit = connection.take_answer(bytes).map_err(status::too_many_calls)?;
        response.extensions_mut().insert(HeldAnswer(Arc::new(permit)));
    }
    Ok(response)
}

pub(super) fn refused(rejection: Rejection) -> Status {
    status::rejected(&rejection)
}

/// `base` to twice as long, at random: so that streams which began together do not end together.
pub(super) fn jittered(base: Duration) -> Duration {
    base.mul_f64(1.0 + rand::random::<f64>())
}
