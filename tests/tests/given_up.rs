//! Messages that are given up or cancelled, and what an operator does with them.

use e2e::{Grpc, Service, World, held, id_of, precondition, question, refused, watch_live, work};
use repartee_proto::v1::{ChangeKind, FailMessageRequest, Status};
use serde_json::json;

/// Failures after which a message is given up.
const MAX_FAILURES: usize = 5;

/// Expiries after which a message is given up.
const MAX_EXPIRIES: usize = 3;

async fn asked(client: &Grpc) -> String {
    client.post(question("echo", "Well?")).await.expect("a question is stored").id
}

#[tokio::test]
async fn five_failures_give_a_message_up_and_an_operator_can_retry_it() {
    let world = World::start().await;
    let client = world.grpc().await;
    let id = asked(&client).await;
    for number in 1..=MAX_FAILURES {
        let claimed = client.claim(&id, "worker 1").await.unwrap();
        let failed = client.fail(held(&claimed), &format!("error {number}"), None).await.unwrap();
        assert_eq!(failed.retry_at.is_none(), number == MAX_FAILURES);
    }
    let failed = client.failed().await.unwrap().failed;
    let errors: Vec<_> = (1..=MAX_FAILURES).map(|number| format!("error {number}")).collect();
    assert_eq!((failed.len(), failed[0].failures, &failed[0].errors), (1, 5, &errors));
    assert!(!failed[0].cancelled);
    assert_eq!(failed[0].message.as_ref().unwrap().bot_params.as_ref().unwrap().status(), Status::Failed);
    let listed = world.browser().get("/api/queue/failed").await.ok(200);
    assert_eq!(listed["failed"][0]["message"]["id"], id.as_str(), "{listed}");

    world.browser().post("/api/queue/retry", &json!({"messageId": id})).await.ok(200);
    assert_eq!(client.failed().await.unwrap().failed, []);
    let claimed = client.claim_next("worker 1", &[], 0).await.unwrap().expect("it waits again");
    let failed = client.fail(held(&claimed), "error 6", None).await.unwrap();
    assert!(failed.retry_at.is_some(), "its counters are fresh");
}

#[tokio::test]
async fn three_expiries_give_a_message_up_that_two_workers_have_lost() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut watch = client.watch(watch_live()).await.unwrap();
    let id = asked(&client).await;
    for _ in 1..MAX_EXPIRIES {
        client.claim_for(&id, "dead worker", 5).await.unwrap();
        watch.until(ChangeKind::Expired, &id).await;
        assert_eq!(client.status(&id).await.unwrap(), Status::Pending);
    }
    client.claim_for(&id, "another one", 5).await.unwrap();
    watch.until(ChangeKind::Failed, &id).await;
    let failed = client.failed().await.unwrap().failed;
    assert_eq!((failed.len(), failed[0].failures, failed[0].expiries), (1, 0, 3));
}

#[tokio::test]
async fn a_failure_that_is_not_retryable_gives_up_at_once() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let claimed = client.claim(&asked(&client).await, "worker 1").await.unwrap();
    let lease = Some(held(&claimed));
    let error = "no such model".to_owned();
    let request = FailMessageRequest { lease, error, retryable: false, retry_after: None };
    let failed = client.raw().fail_message(request).await.unwrap().into_inner();
    let bot = failed.message.unwrap().bot_params.unwrap();
    assert_eq!(
        (failed.retry_at, bot.status(), bot.error.as_deref()),
        (None, Status::Failed, Some("no such model"))
    );
}

#[tokio::test]
async fn a_cancelled_message_is_taken_from_its_worker_and_kept() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut stream = client.stream(work("worker 1", &["echo"], 1)).await.unwrap();
    let id = asked(&client).await;
    let held_back = asked(&client).await;
    stream.work().await;
    let cancelled = client.cancel(&id).await.unwrap().bot_params.unwrap();
    assert_eq!((cancelled.status(), cancelled.error.as_deref()), (Status::Failed, Some("cancelled")));
    assert_eq!(stream.cancelled().await, id);
    assert_eq!(id_of(&stream.work().await), held_back, "its place is free again");
    let failed = client.failed().await.unwrap().failed;
    assert_eq!((failed.len(), failed[0].cancelled), (1, true));
    client.retry(&id).await.unwrap();
    assert_eq!(client.status(&id).await.unwrap(), Status::Pending);
}

#[tokio::test]
async fn a_failed_message_can_be_cancelled_and_a_cancelled_one_retried() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    let mut watch = client.watch(watch_live()).await.unwrap();
    let id = asked(&client).await;
    let claimed = client.claim(&id, "worker 1").await.unwrap();
    client.give_up(held(&claimed), "no such model").await.unwrap();
    let body = json!({"messageId": id});
    let cancelled = browser.post("/api/queue/cancel", &body).await.ok(200);
    assert_eq!(cancelled["message"]["botParams"]["error"], "cancelled", "{cancelled}");
    watch.until(ChangeKind::Cancelled, &id).await;
    assert_eq!(browser.post("/api/queue/cancel", &body).await.ok(200), cancelled, "nothing happens again");
    let listed = browser.get("/api/queue/failed").await.ok(200);
    let failed = &listed["failed"][0];
    assert_eq!((&failed["cancelled"], &failed["failures"]), (&json!(true), &json!(1)), "{listed}");
    assert_eq!(failed["errors"], json!(["no such model", "cancelled"]));
    assert_eq!(refused(client.complete(held(&claimed), None).await), precondition("CANCELLED"));
    client.retry(&id).await.unwrap();
    assert_eq!(
        (client.status(&id).await.unwrap(), client.failed().await.unwrap().failed.len()),
        (Status::Pending, 0)
    );
}
