//! Without a collector nothing is recorded, and a trace is passed on all the same.

use e2e::{World, held, reply, work};

use crate::{ANYBODYS, PAGE, TRACE, ask, sampled};

#[tokio::test]
async fn a_trace_is_stored_with_the_message_and_handed_to_the_worker_also_after_a_kill() {
    let mut world = World::with(&[], &ANYBODYS).await;
    let parent = sampled();
    let asked = ask(&world.gateway, &[("traceparent", &parent), ("tracestate", "page=1")]).await;
    assert_eq!((asked.header("traceparent"), asked.header("tracestate")), (parent.as_str(), "page=1"));
    world.queue.kill().await;
    world.queue.start_again_in_place().await;

    let client = world.grpc().await;
    let mut stream = client.stream(work("gpu-1", &["echo"], 1)).await.unwrap();
    let handed = stream.work().await;
    assert_eq!(handed.traceparent.as_deref(), Some(parent.as_str()));
    assert_eq!(handed.tracestate.as_deref(), Some("page=1"));
    let id = handed.message.as_ref().unwrap().id.clone();
    client.complete(held(&handed), reply("It is.")).await.unwrap();

    // This worker knows no traces: its answer is a part of the question's.
    let browser = world.browser();
    let view = browser.get(&format!("/api/admin/work/{id}")).await.ok(200);
    assert_eq!(view["traceId"], TRACE);
    let answer = view["replyId"].as_str().unwrap();
    assert_eq!(browser.get(&format!("/api/admin/work/{answer}")).await.ok(200)["traceId"], TRACE);
}

#[tokio::test]
async fn what_is_no_trace_is_neither_passed_on_nor_returned() {
    let world = World::with(&[], &ANYBODYS).await;
    for broken in ["nonsense", &format!("00-{TRACE}-{PAGE}"), &format!("ff-{TRACE}-{PAGE}-01")] {
        let asked = ask(&world.gateway, &[("traceparent", broken)]).await;
        assert_eq!(asked.header("traceparent"), "", "{broken}");
    }
    let client = world.grpc().await;
    let mut stream = client.stream(work("gpu-1", &["echo"], 1)).await.unwrap();
    assert_eq!(stream.work().await.traceparent, None);
}
