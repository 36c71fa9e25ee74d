//! The OpenAPI document and its reader.

use std::collections::HashSet;

use repartee_process::names;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::world::{Answer, World};

/// Every call that this gateway serves, without the pages.
const CALLS: [(&str, &str); 40] = [
    ("get", "/api/comments"),
    ("post", "/api/comments"),
    ("get", "/api/comments/changes"),
    ("get", "/api/comments/stream"),
    ("get", "/api/comments/{id}"),
    ("patch", "/api/comments/{id}"),
    ("delete", "/api/comments/{id}"),
    ("get", "/api/rooms"),
    ("get", "/api/conversation"),
    ("get", "/api/queue/pending"),
    ("post", "/api/queue/claim"),
    ("post", "/api/queue/claim-next"),
    ("post", "/api/queue/renew"),
    ("post", "/api/queue/release"),
    ("post", "/api/queue/complete"),
    ("post", "/api/queue/fail"),
    ("get", "/api/queue/failed"),
    ("post", "/api/queue/retry"),
    ("post", "/api/queue/cancel"),
    ("post", "/api/queue/retry-messages"),
    ("post", "/api/queue/cancel-messages"),
    ("post", "/api/queue/cancel-pending"),
    ("get", "/api/admin/work"),
    ("get", "/api/admin/work/{id}"),
    ("post", "/api/admin/hide"),
    ("post", "/api/admin/restore"),
    ("get", "/api/admin/hidden"),
    ("post", "/api/admin/block"),
    ("post", "/api/admin/unblock"),
    ("get", "/api/admin/blocks"),
    ("get", "/api/admin/acts"),
    ("post", "/api/queue/pause"),
    ("post", "/api/queue/resume"),
    ("get", "/api/stats"),
    ("get", "/api/admin/history"),
    ("get", "/api/admin/chart/{name}"),
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/metrics"),
    ("get", "/openapi.json"),
];

fn operations(document: &Value) -> Vec<(String, String, Map<String, Value>)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((method.clone(), path.clone(), operation.as_object().unwrap().clone()));
        }
    }
    found
}

#[tokio::test]
async fn the_document_says_where_its_calls_are() {
    let servers = async |world: &World, prefix: &str| {
        let request = world.request(Method::GET, "/openapi.json").header("x-forwarded-prefix", prefix);
        Answer::to(request).await.json(200)["servers"].clone()
    };
    let beside = serde_json::json!([{"url": "."}]);
    let world = World::start().await;
    assert_eq!(servers(&world, "/talk").await, beside, "a client is not believed");
    let world = World::start_with(&["--trusted-proxy", "127.0.0.1"]).await;
    assert_eq!(servers(&world, "/talk/").await, serde_json::json!([{"url": "/talk"}]));
    assert_eq!(servers(&world, "//evil.example").await, beside);
    assert_eq!(servers(&world, "").await, beside);
}

#[tokio::test]
async fn the_document_names_every_call_and_no_other() {
    let world = World::start().await;
    let document = world.get("/openapi.json").await.json(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut documented: Vec<(String, String)> =
        operations(&document).into_iter().map(|(method, path, _)| (method, path)).collect();
    let mut expected: Vec<(String, String)> =
        CALLS.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    documented.sort();
    expected.sort();
    assert_eq!(documented, expected);
}

#[tokio::test]
async fn every_documented_call_is_served_and_every_served_method_is_documented() {
    let world = World::start().await;
    let document = world.get("/openapi.json").await.json(200);
    for (path, item) in document["paths"].as_object().unwrap() {
        let concrete = path.replace("{id}", "m1").replace("{file}", "index.html").replace("{name}", "depth");
        let answer = Answer::to(world.request(Method::TRACE, &concrete)).await;
        answer.problem(405);
        let mut allowed: Vec<String> = answer.header("allow").split(',').map(str::to_lowercase).collect();
        allowed.retain(|method| method != "head");
        allowed.sort();
        let mut documented: Vec<String> = item.as_object().unwrap().keys().cloned().collect();
        documented.sort();
        assert_eq!(allowed, documented, "{path}");
    }
}

#[tokio::test]
async fn every_call_says_what_it_does_and_how_it_fails() {
    let world = World::start().await;
    let document = world.get("/openapi.json").await.json(200);
    let mut ids = HashSet::new();
    for (method, path, operation) in operations(&document) {
        let named = format!("{method} {path}");
        let id = operation["operationId"].as_str().unwrap().to_owned();
        let reads_well = id.starts_with(|c: char| c.is_ascii_lowercase())
            && id.contains(|c: char| c.is_ascii_uppercase())
            && id.chars().all(|c| c.is_ascii_alphanumeric());
        assert!(reads_well, "{named} is called {id}: a verb and what it is done to, as in listComments");
        assert!(ids.insert(id), "the id of {named} comes twice");
        assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{named} has no summary");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(!response["description"].as_str().unwrap().is_empty(), "{named} {status}");
            assert!(response["headers"]["X-Request-Id"].is_object(), "{named} {status}");
            let is_error = status.starts_with(['4', '5']);
            let shape = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(shape == "#/components/schemas/Problem", is_error, "{named} {status}");
            assert_eq!(response["headers"]["Retry-After"].is_object(), matches!(&**status, "429" | "503"));
        }
    }
}

