//! Clients that begin to send and do not end: nobody else waits for them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::{Browser, Frames, Metrics, World, within_deadline};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The path of posts.
const POSTS: &str = "/api/comments";

fn comment() -> serde_json::Value {
    json!({"domain": e2e::DOMAIN, "username": "Human", "text": "Heard?"})
}

async fn bound(browser: &Browser, name: &str) -> f64 {
    Metrics::of(browser).await.bound(name).0
}

#[tokio::test]
async fn bodies_that_never_end_take_no_place_that_others_need() {
    let world = World::start().await;
    let browser = world.browser();
    browser.comment(&comment()).await;
    let mut open = Vec::new();
    for _ in 0..33 {
        let mut frames = Frames::connect(world.gateway.http_addr(), 1 << 20).await.unwrap();
        for request in 0..128 {
            frames.begin_post(2 * request + 1, POSTS, "application/json", b"{").await.unwrap();
        }
        open.push(frames);
        browser.comment(&comment()).await;
    }
    for _ in 0..20 {
        browser.comment(&comment()).await;
        browser.get("/api/conversation?humanUsername=a&humanColor=&aiUsername=b&aiColor=").await.ok(200);
        browser.get("/api/comments?domain=of.nobody.example").await.ok(200);
    }
    let metrics = Metrics::of(&browser).await;
    assert_eq!(metrics.refused("upstream_calls"), 0.0);
    assert!(metrics.bound("upstream_calls").0 < 64.0, "{:?}", metrics.bound("upstream_calls"));
    assert!(metrics.bound("incoming_bytes").0 < 33.0 * 128.0 * 2.0, "{:?}", metrics.bound("incoming_bytes"));
}

/// Sends so many bytes of a body that is longer.
async fn begin(world: &World, bytes: usize) -> TcpStream {
    let mut connection = TcpStream::connect(world.gateway.http_addr()).await.unwrap();
    let head = format!(
        "POST {POSTS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 65000\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&vec![b' '; bytes]).await.unwrap();
    connection
}

#[tokio::test]
async fn what_has_arrived_of_bodies_is_bounded_in_bytes() {
    let world = World::with(&[], &["--max-incoming-bytes", "64KiB"]).await;
    let browser = world.browser();
    let first = begin(&world, 60_000).await;
    let arrived = async { while bound(&browser, "incoming_bytes").await < 60_000.0 {} };
    within_deadline("the first body", arrived).await;
    let mut second = begin(&world, 60_000).await;
    let mut status = [0; 12];
    within_deadline("the refusal of the second", second.read_exact(&mut status)).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 429");
    browser.comment(&comment()).await;
    assert!(Metrics::of(&browser).await.refused("incoming_bytes") >= 1.0);
    drop((first, second));
    let given_back = async { while bound(&browser, "incoming_bytes").await > 0.0 {} };
    within_deadline("the room of bodies that broke off", given_back).await;
}

#[tokio::test]
async fn one_connection_has_so_many_unfinished_bodies_and_may_finish_them() {
    let world = World::with(&[], &["--max-bodies-per-connection", "2"]).await;
    let mut frames = Frames::connect(world.gateway.http_addr(), 1 << 20).await.unwrap();
    for stream in [1, 3, 5] {
        frames.begin_post(stream, POSTS, "application/json", b"{").await.unwrap();
    }
    // One of the three is refused, whichever was looked at last.
    let refused = within_deadline("the refusal of one", frames.next()).await.unwrap();
    let e2e::Frame::Head { stream: refused, .. } = refused else { panic!("{refused:?}") };
    let kept = if refused == 1 { 3 } else { 1 };
    let rest = br#""domain": "test.example", "username": "Human", "text": "Whole."}"#;
    frames.end_post(kept, rest).await.unwrap();
    let stored = async {
        loop {
            match frames.next().await.unwrap() {
                e2e::Frame::Head { stream, .. } if stream == kept => break,
                e2e::Frame::Body { stream, .. } | e2e::Frame::Reset { stream } if stream == refused => {}
                other => panic!("{other:?}"),
            }
        }
    };
    within_deadline("the answer to a body that was ended", stored).await;
    let texts: Vec<_> = world.browser().comments().await;
    assert_eq!(texts.len(), 1);
}
