//! The session: delivery, leases, reconnecting, draining.

use std::{sync::Arc, time::Duration};

use bot_worker::{Error, HandlerError, Reply, Task, Worker, echo};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::{
    Running,
    fake::{Call, Fake},
    start, start_echo,
};

/// Tells the test what a handler that only waits goes through.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Started(String),
    Cancelled(String),
}

/// Starts a worker whose handler answers "done" once `finish` is notified, and reports what it sees.
fn start_waiting(worker: Worker, finish: Arc<Notify>) -> (Running, mpsc::Receiver<Seen>) {
    let (seen, receiver) = mpsc::channel(16);
    let handler = move |task: Task| {
        let (seen, finish) = (seen.clone(), Arc::clone(&finish));
        async move {
            let id = task.message().id.clone();
            seen.send(Seen::Started(id.clone())).await?;
            tokio::select! {
                () = finish.notified() => Ok(Reply::new("done")),
                () = task.cancelled().cancelled() => {
                    seen.send(Seen::Cancelled(id)).await?;
                    Err(HandlerError::retryable("cancelled"))
                }
            }
        }
    };
    (start(worker, handler), receiver)
}

fn started(id: &str) -> Option<Seen> {
    Some(Seen::Started(id.into()))
}

fn cancelled(id: &str) -> Option<Seen> {
    Some(Seen::Cancelled(id.into()))
}

#[tokio::test]
async fn work_is_answered_under_its_lease() {
    let mut fake = Fake::start().await;
    let worker = start_echo(fake.worker().context(7).max_in_flight(3));
    let stream = fake.accepted_stream().await;
    assert_eq!(stream.request.worker_id, "tester");
    assert_eq!(stream.request.entities, ["echo"]);
    assert_eq!((stream.request.max_in_flight, stream.request.context_limit), (3, 7));

    stream.work("m1", "t1", "why?").await;
    let done = fake.completion().await;
    let lease = done.lease.unwrap();
    assert_eq!((lease.message_id.as_str(), lease.lease_token.as_str()), ("m1", "t1"));
    assert_eq!(done.reply.unwrap().text, "why?");
    worker.stop().await;
}

