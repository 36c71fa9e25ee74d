//! Outcomes: what reaches the service of replies, errors and panics.

use std::time::Duration;

use bot_worker::{HandlerError, Reply, Task, echo};
use tonic::Code;

use crate::{fake::Fake, start, start_echo};

#[tokio::test]
async fn nothing_to_say_completes_without_a_reply() {
    let mut fake = Fake::start().await;
    let worker = start(fake.worker(), async |_: Task| Ok(None::<Reply>));
    fake.accepted_stream().await.work("m1", "t1", "psst").await;
    assert_eq!(fake.completion().await.reply, None);
    worker.stop().await;
}

#[tokio::test]
async fn a_completion_is_repeated_until_the_service_answers() {
    let mut fake = Fake::start().await;
    fake.refuse_completions(&[Code::Unavailable, Code::Unknown, Code::DeadlineExceeded]);
    let worker = start_echo(fake.worker());
    let stream = fake.accepted_stream().await;
    stream.work("m1", "t1", "again").await;
    let first = fake.completion().await;
    for _ in 0..3 {
        assert_eq!(fake.completion().await, first);
    }
    worker.stop().await;
    assert!(fake.unseen_call().is_none());
}

#[tokio::test]
async fn a_final_refusal_is_not_repeated_and_the_worker_lives_on() {
    let mut fake = Fake::start().await;
    fake.refuse_completions(&[Code::FailedPrecondition]);
    let worker = start_echo(fake.worker());
    let stream = fake.accepted_stream().await;
    stream.work("m1", "t1", "late").await;
    fake.completion().await;
    stream.work("m2", "t2", "next").await;
    assert_eq!(fake.completion().await.lease.unwrap().message_id, "m2");
    worker.stop().await;
    assert!(fake.unseen_call().is_none());
}

#[tokio::test]
async fn a_reply_that_the_service_refuses_is_a_failed_attempt() {
    let mut fake = Fake::start().await;
    fake.refuse_completions(&[Code::InvalidArgument]);
    let worker = start_echo(fake.worker());
    let stream = fake.accepted_stream().await;
    stream.work("m1", "t1", "").await;
    fake.completion().await;
    let failed = fake.failure().await;
    assert!(failed.retryable);
    assert_eq!(failed.error, "the reply was refused: prepared by the test");
    worker.stop().await;
}

#[tokio::test]
async fn an_error_fails_the_attempt_with_its_wait() {
    let mut fake = Fake::start().await;
    let busy = HandlerError::retryable("busy").after(Duration::from_secs(7));
    let handler = move |_: Task| std::future::ready(Err::<Reply, _>(busy.clone()));
    let worker = start(fake.worker(), handler);
    fake.accepted_stream().await.work("m1", "t1", "").await;
    let failed = fake.failure().await;
    assert_eq!((failed.error.as_str(), failed.retryable), ("busy", true));
    assert_eq!(failed.retry_after.unwrap().seconds, 7);
    worker.stop().await;
}

#[tokio::test]
async fn a_permanent_error_says_so_and_a_long_one_is_cut() {
    let mut fake = Fake::start().await;
    let handler = async |_: Task| Err::<Reply, _>(HandlerError::permanent("x".repeat(2_000)));
    let worker = start(fake.worker(), handler);
    fake.accepted_stream().await.work("m1", "t1", "").await;
    let failed = fake.failure().await;
    assert_eq!((failed.error.len(), failed.retryable), (1_024, false));
    worker.stop().await;
}

#[tokio::test]
async fn a_panic_fails_the_attempt_and_the_worker_lives_on() {
    let mut fake = Fake::start().await;
    let handler = async |task: Task| {
        assert!(task.message().id != "m1", "the secret text");
        echo(task).await
    };
    let worker = start(fake.worker(), handler);
    let stream = fake.accepted_stream().await;
    stream.work("m1", "t1", "").await;
    let failed = fake.failure().await;
    assert_eq!((failed.error.as_str(), failed.retryable), ("the handler panicked", true));
    stream.work("m2", "t2", "next").await;
    assert_eq!(fake.completion().await.reply.unwrap().text, "next");
    worker.stop().await;
}
