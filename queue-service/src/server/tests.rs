//! The whole service, over a real socket, with a journal that is slow, fails, or stores only a part.

use std::{error::Error as _, path::Path, sync::mpsc::SyncSender};

use repartee_process::{NewToken, Role, Secret};
use repartee_proto::v1::{
    self, BotAddress, ListMessagesRequest, MessageType, NewMessage, PostMessageRequest, PostMessageResponse,
    StreamMode, StreamPendingRequest, WatchMessagesRequest, list_messages_request::Position,
    queue_service_client::QueueServiceClient, watch_messages_response::Event as Seen,
};
use tempfile::TempDir;
use tokio::{
    runtime::Runtime,
    sync::mpsc::Receiver,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status, Streaming,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt as _;

use super::{Error, Server};
use crate::{
    Settings,
    journal::{Commit, Journal, LogJournal, OpenError},
    writer::tests::{Held, Order},
};

type Client = QueueServiceClient<InterceptedService<Channel, AsOperator>>;

/// Sends the token of an operator with each call.
#[derive(Clone)]
struct AsOperator(Secret);

impl Interceptor for AsOperator {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let bearer = format!("Bearer {}", self.0.reveal());
        request.metadata_mut().insert("authorization", bearer.parse().expect("a token is visible ASCII"));
        Ok(request)
    }
}

/// A service in a runtime of its own, as a process has one.
struct Life {
    runtime: Runtime,
    served: JoinHandle<Result<(), Error>>,
    url: String,
    token: Secret,
}

impl Life {
    async fn start<J: Journal>(
        dir: &Path,
        settings: &[&str],
        journal: impl FnOnce(LogJournal) -> J + Clone + Send + 'static,
    ) -> Self {
        let runtime = Runtime::new().unwrap();
        let data = ["queue-service", "--grpc-addr", "127.0.0.1:0", "--data-dir", dir.to_str().unwrap()];
        let settings: Settings = clap::Parser::try_parse_from([&data, settings].concat()).unwrap();
        let token = Secret::from(format!("rpt_0123456789ab_{}", "7".repeat(64)));
        let server = loop {
            let mut own = NewToken::draw(Role::Operator, &[], "", None);
            (own.secret, own.grant.id) = (token.clone(), "0123456789ab".to_owned());
            let binding = Server::bind_with(settings.clone(), vec![own], journal.clone());
            let bound = runtime.spawn(binding).await.unwrap();
            match bound {
                // sled gives its lock back a moment after the last handle is gone.
                Err(Error::Open(OpenError::InUse(_))) => tokio::task::yield_now().await,
                bound => break bound.unwrap(),
            }
        };
        let url = format!("http://{}", server.addr());
        let served = runtime.spawn(server.serve(CancellationToken::new()));
        Self { runtime, served, url, token }
    }

    /// A service whose commits wait for orders.
    async fn held(dir: &Path, settings: &[&str]) -> (Self, Receiver<Commit>, SyncSender<Order>) {
        let (told, ends) = std::sync::mpsc::sync_channel(1);
        let journal = move |journal| {
            let (journal, commits, orders) = Held::new(journal);
            told.send((commits, orders)).expect("the test waits for it");
            journal
        };
        let life = Self::start(dir, settings, journal).await;
        let (commits, orders) = ends.recv().unwrap();
        (life, commits, orders)
    }

    async fn client(&self) -> Client {
        let channel = Endpoint::from_shared(self.url.clone()).unwrap().connect().await.unwrap();
        QueueServiceClient::with_interceptor(channel, AsOperator(self.token.clone()))
    }

    /// Waits until the service ends by itself, and ends what a process would end with it.
    async fn failed(self) -> Error {
        let error = self.served.await.unwrap().unwrap_err();
        self.runtime.shutdown_background();
        error
    }

    fn end(self) {
        self.runtime.shutdown_background();
    }
}

fn question(human: &str, text: &str) -> PostMessageRequest {
    let message = NewMessage {
        domain: "test.example".to_owned(),
        text: text.to_owned(),
        username: human.to_owned(),
        color: "001001001".to_owned(),
        message_type: MessageType::Human.into(),
        bot: Some(BotAddress { entity: "bot".to_owned(), ..BotAddress::default() }),
        ..NewMessage::default()
    };
    PostMessageRequest { message: Some(message), idempotency_key: Some(text.to_owned()) }
}

type Outcome = Result<PostMessageResponse, Status>;

async fn post(mut client: Client, human: &'static str, text: String) -> Outcome {
    Ok(client.post_message(question(human, &text)).await?.into_inner())
}

/// Posts in the background.
fn posting(client: &Client, human: &'static str, text: &str) -> JoinHandle<Outcome> {
    tokio::spawn(post(client.clone(), human, text.to_owned()))
}

/// What everybody can read of the messages, by every way there is.
async fn shown(client: &Client) -> Vec<Vec<String>> {
    let mut client = client.clone();
    let list =
        |position, domain: &str| ListMessagesRequest { domain: domain.to_owned(), position, limit: 100 };
    let texts = |messages: Vec<v1::Message>| messages.into_iter().map(|message| message.text).collect();
    let mut shown = Vec::new();
    for request in [
        list(None, ""),
        list(None, "test.example"),
        list(Some(Position::After(1)), ""),
        list(Some(Position::After(1)), "test.example"),
    ] {
        shown.push(texts(client.list_messages(request).await.unwrap().into_inner().messages));
    }
    for human in ["ann", "bob"] {
        let conversation = v1::GetConversationRequest {
            human_username: human.to_owned(),
            human_color: "001001001".to_owned(),
            ai_username: "bot".to_owned(),
            ai_color: "default".to_owned(),
            ..Default::default()
        };
        shown.push(texts(client.get_conversation(conversation).await.unwrap().into_inner().messages));
    }
    let pending = v1::ListPendingRequest { entity: String::new(), limit: 100 };
    shown.push(texts(client.list_pending(pending).await.unwrap().into_inner().messages));
    shown
}

