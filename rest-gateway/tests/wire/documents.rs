//! The OpenAPI document and its reader.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Map, Value};

use crate::world::{Answer, World};

/// Every call of API.md that this gateway serves.
const CALLS: [(&str, &str); 31] = [
    ("get", "/api/comments"),
    ("post", "/api/comments"),
    ("get", "/api/comments/changes"),
    ("get", "/api/comments/stream"),
    ("get", "/api/comments/{id}"),
    ("patch", "/api/comments/{id}"),
    ("delete", "/api/comments/{id}"),
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
    ("post", "/api/queue/pause"),
    ("post", "/api/queue/resume"),
    ("get", "/api/stats"),
    ("get", "/api/admin/history"),
    ("get", "/api/admin/chart/{name}"),
    ("get", "/admin"),
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/metrics"),
    ("get", "/openapi.json"),
    ("get", "/docs"),
    ("get", "/docs/{file}"),
    ("get", "/"),
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
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
            "the id of {named} comes twice"
        );
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
