//! All that a worker does on one stream: Work.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::{
    Browser, ECHO_WORKER, GATEWAY, Grpc, Metrics, Refused, Service, StepStream, WORKER, held, id_of, offers,
    question, reply, work,
};
use repartee_proto::v1::{
    self, ClaimMessageRequest, ClaimNextRequest, CompleteMessageRequest, FailMessageRequest, ItemMetadata,
    LeaseRef, ReleaseMessageRequest, RenewLeasesRequest, StreamPendingRequest, renew_outcome,
    work_outcome::Outcome, work_request::Step, work_response::Event,
};
use tonic::{Code, Status};

fn complete(lease: LeaseRef, text: &str) -> Step {
    Step::Complete(CompleteMessageRequest { lease: Some(lease), reply: reply(text) })
}

fn claim(message_id: &str) -> Step {
    let (message_id, worker_id) = (message_id.to_owned(), "worker 1".to_owned());
    Step::Claim(ClaimMessageRequest { message_id, worker_id, lease: None })
}

async fn next_work(stream: &mut StepStream) -> v1::Work {
    match stream.event().await.unwrap() {
        Some(Event::Work(work)) => work,
        other => panic!("waited for work, got {other:?}"),
    }
}

fn code(outcome: Result<Outcome, Status>) -> Code {
    outcome.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test]
async fn a_worker_subscribes_renews_and_completes_on_one_stream() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut stream = StepStream::open(&client).await.unwrap();
    let subscribed = stream.take(Step::Subscribe(work("worker 1", &["echo"], 2))).await.unwrap();
    assert!(matches!(subscribed, Outcome::Subscribed(_)), "{subscribed:?}");
    let asked = client.post(question("echo", "Well?")).await.unwrap();
    let work = next_work(&mut stream).await;
    assert_eq!(id_of(&work), asked.id);

    let renew = RenewLeasesRequest { leases: vec![held(&work)], lease: None };
    let Outcome::Renewed(renewed) = stream.take(Step::Renew(renew)).await.unwrap() else {
        panic!("a renewal")
    };
    let outcome = renewed.outcomes[0].outcome.clone().unwrap();
    assert!(matches!(outcome, renew_outcome::Outcome::ExpiresAt(_)), "{outcome:?}");

    let completed = stream.take(complete(held(&work), "Very well.")).await.unwrap();
    let Outcome::Completed(completed) = completed else { panic!("a completion, not {completed:?}") };
    assert!(!completed.already_completed && !completed.late);
    let answer = client.get(&completed.reply_id.unwrap()).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.reply_to.as_deref()), ("Very well.", Some(asked.id.as_str())));
    let again = stream.take(complete(held(&work), "Very well.")).await.unwrap();
    assert!(matches!(again, Outcome::Completed(again) if again.already_completed));

    let metrics = Metrics::of(&Browser::new(&queue.grpc_url())).await;
    assert_eq!(metrics.bound("worker_streams").0, 1.0);
    let calls = "repartee_grpc_calls_total{method=\"/repartee.v1.QueueService/CompleteMessage\",code=\"OK\"}";
    assert_eq!(metrics.value(calls), 2.0);
}

#[tokio::test]
async fn a_worker_claims_releases_and_fails_without_a_subscription() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut stream = StepStream::open(&client).await.unwrap();
    let asked = client.post(question("echo", "Well?")).await.unwrap();
    let Outcome::Claimed(claimed) = stream.take(claim(&asked.id)).await.unwrap() else { panic!("a claim") };
    let lease = LeaseRef {
        message_id: asked.id.clone(),
        lease_token: claimed.lease.unwrap().token,
        worker_id: String::new(),
    };
    let release = ReleaseMessageRequest { lease: Some(lease.clone()), holds_back: None };
    let released = stream.take(Step::Release(release.clone())).await.unwrap();
    assert!(matches!(released, Outcome::Released(_)), "{released:?}");
    let by_item = stream.take(Step::Release(release.clone())).await.unwrap_err();
    let by_call = client.raw().release_message(release).await.unwrap_err();
    assert_eq!(Refused::from(&by_item), Refused::from(&by_call), "refused as the call is");

    let next = |wait| {
        let worker_id = "worker 2".to_owned();
        Step::ClaimNext(ClaimNextRequest { worker_id, wait, ..ClaimNextRequest::default() })
    };
    let waits = stream.take(next(e2e::seconds(1))).await.unwrap_err();
    assert_eq!(Refused::from(&waits).fields, ["claim_next.wait"]);
    let Outcome::Next(claimed) = stream.take(next(None)).await.unwrap() else { panic!("the next work") };
    let lease = held(&claimed.work.unwrap());
    let error = "the model is away".to_owned();
    let fail = FailMessageRequest { lease: Some(lease), error, retryable: false, retry_after: None };
    let Outcome::Failed(failed) = stream.take(Step::Fail(fail)).await.unwrap() else { panic!("a failure") };
    assert_eq!(failed.message.unwrap().bot_params.unwrap().status(), v1::Status::Failed);
    let Outcome::Next(nothing) = stream.take(next(None)).await.unwrap() else { panic!("no work") };
    assert_eq!(nothing.work, None);
}

