//! Spans of gRPC calls, by the names of OpenTelemetry's semantic conventions for RPC.

use http::HeaderMap;
use opentelemetry::Value;
use tonic::Code;

use super::{NewSpan, Span, SpanKind, TraceContext, current_trace};

/// Puts the place of what is being done into a request that is made for its sake. Whatever stands there stays if there is none.
pub fn inject(headers: &mut HeaderMap) {
    if let Some(context) = current_trace() {
        context.write_to(headers);
    }
}

/// Begins the span of a call to `path` if its headers name a trace, and sends the callee that span in place of it. A call that
/// belongs to no trace begins none: it is one of those that a process makes for itself, such as checks of health.
pub fn begin_client_call(path: &str, headers: &mut HeaderMap) -> Span {
    if !super::is_on() {
        return Span::default();
    }
    let Some(parent) = TraceContext::of(headers) else { return Span::default() };
    let span = begin(NewSpan::of(SpanKind::Client, Some(&parent)), path);
    if let Some(context) = span.context() {
        context.write_to(headers);
    }
    span
}

/// Begins the span of a call that is served or made. `path` must be one that exists: whatever stands in it is the span's name.
pub fn begin(new: NewSpan<'_>, path: &str) -> Span {
    let method = || path.trim_start_matches('/').to_owned();
    let mut span = new.begin(method);
    span.set("rpc.system.name", || "grpc".into());
    span.set("rpc.method", || method().into());
    span
}

/// Notes how a call ended. To a server only its own faults are errors, to a client everything but `OK`.
pub fn end(span: &mut Span, kind: &SpanKind, code: Code) {
    if !span.is_recorded() {
        return;
    }
    let name = code_name(code);
    span.set("rpc.response.status_code", || Value::from(name));
    let is_own_fault = matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    );
    if code != Code::Ok && (is_own_fault || *kind == SpanKind::Client) {
        span.fail(name);
    }
}

/// A status by its name in the specification of gRPC.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The status in the headers or the trailers of an answer; `OK` if they say none yet.
pub fn code_of(headers: &HeaderMap) -> Code {
    headers.get("grpc-status").map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}
