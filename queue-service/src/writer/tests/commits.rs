//! Commits: what is in one, what is seen when, and what happens where one fails.

use super::{Bench, Order, poll};
use crate::{
    domain::{
        Rejection, Reply, RequestKey,
        tests::world::{by, lease, question, remark, stream},
    },
    journal::JournalError,
    writer::CommandError,
};

#[tokio::test]
async fn commands_that_wait_together_are_committed_together() {
    let (bench, mut commits, orders) = Bench::start_held(64);
    let mut first = Box::pin(bench.say());
    assert!(poll(&mut first).is_pending());
    assert_eq!(commits.recv().await.unwrap().changes.len(), 1);
    let mut others: Vec<_> = (0..10).map(|_| Box::pin(bench.say())).collect();
    assert!(others.iter_mut().all(|post| poll(post).is_pending()));
    orders.send(Order::Go).unwrap();
    let group = commits.recv().await.unwrap();
    orders.send(Order::Go).unwrap();

    assert_eq!(group.changes.iter().map(|change| change.seq()).collect::<Vec<_>>(), Vec::from_iter(2..=11));
    let stamps: Vec<_> = group.changes.iter().map(|change| change.record.content.timestamp).collect();
    assert!(stamps.iter().all(|stamp| *stamp == group.stamp), "one commit, one time stamp");
    assert!(first.await.content.timestamp < group.stamp);
    for (seq, post) in (2..).zip(others) {
        assert_eq!(post.await.state.seq, seq, "answers are in the order of the commands");
    }
    assert!(commits.try_recv().is_err());
}

#[tokio::test]
async fn nothing_is_visible_or_answered_before_it_is_durable() {
    let (bench, mut commits, orders) = Bench::start_held(64);
    let mut seat = bench.queue.join(stream("s", 1), 8).unwrap();
    let mut tail = bench.views.subscribe();
    let mut asking = Box::pin(bench.ask("ann"));
    assert!(poll(&mut asking).is_pending());
    let commit = commits.recv().await.unwrap();
    assert_eq!(commit.changes.len(), 2, "posted, and claimed for the stream at once");

    let mut event = Box::pin(seat.next());
    assert!(poll(&mut event).is_pending(), "the stream");
    assert!(poll(&mut asking).is_pending(), "the caller");
    assert!(!tail.has_changed().unwrap(), "the watchers");
    assert_eq!(bench.views.after(None, 0, 10).unwrap().items.len(), 0, "the polls");
    assert_eq!(bench.views.pending(&[], 10, i64::MAX).len(), 0, "the lists");
    assert_eq!(bench.shown(&commit.changes[0].record), None);

    orders.send(Order::Go).unwrap();
    let asked = asking.await;
    assert_eq!(*tail.borrow_and_update(), 2, "what is answered is visible");
    assert!(bench.shown(&asked).is_some());
    assert!(event.await.is_some());
}

#[tokio::test]
async fn a_failed_commit_ends_the_writer_and_nobody_is_told_ok() {
    let (bench, mut commits, orders) = Bench::start_held(64);
    let mut first = Box::pin(bench.try_post(remark("ann"), None));
    assert!(poll(&mut first).is_pending());
    commits.recv().await.unwrap();
    let mut second = Box::pin(bench.try_post(remark("bob"), None));
    assert!(poll(&mut second).is_pending());
    orders.send(Order::Fail).unwrap();

    assert!(matches!(first.await, Err(CommandError::Stopped)));
    assert!(matches!(second.await, Err(CommandError::Stopped)));
    assert!(matches!(bench.try_post(remark("cid"), None).await, Err(CommandError::Stopped)));
    assert_eq!(bench.tail(), 0);
    assert!(bench.views.after(None, 0, 10).unwrap().items.is_empty());
    let failure = bench.running.failed.await.unwrap();
    assert!(matches!(failure, JournalError::Sync(_)));
    bench.running.thread.join().unwrap();
}

#[tokio::test]
async fn a_stream_ends_when_a_commit_fails() {
    let (bench, mut commits, orders) = Bench::start_held(64);
    let mut seat = bench.queue.join(stream("s", 1), 8).unwrap();
    let mut asking = Box::pin(bench.try_post(question("ann", "bot"), None));
    assert!(poll(&mut asking).is_pending());
    commits.recv().await.unwrap();
    orders.send(Order::Fail).unwrap();
    assert_eq!(seat.next().await, None, "its work was not committed");
}

