//! Operators at a gateway that is on one machine with its queue-service: with the token, and what they are shown.

use e2e::{Answer, Service, World, held, question, question_json, reply, within_deadline};
use reqwest::Method;
use serde_json::json;

/// Somebody elsewhere, as a proxy on this machine tells it.
const ELSEWHERE: &str = "203.0.113.7";
/// The settings of a service with the token of operators.
const WITH_TOKEN: [&str; 2] = ["--admin-token", "of-the-house"];

#[tokio::test]
async fn an_operator_with_the_token_changes_and_removes_what_anybody_wrote() {
    let world = World::with(&[], &WITH_TOKEN).await;
    let browser = world.browser();
    let posted = browser.comment(&question_json("echo", "Why?")).await;
    let path = format!("/api/comments/{}", posted["id"].as_str().unwrap());
    let call = |method: Method, token: &str| {
        let request = browser.request(method, &path).header("x-forwarded-for", ELSEWHERE);
        request.header("authorization", format!("Bearer {token}"))
    };
    let edit = json!({ "eqScore": 7 });
    Answer::to(call(Method::PATCH, "of-another-house").json(&edit)).await.problem(403);
    Answer::to(call(Method::DELETE, "of-another-house")).await.problem(403);
    assert_eq!(Answer::to(call(Method::PATCH, "of-the-house").json(&edit)).await.ok(200)["eqScore"], 7);
    assert_eq!(Answer::to(call(Method::DELETE, "of-the-house")).await.ok(200)["deleted"], true);
}

#[tokio::test]
async fn everything_in_one_process_has_one_token() {
    let repartee = Service::repartee(&[&WITH_TOKEN[..], &["--demo-bot", "false"]].concat()).await;
    let (client, browser) = (repartee.grpc().await, repartee.browser());
    let id = client.post(question("echo", "Well?")).await.unwrap().id;
    let claimed = client.claim(&id, "worker 1").await.unwrap();
    client.give_up(held(&claimed), "no idea").await.unwrap();
    let cancel = browser.request(Method::POST, "/api/queue/cancel").json(&json!({"messageId": id}));
    let cancel = cancel.header("x-forwarded-for", ELSEWHERE);
    Answer::to(cancel.try_clone().unwrap()).await.problem(401);
    Answer::to(cancel.bearer_auth("of-the-house")).await.ok(200);
}

#[tokio::test]
async fn the_charts_tell_how_long_answers_take() {
    let world = World::with(&[], &["--history-interval", "0.1"]).await;
    let (client, browser) = (world.grpc().await, world.browser());
    let id = client.post(question("echo", "Well?")).await.unwrap().id;
    let claimed = client.claim(&id, "worker 1").await.unwrap();
    client.complete(held(&claimed), reply("Well.")).await.unwrap();
    let message = client.get(&id).await.unwrap();
    let took = message.bot_params.unwrap().completed_at.unwrap() - message.timestamp;
    let point = within_deadline("a point with the answer", async {
        loop {
            let history = browser.get("/api/admin/history").await.ok(200);
            let points = history["points"].as_array().unwrap().clone();
            if let Some(point) = points.into_iter().find(|point| point["answers"] == 1) {
                break point;
            }
        }
    })
    .await;
    // Two digits of it are kept.
    let near = (took as f64 * 0.98 - 0.01)..=(took as f64 * 1.02 + 0.01);
    assert!(near.contains(&point["answerP50Ms"].as_f64().unwrap()), "{took} ms: {point}");
    assert_eq!(point["answerP50Ms"], point["answerP99Ms"]);
    assert_eq!(browser.get("/api/admin/chart/answers").await.status, 200);
}
