//! Every error that the contract names, provoked over the wire on gRPC.

use e2e::{
    Browser, Metrics, Refused, Service, held, platform_post, precondition, question, question_from, refused,
    watch_from, watch_live, within_deadline, work,
};
use repartee_proto::v1::{LeaseRef, NewMessage, UpdateMessageRequest, list_messages_request::Position};
use tonic::Code;
use uuid::Uuid;

fn unknown() -> String {
    Uuid::new_v4().to_string()
}

#[tokio::test]
async fn what_is_unknown_is_not_found() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let not_found = (Code::NotFound, String::new());
    assert_eq!(refused(client.get(&unknown()).await), not_found);
    assert_eq!(refused(client.claim(&unknown(), "worker 1").await), not_found);
    assert_eq!(refused(client.retry(&unknown()).await), not_found);
    assert_eq!(refused(client.cancel(&unknown()).await), not_found);
    let edit =
        UpdateMessageRequest { message_id: unknown(), eq_score: Some(1), ..UpdateMessageRequest::default() };
    assert_eq!(refused(client.raw().update_message(edit).await), not_found);
    let lease_token = Uuid::new_v4().simple().to_string();
    let lease = LeaseRef { message_id: unknown(), lease_token, worker_id: String::new() };
    assert_eq!(refused(client.release(lease.clone()).await), not_found);
    assert_eq!(refused(client.fail(lease.clone(), "why", None).await), not_found);
    let rejection = client.renew(lease).await.unwrap().unwrap_err();
    assert_eq!(rejection.code, Code::NotFound as i32);
}

#[tokio::test]
async fn a_message_that_is_not_pending_cannot_be_claimed_and_says_why() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let refusal = async |id: &str| {
        let status = client.claim(id, "worker 2").await.expect_err("it is not pending");
        let refusal = Refused::from(&status);
        (refusal.code, refusal.reason, status.message().to_owned())
    };
    let says = |status: &str| {
        let (code, reason) = precondition("NOT_PENDING");
        (code, reason, format!("Message status is {status}, not pending"))
    };
    let processing = client.post(question("echo", "Well?")).await.unwrap().id;
    let lease = held(&client.claim(&processing, "worker 1").await.unwrap());
    assert_eq!(refusal(&processing).await, says("processing"));
    client.complete(lease, None).await.unwrap();
    assert_eq!(refusal(&processing).await, says("complete"));
    let failed = client.post(question("echo", "Well?")).await.unwrap().id;
    client.cancel(&failed).await.unwrap();
    assert_eq!(refusal(&failed).await, says("failed"));
}

#[tokio::test]
async fn operators_are_told_what_cannot_be_retried_or_cancelled() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let id = client.post(question("echo", "Well?")).await.unwrap().id;
    assert_eq!(client.retry(&id).await.unwrap().seq, client.get(&id).await.unwrap().seq, "it waits already");
    let lease = held(&client.claim(&id, "worker 1").await.unwrap());
    assert_eq!(refused(client.retry(&id).await).0, Code::FailedPrecondition, "somebody works on it");
    client.complete(lease, None).await.unwrap();
    assert_eq!(refused(client.cancel(&id).await), precondition("ALREADY_COMPLETED"));
    let post = client.post(platform_post("Human", "Hello.")).await.unwrap().id;
    assert_eq!(refused(client.cancel(&post).await).0, Code::FailedPrecondition, "nobody is asked");
}

#[tokio::test]
async fn a_full_queue_refuses_questions_and_says_when_to_come_again() {
    let queue = Service::queue_service(&["--max-pending", "3"]).await;
    let client = queue.grpc().await;
    for _ in 0..3 {
        client.post(question("echo", "Well?")).await.unwrap();
    }
    let tail = client.stats().await.unwrap().tail_seq;
    let refusal = Refused::from(&client.post(question("other", "Well?")).await.unwrap_err());
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::ResourceExhausted, "QUEUE_FULL"));
    assert!(refusal.retry_after.is_some_and(|delay| !delay.is_zero()), "{refusal:?}");
    assert_eq!(client.stats().await.unwrap().tail_seq, tail, "nothing was stored");

    client.post(platform_post("Human", "I ask nobody.")).await.unwrap();
    let work = client.claim_next("worker 1", &[], 0).await.unwrap().unwrap();
    client.complete(held(&work), None).await.unwrap();
    client.post(question("echo", "Now?")).await.unwrap();
}

#[tokio::test]
async fn one_full_entity_leaves_room_for_the_others() {
    let queue = Service::queue_service(&["--max-pending-per-entity", "2"]).await;
    let client = queue.grpc().await;
    for _ in 0..2 {
        client.post(question("echo", "Well?")).await.unwrap();
    }
    let refusal = client.post(question("echo", "Well?")).await;
    assert_eq!(refused(refusal), (Code::ResourceExhausted, "QUEUE_FULL".to_owned()));
    client.post(question("other", "Well?")).await.unwrap();
}

