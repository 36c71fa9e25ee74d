//! A queue-service without state: it answers what it was told, and remembers what it was asked. Its log of changes is in
//! `log.rs`, its streams of many calls in `items.rs`.

use std::{
    any::{Any, TypeId},
    collections::{HashMap, HashSet},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use futures_util::Stream;
use repartee_process::access::CLIENT;
use repartee_proto::v1::{self, queue_service_server::QueueService};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

use crate::{items, log::Log};

/// A handle on the fake; clones share one script.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Script>);

#[derive(Default)]
struct Script {
    answers: Mutex<HashMap<TypeId, Box<dyn Any + Send>>>,
    refusal: Mutex<Option<Status>>,
    calls: Mutex<Vec<(MetadataMap, Box<dyn Any + Send>)>>,
    silent: CancellationToken,
    lost: Mutex<Lost>,
    log: Arc<Log>,
    peers: Mutex<HashSet<SocketAddr>>,
}

/// How a stream of posts ends at its next item, which is served and has no outcome.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It goes on.
    #[default]
    Nothing,
    /// With OK, after it has said that it goes away.
    GoingAway,
    /// With OK, and no more.
    Broken,
}

impl Fake {
    /// The next item of a stream of posts has no outcome.
    pub(crate) fn lose_an_item(&self, how: Lost) {
        *self.0.lost.lock().unwrap() = how;
    }

    /// What becomes of the present item, and only of that.
    pub(crate) fn loses_item(&self) -> Lost {
        std::mem::take(&mut *self.0.lost.lock().unwrap())
    }

    /// True until an item has been lost.
    pub(crate) fn is_to_lose_an_item(&self) -> bool {
        *self.0.lost.lock().unwrap() != Lost::Nothing
    }

    /// From now on, calls with this kind of answer get this one, and none is refused.
    pub(crate) fn answer<A: Any + Send>(&self, answer: A) {
        *self.0.refusal.lock().unwrap() = None;
        self.0.answers.lock().unwrap().insert(TypeId::of::<A>(), Box::new(answer));
    }

    /// From now on, every call is refused.
    pub(crate) fn refuse(&self, status: Status) {
        *self.0.refusal.lock().unwrap() = Some(status);
    }

    /// From now on, no call is answered.
    pub(crate) fn fall_silent(&self) {
        self.0.silent.cancel();
    }

    /// Its changes, and who follows them.
    pub(crate) fn log(&self) -> &Log {
        &self.0.log
    }

    /// Over how many connections calls came.
    pub(crate) fn connections(&self) -> usize {
        self.0.peers.lock().unwrap().len()
    }

    /// How many calls came on behalf of clients.
    pub(crate) fn calls(&self) -> usize {
        self.0.calls.lock().unwrap().len()
    }

    /// The last call, which has to be a `Q`.
    pub(crate) fn asked<Q: Any + Clone>(&self) -> Q {
        let calls = self.0.calls.lock().unwrap();
        let (_, request) = calls.last().expect("a call came");
        request.downcast_ref::<Q>().expect("it is of another kind").clone()
    }

    /// The metadata of the last call; empty where it is absent.
    pub(crate) fn metadata(&self, name: &str) -> String {
        let calls = self.0.calls.lock().unwrap();
        let (metadata, _) = calls.last().expect("a call came");
        metadata.get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }

    pub(crate) async fn serve<Q: Any + Send, A: Any + Send + Clone>(
        &self,
        request: Request<Q>,
    ) -> Result<Response<A>, Status> {
        let metadata = request.metadata().clone();
        self.0.peers.lock().unwrap().extend(request.remote_addr());
        self.0.calls.lock().unwrap().push((metadata, Box::new(request.into_inner())));
        if self.0.silent.is_cancelled() {
            std::future::pending::<()>().await;
        }
        if let Some(status) = self.0.refusal.lock().unwrap().clone() {
            return Err(status);
        }
        let answers = self.0.answers.lock().unwrap();
        let answer = answers.get(&TypeId::of::<A>()).and_then(|answer| answer.downcast_ref::<A>());
        answer.cloned().map(Response::new).ok_or_else(|| Status::unimplemented("the test gave no answer"))
    }
}

