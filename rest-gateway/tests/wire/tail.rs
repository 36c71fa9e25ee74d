//! Polls that the gateway answers by itself, and what it does when the stream of changes ends.

use std::time::Duration;

use repartee_proto::v1::{self, ChangeKind, watch_messages_response::Event};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::world::{Answer, World, live, message, until};

/// Longer than every wait of these tests, on a slow machine.
const DEADLINE: Duration = Duration::from_secs(20);
/// What a test waits for something that must not come.
const MOMENT: Duration = Duration::from_millis(100);

/// A message that is newer than the log's first.
fn comment(id: &str, timestamp: i64) -> v1::Message {
    v1::Message { timestamp, ..message(id) }
}

fn ids(answer: &Answer) -> Vec<String> {
    let messages: Vec<Value> = serde_json::from_value(answer.json(200)).unwrap();
    messages.iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
}

async fn conditional(world: &World, path: &str, tag: &str) -> Answer {
    Answer::to(world.request(Method::GET, path).header("if-none-match", tag)).await
}

#[tokio::test]
async fn polls_within_the_tail_ask_nobody() {
    let world = live(&[]).await;
    world.queue.log().publish(ChangeKind::Posted, comment("a", 2_000));
    world.queue.log().publish(ChangeKind::Posted, comment("b", 2_001));
    until("both", &world, "/api/comments?after=1999", |page| ids(page).len() == 2).await;
    let path = "/api/comments?domain=test.example&after=1999";
    let page = world.get(path).await;
    assert_eq!(ids(&page), ["a", "b"]);
    assert_eq!((page.header("x-next-cursor"), page.header("x-more")), ("e1.2002", "false"));
    assert_eq!((page.header("x-storage-reads"), page.header("etag")), ("0", "\"e1-2002\""));
    assert_eq!(page.header("cache-control"), "public, max-age=0, s-maxage=1");
    assert_eq!(page.header("content-type"), "application/json");
    assert_eq!(ids(&world.get("/api/comments?after=2000").await), ["b"]);
    let first = world.get("/api/comments?domain=test.example&after=1999&limit=1").await;
    assert_eq!(
        (ids(&first).len(), first.header("x-next-cursor"), first.header("x-more")),
        (1, "e1.2001", "true")
    );
    assert_eq!(ids(&world.get("/api/comments?limit=1").await), ["b"]);
    assert_eq!(world.queue.calls(), 0);
}

#[tokio::test]
async fn a_poll_of_what_the_client_has_is_304_until_its_domain_changes() {
    let world = live(&[]).await;
    world.queue.log().publish(ChangeKind::Posted, comment("a", 2_000));
    until("the message", &world, "/api/comments?after=1999", |page| ids(page).len() == 1).await;
    let path = "/api/comments?domain=test.example&after=1999";
    let tag = world.get(path).await.header("etag").to_owned();
    let elsewhere = v1::Message { domain: "elsewhere".to_owned(), ..comment("b", 2_001) };
    world.queue.log().publish(ChangeKind::Posted, elsewhere);
    until("the other domain", &world, "/api/comments?after=2000", |page| ids(page).len() == 1).await;
    for asked in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let answer = conditional(&world, path, &asked).await;
        assert_eq!(
            (answer.status, answer.body.len(), answer.header("etag")),
            (304, 0, tag.as_str()),
            "{asked}"
        );
        assert_eq!((answer.header("x-next-cursor"), answer.header("x-more")), ("e1.2002", "false"));
        assert!(answer.header("cache-control").starts_with("public"));
    }
    world.queue.log().publish(ChangeKind::Claimed, comment("a", 2_000));
    until("the claim", &world, path, |page| page.header("etag") == "\"e1-2003\"").await;
    assert_eq!(conditional(&world, path, &tag).await.json(200)[0]["seq"], 2_003);
    assert_eq!(world.queue.calls(), 0);
}

#[tokio::test]
async fn a_page_with_more_behind_it_has_a_tag_of_its_own() {
    let world = live(&[]).await;
    for (id, timestamp) in [("a", 2_000), ("b", 2_001)] {
        world.queue.log().publish(ChangeKind::Posted, comment(id, timestamp));
    }
    let (whole, part) = ("/api/comments?after=1999", "/api/comments?after=1999&limit=1");
    let whole = until("both", &world, whole, |page| ids(page).len() == 2).await.header("etag").to_owned();
    let tag = world.get(part).await.header("etag").to_owned();
    assert_ne!(tag, whole);
    let unchanged = conditional(&world, part, &tag).await;
    assert_eq!(
        (unchanged.status, unchanged.header("x-more"), unchanged.header("x-next-cursor")),
        (304, "true", "e1.2001")
    );
}

