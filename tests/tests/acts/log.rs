//! The log of what operators did.

use e2e::{Answer, Browser, OPERATOR, World, question, within_deadline};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{ANN, Visitor, acts, world};

#[tokio::test]
async fn the_log_says_who_did_what_to_what_and_why_and_outlives_a_kill() {
    let mut world = World::start().await;
    let browser = world.browser();
    let post = async |text: &str| world.grpc().await.post(question("echo", text)).await.unwrap().id;
    let [first, second] = [post("One.").await, post("Two.").await];
    browser.post("/api/queue/pause", &json!({"entity": "echo", "reason": "too loud"})).await.ok(200);
    browser.post("/api/queue/pause", &json!({"entity": "echo"})).await.ok(200);
    browser.post("/api/queue/cancel", &json!({"messageId": first, "reason": "rude"})).await.ok(200);
    browser.post("/api/queue/retry", &json!({"messageId": first})).await.ok(200);
    let path = format!("/api/comments/{second}");
    let edit = json!({"text": "Two!", "priority": 9, "reason": "a typo"});
    Answer::to(browser.request(Method::PATCH, &path).json(&edit)).await.ok(200);
    let why = format!("{path}?reason=asked%20by%20its%20author");
    Answer::to(browser.request(Method::DELETE, &why)).await.ok(200);
    browser.post("/api/queue/resume", &json!({"entity": "echo"})).await.ok(200);
    let before = acts(&browser).await;
    let told: Vec<_> = before.iter().rev().map(|act| act["kind"].as_str().unwrap()).collect();
    assert_eq!(told, ["pause", "cancel", "retry", "edit", "delete", "resume"], "pausing twice is one act");
    assert_eq!((&before[5]["entity"], &before[5]["reason"]), (&json!("echo"), &json!("too loud")));
    assert_eq!((&before[4]["messageId"], &before[4]["reason"]), (&json!(first), &json!("rude")));
    assert_eq!((&before[2]["detail"], &before[2]["reason"]), (&json!("text, priority 9"), &json!("a typo")));
    assert_eq!(before[1]["reason"], "asked by its author");
    assert!(before.iter().all(|act| act["at"].as_i64().unwrap() > 1_700_000_000_000));

    world.queue.kill().await;
    world.queue.start_again_in_place().await;
    let ready = async { while browser.get("/readyz").await.status != 200 {} };
    within_deadline("the gateway to find the queue-service again", ready).await;
    assert_eq!(acts(&browser).await, before);
    let page = browser.get("/api/admin/acts?limit=2&before=4").await.ok(200);
    let numbers: Vec<_> =
        page["acts"].as_array().unwrap().iter().map(|act| act["number"].as_u64().unwrap()).collect();
    assert_eq!((numbers, &page["more"]), (vec![3, 2], &json!(true)));
    assert!(!format!("{before:?}").contains(OPERATOR));
}

#[tokio::test]
async fn a_reason_that_is_too_long_is_named_and_changes_nothing() {
    let world = World::start().await;
    let browser = world.browser();
    let id = world.grpc().await.post(question("echo", "One.")).await.unwrap().id;
    let (path, long) = (format!("/api/comments/{id}"), "x".repeat(201));
    let edit = browser.request(Method::PATCH, &path).json(&json!({"text": "Two.", "reason": long}));
    let remove = browser.request(Method::DELETE, &format!("{path}?reason={long}"));
    for request in [edit, remove] {
        let problem = Answer::to(request).await.problem(400);
        assert_eq!(problem["errors"][0]["pointer"], "/reason");
        assert!(problem["detail"].as_str().unwrap().contains("201"), "{problem}");
    }
    assert_eq!(browser.get(&path).await.ok(200)["text"], "One.");
    assert_eq!(acts(&browser).await, [] as [Value; 0]);
}

#[tokio::test]
async fn what_an_author_does_is_in_no_log_of_operators() {
    let world = world().await;
    let ann = Visitor(ANN, "203.0.113.9");
    let posted = ann.ask(&world, "echo", 1).await;
    let token = posted["editToken"].as_str().unwrap();
    let author = Browser::with(&format!("http://{}", world.gateway.http_addr()), Some(token));
    author.post("/api/queue/cancel", &json!({"messageId": posted["id"]})).await.ok(200);
    assert_eq!(acts(&world.browser()).await, [] as [Value; 0]);
}

#[tokio::test]
async fn the_oldest_acts_leave_once_there_are_more_than_are_kept() {
    let world = World::with(&["--max-acts", "3"], &[]).await;
    let browser = world.browser();
    for n in 0..5 {
        browser.post("/api/queue/pause", &json!({"entity": format!("bot {n}")})).await.ok(200);
    }
    let numbers: Vec<_> = acts(&browser).await.iter().map(|act| act["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [5, 4, 3]);
}
