//! Gateway and queue-service on two machines: neither is local to the other. Here they are on one, and speak over its outer
//! address; where there is none, the tests are skipped and say why.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests, which clippy does not see in a program with a main of its own"
)]

use std::{
    net::{IpAddr, UdpSocket},
    pin::Pin,
};

use e2e::{Answer, Service, World, question_json, within_deadline};
use libtest_mimic::{Arguments, Completion, Trial};
use reqwest::Method;
use serde_json::{Value, json};

/// Somebody elsewhere, as a proxy on this machine tells it.
const ELSEWHERE: &str = "203.0.113.7";
/// The settings of a service with the token of operators.
const WITH_TOKEN: [&str; 2] = ["--admin-token", "of-the-house"];

type Test = fn(IpAddr) -> Pin<Box<dyn Future<Output = ()>>>;

/// The tests by their names, which are those of their functions.
macro_rules! tests {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), (|address| Box::pin($name(address))) as Test)),*] };
}

fn main() {
    let tests = tests![
        an_operator_with_the_token_may_do_everything_and_the_charts_are_filled,
        the_queue_service_refuses_a_gateway_without_its_token,
    ];
    let trial = |(name, test): (&str, Test)| Trial::ignorable_test(name, move || Ok(run(test)));
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().map(trial).collect()).exit();
}

fn run(test: Test) -> Completion {
    let Some(address) = own_address() else {
        return Completion::ignored_with("this machine has no address but loopback");
    };
    tokio::runtime::Runtime::new().expect("the system gives threads").block_on(test(address));
    Completion::Completed
}

/// An address of this machine that is not loopback; none where it has no network. Nothing is sent to find it out.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect((ELSEWHERE, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback())
}

/// A queue-service, and a gateway that is not local to it.
async fn apart(address: IpAddr, queue: &[&str], gateway: &[&str]) -> World {
    let queue = Service::queue_service_at(&format!("{address}:0"), queue).await;
    let gateway = [gateway, &["--history-interval", "0.1"]].concat();
    let gateway = Service::gateway(&queue.grpc_url(), &gateway).await;
    World { gateway, queue }
}

async fn an_operator_with_the_token_may_do_everything_and_the_charts_are_filled(address: IpAddr) {
    let world = apart(address, &WITH_TOKEN, &WITH_TOKEN).await;
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

async fn the_queue_service_refuses_a_gateway_without_its_token(address: IpAddr) {
    let another = ["--admin-token", "of-another-house"];
    for (queue, gateway, token, status) in [
        (&WITH_TOKEN[..], &[][..], None, 401),
        (&WITH_TOKEN, &another, Some("of-another-house"), 403),
        (&[], &WITH_TOKEN, Some("of-the-house"), 401),
    ] {
        let world = apart(address, queue, gateway).await;
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
