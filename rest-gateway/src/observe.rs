//! What is told about each request: its id, one count and one latency in the metrics, and a line in the log.
//!
//! What failed or took long is told at `info`, with its cause at `warn`; everything else at `debug`, for a line costs more
//! than the answer to a poll. Of many lines of one kind a few are told, with the number of those that were left out: what
//! clients can cause without end must not fill a disk. Never a body, a text, a token or a query: paths are told as their pattern.

mod addresses;
mod described;

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::extract::MatchedPath;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use metrics::{Counter, Histogram, counter, histogram};
use parking_lot::RwLock;
use pin_project_lite::pin_project;
use repartee_process::{
    Sample,
    telemetry::{self, Call, InCall, NewSpan, Span, SpanKind, TraceContext, in_call},
};
use tower::{Layer, Service};
use uuid::Builder;

pub(crate) use addresses::Addresses;
pub use addresses::LogAddresses;
pub(crate) use described::describe;

use crate::{client::Client, polls, problem::Problem, trace_parents::ClaimedTrace};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids are replaced.
const MAX_ID: usize = 128;
/// The route of what no route knows.
const NO_ROUTE: &str = "none";
/// What browsers ask for again and again, by GET.
const POLLED: [&str; 3] = [polls::PATH, "/api/comments/changes", "/api/comments/stream"];
/// Lines a second of one route, method and status; and in all.
const LINES: u32 = 5;
const ALL_LINES: u32 = 20;
/// An answer that takes longer is told in the log.
const SLOW: Duration = Duration::from_secs(1);

/// The id of one request: the caller's where it is visible ASCII of at most 128 characters, a random one otherwise.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().expect("only visible ASCII is taken")
    }

    fn of<B>(request: &Request<B>) -> Self {
        let sane = |value: &&HeaderValue| {
            (1..=MAX_ID).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        let given = request.headers().get(REQUEST_ID).filter(sane).cloned();
        given.map_or_else(Self::random, Self)
    }

    /// A UUID from the generator of this thread: the system is not asked for each.
    fn random() -> Self {
        let id = Builder::from_random_bytes(rand::random()).into_uuid();
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let text = id.hyphenated().encode_lower(&mut text);
        Self(HeaderValue::from_str(text).expect("a UUID is visible ASCII"))
    }
}

/// In the extensions of an answer: so long there was nothing to answer, and the caller had asked to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waited(pub(crate) Duration);

/// The outermost layer. Services made by the same layer share what they count with.
#[derive(Debug, Clone)]
pub(crate) struct ObserveLayer {
    /// The route of all requests; `None` where the router says it, and handlers may ask for the request's id.
    route: Option<&'static str>,
    series: Arc<Series>,
    addresses: Addresses,
}

/// A service whose requests are told about.
#[derive(Debug, Clone)]
pub(crate) struct Observe<S> {
    inner: S,
    layer: ObserveLayer,
}

pin_project! {
    /// The answer of an observed service. What is known of its call is told beneath it, and ends with it.
    pub(crate) struct Observed<F> {
        #[pin]
        inner: F,
        seen: Option<Seen>,
    }
}

/// What is known of a request until it is answered.
struct Seen {
    start: Instant,
    id: RequestId,
    method: &'static str,
    matched: Option<MatchedPath>,
    client: Option<Client>,
    layer: ObserveLayer,
}

/// The handles of all counters and latencies that were needed so far, by route: looking one up costs no label. Bounded by
/// the routes, the known methods and the statuses that this server answers.
#[derive(Debug)]
struct Series {
    routes: RwLock<HashMap<Box<str>, OfRoute>>,
    lines: Sample,
}

