//! Operators: who is one, and what they are shown.

use repartee_proto::v1::{self, ChangeKind};
use reqwest::Method;

use rest_gateway::Server;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    fake::Fake,
    world::{Answer, World, live, message, serve_queue, settings, until},
};

/// Calls that operators make, and whether the gateway answers them by itself.
const CALLS: [(Method, &str, bool); 7] = [
    (Method::GET, "/api/stats", false),
    (Method::GET, "/api/queue/failed", false),
    (Method::POST, "/api/queue/retry", false),
    (Method::POST, "/api/queue/cancel", false),
    (Method::GET, "/api/admin/history", true),
    (Method::GET, "/api/admin/chart/depth", true),
    (Method::GET, "/metrics", true),
];

/// One call of an operator, with this Authorization header.
async fn ask(world: &World, call: &(Method, &str, bool), authorization: &str) -> Answer {
    let mut request = world.request(call.0.clone(), call.1).header("authorization", authorization);
    if call.0 == Method::POST {
        request = request.json(&serde_json::json!({ "messageId": "m1" }));
    }
    Answer::to(request).await
}

#[tokio::test]
async fn whatever_else_is_sent_calls_of_operators_need_a_token() {
    let world = World::start().await;
    for (method, path, _) in &CALLS {
        for (name, value) in [
            ("x-forwarded-for", "127.0.0.1"),
            ("forwarded", "for=127.0.0.1"),
            ("host", "localhost"),
            ("x-repartee-client", "127.0.0.1"),
            ("x-repartee-authorization", "Bearer of-an-operator"),
        ] {
            let client = reqwest::Client::new();
            let url = format!("http://{}{path}", world.authority());
            let request = client.request(method.clone(), url).header(name, value);
            let problem =
                Answer::to(request.header("content-type", "application/json").body("{}")).await.problem(401);
            assert!(problem["detail"].as_str().unwrap().contains("token"), "{path} {name}: {problem}");
        }
    }
    assert_eq!(world.queue.calls(), 0, "nothing was asked upstream");
    // The page itself holds nothing: it asks for the token.
    assert_eq!(world.get("/admin").await.status, 200);
}

#[tokio::test]
async fn what_the_gateway_answers_by_itself_is_for_operators_only() {
    let world = World::start().await;
    for call in CALLS.iter().filter(|(_, _, by_itself)| *by_itself) {
        assert_eq!(ask(&world, call, "Bearer of-an-operator").await.status, 200, "{}", call.1);
        for wrong in ["Bearer of-a-worker", "Bearer of-another-house"] {
            ask(&world, call, wrong).await.problem(403);
        }
        ask(&world, call, "Basic of-an-operator").await.problem(401);
    }
}

#[tokio::test]
async fn a_clients_token_is_passed_on_beside_the_gateways_own() {
    let world = World::start().await;
    world.queue.answer(v1::ListFailedResponse::default());
    ask(&world, &CALLS[1], "bearer  of-the-house").await.json(200);
    assert_eq!(world.queue.metadata("x-repartee-authorization"), "bearer  of-the-house");
    assert_eq!(world.queue.metadata("authorization"), "Bearer of-the-gateway");
    assert!(!world.queue.metadata("x-request-id").is_empty());
}

#[tokio::test]
async fn the_points_of_the_charts_are_asked_for_with_the_gateways_own_token() {
    let world = World::start_with(&["--history-interval", "0.01s"]).await;
    world.queue.answer(v1::GetStatsResponse::default());
    until("a point", &world, "/livez", |_| world.queue.calls() > 0).await;
    let _: v1::GetStatsRequest = world.queue.asked();
    assert_eq!(world.queue.metadata("authorization"), "Bearer of-the-gateway");
    assert_eq!(world.queue.metadata("x-repartee-client"), "");
}

