//! What stands around the calls: probes, reflection, metrics, caching, CORS, the description of the API, and the page.

use std::collections::HashSet;

use e2e::{Answer, Browser, Service, World, question_json};
use reqwest::Method;
use serde_json::json;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

async fn channel(queue: &Service) -> Channel {
    let endpoint = Endpoint::from_shared(queue.grpc_url()).expect("an address makes a URL");
    endpoint.connect().await.expect("a service that is ready listens")
}

#[tokio::test]
async fn a_service_that_is_ready_is_serving() {
    let queue = Service::queue_service(&[]).await;
    let mut health = HealthClient::new(channel(&queue).await);
    for service in ["", "repartee.v1.QueueService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
}

#[tokio::test]
async fn reflection_lists_and_describes_the_service() {
    let queue = Service::queue_service(&[]).await;
    let mut reflection = ServerReflectionClient::new(channel(&queue).await);
    let ask = |message: MessageRequest| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message),
    };
    let requests = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("repartee.v1.QueueService".to_owned())),
    ];
    let stream = futures_util::stream::iter(requests);
    let mut answers = reflection.server_reflection_info(stream).await.unwrap().into_inner();
    let list = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = list else {
        panic!("a list of services, not {list:?}")
    };
    let names: HashSet<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains("repartee.v1.QueueService"), "{names:?}");
    let file = answers.message().await.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(file, MessageResponse::FileDescriptorResponse(_)), "{file:?}");
}

#[tokio::test]
async fn both_services_count_what_they_do() {
    let world = World::start().await;
    world.browser().comment(&question_json("echo", "Counted?")).await;
    world.browser().get("/api/nothing").await.problem(404);
    let queue = Browser::new(&world.queue.grpc_url());
    for service in [&queue, &world.browser()] {
        let metrics = service.get("/metrics").await;
        assert_eq!(metrics.status, 200);
        assert!(metrics.header("content-type").starts_with("text/plain"), "{:?}", metrics.headers);
        assert!(metrics.text().lines().any(|line| line.starts_with("# TYPE")), "{}", metrics.text());
        assert!(!metrics.text().contains("Counted?"));
    }
}

#[tokio::test]
async fn probes_and_stats_answer() {
    let world = World::start().await;
    let browser = world.browser();
    for path in ["/livez", "/readyz"] {
        assert_eq!(browser.get(path).await.status, 200, "{path}");
    }
    browser.comment(&question_json("echo", "Counted?")).await;
    let stats = browser.get("/api/stats").await;
    let body = stats.ok(200);
    assert_eq!(stats.header("cache-control"), "no-store");
    assert_eq!(
        (&body["pending"], &body["processing"], &body["failed"]),
        (&json!(1), &json!(0), &json!(0)),
        "{body}"
    );
    assert_eq!(
        (&body["entities"][0]["entity"], &body["entities"][0]["pending"]),
        (&json!("echo"), &json!(1)),
        "{body}"
    );
}

#[tokio::test]
async fn an_unchanged_page_is_304_until_something_is_posted() {
    let world = World::start().await;
    let browser = world.browser();
    browser.comment(&question_json("echo", "One?")).await;
    let page = browser.get("/api/comments").await;
    page.ok(200);
    assert_eq!(page.header("cache-control"), "public, max-age=0, s-maxage=1");
    assert!(!page.header("x-next-cursor").is_empty());
    assert_eq!((page.header("x-more"), page.header("x-storage-reads")), ("false", "0"));
    let tag = page.header("etag").to_owned();
    let ask = async |tag: &str| {
        Answer::to(browser.request(Method::GET, "/api/comments").header("if-none-match", tag)).await
    };
    for matching in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let unchanged = ask(&matching).await;
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{matching}");
        assert_eq!(unchanged.header("etag"), tag);
    }
    ask("\"other\"").await.ok(200);
    browser.comment(&question_json("echo", "Two?")).await;
    let changed = ask(&tag).await;
    changed.ok(200);
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn an_allowed_origin_may_read_and_another_may_not() {
    let world = World::with(&[], &["--cors-origin", "https://site.example"]).await;
    let browser = world.browser();
    let ask = async |origin: &str| {
        Answer::to(browser.request(Method::GET, "/api/comments").header("origin", origin)).await
    };
    let allowed = ask("https://site.example").await;
    assert_eq!(allowed.header("access-control-allow-origin"), "https://site.example");
    let exposed = allowed.header("access-control-expose-headers").to_lowercase();
    for header in [
        "etag",
        "location",
        "retry-after",
        "x-next-cursor",
        "x-more",
        "x-storage-reads",
        "idempotent-replayed",
        "x-request-id",
    ] {
        assert!(exposed.contains(header), "{header} in {exposed}");
    }
    assert_eq!(ask("https://evil.example").await.header("access-control-allow-origin"), "");

    for method in ["POST", "PATCH", "DELETE"] {
        let preflight = browser
            .request(Method::OPTIONS, "/api/comments/0b5ba6a4-6c5e-4a6c-9d1f-4f1f5a7f1a11")
            .header("origin", "https://site.example")
            .header("access-control-request-method", method)
            .header(
                "access-control-request-headers",
                "authorization,content-type,idempotency-key,if-none-match",
            );
        let answer = Answer::to(preflight).await;
        assert!(matches!(answer.status, 200 | 204), "{answer:?}");
        assert!(answer.header("access-control-allow-methods").contains(method), "{answer:?}");
        let headers = answer.header("access-control-allow-headers").to_lowercase();
        for header in ["authorization", "content-type", "idempotency-key", "if-none-match"] {
            assert!(headers.contains(header), "{header} in {headers}");
        }
    }
}

