//! The feed by cursor as pages, and polls that wait.

use std::time::Duration;

use repartee_proto::v1::{self, ChangeKind, list_messages_request::Position};
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    log::BEGIN,
    world::{Answer, World, kv_stats, live, message, until},
};

/// Longer than every wait of these tests, on a slow machine.
const DEADLINE: Duration = Duration::from_secs(20);

fn comment(id: &str, timestamp: i64) -> v1::Message {
    v1::Message { timestamp, ..message(id) }
}

fn in_domain(domain: &str, comment: v1::Message) -> v1::Message {
    v1::Message { domain: domain.to_owned(), ..comment }
}

/// What a page tells: ids with their numbers, the cursor behind it, and whether there is more.
fn told(answer: &Answer) -> (Vec<String>, String, bool) {
    let page = answer.json(200);
    assert_eq!(answer.header("cache-control"), "no-store", "{page}");
    assert!(page["serverTime"].as_u64().unwrap() > 1_600_000_000_000, "{page}");
    let entry = |message: &Value| format!("{} {}", message["id"].as_str().unwrap(), message["seq"]);
    let messages = page["messages"].as_array().unwrap().iter().map(entry).collect();
    (messages, page["next"].as_str().unwrap().to_owned(), page["more"].as_bool().unwrap())
}

fn page(messages: &[&str], next: &str, more: bool) -> (Vec<String>, String, bool) {
    (messages.iter().map(|message| (*message).to_owned()).collect(), next.to_owned(), more)
}

/// Waits until so much is held of a bound.
async fn until_held(world: &World, bound: &str, count: usize) {
    let line = format!("repartee_bound_held{{bound=\"{bound}\"}} {count}\n");
    until(bound, world, "/metrics", |metrics| metrics.text().contains(&line)).await;
}

#[tokio::test]
async fn every_change_is_told_in_order_and_the_cursor_leads_on() {
    let world = live(&[]).await;
    let log = world.queue.log();
    log.publish(ChangeKind::Posted, comment("a", 2_000));
    log.publish(ChangeKind::Posted, in_domain("elsewhere", comment("b", 2_001)));
    log.publish(ChangeKind::Claimed, comment("a", 2_000));
    let path = |cursor: &str| format!("/api/comments/changes?domain=test.example&cursor={cursor}");
    let everywhere = "/api/comments/changes?cursor=e1.2000";
    let everywhere = until("the claim", &world, everywhere, |answer| told(answer).0.len() == 3).await;
    assert_eq!(told(&everywhere).0, ["a 2001", "b 2002", "a 2003"]);
    let begin = path("e1.2000");
    let all = world.get(&begin).await;
    assert_eq!(told(&all), page(&["a 2001", "a 2003"], "e1.2003", false));
    assert_eq!((&all.json(200)["reset"], all.header("x-storage-reads")), (&false.into(), "0"));
    let first = world.get(&format!("{begin}&limit=1")).await;
    assert_eq!(told(&first), page(&["a 2001"], "e1.2001", true));
    assert_eq!(told(&world.get(&path("e1.2001")).await), page(&["a 2003"], "e1.2003", false));
    assert_eq!(told(&world.get(&path("e1.2003")).await), page(&[], "e1.2003", false));
    assert_eq!(world.queue.calls(), 0);
}

#[tokio::test]
async fn without_a_cursor_the_newest_page_is_answered_with_the_cursor_behind_it() {
    let world = live(&[]).await;
    world.queue.log().publish(ChangeKind::Posted, comment("a", 2_000));
    world.queue.log().publish(ChangeKind::Posted, comment("b", 2_001));
    until("both", &world, "/api/comments?after=1999", |page| page.json(200)[1].is_object()).await;
    for path in ["?limit=1", "?limit=1&cursor=", "?limit=1&wait=25", "?limit=1&domain=test.example"] {
        let newest = world.get(&format!("/api/comments/changes{path}")).await;
        assert_eq!(told(&newest), page(&["b 2002"], "e1.2002", false), "{path}");
    }
    assert_eq!(world.queue.calls(), 0);
    let older = v1::ListMessagesResponse {
        messages: vec![message("old")],
        next_cursor: "e1.2002".to_owned(),
        kv_stats: kv_stats(3, 0),
        ..Default::default()
    };
    world.queue.answer(older);
    let newest = world.get("/api/comments/changes?domain=quiet").await;
    assert_eq!(told(&newest), page(&["old 1841"], "e1.2002", false));
    assert_eq!(newest.header("x-storage-reads"), "3");
}