type OfRoute = Vec<(Labels, One)>;
type Labels = (&'static str, StatusCode);

/// The requests of one route, method and status.
#[derive(Debug, Clone)]
struct One {
    requests: Counter,
    seconds: Histogram,
    lines: Arc<Sample>,
}

impl ObserveLayer {
    /// Below the router, which knows the route.
    pub(crate) fn matched(addresses: Addresses) -> Self {
        Self { route: None, series: Arc::default(), addresses }
    }

    /// For requests of one route that meet no router.
    pub(crate) fn of(route: &'static str) -> Self {
        Self { route: Some(route), series: Arc::default(), addresses: Addresses::Off }
    }

    /// The request as a part of the trace that its caller sent, if that counts; without one it begins a trace, if such requests
    /// do.
    fn begin<B>(&self, request: &Request<B>, seen: &Seen) -> Call {
        let sent = TraceContext::of(request.headers());
        let is_sampled = sent.as_ref().is_some_and(TraceContext::is_sampled);
        let route = self.route_of(seen.matched.as_ref());
        if !telemetry::is_on() || !is_sampled && !begins_trace(seen.method, route) {
            return Call::new(Span::default(), sent).named(seen.name_in_logs());
        }
        let claimed = request.extensions().get().map(|ClaimedTrace(claimed)| claimed);
        let span = NewSpan::of(SpanKind::Server, sent.as_ref()).beside(claimed);
        let mut span = span.begin(|| format!("{} {route}", seen.method));
        span.set("http.request.method", || seen.method.into());
        span.set("http.route", || route.to_owned().into());
        Call::new(span, sent).named(seen.name_in_logs())
    }

    fn route_of<'a>(&self, matched: Option<&'a MatchedPath>) -> &'a str {
        self.route.unwrap_or_else(|| matched.map_or(NO_ROUTE, MatchedPath::as_str))
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, layer: self.clone() }
    }
}

impl<S, A, B> Service<Request<A>> for Observe<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = InCall<Observed<S::Future>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let seen = Seen {
            start: Instant::now(),
            id: RequestId::of(&request),
            method: known(request.method()),
            matched: request.extensions().get().cloned(),
            client: request.extensions().get().copied(),
            layer: self.layer.clone(),
        };
        let call = self.layer.begin(&request, &seen);
        if self.layer.route.is_none() {
            request.extensions_mut().insert(seen.id.clone());
        }
        in_call(call, Observed { inner: self.inner.call(request), seen: Some(seen) })
    }
}

impl<F, B, E> Future for Observed<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if let Some(seen) = this.seen.take() {
            seen.tell(&mut response);
        }
        Poll::Ready(Ok(response))
    }
}

impl Seen {
    /// What is logged beneath a request that is answered at once is nothing.
    fn name_in_logs(&self) -> Option<HeaderValue> {
        self.layer.route.is_none().then(|| self.id.0.clone())
    }

    fn tell<B>(self, response: &mut Response<B>) {
        let Self { start, id, method, matched, client, layer } = self;
        let (latency, status) = (start.elapsed(), response.status());
        let route = layer.route_of(matched.as_ref());
        let One { requests, seconds, lines } = layer.series.of(route, (method, status));
        requests.increment(1);
        seconds.record(latency);
        let waited = response.extensions().get().map_or(Duration::ZERO, |Waited(waited)| *waited);
        let cause = response.extensions().get::<Problem>().and_then(|problem| problem.cause.as_deref());
        let (status_code, latency_ms, request_id) =
            (status.as_u16(), latency.as_secs_f64() * 1_000.0, id.as_str());
        let failed = status.is_client_error() || status.is_server_error();
        if cause.is_none() && !failed && latency.saturating_sub(waited) <= SLOW {
            tracing::debug!(
                http.request.method = method,
                http.route = route,
                http.response.status_code = status_code,
                latency_ms,
                request_id,
                "request"
            );
        } else if let Some(left_out) = layer.series.tells(&lines) {
            let client = client.filter(|_| failed).and_then(|client| layer.addresses.name(client));
            if left_out > 0 {
                tracing::info!(
                    http.request.method = method,
                    http.route = route,
                    http.response.status_code = status_code,
                    left_out,
                    "requests that no line tells of"
                );
            }
            macro_rules! line {
                ($level:ident) => {
                    tracing::$level!(
                        http.request.method = method,
                        http.route = route,
                        http.response.status_code = status_code,
                        latency_ms,
                        request_id,
                        client.address = client,
                        cause,
                        "request"
                    )
                };
            }
            // What has a cause is our fault, not the client's.
            if cause.is_some() { line!(warn) } else { line!(info) }
        }
        response.headers_mut().insert(REQUEST_ID, id.0);
        if let Some(trace) = telemetry::current_trace() {
            trace.write_to(response.headers_mut());
        }
        telemetry::note_outcome(|span| end(span, status));
    }
}

