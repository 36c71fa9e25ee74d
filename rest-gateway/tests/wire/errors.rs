//! What the queue-service refuses, as an HTTP client sees it.

use std::{collections::HashMap, time::Duration};

use repartee_proto::v1;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    fake::{Fake, Lost},
    world::{World, message},
};

#[tokio::test]
async fn every_code_has_its_status() {
    let world = World::start().await;
    for (code, status) in [
        (Code::Cancelled, 502),
        (Code::Unknown, 502),
        (Code::InvalidArgument, 400),
        (Code::DeadlineExceeded, 504),
        (Code::NotFound, 404),
        (Code::AlreadyExists, 409),
        (Code::PermissionDenied, 403),
        (Code::ResourceExhausted, 429),
        (Code::FailedPrecondition, 409),
        (Code::Aborted, 409),
        (Code::OutOfRange, 500),
        (Code::Unimplemented, 501),
        (Code::Internal, 500),
        (Code::Unavailable, 503),
        (Code::DataLoss, 500),
        (Code::Unauthenticated, 401),
    ] {
        world.queue.refuse(Status::new(code, "said by the queue-service"));
        let answer = world.get("/api/comments/m1").await;
        let problem = answer.problem(status);
        assert_eq!(problem["instance"], "/api/comments/m1");
        assert_eq!(answer.header("www-authenticate"), if status == 401 { "Bearer" } else { "" });
        let told = problem["detail"] == "said by the queue-service";
        assert_eq!(told, status < 500, "{code:?}: what is inner stays inside, the rest is told: {problem}");
    }
}

#[tokio::test]
async fn a_conflict_says_why() {
    let world = World::start().await;
    let details = ErrorDetails::with_error_info("NOT_PENDING", "repartee.v1", HashMap::new());
    let message = "Message status is processing, not pending";
    world.queue.refuse(Status::with_error_details(Code::FailedPrecondition, message, details));
    let answer = world.post("/api/queue/claim", json!({"messageId": "a", "workerId": "w"})).await;
    let problem = answer.problem(409);
    assert_eq!((&problem["reason"], &problem["detail"]), (&json!("NOT_PENDING"), &json!(message)));
    assert_eq!((&problem["title"], &problem["instance"]), (&json!("Conflict"), &json!("/api/queue/claim")));
}

#[tokio::test]
async fn a_broken_limit_points_into_the_body() {
    let world = World::start().await;
    let mut details =
        ErrorDetails::with_bad_request_violation("message.bot.ai_username", "at most 64 characters");
    details.add_bad_request_violation("message.text", "1 to 16,384 bytes");
    details.add_bad_request_violation("idempotency_key", "at most 255 characters");
    world.queue.refuse(Status::with_error_details(Code::InvalidArgument, "two fields are wrong", details));
    let answer = world.post("/api/comments", json!({"text": "a", "username": "b", "domain": "c"})).await;
    assert_eq!(answer.pointers(), ["/botParams/aiUsername", "/text", ""]);
    let problem = answer.problem(400);
    assert_eq!(problem["errors"][0]["detail"], "at most 64 characters");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("/botParams/aiUsername: at most 64 characters; /text: "), "{detail}");
    assert_eq!(problem["errors"][2]["detail"], "header Idempotency-Key: at most 255 characters");
}

#[tokio::test]
async fn an_id_in_the_path_is_not_looked_for_in_the_body() {
    let world = World::start().await;
    let details = ErrorDetails::with_bad_request_violation("message_id", "must be a UUID");
    world.queue.refuse(Status::with_error_details(Code::InvalidArgument, "no id", details));
    let answer = world.patch("/api/comments/x", json!({"text": "a"})).await;
    assert_eq!(answer.pointers(), [""]);
    assert_eq!(answer.problem(400)["detail"], "id in the path: must be a UUID");
    let answer = world.post("/api/queue/retry", json!({"messageId": "x"})).await;
    assert_eq!(answer.pointers(), ["/messageId"]);
}

