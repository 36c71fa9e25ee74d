//! Every error that the contract names, provoked over the wire on gRPC.

use e2e::{
    Refused, Service, held, platform_post, question, question_from, refused, reply, seconds, watch_from,
    watch_live, work,
};
use repartee_proto::v1::{
    BotAddress, ClaimNextRequest, LeaseRef, ListMessagesRequest, MessageType, NewMessage,
    PostMessagesRequest, RenewLeasesRequest, StreamPendingRequest, UpdateMessageRequest,
    list_messages_request::Position,
};
use tonic::{Code, Status};
use uuid::Uuid;

/// The one field that a refused request is told to correct.
fn wrong_field<T: std::fmt::Debug>(outcome: Result<T, Status>) -> String {
    let status = outcome.expect_err("the call must be refused");
    let refusal = Refused::from(&status);
    assert_eq!(refusal.code, Code::InvalidArgument, "{status:?}");
    let [field] = refusal.fields.as_slice() else { panic!("one field is at fault: {status:?}") };
    field.clone()
}

fn precondition(reason: &str) -> (Code, String) {
    (Code::FailedPrecondition, reason.to_owned())
}

fn unknown() -> String {
    Uuid::new_v4().to_string()
}

#[tokio::test]
async fn a_message_that_breaks_a_limit_is_refused_by_the_name_of_the_field() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let (good, long) = (platform_post("Human", "Hello."), |length: usize| "x".repeat(length));
    let bot = BotAddress { entity: "echo".to_owned(), ..BotAddress::default() };
    let asked = |bot| NewMessage { bot: Some(bot), ..good.clone() };
    let ai = NewMessage { message_type: MessageType::Ai.into(), ..good.clone() };
    let wrong = [
        ("message.domain", NewMessage { domain: String::new(), ..good.clone() }),
        ("message.domain", NewMessage { domain: long(256), ..good.clone() }),
        ("message.text", NewMessage { text: String::new(), ..good.clone() }),
        ("message.text", NewMessage { text: long(16_385), ..good.clone() }),
        ("message.text", NewMessage { text: "a\0b".to_owned(), ..good.clone() }),
        ("message.username", NewMessage { username: String::new(), ..good.clone() }),
        ("message.username", NewMessage { username: long(65), ..good.clone() }),
        ("message.color", NewMessage { color: long(65), ..good.clone() }),
        ("message.message_type", NewMessage { message_type: 0, ..good.clone() }),
        ("message.message_type", NewMessage { message_type: 7, ..good.clone() }),
        ("message.reply_to", NewMessage { reply_to: Some(unknown()), ..good.clone() }),
        ("message.bot", NewMessage { bot: Some(bot.clone()), ..ai.clone() }),
        ("message.bot.entity", asked(BotAddress { entity: String::new(), ..bot.clone() })),
        ("message.bot.entity", asked(BotAddress { entity: long(65), ..bot.clone() })),
        ("message.bot.priority", asked(BotAddress { priority: Some(100), ..bot.clone() })),
        ("message.bot.ai_username", asked(BotAddress { ai_username: Some(long(65)), ..bot.clone() })),
        ("message.bot.ai_color", asked(BotAddress { ai_color: Some(long(65)), ..bot.clone() })),
        ("message.bot.session_id", asked(BotAddress { session_id: Some(long(65)), ..bot.clone() })),
    ];
    for (field, message) in wrong {
        assert_eq!(wrong_field(client.post(message).await), field);
    }
    for key in [String::new(), long(256)] {
        assert_eq!(wrong_field(client.post_with_key(good.clone(), Some(&key)).await), "idempotency_key");
    }
    assert_eq!(client.stats().await.unwrap().tail_seq, 0, "nothing was stored");
}

#[tokio::test]
async fn the_longest_allowed_values_are_stored() {
    let queue = Service::queue_service(&[]).await;
    let wide = |length: usize| "ß".repeat(length);
    let bot = BotAddress {
        entity: wide(64),
        priority: Some(99),
        session_id: Some(wide(64)),
        ..BotAddress::default()
    };
    let longest = NewMessage {
        domain: wide(255),
        text: wide(8_192),
        username: wide(64),
        color: wide(64),
        bot: Some(bot),
        ..platform_post("Human", "")
    };
    let stored =
        queue.grpc().await.post_with_key(longest.clone(), Some(&wide(255))).await.unwrap().message.unwrap();
    assert_eq!(
        (stored.text, stored.username, stored.domain),
        (longest.text, longest.username, longest.domain)
    );
}

