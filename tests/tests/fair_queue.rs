//! What one client may take from others in the queue: room, time, attempts and edits have bounds; and messages that are
//! posted for later or not for long.

use std::time::{SystemTime, UNIX_EPOCH};

use e2e::{
    Answer, Browser, Grpc, Service, World, held, offers, platform_post, precondition, question,
    question_json, refused, watch_live,
};
use repartee_proto::v1::{
    BotAddress, ChangeKind, NewMessage, PostMessageRequest, PostMessagesRequest, Status,
    post_outcome::Outcome,
};
use reqwest::Method;
use serde_json::json;

/// How far the wall clock and service time may be apart, in milliseconds: they are two clocks of the system, read one after
/// the other and each rounded, and the system slews the one.
const ROUNDING: i64 = 10;

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    i64::try_from(now.as_millis()).expect("it is not that late")
}

/// A question that is not handed out before a time, or expires at one.
fn timed(text: &str, not_before: Option<i64>, expires_at: Option<i64>) -> NewMessage {
    let plain = question("echo", text);
    let bot = plain.bot.clone().expect("a question is addressed");
    NewMessage { bot: Some(BotAddress { not_before, expires_at, ..bot }), ..plain }
}

async fn error_of(client: &Grpc, id: &str) -> (i32, Option<String>) {
    let bot = client.get(id).await.expect("it was posted").bot_params.expect("it is work");
    (bot.status, bot.error)
}

#[tokio::test]
async fn an_entity_that_nobody_serves_takes_no_room_from_others() {
    let queue = Service::queue_service(&["--durability", "process"]).await;
    let client = queue.grpc().await;
    let items = |_| PostMessageRequest { message: Some(question("nobody", "Hello?")), idempotency_key: None };
    let (mut stored, mut full) = (0, 0);
    while full == 0 && stored < 20_000 {
        let batch = PostMessagesRequest { items: (0..250).map(items).collect() };
        for outcome in client.raw().post_messages(batch).await.unwrap().into_inner().outcomes {
            match outcome.outcome {
                Some(Outcome::Posted(_)) => stored += 1,
                Some(Outcome::Rejection(refusal)) => {
                    assert_eq!(refusal.reason, "QUEUE_FULL", "{refusal:?}");
                    full += 1;
                }
                None => panic!("each item has an outcome"),
            }
        }
    }
    assert_eq!(stored, 10_000, "far below what may wait in all");
    client.post(question("echo", "May I?")).await.expect("others are asked all the same");
}

#[tokio::test]
async fn who_invents_a_visitor_for_each_question_keeps_another_address_waiting_for_a_few_only() {
    let world = World::with(&["--one-per-conversation", "false"], &[]).await;
    let [many, one] = [2, 3].map(|last| world.gateway.visitor_at(std::net::Ipv4Addr::new(127, 0, 0, last)));
    let ask = async |browser: &Browser, name: String, secret: String| {
        let mut asked = question_json("echo", "And I?");
        asked["username"] = name.into();
        let request = browser.request(Method::POST, "/api/comments").header("x-visitor", secret);
        Answer::to(request.json(&asked)).await.ok(201)["id"].as_str().unwrap().to_owned()
    };
    for number in 0..60 {
        ask(&many, format!("Mallory {number}"), format!("{number:032}")).await;
    }
    let hers = ask(&one, "Ann".to_owned(), "a".repeat(32)).await;
    let waiting = world.grpc().await.pending("echo").await.unwrap();
    let place = waiting.iter().position(|message| message.id == hers).unwrap();
    assert!(place < 5, "she is number {place} of {}", waiting.len());
}

#[tokio::test]
async fn what_is_posted_for_later_is_handed_out_then_in_every_way() {
    let world = World::start().await;
    let client = world.grpc().await;
    let mut offered = client.stream(offers("worker 2", &["echo"])).await.unwrap();
    let due = now() + 1_500;
    let mut asked = question_json("echo", "Remind me.");
    asked["botParams"]["notBefore"] = json!(due);
    let posted = world.browser().comment(&asked).await;
    let id = posted["id"].as_str().unwrap();
    assert_eq!(posted["message"]["botParams"]["notBefore"], json!(due));
    assert_eq!(refused(client.claim(id, "worker 1").await), precondition("NOT_DUE"));
    assert!(client.pending("echo").await.unwrap().is_empty());
    assert_eq!(client.claim_next("worker 1", &["echo"], 0).await.unwrap(), None);

    let offer = offered.work().await;
    assert!(now() >= due - ROUNDING, "it was offered {} ms early", due - now());
    assert_eq!(offer.message.unwrap().id, id);
    let work = client.claim_next("worker 1", &["echo"], 10).await.unwrap().expect("it is due");
    assert_eq!(work.message.unwrap().id, id);
}