#[tokio::test]
async fn a_refusal_waits_for_the_commit_of_its_group() {
    let (bench, mut commits, orders) = Bench::start_held(64);
    let mut first = Box::pin(bench.say());
    assert!(poll(&mut first).is_pending());
    commits.recv().await.unwrap();
    let nobody = uuid::Uuid::from_u128(7);
    let mut refused = Box::pin(bench.queue.claim(nobody, by("w")));
    let mut said = Box::pin(bench.say());
    assert!(poll(&mut refused).is_pending() && poll(&mut said).is_pending());
    orders.send(Order::Go).unwrap();
    assert_eq!(commits.recv().await.unwrap().changes.len(), 1);
    assert!(poll(&mut refused).is_pending());
    orders.send(Order::Go).unwrap();
    assert!(matches!(refused.await, Err(CommandError::Rejected(Rejection::NotFound(id))) if id == nobody));
    said.await;
}

#[tokio::test]
async fn a_full_channel_refuses_at_once_and_stores_nothing() {
    let (bench, mut commits, orders) = Bench::start_held(2);
    let mut first = Box::pin(bench.try_post(remark("ann"), None));
    assert!(poll(&mut first).is_pending());
    commits.recv().await.unwrap();
    let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(bench.try_post(remark("bob"), None))).collect();
    assert!(waiting.iter_mut().all(|post| poll(post).is_pending()));
    assert!(matches!(bench.try_post(remark("cid"), None).await, Err(CommandError::Busy(_))));
    let _seat = bench.queue.join(stream("s", 1), 8).expect("takers get in: they make room");
    orders.send(Order::Go).unwrap();
    orders.send(Order::Go).unwrap();
    first.await.unwrap();
    for post in waiting {
        post.await.unwrap();
    }
    assert_eq!(bench.tail(), 3);
}

#[tokio::test]
async fn a_caller_that_is_gone_before_its_turn_changes_nothing() {
    let (bench, mut commits, orders) = Bench::start_held(64);
    let mut first = Box::pin(bench.say());
    assert!(poll(&mut first).is_pending());
    commits.recv().await.unwrap();
    let mut gone = Box::pin(bench.say());
    assert!(poll(&mut gone).is_pending());
    drop(gone);
    orders.send(Order::Go).unwrap();
    first.await;
    bench.settled().await;
    assert_eq!(bench.tail(), 1);
}

#[tokio::test]
async fn a_batch_has_one_commit_and_an_outcome_for_each() {
    let (bench, mut commits, orders) = Bench::start_held(64);
    let lost = crate::domain::NewMessage { reply_to: Some(uuid::Uuid::from_u128(7)), ..remark("bob") };
    let posts = vec![(remark("ann"), None), (lost, None), (remark("cid"), None)];
    let mut batch = Box::pin(bench.queue.post("PostMessages", posts));
    assert!(poll(&mut batch).is_pending());
    assert_eq!(commits.recv().await.unwrap().changes.len(), 2);
    orders.send(Order::Go).unwrap();
    let outcomes: Vec<_> = batch.await.unwrap().iter().map(Result::is_ok).collect();
    assert_eq!(outcomes, [true, false, true]);
}

#[tokio::test]
async fn a_finished_message_is_looked_up_in_the_storage_and_that_is_counted() {
    let bench = Bench::start();
    let id = bench.ask("ann").await.content.id;
    let leased = bench.queue.claim(id, by("w")).await.unwrap().accept();
    let reply = || Some(Reply { text: "It is not.".to_owned(), eq_score: 0, origin: None });
    let complete = || bench.queue.complete("CompleteMessage", vec![(lease(&leased), reply())]);
    let first = complete().await.unwrap().remove(0).unwrap();
    let again = complete().await.unwrap().remove(0).unwrap();
    assert!(again.already_completed);
    assert_eq!(again.reply, first.reply);
    let costs = bench.costs.by_call();
    let (_, cost) = costs.iter().find(|(call, _)| *call == "CompleteMessage").unwrap();
    assert_eq!((cost.calls, cost.reads), (2, 2), "what was said and where it stands, the second time");
}

#[tokio::test]
async fn an_idempotency_key_is_looked_up_in_the_storage() {
    let bench = Bench::start();
    let request =
        || Some(crate::domain::Request { key: RequestKey([1; 16]), fingerprint: [1; 16], before: None });
    let first = bench.try_post(remark("ann"), request()).await.unwrap();
    let again = bench.try_post(remark("ann"), request()).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.record, first.record);
    assert_eq!(bench.tail(), 1);
}

#[tokio::test]
async fn the_thread_ends_when_all_handles_are_gone() {
    let Bench { queue, running, .. } = Bench::start();
    drop(queue);
    running.thread.join().unwrap();
    assert!(running.failed.await.is_err(), "it did not fail");
}
