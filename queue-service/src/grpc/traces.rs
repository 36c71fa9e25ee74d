//! What every call is known by while it is served, and the spans of what is done for a message's sake.
//!
//! The span of a call belongs to the trace that its caller sent, if that caller proves a role: whoever can call without one
//! must not choose what is recorded, so a trace of theirs is linked to and not continued. A post without one begins a trace; other calls without one
//! are recorded nowhere, for most of them are checks and polls of programs.

use std::time::Instant;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method},
    response::Response,
};
use repartee_process::{
    access,
    telemetry::{self, Call, NewSpan, Span, SpanKind, TraceContext, in_call, rpc, with_current},
};

use repartee_proto::v1;
use tonic::{Code, Status};

use super::front::own_method;
use crate::domain::{ChangeKind, Origin, Record};

/// The calls that begin a trace.
const BEGIN: [&str; 2] = ["/repartee.v1.QueueService/PostMessage", "/repartee.v1.QueueService/PostMessages"];
/// What stands for the calls of libraries and for those that are not there, as OpenTelemetry's conventions have it.
const OTHER: &str = "_OTHER";
/// Names a call in the logs of whoever passed it on.
const REQUEST_ID: &str = "x-request-id";
/// Longest request id that is stored and logged, in bytes.
const REQUEST_ID_BYTES: usize = 128;

/// Serves a call as one that is known by its trace and its request id; `is_trusted` tells whether the word of a caller with these
/// headers counts about traces.
pub(super) async fn known<A>(
    is_trusted: impl FnOnce(&HeaderMap) -> bool,
    request: Request,
    next: impl FnOnce(Request) -> A,
) -> Response
where
    A: Future<Output = Response>,
{
    let sent = TraceContext::of(request.headers());
    let is_trusted = sent.is_none() || is_trusted(request.headers());
    let uri = request.uri().clone();
    // A path that a client made up is nobody's name.
    let is_known = own_method(uri.path()).is_some_and(|method| access::call(method).is_some());
    let path = if is_known { uri.path() } else { OTHER };
    let call = begin(path, sent, is_trusted).named(request.headers().get(REQUEST_ID).and_then(sane));
    let is_call = request.method() == Method::POST;
    in_call(call, async {
        let began = Instant::now();
        let response = next(request).await;
        let code = rpc::code_of(response.headers());
        telemetry::note_outcome(|span| rpc::end(span, &SpanKind::Server, code));
        if is_call {
            log(path, code, began);
        }
        response
    })
    .await
}

/// Serves an item of a stream as the call at `path`, for which it stands. The trace of the stream is none of its items';
/// `is_trusted` tells whether the word of whoever opened the stream counts about traces.
pub(super) async fn known_item<T>(
    is_trusted: bool,
    path: &'static str,
    metadata: &v1::ItemMetadata,
    next: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let state = Some(metadata.tracestate.as_str()).filter(|state| !state.is_empty());
    let sent = TraceContext::parse(&metadata.traceparent, state);
    let id = Some(&metadata.request_id).filter(|id| !id.is_empty());
    let id = id.and_then(|id| HeaderValue::from_str(id).ok());
    let call = begin(path, sent, is_trusted).named(id.as_ref().and_then(sane));
    in_call(call, async {
        let began = Instant::now();
        let outcome = next.await;
        let code = outcome.as_ref().map_or_else(Status::code, |_| Code::Ok);
        telemetry::note_outcome(|span| rpc::end(span, &SpanKind::Server, code));
        log(path, code, began);
        outcome
    })
    .await
}

/// Begins the span of a call, if it is a part of a trace: of the one that was sent, if the word of its caller counts.
fn begin(path: &str, sent: Option<TraceContext>, is_trusted: bool) -> Call {
    let (sent, claimed) = if is_trusted { (sent, None) } else { (None, sent) };
    let is_traced = telemetry::is_on() && (sent.is_some() || BEGIN.contains(&path));
    let new = NewSpan::of(SpanKind::Server, sent.as_ref()).beside(claimed.as_ref());
    let span = if is_traced { rpc::begin(new, path) } else { Span::default() };
    Call::new(span, sent)
}

fn log(path: &str, code: Code, began: Instant) {
    let (status, latency_ms) = (rpc::code_name(code), began.elapsed().as_secs_f64() * 1_000.0);
    tracing::debug!(rpc.method = path, rpc.response.status_code = status, latency_ms, "call");
}

