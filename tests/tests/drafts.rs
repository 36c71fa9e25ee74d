//! What bots are writing: seen while it is written, never stored, and over when the work is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::{
    DOMAIN, Events, Grpc, Metrics, Refused, Service, World, held, question, reply, watch_live,
    within_deadline,
};
use futures_util::stream;
use repartee_proto::v1::{
    Draft, LeaseRef, StreamDraftRequest, WatchMessagesRequest, stream_draft_request::Content,
    watch_messages_response::Event as Seen,
};
use tokio::{sync::mpsc, task::JoinHandle};
use tonic::{Code, Status};

/// A draft that a test writes.
struct Writing {
    steps: mpsc::Sender<StreamDraftRequest>,
    ended: JoinHandle<Result<(), Status>>,
}

impl Writing {
    fn begin(client: &Grpc) -> Self {
        let (steps, requests) = mpsc::channel::<StreamDraftRequest>(16);
        let mut client = client.raw();
        let requests =
            stream::unfold(requests, async |mut requests| Some((requests.recv().await?, requests)));
        let ended = tokio::spawn(async move { client.stream_draft(requests).await.map(drop) });
        Self { steps, ended }
    }

    async fn send(&self, lease: Option<&LeaseRef>, content: Content) {
        let request = StreamDraftRequest { lease: lease.cloned(), content: Some(content) };
        self.steps.send(request).await.unwrap();
    }

    async fn refusal(self) -> Refused {
        Refused::from(&within_deadline("a refusal", self.ended).await.unwrap().unwrap_err())
    }
}

fn text(text: &str) -> Content {
    Content::Text(text.to_owned())
}

fn delta(text: &str) -> Content {
    Content::Delta(text.to_owned())
}

/// A question that is being worked on, and its lease.
async fn claimed(client: &Grpc) -> LeaseRef {
    let asked = client.post(question("echo", "Why?")).await.unwrap();
    held(&client.claim(&asked.id, "worker 1").await.unwrap())
}

/// Reads on to a draft with this text.
async fn draft_of(watch: &mut e2e::Watch, text: &str) -> Draft {
    loop {
        if let Some(Seen::Draft(draft)) = watch.event().await.unwrap()
            && draft.text == text
        {
            return draft;
        }
    }
}

#[tokio::test]
async fn a_draft_grows_before_everybody_and_is_replaced_by_the_reply() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    let mut watch = client.watch(WatchMessagesRequest { drafts: true, ..watch_live() }).await.unwrap();
    let path = format!("/api/comments/stream?domain={DOMAIN}");
    let mut events = Events::open(&browser, &path, "").await.unwrap();
    let lease = claimed(&client).await;
    let before = client.stats().await.unwrap().tail_seq;

    let writing = Writing::begin(&client);
    writing.send(Some(&lease), text("I ")).await;
    let draft = draft_of(&mut watch, "I ").await;
    assert_eq!((draft.message_id.as_str(), draft.domain.as_str()), (lease.message_id.as_str(), DOMAIN));
    assert!(!draft.ended);
    writing.send(None, delta("thi")).await;
    writing.send(None, delta("nk")).await;
    draft_of(&mut watch, "I think").await;
    let seen = loop {
        let seen = events.until("draft").await;
        if seen.data["text"] == "I think" {
            break seen;
        }
    };
    assert_eq!((&seen.id, &seen.data["messageId"]), (&None, &lease.message_id.as_str().into()));
    // Whoever comes now sees what there is, behind hello.
    let mut late = Events::open(&browser, &path, "").await.unwrap();
    late.named("hello").await;
    assert_eq!(late.named("draft").await.data["text"], "I think");
    let told = late.block().await.unwrap();
    assert!(told.name.is_empty() && told.id.is_some(), "that was all that there is: {told:?}");
    assert_eq!(client.stats().await.unwrap().tail_seq, before, "nothing is stored");

    let done = client.complete(lease, reply("I think so.")).await.unwrap();
    let reply = loop {
        let message = events.until("message").await;
        if message.data["id"] == done.reply_id.as_deref().unwrap() {
            break message;
        }
    };
    assert_eq!(reply.data["text"], "I think so.");
    drop(writing.steps);
    assert!(draft_of(&mut watch, "").await.ended);
    // It ended by itself, or because the message is finished.
    let _ = within_deadline("the end of the draft", writing.ended).await.unwrap();
}

