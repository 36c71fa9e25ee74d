//! Traces: which call belongs to which, and where that is sent.
//!
//! A call brings its place in a trace ([`TraceContext`]) or begins one; while it is served, everything beneath it knows its
//! [`Call`]. What it did becomes a [`Span`], and spans go to a collector over OTLP if the `OTEL_*` variables name one. Without
//! one nothing is recorded: a span is nothing then, and only contexts are passed on.
//!
//! Must never wait for a collector, fail a call for its sake, or be told a text or a token.

mod call;
mod context;
mod environment;
mod export;
pub mod rpc;
mod sampler;
mod span;

pub use call::{Call, InCall, current_trace, in_call, note_outcome, recorded_trace, with_current};
pub use context::{TRACEPARENT, TRACESTATE, TraceContext};
pub(crate) use environment::Environment;
pub(crate) use export::{Exporting, describe, start};
pub use span::{NewSpan, Span, is_on};

pub use opentelemetry::{StringValue, Value, trace::SpanKind};