/// True if a request of nobody's trace begins one: if it asks for something to be done or looked up. Polls and streams would be
/// most of what is recorded, and a span costs as much as the answer to one; files and probes tell nobody anything.
fn begins_trace(method: &str, route: &str) -> bool {
    let is_poll = matches!(method, "GET" | "HEAD") && POLLED.contains(&route);
    route.starts_with("/api/") && method != "OPTIONS" && !is_poll
}

/// Ends the span of a request. Only what is our fault is an error: a refusal is an answer.
fn end(span: &mut Span, status: StatusCode) {
    span.set("http.response.status_code", || i64::from(status.as_u16()).into());
    if status.is_server_error() {
        span.fail(status.as_str().to_owned());
    }
    *span = Span::default();
}

impl Default for Series {
    fn default() -> Self {
        Self { routes: RwLock::default(), lines: Sample::new(ALL_LINES) }
    }
}

impl Series {
    /// How many lines like this one were left out before it; `None` if it is to be left out too.
    fn tells(&self, lines: &Sample) -> Option<u64> {
        let now = Instant::now();
        let of_kind = lines.admit(now)?;
        self.lines.admit(now).map(|of_others| of_kind + of_others)
    }

    fn of(&self, route: &str, labels: Labels) -> One {
        let known = |all: &[(Labels, One)]| {
            all.iter().find(|(known, _)| *known == labels).map(|(_, one)| one.clone())
        };
        let found = self.routes.read().get(route).and_then(|all| known(all));
        found.unwrap_or_else(|| {
            let mut series = self.routes.write();
            let all = series.entry(route.into()).or_default();
            // Somebody else may have been first.
            known(all).unwrap_or_else(|| {
                let one = One::new(route, labels);
                all.push((labels, one.clone()));
                one
            })
        })
    }
}

impl One {
    fn new(route: &str, (method, status): Labels) -> Self {
        let labels = [
            ("method", method.to_owned()),
            ("route", route.to_owned()),
            ("status", status.as_str().to_owned()),
        ];
        Self {
            requests: counter!("repartee_http_requests_total", &labels),
            seconds: histogram!("repartee_http_request_seconds", &labels),
            lines: Arc::new(Sample::new(LINES)),
        }
    }
}

/// A client may invent methods; a label may not grow with them.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::begins_trace;

    #[test]
    fn what_is_asked_again_and_again_begins_no_trace() {
        for (method, route) in [
            ("GET", "/api/comments"),
            ("HEAD", "/api/comments"),
            ("GET", "/api/comments/changes"),
            ("GET", "/api/comments/stream"),
            ("OPTIONS", "/api/comments"),
            ("GET", "/readyz"),
            ("GET", "/metrics"),
            ("GET", "/"),
            ("GET", "/assets/{file}"),
            ("GET", "none"),
        ] {
            assert!(!begins_trace(method, route), "{method} {route}");
        }
        for (method, route) in
            [("POST", "/api/comments"), ("DELETE", "/api/comments/{id}"), ("GET", "/api/conversation")]
        {
            assert!(begins_trace(method, route), "{method} {route}");
        }
    }
}
