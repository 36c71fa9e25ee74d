//! Streams of work that their clients do not read: they are ended, and the work goes to others.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::{Browser, Grpc, Metrics, Refused, Service, held, offers, question_from, within_deadline, work};
use repartee_proto::v1::{HideMessageRequest, StreamPendingRequest, stream_pending_response::Event};
use tonic::Code;

/// Opens a stream of work, posts more to it than it can hold unread, and waits until it is ended.
async fn leave_unread(request: StreamPendingRequest) -> (Service, Grpc) {
    let queue = Service::queue_service(&["--stream-patience", "1s"]).await;
    let client = queue.grpc().await;
    let mut stream = queue.grpc().await.stream(request).await.unwrap();
    let text = "x".repeat(16_384);
    for number in 0..512 {
        let asked = question_from(&format!("Human {number}"), "echo", &text);
        client.post(asked).await.unwrap();
    }
    let operator = Browser::new(&queue.grpc_url());
    // It keeps its place until its client has taken what waits in it, or is cut off.
    let ended = async { while Metrics::of(&operator).await.refused("stream_events") < 1.0 {} };
    within_deadline("the end of the stream", ended).await;
    let refused = loop {
        match stream.event().await {
            Ok(event) => assert!(event.is_some(), "a stream does not end without a word"),
            Err(status) => break Refused::from(&status),
        }
    };
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "SLOW_READER"));
    assert_eq!(Metrics::of(&operator).await.refused("stream_events"), 1.0);
    (queue, client)
}

#[tokio::test]
async fn a_lease_stream_that_is_not_read_is_ended_and_its_work_goes_to_others() {
    let (_queue, client) = leave_unread(work("stalled", &["echo"], 1_000)).await;
    // Its leases are cut to 10 s, and counted as expired then: it was handed out, and nobody knows what was read.
    let claimed = within_deadline("work for another", async {
        loop {
            if let Some(claimed) = client.claim_next("worker 2", &["echo"], 25).await.unwrap() {
                break claimed;
            }
        }
    });
    client.complete(held(&claimed.await), None).await.unwrap();
}

#[tokio::test]
async fn an_offer_stream_that_is_not_read_is_ended_and_took_nothing() {
    let (_queue, client) = leave_unread(offers("stalled", &["echo"])).await;
    assert_eq!(client.stats().await.unwrap().pending, 512);
}

#[tokio::test]
async fn an_offer_stream_that_reads_late_gets_no_text_that_was_hidden_meanwhile() {
    let queue = Service::queue_service(&["--stream-patience", "60s"]).await;
    let client = queue.grpc().await;
    let mut stream = queue.grpc().await.stream(offers("late", &["echo"])).await.unwrap();
    let text = "x".repeat(16_384);
    let mut hidden = String::new();
    for number in 0..512 {
        let asked = question_from(&format!("Human {number}"), "echo", &text);
        hidden = client.post(asked).await.unwrap().id;
    }
    let hide = HideMessageRequest { message_id: hidden.clone(), ..HideMessageRequest::default() };
    client.raw().hide_message(hide).await.unwrap();
    let last = client.post(question_from("The last", "echo", "Well?")).await.unwrap().id;
    loop {
        let event = within_deadline("the last offer", stream.event()).await.unwrap().unwrap();
        let Event::Work(work) = event else { continue };
        let offered = work.message.unwrap().id;
        assert_ne!(offered, hidden, "nobody is given what is hidden");
        if offered == last {
            break;
        }
    }
}