#[tokio::test]
async fn what_is_posted_for_later_waits_over_a_restart() {
    let mut queue = Service::queue_service(&[]).await;
    let due = now() + 2_000;
    let id = queue.grpc().await.post(timed("Remind me.", Some(due), None)).await.unwrap().id;
    queue.kill().await;
    queue.start_again().await;
    let client = queue.grpc().await;
    let work = client.claim_next("worker 1", &[], 20).await.unwrap().expect("its time comes");
    let message = work.message.unwrap();
    let claimed_at = message.bot_params.unwrap().claimed_at.expect("it was claimed");
    assert_eq!(message.id, id);
    assert!(claimed_at >= due - ROUNDING, "it was claimed {} ms early", due - claimed_at);
}

#[tokio::test]
async fn what_nobody_takes_in_time_fails_as_expired_and_an_operator_may_retry_it() {
    let queue = Service::queue_service(&["--pending-expiry", "2s"]).await;
    let client = queue.grpc().await;
    let mut watch = client.watch(watch_live()).await.unwrap();
    let by_rule = client.post(question("nobody", "Anybody?")).await.unwrap().id;
    let asked = client.post(timed("Now or never.", None, Some(now() + 500))).await.unwrap();
    let wanted = asked.bot_params.unwrap().expires_at;
    let failed = watch.until(ChangeKind::Failed, &asked.id).await.message.unwrap();
    assert!(wanted.is_some_and(|end| end <= now() + ROUNDING));
    assert_eq!(failed.bot_params.and_then(|bot| bot.error).as_deref(), Some("expired"));
    watch.until(ChangeKind::Failed, &by_rule).await;
    assert_eq!(error_of(&client, &by_rule).await, (Status::Failed.into(), Some("expired".to_owned())));
    client.retry(&asked.id).await.unwrap();
    assert!(client.claim(&asked.id, "worker 1").await.is_ok(), "it waits again");
}

#[tokio::test]
async fn times_out_of_range_are_refused_by_the_names_of_the_face() {
    let world = World::start().await;
    let day = 86_400_000;
    for (field, value) in
        [("notBefore", now() + 31 * day), ("expiresAt", now() - 1), ("expiresAt", now() + 61 * day)]
    {
        let mut asked = question_json("echo", "Hello?");
        asked["botParams"][field] = json!(value);
        let answer = Answer::to(world.browser().request(Method::POST, "/api/comments").json(&asked)).await;
        let problem = answer.problem(400);
        assert_eq!(problem["errors"][0]["pointer"], json!(format!("/botParams/{field}")));
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(&value.to_string()), "{detail}");
    }
}

#[tokio::test]
async fn a_message_that_every_worker_gives_back_is_given_up() {
    let queue = Service::queue_service(&["--max-attempts", "3"]).await;
    let client = queue.grpc().await;
    let id = client.post(question("echo", "Who will?")).await.unwrap().id;
    for attempt in 1..=3 {
        let work = client.claim(&id, &format!("worker {}", attempt % 2)).await.unwrap();
        let message = client.release(held(&work)).await.unwrap();
        let expected = if attempt < 3 { Status::Pending } else { Status::Failed };
        assert_eq!(message.bot_params.unwrap().status(), expected);
    }
    let error = Some("given up after 3 attempts".to_owned());
    assert_eq!(error_of(&client, &id).await, (Status::Failed.into(), error));
    client.retry(&id).await.unwrap();
    let work = client.claim(&id, "worker 1").await.unwrap();
    assert_eq!(client.release(held(&work)).await.unwrap().bot_params.unwrap().status(), Status::Pending);
}

#[tokio::test]
async fn the_author_of_a_message_has_so_many_edits_and_an_operator_may_go_on() {
    let queue = Service::queue_service(&["--max-edits", "2"]).await;
    let gateway = Service::gateway(&queue.grpc_url(), &[]).await;
    let post = platform_post("Ann", "Helo.");
    let body = json!({"domain": post.domain, "text": post.text, "username": post.username});
    let posted = gateway.browser().comment(&body).await;
    let (id, token) = (posted["id"].as_str().unwrap(), posted["editToken"].as_str().unwrap());
    let path = format!("/api/comments/{id}");
    let edit = async |text: &str| {
        let request = gateway.browser().request(Method::PATCH, &path).bearer_auth(token);
        Answer::to(request.json(&json!({"text": text}))).await
    };
    edit("Hello.").await.ok(200);
    edit("Hello!").await.ok(200);
    let refusal = edit("Hello?").await.problem(409);
    assert_eq!(refusal["reason"], json!("TOO_MANY_EDITS"));
    let client = queue.grpc().await;
    assert_eq!(client.get(id).await.unwrap().text, "Hello!", "nothing was changed");
    let update = repartee_proto::v1::UpdateMessageRequest {
        message_id: id.to_owned(),
        text: Some("[removed]".to_owned()),
        ..Default::default()
    };
    client.raw().update_message(update).await.expect("an operator may");
}
