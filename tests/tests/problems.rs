//! Every error that the contract names, provoked over JSON: each is a problem document of the one shape.

use std::net::TcpListener;

use e2e::{Answer, Browser, Service, World, question_json};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// The question with one member changed, or taken away where `value` is null.
fn with(pointer: &str, value: Value) -> Value {
    let mut question = question_json("echo", "Well?");
    let (parent, member) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
    let parent =
        question.pointer_mut(parent).and_then(Value::as_object_mut).expect("the parent is an object");
    if value.is_null() {
        parent.remove(member);
    } else {
        parent.insert(member.to_owned(), value);
    }
    question
}

async fn posted(browser: &Browser) -> String {
    let posted = browser.comment(&question_json("echo", "Well?")).await;
    posted["id"].as_str().expect("an answer names the id").to_owned()
}

#[tokio::test]
async fn a_comment_that_breaks_a_limit_is_refused_with_a_pointer_to_the_member() {
    let world = World::start().await;
    let browser = world.browser();
    let long = |length: usize| json!("x".repeat(length));
    let wrong = [
        ("/domain", Value::Null),
        ("/domain", long(256)),
        ("/text", Value::Null),
        ("/text", json!("")),
        ("/text", long(16_385)),
        ("/username", Value::Null),
        ("/username", long(65)),
        ("/color", json!("#a950c7")),
        ("/color", json!("256000000")),
        ("/message-type", json!("robot")),
        ("/replyTo", json!(Uuid::new_v4().to_string())),
        ("/botParams/entity", json!("")),
        ("/botParams/entity", long(65)),
        ("/botParams/priority", json!(100)),
        ("/botParams/aiUsername", long(65)),
        ("/botParams/aiColor", json!("red")),
        ("/botParams/sessionId", long(65)),
        ("/botParams/status", json!("complete")),
    ];
    for (pointer, value) in wrong {
        let answer = browser.post("/api/comments", &with(pointer, value.clone())).await;
        assert_eq!(answer.pointers(400), [pointer], "{value}");
    }
    assert!(browser.comments().await.is_empty(), "nothing was stored");
}

#[tokio::test]
async fn a_workers_request_that_breaks_a_limit_is_refused_with_a_pointer_to_the_member() {
    let world = World::start().await;
    let browser = world.browser();
    let id = posted(&browser).await;
    let token = "0123456789abcdef0123456789abcdef";
    let wrong = [
        ("/api/queue/claim", json!({"workerId": "w"}), "/messageId"),
        ("/api/queue/claim", json!({"messageId": id}), "/workerId"),
        ("/api/queue/claim", json!({"messageId": id, "workerId": ""}), "/workerId"),
        ("/api/queue/claim", json!({"messageId": id, "workerId": "w", "leaseSeconds": 1}), "/leaseSeconds"),
        ("/api/queue/claim-next", json!({"workerId": "w", "wait": 26}), "/wait"),
        ("/api/queue/claim-next", json!({"workerId": "w", "contextLimit": 101}), "/contextLimit"),
        (
            "/api/queue/complete",
            json!({"messageId": id, "leaseToken": token, "reply": {"text": ""}}),
            "/reply/text",
        ),
        ("/api/queue/complete", json!({"messageId": id}), "/leaseToken"),
        ("/api/queue/fail", json!({"messageId": id, "leaseToken": token, "error": ""}), "/error"),
    ];
    for (path, body, pointer) in wrong {
        assert_eq!(browser.post(path, &body).await.pointers(400), [pointer], "{path} {body}");
    }
}

#[tokio::test]
async fn a_wrong_query_parameter_is_named() {
    let world = World::start().await;
    let browser = world.browser();
    let wrong = [
        ("/api/comments?limit=0", "limit"),
        ("/api/comments?limit=1001", "limit"),
        ("/api/comments?limit=-5", "limit"),
        ("/api/comments?limit=ten", "limit"),
        ("/api/comments?after=-1", "after"),
        ("/api/comments?after=yesterday", "after"),
        ("/api/comments?page=2", "page"),
        ("/api/queue/pending?limit=1001", "limit"),
        ("/api/conversation?humanColor=001001001&aiUsername=echo&aiColor=default", "humanUsername"),
    ];
    for (path, parameter) in wrong {
        let problem = browser.get(path).await.problem(400);
        assert!(problem.to_string().contains(parameter), "{path}: {problem}");
    }
    browser.get("/api/comments?after=1&since=2").await.problem(400);
    for (human, ai, pointer) in
        [("red", "default", "/humanColor"), ("%23a950c7", "", "/humanColor"), ("", "300000000", "/aiColor")]
    {
        let query = format!("humanUsername=Ann&humanColor={human}&aiUsername=echo&aiColor={ai}");
        let answer = browser.get(&format!("/api/conversation?{query}")).await;
        assert_eq!(answer.pointers(400), [pointer], "{query}");
    }
}

