//! What a worker does with a message, as spans of the message's trace: the attempt, the model's calls and the tools beneath
//! it, and the calls to the service. Names are those of OpenTelemetry's semantic conventions; never a text.

use http::HeaderMap;
use repartee_process::telemetry::{Call, NewSpan, Span, SpanKind, TraceContext, current_trace, rpc};
use repartee_proto::v1::{ItemMetadata, Message, Work};
use tonic::{Code, Request, Response, Status};

const SERVICE: &str = "/repartee.v1.QueueService/";

/// The place of a claim in the trace of its message.
pub(crate) fn of_work(work: &Work) -> Option<TraceContext> {
    TraceContext::parse(work.traceparent.as_deref()?, work.tracestate.as_deref())
}

/// The attempt on a claim, as what is being done until it is reported.
pub(crate) fn attempt(message: &Message, claim: Option<TraceContext>) -> Call {
    let Some(claim) = claim else { return Call::default() };
    let mut span = NewSpan::of(SpanKind::Consumer, Some(&claim)).begin(|| "process");
    let (entity, attempt) =
        message.bot_params.as_ref().map_or(("", 1), |bot| (bot.entity.as_str(), bot.attempts));
    span.set("messaging.system", || "repartee".into());
    span.set("messaging.operation.name", || "process".into());
    span.set("messaging.operation.type", || "process".into());
    span.set("messaging.message.id", || message.id.clone().into());
    span.set("messaging.destination.name", || entity.to_owned().into());
    span.set("repartee.attempt", || i64::from(attempt).into());
    Call::new(span, Some(claim))
}

/// What is done beside the attempt for its sake.
pub(crate) fn beside() -> Call {
    Call::new(Span::default(), current_trace())
}

/// Begins a part of what is being done; nothing outside of a trace.
#[cfg(feature = "openai")]
pub(crate) fn part(kind: SpanKind, name: impl FnOnce() -> String) -> Span {
    match current_trace() {
        Some(trace) => NewSpan::of(kind, Some(&trace)).begin(name),
        None => Span::default(),
    }
}

/// Makes a call to the service as a part of what is being done. The service's own span is a part of it.
pub(crate) async fn call<T, A, F>(
    method: &str,
    mut request: Request<T>,
    send: impl FnOnce(Request<T>) -> F,
) -> Result<A, Status>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    let headers = request.metadata_mut().as_mut();
    rpc::inject(headers);
    let mut span = rpc::begin_client_call(&format!("{SERVICE}{method}"), headers);
    let answer = send(request).await;
    let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
    rpc::end(&mut span, &SpanKind::Client, code);
    Ok(answer?.into_inner())
}

/// Takes a step of Work as a part of what is being done, with its place in the trace. `method` is the call for which it stands;
/// the service's own span is a part of it.
pub(crate) async fn step<A>(
    method: &str,
    take: impl AsyncFnOnce(ItemMetadata) -> Result<A, Status>,
) -> Result<A, Status> {
    let mut headers = HeaderMap::new();
    rpc::inject(&mut headers);
    let mut span = rpc::begin_client_call(&format!("{SERVICE}{method}"), &mut headers);
    let answer = take(metadata(&headers)).await;
    let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
    rpc::end(&mut span, &SpanKind::Client, code);
    answer
}

fn metadata(headers: &HeaderMap) -> ItemMetadata {
    let Some(trace) = TraceContext::of(headers) else { return ItemMetadata::default() };
    let tracestate = trace.tracestate().unwrap_or_default().to_owned();
    ItemMetadata { traceparent: trace.traceparent(), tracestate, ..ItemMetadata::default() }
}