async fn watch(client: &Client) -> Streaming<v1::WatchMessagesResponse> {
    client.clone().watch_messages(WatchMessagesRequest::default()).await.unwrap().into_inner()
}

/// The texts of the changes that a watch shows until it ends.
async fn changes(mut watch: Streaming<v1::WatchMessagesResponse>) -> Vec<String> {
    let mut texts = Vec::new();
    while let Ok(Some(response)) = watch.message().await {
        if let Some(Seen::Change(change)) = response.event {
            texts.push(change.message.unwrap().text);
        }
    }
    texts
}

/// A worker's stream: with it, a question and its claim are one commit.
async fn worker(client: &Client) -> Streaming<v1::StreamPendingResponse> {
    let request = StreamPendingRequest {
        worker_id: "w".to_owned(),
        session_id: "s".to_owned(),
        mode: StreamMode::Lease.into(),
        max_in_flight: 9,
        ..Default::default()
    };
    client.clone().stream_pending(request).await.unwrap().into_inner()
}

/// A question that is claimed in the same commit, and a commit that fails as ordered. After a restart the log has so
/// many changes of it.
async fn a_commit_fails(order: Order, stored: u64) {
    let dir = TempDir::new().unwrap();
    let (life, mut commits, orders) = Life::held(dir.path(), &[]).await;
    let client = life.client().await;
    let watched = watch(&client).await;
    let first = posting(&client, "ann", "First?");
    assert_eq!(commits.recv().await.unwrap().changes.len(), 1);
    orders.send(Order::Go).unwrap();
    first.await.unwrap().unwrap();
    let mut stream = worker(&client).await;
    assert_eq!(commits.recv().await.unwrap().changes.len(), 1, "it is claimed for the stream");
    orders.send(Order::Go).unwrap();
    let begin = [stream.message().await.unwrap().unwrap(), stream.message().await.unwrap().unwrap()];
    assert!(format!("{begin:?}").contains("First?"), "hello, and the work");
    let before = shown(&client).await;

    let second = posting(&client, "bob", "Second?");
    assert_eq!(commits.recv().await.unwrap().changes.len(), 2, "posted and claimed");
    let third = posting(&client, "cid", "Third?");
    assert_eq!(shown(&client).await, before, "what is not durable is not shown");
    orders.send(order).unwrap();

    for outcome in [second.await.unwrap(), third.await.unwrap()] {
        assert_eq!(outcome.unwrap_err().code(), Code::Unavailable, "nobody is told that it is stored");
    }
    assert!(changes(watched).await.iter().all(|text| text == "First?"), "no watcher has seen it");
    while let Ok(Some(event)) = stream.message().await {
        assert!(!format!("{event:?}").contains("Second?"), "no worker has heard of it");
    }
    let error = life.failed().await;
    let said = format!("{error}: {}", error.source().unwrap());
    assert!(matches!(error, Error::Journal(..)) && said.contains(dir.path().to_str().unwrap()), "{said}");

    let again = Life::start(dir.path(), &[], |journal| journal).await;
    let client = again.client().await;
    let there = if stored > 0 { &["First?", "Second?"][..] } else { &["First?"] };
    assert_eq!(shown(&client).await[0], there);
    let stats = client.clone().get_stats(v1::GetStatsRequest::default()).await.unwrap().into_inner();
    assert_eq!(stats.tail_seq, 2 + stored);
    let repeated = posting(&client, "bob", "Second?").await.unwrap().unwrap();
    assert_eq!(repeated.replayed, stored > 0, "a repetition tells what became of it");
    assert_eq!(shown(&client).await[0], ["First?", "Second?"], "and stores it once");
    again.end();
}

#[tokio::test]
async fn a_commit_that_fails_is_never_seen() {
    a_commit_fails(Order::Fail, 0).await;
}

#[tokio::test]
async fn a_commit_that_fails_after_it_was_stored_is_seen_after_a_restart_only() {
    a_commit_fails(Order::FailAfter, 2).await;
}

#[tokio::test]
async fn a_commit_that_fails_halfway_leaves_a_log_that_goes_on_where_it_ends() {
    a_commit_fails(Order::FailHalfway, 1).await;
}

#[tokio::test]
async fn while_the_disk_is_slow_polls_go_on_and_what_finds_no_room_is_refused_at_once() {
    let dir = TempDir::new().unwrap();
    let (life, mut commits, orders) = Life::held(dir.path(), &["--max-commands", "2"]).await;
    let client = life.client().await;
    let first = posting(&client, "ann", "First?");
    commits.recv().await.unwrap();
    let mut others: JoinSet<_> =
        (0..5).map(|number| post(client.clone(), "ann", format!("Question {number}?"))).collect();
    for _ in 0..3 {
        let refusal = others.join_next().await.unwrap().unwrap().unwrap_err();
        assert_eq!(refusal.code(), Code::ResourceExhausted);
        assert_eq!(refusal.get_details_error_info().unwrap().reason, "QUEUE_FULL");
    }
    assert!(shown(&client).await.iter().all(Vec::is_empty), "polls are answered");
    let channel = Channel::from_shared(life.url.clone()).unwrap().connect().await.unwrap();
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();

    orders.send(Order::Go).unwrap();
    orders.send(Order::Go).unwrap();
    first.await.unwrap().unwrap();
    while let Some(waited) = others.join_next().await {
        waited.unwrap().unwrap();
    }
    assert_eq!(shown(&client).await[0].len(), 3);
    life.end();
}
