//! Calls that go on to their end, whatever becomes of the client who asked: one that gives up must not reset a stream of a
//! connection that all others share, for many of these end the connection.
//!
//! A call whose answer was lost with its connection is sent once more, over a new one, if that is safe: if it was never
//! sent, or says the same when it is repeated.

use std::{
    error::Error,
    iter,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Collected, Full};
use metrics::counter;
use repartee_process::{
    ClientPermit, Place,
    telemetry::{self, Span, SpanKind, rpc},
};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};
use tonic::{Code, Status, TimeoutExpired, body::Body, transport::Channel};
use tower::{Service, ServiceExt as _};

/// The calls that change nothing, and those whose repetition does no more and answers the same.
const REPEATABLE: [&str; 15] = [
    "Authenticate",
    "ListMessages",
    "ListRooms",
    "GetMessage",
    "GetConversation",
    "ListPending",
    "ListFailed",
    "ListWork",
    "InspectMessage",
    "ListHidden",
    "ListBlocks",
    "ListActs",
    "GetStats",
    "CompleteMessage",
    "RenewLeases",
];

/// Before each further attempt; all but one of them are for calls that were never sent, for a connection whose end was not
/// seen yet.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(100)];

/// How long calls wait for a queue-service that cannot be connected to, as while it restarts, and how often they look.
const RESTART: Duration = Duration::from_secs(2);
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// Marks a call that is known to answer the same when it is repeated, as an extension of its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeatable;

/// What a call takes with it to its end, as an extension of its request.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    /// From now on; then nobody waits for the answer any more.
    pub(super) timeout: Duration,
    /// A call that goes on takes its place as long.
    pub(super) place: Arc<(Place, Option<ClientPermit>)>,
}

/// A connection whose calls go on to their end.
#[derive(Debug, Clone)]
pub(crate) struct Uncancelled {
    channel: Channel,
    /// Calls that wait for what others do end with their clients: an answer would be for nobody.
    may_cancel: bool,
}

type BoxError = Box<dyn Error + Send + Sync>;
type Answer = Result<Response<Body>, BoxError>;

/// The answer to one call. The call goes on if this is dropped before it is there.
pub(crate) struct Awaited<T: Send + 'static> {
    /// `None` once it is over.
    call: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    may_cancel: bool,
}

impl<T: Send + 'static> Awaited<T> {
    /// A call that goes on whatever happens.
    pub(super) fn uncancelled(call: impl Future<Output = T> + Send + 'static) -> Self {
        Self { call: Some(Box::pin(call)), may_cancel: false }
    }
}

impl Uncancelled {
    pub(super) fn over(channel: Channel) -> Self {
        Self { channel, may_cancel: false }
    }

    /// The same, but calls end with their clients.
    pub(super) fn that_waits(channel: Channel) -> Self {
        Self { channel, may_cancel: true }
    }
}

impl Service<Request<Body>> for Uncancelled {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Awaited<Answer>;

    /// Whether the connection is ready is waited for by the call itself.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Awaited<Answer> {
        let call = in_time(self.channel.clone(), request);
        Awaited { call: Some(Box::pin(call)), may_cancel: self.may_cancel }
    }
}

impl<T: Send + 'static> Future for Awaited<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(call) = &mut self.call else { panic!("a future is not polled after its end") };
        let answer = call.as_mut().poll(cx);
        if answer.is_ready() {
            self.call = None;
        }
        answer
    }
}

impl<T: Send + 'static> Drop for Awaited<T> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take().filter(|_| !self.may_cancel)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(call);
        }
    }
}

async fn in_time(channel: Channel, mut request: Request<Body>) -> Answer {
    let mut span = begin_span(&mut request);
    let answer = in_its_time(channel, request).await;
    if span.is_recorded() {
        rpc::end(&mut span, &SpanKind::Client, code_of(&answer));
    }
    answer
}

/// Of a call that is made for a request which is in a trace: the queue-service's own span is a part of it.
fn begin_span(request: &mut Request<Body>) -> Span {
    if !telemetry::is_on() {
        return Span::default();
    }
    let uri = request.uri().clone();
    rpc::begin_client_call(uri.path(), request.headers_mut())
}