#[tokio::test]
async fn what_is_unknown_is_404() {
    let world = World::start().await;
    let browser = world.browser();
    let id = Uuid::new_v4().to_string();
    let path = format!("/api/comments/{id}");
    browser.get(&path).await.problem(404);
    Answer::to(browser.request(Method::PATCH, &path).json(&json!({"text": "Hm."}))).await.problem(404);
    Answer::to(browser.request(Method::DELETE, &path)).await.problem(404);
    let lease = json!({"messageId": id, "leaseToken": "0123456789abcdef0123456789abcdef"});
    browser.post("/api/queue/claim", &json!({"messageId": id, "workerId": "w"})).await.problem(404);
    for path in ["/api/queue/renew", "/api/queue/release", "/api/queue/complete"] {
        browser.post(path, &lease).await.problem(404);
    }
    for path in ["/api/queue/retry", "/api/queue/cancel"] {
        browser.post(path, &json!({"messageId": id})).await.problem(404);
    }
    for path in ["/api/nothing", "/nothing", "/api", "/api/comments/", "/api/queue"] {
        let problem = browser.get(path).await.problem(404);
        assert_eq!(problem["instance"], path);
    }
}

#[tokio::test]
async fn every_conflict_is_409_with_its_reason() {
    let world = World::start().await;
    let browser = world.browser();
    let claim =
        async |id: &str| browser.post("/api/queue/claim", &json!({"messageId": id, "workerId": "w"})).await;
    let reason = |answer: &Answer| answer.problem(409)["reason"].as_str().unwrap_or_default().to_owned();
    let finish = async |path: &str, id: &str, token: &str| {
        let mut body = json!({"messageId": id, "leaseToken": token});
        if path.ends_with("fail") {
            body["error"] = json!("why");
        }
        browser.post(path, &body).await
    };

    let id = posted(&browser).await;
    let first = claim(&id).await.ok(200)["lease"]["token"].as_str().unwrap().to_owned();
    let again = claim(&id).await;
    assert_eq!(again.problem(409)["detail"], "Message status is processing, not pending");
    assert_eq!(reason(&again), "NOT_PENDING");
    finish("/api/queue/release", &id, &first).await.ok(200);
    let second = claim(&id).await.ok(200)["lease"]["token"].as_str().unwrap().to_owned();
    for path in ["/api/queue/renew", "/api/queue/release", "/api/queue/fail", "/api/queue/complete"] {
        assert_eq!(reason(&finish(path, &id, &first).await), "LEASE_LOST", "{path}");
    }
    let completed = finish("/api/queue/complete", &id, &second).await.ok(200);
    assert_eq!(completed["success"], true);
    assert_eq!(finish("/api/queue/complete", &id, &second).await.ok(200)["alreadyCompleted"], true);
    assert_eq!(reason(&finish("/api/queue/complete", &id, &first).await), "ALREADY_COMPLETED");
    let retry = browser.post("/api/queue/retry", &json!({"messageId": id})).await;
    retry.problem(409);

    let id = posted(&browser).await;
    let token = claim(&id).await.ok(200)["lease"]["token"].as_str().unwrap().to_owned();
    browser.post("/api/queue/cancel", &json!({"messageId": id})).await.ok(200);
    assert_eq!(reason(&finish("/api/queue/complete", &id, &token).await), "CANCELLED");

    let id = posted(&browser).await;
    let token = claim(&id).await.ok(200)["lease"]["token"].as_str().unwrap().to_owned();
    let failure = json!({"messageId": id, "leaseToken": token, "error": "why", "retryable": false});
    browser.post("/api/queue/fail", &failure).await.ok(200);
    assert_eq!(reason(&finish("/api/queue/complete", &id, &token).await), "FAILED");
}