#[tokio::test]
async fn every_schema_that_is_named_is_there() {
    let world = World::start().await;
    let answer = world.get("/openapi.json").await;
    let document = answer.json(200);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let named: Vec<&str> = answer
        .text()
        .split("\"#/components/schemas/")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(schemas.contains_key(name), "{name} is missing");
    }
    for (name, schema) in schemas {
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            let described = |schema: &Value| schema["description"].is_string() || schema["$ref"].is_string();
            let described =
                described(schema) || schema["oneOf"].as_array().is_some_and(|any| any.iter().any(described));
            assert!(described, "{name}.{field} is not described");
        }
    }
    let required = document["components"]["schemas"]["NewComment"]["required"].as_array().unwrap();
    assert_eq!(required, &["domain", "text", "username"].map(Value::from));
}

#[tokio::test]
async fn every_name_in_a_request_is_described_with_what_is_refused() {
    let world = World::start().await;
    let document = world.get("/openapi.json").await.json(200);
    let limits = |field: &str| match field {
        "domain" => Some((json!(1), 255, names::PATTERN)),
        "color" | "humanColor" | "aiColor" => Some((Value::Null, 9, names::COLOR_PATTERN)),
        "username" | "humanUsername" | "aiUsername" | "entity" | "sessionId" | "workerId" => {
            Some((json!(1), 64, names::PATTERN))
        }
        _ => None,
    };
    let is_limited = |schema: &Value, (least, most, pattern): (Value, u32, &str), told: &str| {
        let stated = (&schema["minLength"], &schema["maxLength"], &schema["pattern"]);
        assert_eq!(stated, (&least, &json!(most), &json!(pattern)), "{told}");
    };
    let mut seen = HashSet::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let is_request = schema["additionalProperties"] == json!(false);
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(limits) = limits(field).filter(|_| is_request) {
                is_limited(schema, limits, &format!("{name}.{field}"));
                seen.insert(field.clone());
            }
        }
    }
    assert_eq!(seen.len(), 10, "{seen:?}");
    let claim = &document["components"]["schemas"]["ClaimNext"]["properties"];
    is_limited(&claim["entities"]["items"], (json!(1), 64, names::PATTERN), "ClaimNext.entities");
    let mut seen = HashSet::new();
    for (method, path, operation) in operations(&document) {
        for parameter in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
            let (name, place) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
            let expected = match (place, name) {
                ("header", "X-Visitor") => (json!(32), 128, "^[A-Za-z0-9_-]*$"),
                ("header", "Idempotency-Key") => (json!(1), 255, "^[!-~](?:[ -~]*[!-~])?$"),
                ("query", "domain") => (Value::Null, 255, names::PATTERN_OR_NOTHING),
                ("query", "entity" | "workerId") => (Value::Null, 64, names::PATTERN_OR_NOTHING),
                ("query", name) if limits(name).is_some() => limits(name).unwrap(),
                _ => continue,
            };
            is_limited(&parameter["schema"], expected, &format!("{method} {path} {name}"));
            seen.insert(name.to_owned());
        }
    }
    assert_eq!(seen.len(), 10, "{seen:?}");
}

#[tokio::test]
async fn the_reader_loads_nothing_from_other_hosts() {
    let world = World::start().await;
    let start = world.get("/docs").await;
    assert_eq!((start.status, start.header("location")), (308, "docs/index.html"));
    for (written, leads_to) in [("/docs/", "index.html"), ("/admin/", "../admin")] {
        let start = world.get(written).await;
        assert_eq!((start.status, start.header("location")), (308, leads_to), "{written}");
    }
    let page = world.get("/docs/index.html").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.header("content-security-policy").contains("script-src 'self';"));
    assert!(!page.text().contains("://"), "{}", page.text());
    assert!(!page.text().contains("<script>"), "no script stands in the page itself");
    for file in
        page.text().split('"').filter(|name| [".js", ".css", ".png"].iter().any(|end| name.ends_with(end)))
    {
        let answer = world.get(&format!("/docs/{}", file.trim_start_matches("./"))).await;
        assert_eq!(answer.status, 200, "{file}");
    }
    let start = world.get("/docs/swagger-initializer.js").await;
    assert!(start.text().contains("../openapi.json") && !start.text().contains("://"), "{}", start.text());
}
