//! The feed as Server-Sent Events.

use std::{collections::VecDeque, time::Duration};

use repartee_proto::v1::{self, ChangeKind};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::time::timeout;

use crate::world::{Answer, World, live, message, until};

/// Longer than every wait of these tests, on a slow machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// A block of lines that an `EventSource` takes as one event, or as none.
#[derive(Debug, Default, Clone, PartialEq)]
struct Block {
    id: Option<String>,
    event: String,
    data: String,
    retry: Option<u64>,
    comment: bool,
}

struct Events {
    response: Response,
    text: String,
    blocks: VecDeque<Block>,
}

impl Events {
    async fn open(world: &World, query: &str) -> Self {
        Self::of(world.request(Method::GET, &format!("/api/comments/stream{query}"))).await
    }

    async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        Self { response, text: String::new(), blocks: VecDeque::new() }
    }

    /// The next block; `None` at the end.
    async fn block(&mut self) -> Option<Block> {
        timeout(DEADLINE, async {
            loop {
                if let Some(block) = self.blocks.pop_front() {
                    return Some(block);
                }
                let chunk = self.response.chunk().await.unwrap()?;
                self.text.push_str(str::from_utf8(&chunk).unwrap());
                while let Some((block, rest)) = self.text.split_once("\n\n") {
                    self.blocks.push_back(parsed(block));
                    self.text = rest.to_owned();
                }
            }
        })
        .await
        .expect("waited in vain for an event")
    }

    /// The next event with a name.
    async fn event(&mut self) -> Block {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if !block.event.is_empty() {
                return block;
            }
        }
    }

    /// The next event, which has this name.
    async fn next(&mut self, name: &str) -> (Option<String>, Value) {
        let Block { id, event, data, .. } = self.event().await;
        assert_eq!(event, name, "{data}");
        (id, serde_json::from_str(&data).unwrap())
    }

    /// The next message: its cursor and its id.
    async fn message(&mut self) -> String {
        let Block { id, data, .. } = loop {
            let block = self.event().await;
            if block.event != "upstream" {
                assert_eq!(block.event, "message", "{}", block.data);
                break block;
            }
        };
        let message: Value = serde_json::from_str(&data).unwrap();
        format!("{} {}", id.unwrap_or_default(), message["id"].as_str().unwrap())
    }
}

fn parsed(block: &str) -> Block {
    let mut parsed = Block::default();
    for line in block.lines() {
        match line.split_once(": ").unwrap_or((line, "")) {
            ("id", id) => parsed.id = Some(id.to_owned()),
            ("event", event) => parsed.event = event.to_owned(),
            ("data", data) => parsed.data = data.to_owned(),
            ("retry", pause) => parsed.retry = Some(pause.parse().unwrap()),
            ("", _) => parsed.comment = true,
            other => panic!("{other:?} is no field"),
        }
    }
    parsed
}

fn comment(id: &str, timestamp: i64) -> v1::Message {
    v1::Message { timestamp, ..message(id) }
}

/// Waits until so many streams are open.
async fn until_open(world: &World, count: usize) {
    let line = format!("repartee_bound_held{{bound=\"sse_clients\"}} {count}\n");
    until("streams", world, "/metrics", |metrics| metrics.text().contains(&line)).await;
}

