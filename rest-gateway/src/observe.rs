//! What is told about each request: its id, one line in the log, one count and one latency in the metrics.
//!
//! Never a body, a text, a token or a query: paths are told as their pattern.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue, Method};
use uuid::Uuid;

use crate::problem::Problem;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids are replaced.
const MAX_ID: usize = 128;
/// The route of what no route knows.
const NO_ROUTE: &str = "none";

/// The id of one request: the caller's where it is visible ASCII of at most 128 characters, a random one otherwise.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().expect("only visible ASCII is taken")
    }

    fn of(request: &Request) -> Self {
        let sane = |value: &&HeaderValue| {
            (1..=MAX_ID).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic)
        };
        let given = request.headers().get(REQUEST_ID).filter(sane).cloned();
        Self(given.unwrap_or_else(|| {
            HeaderValue::from_str(&Uuid::new_v4().to_string()).expect("a UUID is visible ASCII")
        }))
    }
}

/// The outermost layer.
pub(crate) async fn observe(mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = RequestId::of(&request);
    request.extensions_mut().insert(id.clone());
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str).to_owned();
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    let latency = start.elapsed();
    let labels = [("method", method.to_owned()), ("route", route.clone()), ("status", status.to_string())];
    metrics::counter!("repartee_http_requests_total", &labels).increment(1);
    metrics::histogram!("repartee_http_request_seconds", &labels).record(latency);
    let cause = response.extensions().get::<Problem>().and_then(|problem| problem.cause.as_deref());
    let (latency_ms, request_id) = (latency.as_secs_f64() * 1_000.0, id.as_str());
    if let Some(cause) = cause {
        tracing::warn!(method, route, status, latency_ms, request_id, cause, "request");
    } else {
        tracing::info!(method, route, status, latency_ms, request_id, "request");
    }
    response.headers_mut().insert(REQUEST_ID, id.0);
    response
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
