//! The steps of workers and operators.

use std::time::Duration;

use repartee_proto::v1::{self, renew_outcome::Outcome};
use reqwest::Method;
use serde_json::json;

use crate::world::{Answer, World, kv_stats, message};

fn lease() -> Option<v1::Lease> {
    Some(v1::Lease { token: "t1".to_owned(), expires_at: 99 })
}

#[tokio::test]
async fn pending_work_is_listed_with_what_it_cost() {
    let world = World::start().await;
    world.queue.answer(v1::ListPendingResponse {
        messages: vec![message("a")],
        kv_stats: kv_stats(0, 0),
        more: true,
    });
    let answer = world.get("/api/queue/pending?limit=9&entity=echo").await;
    let list = answer.json(200);
    assert_eq!(list["pending"][0]["id"], "a");
    assert_eq!((&list["platformOnly"], &list["more"]), (&json!([]), &json!(true)));
    assert_eq!(list["kvStats"], json!({"reads": 0, "writes": 0}));
    assert_eq!(answer.header("x-storage-reads"), "0");
    let asked: v1::ListPendingRequest = world.queue.asked();
    assert_eq!((asked.limit, asked.entity.as_str()), (9, "echo"));
}

#[tokio::test]
async fn a_claim_is_answered_with_its_lease() {
    let world = World::start().await;
    world.queue.answer(v1::ClaimMessageResponse {
        message: Some(message("a")),
        lease: lease(),
        ..Default::default()
    });
    let body = json!({"messageId": "a", "workerId": "w", "leaseSeconds": 60});
    let claimed = world.post("/api/queue/claim", body).await.json(200);
    assert_eq!((&claimed["success"], &claimed["message"]["id"]), (&json!(true), &json!("a")));
    assert_eq!(claimed["lease"], json!({"token": "t1", "expiresAt": 99}));
    assert_eq!(claimed.get("context"), None);
    let asked: v1::ClaimMessageRequest = world.queue.asked();
    assert_eq!((asked.message_id.as_str(), asked.worker_id.as_str()), ("a", "w"));
    assert_eq!(asked.lease.unwrap().seconds, 60);
}

#[tokio::test]
async fn claim_next_brings_the_context_or_nothing() {
    let world = World::start().await;
    let work = v1::Work {
        message: Some(message("a")),
        lease: lease(),
        context: vec![message("before")],
        ..Default::default()
    };
    world.queue.answer(v1::ClaimNextResponse { work: Some(work) });
    let body = json!({"workerId": "w", "entities": ["echo"], "wait": 25, "contextLimit": 3});
    let claimed = world.post("/api/queue/claim-next", body).await.json(200);
    assert_eq!(claimed["context"][0]["id"], "before");
    let asked: v1::ClaimNextRequest = world.queue.asked();
    assert_eq!((asked.entities, asked.context_limit), (vec!["echo".to_owned()], 3));
    assert_eq!(asked.wait.unwrap().seconds, 25);
    assert_eq!(world.queue.metadata("grpc-timeout"), "35000000u", "the deadline is the wait and the timeout");

    world.queue.answer(v1::ClaimNextResponse { work: None });
    let answer = world.post("/api/queue/claim-next", json!({"workerId": "w"})).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(world.queue.metadata("grpc-timeout"), "10000000u");
}

