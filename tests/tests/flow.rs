//! The way of one question through everything: posted in a browser, delivered to a worker, answered, read by all; with
//! separate processes and with one.

use e2e::{Answer, Browser, Service, Watch, World, held, question_json, reply, watch_live, work};
use repartee_proto::v1::{Change, ChangeKind};
use reqwest::Method;
use serde_json::Value;

/// Waits until the question is answered, and hands out the id of the reply.
async fn answered(watch: &mut Watch, question_id: &str) -> String {
    let mut reply_id = None;
    loop {
        let change: Change = watch.change().await;
        let message = change.message.clone().expect("a change holds its message");
        match change.kind() {
            ChangeKind::Posted if message.reply_to.as_deref() == Some(question_id) => {
                reply_id = Some(message.id)
            }
            ChangeKind::Completed if message.id == question_id => {
                return reply_id.expect("the reply is in the feed before the completion that brought it");
            }
            _ => {}
        }
    }
}

/// Checks that a browser sees the question as complete, and beside it the reply that says `text`.
async fn assert_both_shown(browser: &Browser, question_id: &str, reply_id: &str, text: &str) {
    let completed =
        |comment: &Value| comment["id"] == question_id && comment["botParams"]["status"] == "complete";
    let comments = browser.comments_once(|comments| comments.iter().any(completed)).await;
    let shown =
        |id: &str| comments.iter().find(|comment| comment["id"] == id).cloned().expect("it is in the feed");
    let (question, reply) = (shown(question_id), shown(reply_id));
    assert_eq!(question["botParams"]["status"], "complete");
    assert_eq!(reply["replyTo"], question_id);
    assert_eq!(reply["text"], text);
    assert_eq!(reply["message-type"], "AI");
    assert_eq!(reply["botParams"], Value::Null);
    assert_eq!(reply["username"], question["botParams"]["aiUsername"]);
    assert_eq!(reply["color"], question["botParams"]["aiColor"]);
}

#[tokio::test]
async fn a_posted_question_is_delivered_under_a_lease_answered_and_shown() {
    let world = World::start().await;
    let (browser, worker) = (world.browser(), world.grpc().await);
    let mut stream = worker.stream(work("worker 1", &["fear-and-loathing"], 1)).await.unwrap();

    let posted = browser.comment(&question_json("fear-and-loathing", "Why is space black?")).await;
    let delivered = stream.work().await;
    let message = delivered.message.clone().unwrap();
    assert_eq!(posted["id"], message.id);
    assert_eq!(message.text, "Why is space black?");
    assert!(delivered.lease.as_ref().unwrap().expires_at > message.timestamp);

    let completed = worker.complete(held(&delivered), reply("Because of Olbers.")).await.unwrap();
    assert_both_shown(&browser, &message.id, &completed.reply_id.unwrap(), "Because of Olbers.").await;
}

#[tokio::test]
async fn a_post_is_answered_with_all_that_its_browser_needs() {
    let world = World::start().await;
    let answer = world.browser().post("/api/comments", &question_json("echo", "Hello?")).await;
    let posted = answer.ok(201);
    let id = posted["id"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("comments/{id}"));
    assert_eq!(posted["status"], "success");
    assert!(!posted["editToken"].as_str().unwrap().is_empty());
    let message = &posted["message"];
    for member in ["id", "timestamp", "seq"] {
        assert_eq!(posted[member], message[member]);
    }
    assert_eq!(message["replyTo"], Value::Null);
    assert_eq!(message["eqScore"], 0);
    assert_eq!(message["message-type"], "human");
    let bot = &message["botParams"];
    let defaults = (
        bot["status"].as_str(),
        bot["priority"].as_u64(),
        bot["aiUsername"].as_str(),
        bot["aiColor"].as_str(),
    );
    assert_eq!(defaults, (Some("pending"), Some(5), Some("echo"), Some("default")));
    for absent in ["sessionId", "claimedBy", "claimedAt", "completedAt", "error"] {
        assert_eq!(bot.get(absent), Some(&Value::Null), "{absent} is there and null");
    }
    assert_eq!(world.browser().get(&format!("/api/comments/{id}")).await.ok(200), *message);
}

#[tokio::test]
async fn separate_processes_answer_with_the_ready_bot() {
    let world = World::start().await;
    let _bot = Service::echo_bot(&world.queue.grpc_url(), &["echo"]).await;
    let mut watch = world.grpc().await.watch(watch_live()).await.unwrap();
    let browser = world.browser();

    let posted = browser.comment(&question_json("echo", "Is anybody there?")).await;
    let id = posted["id"].as_str().unwrap();
    let reply_id = answered(&mut watch, id).await;
    assert_both_shown(&browser, id, &reply_id, "Is anybody there?").await;
}

#[tokio::test]
async fn one_process_answers_with_its_demo_bot() {
    let repartee = Service::repartee(&[]).await;
    let mut watch = repartee.grpc().await.watch(watch_live()).await.unwrap();
    let browser = repartee.browser();

    let posted = browser.comment(&question_json("echo", "All in one?")).await;
    let id = posted["id"].as_str().unwrap();
    let reply_id = answered(&mut watch, id).await;
    assert_both_shown(&browser, id, &reply_id, "All in one?").await;
}

#[tokio::test]
async fn without_the_demo_bot_one_process_leaves_questions_to_others() {
    let repartee = Service::repartee(&["--demo-bot", "false"]).await;
    let worker = repartee.grpc().await;
    repartee.browser().comment(&question_json("echo", "Anybody?")).await;
    let claimed = worker.claim_next("worker 1", &["echo"], 0).await.unwrap();
    assert_eq!(claimed.unwrap().message.unwrap().text, "Anybody?");
}

#[tokio::test]
async fn one_process_stops_cleanly_and_continues_with_the_same_data() {
    let mut repartee = Service::repartee(&[]).await;
    let mut watch = repartee.grpc().await.watch(watch_live()).await.unwrap();
    let before = repartee.browser().comment(&question_json("echo", "Before?")).await;
    let before = before["id"].as_str().unwrap();
    let reply_before = answered(&mut watch, before).await;
    assert_eq!(repartee.terminate().await, Some(0));

    repartee.start_again().await;
    let browser = repartee.browser();
    assert_both_shown(&browser, before, &reply_before, "Before?").await;
    let mut watch = repartee.grpc().await.watch(watch_live()).await.unwrap();
    let after = browser.comment(&question_json("echo", "After?")).await;
    let after = after["id"].as_str().unwrap();
    let reply_after = answered(&mut watch, after).await;
    assert_both_shown(&browser, after, &reply_after, "After?").await;
}

#[tokio::test]
async fn gateway_and_worker_come_back_by_themselves_when_the_queue_service_restarts() {
    let mut world = World::start().await;
    let _bot = Service::echo_bot(&world.queue.grpc_url(), &["echo"]).await;
    world.browser().comment(&question_json("echo", "Before?")).await;
    world.queue.kill().await;
    world.browser().post("/api/comments", &question_json("echo", "Lost?")).await.problem(503);

    world.queue.start_again_in_place().await;
    let mut watch = world.grpc().await.watch(watch_live()).await.unwrap();
    let body = question_json("echo", "After?");
    let posted = e2e::within_deadline("the gateway to reconnect", async {
        loop {
            let answer: Answer =
                Answer::to(world.browser().request(Method::POST, "/api/comments").json(&body)).await;
            if answer.status != 503 {
                break answer.ok(201);
            }
        }
    })
    .await;
    answered(&mut watch, posted["id"].as_str().unwrap()).await;
}
