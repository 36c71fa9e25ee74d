//! Traces: which call belongs to which, and where that is sent; and metrics on the same way, if that is asked for.
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
mod points;
mod reports;
pub mod rpc;
mod sampler;
mod sender;
mod span;

pub use call::{Call, InCall, current_trace, in_call, note_outcome, recorded_trace, with_current};
pub use context::{TRACEPARENT, TRACESTATE, TraceContext};
pub(crate) use environment::Environment;
pub use span::{NewSpan, Span, is_on};

pub use opentelemetry::{StringValue, Value, trace::SpanKind};

use opentelemetry_sdk::trace::SdkTracerProvider;

use reports::Reports;

/// Spans and metrics are sent as long as this is there.
pub(crate) struct Exporting {
    traces: Option<SdkTracerProvider>,
    metrics: Option<Reports>,
}

/// Describes what is counted of what is sent, and begins with 0, also where nothing is.
pub(crate) fn describe() {
    export::describe();
    reports::describe();
}

/// Begins to send what `environment` says, as `service`, in this runtime.
///
/// # Errors
/// One sentence about a variable that cannot be used.
pub(crate) fn start(service: &str, environment: &Environment) -> Result<Exporting, String> {
    // One for both: a collector knows the process by it.
    let resource = export::resource(service);
    let metrics = environment.metrics.as_ref().map(|metrics| reports::start(metrics, &resource));
    let traces = environment.traces.as_ref().map(|traces| export::start(traces, resource.clone()));
    Ok(Exporting { traces: traces.transpose()?, metrics: metrics.transpose()? })
}

impl Exporting {
    /// Sends what is left, for 2 s each at the most. Blocks, outside of the runtime.
    pub(crate) fn end(self) {
        self.traces.iter().for_each(export::end);
        self.metrics.into_iter().for_each(Reports::end);
    }
}
