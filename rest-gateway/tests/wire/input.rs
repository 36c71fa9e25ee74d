//! What clients should not send.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::world::{Answer, World};

fn comment(change: Value) -> Value {
    let mut comment = json!({"text": "a", "username": "b", "domain": "c"});
    for (name, value) in change.as_object().unwrap() {
        comment[name] = value.clone();
    }
    comment
}

async fn post_bytes(world: &World, content_type: Option<&str>, body: &[u8]) -> Answer {
    let request = world.request(Method::POST, "/api/comments").body(body.to_vec());
    let request = match content_type {
        Some(content_type) => request.header("content-type", content_type),
        None => request,
    };
    Answer::to(request).await
}

#[tokio::test]
async fn a_wrong_field_is_pointed_to() {
    let world = World::start().await;
    for (change, pointer) in [
        (json!({"text": 1}), "/text"),
        (json!({"text": null}), "/text"),
        (json!({"eqScore": 0.5}), "/eqScore"),
        (json!({"eqScore": 3_000_000_000_u64}), "/eqScore"),
        (json!({"message-type": "ai"}), "/message-type"),
        (json!({"colour": "x"}), "/colour"),
        (json!({"a/b~": "x"}), "/a~1b~0"),
        (json!({"botParams": []}), "/botParams"),
        (json!({"botParams": {}}), "/botParams/entity"),
        (json!({"botParams": {"entity": "e", "priority": -1}}), "/botParams/priority"),
        (json!({"botParams": {"entity": "e", "claimedBy": "w"}}), "/botParams/claimedBy"),
        (json!({"botParams": {"entity": "e", "status": "complete"}}), "/botParams/status"),
    ] {
        let answer = world.post("/api/comments", comment(change.clone())).await;
        assert_eq!(answer.pointers(), [pointer], "{change}");
    }
    assert_eq!(world.queue.calls(), 0, "nothing of it reaches the queue-service");
}

#[tokio::test]
async fn a_missing_field_is_pointed_to() {
    let world = World::start().await;
    for name in ["domain", "text", "username"] {
        let mut comment = comment(json!({}));
        comment.as_object_mut().unwrap().remove(name);
        assert_eq!(world.post("/api/comments", comment).await.pointers(), [format!("/{name}")]);
    }
    for (path, body, pointer) in [
        ("/api/queue/claim", json!({"messageId": "a"}), "/workerId"),
        ("/api/queue/fail", json!({"messageId": "a", "leaseToken": "t"}), "/error"),
        ("/api/queue/complete", json!({"messageId": "a", "reply": {}}), "/reply/text"),
        ("/api/queue/claim-next", json!({"workerId": "w", "entities": ["a", 1]}), "/entities/1"),
        ("/api/queue/claim-next", json!({"workerId": "w", "wait": -1}), "/wait"),
        ("/api/queue/retry", json!({}), "/messageId"),
    ] {
        assert_eq!(world.post(path, body).await.pointers(), [pointer], "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_400() {
    let world = World::start().await;
    let twice = br#"{"text":"a","text":"b","username":"b","domain":"c"}"#;
    let nested = [b"[".repeat(30_000), b"]".repeat(30_000)].concat();
    let bodies: [&[u8]; 10] = [
        b"",
        b"{",
        b"null",
        b"\"text\"",
        br#"["a","b","c"]"#,
        br#"{"text":"a","username":"b","domain":"c"} x"#,
        b"{\"text\":\"\xff\",\"username\":\"b\",\"domain\":\"c\"}",
        br#"{"text":"\ud800","username":"b","domain":"c"}"#,
        twice,
        &nested,
    ];
    for body in bodies {
        post_bytes(&world, Some("application/json"), body).await.problem(400);
    }
    assert_eq!(post_bytes(&world, Some("application/json"), twice).await.pointers(), ["/text"]);
    assert_eq!(world.queue.calls(), 0);
}

#[tokio::test]
async fn a_body_that_is_not_announced_as_json_is_415() {
    let world = World::start().await;
    let body = comment(json!({})).to_string();
    for content_type in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("json")] {
        post_bytes(&world, content_type, body.as_bytes()).await.problem(415);
    }
    for content_type in ["application/json; charset=utf-8", "Application/JSON", "application/problem+json"] {
        let answer = post_bytes(&world, Some(content_type), body.as_bytes()).await;
        assert_ne!(answer.status, 415, "{content_type}");
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_413_and_below_it_is_read() {
    let world = World::start_with(&["--max-body-bytes", "1000"]).await;
    for size in [1_001, 100_000, 3_000_000] {
        let problem = post_bytes(&world, Some("application/json"), &b" ".repeat(size)).await.problem(413);
        assert!(problem["detail"].as_str().unwrap().contains("1000"), "{problem}");
    }
    post_bytes(&world, Some("application/json"), &b" ".repeat(1_000)).await.problem(400);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_408() {
    let world = World::start_with(&["--request-timeout", "0.2"]).await;
    let mut socket = TcpStream::connect(world.authority()).await.unwrap();
    let head = "POST /api/comments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_wrong_query_is_pointed_to() {
    let world = World::start().await;
    for (path, pointer) in [
        ("/api/comments?limit=0", "/limit"),
        ("/api/comments?limit=1001", "/limit"),
        ("/api/comments?limit=-1", "/limit"),
        ("/api/comments?limit=99999999999", "/limit"),
        ("/api/comments?limit=", "/limit"),
        ("/api/comments?limit=5&limit=6", "/limit"),
        ("/api/comments?after=-1", "/after"),
        ("/api/comments?after=yesterday", "/after"),
        ("/api/comments?since=1.5", "/since"),
        ("/api/comments?offset=1", "/offset"),
        ("/api/queue/pending?limit=x", "/limit"),
        ("/api/queue/failed?before=x", "/before"),
        ("/api/conversation?humanUsername=a&humanColor=b&aiUsername=c", "/aiColor"),
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.pointers(), [pointer], "{path}");
    }
    assert_eq!(world.queue.calls(), 0);
}

#[tokio::test]
async fn a_broken_percent_encoding_is_400() {
    let world = World::start().await;
    for path in
        ["/api/comments?domain=%zz", "/api/comments?domain=%ff", "/api/comments/%ff", "/api/comments/%4"]
    {
        world.get(path).await.problem(400);
    }
    assert_eq!(world.queue.calls(), 0);
}

#[tokio::test]
async fn an_idempotency_key_is_visible_ascii() {
    let world = World::start().await;
    let request = world.request(Method::POST, "/api/comments").header("idempotency-key", "ä");
    let answer = Answer::to(request.json(&comment(json!({})))).await;
    assert!(answer.problem(400)["detail"].as_str().unwrap().contains("Idempotency-Key"));
}

#[tokio::test]
async fn an_unknown_path_is_404_and_an_unknown_method_405() {
    let world = World::start().await;
    for path in ["/api", "/api/comments/", "/api/comments/a/b", "/nothing", "/docs/secret.txt"] {
        assert_eq!(world.get(path).await.problem(404)["instance"], path);
    }
    let answer = Answer::to(world.request(Method::PUT, "/api/comments")).await;
    answer.problem(405);
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
    Answer::to(world.request(Method::from_bytes(b"BREW").unwrap(), "/api/stats")).await.problem(405);
    assert_eq!(Answer::to(world.request(Method::OPTIONS, "/api/stats")).await.status, 405);
}