#[tokio::test]
async fn what_is_older_than_the_tail_or_of_another_log_is_asked_for_upstream() {
    let world = live(&[]).await;
    world.queue.answer(v1::ListMessagesResponse {
        messages: vec![v1::Message { seq: 1_500, ..message("old") }],
        next_cursor: "e1.1500".to_owned(),
        more: true,
        kv_stats: kv_stats(2, 0),
        ..Default::default()
    });
    let old = world.get("/api/comments/changes?cursor=e1.1400&limit=1").await;
    assert_eq!(told(&old), page(&["old 1500"], "e1.1500", true));
    assert_eq!(old.header("x-storage-reads"), "2");
    let asked = world.queue.asked::<v1::ListMessagesRequest>();
    assert_eq!((asked.position, asked.limit), (Some(Position::Cursor("e1.1400".to_owned())), 1));
}

#[tokio::test]
async fn a_lost_a_foreign_and_a_future_cursor_get_a_reset_with_the_newest_page() {
    let world = live(&[]).await;
    for cursor in ["e1.3", "e0.2000", "e1.999999"] {
        world.queue.answer(v1::ListMessagesResponse {
            messages: vec![message("old")],
            next_cursor: "e1.2000".to_owned(),
            reset: true,
            reset_reason: "the cursor is of another log".to_owned(),
            ..Default::default()
        });
        // Also a call that would wait is answered at once.
        let lost = world.get(&format!("/api/comments/changes?cursor={cursor}&wait=25")).await;
        assert_eq!(told(&lost), page(&["old 1841"], "e1.2000", false), "{cursor}");
        let body = lost.json(200);
        assert_eq!((&body["reset"], &body["reason"]), (&true.into(), &"the cursor is of another log".into()));
    }
}

#[tokio::test]
async fn what_is_malformed_is_refused_by_its_name_and_asks_nobody() {
    let world = live(&[]).await;
    for (query, pointer) in [
        ("cursor=nonsense", "/cursor"),
        ("cursor=e1.", "/cursor"),
        ("cursor=e1.-5", "/cursor"),
        ("cursor=e1.2000%0a", "/cursor"),
        ("wait=26", "/wait"),
        ("wait=-1", "/wait"),
        ("wait=1.5", "/wait"),
        ("wait=", "/wait"),
        ("limit=0", "/limit"),
        ("limit=%2B5", "/limit"),
        ("wait=+1", "/wait"),
        ("wait=01", "/wait"),
        ("limit=1001", "/limit"),
        ("after=5", "/after"),
        ("cursor=e1.1&cursor=e1.2", "/cursor"),
    ] {
        let refused = world.get(&format!("/api/comments/changes?{query}")).await;
        assert_eq!(refused.pointers(), [pointer], "{query}: {}", refused.text());
    }
    let refused = world.get("/api/comments/changes?cursor=nonsense").await.problem(400);
    assert_eq!(refused["reason"], "CURSOR_INVALID");
    assert!(refused["detail"].as_str().unwrap().contains("nonsense"), "{refused}");
    assert_eq!(world.queue.calls(), 0);
}

#[tokio::test]
async fn a_poll_that_waits_is_answered_by_the_next_change_of_its_domain() {
    let world = live(&[]).await;
    world.queue.log().publish(ChangeKind::Posted, comment("a", 2_000));
    until("the message", &world, "/api/comments?after=1999", |page| page.json(200)[0].is_object()).await;
    let path = "/api/comments/changes?domain=test.example&cursor=e1.2001&wait=25";
    let mut waiting = Box::pin(world.get(path));
    tokio::select! {
        early = &mut waiting => panic!("{}", early.text()),
        () = until_held(&world, "long_polls", 1) => {}
    }
    world.queue.log().publish(ChangeKind::Posted, in_domain("elsewhere", comment("b", 2_001)));
    until("the other domain", &world, "/api/comments?after=2000", |page| page.json(200)[0].is_object()).await;
    tokio::select! {
        early = &mut waiting => panic!("{}", early.text()),
        () = until_held(&world, "long_polls", 1) => {}
    }
    world.queue.log().publish(ChangeKind::Posted, comment("c", 2_002));
    let answer = timeout(DEADLINE, waiting).await.unwrap();
    assert_eq!(told(&answer), page(&["c 2003"], "e1.2003", false));
    until_held(&world, "long_polls", 0).await;
    assert_eq!(world.queue.calls(), 0);
}