#[tokio::test]
async fn a_draft_ends_when_its_writer_goes_away_and_when_the_lease_does() {
    let world = World::start().await;
    let client = world.grpc().await;
    let mut watch = client.watch(WatchMessagesRequest { drafts: true, ..watch_live() }).await.unwrap();
    let lease = claimed(&client).await;
    let gone = Writing::begin(&client);
    gone.send(Some(&lease), text("One")).await;
    draft_of(&mut watch, "One").await;
    gone.ended.abort();
    assert!(draft_of(&mut watch, "").await.ended);

    let released = Writing::begin(&client);
    released.send(Some(&lease), text("Two")).await;
    draft_of(&mut watch, "Two").await;
    client.release(lease).await.unwrap();
    let refused = released.refusal().await;
    assert_eq!((refused.code, refused.reason.as_str()), (Code::FailedPrecondition, "LEASE_LOST"));
    assert!(draft_of(&mut watch, "").await.ended);
}

#[tokio::test]
async fn only_who_holds_the_message_may_write_and_no_more_than_a_reply() {
    let queue = Service::queue_service(&["--max-streams", "1"]).await;
    let client = queue.grpc().await;
    let lease = claimed(&client).await;
    let wrong = LeaseRef { lease_token: "0".repeat(32), ..lease.clone() };
    let unknown = LeaseRef { message_id: uuid::Uuid::new_v4().to_string(), ..lease.clone() };
    let nonsense = LeaseRef { lease_token: "nonsense".to_owned(), ..lease.clone() };
    for (lease, content, code, named) in [
        (Some(&wrong), text("x"), Code::FailedPrecondition, "another claim holds the message"),
        (Some(&unknown), text("x"), Code::NotFound, "no message has the id"),
        (Some(&nonsense), text("x"), Code::InvalidArgument, "must be 32 hex digits"),
        (None, text("x"), Code::InvalidArgument, "lease"),
        (
            Some(&lease),
            text(&"x".repeat(16_385)),
            Code::InvalidArgument,
            "must be 1 to 16384 bytes, is 16385",
        ),
        (Some(&lease), delta("x\0"), Code::InvalidArgument, "NUL"),
    ] {
        let writing = Writing::begin(&client);
        writing.send(lease, content).await;
        let status = within_deadline("a refusal", writing.ended).await.unwrap().unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(named), "{status:?}");
    }
    let mut watch = client.watch(WatchMessagesRequest { drafts: true, ..watch_live() }).await.unwrap();
    let writing = Writing::begin(&client);
    writing.send(Some(&lease), text(&"x".repeat(16_380))).await;
    draft_of(&mut watch, &"x".repeat(16_380)).await;
    let second = Writing::begin(&client);
    assert_eq!(second.refusal().await.reason, "TOO_MANY_STREAMS");
    let operator = e2e::Browser::new(&queue.grpc_url());
    assert_eq!(Metrics::of(&operator).await.bound("drafts"), (1.0, 1.0));
    writing.send(None, delta("too long")).await;
    assert_eq!(writing.refusal().await.code, Code::InvalidArgument);
}

#[tokio::test]
async fn a_watcher_that_asks_for_no_drafts_sees_changes_only() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut asking = client.watch(WatchMessagesRequest { drafts: true, ..watch_live() }).await.unwrap();
    let mut plain = client.watch(watch_live()).await.unwrap();
    let lease = claimed(&client).await;
    let writing = Writing::begin(&client);
    writing.send(Some(&lease), text("I think")).await;
    draft_of(&mut asking, "I think").await;
    client.complete(lease, None).await.unwrap();
    for _ in 0..3 {
        plain.change().await;
    }
}

#[tokio::test]
async fn the_demo_bot_writes_before_everybody() {
    let repartee = Service::repartee(&[]).await;
    let browser = repartee.browser();
    let mut events =
        Events::open(&browser, &format!("/api/comments/stream?domain={DOMAIN}"), "").await.unwrap();
    events.named("hello").await;
    browser.comment(&e2e::question_json("echo", "One two three four five.")).await;
    let draft = events.until("draft").await;
    assert!("One two three four five.".starts_with(draft.data["text"].as_str().unwrap()), "{draft:?}");
}
