//! The fake's streams of many calls: each item is served as the call for which it stands, with its metadata as that call's.

use std::future::ready;

use futures_util::{Stream, StreamExt as _, stream};
use repartee_process::access;
use repartee_proto::v1::{
    self, posts_outcome, posts_response, work_outcome, work_request::Step, work_response,
};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};

use crate::fake::{Fake, Lost};

/// Items that are answered at once.
const IN_FLIGHT: usize = 256;

/// Serves a stream of posts.
pub(crate) fn posts(
    fake: Fake,
    request: Request<Streaming<v1::PostsRequest>>,
) -> impl Stream<Item = Result<v1::PostsResponse, Status>> {
    let own = request.metadata().clone();
    let hello = v1::PostsHello { max_in_flight: IN_FLIGHT as u32, heartbeat_interval: None };
    let outcomes = request.into_inner().map(move |item| posted(fake.clone(), own.clone(), item));
    let events = outcomes.buffered(IN_FLIGHT).flat_map(|events| match events {
        Ok(events) => stream::iter(events.into_iter().map(Ok).collect::<Vec<_>>()),
        Err(status) => stream::iter(vec![Err(status)]),
    });
    let events = stream::iter([Ok(Some(posts_response::Event::Hello(hello)))]).chain(events);
    let events = events.take_while(|event| ready(!matches!(event, Ok(None))));
    events.map(|event| Ok(v1::PostsResponse { event: event? }))
}

/// Serves a stream of steps.
pub(crate) fn work(
    fake: Fake,
    request: Request<Streaming<v1::WorkRequest>>,
) -> impl Stream<Item = Result<v1::WorkResponse, Status>> {
    let own = request.metadata().clone();
    let hello = v1::WorkHello { max_in_flight: IN_FLIGHT as u32, ..Default::default() };
    let outcomes = request.into_inner().map(move |item| taken(fake.clone(), own.clone(), item));
    let events =
        outcomes.buffer_unordered(IN_FLIGHT).map(|outcome| outcome.map(work_response::Event::Outcome));
    let events = stream::iter([Ok(work_response::Event::Hello(hello))]).chain(events);
    events.map(|event| Ok(v1::WorkResponse { event: Some(event?) }))
}

/// What is said of an item; `None` ends the stream.
async fn posted(
    fake: Fake,
    own: MetadataMap,
    item: Result<v1::PostsRequest, Status>,
) -> Result<Vec<Option<posts_response::Event>>, Status> {
    use posts_response::Event;

    let v1::PostsRequest { number, post, timeout, metadata } = item?;
    let asked = call(own, metadata, timeout, post.unwrap());
    let answer: Result<Response<v1::PostMessageResponse>, Status> = fake.serve(asked).await;
    let outcome = match answer {
        Ok(posted) => posts_outcome::Outcome::Posted(posted.into_inner()),
        Err(status) => posts_outcome::Outcome::Status((&status).into()),
    };
    let outcome = Event::Outcome(v1::PostsOutcome { number, outcome: Some(outcome) });
    Ok(match fake.loses_item() {
        Lost::Nothing => vec![Some(outcome)],
        Lost::GoingAway => vec![Some(Event::GoingAway(v1::GoingAway::default())), None],
        Lost::Broken => vec![None],
    })
}

async fn taken(
    fake: Fake,
    own: MetadataMap,
    item: Result<v1::WorkRequest, Status>,
) -> Result<v1::WorkOutcome, Status> {
    use work_outcome::Outcome;

    let v1::WorkRequest { number, timeout, metadata, step } = item?;
    macro_rules! serve {
        ($request:ident as $outcome:ident) => {
            fake.serve(call(own, metadata, timeout, $request))
                .await
                .map(|answer| Outcome::$outcome(answer.into_inner()))
        };
    }
    let outcome = match step.unwrap() {
        Step::Claim(request) => serve!(request as Claimed),
        Step::ClaimNext(request) => serve!(request as Next),
        Step::Renew(request) => serve!(request as Renewed),
        Step::Release(request) => serve!(request as Released),
        Step::Complete(request) => serve!(request as Completed),
        Step::Fail(request) => serve!(request as Failed),
        Step::Subscribe(_) | Step::Unsubscribe(_) => {
            Err(Status::unimplemented("the gateway streams no work"))
        }
    };
    let outcome = outcome.unwrap_or_else(|status| Outcome::Status((&status).into()));
    Ok(v1::WorkOutcome { number, outcome: Some(outcome) })
}

/// An item as the call for which it stands.
fn call<Q>(
    own: MetadataMap,
    metadata: Option<v1::ItemMetadata>,
    timeout: Option<prost_types::Duration>,
    request: Q,
) -> Request<Q> {
    let metadata = metadata.unwrap_or_default();
    let mut asked = Request::new(request);
    *asked.metadata_mut() = own;
    if let Some(timeout) = timeout {
        asked.set_timeout(timeout.try_into().unwrap());
    }
    let new_visitor = if metadata.new_visitor { "1" } else { "" };
    for (name, value) in [
        ("x-request-id", metadata.request_id.as_str()),
        ("traceparent", &metadata.traceparent),
        ("tracestate", &metadata.tracestate),
        (access::VISITOR, &metadata.visitor),
        (access::NEW_VISITOR, new_visitor),
        (access::CLIENT, &metadata.client),
        (access::ON_BEHALF, &metadata.authorization),
    ] {
        if !value.is_empty() {
            asked.metadata_mut().insert(name, value.parse().unwrap());
        }
    }
    asked
}
