//! One thing that was done, from when to when. With telemetry off it is nothing, and costs one look at a static.

use std::{borrow::Cow, fmt, sync::OnceLock, time::SystemTime};

use opentelemetry::{
    Context, KeyValue, Value,
    trace::{Link, Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;

use super::{TraceContext, sampler};

/// Set once at the start, if there is a collector.
pub(super) static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// True if spans are recorded at all.
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// Something that is being done. It ends when it is dropped.
#[derive(Default)]
pub struct Span {
    context: Option<TraceContext>,
    /// Absent if its trace is not sampled.
    recorded: Option<Box<opentelemetry_sdk::trace::Span>>,
}

/// A span that is to begin.
#[derive(Debug)]
pub struct NewSpan<'a> {
    /// Who does what for whom.
    pub kind: SpanKind,
    /// The span that this is a part of; without one it begins a trace.
    pub parent: Option<&'a TraceContext>,
    /// When it began; now unless set.
    pub began: Option<SystemTime>,
    /// Spans of other traces that it belongs to. One that is sampled makes this one sampled.
    pub links: Vec<TraceContext>,
    /// What a caller claims to be a part of, whose word does not count: a link that makes nothing sampled.
    pub claimed: Option<&'a TraceContext>,
}

impl<'a> NewSpan<'a> {
    /// A part of `parent`, or the beginning of a trace.
    pub fn of(kind: SpanKind, parent: Option<&'a TraceContext>) -> Self {
        Self { kind, parent, began: None, links: Vec::new(), claimed: None }
    }

    /// The same, with a link to what its caller claims to be a part of.
    #[must_use]
    pub fn beside(self, claimed: Option<&'a TraceContext>) -> Self {
        Self { claimed, ..self }
    }

    /// Begins it, if telemetry is on. The name is a pattern, never made of what people wrote.
    pub fn begin<N: Into<Cow<'static, str>>>(self, name: impl FnOnce() -> N) -> Span {
        let Some(tracer) = TRACER.get() else { return Span::default() };
        let mut builder = SpanBuilder::from_name(name()).with_kind(self.kind);
        builder.start_time = self.began;
        if !self.links.is_empty() || self.claimed.is_some() {
            let links = self.links.iter().map(|link| Link::with_context(link.to_remote()));
            let claimed = self.claimed.map(|claimed| {
                Link::new(claimed.to_remote(), vec![KeyValue::new(sampler::CLAIMED, true)], 0)
            });
            builder.links = Some(links.chain(claimed).collect());
        }
        let parent = self
            .parent
            .map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent.to_remote()));
        let span = tracer.build_with_context(builder, &parent);
        let context = Some(TraceContext::of_span(span.span_context()));
        Span { context, recorded: span.is_recording().then(|| Box::new(span)) }
    }
}

impl Span {
    /// Where it stands, for what is done for its sake; `None` if telemetry is off.
    pub fn context(&self) -> Option<TraceContext> {
        self.context.clone()
    }

    /// True if it will be seen: whatever is only needed for it need not be worked out otherwise.
    pub fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }

    /// Sets an attribute. Never a text, a token or a name that a person chose.
    pub fn set(&mut self, key: &'static str, value: impl FnOnce() -> Value) {
        if let Some(span) = &mut self.recorded {
            span.set_attribute(KeyValue::new(key, value()));
        }
    }

    /// Notes that it failed; `kind` is one of few words, such as the name of a status.
    pub fn fail(&mut self, kind: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.recorded {
            let kind = kind.into();
            span.set_attribute(KeyValue::new("error.type", Value::from(kind)));
            span.set_status(Status::error(""));
        }
    }

    /// Names it anew, once it is known what it is.
    pub fn rename<N: Into<Cow<'static, str>>>(&mut self, name: impl FnOnce() -> N) {
        if let Some(span) = &mut self.recorded {
            span.update_name(name());
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span").field("context", &self.context).field("recorded", &self.is_recorded()).finish()
    }
}