#[tokio::test]
async fn a_workers_call_that_breaks_a_limit_is_refused_by_the_name_of_the_field() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let id = client.post(question("echo", "Well?")).await.unwrap().id;
    let many = vec!["echo".to_owned(); 101];
    for worker in [String::new(), "x".repeat(65)] {
        assert_eq!(wrong_field(client.claim(&id, &worker).await), "worker_id");
        assert_eq!(wrong_field(client.claim_next(&worker, &[], 0).await), "worker_id");
        assert_eq!(wrong_field(client.stream(work(&worker, &["echo"], 1)).await), "worker_id");
    }
    for lease in [4, 601, -1] {
        assert_eq!(wrong_field(client.claim_for(&id, "worker 1", lease).await), "lease");
    }
    assert_eq!(wrong_field(client.claim_next("worker 1", &[], 26).await), "wait");
    let next = ClaimNextRequest { worker_id: "worker 1".to_owned(), ..ClaimNextRequest::default() };
    let too_many = ClaimNextRequest { entities: many.clone(), ..next.clone() };
    assert_eq!(wrong_field(client.raw().claim_next(too_many).await), "entities");
    let too_much = ClaimNextRequest { context_limit: 101, ..next };
    assert_eq!(wrong_field(client.raw().claim_next(too_much).await), "context_limit");

    let stream = work("worker 1", &["echo"], 1);
    let wrong = [
        ("session_id", StreamPendingRequest { session_id: String::new(), ..stream.clone() }),
        ("entities", StreamPendingRequest { entities: many, ..stream.clone() }),
        ("mode", StreamPendingRequest { mode: 9, ..stream.clone() }),
        ("max_in_flight", StreamPendingRequest { max_in_flight: 1_001, ..stream.clone() }),
        ("lease", StreamPendingRequest { lease: seconds(601), ..stream.clone() }),
        ("context_limit", StreamPendingRequest { context_limit: 101, ..stream }),
    ];
    for (field, request) in wrong {
        assert_eq!(wrong_field(client.stream(request).await), field);
    }
    assert_eq!(client.get(&id).await.unwrap().bot_params.unwrap().attempts, 0, "nothing was claimed");
}

#[tokio::test]
async fn a_finish_that_breaks_a_limit_is_refused_and_the_claim_lives_on() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let id = client.post(question("echo", "Well?")).await.unwrap().id;
    let lease = held(&client.claim(&id, "worker 1").await.unwrap());
    for text in [String::new(), "x".repeat(16_385), "a\0b".to_owned()] {
        assert_eq!(wrong_field(client.complete(lease.clone(), reply(&text)).await), "reply.text");
    }
    for error in [String::new(), "x".repeat(1_025)] {
        assert_eq!(wrong_field(client.fail(lease.clone(), &error, None).await), "error");
    }
    assert_eq!(wrong_field(client.fail(lease.clone(), "why", Some(86_401)).await), "retry_after");
    let nobody = LeaseRef { lease_token: String::new(), ..lease.clone() };
    assert_eq!(wrong_field(client.complete(nobody, reply("Well.")).await), "lease.lease_token");
    let none = RenewLeasesRequest { leases: Vec::new(), lease: None };
    assert_eq!(wrong_field(client.raw().renew_leases(none).await), "leases");
    client.complete(lease, reply("Well.")).await.unwrap();
}

#[tokio::test]
async fn a_page_or_batch_beyond_its_limit_is_refused() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    assert_eq!(wrong_field(client.list(None, 1_001).await), "limit");
    assert_eq!(wrong_field(client.list(Some(Position::After(-1)), 0).await), "after");
    let long = ListMessagesRequest { domain: "x".repeat(256), ..ListMessagesRequest::default() };
    assert_eq!(wrong_field(client.raw().list_messages(long).await), "domain");
    assert_eq!(
        wrong_field(client.raw().post_messages(PostMessagesRequest { items: Vec::new() }).await),
        "items"
    );
    let items = vec![Default::default(); 257];
    assert_eq!(wrong_field(client.raw().post_messages(PostMessagesRequest { items }).await), "items");
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
    assert_eq!(refused(client.retry(&id).await).0, Code::FailedPrecondition, "it waits already");
    let lease = held(&client.claim(&id, "worker 1").await.unwrap());
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
    let wrong = UpdateMessageRequest { priority: Some(100), ..edit.clone() };
    assert_eq!(wrong_field(client.raw().update_message(wrong).await), "priority");
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