#[tokio::test]
async fn a_commit_is_shown_as_a_whole() {
    let world = live(&[]).await;
    let log = world.queue.log();
    log.publish(ChangeKind::Posted, comment("a", 2_000));
    let path = "/api/comments?after=1999";
    until("the first", &world, path, |page| ids(page) == ["a"]).await;
    log.publish_part(ChangeKind::Posted, comment("b", 2_001), false);
    let early = timeout(MOMENT, until("a half", &world, path, |page| ids(page) != ["a"])).await;
    assert!(early.is_err(), "the rest of its time stamp may follow");
    log.publish_part(ChangeKind::Posted, comment("c", 2_001), true);
    let page = until("the commit", &world, path, |page| ids(page) != ["a"]).await;
    assert_eq!(ids(&page), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_write_is_answered_when_polls_show_it() {
    let world = live(&[]).await;
    let posted = v1::Message { seq: 2_001, ..comment("a", 2_000) };
    world.queue.answer(v1::PostMessageResponse { message: Some(posted.clone()), ..Default::default() });
    let body = json!({"text": "a", "username": "b", "domain": "c"});
    let mut write = Box::pin(world.post("/api/comments", body));
    assert!(timeout(MOMENT, &mut write).await.is_err(), "the tail does not show it yet");
    world.queue.log().publish(ChangeKind::Posted, posted);
    assert_eq!(timeout(DEADLINE, write).await.unwrap().status, 201);
    assert_eq!(ids(&world.get("/api/comments?after=1999").await), ["a"]);
}

#[tokio::test]
async fn a_write_whose_change_does_not_come_is_answered_and_polls_ask_the_queue_service_for_it() {
    let world = live(&["--request-timeout", "0.3s"]).await;
    let posted = v1::Message { seq: 2_001, ..comment("a", 2_000) };
    world.queue.answer(v1::PostMessageResponse { message: Some(posted.clone()), ..Default::default() });
    let body = json!({"text": "a", "username": "b", "domain": "c"});
    assert_eq!(world.post("/api/comments", body).await.status, 201);
    let page = v1::ListMessagesResponse {
        messages: vec![posted.clone()],
        next_cursor: "e1.2001".to_owned(),
        ..Default::default()
    };
    world.queue.answer(page);
    assert_eq!(ids(&world.get("/api/comments?after=1999").await), ["a"]);
    world.queue.log().publish(ChangeKind::Posted, posted);
    until("the write", &world, "/api/comments?after=1999", |page| page.status == 200 && ids(page) == ["a"])
        .await;
}

#[tokio::test]
async fn a_queue_service_that_breaks_the_contract_is_named_by_readyz() {
    let world = live(&[]).await;
    world.queue.log().break_the_contract();
    let named = |answer: &Answer| {
        String::from_utf8_lossy(&answer.body).contains("breaks the contract: hello has no cursor")
    };
    let answer = until("the breach to be named", &world, "/readyz", named).await;
    answer.problem(503);
}

#[tokio::test]
async fn a_stream_that_is_away_is_said_and_goes_on_from_its_cursor() {
    let world = live(&[]).await;
    let log = world.queue.log();
    log.publish(ChangeKind::Posted, comment("a", 2_000));
    let path = "/api/comments?after=1999";
    let tag = until("the message", &world, path, |page| ids(page) == ["a"]).await.header("etag").to_owned();
    log.go_away();
    let problem = until("503", &world, path, |page| page.status == 503).await.problem(503);
    assert!(problem["detail"].as_str().unwrap().contains("away"), "{problem}");
    conditional(&world, path, &tag).await.problem(503);
    world.get("/readyz").await.problem(503);
    log.publish(ChangeKind::Posted, comment("b", 2_001));
    log.come_back();
    let page = until("the stream", &world, path, |page| page.status == 200).await;
    assert_eq!(ids(&page), ["a", "b"], "no gap, and none twice");
    assert_eq!(world.get("/readyz").await.status, 200);
    assert_eq!(log.watched_from().last().unwrap().as_deref(), Some("e1.2001"));
}

#[tokio::test]
async fn a_short_absence_is_waited_for() {
    let world = live(&[]).await;
    let log = world.queue.log();
    log.publish(ChangeKind::Posted, comment("a", 2_000));
    let path = "/api/comments?after=1999";
    until("the message", &world, path, |page| ids(page) == ["a"]).await;
    log.end_with(Event::GoingAway(v1::GoingAway::default()));
    until("another stream", &world, path, |page| {
        assert_eq!(page.status, 200);
        log.watched_from().len() == 2
    })
    .await;
}

#[tokio::test]
async fn a_lost_position_begins_the_tail_again() {
    let world = live(&[]).await;
    let log = world.queue.log();
    log.publish(ChangeKind::Posted, comment("a", 2_000));
    let path = "/api/comments?after=1999&domain=test.example";
    until("the message", &world, path, |page| page.status == 200 && ids(page) == ["a"]).await;
    log.replace("e2", vec![comment("z", 3_000)]);
    log.end_with(Event::GoingAway(v1::GoingAway::default()));
    world.queue.answer(v1::ListMessagesResponse::default());
    let page =
        until("the new log", &world, "/api/comments?limit=1", |page| page.header("etag").contains("e2"))
            .await;
    assert_eq!((ids(&page), page.header("x-next-cursor")), (vec!["z".to_owned()], "e2.2000"));
}

#[tokio::test]
async fn a_silent_stream_is_opened_again() {
    let world = World::start_with(&["--watch-patience", "0.2s"]).await;
    let again = async {
        while world.queue.log().watched_from().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, again).await.unwrap();
    assert_eq!(world.queue.log().watched_from()[1].as_deref(), Some("e1.2000"));
}

#[tokio::test]
async fn what_upstream_says_about_a_quiet_domain_is_asked_once() {
    let world = live(&[]).await;
    world.queue.answer(v1::ListMessagesResponse { next_cursor: "e1.2000".to_owned(), ..Default::default() });
    for _ in 0..3 {
        assert!(ids(&world.get("/api/comments?domain=quiet&after=500").await).is_empty());
    }
    assert_eq!(world.queue.calls(), 1);
    world.get("/api/comments?domain=quiet&after=400").await.json(200);
    assert_eq!(world.queue.calls(), 2);
}

#[tokio::test]
async fn large_answers_are_compressed_where_the_client_can_read_that() {
    let world = live(&[]).await;
    world
        .queue
        .log()
        .publish(ChangeKind::Posted, v1::Message { text: "x".repeat(5_000), ..comment("a", 2_000) });
    let path = "/api/comments?after=1999";
    let plain = until("the message", &world, path, |page| ids(page) == ["a"]).await;
    let varies = |answer: &Answer| {
        let lines = answer.headers.get_all("vary").iter().map(|line| line.to_str().unwrap().to_owned());
        lines.collect::<Vec<_>>().join(", ")
    };
    assert_eq!((plain.header("content-encoding"), &*varies(&plain)), ("", "cookie, origin, accept-encoding"));
    for encoding in ["gzip", "br"] {
        let request = || world.request(Method::GET, path).header("accept-encoding", encoding);
        let answer = Answer::to(request()).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, encoding));
        assert!(answer.body.len() < 1_000, "{} bytes", answer.body.len());
        assert!(varies(&answer).contains("accept-encoding"));
        let tag = answer.header("etag");
        assert_eq!(tag, format!("W/{}", plain.header("etag")), "the same content in other bytes");
        assert_eq!(Answer::to(request().header("if-none-match", tag)).await.status, 304);
        let small =
            world.request(Method::GET, "/api/comments?after=2000").header("accept-encoding", encoding);
        let small = Answer::to(small).await;
        assert_eq!((small.text(), small.header("content-encoding")), ("[]", ""));
    }
}

