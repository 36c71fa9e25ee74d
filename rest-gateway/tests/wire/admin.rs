//! Operators: who is one, and what they are shown.

use repartee_proto::v1;
use reqwest::Method;

use crate::world::{Answer, World, until};

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
}

#[tokio::test]
async fn charts_are_pictures_in_two_themes() {
    let world = World::start().await;
    for name in ["throughput", "latency", "depth", "storage"] {
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
