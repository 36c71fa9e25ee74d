//! The whole table of what `complete` answers, row by row.

use e2e::{Grpc, Service, held, id_of, precondition, question, refused, reply, watch_live};
use repartee_proto::v1::{
    ChangeKind, CompleteMessageRequest, CompleteMessagesRequest, LeaseRef, Work, complete_outcome::Outcome,
};
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