/// Visible ASCII, and short: it is stored.
fn sane(id: &HeaderValue) -> Option<HeaderValue> {
    let is_sane =
        (1..=REQUEST_ID_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    is_sane.then(|| id.clone())
}

/// Where a message that this call posts comes from.
pub(super) fn origin() -> Option<Box<Origin>> {
    let origin = |call: &Call| match (&call.trace, call.request_id()) {
        (Some(trace), _) => Some(Origin::Trace(trace.clone())),
        (None, Some(id)) => Some(Origin::Request(id.into())),
        (None, None) => None,
    };
    with_current(origin).flatten().map(Box::new)
}

/// The same for a reply, which is found by its question: only a trace is worth a note of its own.
pub(super) fn origin_of_reply() -> Option<Box<Origin>> {
    telemetry::current_trace().map(|trace| Box::new(Origin::Trace(trace)))
}

/// The claim of a message, as a part of its trace; what a worker does with it is a part of the claim.
#[derive(Default)]
pub(super) struct HandedOut {
    _span: Span,
    trace: Option<TraceContext>,
}

impl HandedOut {
    /// Begins with the decision, and ends when it is dropped.
    pub(super) fn begin(record: &Record) -> Self {
        let Some(asked) = trace_of(record) else { return Self::default() };
        let mut span = NewSpan::of(SpanKind::Internal, Some(asked)).begin(|| "claim");
        if span.is_recorded() {
            let address = record.content.address.as_deref();
            let work = record.state.work.as_deref();
            let claimed_at = work.and_then(|work| work.claim.as_ref()).map(|claim| claim.at);
            let waited = claimed_at.map_or(0, |at| at.saturating_sub(record.content.timestamp));
            span.set("messaging.system", || "repartee".into());
            span.set("messaging.operation.name", || "claim".into());
            span.set("messaging.operation.type", || "receive".into());
            span.set("messaging.message.id", || record.content.id.to_string().into());
            span.set("messaging.destination.name", || {
                address.map_or(String::new(), |address| address.entity.clone()).into()
            });
            span.set("repartee.attempt", || i64::from(work.map_or(0, |work| work.claims)).into());
            span.set("repartee.waited_ms", || waited.into());
        }
        Self { trace: span.context().or_else(|| Some(asked.clone())), _span: span }
    }

    /// What the worker is told: `traceparent` and `tracestate`.
    pub(super) fn told(&self) -> (Option<String>, Option<String>) {
        told(self.trace.as_ref())
    }
}

/// The headers of a place in a trace.
pub(super) fn told(trace: Option<&TraceContext>) -> (Option<String>, Option<String>) {
    let state = trace.and_then(TraceContext::tracestate).map(str::to_owned);
    (trace.map(TraceContext::traceparent), state)
}

/// Where a message stands in a trace.
pub(super) fn trace_of(record: &Record) -> Option<&TraceContext> {
    record.content.origin.as_deref().and_then(Origin::trace)
}

/// What a gateway is told of a change, so that the moment in which it shows a new message is a part of the message's trace.
pub(super) fn of_post(kind: ChangeKind, record: &Record) -> Option<String> {
    let trace = (kind == ChangeKind::Posted).then(|| trace_of(record)).flatten();
    trace.filter(|trace| trace.is_sampled()).map(TraceContext::traceparent)
}

/// Notes on the span of the call what was posted by it.
pub(super) fn note_posted(record: &Record) {
    telemetry::note_outcome(|span| {
        span.set("messaging.system", || "repartee".into());
        span.set("messaging.operation.name", || "post".into());
        span.set("messaging.operation.type", || "send".into());
        span.set("messaging.message.id", || record.content.id.to_string().into());
        if let Some(address) = &record.content.address {
            span.set("messaging.destination.name", || address.entity.clone().into());
        }
    });
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use axum::{body::Body, extract::Request, response::Response};

    use super::{Origin, known, origin, origin_of_reply};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    async fn origin_with(traceparent: Option<&str>, request_id: Option<&str>) -> Option<String> {
        origin_of(true, traceparent, request_id).await
    }

    async fn origin_of(
        is_trusted: bool,
        traceparent: Option<&str>,
        request_id: Option<&str>,
    ) -> Option<String> {
        let mut request = Request::post("/repartee.v1.QueueService/PostMessage");
        if let Some(value) = traceparent {
            request = request.header("traceparent", value);
        }
        if let Some(value) = request_id {
            request = request.header("x-request-id", value);
        }
        let found = RefCell::new(None);
        let look = |_: Request| async {
            let (here, of_reply) = (origin(), origin_of_reply());
            assert_eq!(of_reply.is_some(), matches!(here.as_deref(), Some(Origin::Trace(_))));
            found.replace(here.map(|origin| origin.name()));
            Response::default()
        };
        known(|_| is_trusted, request.body(Body::empty()).unwrap(), look).await;
        found.into_inner()
    }

    #[tokio::test]
    async fn a_request_is_named_by_its_trace_else_by_its_id() {
        let whole = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert_eq!(origin_with(Some(&whole), Some("r-1")).await.as_deref(), Some(TRACE));
        assert_eq!(origin_with(None, Some("r-1")).await.as_deref(), Some("r-1"));
        assert_eq!(origin_with(Some("00-x"), Some("r-1")).await.as_deref(), Some("r-1"));
        assert_eq!(origin_with(None, None).await, None);
        let of_stranger = origin_of(false, Some(&whole), Some("r-1")).await;
        assert_eq!(of_stranger.as_deref(), Some("r-1"), "what a stranger claims is nobody's trace");
        for broken in ["", "two words", &"x".repeat(129)] {
            assert_eq!(origin_with(None, Some(broken)).await, None, "{broken}");
        }
    }
}
