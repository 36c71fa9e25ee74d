//! The place of a call in a trace, as W3C Trace Context (level 2) writes it in headers, and as it is stored.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceState},
};

/// Names the trace and the caller's span.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What vendors keep beside it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The longest `tracestate` that is passed on, in bytes; the standard asks for at least this much. A longer one is dropped.
const STATE_BYTES: usize = 512;
/// The flags that the standard defines: sampled, and that the trace id is random.
const KNOWN_FLAGS: u8 = 0x03;
const SAMPLED: u8 = 0x01;
/// Bytes of the stored form before the `tracestate`.
const STORED: usize = 1 + 16 + 8 + 1;
/// The first byte of the stored form.
const VERSION: u8 = 0;

/// A place in a trace: the trace, a span in it, whether it is sampled, and what vendors have noted.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
    state: Option<Box<str>>,
}

impl TraceContext {
    /// That of a request; `None` if it brings none that is well-formed, or more than one.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = parents.next()?.to_str().ok().filter(|_| parents.next().is_none())?;
        let states: Vec<_> =
            headers.get_all(TRACESTATE).iter().filter_map(|state| state.to_str().ok()).collect();
        let state = if states.is_empty() { None } else { Some(states.join(",")) };
        Self::parse(parent, state.as_deref())
    }

    /// Reads `version-traceid-parentid-flags`; later versions may have more behind it. A `tracestate` that is not well-formed
    /// or too long is dropped, as the standard asks.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let mut part = |digits: usize| parts.next().filter(|part| is_hex(part, digits));
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let is_whole = version != "00" || parts.next().is_none();
        let (mut trace_id, mut span_id, mut bits) = ([0; 16], [0; 8], [0; 1]);
        hex::decode_to_slice(trace, &mut trace_id).ok()?;
        hex::decode_to_slice(span, &mut span_id).ok()?;
        hex::decode_to_slice(flags, &mut bits).ok()?;
        let is_null = trace_id == [0; 16] || span_id == [0; 8];
        (version != "ff" && is_whole && !is_null).then(|| Self {
            trace_id,
            span_id,
            flags: bits[0] & KNOWN_FLAGS,
            state: tracestate.and_then(state),
        })
    }

    /// The value of the header [`TRACEPARENT`].
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id(), self.span_id(), self.flags)
    }

    /// The value of the header [`TRACESTATE`], if there is one.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Writes it into the headers of a request or of an answer, in place of what is there.
    pub fn write_to(&self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, visible(&self.traceparent()));
        match self.tracestate() {
            Some(state) => headers.insert(TRACESTATE, visible(state)),
            None => headers.remove(TRACESTATE),
        };
    }

    /// The trace, 32 hex digits.
    pub fn trace_id(&self) -> String {
        hex::encode(self.trace_id)
    }

    /// The span, 16 hex digits.
    pub fn span_id(&self) -> String {
        hex::encode(self.span_id)
    }

    /// The flags, as the header has them.
    pub fn flags(&self) -> u8 {
        self.flags
    }

    /// True if spans of this trace are recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// What it takes in memory beside itself, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.len())
    }

    /// The stored form: a version byte (0), the trace, the span, the flags, and the `tracestate`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let state = self.state.as_deref().unwrap_or_default();
        let mut bytes = Vec::with_capacity(STORED + state.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.trace_id);
        bytes.extend_from_slice(&self.span_id);
        bytes.push(self.flags);
        bytes.extend_from_slice(state.as_bytes());
        bytes
    }

    /// Reads the stored form; `None` if it is of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (fixed, state) = bytes.split_at_checked(STORED)?;
        let (&[VERSION], ids) = fixed.split_first_chunk::<1>()? else { return None };
        let (trace_id, rest) = ids.split_first_chunk::<16>()?;
        let (span_id, flags) = rest.split_first_chunk::<8>()?;
        let state = self::state(std::str::from_utf8(state).ok()?);
        Some(Self { trace_id: *trace_id, span_id: *span_id, flags: *flags.first()?, state })
    }

    pub(super) fn to_remote(&self) -> SpanContext {
        let state: TraceState =
            self.state.as_deref().and_then(|state| state.parse().ok()).unwrap_or_default();
        let (trace, span) = (TraceId::from_bytes(self.trace_id), SpanId::from_bytes(self.span_id));
        SpanContext::new(trace, span, TraceFlags::new(self.flags), true, state)
    }

    pub(super) fn of_span(context: &SpanContext) -> Self {
        let state = context.trace_state().header();
        Self {
            trace_id: context.trace_id().to_bytes(),
            span_id: context.span_id().to_bytes(),
            flags: context.trace_flags().to_u8(),
            state: (!state.is_empty()).then(|| state.into()),
        }
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.traceparent())
    }
}

fn is_hex(part: &str, digits: usize) -> bool {
    part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn state(text: &str) -> Option<Box<str>> {
    let state: TraceState = (text.len() <= STATE_BYTES).then(|| text.parse().ok()).flatten()?;
    let text = state.header();
    let is_visible = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    (!text.is_empty() && is_visible).then(|| text.into())
}

fn visible(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("it was read from a header, or is made of hex digits")
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::TraceContext;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_context_is_read_and_written_as_the_standard_says() {
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let read = TraceContext::of(&headers(&[
            ("traceparent", &parent),
            ("tracestate", "a=1, b=2"),
            ("tracestate", "c=3"),
        ]));
        let read = read.unwrap();
        assert_eq!((read.trace_id().as_str(), read.span_id().as_str()), (TRACE, SPAN));
        assert!(read.is_sampled());
        let mut written = headers(&[("traceparent", "old"), ("tracestate", "old=1")]);
        read.write_to(&mut written);
        assert_eq!(written["traceparent"], parent);
        assert_eq!(written["tracestate"], "a=1,b=2,c=3");
        let of_later_version = TraceContext::parse(&format!("01-{TRACE}-{SPAN}-fc-more"), None).unwrap();
        assert_eq!(of_later_version.traceparent(), format!("00-{TRACE}-{SPAN}-00"));
    }

    #[test]
    fn what_is_not_well_formed_is_no_context() {
        for broken in [
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-0000000000000000-01"),
            "x".to_owned(),
        ] {
            assert_eq!(TraceContext::parse(&broken, None), None, "{broken}");
        }
        let parent = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(TraceContext::of(&headers(&[("traceparent", &parent), ("traceparent", &parent)])), None);
        for broken in ["no pair", "a=\u{e4}", &format!("a={}", "x".repeat(520))] {
            assert_eq!(TraceContext::parse(&parent, Some(broken)).unwrap().tracestate(), None, "{broken}");
        }
    }

    #[test]
    fn what_is_stored_is_read_again_and_other_versions_are_not() {
        for state in [None, Some("a=1,b=2")] {
            let context = TraceContext::parse(&format!("00-{TRACE}-{SPAN}-01"), state).unwrap();
            let mut bytes = context.to_bytes();
            assert_eq!(TraceContext::from_bytes(&bytes), Some(context));
            bytes[0] = 1;
            assert_eq!(TraceContext::from_bytes(&bytes), None);
        }
        assert_eq!(TraceContext::from_bytes(&[0; 25]), None);
    }
}