#[tokio::test]
async fn a_stream_greets_then_brings_every_change_with_its_cursor() {
    let world = live(&["--cors-origin", "https://a.example"]).await;
    world.queue.answer(v1::ListMessagesResponse { next_cursor: "e1.2000".to_owned(), ..Default::default() });
    let request = world.request(Method::GET, "/api/comments/stream?domain=test.example");
    let request = request.header("origin", "https://a.example").header("accept-encoding", "gzip, br");
    let mut events = Events::of(request).await;
    let headers = events.response.headers().clone();
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("access-control-allow-origin", "https://a.example"),
    ] {
        assert_eq!(headers[name], value);
    }
    assert!(!headers.contains_key("content-encoding"));
    let retry = events.block().await.unwrap().retry.unwrap();
    assert!((500..=3_000).contains(&retry), "{retry}");
    let (id, hello) = events.next("hello").await;
    assert_eq!((id.as_deref(), &hello["cursor"]), (Some("e1.2000"), &"e1.2000".into()));
    assert_eq!((&hello["epoch"], &hello["mode"]), (&"e1".into(), &"live".into()));
    assert!(hello["serverTime"].as_u64().unwrap() > 1_600_000_000_000);
    let log = world.queue.log();
    log.publish(ChangeKind::Posted, comment("a", 2_000));
    log.publish(ChangeKind::Posted, v1::Message { domain: "elsewhere".to_owned(), ..comment("b", 2_001) });
    log.publish(ChangeKind::Claimed, comment("a", 2_000));
    assert_eq!(events.message().await, "e1.2001 a");
    assert_eq!(events.message().await, "e1.2003 a");
}

#[tokio::test]
async fn a_stream_resumes_behind_the_last_event_id_else_behind_the_cursor() {
    let world = live(&[]).await;
    for (id, stamp) in [("a", 2_000), ("b", 2_001), ("c", 2_002)] {
        world.queue.log().publish(ChangeKind::Posted, comment(id, stamp));
    }
    until("all", &world, "/api/comments?after=1999", |page| page.json(200)[2].is_object()).await;
    let mut by_cursor = Events::open(&world, "?cursor=e1.2001").await;
    let (id, hello) = by_cursor.next("hello").await;
    assert_eq!((id.as_deref(), &hello["mode"]), (Some("e1.2001"), &"resumed".into()));
    assert_eq!([by_cursor.message().await, by_cursor.message().await], ["e1.2002 b", "e1.2003 c"]);
    let request = world.request(Method::GET, "/api/comments/stream?cursor=e1.2000");
    let mut by_id = Events::of(request.header("last-event-id", "e1.2002")).await;
    by_id.next("hello").await;
    assert_eq!(by_id.message().await, "e1.2003 c");
    let request = world.request(Method::GET, "/api/comments/stream?cursor=e1.2002");
    let mut empty_id = Events::of(request.header("last-event-id", "")).await;
    empty_id.next("hello").await;
    assert_eq!(empty_id.message().await, "e1.2003 c");
    for name in ["lastEventId", "Last-Event-ID"] {
        let mut polyfill = Events::open(&world, &format!("?cursor=e1.2000&{name}=e1.2002")).await;
        polyfill.next("hello").await;
        assert_eq!(polyfill.message().await, "e1.2003 c", "{name} counts more than the cursor");
        let header_too = world.request(Method::GET, &format!("/api/comments/stream?{name}=e1.2000"));
        let mut header_too = Events::of(header_too.header("last-event-id", "e1.2002")).await;
        header_too.next("hello").await;
        assert_eq!(header_too.message().await, "e1.2003 c", "the header counts more than {name}");
    }
    assert_eq!(world.queue.calls(), 0);
}

#[tokio::test]
async fn a_lost_position_is_a_reset_and_then_the_newest_page() {
    let world = live(&[]).await;
    world.queue.answer(v1::ListMessagesResponse {
        messages: vec![message("x"), message("y")],
        next_cursor: "e1.2000".to_owned(),
        reset: true,
        reset_reason: "the cursor is of another log".to_owned(),
        ..Default::default()
    });
    let mut events = Events::open(&world, "?cursor=e0.17").await;
    let (id, hello) = events.next("hello").await;
    assert_eq!((id, &hello["mode"], &hello["cursor"]), (None, &"reset".into(), &"e1.2000".into()));
    let (id, reset) = events.next("reset").await;
    assert_eq!((id, &reset["reason"]), (None, &"the cursor is of another log".into()));
    assert_eq!(
        [events.message().await, events.message().await],
        [" x", " y"],
        "nothing moves the client yet"
    );
    let place = events.block().await.unwrap();
    assert_eq!(place, Block { id: Some("e1.2000".to_owned()), ..Block::default() });
    world.queue.log().publish(ChangeKind::Posted, comment("a", 2_000));
    assert_eq!(events.message().await, "e1.2001 a");
}

