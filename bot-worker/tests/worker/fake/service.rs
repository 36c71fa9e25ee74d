//! The gRPC face of the fake: what a worker calls is served, the rest is unimplemented.

use std::{future::Future, pin::Pin};

use repartee_proto::v1::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::{Call, Shared, Stream};

type Answer<T> = Result<Response<T>, Status>;
type Events<T> = ReceiverStream<Result<T, Status>>;

/// Refuses calls that no worker makes, in the form that the trait's `async fn`s expand to.
macro_rules! unimplemented_calls {
    ($($call:ident: $request:ty => $response:ty,)*) => {$(
        fn $call<'life0, 'async_trait>(
            &'life0 self,
            _: Request<$request>,
        ) -> Pin<Box<dyn Future<Output = Answer<$response>> + Send + 'async_trait>>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async { Err(Status::unimplemented(stringify!($call))) })
        }
    )*};
}

impl Shared {
    async fn show(&self, call: Call) {
        self.calls.send(call).await.expect("the test listens");
    }

    /// Refuses callers without the token that the test wants, if it wants one.
    fn judge<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let Some(wanted) = self.wanted_token.lock().unwrap().clone() else { return Ok(()) };
        let Some(sent) = request.metadata().get("authorization") else {
            return Err(Status::unauthenticated("this call needs a worker's token"));
        };
        if sent.to_str().unwrap() == format!("Bearer {wanted}") {
            return Ok(());
        }
        self.token_refused.notify_one();
        Err(Status::permission_denied("this token is unknown here or was revoked"))
    }
}

#[tonic::async_trait]
impl queue_service_server::QueueService for Shared {
    type StreamPendingStream = Events<StreamPendingResponse>;
    type WatchMessagesStream = Events<WatchMessagesResponse>;

    async fn stream_pending(
        &self,
        request: Request<StreamPendingRequest>,
    ) -> Answer<Self::StreamPendingStream> {
        self.judge(&request)?;
        if let Some(refusal) = self.refused_streams.lock().unwrap().pop_front() {
            return Err(refusal);
        }
        let (events, receiver) = mpsc::channel(16);
        let stream = Stream { request: request.into_inner(), events };
        self.opened.send(stream).await.expect("the test listens");
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn renew_leases(&self, request: Request<RenewLeasesRequest>) -> Answer<RenewLeasesResponse> {
        self.judge(&request)?;
        let leases = request.into_inner().leases;
        let lost = self.lost.lock().unwrap().clone();
        let outcomes = leases.iter().map(|lease| renewal(lost.contains(&lease.lease_token))).collect();
        self.show(Call::Renew(leases)).await;
        Ok(Response::new(RenewLeasesResponse { outcomes }))
    }

    async fn complete_message(
        &self,
        request: Request<CompleteMessageRequest>,
    ) -> Answer<CompleteMessageResponse> {
        self.judge(&request)?;
        let refusal = self.refused_completions.lock().unwrap().pop_front();
        self.show(Call::Complete(request.into_inner())).await;
        refusal.map_or_else(|| Ok(Response::new(Default::default())), Err)
    }

    async fn fail_message(&self, request: Request<FailMessageRequest>) -> Answer<FailMessageResponse> {
        self.judge(&request)?;
        self.show(Call::Fail(request.into_inner())).await;
        Ok(Response::new(Default::default()))
    }

    async fn release_message(
        &self,
        request: Request<ReleaseMessageRequest>,
    ) -> Answer<ReleaseMessageResponse> {
        self.judge(&request)?;
        let ReleaseMessageRequest { lease, holds_back } = request.into_inner();
        self.show(Call::Release(lease.unwrap(), holds_back)).await;
        Ok(Response::new(Default::default()))
    }

    async fn stream_draft(
        &self,
        request: Request<tonic::Streaming<StreamDraftRequest>>,
    ) -> Answer<StreamDraftResponse> {
        self.judge(&request)?;
        let answer = *self.drafts_answer.lock().unwrap();
        match answer {
            Some(Some(code)) => return Err(Status::new(code, "prepared by the test")),
            Some(None) => std::future::pending().await,
            None => {}
        }
        let mut requests = request.into_inner();
        while let Some(request) = requests.message().await? {
            self.drafts.lock().unwrap().push(request);
            self.drafted.notify_one();
            let mut broken = self.broken_drafts.lock().unwrap();
            if *broken > 0 {
                *broken -= 1;
                return Err(Status::unavailable("prepared by the test"));
            }
        }
        Ok(Response::new(StreamDraftResponse {}))
    }

    unimplemented_calls! {
        post_message: PostMessageRequest => PostMessageResponse,
        post_messages: PostMessagesRequest => PostMessagesResponse,
        get_message: GetMessageRequest => GetMessageResponse,
        update_message: UpdateMessageRequest => UpdateMessageResponse,
        delete_message: DeleteMessageRequest => DeleteMessageResponse,
        list_messages: ListMessagesRequest => ListMessagesResponse,
        watch_messages: WatchMessagesRequest => Self::WatchMessagesStream,
        get_conversation: GetConversationRequest => GetConversationResponse,
        list_rooms: ListRoomsRequest => ListRoomsResponse,
        list_pending: ListPendingRequest => ListPendingResponse,
        list_failed: ListFailedRequest => ListFailedResponse,
        list_work: ListWorkRequest => ListWorkResponse,
        inspect_message: InspectMessageRequest => InspectMessageResponse,
        retry_messages: RetryMessagesRequest => RetryMessagesResponse,
        cancel_messages: CancelMessagesRequest => CancelMessagesResponse,
        claim_message: ClaimMessageRequest => ClaimMessageResponse,
        claim_next: ClaimNextRequest => ClaimNextResponse,
        complete_messages: CompleteMessagesRequest => CompleteMessagesResponse,
        retry_message: RetryMessageRequest => RetryMessageResponse,
        cancel_message: CancelMessageRequest => CancelMessageResponse,
        pause_entity: PauseEntityRequest => PauseEntityResponse,
        resume_entity: ResumeEntityRequest => ResumeEntityResponse,
        cancel_pending: CancelPendingRequest => CancelPendingResponse,
        hide_message: HideMessageRequest => HideMessageResponse,
        restore_message: RestoreMessageRequest => RestoreMessageResponse,
        list_hidden: ListHiddenRequest => ListHiddenResponse,
        block_sender: BlockSenderRequest => BlockSenderResponse,
        unblock_sender: UnblockSenderRequest => UnblockSenderResponse,
        list_blocks: ListBlocksRequest => ListBlocksResponse,
        list_acts: ListActsRequest => ListActsResponse,
        get_stats: GetStatsRequest => GetStatsResponse,
        authenticate: AuthenticateRequest => AuthenticateResponse,
    }
}

fn renewal(lost: bool) -> RenewOutcome {
    let refusal = || Rejection {
        code: Code::FailedPrecondition.into(),
        reason: "LEASE_LOST".into(),
        message: "another worker holds it".into(),
        violations: Vec::new(),
    };
    let outcome = if lost {
        renew_outcome::Outcome::Rejection(refusal())
    } else {
        renew_outcome::Outcome::ExpiresAt(0)
    };
    RenewOutcome { outcome: Some(outcome) }
}
