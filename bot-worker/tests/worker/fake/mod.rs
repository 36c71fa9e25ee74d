//! A queue-service of the tests' own: it accepts a worker on a real socket, shows each call to the test, and answers
//! what the test has prepared.

mod service;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use bot_worker::Worker;
use repartee_proto::v1::{
    BotParams, CompleteMessageRequest, FailMessageRequest, GoingAway, Lease, LeaseRef, Message,
    StreamDraftRequest, StreamHello, StreamPendingRequest, StreamPendingResponse, Work, WorkCancelled,
    queue_service_server::QueueServiceServer, stream_pending_response::Event,
};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    time::timeout,
};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status, transport::Server};

/// Nothing that a test waits for may take longer; a renewal comes within a third of the shortest lease.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A call of the worker.
#[derive(Debug)]
pub(crate) enum Call {
    Renew(Vec<LeaseRef>),
    Complete(CompleteMessageRequest),
    Fail(FailMessageRequest),
    Release(LeaseRef, Option<String>),
}

/// What the service shares with the test.
pub(crate) struct Shared {
    /// Itself: streams outlive the call that opened them.
    pub(crate) me: Weak<Shared>,
    pub(crate) opened: mpsc::Sender<Stream>,
    pub(crate) calls: mpsc::Sender<Call>,
    /// Refusals of the next completions, first come, first served; then they succeed.
    pub(crate) refused_completions: Mutex<VecDeque<Status>>,
    /// Tokens whose renewal is refused.
    pub(crate) lost: Mutex<Vec<String>>,
    /// Steps of drafts, as they came.
    pub(crate) drafts: Mutex<Vec<StreamDraftRequest>>,
    /// Where a test sets it: drafts are refused with this code, or not looked at.
    pub(crate) drafts_answer: Mutex<Option<Option<Code>>>,
    /// So many of the next drafts break off behind their first step.
    pub(crate) broken_drafts: Mutex<u32>,
    /// Told with each of them.
    pub(crate) drafted: Notify,
    /// Refusals of the next streams.
    pub(crate) refused_streams: Mutex<VecDeque<Status>>,
    /// If the test sets it, the only token that is accepted.
    pub(crate) wanted_token: Mutex<Option<String>>,
    /// Told when another one was sent.
    pub(crate) token_refused: Notify,
}

/// One open stream of work.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) request: StreamPendingRequest,
    pub(crate) events: mpsc::Sender<Result<StreamPendingResponse, Status>>,
}

/// The running fake.
pub(crate) struct Fake {
    addr: SocketAddr,
    opened: mpsc::Receiver<Stream>,
    calls: mpsc::Receiver<Call>,
    pub(crate) shared: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (opened_sender, opened) = mpsc::channel(16);
        let (calls_sender, calls) = mpsc::channel(64);
        let shared = Arc::new_cyclic(|me| Shared {
            me: Weak::clone(me),
            opened: opened_sender,
            calls: calls_sender,
            refused_completions: Mutex::default(),
            lost: Mutex::default(),
            refused_streams: Mutex::default(),
            drafts: Mutex::default(),
            drafts_answer: Mutex::default(),
            broken_drafts: Mutex::default(),
            drafted: Notify::new(),
            wanted_token: Mutex::default(),
            token_refused: Notify::new(),
        });
        let service = QueueServiceServer::from_arc(Arc::clone(&shared));
        let server =
            Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
        let serving = AbortOnDropHandle::new(tokio::spawn(async move { server.await.unwrap() }));
        Self { addr, opened, calls, shared, _serving: serving }
    }

    /// A worker for this service that answers everything, with the shortest lease.
    pub(crate) fn worker(&self) -> Worker {
        Worker::connect(self.url()).name("tester").entity("echo").lease(Duration::from_secs(5))
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The next stream that the worker opens.
    pub(crate) async fn stream(&mut self) -> Stream {
        timeout(PATIENCE, self.opened.recv()).await.expect("a stream is opened in time").unwrap()
    }

    /// The same, greeted with a heartbeat interval that does not matter to the test.
    pub(crate) async fn accepted_stream(&mut self) -> Stream {
        let stream = self.stream().await;
        stream.hello(Duration::from_secs(15)).await;
        stream
    }

    /// The next call of the worker.
    pub(crate) async fn call(&mut self) -> Call {
        timeout(PATIENCE, self.calls.recv()).await.expect("the worker calls in time").unwrap()
    }

    pub(crate) async fn completion(&mut self) -> CompleteMessageRequest {
        match self.call().await {
            Call::Complete(request) => request,
            other => panic!("a completion was expected, not {other:?}"),
        }
    }

    pub(crate) async fn failure(&mut self) -> FailMessageRequest {
        match self.call().await {
            Call::Fail(request) => request,
            other => panic!("a failure was expected, not {other:?}"),
        }
    }

    /// Calls that nobody looked at.
    pub(crate) fn unseen_call(&mut self) -> Option<Call> {
        self.calls.try_recv().ok()
    }

    pub(crate) fn refuse_completions(&self, codes: &[Code]) {
        let refusals = codes.iter().map(|code| Status::new(*code, "prepared by the test"));
        self.shared.refused_completions.lock().unwrap().extend(refusals);
    }

    pub(crate) fn refuse_stream(&self, code: Code) {
        self.shared.refused_streams.lock().unwrap().push_back(Status::new(code, "prepared by the test"));
    }

    /// Accepts this token only, from now on.
    pub(crate) fn want_token(&self, token: &str) {
        *self.shared.wanted_token.lock().unwrap() = Some(token.into());
    }

    /// Waits until another token was refused.
    pub(crate) async fn token_refused(&self) {
        timeout(PATIENCE, self.shared.token_refused.notified()).await.expect("a token is refused in time");
    }

    pub(crate) fn lose(&self, token: &str) {
        self.shared.lost.lock().unwrap().push(token.into());
    }
}