#[tokio::test]
async fn a_key_that_stands_for_another_message_is_422() {
    let world = World::start().await;
    let details = ErrorDetails::with_error_info("IDEMPOTENCY_CONFLICT", "repartee.v1", HashMap::new());
    world.queue.refuse(Status::with_error_details(Code::InvalidArgument, "another message", details));
    let answer = world.post("/api/comments", json!({"text": "a", "username": "b", "domain": "c"})).await;
    assert_eq!(answer.problem(422)["reason"], "IDEMPOTENCY_CONFLICT");
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let world = World::start().await;
    for (wait, seconds) in [(None, "1"), (Some(10), "1"), (Some(2_001), "3"), (Some(30_000), "30")] {
        let mut details = ErrorDetails::with_retry_info(wait.map(Duration::from_millis));
        details.set_error_info("QUEUE_FULL", "repartee.v1", HashMap::new());
        world.queue.refuse(Status::with_error_details(Code::ResourceExhausted, "full", details));
        let answer = world.get("/api/comments").await;
        assert_eq!(answer.problem(429)["reason"], "QUEUE_FULL");
        assert_eq!(answer.header("retry-after"), seconds, "{wait:?}");
    }
}

#[tokio::test]
async fn a_queue_service_that_is_not_there_is_503() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let guard = CancellationToken::new().drop_guard();
    let world = World::in_front_of(addr, Fake::default(), guard, &[]).await;
    for _ in 0..2 {
        let problem = world.get("/api/comments").await.problem(503);
        assert!(!problem.to_string().contains("onnection refused"), "{problem}");
    }
    assert_eq!(world.get("/readyz").await.problem(503)["status"], 503);
    assert_eq!(world.get("/livez").await.status, 200);
}

#[tokio::test]
async fn a_queue_service_that_does_not_answer_is_504() {
    let world = World::start_with(&["--request-timeout", "0.2s"]).await;
    world.queue.fall_silent();
    world.get("/api/comments").await.problem(504);
    assert_eq!(world.queue.calls(), 1, "nothing is repeated");
}

#[tokio::test]
async fn a_peer_that_takes_connections_and_never_speaks_is_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let guard = CancellationToken::new().drop_guard();
    let world = World::in_front_of(addr, Fake::default(), guard, &["--request-timeout", "0.2s"]).await;
    world.get("/api/stats").await.problem(504);
    world.get("/api/comments").await.problem(503);
    drop(listener);
}

#[tokio::test]
async fn an_answer_that_breaks_the_contract_is_500() {
    let world = World::start().await;
    world.queue.answer(v1::GetMessageResponse::default());
    world.get("/api/comments/m1").await.problem(500);
}

/// Posts until an item of a stream has had no outcome; the statuses of the answers, and how many calls were served for them.
async fn posts_with_a_lost_item(how: Lost) -> (Vec<u16>, usize) {
    let world = World::start().await;
    let posted = v1::PostMessageResponse { message: Some(message("m1")), ..Default::default() };
    world.queue.answer(posted);
    world.queue.lose_an_item(how);
    let mut statuses = Vec::new();
    // The first ones are calls of their own.
    while world.queue.is_to_lose_an_item() && statuses.len() < 1_000 {
        let comment = json!({"text": "Why is space black?", "username": "Human", "domain": "test.example"});
        statuses.push(world.post("/api/comments", comment).await.status);
    }
    assert!(!world.queue.is_to_lose_an_item(), "a stream was opened");
    (statuses, world.queue.calls())
}

#[tokio::test]
async fn a_post_without_a_key_is_not_repeated_if_its_stream_ends_without_a_word() {
    let (mut statuses, calls) = posts_with_a_lost_item(Lost::Broken).await;
    assert_eq!(calls, statuses.len(), "nothing is posted twice");
    let last = statuses.pop().unwrap();
    assert!(last >= 500, "{last}");
    assert!(statuses.iter().all(|status| *status == 201), "{statuses:?}");
}

#[tokio::test]
async fn a_post_that_a_stream_did_not_take_up_before_it_went_away_is_a_call_of_its_own() {
    let (statuses, calls) = posts_with_a_lost_item(Lost::GoingAway).await;
    assert_eq!(calls, statuses.len() + 1);
    assert!(statuses.iter().all(|status| *status == 201), "{statuses:?}");
}