macro_rules! unary {
    ($($rpc:ident($request:ident) -> $answer:ident;)*) => {
        #[tonic::async_trait]
        impl QueueService for Fake {
            type WatchMessagesStream =
                Pin<Box<dyn Stream<Item = Result<v1::WatchMessagesResponse, Status>> + Send>>;
            type StreamPendingStream =
                Pin<Box<dyn Stream<Item = Result<v1::StreamPendingResponse, Status>> + Send>>;

            type PostsStream = Pin<Box<dyn Stream<Item = Result<v1::PostsResponse, Status>> + Send>>;
            type WorkStream = Pin<Box<dyn Stream<Item = Result<v1::WorkResponse, Status>> + Send>>;

            async fn posts(
                &self,
                request: Request<Streaming<v1::PostsRequest>>,
            ) -> Result<Response<Self::PostsStream>, Status> {
                self.0.peers.lock().unwrap().extend(request.remote_addr());
                Ok(Response::new(Box::pin(items::posts(self.clone(), request))))
            }

            async fn work(
                &self,
                request: Request<Streaming<v1::WorkRequest>>,
            ) -> Result<Response<Self::WorkStream>, Status> {
                self.0.peers.lock().unwrap().extend(request.remote_addr());
                Ok(Response::new(Box::pin(items::work(self.clone(), request))))
            }

            async fn watch_messages(
                &self,
                request: Request<v1::WatchMessagesRequest>,
            ) -> Result<Response<Self::WatchMessagesStream>, Status> {
                Ok(Response::new(Box::pin(self.0.log.watch(request.into_inner())?)))
            }

            async fn list_messages(
                &self,
                request: Request<v1::ListMessagesRequest>,
            ) -> Result<Response<v1::ListMessagesResponse>, Status> {
                // What the gateway asks for itself is asked on behalf of nobody.
                match request.metadata().get(CLIENT) {
                    Some(_) => self.serve(request).await,
                    None => Ok(Response::new(self.0.log.newest())),
                }
            }

            /// Of those who call the gateway, one is an operator and one a worker; it has a token itself.
            async fn authenticate(
                &self,
                request: Request<v1::AuthenticateRequest>,
            ) -> Result<Response<v1::AuthenticateResponse>, Status> {
                let role = match request.get_ref().token.as_str() {
                    "of-an-operator" => v1::Role::Operator,
                    "of-a-worker" => v1::Role::Worker,
                    "of-the-gateway" => v1::Role::Gateway,
                    _ => return Err(Status::permission_denied("this token is unknown here")),
                };
                Ok(Response::new(v1::AuthenticateResponse { role: role.into(), ..Default::default() }))
            }

            async fn stream_pending(
                &self,
                _: Request<v1::StreamPendingRequest>,
            ) -> Result<Response<Self::StreamPendingStream>, Status> {
                Err(Status::unimplemented("the gateway streams no work"))
            }

            async fn stream_draft(
                &self,
                _: Request<Streaming<v1::StreamDraftRequest>>,
            ) -> Result<Response<v1::StreamDraftResponse>, Status> {
                Err(Status::unimplemented("the gateway writes no drafts"))
            }

            $(async fn $rpc(&self, request: Request<v1::$request>) -> Result<Response<v1::$answer>, Status> {
                self.serve(request).await
            })*
        }
    };
}

unary! {
    post_message(PostMessageRequest) -> PostMessageResponse;
    post_messages(PostMessagesRequest) -> PostMessagesResponse;
    get_message(GetMessageRequest) -> GetMessageResponse;
    update_message(UpdateMessageRequest) -> UpdateMessageResponse;
    delete_message(DeleteMessageRequest) -> DeleteMessageResponse;
    get_conversation(GetConversationRequest) -> GetConversationResponse;
    list_rooms(ListRoomsRequest) -> ListRoomsResponse;
    list_pending(ListPendingRequest) -> ListPendingResponse;
    list_failed(ListFailedRequest) -> ListFailedResponse;
    list_work(ListWorkRequest) -> ListWorkResponse;
    inspect_message(InspectMessageRequest) -> InspectMessageResponse;
    retry_messages(RetryMessagesRequest) -> RetryMessagesResponse;
    cancel_messages(CancelMessagesRequest) -> CancelMessagesResponse;
    claim_message(ClaimMessageRequest) -> ClaimMessageResponse;
    claim_next(ClaimNextRequest) -> ClaimNextResponse;
    renew_leases(RenewLeasesRequest) -> RenewLeasesResponse;
    release_message(ReleaseMessageRequest) -> ReleaseMessageResponse;
    complete_message(CompleteMessageRequest) -> CompleteMessageResponse;
    complete_messages(CompleteMessagesRequest) -> CompleteMessagesResponse;
    fail_message(FailMessageRequest) -> FailMessageResponse;
    retry_message(RetryMessageRequest) -> RetryMessageResponse;
    cancel_message(CancelMessageRequest) -> CancelMessageResponse;
    pause_entity(PauseEntityRequest) -> PauseEntityResponse;
    resume_entity(ResumeEntityRequest) -> ResumeEntityResponse;
    cancel_pending(CancelPendingRequest) -> CancelPendingResponse;
    hide_message(HideMessageRequest) -> HideMessageResponse;
    restore_message(RestoreMessageRequest) -> RestoreMessageResponse;
    list_hidden(ListHiddenRequest) -> ListHiddenResponse;
    block_sender(BlockSenderRequest) -> BlockSenderResponse;
    unblock_sender(UnblockSenderRequest) -> UnblockSenderResponse;
    list_blocks(ListBlocksRequest) -> ListBlocksResponse;
    list_acts(ListActsRequest) -> ListActsResponse;
    get_stats(GetStatsRequest) -> GetStatsResponse;
}