#[tokio::test]
async fn what_is_older_than_the_tail_is_read_upstream_page_by_page() {
    let world = live(&[]).await;
    let old = |seq| v1::Message { seq, ..message("old") };
    world.queue.answer(v1::ListMessagesResponse {
        messages: vec![old(1_500), old(1_600)],
        next_cursor: "e1.2000".to_owned(),
        ..Default::default()
    });
    let mut events = Events::open(&world, "?cursor=e1.1400").await;
    events.next("hello").await;
    assert_eq!([events.message().await, events.message().await], ["e1.1500 old", "e1.1600 old"]);
    world.queue.log().publish(ChangeKind::Posted, comment("a", 2_000));
    assert_eq!(events.message().await, "e1.2001 a");
    assert_eq!(world.queue.calls(), 1);
    assert_eq!(
        world.queue.asked::<v1::ListMessagesRequest>().limit,
        50,
        "few calls for who was away for long"
    );
}

#[tokio::test]
async fn a_stream_that_opens_while_the_queue_service_has_no_room_waits_for_it() {
    let world = live(&[]).await;
    world.queue.refuse(tonic::Status::resource_exhausted("too many calls"));
    let mut events = Events::open(&world, "?cursor=e1.1400").await;
    world.queue.answer(v1::ListMessagesResponse {
        messages: vec![v1::Message { seq: 1_500, ..message("old") }],
        next_cursor: "e1.2000".to_owned(),
        ..Default::default()
    });
    events.next("hello").await;
    assert_eq!(events.message().await, "e1.1500 old");
}

#[tokio::test]
async fn an_open_stream_is_told_of_a_reset_when_the_log_is_replaced() {
    let world = live(&[]).await;
    let mut events = Events::open(&world, "").await;
    events.next("hello").await;
    world.queue.answer(v1::ListMessagesResponse {
        messages: vec![message("z")],
        next_cursor: "e2.2000".to_owned(),
        reset: true,
        reset_reason: "the cursor is of another log".to_owned(),
        ..Default::default()
    });
    world.queue.log().replace("e2", vec![message("z")]);
    world.queue.log().end_with(v1::watch_messages_response::Event::GoingAway(v1::GoingAway::default()));
    events.next("reset").await;
    assert_eq!(events.message().await, " z");
    world.queue.log().publish(ChangeKind::Posted, comment("a", 2_000));
    assert_eq!(events.message().await, "e2.2001 a");
}

#[tokio::test]
async fn what_is_malformed_is_refused_by_its_name() {
    let world = live(&[]).await;
    for (query, id, pointer, named) in [
        ("?cursor=nonsense", "", "/cursor", "nonsense"),
        ("?cursor=e1.2000", "nonsense", "", "Last-Event-ID"),
        ("?cursor=e1.2000&lastEventId=nonsense", "", "/lastEventId", "nonsense"),
        ("?lastEventId=e1.1&lastEventId=e1.2", "", "/lastEventId", "lastEventId"),
        ("?wait=5", "", "/wait", "wait"),
    ] {
        let request = world.request(Method::GET, &format!("/api/comments/stream{query}"));
        let refused = Answer::to(request.header("last-event-id", id)).await;
        assert_eq!(refused.pointers(), [pointer], "{query}");
        assert!(refused.text().contains(named), "{}", refused.text());
    }
    world.queue.refuse(tonic::Status::invalid_argument("domain: it is too long"));
    Answer::to(world.request(Method::GET, "/api/comments/stream?domain=unknown")).await.problem(400);
    until_open(&world, 0).await;
}

#[tokio::test]
async fn streams_are_bounded_and_leave_with_their_clients() {
    let world = live(&["--max-sse-clients", "1"]).await;
    let events = Events::open(&world, "").await;
    let refused = world.get("/api/comments/stream").await.problem(429);
    assert_eq!(refused["reason"], "TOO_MANY_STREAMS");
    assert!(refused["detail"].as_str().unwrap().contains("sse_clients: 1 of 1"), "{refused}");
    drop(events);
    until_open(&world, 0).await;
    Events::open(&world, "").await.next("hello").await;
}

