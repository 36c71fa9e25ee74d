//! Clients that ask for much and take little: what the services hold for them is bounded, and ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{net::SocketAddr, time::Duration};

use e2e::{
    Bearer, Browser, Frame, Frames, Grpc, Metrics, OPERATOR, RawClient, Service, World, held, platform_post,
    question_from, within_deadline,
};
use repartee_proto::v1::{
    CompleteMessageRequest, CompleteMessagesRequest, GetConversationRequest, ListMessagesRequest,
    ListPendingRequest, PostMessageRequest, PostMessagesRequest, complete_outcome::Outcome,
    list_messages_request::Position, queue_service_client::QueueServiceClient,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::interval,
};
use tonic::transport::Endpoint;

const PAGE: &str = "/api/comments?limit=1000";
const MIB: u64 = 1024 * 1024;
/// A page ends here, or with one commit.
const PAGE_BYTES: usize = 1024 * 1024;
/// gRPC clients take no more by default.
const GRPC_BYTES: usize = 4 * 1024 * 1024;

/// A text that takes six times its bytes as JSON; one character of it can be seen.
fn loud(bytes: usize) -> String {
    format!("{}!", "\u{1}".repeat(bytes - 1))
}

/// Posts so many messages of 96 KB of JSON each.
async fn post_loudly(client: &Grpc, count: usize) {
    for _ in 0..count {
        client.post(platform_post("Human", &loud(16_000))).await.unwrap();
    }
}

/// Waits until the tail of the gateway shows the last of so many messages.
async fn shown(browser: &Browser, count: f64) {
    let shown = async { while Metrics::of(browser).await.value("repartee_gateway_seq") < count {} };
    within_deadline("the messages in the gateway", shown).await;
}

/// A gateway before a queue with 200 loud messages, and what it takes then, in bytes.
async fn loud_world(gateway: &[&str]) -> (World, u64) {
    let mut world = World::with(&[], gateway).await;
    post_loudly(&world.grpc().await, 200).await;
    let browser = world.browser();
    shown(&browser, 200.0).await;
    browser.get(PAGE).await.ok(200);
    let memory = world.gateway.process().memory();
    (world, memory)
}

const BUDGET: [&str; 4] = ["--max-answer-bytes", "16MiB", "--max-answer-bytes-per-connection", "8MiB"];

/// Asks so often for `path` with closed windows, and waits until each answer has its head.
async fn ask_and_take_nothing(address: SocketAddr, path: &str, pages: u32) -> (Frames, u32) {
    let mut frames = Frames::connect(address, 0).await.unwrap();
    for page in 0..pages {
        frames.get(2 * page + 1, path).await.unwrap();
    }
    let mut made = 0;
    for _ in 0..pages {
        match within_deadline("the head of an answer", frames.next()).await {
            Some(Frame::Head { status, .. }) => made += u32::from(status == 200),
            other => panic!("{other:?}"),
        }
    }
    (frames, made)
}

#[tokio::test]
async fn answers_that_nobody_takes_hold_no_more_than_their_budget() {
    let (mut world, before) = loud_world(&BUDGET).await;
    let address = world.gateway.http_addr();
    let (mut open, mut made) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let (frames, pages) = ask_and_take_nothing(address, PAGE, 30).await;
        open.push(frames);
        made.push(pages);
    }
    assert!((1..=8).contains(&made[0]), "one connection has its share: {made:?}");
    assert!(made.iter().sum::<u32>() <= 17, "all of them have the budget: {made:?}");
    let grown = world.gateway.process().memory().saturating_sub(before);
    assert!(grown < 16 * MIB + 8 * MIB, "{} MiB", grown / MIB);
    let browser = world.browser();
    let refused = browser.get(PAGE).await.problem(429);
    assert_eq!(refused["reason"], "TOO_MANY_REQUESTS");
    browser.get("/api/comments?domain=small.example").await.ok(200);
    let metrics = Metrics::of(&browser).await;
    assert!(metrics.refused("answer_bytes") >= 1.0 && metrics.refused("answer_bytes_of_connection") >= 1.0);
    drop(open);
    let given_back = async { while Metrics::of(&browser).await.bound("answer_bytes").0 > 1e6 {} };
    within_deadline("the room that was held", given_back).await;
    browser.get(PAGE).await.ok(200);
}