#[tokio::test]
async fn a_worker_that_waits_is_let_go_when_the_gateway_stops() {
    let world = World::start().await;
    world.queue.fall_silent();
    let request =
        world.request(Method::POST, "/api/queue/claim-next").json(&json!({"workerId": "w", "wait": 25}));
    let waiting = tokio::spawn(Answer::to(request));
    while world.queue.calls() == 0 {
        tokio::task::yield_now().await;
    }
    world.stop.cancel();
    assert_eq!(waiting.await.unwrap().status, 204);
    tokio::time::timeout(Duration::from_secs(5), world.gateway).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_renewed_lease_has_a_new_end() {
    let world = World::start().await;
    let outcome = v1::RenewOutcome { outcome: Some(Outcome::ExpiresAt(77)) };
    world.queue.answer(v1::RenewLeasesResponse { outcomes: vec![outcome] });
    let body = json!({"messageId": "a", "leaseToken": "t1", "leaseSeconds": 30});
    assert_eq!(
        world.post("/api/queue/renew", body).await.json(200),
        json!({"success": true, "expiresAt": 77})
    );
    let asked: v1::RenewLeasesRequest = world.queue.asked();
    assert_eq!((asked.leases[0].message_id.as_str(), asked.leases[0].lease_token.as_str()), ("a", "t1"));
}

#[tokio::test]
async fn a_lost_lease_is_a_conflict_on_renewal_too() {
    let world = World::start().await;
    let rejection = v1::Rejection {
        code: tonic::Code::FailedPrecondition.into(),
        reason: "LEASE_LOST".to_owned(),
        message: "another claim holds the message".to_owned(),
        violations: vec![],
    };
    let outcome = v1::RenewOutcome { outcome: Some(Outcome::Rejection(rejection)) };
    world.queue.answer(v1::RenewLeasesResponse { outcomes: vec![outcome] });
    let problem =
        world.post("/api/queue/renew", json!({"messageId": "a", "leaseToken": "t"})).await.problem(409);
    assert_eq!(problem["reason"], "LEASE_LOST");
    assert_eq!(problem["detail"], "another claim holds the message");
}

#[tokio::test]
async fn a_message_is_given_back() {
    let world = World::start().await;
    world.queue.answer(v1::ReleaseMessageResponse { message: Some(message("a")) });
    let done = world.post("/api/queue/release", json!({"messageId": "a", "leaseToken": "t"})).await.json(200);
    assert_eq!((&done["success"], &done["message"]["id"]), (&json!(true), &json!("a")));
}

#[tokio::test]
async fn a_completion_carries_the_reply() {
    let world = World::start().await;
    let completed = v1::CompleteMessageResponse {
        message: Some(message("a")),
        reply_id: Some("r".to_owned()),
        late: true,
        already_completed: true,
    };
    world.queue.answer(completed);
    let body = json!({"messageId": "a", "leaseToken": "t", "reply": {"text": "Because.", "eqScore": 2}});
    let completed = world.post("/api/queue/complete", body).await.json(200);
    assert_eq!(completed, json!({"success": true, "replyId": "r", "late": true, "alreadyCompleted": true}));
    let reply = world.queue.asked::<v1::CompleteMessageRequest>().reply.unwrap();
    assert_eq!((reply.text.as_str(), reply.eq_score), ("Because.", 2));
}

#[tokio::test]
async fn a_worker_without_tokens_completes_by_its_name() {
    let world = World::start().await;
    world.queue.answer(v1::CompleteMessageResponse { message: Some(message("a")), ..Default::default() });
    let answer = world.post("/api/queue/complete", json!({"messageId": "a", "workerId": "w"})).await;
    assert_eq!(answer.json(200), json!({"success": true}));
    let lease = world.queue.asked::<v1::CompleteMessageRequest>().lease.unwrap();
    assert_eq!((lease.lease_token.as_str(), lease.worker_id.as_str()), ("", "w"));
}

#[tokio::test]
async fn a_failure_is_retryable_unless_the_worker_says_otherwise() {
    let world = World::start().await;
    world.queue.answer(v1::FailMessageResponse { message: Some(message("a")), retry_at: Some(5) });
    let body = json!({"messageId": "a", "leaseToken": "t", "error": "model down", "retryAfterMs": 1_500});
    let failed = world.post("/api/queue/fail", body).await.json(200);
    assert_eq!((&failed["success"], &failed["retryAt"]), (&json!(true), &json!(5)));
    let asked: v1::FailMessageRequest = world.queue.asked();
    assert!(asked.retryable);
    let wait = asked.retry_after.unwrap();
    assert_eq!((wait.seconds, wait.nanos), (1, 500_000_000));

    let body = json!({"messageId": "a", "leaseToken": "t", "error": "no", "retryable": false});
    world.post("/api/queue/fail", body).await.json(200);
    assert!(!world.queue.asked::<v1::FailMessageRequest>().retryable);
}

#[tokio::test]
async fn operators_list_retry_and_cancel() {
    let world = World::start().await;
    let failed =
        v1::FailedMessage { message: Some(message("a")), errors: vec!["no".into()], ..Default::default() };
    world.queue.answer(v1::ListFailedResponse { failed: vec![failed], kv_stats: kv_stats(2, 0), more: true });
    let list = world.get("/api/queue/failed?limit=3&beforeId=b").await.json(200);
    assert_eq!(list["more"], true);
    assert_eq!(
        (&list["failed"][0]["message"]["id"], &list["failed"][0]["errors"]),
        (&json!("a"), &json!(["no"]))
    );
    assert_eq!(world.queue.asked::<v1::ListFailedRequest>().before_id.as_deref(), Some("b"));

    world.queue.answer(v1::RetryMessageResponse { message: Some(message("a")) });
    assert_eq!(world.post("/api/queue/retry", json!({"messageId": "a"})).await.json(200)["success"], true);
    world.queue.answer(v1::CancelMessageResponse { message: Some(message("a")) });
    assert_eq!(world.post("/api/queue/cancel", json!({"messageId": "a"})).await.json(200)["success"], true);
    assert_eq!(world.queue.asked::<v1::CancelMessageRequest>().message_id, "a");
}

#[tokio::test]
async fn statistics_use_the_words_of_the_design() {
    let world = World::start().await;
    world.queue.answer(v1::GetStatsResponse {
        epoch: "e1".to_owned(),
        tail_seq: 9,
        entities: vec![v1::EntityStats {
            entity: "echo".to_owned(),
            oldest_age: Some(prost_types::Duration { seconds: 2, nanos: 500_000_000 }),
            ..Default::default()
        }],
        changes_since_start: vec![v1::ChangeCount { kind: v1::ChangeKind::RetryScheduled.into(), count: 3 }],
        calls: vec![v1::CallStats { call: "ListMessages".to_owned(), calls: 5, reads: 0, writes: 0 }],
        ..Default::default()
    });
    let stats = world.get("/api/stats").await.json(200);
    assert_eq!((&stats["epoch"], &stats["tailSeq"]), (&json!("e1"), &json!(9)));
    assert_eq!(stats["entities"][0]["oldestAgeMs"], 2_500);
    assert_eq!(stats["changesSinceStart"], json!({"retryScheduled": 3}));
    assert_eq!(stats["calls"][0], json!({"call": "ListMessages", "calls": 5, "reads": 0, "writes": 0}));
    assert_eq!(stats["cache"]["maxMessages"], 0);
    assert!(stats["nextEntitiesAfter"].is_null() && stats["nextSessionsAfter"].is_null());
}

#[tokio::test]
async fn statistics_are_read_by_page() {
    let world = World::start().await;
    world.queue.answer(v1::GetStatsResponse {
        entities_total: 7,
        next_entities_after: "b".to_owned(),
        sessions_total: 9,
        next_sessions_after: "s:2".to_owned(),
        oldest_age: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
        ..Default::default()
    });
    let stats = world.get("/api/stats?limit=2&entitiesAfter=a%20b&sessionsAfter=s:1").await.json(200);
    let asked: v1::GetStatsRequest = world.queue.asked();
    assert_eq!(asked.page_size, Some(2));
    assert_eq!((&*asked.entities_after, &*asked.sessions_after), ("a b", "s:1"));
    assert_eq!((&stats["entitiesTotal"], &stats["nextEntitiesAfter"]), (&json!(7), &json!("b")));
    assert_eq!((&stats["sessionsTotal"], &stats["nextSessionsAfter"]), (&json!(9), &json!("s:2")));
    assert_eq!(stats["oldestAgeMs"], 1_500);
    for limit in ["0", "501", "ten"] {
        let problem = world.get(&format!("/api/stats?limit={limit}")).await.problem(400);
        assert!(problem["detail"].as_str().unwrap().contains("from 1 to 500"), "{problem}");
    }
}
