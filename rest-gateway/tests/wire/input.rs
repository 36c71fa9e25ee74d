//! What clients should not send.

use repartee_proto::v1;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::world::{Answer, World, message};

fn comment(change: Value) -> Value {
    let mut comment = json!({"text": "a", "username": "b", "domain": "c"});
    for (name, value) in change.as_object().unwrap() {
        comment[name] = value.clone();
    }
    comment
}

fn posted() -> v1::PostMessageResponse {
    v1::PostMessageResponse { message: Some(message("m1")), ..v1::PostMessageResponse::default() }
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
        (json!({"eqScore": 1e300}), "/eqScore"),
        (json!({"message-type": 5}), "/message-type"),
        (json!({"message-type": true}), "/message-type"),
        (json!({"message-type": ["human"]}), "/message-type"),
        (json!({"message-type": {"human": null}}), "/message-type"),
        (json!({"botParams": {"entity": "e", "status": 1}}), "/botParams/status"),
        (json!({"botParams": {"entity": "e", "status": {"pending": null}}}), "/botParams/status"),
        (json!({"botParams": {"entity": null}}), "/botParams/entity"),
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
async fn whole_numbers_may_be_written_as_json_writes_numbers() {
    let world = World::start().await;
    for (number, score) in [("5.0", 5), ("1e2", 100), ("-2.50E1", -25), ("-0.0", 0), ("null", 0)] {
        world.queue.answer(posted());
        let body = format!(
            r#"{{"text":"a","username":"b","domain":"c","eqScore":{number},"botParams":{{"entity":"e","priority":7.0}}}}"#
        );
        let answer = post_bytes(&world, Some("application/json"), body.as_bytes()).await;
        assert_eq!(answer.status, 201, "{number}: {}", answer.text());
        let sent = world.queue.asked::<v1::PostMessageRequest>().message.unwrap();
        assert_eq!((sent.eq_score, sent.bot.unwrap().priority), (score, Some(7)), "{number}");
    }
}

#[tokio::test]
async fn null_is_absent_wherever_a_field_may_be_absent() {
    let world = World::start().await;
    world.queue.answer(posted());
    let bot = json!({"entity": "e", "priority": null, "aiUsername": null, "aiColor": null, "sessionId": null,
        "notBefore": null, "expiresAt": null, "status": null});
    let nulls = comment(json!({"color": null, "message-type": null, "replyTo": null, "eqScore": null,
        "humanUsername": null, "humanColor": null, "sessionId": null, "botParams": bot}));
    assert_eq!(world.post("/api/comments", nulls).await.status, 201);
    let with_nulls = world.queue.asked::<v1::PostMessageRequest>();
    world.queue.answer(posted());
    assert_eq!(world.post("/api/comments", comment(json!({"botParams": {"entity": "e"}}))).await.status, 201);
    assert_eq!(with_nulls, world.queue.asked::<v1::PostMessageRequest>());
    for (path, body) in [
        (
            "claim-next",
            json!({"workerId": "w", "entities": null, "wait": null, "leaseSeconds": null, "contextLimit": null}),
        ),
        (
            "fail",
            json!({"messageId": "a", "leaseToken": null, "workerId": "w", "error": "e", "retryable": null, "retryAfterMs": null}),
        ),
        ("complete", json!({"messageId": "a", "workerId": "w", "reply": null})),
        ("complete", json!({"messageId": "a", "workerId": "w", "reply": {"text": "a", "eqScore": null}})),
    ] {
        let answer = world.post(&format!("/api/queue/{path}"), body.clone()).await;
        assert_ne!(answer.status, 400, "{path} {body}: {}", answer.text());
    }
    let edit = world.request(Method::PATCH, "/api/comments/a");
    let body = json!({"text": "b", "status": null, "priority": null, "eqScore": null, "botParams": null});
    assert_ne!(Answer::to(edit.json(&body)).await.status, 400);
}

#[tokio::test]
async fn half_a_surrogate_pair_is_pointed_to() {
    let world = World::start().await;
    for (body, pointer) in [
        (r#"{"text":"cut \ud83d","username":"b","domain":"c"}"#, "/text"),
        (r#"{"text":"cut \ud83d.","username":"b","domain":"c"}"#, "/text"),
        (r#"{"text":"\ude00","username":"b","domain":"c"}"#, "/text"),
        (r#"{"text":"\ud83d\u0041","username":"b","domain":"c"}"#, "/text"),
        (r#"{"text":"a","username":"\ud83d","domain":"c"}"#, "/username"),
        (r#"{"text":"a","username":"b","domain":"c","botParams":{"entity":"\ud83d"}}"#, "/botParams/entity"),
        (r#"{"text":"a","username":"b","domain":"c","message-type":"\ud83d"}"#, "/message-type"),
    ] {
        let answer = post_bytes(&world, Some("application/json"), body.as_bytes()).await;
        assert_eq!(answer.pointers(), [pointer], "{body}");
        assert!(answer.text().contains("surrogate"), "{}", answer.text());
    }
    assert_eq!(world.queue.calls(), 0);
}

#[tokio::test]
async fn a_byte_order_mark_in_front_of_a_body_is_skipped() {
    let world = World::start().await;
    world.queue.answer(posted());
    let marked = format!("\u{feff}{}", comment(json!({})));
    let answer = post_bytes(&world, Some("application/json"), marked.as_bytes()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let twice = format!("\u{feff}\u{feff}{}", comment(json!({})));
    post_bytes(&world, Some("application/json"), twice.as_bytes()).await.problem(400);
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
    let bodies: [&[u8]; 9] = [
        b"",
        b"{",
        b"null",
        b"\"text\"",
        br#"["a","b","c"]"#,
        br#"{"text":"a","username":"b","domain":"c"} x"#,
        b"{\"text\":\"\xff\",\"username\":\"b\",\"domain\":\"c\"}",
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
    let world = World::start_with(&["--request-timeout", "0.2s"]).await;
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
        ("/api/comments?limit=%2B5", "/limit"),
        ("/api/comments?limit=+5", "/limit"),
        ("/api/comments?limit=007", "/limit"),
        ("/api/comments?limit=5.0", "/limit"),
        ("/api/comments?after=00", "/after"),
        ("/api/comments?after=%2B5", "/after"),
        ("/api/stats?limit=01", "/limit"),
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
async fn a_parameter_that_begins_with_an_underscore_is_ignored() {
    let world = World::start().await;
    for path in ["/api/comments", "/api/comments/changes", "/api/queue/pending", "/api/stats"] {
        for busting in ["_=123", "_", "limit=5&_=1&_=2", "_t=%20&_limit=0"] {
            let answer = world.get(&format!("{path}?{busting}")).await;
            assert_ne!(answer.status, 400, "{path}?{busting}: {}", answer.text());
        }
        assert_eq!(world.get(&format!("{path}?_=1&limit=0")).await.pointers(), ["/limit"], "{path}");
    }
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
