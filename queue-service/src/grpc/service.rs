//! The calls of QueueService, one sentence each: who asks, what is asked, and the file that carries it out.
//!
//! | file | calls |
//! |---|---|
//! | `post.rs` | posts, edits, deletions |
//! | `lists.rs`, `conversation.rs`, `watch.rs` | what is read |
//! | `work.rs`, `leases.rs`, `draft.rs` | what workers do |
//! | `items.rs`, `posts.rs`, `work/steps.rs` | many calls on one stream |
//! | `operate.rs`, `many.rs`, `inspect.rs`, `blocks.rs`, `acts.rs`, `stats.rs` | what operators do and see |

use std::{sync::Arc, time::Duration};

use prost::Message;
use repartee_process::{ConnectionState, HeldAnswer};
use repartee_proto::v1::{self, queue_service_server::QueueService};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::{QueueGrpc, answer, caller::Caller, check, outlet::Inlet, status};
use crate::domain::{Claimant, Rejection};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl QueueService for QueueGrpc {
    type WatchMessagesStream = Inlet<v1::WatchMessagesResponse>;
    type StreamPendingStream = Inlet<v1::StreamPendingResponse>;
    type PostsStream = Inlet<v1::PostsResponse>;
    type WorkStream = Inlet<v1::WorkResponse>;

    async fn post_message(
        &self,
        request: Request<v1::PostMessageRequest>,
    ) -> Answer<v1::PostMessageResponse> {
        let (caller, request) = asked(request);
        self.post(&caller, request).await.map(Response::new)
    }

    async fn post_messages(
        &self,
        request: Request<v1::PostMessagesRequest>,
    ) -> Answer<v1::PostMessagesResponse> {
        let (caller, request) = asked(request);
        self.post_each(&caller, request).await.map(Response::new)
    }

    async fn posts(&self, request: Request<Streaming<v1::PostsRequest>>) -> Answer<Self::PostsStream> {
        let (caller, items) = asked(request);
        self.stream_posts(caller, items).map(Response::new)
    }

    async fn get_message(&self, request: Request<v1::GetMessageRequest>) -> Answer<v1::GetMessageResponse> {
        let (caller, request) = asked(request);
        self.get(&caller, request).await.map(Response::new)
    }

    async fn update_message(
        &self,
        request: Request<v1::UpdateMessageRequest>,
    ) -> Answer<v1::UpdateMessageResponse> {
        let (caller, request) = asked(request);
        self.update(&caller, request).await.map(Response::new)
    }

    async fn delete_message(
        &self,
        request: Request<v1::DeleteMessageRequest>,
    ) -> Answer<v1::DeleteMessageResponse> {
        let (caller, request) = asked(request);
        self.delete(&caller, request).await.map(Response::new)
    }

    async fn list_messages(
        &self,
        request: Request<v1::ListMessagesRequest>,
    ) -> Answer<v1::ListMessagesResponse> {
        let connection = connection(&request);
        held(connection, self.list(request.into_inner()).await?)
    }

    async fn list_rooms(&self, request: Request<v1::ListRoomsRequest>) -> Answer<v1::ListRoomsResponse> {
        held(connection(&request), self.list_of_rooms(request.get_ref())?)
    }

    async fn watch_messages(
        &self,
        request: Request<v1::WatchMessagesRequest>,
    ) -> Answer<Self::WatchMessagesStream> {
        let (caller, request) = asked(request);
        self.watch(caller, request).map(Response::new)
    }

    async fn get_conversation(
        &self,
        request: Request<v1::GetConversationRequest>,
    ) -> Answer<v1::GetConversationResponse> {
        let connection = connection(&request);
        let (caller, request) = asked(request);
        held(connection, self.conversation(&caller, request).await?)
    }

    async fn list_pending(
        &self,
        request: Request<v1::ListPendingRequest>,
    ) -> Answer<v1::ListPendingResponse> {
        let connection = connection(&request);
        let (caller, request) = asked(request);
        held(connection, self.list_of_pending(&caller, request)?)
    }

    async fn list_failed(&self, request: Request<v1::ListFailedRequest>) -> Answer<v1::ListFailedResponse> {
        let connection = connection(&request);
        held(connection, self.list_of_failed(request.into_inner()).await?)
    }

    async fn stream_pending(
        &self,
        request: Request<v1::StreamPendingRequest>,
    ) -> Answer<Self::StreamPendingStream> {
        let (caller, request) = asked(request);
        self.stream_work(&caller, request).map(Response::new)
    }

    async fn work(&self, request: Request<Streaming<v1::WorkRequest>>) -> Answer<Self::WorkStream> {
        let (caller, items) = asked(request);
        self.stream_steps(caller, items).map(Response::new)
    }

    async fn claim_message(
        &self,
        request: Request<v1::ClaimMessageRequest>,
    ) -> Answer<v1::ClaimMessageResponse> {
        let (caller, request) = asked(request);
        self.claim(&caller, request).await.map(Response::new)
    }

    async fn claim_next(&self, request: Request<v1::ClaimNextRequest>) -> Answer<v1::ClaimNextResponse> {
        let (caller, request) = asked(request);
        let work = self.next_work(&caller, request).await?;
        Ok(Response::new(v1::ClaimNextResponse { work }))
    }

    async fn renew_leases(
        &self,
        request: Request<v1::RenewLeasesRequest>,
    ) -> Answer<v1::RenewLeasesResponse> {
        let (caller, request) = asked(request);
        self.renew(&caller, request).await.map(Response::new)
    }

    async fn stream_draft(
        &self,
        request: Request<Streaming<v1::StreamDraftRequest>>,
    ) -> Answer<v1::StreamDraftResponse> {
        let (caller, texts) = asked(request);
        self.draft(&caller, texts).await?;
        Ok(Response::new(v1::StreamDraftResponse {}))
    }

    async fn release_message(
        &self,
        request: Request<v1::ReleaseMessageRequest>,
    ) -> Answer<v1::ReleaseMessageResponse> {
        let (caller, request) = asked(request);
        self.release(&caller, request).await.map(Response::new)
    }

    async fn complete_message(
        &self,
        request: Request<v1::CompleteMessageRequest>,
    ) -> Answer<v1::CompleteMessageResponse> {
        let (caller, request) = asked(request);
        self.complete(&caller, request).await.map(Response::new)
    }

    async fn complete_messages(
        &self,
        request: Request<v1::CompleteMessagesRequest>,
    ) -> Answer<v1::CompleteMessagesResponse> {
        let (caller, request) = asked(request);
        self.complete_each(&caller, request).await.map(Response::new)
    }

    async fn fail_message(
        &self,
        request: Request<v1::FailMessageRequest>,
    ) -> Answer<v1::FailMessageResponse> {
        let (caller, request) = asked(request);
        self.fail(&caller, request).await.map(Response::new)
    }

    async fn retry_message(
        &self,
        request: Request<v1::RetryMessageRequest>,
    ) -> Answer<v1::RetryMessageResponse> {
        let (caller, request) = asked(request);
        self.retry(&caller, request).await.map(Response::new)
    }

    async fn cancel_message(
        &self,
        request: Request<v1::CancelMessageRequest>,
    ) -> Answer<v1::CancelMessageResponse> {
        let (caller, request) = asked(request);
        self.cancel(&caller, request).await.map(Response::new)
    }

    async fn hide_message(
        &self,
        request: Request<v1::HideMessageRequest>,
    ) -> Answer<v1::HideMessageResponse> {
        let (caller, request) = asked(request);
        self.hide(&caller, request).await.map(Response::new)
    }

    async fn restore_message(
        &self,
        request: Request<v1::RestoreMessageRequest>,
    ) -> Answer<v1::RestoreMessageResponse> {
        let (caller, request) = asked(request);
        self.restore(&caller, request).await.map(Response::new)
    }

    async fn list_hidden(&self, request: Request<v1::ListHiddenRequest>) -> Answer<v1::ListHiddenResponse> {
        let connection = connection(&request);
        held(connection, self.list_of_hidden(request.into_inner()).await?)
    }

    async fn list_work(&self, request: Request<v1::ListWorkRequest>) -> Answer<v1::ListWorkResponse> {
        let connection = connection(&request);
        held(connection, self.list_of_work(request.into_inner()).await?)
    }

    async fn inspect_message(
        &self,
        request: Request<v1::InspectMessageRequest>,
    ) -> Answer<v1::InspectMessageResponse> {
        let connection = connection(&request);
        held(connection, self.inspect(request.into_inner()).await?)
    }

    async fn retry_messages(
        &self,
        request: Request<v1::RetryMessagesRequest>,
    ) -> Answer<v1::RetryMessagesResponse> {
        let (caller, request) = asked(request);
        self.retry_each(&caller, request).await.map(Response::new)
    }

    async fn cancel_messages(
        &self,
        request: Request<v1::CancelMessagesRequest>,
    ) -> Answer<v1::CancelMessagesResponse> {
        let (caller, request) = asked(request);
        self.cancel_each(&caller, request).await.map(Response::new)
    }

    async fn cancel_pending(
        &self,
        request: Request<v1::CancelPendingRequest>,
    ) -> Answer<v1::CancelPendingResponse> {
        let (caller, request) = asked(request);
        self.cancel_all(&caller, request).await.map(Response::new)
    }

    async fn block_sender(
        &self,
        request: Request<v1::BlockSenderRequest>,
    ) -> Answer<v1::BlockSenderResponse> {
        let (caller, request) = asked(request);
        self.block(&caller, request).await.map(Response::new)
    }

    async fn unblock_sender(
        &self,
        request: Request<v1::UnblockSenderRequest>,
    ) -> Answer<v1::UnblockSenderResponse> {
        let (caller, request) = asked(request);
        self.unblock(&caller, request).await.map(Response::new)
    }

    async fn list_blocks(&self, request: Request<v1::ListBlocksRequest>) -> Answer<v1::ListBlocksResponse> {
        let connection = connection(&request);
        held(connection, self.list_of_blocks(request.into_inner())?)
    }

    async fn list_acts(&self, request: Request<v1::ListActsRequest>) -> Answer<v1::ListActsResponse> {
        let connection = connection(&request);
        held(connection, self.list_of_acts(request.into_inner())?)
    }

    async fn pause_entity(
        &self,
        request: Request<v1::PauseEntityRequest>,
    ) -> Answer<v1::PauseEntityResponse> {
        let (caller, request) = asked(request);
        self.pause(&caller, request).await.map(Response::new)
    }

    async fn resume_entity(
        &self,
        request: Request<v1::ResumeEntityRequest>,
    ) -> Answer<v1::ResumeEntityResponse> {
        let (caller, request) = asked(request);
        self.resume(&caller, request).await.map(Response::new)
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
    pub(super) fn claimant(&self, caller: &Caller) -> Option<Claimant> {
        if self.conversation_owners { caller.claimant(&self.rights.edits) } else { None }
    }
}

/// Who asks, and what.
fn asked<T>(request: Request<T>) -> (Caller, T) {
    (Caller::of(&request), request.into_inner())
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
