//! The gRPC face of the fake: what a worker calls is served, the rest is unimplemented.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use queue_service_server::QueueService as _;
use repartee_proto::v1::{work_outcome::Outcome, work_request::Step, *};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Request, Response, Status, metadata::MetadataMap};

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
    fn myself(&self) -> Arc<Self> {
        self.me.upgrade().expect("whoever serves holds it")
    }

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
    type PostsStream = Events<PostsResponse>;
    type WorkStream = Events<WorkResponse>;

    async fn work(&self, request: Request<tonic::Streaming<WorkRequest>>) -> Answer<Self::WorkStream> {
        self.judge(&request)?;
        let metadata = request.metadata().clone();
        let mut items = request.into_inner();
        // What it is to be answered with shows with its first item.
        let first = items.message().await?;
        if matches!(first, Some(WorkRequest { step: Some(Step::Subscribe(_)), .. }))
            && let Some(refusal) = self.refused_streams.lock().unwrap().pop_front()
        {
            return Err(refusal);
        }
        let (told, receiver) = mpsc::channel(16);
        let served = Served { shared: self.myself(), metadata, told };
        tokio::spawn(served.serve(first, items));
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
        posts: tonic::Streaming<PostsRequest> => Self::PostsStream,
        stream_pending: StreamPendingRequest => Self::StreamPendingStream,
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

/// One open stream of Work.
struct Served {
    shared: Arc<Shared>,
    metadata: MetadataMap,
    told: mpsc::Sender<Result<WorkResponse, Status>>,
}

impl Served {
    /// Answers items until its client ends, or the test ends the subscription.
    async fn serve(self, mut first: Option<WorkRequest>, mut items: tonic::Streaming<WorkRequest>) {
        let mut subscription = None;
        let is_greeted = Arc::new(AtomicBool::new(false));
        loop {
            let item = match first.take() {
                Some(item) => Some(item),
                None => tokio::select! {
                    item = items.message() => item.ok().flatten(),
                    () = ended(&mut subscription) => return,
                },
            };
            let Some(WorkRequest { number, step: Some(step), .. }) = item else { return };
            match step {
                Step::Subscribe(request) => {
                    let (events, receiver) = mpsc::channel(16);
                    let stream = Stream { request, events };
                    let forwarding = forward(number, receiver, self.told.clone(), Arc::clone(&is_greeted));
                    subscription = Some(AbortOnDropHandle::new(tokio::spawn(forwarding)));
                    self.shared.opened.send(stream).await.expect("the test listens");
                }
                Step::Unsubscribe(_) => {
                    subscription = None;
                    self.greet(&is_greeted).await;
                    self.answer(number, Outcome::Unsubscribed(Unsubscribed {})).await;
                }
                step => {
                    self.greet(&is_greeted).await;
                    let outcome = self.take(step).await;
                    self.answer(number, outcome.unwrap_or_else(|status| Outcome::Status((&status).into())))
                        .await;
                }
            }
        }
    }

    async fn take(&self, step: Step) -> Result<Outcome, Status> {
        let shared = &self.shared;
        Ok(match step {
            Step::Renew(request) => {
                Outcome::Renewed(shared.renew_leases(self.call(request)).await?.into_inner())
            }
            Step::Complete(request) => {
                Outcome::Completed(shared.complete_message(self.call(request)).await?.into_inner())
            }
            Step::Fail(request) => {
                Outcome::Failed(shared.fail_message(self.call(request)).await?.into_inner())
            }
            Step::Release(request) => {
                Outcome::Released(shared.release_message(self.call(request)).await?.into_inner())
            }
            other => panic!("no worker sends {other:?}"),
        })
    }

    fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request
    }

    async fn answer(&self, number: u64, outcome: Outcome) {
        let outcome = WorkOutcome { number, outcome: Some(outcome) };
        // A worker that has gone away needs no answer.
        let _ = self.told.send(Ok(told(work_response::Event::Outcome(outcome)))).await;
    }

    /// A stream without a subscription is greeted by itself, one with one when the test says so.
    async fn greet(&self, is_greeted: &AtomicBool) {
        if !is_greeted.swap(true, Ordering::Relaxed) {
            let _ = self.told.send(Ok(told(work_response::Event::Hello(hello(None))))).await;
        }
    }
}

/// Says on the stream what the test says to a subscription. The first hello is that of the stream; each accepts the
/// subscription.
async fn forward(
    number: u64,
    mut events: mpsc::Receiver<Result<StreamPendingResponse, Status>>,
    to: mpsc::Sender<Result<WorkResponse, Status>>,
    is_greeted: Arc<AtomicBool>,
) {
    use stream_pending_response::Event;
    use work_response::Event as Told;

    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = to.closed() => return,
        };
        let sent = match event {
            None => return,
            Some(Err(status)) => vec![Err(status)],
            Some(Ok(StreamPendingResponse { event: Some(Event::Hello(said)) })) => {
                let subscribed = Outcome::Subscribed(Subscribed {});
                let accepted = Told::Outcome(WorkOutcome { number, outcome: Some(subscribed) });
                let greeting = (!is_greeted.swap(true, Ordering::Relaxed))
                    .then(|| Told::Hello(hello(said.heartbeat_interval)));
                greeting.into_iter().chain([accepted]).map(|event| Ok(told(event))).collect()
            }
            Some(Ok(StreamPendingResponse { event })) => vec![Ok(WorkResponse {
                event: event.map(|event| match event {
                    Event::Work(work) => Told::Work(work),
                    Event::Cancelled(cancelled) => Told::Cancelled(cancelled),
                    Event::Heartbeat(heartbeat) => Told::Heartbeat(heartbeat),
                    Event::GoingAway(going) => Told::GoingAway(going),
                    Event::Hello(_) => panic!("it was looked at before"),
                }),
            })],
        };
        for event in sent {
            let was_last = event.is_err();
            if to.send(event).await.is_err() || was_last {
                return;
            }
        }
    }
}

/// Returns once the test has ended the subscription.
async fn ended(subscription: &mut Option<AbortOnDropHandle<()>>) {
    match subscription {
        Some(forwarding) => drop(forwarding.await),
        None => std::future::pending().await,
    }
}

fn hello(heartbeat_interval: Option<prost_types::Duration>) -> WorkHello {
    WorkHello { epoch: "e".into(), heartbeat_interval, max_in_flight: 256 }
}

fn told(event: work_response::Event) -> WorkResponse {
    WorkResponse { event: Some(event) }
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