#[tokio::test]
async fn running_work_is_renewed_in_one_batch() {
    let mut fake = Fake::start().await;
    let finish = Arc::new(Notify::new());
    let (worker, mut seen) = start_waiting(fake.worker().max_in_flight(2), Arc::clone(&finish));
    let stream = fake.accepted_stream().await;
    stream.work("m1", "t1", "").await;
    stream.work("m2", "t2", "").await;
    assert_eq!(seen.recv().await, started("m1"));
    assert_eq!(seen.recv().await, started("m2"));

    let Call::Renew(mut leases) = fake.call().await else { panic!("a renewal was expected") };
    leases.sort_by(|a, b| a.lease_token.cmp(&b.lease_token));
    let tokens: Vec<_> = leases.iter().map(|lease| lease.lease_token.as_str()).collect();
    assert_eq!(tokens, ["t1", "t2"]);
    finish.notify_waiters();
    fake.completion().await;
    fake.completion().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_lost_lease_cancels_the_task_and_nothing_is_reported() {
    let mut fake = Fake::start().await;
    fake.lose("t1");
    let (worker, mut seen) = start_waiting(fake.worker(), Arc::default());
    let stream = fake.accepted_stream().await;
    stream.work("m1", "t1", "").await;
    assert_eq!(seen.recv().await, started("m1"));
    assert_eq!(seen.recv().await, cancelled("m1"));
    assert!(matches!(fake.call().await, Call::Renew(_)));
    worker.stop().await;
    assert!(fake.unseen_call().is_none());
}

#[tokio::test]
async fn a_cancelled_message_cancels_the_task() {
    let mut fake = Fake::start().await;
    let (worker, mut seen) = start_waiting(fake.worker(), Arc::default());
    let stream = fake.accepted_stream().await;
    stream.work("m1", "t1", "").await;
    assert_eq!(seen.recv().await, started("m1"));
    stream.cancelled("m1").await;
    assert_eq!(seen.recv().await, cancelled("m1"));
    worker.stop().await;
    assert!(fake.unseen_call().is_none());
}

#[tokio::test]
async fn a_handler_that_ignores_its_cancellation_frees_its_place() {
    let mut fake = Fake::start().await;
    let handler = async |task: Task| match task.message().id.as_str() {
        "stuck" => std::future::pending().await,
        _ => echo(task).await,
    };
    let worker = start(fake.worker(), handler);
    let stream = fake.accepted_stream().await;
    stream.work("stuck", "t1", "").await;
    stream.cancelled("stuck").await;
    stream.work("m2", "t2", "next").await;
    assert_eq!(fake.completion().await.reply.unwrap().text, "next");
    worker.stop().await;
}

#[tokio::test]
async fn the_worker_connects_again_as_the_same_session() {
    let mut fake = Fake::start().await;
    let worker = start_echo(fake.worker());
    let first = fake.accepted_stream().await;
    let session = first.request.session_id.clone();
    drop(first);
    fake.refuse_stream(Code::Unavailable);
    let second = fake.accepted_stream().await;
    assert_eq!(second.request.session_id, session);
    second.going_away().await;
    let third = fake.accepted_stream().await;
    third.work("m1", "t1", "still here").await;
    assert_eq!(fake.completion().await.reply.unwrap().text, "still here");
    worker.stop().await;
}

#[tokio::test]
async fn work_that_is_sent_again_is_not_started_twice() {
    let mut fake = Fake::start().await;
    let finish = Arc::new(Notify::new());
    let (worker, mut seen) = start_waiting(fake.worker().max_in_flight(2), Arc::clone(&finish));
    let first = fake.accepted_stream().await;
    first.work("m1", "t1", "").await;
    assert_eq!(seen.recv().await, started("m1"));
    drop(first);
    let second = fake.accepted_stream().await;
    second.work("m1", "t1", "").await;
    second.work("m2", "t2", "").await;
    assert_eq!(seen.recv().await, started("m2"));
    finish.notify_waiters();
    let mut done =
        [fake.completion().await, fake.completion().await].map(|done| done.lease.unwrap().lease_token);
    done.sort();
    assert_eq!(done, ["t1", "t2"]);
    worker.stop().await;
    assert!(seen.recv().await.is_none());
}

#[tokio::test]
async fn a_silent_stream_is_dropped_and_opened_again() {
    let mut fake = Fake::start().await;
    let worker = start_echo(fake.worker());
    let silent = fake.stream().await;
    silent.hello(Duration::from_millis(50)).await;
    silent.dropped().await;
    fake.accepted_stream().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_that_the_service_refuses_ends_with_the_reason() {
    let fake = Fake::start().await;
    fake.refuse_stream(Code::PermissionDenied);
    let ended = fake.worker().run_until(CancellationToken::new(), echo).await;
    let Err(Error::Refused(status)) = ended else { panic!("a refusal was expected, not {ended:?}") };
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_drain_lets_running_work_finish() {
    let mut fake = Fake::start().await;
    let finish = Arc::new(Notify::new());
    let (worker, mut seen) = start_waiting(fake.worker(), Arc::clone(&finish));
    let stream = fake.accepted_stream().await;
    stream.work("m1", "t1", "").await;
    assert_eq!(seen.recv().await, started("m1"));
    worker.shutdown.cancel();
    stream.dropped().await;
    finish.notify_waiters();
    assert_eq!(fake.completion().await.reply.unwrap().text, "done");
    worker.stop().await;
    assert!(fake.unseen_call().is_none());
}

#[tokio::test]
async fn a_drain_releases_what_does_not_finish() {
    let mut fake = Fake::start().await;
    let (worker, mut seen) = start_waiting(fake.worker().drain(Duration::ZERO), Arc::default());
    let stream = fake.accepted_stream().await;
    stream.work("m1", "t1", "").await;
    assert_eq!(seen.recv().await, started("m1"));
    worker.stop().await;
    assert_eq!(seen.recv().await, cancelled("m1"));
    let Call::Release(lease, None) = fake.call().await else { panic!("a release was expected") };
    assert_eq!((lease.message_id.as_str(), lease.lease_token.as_str()), ("m1", "t1"));
    assert!(fake.unseen_call().is_none());
}

#[tokio::test]
async fn work_that_is_held_is_renewed_and_answered_though_no_stream_can_be_opened() {
    let mut fake = Fake::start().await;
    let finish = Arc::new(Notify::new());
    let (worker, mut seen) = start_waiting(fake.worker(), Arc::clone(&finish));
    let stream = fake.accepted_stream().await;
    stream.work("m1", "t1", "").await;
    assert_eq!(seen.recv().await, started("m1"));
    for _ in 0..100 {
        fake.refuse_stream(Code::ResourceExhausted);
    }
    drop(stream);
    assert!(matches!(fake.call().await, Call::Renew(_)));
    finish.notify_one();
    assert_eq!(fake.completion().await.reply.unwrap().text, "done");
    worker.stop().await;
}

#[tokio::test]
async fn work_that_is_held_is_answered_or_given_back_by_a_worker_that_is_refused_for_good() {
    let mut fake = Fake::start().await;
    let finish = Arc::new(Notify::new());
    let worker = fake.worker().max_in_flight(2).drain(Duration::from_millis(500));
    let (worker, mut seen) = start_waiting(worker, Arc::clone(&finish));
    let stream = fake.accepted_stream().await;
    for (id, lease) in [("m1", "t1"), ("m2", "t2")] {
        stream.work(id, lease, "").await;
        assert_eq!(seen.recv().await, started(id));
    }
    fake.refuse_stream(Code::PermissionDenied);
    drop(stream);
    // One of the two is told to finish, the other one never.
    finish.notify_one();
    assert!(fake.completion().await.reply.is_some());
    let ended = worker.ended.await.unwrap();
    assert!(matches!(ended, Err(Error::Refused(_))), "{ended:?}");
    let released = std::iter::from_fn(|| fake.unseen_call()).any(|call| matches!(call, Call::Release(..)));
    assert!(released, "the other one is given back");
}
