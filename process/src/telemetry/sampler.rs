//! Which traces are recorded: as `OTEL_TRACES_SAMPLER` says, and always what is linked to a recorded one. A link to what a
//! stranger claims to be a part of counts for nothing.

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind, TraceContextExt as _, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

/// The attribute of a link to a trace that a caller claims whose word does not count.
pub(super) const CLAIMED: &str = "repartee.claimed";

fn is_claimed(link: &Link) -> bool {
    link.attributes.iter().any(|attribute| attribute.key.as_str() == CLAIMED)
}

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
        let mut served = links.iter().filter(|link| !is_claimed(link)).peekable();
        if is_root && served.peek().is_some() {
            let is_sampled = served.any(|link| link.span_context.is_sampled());
            return SamplingResult {
                decision: if is_sampled { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop },
                attributes: Vec::new(),
                trace_state: TraceState::default(),
            };
        }
        self.0.should_sample(parent, trace_id, name, kind, attributes, links)
    }
}
