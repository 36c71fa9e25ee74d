//! One message as its operators see it: its conversation, its attempts with their errors, and the request that posted it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::{Answer, World, held, platform_post, question_from, question_json, reply};
use reqwest::Method;
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Worker, end and error of each attempt.
fn attempts(view: &Value) -> Vec<(&str, Option<&str>, Option<&str>)> {
    let attempts = view["attempts"].as_array().unwrap().iter();
    attempts
        .map(|one| (one["workerId"].as_str().unwrap(), one["end"].as_str(), one["error"].as_str()))
        .collect()
}

#[tokio::test]
async fn a_message_is_shown_with_all_of_its_attempts_and_its_conversation_also_after_a_kill() {
    let mut world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    let ask = async |text: &str| client.post(question_from("Ann", "echo", text)).await.unwrap().id;
    let first = ask("First?").await;
    let claimed = client.claim(&first, "gpu-1").await.unwrap();
    client.complete(held(&claimed), reply("First.")).await.unwrap();
    let second = ask("Second?").await;
    let failed = client.claim(&second, "gpu-1").await.unwrap();
    client.fail(held(&failed), "overloaded", Some(0)).await.unwrap();
    let released = client.claim(&second, "gpu-2").await.unwrap();
    client.release(held(&released)).await.unwrap();
    let path = format!("/api/admin/work/{second}");
    let claimed = client.claim(&second, "gpu-3").await.unwrap();
    let view = browser.get(&path).await.ok(200);
    let before = [("gpu-1", Some("failed"), Some("overloaded")), ("gpu-2", Some("released"), None)];
    assert_eq!(attempts(&view), [before[0], before[1], ("gpu-3", None, None)]);
    assert_eq!(view["attempts"][2]["endedAt"], Value::Null, "it goes on");
    client.complete(held(&claimed), reply("Second.")).await.unwrap();
    ask("Third?").await;

    let view = browser.get(&path).await.ok(200);
    assert_eq!(attempts(&view), [before[0], before[1], ("gpu-3", Some("completed"), None)]);
    let began = |at: usize| view["attempts"][at]["beganAt"].as_i64().unwrap();
    let ended = |at: usize| view["attempts"][at]["endedAt"].as_i64().unwrap();
    assert!(
        (0..3)
            .all(|at| view["message"]["timestamp"].as_i64().unwrap() <= began(at) && began(at) <= ended(at))
    );
    assert_eq!((&view["errors"], &view["cancelled"]), (&json!(["overloaded"]), &json!(false)));
    let talk = view["conversation"].as_array().unwrap().iter();
    let talk: Vec<_> = talk.map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(talk, ["First?", "First.", "Second?", "Second."], "up to the message and its reply");
    assert_eq!(view["replyId"], view["conversation"][3]["id"]);

    world.queue.kill().await;
    world.queue.start_again_in_place().await;
    let ready = async { while browser.get("/readyz").await.status != 200 {} };
    e2e::within_deadline("the gateway to find the queue-service again", ready).await;
    let mut again = browser.get(&path).await.ok(200);
    again["kvStats"] = view["kvStats"].clone();
    assert_eq!(again, view);
}

#[tokio::test]
async fn a_message_names_the_trace_or_the_request_that_posted_it() {
    let world = World::with(&[], &["--trace-parents", "all"]).await;
    let browser = world.browser();
    let post = async |headers: &[(&str, String)]| {
        let request = world.gateway.visitor().request(Method::POST, "/api/comments");
        let request = request.json(&question_json("echo", "Well?"));
        let answer =
            Answer::to(headers.iter().fold(request, |request, (name, value)| request.header(*name, value)))
                .await;
        let id = answer.ok(201)["id"].as_str().unwrap().to_owned();
        let view = browser.get(&format!("/api/admin/work/{id}")).await.ok(200);
        (view["traceId"].as_str().unwrap().to_owned(), answer.header("x-request-id").to_owned())
    };
    let traceparent = ("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let named = ("x-request-id", "r-17".to_owned());
    assert_eq!(post(&[traceparent, named.clone()]).await.0, TRACE);
    assert_eq!(post(&[("traceparent", "nonsense".into()), named.clone()]).await.0, "r-17");
    assert_eq!(post(&[named]).await.0, "r-17");
    let (shown, told) = post(&[]).await;
    assert_eq!(shown, told, "the gateway names a request that came without a name");
}

#[tokio::test]
async fn a_post_for_no_bot_is_shown_and_what_is_not_there_is_not() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    let id = client.post(platform_post("Ann", "Hello.")).await.unwrap().id;
    let view = browser.get(&format!("/api/admin/work/{id}")).await.ok(200);
    assert_eq!((&view["message"]["text"], &view["traceId"]), (&json!("Hello."), &Value::Null));
    assert_eq!((&view["attempts"], &view["conversation"]), (&json!([]), &json!([])));
    browser.get(&format!("/api/admin/work/{}", uuid::Uuid::new_v4())).await.problem(404);
}