#[cfg(feature = "openai")]
impl Fake {
    /// Waits until this is what a draft begins with.
    pub(crate) async fn drafted(&self, text: &str) {
        let shown = async {
            while !self.shown().starts_with(text) {
                self.shared.drafted.notified().await;
            }
        };
        timeout(PATIENCE, shown).await.expect("the draft is shown in time");
    }

    /// All that drafts have shown.
    pub(crate) fn shown(&self) -> String {
        use repartee_proto::v1::stream_draft_request::Content;
        let drafts = self.shared.drafts.lock().unwrap();
        drafts
            .iter()
            .filter_map(|step| step.content.as_ref())
            .map(|content| match content {
                Content::Text(text) | Content::Delta(text) => text.as_str(),
            })
            .collect()
    }

    /// The next claim that is given back because of an outage, and the outage.
    pub(crate) async fn given_back(&mut self) -> (LeaseRef, String) {
        match self.call().await {
            Call::Release(lease, Some(why)) => (lease, why),
            other => panic!("a release in an outage was expected, not {other:?}"),
        }
    }

    /// The next stream of a worker that takes work, and why those before it held back.
    pub(crate) async fn stream_that_takes_work(&mut self) -> (Stream, Vec<String>) {
        let mut holds_back = Vec::new();
        loop {
            let stream = self.accepted_stream().await;
            match stream.request.holds_back.clone() {
                Some(why) => holds_back.push(why),
                None => return (stream, holds_back),
            }
        }
    }
}

impl Stream {
    /// Sends an event as it is.
    pub(crate) async fn send(&self, event: Event) {
        self.events.send(Ok(StreamPendingResponse { event: Some(event) })).await.expect("the worker listens");
    }

    pub(crate) async fn hello(&self, heartbeat: Duration) {
        let heartbeat_interval = Some(heartbeat.try_into().unwrap());
        self.send(Event::Hello(StreamHello { epoch: "e".into(), heartbeat_interval })).await;
    }

    pub(crate) async fn work(&self, id: &str, token: &str, text: &str) {
        self.work_in_context(id, token, text, Vec::new()).await;
    }

    pub(crate) async fn work_in_context(&self, id: &str, token: &str, text: &str, context: Vec<Message>) {
        let bot_params = Some(BotParams { entity: "echo".into(), attempts: 1, ..Default::default() });
        let message = Message { id: id.into(), text: text.into(), bot_params, ..Default::default() };
        let lease = Some(Lease { token: token.into(), expires_at: 0 });
        self.send(Event::Work(Work { message: Some(message), lease, context, ..Work::default() })).await;
    }

    pub(crate) async fn cancelled(&self, id: &str) {
        self.send(Event::Cancelled(WorkCancelled { message_id: id.into() })).await;
    }

    pub(crate) async fn going_away(&self) {
        self.send(Event::GoingAway(GoingAway { retry_after: None })).await;
    }

    /// Waits until the worker has let go of the stream.
    pub(crate) async fn dropped(&self) {
        timeout(PATIENCE, self.events.closed()).await.expect("the stream is dropped in time");
    }
}