fn code_of(answer: &Answer) -> Code {
    match answer {
        Ok(response) => response.extensions().get().copied().unwrap_or(Code::Ok),
        Err(error) => error.downcast_ref().map_or(Code::Unavailable, Status::code),
    }
}

async fn in_its_time(channel: Channel, mut request: Request<Body>) -> Answer {
    let held = request.extensions_mut().remove::<Carried>();
    let Some(Carried { timeout: span, place: _place }) = held else { return whole(channel, request).await };
    let late = |_| Err(Status::deadline_exceeded("no answer in time").into());
    timeout(span, answered(channel, request)).await.unwrap_or_else(late)
}

async fn answered(channel: Channel, request: Request<Body>) -> Answer {
    let (parts, body) = request.into_parts();
    // Encoded already: there is nothing to wait for.
    let body = body.collect().await?.to_bytes();
    let request = Request::from_parts(parts, body);
    let (mut was_repeated, began) = (false, Instant::now());
    for pause in PAUSES {
        let error = match connected(&channel, &request, began).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !may_repeat(&request, &*error) || was_repeated && was_sent(&*error) {
            return Err(error);
        }
        was_repeated |= was_sent(&*error);
        counter!("repartee_upstream_repeats_total").increment(1);
        tracing::debug!(error, path = request.uri().path(), "a call is repeated over a new connection");
        sleep(pause).await;
    }
    connected(&channel, &request, began).await
}

/// One attempt. If there is no connection to be had, the call was never sent: it waits until there is one, for a little.
async fn connected(channel: &Channel, request: &Request<Bytes>, began: Instant) -> Answer {
    loop {
        let answer = whole(channel.clone(), request.clone().map(of)).await;
        let refused = answer.as_ref().err().is_some_and(|error| is_unconnected(&**error));
        if !refused || began.elapsed() >= RESTART {
            return answer;
        }
        sleep(RESTART_PAUSE).await;
    }
}

fn is_unconnected(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<tonic::ConnectError>())
}

/// The answer with all of its body: one that is dropped half-way would be reset too.
async fn whole(mut channel: Channel, request: Request<Body>) -> Answer {
    let (mut parts, body) = channel.ready().await?.call(request).await?.into_parts();
    let body: Collected<Bytes> = body.collect().await?;
    if telemetry::is_on() {
        parts.extensions.insert(rpc::code_of(body.trailers().unwrap_or(&parts.headers)));
    }
    Ok(Response::from_parts(parts, Body::new(body)))
}

fn of(body: Bytes) -> Body {
    Body::new(Full::new(body))
}

/// False for what was answered, what took too long, and what may have taken effect and would do so twice.
fn may_repeat(request: &Request<Bytes>, error: &(dyn Error + 'static)) -> bool {
    if causes(error).any(|cause| cause.is::<TimeoutExpired>() || cause.is::<tonic::ConnectError>()) {
        return false;
    }
    let method = request.uri().path().rsplit('/').next().unwrap_or_default();
    !was_sent(error) || request.extensions().get::<Repeatable>().is_some() || REPEATABLE.contains(&method)
}

/// False for what was still here when the connection ended.
fn was_sent(error: &(dyn Error + 'static)) -> bool {
    !causes(error).any(|cause| cause.downcast_ref().is_some_and(hyper::Error::is_canceled))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_the_same_twice_is_repeated() {
        let request = |method: &str| {
            Request::builder().uri(format!("/repartee.v1.QueueService/{method}")).body(Bytes::new()).unwrap()
        };
        let broken = std::io::Error::other("the connection broke");
        assert!(may_repeat(&request("ListMessages"), &broken));
        assert!(!may_repeat(&request("PostMessage"), &broken));
        assert!(!may_repeat(&request("ClaimNext"), &broken));
        let mut keyed = request("PostMessage");
        keyed.extensions_mut().insert(Repeatable);
        assert!(may_repeat(&keyed, &broken));
    }
}
