//! Lines for people, with the trace of the call before what is said.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Compact, Format, Writer, format},
    },
    registry::LookupSpan,
};

use crate::telemetry::with_current;

/// Writes lines.
pub(super) struct Lines(Format<Compact>);

impl Default for Lines {
    fn default() -> Self {
        Self(format().compact())
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if let Some(trace) = with_current(|call| call.trace.as_ref().map(|trace| trace.trace_id())).flatten()
        {
            write!(line, "[{trace}] ")?;
        }
        self.0.format_event(context, line, event)
    }
}