#[tokio::test]
async fn files_that_nobody_takes_hold_no_more_than_the_budget_of_answers() {
    let mut world = World::with(&[], &BUDGET).await;
    let (address, browser) = (world.gateway.http_addr(), world.browser());
    let bundle = browser.get("/docs/swagger-ui-bundle.js").await;
    assert!(bundle.text().len() > 1_000_000 && bundle.header("etag").starts_with('"'));
    let before = world.gateway.process().memory();
    let (mut open, mut made) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let (frames, files) = ask_and_take_nothing(address, "/docs/swagger-ui-bundle.js", 30).await;
        open.push(frames);
        made.push(files);
    }
    assert!((1..=8).contains(&made[0]) && made.iter().sum::<u32>() <= 16, "{made:?}");
    let grown = world.gateway.process().memory().saturating_sub(before);
    assert!(grown < 8 * MIB, "{} MiB: all of them share what is sent", grown / MIB);
    assert_eq!(browser.get("/docs/swagger-ui-bundle.js").await.problem(429)["reason"], "TOO_MANY_REQUESTS");
    drop(open);
    let given_back = async { while Metrics::of(&browser).await.bound("answer_bytes").0 > 1e6 {} };
    within_deadline("the room that was held", given_back).await;
    assert_eq!(browser.get("/docs/swagger-ui-bundle.js").await.text().len(), bundle.text().len());
}

