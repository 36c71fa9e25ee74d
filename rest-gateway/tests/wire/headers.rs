//! What goes with requests and answers: ids, the chain of peers, policies.

use reqwest::Method;

use crate::world::{Answer, World};

#[tokio::test]
async fn a_sane_request_id_is_kept_and_passed_on() {
    let world = World::start().await;
    let request = world.request(Method::GET, "/api/stats").header("x-request-id", "trace/7:a");
    assert_eq!(Answer::to(request).await.header("x-request-id"), "trace/7:a");
    assert_eq!(world.queue.metadata("x-request-id"), "trace/7:a");
}

#[tokio::test]
async fn any_other_request_id_is_replaced() {
    let world = World::start().await;
    for given in ["", "with space", "ä", &"x".repeat(129)] {
        let request = world.request(Method::GET, "/api/stats").header("x-request-id", given);
        let id = Answer::to(request).await.header("x-request-id").to_owned();
        assert_eq!(id.len(), 36, "{given:?} became {id}");
        assert_eq!(world.queue.metadata("x-request-id"), id);
    }
}

#[tokio::test]
async fn the_queue_service_learns_who_asks_from_the_gateway_and_not_from_the_client() {
    let world = World::start().await;
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.9, 10.0.0.1"),
        ("x-repartee-client", "203.0.113.9"),
        ("x-repartee-visitor", "somebody-else"),
        ("forwarded", "for=203.0.113.9"),
    ] {
        let request = world.request(Method::GET, "/api/queue/pending").header(name, value);
        Answer::to(request.header("authorization", "Bearer t")).await;
        assert_eq!(world.queue.metadata("x-repartee-client"), "127.0.0.1", "{name}");
        assert_ne!(world.queue.metadata("x-repartee-visitor"), "somebody-else");
        assert_eq!(world.queue.metadata("x-repartee-authorization"), "Bearer t");
        assert_eq!(world.queue.metadata("authorization"), "Bearer of-the-gateway");
        assert_eq!(world.queue.metadata("x-forwarded-for"), "");
    }
}

/// The longest head that the gateway reads has more room than any call upstream.
#[tokio::test]
async fn of_forwarding_headers_only_an_address_goes_upstream_however_long_they_are() {
    let world = World::start_with(&["--trusted-proxy", "127.0.0.1"]).await;
    let ask = |name: &str, value: &[u8]| {
        let value = reqwest::header::HeaderValue::from_bytes(value).unwrap();
        Answer::to(world.request(Method::GET, "/api/queue/pending").header(name, value))
    };
    ask("x-forwarded-for", &[0xff; 60_000]).await;
    assert_eq!(world.queue.metadata("x-repartee-client"), "127.0.0.1");
    ask("x-forwarded-for", ["2001:db8::1"; 4_000].join(", ").as_bytes()).await;
    assert_eq!(world.queue.metadata("x-repartee-client"), "2001:db8::1");
    let refused = ask("authorization", &[b'x'; 4_097]).await.problem(431);
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains("Authorization") && detail.contains("4096") && detail.contains("4097"),
        "{detail}"
    );
}

#[tokio::test]
async fn the_page_runs_only_what_this_server_sends() {
    let world = World::start().await;
    let page = world.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert_eq!(
        policy,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let request = world.request(Method::GET, "/").header("if-none-match", page.header("etag"));
    assert_eq!(Answer::to(request).await.status, 304);
}

#[tokio::test]
async fn every_file_that_the_page_names_is_served() {
    let world = World::start().await;
    let script = world.get("/app.js").await;
    let page = world.get("/").await;
    let named = [page.text(), script.text()].join("\n");
    let names = named.split(['"', '\'']).map(|name| name.trim_start_matches("./"));
    let files: Vec<&str> = names
        .filter(|name| !name.contains([' ', '/']) && (name.ends_with(".js") || name.ends_with(".css")))
        .collect();
    assert!(files.contains(&"app.js") && files.contains(&"style.css"), "{files:?}");
    for file in files {
        let answer = world.get(&format!("/{file}")).await;
        let expected = if file.ends_with(".js") { "text/javascript" } else { "text/css" };
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.header("content-type").starts_with(expected), "{file}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_path() {
    let world = World::start().await;
    world.get("/api/comments/some-id").await;
    world.get("/no/such/path").await;
    let metrics = world.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    let counted = r#"repartee_http_requests_total{method="GET",route="/api/comments/{id}",status="501"}"#;
    assert!(metrics.text().contains(counted), "{}", metrics.text());
    assert!(metrics.text().contains(r#"route="none",status="404""#), "{}", metrics.text());
    assert!(metrics.text().contains("repartee_http_request_seconds_bucket{"), "{}", metrics.text());
    assert!(!metrics.text().contains("some-id"));
}

#[tokio::test]
async fn every_answer_of_every_route_says_what_browsers_may_do_with_it() {
    let world = World::start().await;
    let document = world.get("/openapi.json").await.json(200);
    let mut asked = 0;
    let calls = document["paths"].as_object().unwrap().keys().map(String::as_str);
    let pages = ["/", "/admin", "/docs", "/docs/{file}"];
    for path in calls.filter(|path| !path.ends_with("/stream")).chain(pages) {
        let path = path.replace("{id}", "m1").replace("{file}", "index.html").replace("{name}", "depth");
        for method in
            [Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS]
        {
            // `Answer::to` looks at the headers.
            Answer::to(world.request(method, &path)).await;
            asked += 1;
        }
    }
    assert!(asked > 100, "{asked}");
    for path in [
        "/no/such/path",
        "/docs/",
        "/docs/no-such-file",
        "/admin/",
        "/api/comments?limit=0",
        "/repartee.d.ts",
    ] {
        Answer::to(world.request(Method::GET, path)).await;
    }
    Answer::to(world.request(Method::POST, "/api/comments").body("x".repeat(100_000))).await;
}

#[tokio::test]
async fn only_what_other_sites_embed_may_be_loaded_by_them() {
    let world = World::start().await;
    for (path, from) in [
        ("/embed.js", "cross-origin"),
        ("/repartee.js", "cross-origin"),
        ("/", "same-origin"),
        ("/admin.js", "same-origin"),
        ("/livez", "same-origin"),
    ] {
        assert_eq!(world.get(path).await.header("cross-origin-resource-policy"), from, "{path}");
    }
}
