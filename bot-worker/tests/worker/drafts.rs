//! What a handler shows while it works: it reaches the service under the lease, and is of no consequence.

use std::sync::Arc;

use bot_worker::{Reply, Task};
use repartee_proto::v1::{StreamDraftRequest, stream_draft_request::Content};
use tokio::{sync::Notify, time::timeout};

use crate::{
    fake::{Fake, PATIENCE},
    start,
};

/// What the service has been shown.
fn shown(steps: &[StreamDraftRequest]) -> String {
    steps.iter().fold(String::new(), |shown, step| match &step.content {
        Some(Content::Text(text)) => text.clone(),
        Some(Content::Delta(delta)) => shown + delta,
        None => shown,
    })
}

async fn until_shown(fake: &Fake, text: &str) -> Vec<StreamDraftRequest> {
    until(fake, text, |steps| shown(steps) == text).await
}

async fn until(
    fake: &Fake,
    what: &str,
    so: impl Fn(&[StreamDraftRequest]) -> bool,
) -> Vec<StreamDraftRequest> {
    let seen = async {
        loop {
            let steps = fake.shared.drafts.lock().unwrap().clone();
            if so(&steps) {
                return steps;
            }
            fake.shared.drafted.notified().await;
        }
    };
    timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("{what:?} is shown in time"))
}

/// How many streams have begun.
fn begun(steps: &[StreamDraftRequest]) -> usize {
    steps.iter().filter(|step| step.lease.is_some()).count()
}

#[tokio::test]
async fn what_a_handler_pushes_is_shown_under_its_lease_before_the_reply() {
    let mut fake = Fake::start().await;
    let (go_on, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (next, end) = (Arc::clone(&go_on), Arc::clone(&gate));
    let running = start(fake.worker(), move |task: Task| {
        let (next, end) = (Arc::clone(&next), Arc::clone(&end));
        async move {
            task.draft().push("I ");
            task.draft().push("think");
            next.notified().await;
            task.draft().push(", so");
            end.notified().await;
            Ok(Reply::new("I think, so I am."))
        }
    });
    let stream = fake.accepted_stream().await;
    stream.work("m1", "t1", "Why?").await;
    let steps = until_shown(&fake, "I think").await;
    let leases: Vec<_> = steps.iter().filter_map(|step| step.lease.as_ref()).collect();
    assert_eq!(leases.len(), 1, "the claim is named once");
    assert_eq!((leases[0].message_id.as_str(), leases[0].lease_token.as_str()), ("m1", "t1"));
    go_on.notify_one();
    until_shown(&fake, "I think, so").await;
    gate.notify_one();
    assert_eq!(fake.completion().await.reply.unwrap().text, "I think, so I am.");
    running.stop().await;
}

#[tokio::test]
async fn a_draft_whose_connection_broke_is_shown_again_in_whole() {
    let mut fake = Fake::start().await;
    *fake.shared.broken_drafts.lock().unwrap() = 2;
    let go_on = Arc::new(Notify::new());
    let next = Arc::clone(&go_on);
    let running = start(fake.worker(), move |task: Task| {
        let next = Arc::clone(&next);
        async move {
            task.draft().push("I ");
            next.notified().await;
            task.draft().push("think");
            next.notified().await;
            Ok(Reply::new("I think."))
        }
    });
    fake.accepted_stream().await.work("m1", "t1", "Why?").await;
    let steps = until(&fake, "the third try", |steps| begun(steps) == 3).await;
    assert_eq!(steps[2].content, Some(Content::Text("I ".into())), "in whole, though nothing is new");
    go_on.notify_one();
    assert_eq!(begun(&until_shown(&fake, "I think").await), 3, "then it goes on");
    go_on.notify_one();
    assert_eq!(fake.completion().await.reply.unwrap().text, "I think.");
    running.stop().await;
}

#[tokio::test]
async fn a_handler_that_pushes_nothing_opens_no_stream() {
    let mut fake = Fake::start().await;
    let running = start(fake.worker(), async |_: Task| Ok(Reply::new("At once.")));
    fake.accepted_stream().await.work("m1", "t1", "Why?").await;
    fake.completion().await;
    assert!(fake.shared.drafts.lock().unwrap().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn a_service_that_takes_no_draft_or_knows_none_delays_no_answer() {
    for code in [None, Some(tonic::Code::Unimplemented), Some(tonic::Code::FailedPrecondition)] {
        let mut fake = Fake::start().await;
        *fake.shared.drafts_answer.lock().unwrap() = Some(code);
        let running = start(fake.worker(), async |task: Task| {
            for _ in 0..10_000 {
                task.draft().push("x".repeat(100));
            }
            Ok(Reply::new("Done."))
        });
        fake.accepted_stream().await.work("m1", "t1", "Why?").await;
        assert_eq!(fake.completion().await.reply.unwrap().text, "Done.");
        running.stop().await;
    }
}