#[tokio::test]
async fn subscribing_anew_takes_the_place_of_what_was_subscribed_to() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut stream = StepStream::open(&client).await.unwrap();
    let takes = work("worker 1", &["echo"], 3);
    let holds_back = StreamPendingRequest { holds_back: Some("out of tokens".into()), ..takes.clone() };
    stream.take(Step::Subscribe(takes.clone())).await.unwrap();
    client.post(question("echo", "First?")).await.unwrap();
    let first = next_work(&mut stream).await;
    stream.take(Step::Subscribe(holds_back)).await.unwrap();
    assert_eq!(held(&next_work(&mut stream).await), held(&first), "what it holds is sent again");
    let second = client.post(question("echo", "Second?")).await.unwrap();
    stream.take(complete(held(&first), "First!")).await.unwrap();
    assert_eq!(client.status(&second.id).await.unwrap(), v1::Status::Pending, "it holds back");
    stream.take(Step::Subscribe(takes)).await.unwrap();
    assert_eq!(id_of(&next_work(&mut stream).await), second.id);
    let sessions = client.stats().await.unwrap().sessions;
    assert_eq!(sessions.iter().map(|session| session.streams).sum::<u32>(), 1);

    let offered = stream.take(Step::Subscribe(offers("worker 1", &["echo"]))).await.unwrap_err();
    assert_eq!(Refused::from(&offered).fields, ["subscribe.mode"]);
}

#[tokio::test]
async fn work_that_is_called_off_is_told_on_the_stream() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut stream = StepStream::open(&client).await.unwrap();
    stream.take(Step::Subscribe(work("worker 1", &["echo"], 1))).await.unwrap();
    let asked = client.post(question("echo", "Well?")).await.unwrap();
    next_work(&mut stream).await;
    client.cancel(&asked.id).await.unwrap();
    match stream.event().await.unwrap() {
        Some(Event::Cancelled(cancelled)) => assert_eq!(cancelled.message_id, asked.id),
        other => panic!("waited for a cancellation, got {other:?}"),
    }
}

#[tokio::test]
async fn a_stream_that_ends_gives_the_session_its_leases_back_on_the_next() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let takes = work("worker 1", &["echo"], 1);
    let mut stream = StepStream::open(&client).await.unwrap();
    stream.take(Step::Subscribe(takes.clone())).await.unwrap();
    client.post(question("echo", "Well?")).await.unwrap();
    let first = next_work(&mut stream).await;
    stream.end();
    assert_eq!(stream.event().await.unwrap(), None);
    let mut stream = StepStream::open(&client).await.unwrap();
    stream.take(Step::Subscribe(takes)).await.unwrap();
    assert_eq!(held(&next_work(&mut stream).await), held(&first));
    stream.take(complete(held(&first), "Very well.")).await.unwrap();
}

#[tokio::test]
async fn a_service_that_stops_says_so_and_a_restart_knows_what_is_held() {
    let mut queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let takes = work("worker 1", &["echo"], 1);
    let mut stream = StepStream::open(&client).await.unwrap();
    stream.take(Step::Subscribe(takes.clone())).await.unwrap();
    client.post(question("echo", "Well?")).await.unwrap();
    let first = next_work(&mut stream).await;
    let told = async {
        let told = stream.event().await.unwrap();
        assert!(matches!(told, Some(Event::GoingAway(_))), "{told:?}");
        assert_eq!(stream.event().await.unwrap(), None);
    };
    let ((), code) = tokio::join!(told, queue.terminate());
    assert_eq!(code, Some(0));
    queue.start_again().await;
    let mut stream = StepStream::open(&queue.grpc().await).await.unwrap();
    stream.take(Step::Subscribe(takes)).await.unwrap();
    assert_eq!(held(&next_work(&mut stream).await), held(&first));
    stream.take(complete(held(&first), "Very well.")).await.unwrap();
}

#[tokio::test]
async fn a_worker_answers_its_own_entities_only_and_a_visitor_none() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let other = client.post(question("another", "Well?")).await.unwrap();
    let mut stream = StepStream::open(&queue.grpc_with(Some(ECHO_WORKER)).await).await.unwrap();
    assert_eq!(code(stream.take(claim(&other.id)).await), Code::PermissionDenied);
    let foreign = stream.take(Step::Subscribe(work("worker 1", &["another"], 1))).await;
    assert_eq!(code(foreign), Code::PermissionDenied);
    stream.take(Step::Subscribe(work("worker 1", &[], 1))).await.unwrap();
    let own = client.post(question("echo", "Well?")).await.unwrap();
    assert_eq!(id_of(&next_work(&mut stream).await), own.id, "those of its token, if it names none");
    let refused = StepStream::open(&queue.grpc_with(None).await).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_gateways_items_are_judged_by_whom_they_name() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let asked = client.post(question("echo", "Well?")).await.unwrap();
    let gateway: Grpc = queue.grpc_with(Some(GATEWAY)).await;
    let mut stream = StepStream::open(&gateway).await.unwrap();
    let of = |authorization: String| ItemMetadata {
        client: "203.0.113.7".into(),
        authorization,
        ..ItemMetadata::default()
    };
    assert_eq!(code(stream.take(claim(&asked.id)).await), Code::PermissionDenied, "the gateway itself");
    let visitors = stream.take_with(claim(&asked.id), of(String::new())).await;
    assert_eq!(code(visitors), Code::Unauthenticated);
    let subscribed = Step::Subscribe(work("worker 1", &["echo"], 1));
    let subscribed = stream.take_with(subscribed, of(format!("Bearer {WORKER}"))).await;
    assert_eq!(code(subscribed), Code::PermissionDenied, "nobody subscribes by a gateway");
    let claimed = stream.take_with(claim(&asked.id), of(format!("Bearer {WORKER}"))).await;
    assert!(matches!(claimed, Ok(Outcome::Claimed(_))), "{claimed:?}");
    let metrics = Metrics::of(&Browser::new(&queue.grpc_url())).await;
    assert_eq!((metrics.bound("gateway_streams").0, metrics.bound("worker_streams").0), (1.0, 0.0));
}
