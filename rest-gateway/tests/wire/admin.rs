//! Operators: who is one, and what they are shown.

use repartee_proto::v1::{self, ChangeKind};
use reqwest::Method;

use crate::world::{Answer, World, live, message, until};

const TOKEN: [&str; 2] = ["--admin-token", "of-the-house"];
const CALLS: [(Method, &str); 6] = [
    (Method::GET, "/api/stats"),
    (Method::GET, "/api/queue/failed"),
    (Method::POST, "/api/queue/retry"),
    (Method::POST, "/api/queue/cancel"),
    (Method::GET, "/api/admin/history"),
    (Method::GET, "/api/admin/chart/depth"),
];

/// One call of an operator, with a header.
async fn ask(world: &World, call: &(Method, &str), header: Option<(&str, &str)>) -> Answer {
    let mut request = world.request(call.0.clone(), call.1);
    if call.0 == Method::POST {
        request = request.json(&serde_json::json!({ "messageId": "m1" }));
    }
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    Answer::to(request).await
}

#[tokio::test]
async fn without_a_token_operators_are_callers_on_this_machine() {
    let world = World::start().await;
    world.queue.answer(v1::GetStatsResponse::default());
    world.queue.answer(v1::ListFailedResponse::default());
    assert_eq!(world.get("/admin").await.status, 200);
    for call in &CALLS {
        let answer = ask(&world, call, None).await;
        assert_ne!(answer.status, 401, "{}: {}", call.1, answer.text());
        for elsewhere in [
            ("x-forwarded-for", "203.0.113.9"),
            ("forwarded", "for=203.0.113.9"),
            ("origin", "http://evil.example"),
            ("host", "evil.example"),
        ] {
            let problem = ask(&world, call, Some(elsewhere)).await.problem(401);
            assert!(problem["detail"].as_str().unwrap().contains("--admin-token"), "{problem}");
        }
    }
    let hostile = world.request(Method::GET, "/admin").header("host", "evil.example");
    Answer::to(hostile).await.problem(401);
}

#[tokio::test]
async fn with_a_token_operators_are_those_who_have_it_wherever_they_are() {
    let world = World::start_with(&TOKEN).await;
    world.queue.answer(v1::GetStatsResponse::default());
    world.queue.answer(v1::ListFailedResponse::default());
    for call in &CALLS {
        ask(&world, call, None).await.problem(401);
        ask(&world, call, Some(("authorization", "Bearer of-the-houses"))).await.problem(403);
        let request = world.request(call.0.clone(), call.1).header("x-forwarded-for", "203.0.113.9");
        let request = if call.0 == Method::POST {
            request.json(&serde_json::json!({ "messageId": "m1" }))
        } else {
            request
        };
        let answer = Answer::to(request.header("authorization", "Bearer of-the-house")).await;
        assert!(![401, 403].contains(&answer.status), "{}: {}", call.1, answer.text());
    }
    // The page itself holds nothing: it asks for the token.
    let page = world.request(Method::GET, "/admin").header("x-forwarded-for", "203.0.113.9");
    assert_eq!(Answer::to(page).await.status, 200);
}

#[tokio::test]
async fn the_token_of_an_operator_is_passed_on_and_their_peers_are_not() {
    let world = World::start_with(&TOKEN).await;
    world.queue.answer(v1::ListFailedResponse::default());
    let call = (Method::GET, "/api/queue/failed");
    ask(&world, &call, Some(("authorization", "bearer  of-the-house"))).await.json(200);
    assert_eq!(world.queue.metadata("authorization"), "Bearer of-the-house");
    assert_eq!(world.queue.metadata("x-forwarded-for"), "");
    assert!(!world.queue.metadata("x-request-id").is_empty());
}

#[tokio::test]
async fn the_points_of_the_charts_are_asked_for_with_the_token() {
    let world = World::start_with(&[&TOKEN[..], &["--history-interval", "0.01"]].concat()).await;
    world.queue.answer(v1::GetStatsResponse::default());
    until("a point", &world, "/livez", |_| world.queue.calls() > 0).await;
    let _: v1::GetStatsRequest = world.queue.asked();
    assert_eq!(world.queue.metadata("authorization"), "Bearer of-the-house");
}

#[tokio::test]
async fn the_history_has_a_point_for_each_interval() {
    let world = World::start_with(&["--history-interval", "0.01"]).await;
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
    assert_eq!(page["intervalMs"], 10);
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
    for (query, pointer) in
        [("width=199", "/width"), ("width=2001", "/width"), ("theme=pink", "/theme"), ("x=1", "/x")]
    {
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
    let world = live(&["--history-interval", "0.5"]).await;
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
    let world = live(&["--history-interval", "0.5"]).await;
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
