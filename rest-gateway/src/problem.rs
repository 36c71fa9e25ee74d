//! The one shape of every error: `application/problem+json` (RFC 9457), with `success` and `error` added for clients
//! that look for those.
//!
//! A handler returns a [`Problem`]; the layer [`finish`] writes it down, and does the same for what the framework
//! refuses by itself. Nothing inner is ever written: the cause of a failure goes to the log only.

use std::{fmt, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header, response::Parts};
use repartee_process::{Full, HeadFault, RateUsage};
use serde::Serialize;
use utoipa::ToSchema;

use crate::client;

/// Media type of RFC 9457.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request failed.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// What is wrong, with the value, and what to do. For the client to read.
    pub(crate) detail: String,
    /// The fields at fault.
    pub(crate) errors: Vec<FieldError>,
    /// One of the documented reasons.
    pub(crate) reason: Option<String>,
    /// When to try again; said with 429 and 503 only.
    pub(crate) retry_after: Option<Duration>,
    /// The limit of this client that was hit, as headers.
    pub(crate) rate: Option<Box<[(HeaderName, HeaderValue); 2]>>,
    /// The cause, for the log only.
    pub(crate) cause: Option<Box<str>>,
}

/// A field of the request that is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// JSON pointer (RFC 6901) to the field in the body, or to the query parameter as if the query were a JSON object;
    /// empty where a header or the whole body is meant.
    #[schema(example = "/botParams/priority")]
    pub(crate) pointer: String,
    /// The limit and the value.
    pub(crate) detail: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        f.write_str(&self.detail)
    }
}

