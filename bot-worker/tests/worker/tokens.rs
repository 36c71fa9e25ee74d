//! The worker's token: sent with every call, replaced while the worker runs, and final if it was never accepted and stands in no file.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bot_worker::{Error, Reply, Task, Worker, echo};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::{
    fake::{Call, Fake},
    start, start_echo,
};

/// The file of a token, in a folder of its own.
fn token_file(token: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, token).unwrap();
    (folder, path)
}

/// Why this worker ended, in words.
async fn refusal(worker: Worker, code: Code) -> String {
    let ended = worker.run_until(CancellationToken::new(), echo).await;
    let Err(error @ Error::Refused(_)) = ended else { panic!("a refusal was expected, not {ended:?}") };
    let Error::Refused(status) = &error else { unreachable!("matched above") };
    assert_eq!(status.code(), code);
    error.to_string()
}

#[tokio::test]
async fn every_call_carries_the_token() {
    let mut fake = Fake::start().await;
    fake.want_token("the-token");
    let worker = start_echo(fake.worker().token("the-token"));
    let stream = fake.accepted_stream().await;
    stream.work("m1", "t1", "why?").await;
    assert_eq!(fake.completion().await.reply.unwrap().text, "why?");
    worker.stop().await;
}

#[tokio::test]
async fn a_wrong_token_at_the_first_start_is_final_and_the_message_says_what_to_do() {
    let fake = Fake::start().await;
    fake.want_token("the-token");
    let said = refusal(fake.worker().token("another-token"), Code::PermissionDenied).await;
    assert!(said.contains("unknown here or was revoked"), "{said}");
    for step in ["token new --role worker --entity", "--token-file", "REPARTEE_TOKEN"] {
        assert!(said.contains(step), "{said}");
    }
    assert!(!said.contains("another-token"), "{said}");
    let said = refusal(fake.worker(), Code::Unauthenticated).await;
    assert!(said.contains("token new --role worker"), "{said}");
}

#[tokio::test]
async fn a_token_that_was_just_made_may_be_unknown_for_a_moment() {
    let mut fake = Fake::start().await;
    fake.want_token("not-known-yet");
    let worker = start_echo(fake.worker().token("just-made"));
    fake.token_refused().await;
    fake.want_token("just-made");
    fake.accepted_stream().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_token_in_a_file_may_be_unknown_for_as_long_as_it_takes() {
    let mut fake = Fake::start().await;
    fake.want_token("not-known-yet");
    let (_folder, path) = token_file("made-by-an-upgrade");
    let worker = start_echo(fake.worker().token_file(&path));
    // A token that was given by variable is given up sooner.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        fake.token_refused().await;
    }
    fake.want_token("made-by-an-upgrade");
    fake.accepted_stream().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_token_that_cannot_be_read_or_sent_is_refused_before_anything_starts() {
    let fake = Fake::start().await;
    let (_folder, path) = token_file("two words");
    let missing = path.with_file_name("missing");
    for (worker, named) in [
        (fake.worker().token_file(&missing), "missing"),
        (fake.worker().token_file(&path), "9 bytes"),
        (fake.worker().token("short"), "5 bytes"),
    ] {
        let ended = worker.run_until(CancellationToken::new(), echo).await;
        let Err(error @ Error::Setting { .. }) = ended else { panic!("{ended:?}") };
        let said = error.to_string();
        assert!(said.contains(named) && !said.contains("two words") && !said.contains("short"), "{said}");
    }
}

#[tokio::test]
async fn a_rotated_token_is_read_again_when_the_worker_connects_anew() {
    let mut fake = Fake::start().await;
    fake.want_token("first-token");
    let (_folder, path) = token_file("first-token\n");
    let worker = start_echo(fake.worker().token_file(&path));
    let first = fake.accepted_stream().await;
    let session = first.request.session_id.clone();
    fake.want_token("second-token");
    drop(first);
    // The file is late: the worker is refused, and does not give up.
    fake.token_refused().await;
    fs::write(&path, "second-token\n").unwrap();
    let second = fake.accepted_stream().await;
    assert_eq!(second.request.session_id, session);
    second.work("m1", "t1", "still here").await;
    assert_eq!(fake.completion().await.reply.unwrap().text, "still here");
    worker.stop().await;
}

#[tokio::test]
async fn a_rotated_token_is_used_for_work_that_is_held_while_the_stream_stays_open() {
    let mut fake = Fake::start().await;
    fake.want_token("first-token");
    let (_folder, path) = token_file("first-token");
    let finish = Arc::new(Notify::new());
    let finished = Arc::clone(&finish);
    let worker = start(fake.worker().token_file(&path), move |_: Task| {
        let finished = Arc::clone(&finished);
        async move {
            finished.notified().await;
            Ok(Reply::new("done"))
        }
    });
    let stream = fake.accepted_stream().await;
    fs::write(&path, "second-token").unwrap();
    fake.want_token("second-token");
    stream.work("m1", "t1", "").await;
    let Call::Renew(_) = fake.call().await else { panic!("a renewal was expected") };
    finish.notify_one();
    assert_eq!(fake.completion().await.reply.unwrap().text, "done");
    worker.stop().await;
}
