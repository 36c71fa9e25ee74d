//! Browsers that follow by stream, against the real binaries: what they see, and how streams end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::{DOMAIN, Events, Metrics, World, question_json, within_deadline};
use futures_util::future::join_all;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

const STREAM: &str = "/api/comments/stream?domain=saywhatwant.test";

fn stream() -> String {
    format!("/api/comments/stream?domain={DOMAIN}")
}

#[tokio::test]
async fn a_comment_and_all_that_becomes_of_it_is_seen_by_stream() {
    let world = World::start().await;
    let (browser, client) = (world.browser(), world.grpc().await);
    let mut events = Events::open(&browser, &stream(), "").await.unwrap();
    events.named("hello").await;
    let posted = browser.comment(&question_json("echo", "Well?")).await;
    let seen = events.named("message").await;
    assert_eq!((&seen.data["id"], &seen.data["botParams"]["status"]), (&posted["id"], &"pending".into()));
    assert!(seen.id.as_ref().unwrap().ends_with(&format!(".{}", posted["seq"])));
    client.claim(posted["id"].as_str().unwrap(), "worker 1").await.unwrap();
    assert_eq!(events.named("message").await.data["botParams"]["status"], "processing");
    // Another browser reads on from there by page.
    let path = format!("/api/comments/changes?domain={DOMAIN}&cursor={}", events.last_id);
    let page = browser.get(&path).await.ok(200);
    assert_eq!((&page["messages"], &page["next"]), (&json!([]), &events.last_id.as_str().into()));
    drop(seen);
}

/// Opens a stream by hand and reads until it has begun.
async fn open(world: &World, path: &str, receive: Option<u32>) -> (TcpStream, Vec<u8>) {
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(bytes) = receive {
        socket.set_recv_buffer_size(bytes).unwrap();
    }
    let mut connection = socket.connect(world.gateway.http_addr()).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains("event: hello") {
        assert!(connection.read_buf(&mut said).await.unwrap() > 0, "{}", String::from_utf8_lossy(&said));
    }
    (connection, said)
}

#[tokio::test]
async fn a_gateway_with_a_thousand_streams_stops_and_says_bye_to_each() {
    let mut world = World::start().await;
    let mut streams = Vec::new();
    // Not all at the same moment: more connections than the system lets wait to be accepted are cut by it.
    for _ in 0..20 {
        streams.extend(join_all((0..50).map(|_| open(&world, STREAM, None))).await);
    }
    assert_eq!(Metrics::of(&world.browser()).await.bound("sse_clients").0, 1_000.0);
    world.gateway.process().ask_to_stop();
    let ends = streams.into_iter().map(|(mut connection, mut said)| async move {
        within_deadline("the end of a stream", connection.read_to_end(&mut said)).await.unwrap();
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("event: bye\ndata: {\"reason\":\"shutdown\""), "{said}");
    });
    join_all(ends).await;
    assert_eq!(world.gateway.process().exit_code().await, Some(0));
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_closed_and_the_others_miss_nothing() {
    let world = World::with(&[], &["--idle-timeout", "1s"]).await;
    let browser = world.browser();
    let mut reading = Events::open(&browser, &stream(), "").await.unwrap();
    reading.named("hello").await;
    let (_stalled, _) = open(&world, &stream(), Some(4_096)).await;
    let text = "x".repeat(16_384);
    let comment = json!({"domain": DOMAIN, "text": text, "username": "Ann", "color": "001001001"});
    let closed = async {
        let mut posted = 0_u32;
        while Metrics::of(&browser).await.bound("sse_clients").0 > 1.0 {
            if posted < 1_000 {
                let id = browser.comment(&comment).await["id"].clone();
                assert_eq!(reading.named("message").await.data["id"], id);
                posted += 1;
            }
        }
    };
    within_deadline("the end of a stream that is not read", closed).await;
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_when_the_queue_service_comes_back() {
    let mut world = World::start().await;
    let mut events = Events::open(&world.browser(), &stream(), "").await.unwrap();
    events.named("hello").await;
    let first = world.browser().comment(&question_json("echo", "One.")).await;
    assert_eq!(events.named("message").await.data["id"], first["id"]);
    world.queue.kill().await;
    world.queue.start_again_in_place().await;
    let second = world.grpc().await.post(e2e::question("echo", "Two.")).await.unwrap();
    assert_eq!(events.until("message").await.data["id"], second.id.as_str());
}