/// An error (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody<'a> {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'a str,
    /// The words of the status.
    #[schema(example = "Conflict")]
    title: &'a str,
    /// The HTTP status.
    #[schema(example = 409)]
    status: u16,
    /// What is wrong, with the value, and what to do.
    #[schema(example = "Message status is processing, not pending")]
    detail: &'a str,
    /// The path of the request.
    #[schema(example = "/api/queue/claim")]
    instance: &'a str,
    /// The fields at fault.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
    /// One of NOT_PENDING, NOT_DUE, LEASE_LOST, ALREADY_COMPLETED, CANCELLED, FAILED, TOO_MANY_EDITS, HIDDEN, ENTITY_PAUSED,
    /// ENTITY_LIMIT, WORKER_PAUSED, TOO_MANY_CLAIMS, QUEUE_FULL, TOO_MANY_PAUSED, TOO_MANY_STREAMS, TOO_MANY_CALLS,
    /// TOO_MANY_REQUESTS, CLIENT_LIMIT, DISK_FULL, WRONG_STATUS, CONVERSATION_TAKEN, CURSOR_INVALID, NAME_RESERVED,
    /// IDEMPOTENCY_CONFLICT, TOKEN_UNKNOWN, TOKEN_EXPIRED, EDIT_TOKEN_WRONG, BLOCKED, TOO_MANY_BLOCKS,
    /// ROOMS_NOT_LISTED, DRAINING.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, example = "NOT_PENDING")]
    reason: Option<&'a str>,
    /// Always false.
    success: bool,
    /// The same as `detail`.
    error: &'a str,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, detail, errors: Vec::new(), reason: None, retry_after: None, rate: None, cause: None }
    }

    /// 400 for one field.
    pub(crate) fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let error = FieldError { pointer: pointer.into(), detail: detail.into() };
        let mut problem = Self::new(StatusCode::BAD_REQUEST, error.to_string());
        problem.errors.push(error);
        problem
    }

    /// 404 for what this server itself has not.
    pub(crate) fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 500 whose cause the client does not learn.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "an error inside the server; whether the request took effect is unknown, so read before repeating it",
        );
        let cause: String = cause.into();
        problem.cause = Some(cause.into_boxed_str());
        problem
    }

    /// 503: nothing was done, and trying again is safe.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// 429: so much is being done already; nothing was done of this, and trying again is safe.
    pub(crate) fn too_many(reason: &str, full: Full) -> Self {
        let detail = format!("too much is asked for at once ({full}); nothing was done, try again");
        Self { reason: Some(reason.to_owned()), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// 429: this client holds as much as it may; others are served. Nothing was done, and trying again is safe.
    pub(crate) fn over_share(full: Full) -> Self {
        let detail =
            format!("this client has too much going on at once ({full}); nothing was done, try again");
        Self {
            reason: Some("CLIENT_LIMIT".to_owned()),
            rate: Some(Box::new(client::share_headers(full))),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail)
        }
    }

    /// 429: this client has used up what it may; others are served. Nothing was done, and trying again is safe.
    pub(crate) fn over_rate(usage: RateUsage) -> Self {
        let RateUsage { name, burst, window, reset, .. } = usage;
        let [window, wait] = [window, reset].map(|span| whole_seconds(Some(span)));
        let detail = format!(
            "this client has used up its limit ({name}: {burst} at once, all of it again after {window} s); nothing was done, \
             try again in {wait} s"
        );
        Self {
            reason: Some("CLIENT_LIMIT".to_owned()),
            retry_after: Some(reset),
            rate: Some(Box::new(client::rate_headers(usage))),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail)
        }
    }

    /// What the framework refused by itself, with only a status.
    fn of_framework(status: StatusCode) -> Self {
        let detail = match status {
            StatusCode::NOT_FOUND => "there is nothing at this path; /docs lists what there is",
            StatusCode::METHOD_NOT_ALLOWED => {
                "this path does not know this method; the header Allow lists what it knows"
            }
            other => other.canonical_reason().unwrap_or("the request was refused"),
        };
        Self::new(status, detail)
    }

    /// The whole answer to a request for this path, where there is no other.
    pub(crate) fn answer(self, instance: &str) -> Response {
        let (parts, ()) = Response::new(()).into_parts();
        self.into_body(parts, instance)
    }

    fn into_body(self, mut parts: Parts, instance: &str) -> Response {
        let body = ProblemBody {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Unknown"),
            status: self.status.as_u16(),
            detail: &self.detail,
            instance,
            errors: &self.errors,
            reason: self.reason.as_deref(),
            success: false,
            error: &self.detail,
        };
        let body = serde_json::to_vec(&body).expect("a problem is plain values");
        parts.status = self.status;
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            parts.headers.insert(header::RETRY_AFTER, whole_seconds(self.retry_after).into());
        }
        parts.headers.extend(self.rate.into_iter().flat_map(|rate| *rate));
        if self.status == StatusCode::UNAUTHORIZED {
            parts.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Response::from_parts(parts, Body::from(body))
    }
}

/// Rounded up, and at least 1: a client that comes back at once meets the same answer.
fn whole_seconds(wait: Option<Duration>) -> u64 {
    let wait = wait.unwrap_or_default();
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

impl IntoResponse for Problem {
    /// Only the status and the problem as an extension: [`finish`] knows the path and writes the body.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<HeadFault> for Problem {
    fn from(fault: HeadFault) -> Self {
        Self::new(fault.status(), fault.to_string())
    }
}

/// Writes the body of every error that leaves the server, and keeps headers such as `Allow`.
pub(crate) async fn finish<A>(request: Request, next: impl FnOnce(Request) -> A) -> Response
where
    A: Future<Output = Response>,
{
    let instance = request.uri().path().to_owned();
    let response = next(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let (parts, _) = response.into_parts();
    let problem = parts.extensions.get().cloned().unwrap_or_else(|| Problem::of_framework(status));
    problem.into_body(parts, &instance)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::whole_seconds;

    #[test]
    fn a_wait_is_rounded_up_and_never_zero() {
        let cases =
            [(None, 1), (Some(0), 1), (Some(1), 1), (Some(1_000), 1), (Some(1_001), 2), (Some(30_000), 30)];
        for (millis, seconds) in cases {
            assert_eq!(whole_seconds(millis.map(Duration::from_millis)), seconds);
        }
    }
}
