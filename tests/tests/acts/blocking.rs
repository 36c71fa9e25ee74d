//! Authors and addresses that may not post for a while.

use e2e::{Answer, Browser, World, within_deadline};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{ANN, BEA, Visitor, acts, world};

async fn say(world: &World, visitor: Visitor) -> Answer {
    let body = json!({"domain": "lobby", "username": "Somebody", "text": "Buy this!"});
    visitor.send(world, Method::POST, "/api/comments", &body).await
}

async fn block(browser: &Browser, body: &Value) -> Value {
    browser.post("/api/admin/block", body).await.ok(200)["block"].clone()
}

async fn blocks(browser: &Browser) -> Vec<Value> {
    browser.get("/api/admin/blocks").await.ok(200)["blocks"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_blocked_author_is_told_until_when_and_reads_on_while_neighbours_post() {
    let world = world().await;
    let browser = world.browser();
    let (ann, bea) = (Visitor(ANN, "203.0.113.9"), Visitor(BEA, "203.0.113.9"));
    let posted = say(&world, ann).await.ok(201);
    let path = format!("/api/comments/{}", posted["id"].as_str().unwrap());
    let body = json!({"authorOf": posted["id"], "for": "2h", "reason": "ads"});
    let blocked = block(&browser, &body).await;
    assert_eq!((&blocked["reason"], &blocked["address"]), (&json!("ads"), &Value::Null));
    let span = blocked["until"].as_i64().unwrap() - blocked["since"].as_i64().unwrap();
    assert!((7_199_000..=7_201_000).contains(&span), "two hours, by clocks that are rounded: {span}");

    for visitor in [ann, Visitor(ANN, "203.0.113.10")] {
        let refused = say(&world, visitor).await.problem(403);
        assert_eq!(refused["reason"], "BLOCKED");
        let told = refused["detail"].as_str().unwrap();
        assert!(told.contains(" until 20") && told.contains("read on"), "{told}");
        assert!(!told.contains("ads"), "what operators say among themselves stays there: {told}");
    }
    let question = json!({
        "domain": "lobby", "username": "Somebody", "text": "Well?", "botParams": {"entity": "echo"},
    });
    let asked = ann.send(&world, Method::POST, "/api/comments", &question).await;
    assert_eq!(asked.problem(403)["reason"], "BLOCKED", "no new conversation either");
    say(&world, bea).await.ok(201);
    assert_eq!(ann.send(&world, Method::GET, &path, &json!({})).await.status, 200, "reading stays");

    // Whatever secret comes with the edit token, it is that of a blocked author's message.
    let token = posted["editToken"].as_str().unwrap();
    let author = Browser::with(&format!("http://{}", world.gateway.http_addr()), Some(token));
    let edit = author.request(Method::PATCH, &path).json(&json!({"text": "Buy that!"}));
    assert_eq!(Answer::to(edit).await.problem(403)["reason"], "BLOCKED");
    Answer::to(author.request(Method::DELETE, &path)).await.ok(200);

    let listed = blocks(&browser).await;
    assert_eq!((listed.len(), &listed[0]["author"]), (1, &blocked["author"]));
    let lifted = browser.post("/api/admin/unblock", &json!({"author": blocked["author"]})).await.ok(200);
    assert_eq!(lifted["wasBlocked"], true);
    let lifted = browser.post("/api/admin/unblock", &json!({"author": blocked["author"]})).await.ok(200);
    assert_eq!(lifted["wasBlocked"], false);
    say(&world, ann).await.ok(201);
    assert_eq!(blocks(&browser).await, [] as [Value; 0]);
    let log = acts(&browser).await;
    let told: Vec<_> = log.iter().map(|act| (&act["kind"], &act["detail"], &act["author"])).collect();
    let who = &blocked["author"];
    assert_eq!(told, [(&json!("unblock"), &json!(""), who), (&json!("block"), &json!("for 2h"), who)]);
}

#[tokio::test]
async fn a_blocked_address_is_that_of_a_household_in_ipv6_and_of_one_host_in_ipv4() {
    let world = world().await;
    let browser = world.browser();
    for (from, same, other) in [
        ("203.0.113.9", "::ffff:203.0.113.9", "203.0.113.10"),
        ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
    ] {
        let id = say(&world, Visitor(ANN, from)).await.ok(201)["id"].clone();
        block(&browser, &json!({"addressOf": id, "for": "1d"})).await;
        for blocked in [Visitor(ANN, from), Visitor(BEA, from), Visitor(BEA, same)] {
            assert_eq!(say(&world, blocked).await.problem(403)["reason"], "BLOCKED");
        }
        say(&world, Visitor(ANN, other)).await.ok(201);
    }
}

#[tokio::test]
async fn a_block_holds_over_a_kill_and_a_restart() {
    let mut world = world().await;
    let browser = world.browser();
    let ann = Visitor(ANN, "203.0.113.9");
    let id = say(&world, ann).await.ok(201)["id"].clone();
    block(&browser, &json!({"authorOf": id, "for": "30d", "reason": "ads"})).await;
    block(&browser, &json!({"addressOf": id, "for": "1h"})).await;
    let of = |blocks: Vec<Value>| {
        let row = |block: &Value| [&block["author"], &block["address"], &block["since"]].map(Clone::clone);
        blocks.iter().map(row).collect::<Vec<_>>()
    };
    let before = of(blocks(&browser).await);
    world.queue.kill().await;
    world.queue.start_again_in_place().await;
    let ready = async { while browser.get("/readyz").await.status != 200 {} };
    within_deadline("the gateway to find the queue-service again", ready).await;
    assert_eq!(of(blocks(&browser).await), before);
    assert_eq!(say(&world, ann).await.problem(403)["reason"], "BLOCKED");
    say(&world, Visitor(BEA, "203.0.113.10")).await.ok(201);
}

#[tokio::test]
async fn a_block_ends_by_itself() {
    let world = world().await;
    let ann = Visitor(ANN, "203.0.113.9");
    let id = say(&world, ann).await.ok(201)["id"].clone();
    block(&world.browser(), &json!({"authorOf": id, "for": "1s"})).await;
    let posted = async { while say(&world, ann).await.status != 201 {} };
    within_deadline("the block to end", posted).await;
}

#[tokio::test]
async fn no_more_are_blocked_than_the_setting_says_and_the_list_comes_by_page() {
    let world = World::with(&["--max-blocks", "2"], &[]).await;
    let browser = world.browser();
    let of = |digit: &str| json!({"author": digit.repeat(32), "for": "1h"});
    block(&browser, &of("a")).await;
    block(&browser, &of("b")).await;
    let full = browser.post("/api/admin/block", &of("c")).await.problem(429);
    assert_eq!(full["reason"], "TOO_MANY_BLOCKS");
    block(&browser, &of("a")).await;
    let first = browser.get("/api/admin/blocks?limit=1").await.ok(200);
    let after = first["nextAfter"].as_str().unwrap();
    let second = browser.get(&format!("/api/admin/blocks?limit=1&after={after}")).await.ok(200);
    assert_eq!(
        (&second["blocks"][0]["author"], &second["nextAfter"]),
        (&json!("b".repeat(32)), &Value::Null)
    );
}

#[tokio::test]
async fn who_is_blocked_and_how_long_is_said_once_and_well_formed() {
    let world = World::start().await;
    let browser = world.browser();
    let author = "0".repeat(32);
    for (body, pointer) in [
        (json!({"author": author}), "/for"),
        (json!({"author": author, "for": "soon"}), "/for"),
        (json!({"author": author, "for": "0s"}), "/for"),
        (json!({"author": author, "for": "999ms"}), "/for"),
        (json!({"author": author, "for": "366d"}), "/for"),
        (json!({"for": "1h"}), ""),
        (json!({"author": author, "address": author, "for": "1h"}), ""),
        (json!({"address": "me", "for": "1h"}), "/address"),
        (json!({"author": author, "for": "1h", "reason": "x".repeat(201)}), "/reason"),
    ] {
        assert_eq!(browser.post("/api/admin/block", &body).await.pointers(400), [pointer], "{body}");
    }
    assert_eq!(browser.post("/api/admin/unblock", &json!({})).await.pointers(400), [""]);
    assert_eq!(browser.get("/api/admin/blocks?after=me").await.pointers(400), ["/after"]);
    assert_eq!(blocks(&browser).await, [] as [Value; 0]);
}
