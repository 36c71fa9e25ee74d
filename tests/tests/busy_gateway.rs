//! A gateway that is asked for more than it may do at once: the rest is refused, and probes and polls go on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::{Browser, Metrics, Service, World, within_deadline};
use futures_util::FutureExt as _;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tonic::{
    body::Body,
    client::GrpcService as _,
    codegen::http::{Request, StatusCode},
    transport::{Channel, Endpoint},
};

/// A gateway in front of a queue-service that takes connections and never answers.
async fn stuck(settings: &[&str]) -> (Service, TcpListener) {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    (Service::gateway(&url, &[&["--request-timeout", "60s"], settings].concat()).await, silent)
}

/// Waits until so much is held of a bound.
async fn until_held(operator: &Browser, bound: &str, count: f64) {
    let held = async { while Metrics::of(operator).await.bound(bound).0 != count {} };
    within_deadline(bound, held).await;
}

/// A request that the queue-service behind the gateway does not answer.
fn hanging(gateway: &Service) -> JoinHandle<()> {
    let browser = gateway.browser();
    tokio::spawn(async move { drop(browser.get("/api/stats").await) })
}

#[tokio::test]
async fn too_many_calls_are_429_and_a_call_keeps_its_place_until_it_ends_though_its_client_gave_up() {
    let (gateway, _silent) = stuck(&["--max-upstream-calls", "2"]).await;
    let (browser, operator) = (gateway.browser(), gateway.browser());
    let (first, _second) = (hanging(&gateway), hanging(&gateway));
    until_held(&operator, "upstream_calls", 2.0).await;
    let refused = browser.get("/api/stats").await;
    assert_eq!(refused.problem(429)["reason"], "TOO_MANY_CALLS");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    let metrics = Metrics::of(&operator).await;
    assert_eq!((metrics.bound("upstream_calls"), metrics.refused("upstream_calls")), ((2.0, 2.0), 1.0));
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(Metrics::of(&operator).await.bound("upstream_calls").0, 2.0, "it goes on upstream");
    // Until the gateway finds out that nobody is there.
    until_held(&operator, "upstream_calls", 0.0).await;
}

#[tokio::test]
async fn a_body_on_its_way_in_takes_no_place_of_a_call() {
    let (gateway, _silent) = stuck(&["--max-upstream-calls", "1"]).await;
    let mut connection = TcpStream::connect(gateway.http_addr()).await.unwrap();
    let head = "POST /api/comments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 1000\r\n\r\n{";
    connection.write_all(head.as_bytes()).await.unwrap();
    let operator = gateway.browser();
    until_held(&operator, "incoming_bytes", 1.0).await;
    assert_eq!(Metrics::of(&operator).await.bound("upstream_calls").0, 0.0);
    connection.write_all(&[b' '; 999]).await.unwrap();
    until_held(&operator, "incoming_bytes", 0.0).await;
}

#[tokio::test]
async fn too_many_requests_are_429_and_probes_are_answered() {
    let (gateway, _silent) = stuck(&["--max-requests", "1"]).await;
    let operator = gateway.browser();
    let _first = hanging(&gateway);
    until_held(&operator, "requests", 1.0).await;
    let refused = operator.get("/api/comments").await;
    assert_eq!(refused.problem(429)["reason"], "TOO_MANY_REQUESTS");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    // Files are read, hashed and compressed for whoever asks: they are requests like others.
    let others = ["/", "/docs/index.html", "/openapi.json", "/repartee.js", "/nothing-here"];
    for path in others {
        assert_eq!(operator.get(path).await.problem(429)["reason"], "TOO_MANY_REQUESTS", "{path}");
    }
    assert_eq!(operator.get("/livez").await.status, 200);
    operator.get("/readyz").await.problem(503);
    assert_eq!(Metrics::of(&operator).await.refused("requests"), 1.0 + others.len() as f64);
}

/// A request over HTTP/2: any client of that protocol will do.
async fn over_http2(mut channel: Channel, url: String) -> StatusCode {
    let request = Request::get(url).body(Body::empty()).unwrap();
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    channel.call(request).await.unwrap().status()
}

#[tokio::test]
async fn one_connection_carries_so_many_requests_over_http2_and_the_next_waits() {
    let (gateway, _silent) = stuck(&["--max-requests-per-connection", "1"]).await;
    let url = format!("http://{}", gateway.http_addr());
    let channel = Endpoint::from_shared(url.clone()).unwrap().connect().await.unwrap();
    let first =
        tokio::spawn(over_http2(channel.clone(), format!("{url}/api/comments/{}", uuid::Uuid::new_v4())));
    until_held(&gateway.browser(), "requests", 1.0).await;
    let mut second = Box::pin(over_http2(channel, format!("{url}/livez")));
    assert!((&mut second).now_or_never().is_none());
    assert_eq!(gateway.browser().get("/livez").await.status, 200, "other connections are served");
    assert!((&mut second).now_or_never().is_none(), "it waits for a place");
    first.abort();
    assert_eq!(within_deadline("a place for the second", second).await, StatusCode::OK);
}

#[tokio::test]
async fn polls_of_up_to_date_browsers_need_no_room_for_calls() {
    let world = World::with(&[], &["--max-upstream-calls", "1"]).await;
    let browser = world.browser();
    browser.comment(&e2e::question_json("echo", "Well?")).await;
    let waiting = world.browser();
    let _waiting = tokio::spawn(async move {
        let wait = serde_json::json!({"workerId": "worker 1", "entities": ["nobody"], "wait": 25});
        drop(waiting.post("/api/queue/claim-next", &wait).await);
    });
    until_held(&browser, "upstream_calls", 1.0).await;
    browser.get("/api/stats").await.problem(429);
    browser.get(&format!("/api/comments?domain={}&limit=1", e2e::DOMAIN)).await.ok(200);
}