#[tokio::test]
async fn over_http_1_too_answers_that_nobody_takes_hold_no_more_than_their_budget() {
    let (mut world, before) = loud_world(&BUDGET).await;
    let mut open = Vec::new();
    for _ in 0..40 {
        let mut connection = TcpStream::connect(world.gateway.http_addr()).await.unwrap();
        // So many that the system cannot hold them in place of the gateway.
        let asked = format!("GET {PAGE} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(30);
        connection.write_all(asked.as_bytes()).await.unwrap();
        let mut first = [0; 100];
        within_deadline("the begin of an answer", connection.read_exact(&mut first)).await.unwrap();
        open.push(connection);
    }
    let grown = world.gateway.process().memory().saturating_sub(before);
    assert!(grown < 16 * MIB + 16 * MIB, "{} MiB", grown / MIB);
    world.browser().get("/api/comments?domain=small.example").await.ok(200);
}

#[tokio::test]
async fn a_stream_that_takes_nothing_is_reset_and_its_connection_goes_on() {
    let (world, _) = loud_world(&["--idle-timeout", "1s"]).await;
    let mut frames = Frames::connect(world.gateway.http_addr(), 0).await.unwrap();
    frames.get(1, PAGE).await.unwrap();
    assert_eq!(frames.next().await, Some(Frame::Head { stream: 1, status: 200, ends: false }));
    let reset = within_deadline("the reset of a stream", frames.next()).await;
    assert_eq!(reset, Some(Frame::Reset { stream: 1 }));
    frames.get(3, "/docs/").await.unwrap();
    let head = within_deadline("an answer without a body", frames.next()).await;
    assert!(matches!(head, Some(Frame::Head { stream: 3, .. })), "{head:?}");
    let held = Metrics::of(&world.browser()).await.bound("answer_bytes").0;
    assert!(held < 1e6, "{held}");
}

#[tokio::test]
async fn a_stream_that_takes_a_drip_is_reset_and_one_that_is_slow_is_not() {
    let (world, _) = loud_world(&["--idle-timeout", "1s", "--min-send-rate", "64KiB"]).await;
    let mut frames = Frames::connect(world.gateway.http_addr(), 0).await.unwrap();
    frames.get(1, PAGE).await.unwrap();
    frames.get(3, PAGE).await.unwrap();
    let (mut drip, mut slow, mut pace) = (0, 0, interval(Duration::from_millis(50)));
    let (mut is_reset, mut is_whole) = (false, false);
    let reading = async {
        while !(is_reset && is_whole) {
            tokio::select! {
                frame = frames.next() => match frame {
                    Some(Frame::Head { status, .. }) => assert_eq!(status, 200),
                    Some(Frame::Body { stream: 1, bytes, .. }) => drip += bytes,
                    Some(Frame::Body { bytes, ends, .. }) => {
                        slow += bytes;
                        is_whole |= ends;
                    }
                    Some(Frame::Reset { stream: 1 }) => is_reset = true,
                    other => panic!("{other:?} after {drip} and {slow} bytes"),
                },
                _ = pace.tick() => {
                    if !is_reset {
                        frames.open_window(1, 100).await.unwrap();
                    }
                    if !is_whole {
                        frames.open_window(3, 16_384).await.unwrap();
                    }
                }
            }
        }
    };
    within_deadline("the end of both streams", reading).await;
    assert!(drip < 65_536 && slow > PAGE_BYTES / 2, "{drip} and {slow} bytes");
}

#[tokio::test]
async fn over_http_1_a_client_that_takes_a_drip_is_closed() {
    let (world, _) = loud_world(&["--idle-timeout", "1s", "--min-send-rate", "64KiB"]).await;
    let mut connection = TcpStream::connect(world.gateway.http_addr()).await.unwrap();
    let asked = format!("GET {PAGE} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(30);
    connection.write_all(asked.as_bytes()).await.unwrap();
    let operator = world.browser();
    let mut pace = interval(Duration::from_millis(100));
    let closed = async {
        loop {
            pace.tick().await;
            // What is with the system already may be read; that the gateway has let go shows in its metrics.
            if connection.read(&mut [0; 100]).await.is_err()
                || Metrics::of(&operator).await.bound("http_connections").0 < 2.0
            {
                break;
            }
        }
    };
    within_deadline("the end of a connection that takes a drip", closed).await;
    operator.get("/api/comments?domain=small.example").await.ok(200);
}

/// Waits as long as a connection may be idle, as this gateway sees it.
async fn idle_time(address: SocketAddr) {
    let mut idle = TcpStream::connect(address).await.unwrap();
    let _ = within_deadline("the end of an idle connection", idle.read(&mut [0; 1])).await;
}

#[tokio::test]
async fn a_stream_of_events_that_has_nothing_to_send_goes_on() {
    let world = World::with(&[], &["--idle-timeout", "1s", "--sse-heartbeat", "60s"]).await;
    let address = world.gateway.http_addr();
    let mut frames = Frames::connect(address, 1 << 20).await.unwrap();
    frames.get(1, "/api/comments/stream").await.unwrap();
    assert_eq!(frames.next().await, Some(Frame::Head { stream: 1, status: 200, ends: false }));
    for _ in 0..3 {
        idle_time(address).await;
    }
    world.grpc().await.post(platform_post("Human", &loud(1_000))).await.unwrap();
    let event = async {
        loop {
            match frames.next().await {
                Some(Frame::Body { bytes, .. }) if bytes > 6_000 => break,
                Some(Frame::Body { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    within_deadline("an event after the silence", event).await;
}

#[tokio::test]
async fn a_call_whose_answer_is_not_taken_is_reset_on_the_grpc_port_too() {
    let queue = Service::queue_service(&["--idle-timeout", "1s"]).await;
    post_loudly(&queue.grpc().await, 20).await;
    let mut frames = Frames::connect(queue.grpc_addr(), 0).await.unwrap();
    let path = "/repartee.v1.QueueService/ListMessages";
    frames.begin_post(1, path, "application/grpc", &[0; 5]).await.unwrap();
    frames.end_post(1, b"").await.unwrap();
    assert_eq!(frames.next().await, Some(Frame::Head { stream: 1, status: 200, ends: false }));
    let reset = within_deadline("the reset of a call", frames.next()).await;
    assert_eq!(reset, Some(Frame::Reset { stream: 1 }));
    assert_eq!(Metrics::of(&Browser::new(&queue.grpc_url())).await.bound("grpc_answer_bytes").0, 0.0);
}

#[tokio::test]
async fn a_page_ends_by_its_bytes_and_says_that_there_is_more() {
    let (world, _) = loud_world(&[]).await;
    let browser = world.browser();
    let newest = browser.get(PAGE).await;
    assert!(newest.body.len() <= PAGE_BYTES + 2, "{}", newest.body.len());
    // From the beginning, page by page, nothing is left out.
    let (mut seen, mut after, mut pages) = (0, 1, 0);
    loop {
        let page = browser.get(&format!("{PAGE}&after={after}")).await;
        assert!(page.body.len() <= PAGE_BYTES + 2, "{}", page.body.len());
        let more = page.header("x-more") == "true";
        let messages = page.ok(200);
        let messages = messages.as_array().unwrap();
        seen += messages.len();
        pages += 1;
        if !more {
            break;
        }
        after = messages.last().unwrap()["timestamp"].as_i64().unwrap();
    }
    assert!(seen == 200 && pages > 15, "{seen} on {pages} pages");
    let (mut seen, mut cursor) = (0, String::new());
    let epoch = newest.header("x-next-cursor").split_once('.').unwrap().0.to_owned();
    loop {
        let from = if cursor.is_empty() { format!("{epoch}.0") } else { cursor };
        let page = browser.get(&format!("/api/comments/changes?limit=1000&cursor={from}")).await;
        assert!(page.body.len() <= PAGE_BYTES + 1_000, "{}", page.body.len());
        let page = page.ok(200);
        seen += page["messages"].as_array().unwrap().len();
        cursor = page["next"].as_str().unwrap().to_owned();
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(seen, 200);
}

/// A client that knows nothing of large answers.
async fn plain(queue: &Service) -> RawClient {
    let channel = Endpoint::from_shared(queue.grpc_url()).unwrap().connect().await.unwrap();
    QueueServiceClient::with_interceptor(channel, Bearer(Some(OPERATOR.to_owned())))
}

#[tokio::test]
async fn lists_over_grpc_stay_below_what_clients_take_and_say_that_there_is_more() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    for _ in 0..300 {
        client.post(question_from("Human", "echo", &"x".repeat(16_384))).await.unwrap();
    }
    let mut plain = plain(&queue).await;
    let pending = ListPendingRequest { limit: 1_000, ..Default::default() };
    let pending = plain.list_pending(pending).await.unwrap().into_inner();
    assert!(pending.more && (50..300).contains(&pending.messages.len()), "{}", pending.messages.len());
    let newest = ListMessagesRequest { limit: 1_000, ..Default::default() };
    let newest = plain.list_messages(newest).await.unwrap().into_inner();
    assert!(newest.older && !newest.more && newest.messages.len() < 300, "{}", newest.messages.len());
    let asked = newest.messages[0].clone();
    let address = asked.bot_params.unwrap();
    let conversation = GetConversationRequest {
        human_username: asked.username,
        human_color: asked.color,
        ai_username: address.ai_username,
        ai_color: address.ai_color,
        limit: 1_000,
        ..Default::default()
    };
    let conversation = plain.get_conversation(conversation).await.unwrap().into_inner();
    assert!(conversation.more && conversation.messages.len() < 300, "{}", conversation.messages.len());
    assert_eq!(client.all().await.unwrap().len(), 300, "page by page there are all of them");
    let before = Position::BeforeId(newest.messages[0].id.clone());
    let older = client.list(Some(before), 1_000).await.unwrap();
    let last = older.messages.last().unwrap();
    assert!(last.timestamp < newest.messages[0].timestamp && older.messages.len() < 300);
}

#[tokio::test]
async fn a_batch_of_completions_is_answered_below_what_clients_take() {
    let queue = Service::queue_service(&["--one-per-conversation", "false"]).await;
    let client = queue.grpc().await;
    let mut items = Vec::new();
    for number in 0..256 {
        let posted = client.post(question_from("Human", "echo", &"x".repeat(16_384))).await.unwrap();
        let work = client.claim_for(&posted.id, &format!("worker {number}"), 300).await.unwrap();
        items.push(CompleteMessageRequest { lease: Some(held(&work)), ..Default::default() });
    }
    let answer = plain(&queue).await.complete_messages(CompleteMessagesRequest { items }).await.unwrap();
    let completed = answer.into_inner().outcomes.into_iter().map(|outcome| match outcome.outcome {
        Some(Outcome::Completed(completed)) => completed.message,
        other => panic!("{other:?}"),
    });
    let messages: Vec<_> = completed.collect();
    assert_eq!(messages.len(), 256);
    assert!(messages[0].is_some() && messages[255].is_none(), "as many as a page holds come along");
}

#[tokio::test]
async fn a_context_that_is_larger_than_a_page_comes_in_part() {
    let queue = Service::queue_service(&["--one-per-conversation", "false"]).await;
    let client = queue.grpc().await;
    for _ in 0..200 {
        client.post(question_from("Human", "echo", &"x".repeat(16_384))).await.unwrap();
    }
    let mut plain = plain(&queue).await;
    for _ in 0..199 {
        let work = client.claim_next("worker", &["echo"], 0).await.unwrap().unwrap();
        client.complete(held(&work), None).await.unwrap();
    }
    let last = repartee_proto::v1::ClaimNextRequest {
        worker_id: "worker".to_owned(),
        entities: vec!["echo".to_owned()],
        context_limit: 100,
        ..Default::default()
    };
    let work = plain.claim_next(last).await.unwrap().into_inner().work.unwrap();
    let bytes: usize = work.context.iter().map(|message| message.text.len()).sum();
    assert!((PAGE_BYTES / 2..PAGE_BYTES).contains(&bytes), "{bytes} bytes");
}

#[tokio::test]
async fn one_commit_that_is_larger_than_a_page_is_a_page_of_its_own() {
    let world = World::start().await;
    let client = world.grpc().await;
    post_loudly(&client, 3).await;
    let post =
        || PostMessageRequest { message: Some(platform_post("Human", &loud(4_000))), idempotency_key: None };
    let batch = PostMessagesRequest { items: (0..256).map(|_| post()).collect() };
    client.raw().post_messages(batch).await.unwrap();
    post_loudly(&client, 3).await;
    shown(&world.browser(), 262.0).await;
    let browser = world.browser();
    let (mut sizes, mut after) = (Vec::new(), 1);
    loop {
        let page = browser.get(&format!("{PAGE}&after={after}")).await.ok(200);
        let messages = page.as_array().unwrap();
        let Some(last) = messages.last() else { break };
        sizes.push(messages.len());
        after = last["timestamp"].as_i64().unwrap();
    }
    assert_eq!(sizes, [3, 256, 3]);
    let mut plain = plain(&world.queue).await;
    let after = Some(Position::After(1));
    let request = ListMessagesRequest { position: after, limit: 1_000, ..Default::default() };
    let page = plain.list_messages(request).await.unwrap().into_inner();
    let bytes: usize = page.messages.iter().map(|message| message.text.len()).sum();
    assert!(page.more && bytes < GRPC_BYTES, "{bytes}");
}
