//! Operators at a gateway: with the token, on one machine with the queue-service and on two.

use std::net::{IpAddr, UdpSocket};

use e2e::{Answer, Service, World, held, question, question_json, reply, within_deadline};
use reqwest::Method;
use serde_json::{Value, json};

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

/// An address of this machine that is not loopback; none where it has no network. Nothing is sent to find it out.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect((ELSEWHERE, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback())
}

/// A queue-service and a gateway that is not local to it. They are on one machine, and speak over its outer address.
#[expect(clippy::print_stderr, reason = "whoever looks into the output learns that a test could not run")]
async fn apart(queue: &[&str], gateway: &[&str]) -> Option<World> {
    let Some(address) = own_address() else {
        eprintln!("skipped: this machine has no address but loopback");
        return None;
    };
    let queue = Service::queue_service_at(&format!("{address}:0"), queue).await;
    let gateway = [gateway, &["--history-interval", "0.1"]].concat();
    let gateway = Service::gateway(&queue.grpc_url(), &gateway).await;
    Some(World { gateway, queue })
}

#[tokio::test]
async fn on_two_machines_an_operator_with_the_token_may_do_everything_and_the_charts_are_filled() {
    let Some(world) = apart(&WITH_TOKEN, &WITH_TOKEN).await else { return };
    let browser = world.browser();
    let call = async |method: Method, path: &str, token: &str, body: Value| {
        let request = browser.request(method, path).header("x-forwarded-for", ELSEWHERE).bearer_auth(token);
        Answer::to(if body.is_null() { request } else { request.json(&body) }).await
    };
    let operate = async |method: Method, path: &str, body: Value| {
        call(method.clone(), path, "of-another-house", body.clone()).await.problem(403);
        call(method, path, "of-the-house", body).await.ok(200)
    };
    let id = browser.comment(&question_json("echo", "Why?")).await["id"].as_str().unwrap().to_owned();
    let (comment, message) = (format!("/api/comments/{id}"), json!({"messageId": id}));
    assert_eq!(operate(Method::GET, "/api/stats", json!(null)).await["pending"], 1);
    operate(Method::POST, "/api/queue/cancel", message.clone()).await;
    let failed = operate(Method::GET, "/api/queue/failed", json!(null)).await;
    assert_eq!(failed["failed"][0]["cancelled"], true);
    operate(Method::POST, "/api/queue/retry", message).await;
    assert_eq!(operate(Method::PATCH, &comment, json!({"eqScore": 7})).await["eqScore"], 7);
    within_deadline("a point of the charts", async {
        loop {
            let history = call(Method::GET, "/api/admin/history", "of-the-house", json!(null)).await.ok(200);
            if history["points"].as_array().unwrap().iter().any(|point| point["pending"] == 1) {
                break;
            }
        }
    })
    .await;
    assert_eq!(operate(Method::DELETE, &comment, json!(null)).await["deleted"], true);
}

#[tokio::test]
async fn on_two_machines_the_queue_service_refuses_a_gateway_without_its_token() {
    let another = ["--admin-token", "of-another-house"];
    for (queue, gateway, token, status) in [
        (&WITH_TOKEN[..], &[][..], None, 401),
        (&WITH_TOKEN, &another, Some("of-another-house"), 403),
        (&[], &WITH_TOKEN, Some("of-the-house"), 401),
    ] {
        let Some(world) = apart(queue, gateway).await else { return };
        let browser = world.browser();
        let asked = browser.request(Method::GET, "/api/stats");
        let asked = token.into_iter().fold(asked, |asked, token| asked.bearer_auth(token));
        let problem = Answer::to(asked).await.problem(status);
        assert!(problem["detail"].as_str().unwrap().contains("--admin-token"), "{problem}");
        let posted = browser.comment(&question_json("echo", "Why?")).await;
        let path = format!("/api/comments/{}", posted["id"].as_str().unwrap());
        let own = browser.request(Method::DELETE, &path).bearer_auth(posted["editToken"].as_str().unwrap());
        assert_eq!(Answer::to(own).await.ok(200)["deleted"], true, "authors edit all the same");
    }
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
    browser.get("/api/admin/chart/answers").await;
}
