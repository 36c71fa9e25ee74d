//! The model's calls as spans, by OpenTelemetry's semantic conventions for generative AI. What was asked and answered is
//! told to no collector.

use repartee_process::telemetry::{Span, SpanKind, StringValue, Value};

use super::{Asker, answer::Answer, failure::Failure};
use crate::{mcp::Offered, traces};

impl Asker {
    /// Begins the span of one request to the endpoint.
    pub(super) fn begin_span(&self) -> Span {
        let settings = &self.settings;
        let model = settings.model.as_deref().unwrap_or_default();
        let mut span = traces::part(SpanKind::Client, || format!("chat {model}"));
        span.set("gen_ai.operation.name", || "chat".into());
        // What it speaks; whose it is, only the address says.
        span.set("gen_ai.provider.name", || "openai".into());
        span.set("gen_ai.request.model", || model.to_owned().into());
        if let Some(tokens) = settings.max_tokens {
            span.set("gen_ai.request.max_tokens", || i64::from(tokens).into());
        }
        if let Some(temperature) = settings.temperature {
            span.set("gen_ai.request.temperature", || temperature.into());
        }
        if let Some(top_p) = settings.top_p {
            span.set("gen_ai.request.top_p", || top_p.into());
        }
        let (host, port) = self.endpoint.server();
        span.set("server.address", || host.to_owned().into());
        if let Some(port) = port {
            span.set("server.port", || i64::from(port).into());
        }
        span
    }
}

/// Notes what came of it.
pub(super) fn end(span: &mut Span, answer: &Result<Answer, Failure>) {
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => return span.fail(failure.kind()),
    };
    if is_word(&answer.finish) {
        let reasons = vec![StringValue::from(answer.finish.clone())];
        span.set("gen_ai.response.finish_reasons", || Value::Array(reasons.into()));
    }
    let mut tokens = |key, count: Option<u64>| {
        if let Some(count) = count {
            span.set(key, || i64::try_from(count).unwrap_or(i64::MAX).into());
        }
    };
    tokens("gen_ai.usage.input_tokens", answer.input_tokens);
    tokens("gen_ai.usage.output_tokens", answer.output_tokens);
}

/// Begins the span of a tool's call. Its arguments and its result are made of what people wrote.
pub(super) fn tool(tool: &Offered) -> Span {
    let mut span = traces::part(SpanKind::Internal, || format!("execute_tool {}", tool.name));
    span.set("gen_ai.operation.name", || "execute_tool".into());
    span.set("gen_ai.tool.name", || tool.name.clone().into());
    span.set("gen_ai.tool.type", || "extension".into());
    span
}

/// A reason as endpoints give them; whatever else stands there is nothing for a collector.
fn is_word(reason: &str) -> bool {
    (1..=32).contains(&reason.len())
        && reason.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'-'))
}
