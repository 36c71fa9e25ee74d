//! The whole table of what `complete` answers, row by row.

use e2e::{
    Answer, ECHO_WORKER, Grpc, OPERATOR, Service, WORKER, World, held, id_of, precondition, question,
    refused, reply, watch_live,
};
use futures_util::stream;
use repartee_proto::v1::{
    ChangeKind, CompleteMessageRequest, CompleteMessagesRequest, LeaseRef, StreamDraftRequest, Work,
    complete_outcome::Outcome,
};
use reqwest::Method;
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

/// A claimed question.
async fn claimed(client: &Grpc) -> Work {
    let id = client.post(question("echo", "Well?")).await.expect("a question is stored").id;
    client.claim(&id, "worker 1").await.expect("a pending message can be claimed")
}

#[tokio::test]
async fn the_current_token_completes() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let work = claimed(&client).await;
    let answer = client.complete(held(&work), reply("Well.")).await.unwrap();
    assert!(!answer.late && !answer.already_completed);
    let stored = client.get(&answer.reply_id.unwrap()).await.unwrap();
    assert_eq!((stored.text.as_str(), stored.reply_to), ("Well.", Some(id_of(&work))));
}

#[tokio::test]
async fn without_a_reply_nothing_but_the_status_changes() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let work = claimed(&client).await;
    let answer = client.complete(held(&work), None).await.unwrap();
    assert_eq!(answer.reply_id, None);
    assert_eq!(client.list(None, 0).await.unwrap().messages, [answer.message.unwrap()]);
}

#[tokio::test]
async fn the_last_token_completes_late_where_nobody_took_over() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut watch = client.watch(watch_live()).await.unwrap();
    let id = client.post(question("echo", "Well?")).await.unwrap().id;
    let work = client.claim_for(&id, "worker 1", 5).await.unwrap();
    watch.until(ChangeKind::Expired, &id).await;
    let answer = client.complete(held(&work), reply("Slowly.")).await.unwrap();
    assert!(answer.late && !answer.already_completed);
    assert_eq!(client.get(&answer.reply_id.unwrap()).await.unwrap().text, "Slowly.");
    assert!(client.pending("").await.unwrap().is_empty());
}

#[tokio::test]
async fn the_same_token_again_answers_the_same_reply_even_after_a_restart() {
    let mut queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let work = claimed(&client).await;
    let first = client.complete(held(&work), reply("Once.")).await.unwrap();
    let again = client.complete(held(&work), reply("Twice?")).await.unwrap();
    assert!(again.already_completed);
    assert_eq!(again.reply_id, first.reply_id);

    queue.kill().await;
    queue.start_again().await;
    let client = queue.grpc().await;
    let again = client.complete(held(&work), reply("Thrice?")).await.unwrap();
    assert!(again.already_completed);
    assert_eq!(again.reply_id, first.reply_id);
    assert_eq!(client.list(None, 0).await.unwrap().messages.len(), 2, "one question, one reply");
}

#[tokio::test]
async fn a_token_that_another_claim_has_replaced_has_lost_its_lease() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let work = claimed(&client).await;
    client.release(held(&work)).await.unwrap();
    client.claim(&id_of(&work), "worker 2").await.unwrap();
    assert_eq!(refused(client.complete(held(&work), reply("Mine.")).await), precondition("LEASE_LOST"));
}

#[tokio::test]
async fn a_message_completed_under_another_token_is_already_completed() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let work = claimed(&client).await;
    client.release(held(&work)).await.unwrap();
    let other = client.claim(&id_of(&work), "worker 2").await.unwrap();
    client.complete(held(&other), reply("Done.")).await.unwrap();
    assert_eq!(
        refused(client.complete(held(&work), reply("Mine.")).await),
        precondition("ALREADY_COMPLETED")
    );
}

#[tokio::test]
async fn a_cancelled_message_and_a_failed_one_say_so() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let cancelled = claimed(&client).await;
    client.cancel(&id_of(&cancelled)).await.unwrap();
    assert_eq!(refused(client.complete(held(&cancelled), reply("Hm.")).await), precondition("CANCELLED"));
    let failed = claimed(&client).await;
    client.give_up(held(&failed), "no idea").await.unwrap();
    assert_eq!(refused(client.complete(held(&failed), reply("Hm.")).await), precondition("FAILED"));
}

#[tokio::test]
async fn an_unknown_message_is_not_found() {
    let queue = Service::queue_service(&[]).await;
    let (message_id, lease_token) = (Uuid::new_v4().to_string(), Uuid::new_v4().simple().to_string());
    let unknown = LeaseRef { message_id, lease_token, worker_id: String::new() };
    let outcome = queue.grpc().await.complete(unknown, reply("Hm.")).await;
    assert_eq!(refused(outcome), (Code::NotFound, String::new()));
}

#[tokio::test]
async fn the_worker_id_of_the_live_claim_stands_in_for_its_token() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let work = claimed(&client).await;
    let by_name =
        |worker: &str| LeaseRef { worker_id: worker.to_owned(), lease_token: String::new(), ..held(&work) };
    let stranger = client.complete(by_name("worker 2"), reply("Hm.")).await;
    assert_eq!(refused(stranger), precondition("LEASE_LOST"));
    client.complete(by_name("worker 1"), reply("Well.")).await.unwrap();
}