#[tokio::test]
async fn a_key_used_for_another_comment_is_422_and_a_replay_says_so() {
    let world = World::start().await;
    let browser = world.browser();
    let question = question_json("echo", "Well?");
    let post = async |body: &Value| {
        Answer::to(
            browser.request(Method::POST, "/api/comments").header("idempotency-key", "key 1").json(body),
        )
        .await
    };
    let first = post(&question).await;
    assert_eq!(first.header("idempotent-replayed"), "");
    let replay = post(&question).await;
    assert_eq!(replay.header("idempotent-replayed"), "true");
    assert_eq!(replay.ok(201), first.ok(201));
    let mut other = question.clone();
    other["text"] = json!("Hm?");
    assert_eq!(post(&other).await.problem(422)["reason"], "IDEMPOTENCY_CONFLICT");
    assert_eq!(browser.comments().await.len(), 1);
}

#[tokio::test]
async fn a_full_queue_is_429_and_says_when_to_come_again() {
    let world = World::with(&["--max-pending", "3"], &[]).await;
    let browser = world.browser();
    for _ in 0..3 {
        posted(&browser).await;
    }
    let refusal = browser.post("/api/comments", &question_json("echo", "Well?")).await;
    assert_eq!(refusal.problem(429)["reason"], "QUEUE_FULL");
    assert!(refusal.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(browser.comments().await.len(), 3);
}

#[tokio::test]
async fn without_a_queue_service_the_gateway_is_503_and_alive() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let gateway = Service::gateway(&url, &[]).await;
    let browser = gateway.browser();
    for answer in [
        browser.get("/api/comments").await,
        browser.post("/api/comments", &question_json("echo", "Well?")).await,
        browser.get("/readyz").await,
    ] {
        answer.problem(503);
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
    assert_eq!(browser.get("/livez").await.status, 200);
    assert_eq!(browser.get("/").await.status, 200);
}

#[tokio::test]
async fn a_queue_service_that_never_answers_is_504() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let gateway = Service::gateway(&url, &["--request-timeout", "1s"]).await;
    gateway.browser().get("/api/stats").await.problem(504);
    // A poll waits for the stream of changes, and asks nobody until it is there.
    gateway.browser().get("/api/comments").await.problem(503);
}

#[tokio::test]
async fn the_frameworks_own_refusals_are_problems_too() {
    let world = World::start().await;
    let browser = world.browser();
    let send = async |method: Method, path: &str, content_type: &str, body: Vec<u8>| {
        Answer::to(browser.request(method, path).header("content-type", content_type).body(body)).await
    };
    let wrong_method = send(Method::PUT, "/api/comments", "application/json", b"{}".to_vec()).await;
    wrong_method.problem(405);
    let allowed = wrong_method.header("allow");
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
    browser.get("/api/queue/claim").await.problem(405);

    let question = serde_json::to_vec(&question_json("echo", "Well?")).unwrap();
    send(Method::POST, "/api/comments", "text/plain", question.clone()).await.problem(415);
    let without_type = browser.request(Method::POST, "/api/comments").body(question.clone());
    Answer::to(without_type).await.problem(415);
    send(Method::POST, "/api/comments", "application/json; charset=utf-8", question).await.ok(201);

    let large = serde_json::to_vec(&with("/text", json!("x".repeat(65 * 1_024)))).unwrap();
    send(Method::POST, "/api/comments", "application/json", large).await.problem(413);
    for malformed in ["", "{", "[1,", "{\"text\":}", "nonsense", "\u{feff}{}"] {
        send(Method::POST, "/api/comments", "application/json", malformed.into()).await.problem(400);
    }
}

#[tokio::test]
async fn a_comment_is_stored_and_its_answer_sent_whatever_compression_its_client_takes() {
    let world = World::start().await;
    let browser = world.browser();
    for takes in ["identity;q=0", "*;q=0", "br;q=0, gzip;q=0, identity;q=0"] {
        let text = json!({"domain": e2e::DOMAIN, "text": takes, "username": "Human"});
        let request = browser.request(Method::POST, "/api/comments").header("accept-encoding", takes);
        let posted = Answer::to(request.json(&text)).await.ok(201);
        assert!(posted["id"].is_string(), "{posted}");
    }
}

#[tokio::test]
async fn a_request_id_is_kept_where_it_is_sane_and_made_where_it_is_not() {
    let world = World::start().await;
    let browser = world.browser();
    let send = async |id: &str| {
        Answer::to(browser.request(Method::GET, "/api/nothing").header("x-request-id", id)).await
    };
    assert_eq!(send("abc-123").await.header("x-request-id"), "abc-123");
    let long = "x".repeat(129);
    let made = send(&long).await;
    made.problem(404);
    assert_ne!(made.header("x-request-id"), long);
}