#[tokio::test]
async fn a_poll_that_waited_in_vain_gets_an_empty_page_and_a_newer_cursor() {
    let world = live(&[]).await;
    world.queue.log().publish(ChangeKind::Posted, in_domain("elsewhere", comment("b", 2_001)));
    until("the other domain", &world, "/api/comments?after=2000", |page| page.json(200)[0].is_object()).await;
    world.queue.answer(v1::ListMessagesResponse { next_cursor: "e1.2000".to_owned(), ..Default::default() });
    let answer = world.get("/api/comments/changes?domain=quiet&cursor=e1.2000&wait=1").await;
    assert_eq!(told(&answer), page(&[], "e1.2001", false));
    assert_eq!(
        world.queue.calls(),
        1,
        "whether that domain can be, only the queue-service knows; it is asked once"
    );
    world.get("/api/comments/changes?domain=quiet&cursor=e1.2000").await.json(200);
    assert_eq!(world.queue.calls(), 1);
}

#[tokio::test]
async fn polls_that_wait_are_bounded_and_leave_with_their_clients() {
    let world = live(&["--max-long-polls", "1"]).await;
    let path = format!("/api/comments/changes?cursor=e1.{BEGIN}&wait=25");
    let mut first = Box::pin(world.get(&path));
    tokio::select! {
        early = &mut first => panic!("{}", early.text()),
        () = until_held(&world, "long_polls", 1) => {}
    }
    let refused = world.get(&path).await.problem(429);
    assert_eq!(refused["reason"], "TOO_MANY_REQUESTS");
    assert!(refused["detail"].as_str().unwrap().contains("long_polls: 1 of 1"), "{refused}");
    world.get(&format!("/api/comments/changes?cursor=e1.{BEGIN}")).await.json(200);
    drop(first);
    until_held(&world, "long_polls", 0).await;
}

#[tokio::test]
async fn polls_that_wait_are_answered_at_once_when_the_gateway_stops() {
    let world = live(&[]).await;
    let path = format!("/api/comments/changes?cursor=e1.{BEGIN}&wait=25");
    let mut waiting = Box::pin(world.get(&path));
    tokio::select! {
        early = &mut waiting => panic!("{}", early.text()),
        () = until_held(&world, "long_polls", 1) => {}
    }
    world.stop.cancel();
    assert_eq!(told(&timeout(DEADLINE, waiting).await.unwrap()), page(&[], "e1.2000", false));
}

#[tokio::test]
async fn while_the_stream_is_away_what_is_known_is_told_and_nothing_new_is_not_claimed() {
    let world = live(&[]).await;
    let log = world.queue.log();
    log.publish(ChangeKind::Posted, comment("a", 2_000));
    until("the message", &world, "/api/comments?after=1999", |page| page.json(200)[0].is_object()).await;
    log.go_away();
    until("503", &world, "/api/comments", |page| page.status == 503).await;
    let known = world.get("/api/comments/changes?cursor=e1.2000").await;
    assert_eq!(told(&known), page(&["a 2001"], "e1.2001", false));
    world.get("/api/comments/changes?cursor=e1.2001").await.problem(503);
    world.get("/api/comments/changes?cursor=e1.2001&wait=1").await.problem(503);
    world.get("/api/comments/changes").await.problem(503);
    let mut waiting = Box::pin(world.get("/api/comments/changes?cursor=e1.2001&wait=25"));
    tokio::select! {
        early = &mut waiting => panic!("{}", early.text()),
        () = until_held(&world, "long_polls", 1) => {}
    }
    log.publish(ChangeKind::Posted, comment("b", 2_001));
    log.come_back();
    assert_eq!(told(&timeout(DEADLINE, waiting).await.unwrap()), page(&["b 2002"], "e1.2002", false));
}