#[tokio::test]
async fn the_description_of_the_api_names_every_call() {
    let world = World::start().await;
    let document = world.browser().get("/openapi.json").await.ok(200);
    assert!(
        document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")),
        "{}",
        document["openapi"]
    );
    for (path, methods) in [
        ("/api/comments", &["get", "post"][..]),
        ("/api/comments/changes", &["get"]),
        ("/api/comments/stream", &["get"]),
        ("/api/comments/{id}", &["get", "patch", "delete"]),
        ("/api/rooms", &["get"]),
        ("/api/conversation", &["get"]),
        ("/api/queue/pending", &["get"]),
        ("/api/queue/claim", &["post"]),
        ("/api/queue/claim-next", &["post"]),
        ("/api/queue/renew", &["post"]),
        ("/api/queue/release", &["post"]),
        ("/api/queue/fail", &["post"]),
        ("/api/queue/complete", &["post"]),
        ("/api/queue/failed", &["get"]),
        ("/api/queue/retry", &["post"]),
        ("/api/queue/cancel", &["post"]),
        ("/api/stats", &["get"]),
        ("/api/admin/history", &["get"]),
        ("/api/admin/chart/{name}", &["get"]),
    ] {
        for method in methods {
            assert!(document["paths"][path][method]["responses"].is_object(), "{method} {path}");
        }
    }
}

/// What a page loads: the values of its `src` and `href` attributes.
fn assets(html: &str) -> Vec<String> {
    let values = |attribute: &str| {
        let parts: Vec<&str> = html.split(attribute).skip(1).collect();
        parts
            .into_iter()
            .map(|rest| rest.split('"').next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    [values("src=\""), values("href=\"")].concat()
}

/// Where a link on the page at `path` leads, on the same host.
fn path_from(path: &str, link: &str) -> String {
    let page = reqwest::Url::parse(&format!("http://page.example{path}")).expect("a path makes a URL");
    page.join(link).expect("a link has a path").path().to_owned()
}

/// Reads a page and all that it loads; everything has to come from the host of the page.
async fn assert_loads_only_own_assets(browser: &Browser, path: &str) -> Answer {
    let page = browser.get(path).await;
    assert_eq!(page.status, 200, "{path}");
    assert!(page.header("content-type").starts_with("text/html"), "{path}");
    assert!(page.header("content-security-policy").contains("default-src"), "{path}: {:?}", page.headers);
    let loaded: Vec<_> =
        assets(page.text()).into_iter().filter(|asset| !asset.starts_with(['#', '?'])).collect();
    assert!(!loaded.is_empty(), "{path} loads its scripts");
    for asset in loaded.into_iter().filter(|asset| !asset.starts_with("data:")) {
        assert!(!asset.contains("//"), "{path} loads {asset}");
        assert_eq!(browser.get(&path_from(path, &asset)).await.status, 200, "{path} loads {asset}");
    }
    page
}

#[tokio::test]
async fn page_and_docs_load_nothing_from_other_hosts() {
    let world = World::start().await;
    let browser = world.browser();
    let page = assert_loads_only_own_assets(&browser, "/").await;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let docs = browser.get("/docs").await;
    let path = path_from("/docs", docs.header("location"));
    assert_loads_only_own_assets(&browser, &path).await;
}