#[tokio::test]
async fn a_cursor_that_is_no_cursor_is_refused() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    for cursor in ["", "garbage", "1", "a.b", "00000000.-1", "\u{1f980}.1"] {
        let invalid = (Code::InvalidArgument, "CURSOR_INVALID".to_owned());
        assert_eq!(
            refused(client.list(Some(Position::Cursor(cursor.to_owned())), 0).await),
            invalid,
            "{cursor:?}"
        );
        assert_eq!(refused(client.watch(watch_from(cursor)).await), invalid, "{cursor:?}");
    }
}

#[tokio::test]
async fn a_key_cannot_be_used_for_another_message() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let message = question_from("Ann", "echo", "Well?");
    client.post_with_key(message.clone(), Some("key 1")).await.unwrap();
    let tail = client.stats().await.unwrap().tail_seq;
    let other = NewMessage { text: "Hm?".to_owned(), ..message.clone() };
    let conflict = (Code::InvalidArgument, "IDEMPOTENCY_CONFLICT".to_owned());
    assert_eq!(refused(client.post_with_key(other, Some("key 1")).await), conflict);
    assert!(client.post_with_key(message, Some("key 1")).await.unwrap().replayed);
    assert_eq!(client.stats().await.unwrap().tail_seq, tail, "neither stored anything");
}

#[tokio::test]
async fn an_edit_beside_the_lifecycle_is_refused() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let id = client.post(question("echo", "Well?")).await.unwrap().id;
    let edit = UpdateMessageRequest { message_id: id.clone(), ..UpdateMessageRequest::default() };
    let outcome = client.raw().update_message(edit.clone()).await;
    assert_eq!(refused(outcome).0, Code::InvalidArgument, "nothing is asked for");
    let complete = repartee_proto::v1::Status::Complete.into();
    let skip = UpdateMessageRequest { status: Some(complete), ..edit.clone() };
    assert_eq!(
        refused(client.raw().update_message(skip).await).0,
        Code::FailedPrecondition,
        "pending → complete"
    );
    client.claim(&id, "worker 1").await.unwrap();
    let late = UpdateMessageRequest { priority: Some(9), ..edit };
    assert_eq!(
        refused(client.raw().update_message(late).await).0,
        Code::FailedPrecondition,
        "it waits no longer"
    );
}

#[tokio::test]
async fn a_service_that_stops_says_unavailable_and_nothing_else() {
    let mut queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut watch = client.watch(watch_live()).await.unwrap();
    queue.process().ask_to_stop();
    while let Ok(Some(_)) = watch.event().await {}
    let status = client.post(question("echo", "Still there?")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(queue.process().exit_code().await, Some(0));
}

#[tokio::test]
async fn too_many_watches_are_refused_and_take_no_room_from_workers() {
    let queue = Service::queue_service(&["--max-streams", "1"]).await;
    let client = queue.grpc().await;
    let _first = client.watch(watch_live()).await.unwrap();
    let refused = Refused::from(&client.watch(watch_live()).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "TOO_MANY_STREAMS"));
    assert!(refused.retry_after.is_some());
    let _worker = client.stream(work("worker 1", &["echo"], 1)).await.unwrap();
    let refused = Refused::from(&client.claim_next("worker 2", &[], 0).await.unwrap_err());
    assert_eq!(refused.reason, "TOO_MANY_STREAMS", "a claim that may wait takes a place, too");
}

#[tokio::test]
async fn a_watch_that_is_not_read_is_ended_and_says_so() {
    let queue = Service::queue_service(&["--stream-patience", "1s"]).await;
    let client = queue.grpc().await;
    let mut watch = queue.grpc().await.watch(watch_live()).await.unwrap();
    let text = "x".repeat(16_384);
    // More than the connection and the stream hold between them, so that the server has to wait for the reader.
    for _ in 0..1_024 {
        client.post(platform_post("Human", &text)).await.unwrap();
    }
    let operator = Browser::new(&queue.grpc_url());
    let ended = async { while Metrics::of(&operator).await.refused("stream_events") < 1.0 {} };
    within_deadline("the end of the watch", ended).await;
    assert_eq!(client.stats().await.unwrap().watchers, 1, "what waits for it takes its place");
    let refused = loop {
        match watch.event().await {
            Ok(event) => assert!(event.is_some(), "a watch does not end without a word"),
            Err(status) => break Refused::from(&status),
        }
    };
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "SLOW_READER"));
    let free = async { while client.stats().await.unwrap().watchers > 0 {} };
    within_deadline("the place of the watch", free).await;
}
