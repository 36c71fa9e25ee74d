//! Which traces are recorded: as `OTEL_TRACES_SAMPLER` says, and always what is linked to a recorded one.

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind, TraceContextExt as _, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

/// A commit has a trace of its own, which serves many calls: it is recorded if one of them is.
#[derive(Debug, Clone)]
pub(super) struct WithLinked(pub(super) Box<dyn ShouldSample>);

impl ShouldSample for WithLinked {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let is_root = parent.is_none_or(|parent| !parent.span().span_context().is_valid());
        if is_root && !links.is_empty() {
            let is_sampled = links.iter().any(|link| link.span_context.is_sampled());
            return SamplingResult {
                decision: if is_sampled { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop },
                attributes: Vec::new(),
                trace_state: TraceState::default(),
            };
        }
        self.0.should_sample(parent, trace_id, name, kind, attributes, links)
    }
}