#[tokio::test]
async fn a_worker_id_proves_nothing_under_another_token_for_the_same_entity() {
    let world = World::start().await;
    let own = world.queue.grpc_with(Some(WORKER)).await;
    let id = world.grpc().await.post(question("echo", "Well?")).await.unwrap().id;
    let work = own.claim_for(&id, "worker 1", 60).await.unwrap();
    let by_name = || LeaseRef { worker_id: "worker 1".to_owned(), lease_token: String::new(), ..held(&work) };
    let lost = precondition("LEASE_LOST");
    for token in [ECHO_WORKER, OPERATOR] {
        let other = world.queue.grpc_with(Some(token)).await;
        let renewed = other.renew(by_name()).await.unwrap().unwrap_err();
        assert_eq!(renewed.reason, "LEASE_LOST");
        assert_eq!(refused(other.release(by_name()).await), lost);
        assert_eq!(refused(other.fail(by_name(), "no", None).await), lost);
        assert_eq!(refused(other.complete(by_name(), reply("Mine.")).await), lost);
        let draft = StreamDraftRequest { lease: Some(by_name()), ..StreamDraftRequest::default() };
        assert_eq!(refused(other.raw().stream_draft(stream::iter([draft])).await), lost);
        let json = world.gateway.browser_with(token);
        for (path, body) in [
            ("renew", json!({})),
            ("release", json!({})),
            ("complete", json!({"reply": {"text": "Mine."}})),
            ("fail", json!({"error": "no"})),
        ] {
            let mut body = body;
            (body["messageId"], body["workerId"]) = (json!(id), json!("worker 1"));
            let problem = json.post(&format!("/api/queue/{path}"), &body).await.problem(409);
            assert_eq!(problem["reason"], "LEASE_LOST", "{path}");
        }
    }
    // Its own token, and whoever was handed the token of the lease, as a worker has after its own was replaced.
    own.renew(by_name()).await.unwrap().unwrap();
    let replaced = world.queue.grpc_with(Some(ECHO_WORKER)).await;
    replaced.renew(held(&work)).await.unwrap().unwrap();
    let answer = json!({"messageId": id, "workerId": "worker 1", "reply": {"text": "Well."}});
    let json = world.gateway.browser_with(WORKER);
    json.post("/api/queue/complete", &answer).await.ok(200);
}

#[tokio::test]
async fn a_batch_has_one_outcome_an_item_and_one_timestamp() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let (one, two, lost) = (claimed(&client).await, claimed(&client).await, claimed(&client).await);
    client.release(held(&lost)).await.unwrap();
    client.claim(&id_of(&lost), "worker 2").await.unwrap();
    let completion =
        |work: &Work, text| CompleteMessageRequest { lease: Some(held(work)), reply: reply(text) };
    let items = vec![completion(&one, "One."), completion(&lost, "Hm."), completion(&two, "Two.")];
    let answer =
        client.raw().complete_messages(CompleteMessagesRequest { items }).await.unwrap().into_inner();
    let outcomes: Vec<_> = answer.outcomes.into_iter().map(|outcome| outcome.outcome.unwrap()).collect();
    let [Outcome::Completed(one), Outcome::Rejection(lost), Outcome::Completed(two)] = outcomes.as_slice()
    else {
        panic!("one outcome an item, in order: {outcomes:?}");
    };
    assert_eq!((lost.code, lost.reason.as_str()), (Code::FailedPrecondition as i32, "LEASE_LOST"));
    let replies = [one, two].map(|completed| completed.reply_id.clone().unwrap());
    let one = client.get(&replies[0]).await.unwrap();
    let two = client.get(&replies[1]).await.unwrap();
    assert_eq!((one.text.as_str(), two.text.as_str()), ("One.", "Two."));
    assert_eq!(one.timestamp, two.timestamp, "all messages of one commit carry the same timestamp");
}

#[tokio::test]
async fn an_answer_to_what_an_operator_completed_is_refused_by_grpc_and_json() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    let work = claimed(&client).await;
    let done = browser.request(Method::PATCH, &format!("/api/comments/{}", id_of(&work)));
    Answer::to(done.json(&json!({"status": "complete"}))).await.ok(200);

    let already = precondition("ALREADY_COMPLETED");
    assert_eq!(refused(client.complete(held(&work), reply("Mine.")).await), already);
    let by_name = LeaseRef { worker_id: "worker 1".to_owned(), lease_token: String::new(), ..held(&work) };
    assert_eq!(refused(client.complete(by_name, reply("Mine.")).await), already);
    let LeaseRef { message_id, lease_token, .. } = held(&work);
    let answer = json!({"messageId": message_id, "leaseToken": lease_token, "reply": {"text": "Mine."}});
    let problem = browser.post("/api/queue/complete", &answer).await.problem(409);
    assert_eq!(problem["reason"], "ALREADY_COMPLETED");
    let batch = CompleteMessagesRequest {
        items: vec![CompleteMessageRequest { lease: Some(held(&work)), reply: reply("Mine.") }],
    };
    let outcomes = client.raw().complete_messages(batch).await.unwrap().into_inner().outcomes;
    let Some(Outcome::Rejection(lost)) = &outcomes[0].outcome else { panic!("{outcomes:?}") };
    assert_eq!(lost.reason, "ALREADY_COMPLETED");
    assert_eq!(client.list(None, 0).await.unwrap().messages.len(), 1, "the question alone");
}

#[tokio::test]
async fn a_claim_that_finished_without_a_reply_is_refused_when_it_brings_one() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let work = claimed(&client).await;
    client.complete(held(&work), None).await.unwrap();
    assert_eq!(
        refused(client.complete(held(&work), reply("After all.")).await),
        precondition("ALREADY_COMPLETED")
    );
    assert!(client.complete(held(&work), None).await.unwrap().already_completed, "a repeat is one");
}