#[tokio::test]
async fn a_quiet_stream_says_that_it_is_alive_and_moves_its_client_on() {
    let world = live(&["--sse-heartbeat", "0.05s"]).await;
    world.queue.answer(v1::ListMessagesResponse { next_cursor: "e1.2000".to_owned(), ..Default::default() });
    let mut events = Events::open(&world, "?domain=quiet").await;
    events.next("hello").await;
    let told = events.block().await.unwrap();
    assert_eq!(told, Block { id: Some("e1.2000".to_owned()), ..Block::default() }, "there is nothing else");
    let alive = events.block().await.unwrap();
    assert_eq!(alive, Block { comment: true, ..Block::default() });
    world.queue.log().publish(ChangeKind::Posted, comment("a", 2_000));
    let moved = loop {
        let block = events.block().await.unwrap();
        if block.id.is_some() {
            break block;
        }
    };
    assert_eq!(moved, Block { comment: true, id: Some("e1.2001".to_owned()), ..Block::default() });
}

#[tokio::test]
async fn an_old_stream_says_bye_and_ends() {
    let world = live(&["--sse-age", "0.05s"]).await;
    let mut events = Events::open(&world, "").await;
    events.next("hello").await;
    let bye = events.event().await;
    assert_eq!((bye.event.as_str(), bye.id.as_deref()), ("bye", Some("e1.2000")));
    assert_eq!(bye.data, r#"{"reason":"age","cursor":"e1.2000"}"#);
    assert!(bye.retry.is_some());
    assert_eq!(events.block().await, None);
}

#[tokio::test]
async fn a_stream_grows_old_also_while_there_is_always_more_to_tell() {
    const MESSAGES: usize = 3_000;
    let world = live(&["--sse-age", "0.001s"]).await;
    for number in 0..MESSAGES {
        let message = comment(&format!("m{number}"), 2_000 + i64::try_from(number).unwrap());
        world.queue.log().publish(ChangeKind::Posted, message);
    }
    let last = format!("m{}", MESSAGES - 1);
    until("all", &world, "/api/comments?limit=1", |page| page.json(200)[0]["id"] == last.as_str()).await;
    let mut events = Events::open(&world, "?cursor=e1.2000").await;
    events.next("hello").await;
    let mut told = 0;
    let bye = loop {
        let event = events.event().await;
        if event.event != "message" {
            break event;
        }
        told += 1;
    };
    assert_eq!(bye.event, "bye");
    assert!(told < MESSAGES, "it was told everything first");
    assert_eq!(bye.id, Some(format!("e1.{}", 2_000 + told)), "whoever comes again misses nothing");
}

#[tokio::test]
async fn every_stream_says_bye_when_the_gateway_stops() {
    let world = live(&[]).await;
    let mut events = Events::open(&world, "").await;
    events.next("hello").await;
    world.stop.cancel();
    assert_eq!(events.event().await.data, r#"{"reason":"shutdown","cursor":"e1.2000"}"#);
    assert_eq!(events.block().await, None);
    timeout(DEADLINE, world.gateway).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_that_opens_while_the_queue_service_is_away_greets_when_it_is_back() {
    let world = live(&["--sse-heartbeat", "0.05s"]).await;
    world.queue.log().publish(ChangeKind::Posted, comment("a", 2_000));
    until("the message", &world, "/api/comments?after=1999", |page| page.json(200)[0].is_object()).await;
    let mut open = Events::open(&world, "").await;
    open.next("hello").await;
    world.queue.log().go_away();
    until("503", &world, "/api/comments", |page| page.status == 503).await;
    let mut late = Events::open(&world, "?cursor=e1.2001").await;
    world.queue.log().publish(ChangeKind::Posted, comment("b", 2_001));
    world.queue.log().come_back();
    assert_eq!(open.message().await, "e1.2002 b", "an open stream goes on");
    late.next("hello").await;
    assert_eq!(late.message().await, "e1.2002 b");
}