#[tokio::test]
async fn metrics_have_an_address_of_their_own_if_they_are_given_one() {
    let queue = Fake::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let _queue = serve_queue(queue, listener);
    let server = Server::bind(settings(addr, &["--metrics-addr", "127.0.0.1:0"])).await.unwrap();
    let (metrics, stop) = (server.metrics_addr().unwrap(), CancellationToken::new());
    let serving = tokio::spawn(server.serve(stop.clone()));
    let shown = reqwest::get(format!("http://{metrics}/metrics")).await.unwrap().text().await.unwrap();
    assert!(shown.contains("repartee_bound_limit"), "{shown}");
    assert_eq!(reqwest::get(format!("http://{metrics}/api/stats")).await.unwrap().status(), 404);
    stop.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_history_has_a_point_for_each_interval() {
    let world = World::start_with(&["--history-interval", "0.01s"]).await;
    world.queue.answer(v1::GetStatsResponse { pending: 7, watchers: 1, ..Default::default() });
    let page = loop {
        let page = world.get("/api/admin/history").await.json(200);
        if page["points"].as_array().unwrap().iter().any(|point| point["posted"] == 0) {
            break page;
        }
    };
    let point = page["points"].as_array().unwrap().last().unwrap();
    assert_eq!((&point["pending"], &point["watchers"], &point["posts"]), (&7.into(), &1.into(), &0.into()));
    assert!(point["postP50Ms"].is_null());
    assert_eq!((&page["intervalMs"], &page["most"]), (&10.into(), &360.into()));
    let quarter = world.get("/api/admin/history?span=15m").await.json(200);
    assert_eq!((&quarter["intervalMs"], &quarter["most"]), (&10.into(), &90.into()));
    let day = "/api/admin/history?span=24h";
    let day =
        until("a coarse point", &world, day, |page| !page.json(200)["points"].as_array().unwrap().is_empty());
    assert_eq!(day.await.json(200)["intervalMs"], 240);
    assert_eq!(world.get("/api/admin/history?span=2h").await.pointers(), ["/span"]);
    let asked: v1::GetStatsRequest = world.queue.asked();
    assert!(asked.only_in_memory, "a point costs no storage read");
    assert_eq!(asked.page_size, Some(0), "nor a list of entities or sessions");
}

#[tokio::test]
async fn charts_are_pictures_in_two_themes() {
    let world = World::start().await;
    for name in ["throughput", "latency", "answers", "depth", "storage"] {
        for theme in ["light", "dark"] {
            let chart = world.get(&format!("/api/admin/chart/{name}?theme={theme}&width=300")).await;
            assert_eq!((chart.status, chart.header("content-type")), (200, "image/svg+xml"));
            assert!(chart.text().starts_with("<svg width=\"300\""), "{}", chart.text());
            assert_eq!(chart.header("cache-control"), "no-store");
        }
    }
    world.get("/api/admin/chart/weather").await.problem(404);
    let day = world.get("/api/admin/chart/depth?span=24h").await.text().to_owned();
    assert!(day.contains("-20 h") && !day.contains(" min"), "{day}");
    for (query, pointer) in [
        ("width=199", "/width"),
        ("width=2001", "/width"),
        ("theme=pink", "/theme"),
        ("span=1d", "/span"),
        ("x=1", "/x"),
    ] {
        assert_eq!(world.get(&format!("/api/admin/chart/depth?{query}")).await.pointers(), [pointer]);
    }
}

/// A message that a bot has completed, so many milliseconds after it was posted.
fn answered(id: &str, after: i64) -> v1::Message {
    let (timestamp, entity) = (2_000, "echo".to_owned());
    let bot_params =
        Some(v1::BotParams { entity, completed_at: Some(timestamp + after), ..v1::BotParams::default() });
    v1::Message { timestamp, bot_params, ..message(id) }
}

/// The answers of all points, and the slowest median among them.
fn answers(page: &Answer) -> (u64, f64) {
    let page = page.json(200);
    let points = page["points"].as_array().unwrap();
    let slowest = points.iter().filter_map(|point| point["answerP50Ms"].as_f64()).fold(0.0, f64::max);
    (points.iter().map(|point| point["answers"].as_u64().unwrap()).sum(), slowest)
}

#[tokio::test]
async fn answers_are_counted_once_though_the_stream_breaks_in_the_middle_of_a_commit() {
    let world = live(&["--history-interval", "0.5s"]).await;
    let log = world.queue.log();
    log.publish(ChangeKind::Completed, answered("a", 7_000));
    let history = "/api/admin/history";
    let page = until("the first answer", &world, history, |page| answers(page).0 == 1).await;
    assert!((7_000.0..7_100.0).contains(&answers(&page).1), "{}", page.text());
    log.publish_part(ChangeKind::Posted, message("b"), false);
    let part = log.publish_part(ChangeKind::Completed, answered("c", 1), false);
    until("the first part of the commit", &world, "/livez", |_| log.sent() == part).await;
    log.go_away();
    log.come_back();
    log.publish(ChangeKind::Completed, answered("d", 1));
    until("both of the commit", &world, history, |page| answers(page).0 >= 3).await;
    log.publish(ChangeKind::Completed, answered("e", 90_000));
    let page = until("the last one", &world, history, |page| answers(page).1 >= 90_000.0).await;
    assert_eq!(answers(&page).0, 4, "{}", page.text());
}

#[tokio::test]
async fn answers_from_before_a_gateway_that_lost_its_place_are_not_counted() {
    let world = live(&["--history-interval", "0.5s"]).await;
    let log = world.queue.log();
    log.publish(ChangeKind::Completed, answered("a", 7_000));
    let history = "/api/admin/history";
    until("the first answer", &world, history, |page| answers(page).0 == 1).await;
    log.go_away();
    log.replace("e2", vec![answered("b", 1), answered("c", 1)]);
    log.publish(ChangeKind::Completed, answered("b", 1));
    log.come_back();
    until("another life of the tail", &world, "/api/comments?limit=1", |page| {
        page.status == 200 && page.header("x-next-cursor").starts_with("e2.")
    })
    .await;
    log.publish(ChangeKind::Completed, answered("c", 90_000));
    let page = until("the last one", &world, history, |page| answers(page).1 >= 90_000.0).await;
    assert_eq!(answers(&page).0, 2, "{}", page.text());
}