#[tokio::test]
async fn the_fill_of_the_tail_is_measured() {
    let world = live(&[]).await;
    world.queue.log().publish(ChangeKind::Posted, comment("a", 2_000));
    until("the message", &world, "/api/comments?after=1999", |page| ids(page) == ["a"]).await;
    let metrics = world.get("/metrics").await;
    for name in ["messages", "changes", "bytes", "domains", "max_messages", "max_bytes", "live"] {
        assert!(metrics.text().contains(&format!("\nrepartee_tail_{name} ")), "{name}: {}", metrics.text());
    }
    assert!(metrics.text().contains("repartee_polls_total{outcome=\"tail\"}"), "{}", metrics.text());
}

#[tokio::test]
async fn a_poll_that_asks_nobody_is_dressed_and_counted_as_every_other() {
    let world = live(&["--cors-origin", "https://a.example"]).await;
    let large = v1::Message { text: "x".repeat(5_000), ..comment("a", 2_000) };
    world.queue.log().publish(ChangeKind::Posted, large);
    until("the message", &world, "/api/comments?after=1999", |page| ids(page).len() == 1).await;
    // Escaped, the same query takes the full reader; a page that is compressed goes through the router.
    for (query, encoding) in
        [("after=2000", "identity"), ("%61fter=2000", "identity"), ("after=1999", "gzip")]
    {
        let poll = |origin: &'static str| {
            let path = format!("/api/comments?domain=test.example&{query}");
            let poll = world.request(Method::GET, &path).header("accept-encoding", encoding);
            Answer::to(poll.header("origin", origin).header("x-request-id", "mine"))
        };
        let allowed = poll("https://a.example").await;
        assert_eq!((allowed.status, allowed.header("x-request-id")), (200, "mine"), "{query}");
        assert_eq!(allowed.header("access-control-allow-origin"), "https://a.example", "{query}");
        assert!(allowed.header("access-control-expose-headers").contains("x-next-cursor"), "{query}");
        let other = poll("https://b.example").await;
        assert_eq!((other.status, other.header("access-control-allow-origin")), (200, ""), "{query}");
    }
    assert_eq!(world.queue.calls(), 0);
    let metrics = world.get("/metrics").await;
    let line = r#"repartee_http_requests_total{method="GET",route="/api/comments",status="200"}"#;
    assert_eq!(metrics.text().matches(line).count(), 1, "{}", metrics.text());
}
