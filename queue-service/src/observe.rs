//! What operators see: metrics of the calls, and of the queue as it is when it is asked for.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header::CONTENT_TYPE},
    middleware::Next,
    response::{IntoResponse, Response},
};
use metrics::{Histogram, counter, gauge};
use parking_lot::RwLock;
use repartee_process::Fill;
use tonic::Code;

use crate::{domain::Millis, grpc::QueueGrpc, writer::Clock as _};

/// How long calls took until their answer began, by method and outcome: one histogram each, looked up without building
/// its labels for every call.
#[derive(Clone, Default)]
pub(crate) struct CallTimes(Arc<RwLock<HashMap<Box<str>, ByCode>>>);

/// The histograms of one method by the number of the gRPC status code.
type ByCode = BTreeMap<u8, Histogram>;

impl CallTimes {
    fn note(&self, method: &str, code: u8, took: Duration) {
        let known = |times: &HashMap<Box<str>, ByCode>| Some(times.get(method)?.get(&code)?.clone());
        let histogram = known(&self.0.read());
        let histogram = histogram.unwrap_or_else(|| {
            let labels = [("method", method.to_owned()), ("code", code.to_string())];
            let histogram = metrics::histogram!("repartee_grpc_call_seconds", &labels);
            self.0.write().entry(method.into()).or_default().insert(code, histogram.clone());
            histogram
        });
        histogram.record(took);
    }
}

/// Times a call until its answer begins, by its method and its outcome as far as that is known then.
pub(crate) async fn time_call(State(times): State<CallTimes>, request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let began = Instant::now();
    let response = next.run(request).await;
    let kind = response.headers().get(CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        let code = response.headers().get("grpc-status").and_then(|code| code.to_str().ok()?.parse().ok());
        let code = code.unwrap_or(Code::Ok as u8);
        // An unknown path is whatever a client makes up: it must not become a label.
        if code != Code::Unimplemented as u8 {
            times.note(uri.path(), code, began.elapsed());
        }
    }
    response
}

/// Answers `GET /metrics` to operators.
pub(crate) async fn metrics_for_operators(State(grpc): State<QueueGrpc>, headers: HeaderMap) -> Response {
    match grpc.rights.operator(&headers) {
        Ok(()) => metrics(State(grpc)).await.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Answers `GET /metrics`.
pub(crate) async fn metrics(State(grpc): State<QueueGrpc>) -> impl IntoResponse {
    measure(&grpc, grpc.clock.read().now);
    ([(CONTENT_TYPE, repartee_process::CONTENT_TYPE)], repartee_process::recorder().render())
}

fn measure(grpc: &QueueGrpc, now: Millis) {
    let views = &grpc.reads.views;
    // Sums only: entities are named by clients and would be labels without end. GetStats tells them apart.
    let totals = views.totals(now);
    gauge!("repartee_pending").set(totals.pending as f64);
    gauge!("repartee_delayed").set(totals.delayed as f64);
    gauge!("repartee_processing").set(totals.processing as f64);
    gauge!("repartee_pending_entities").set(totals.entities as f64);
    gauge!("repartee_paused_entities").set(views.paused().len() as f64);
    gauge!("repartee_throttled_entities").set(views.throttled() as f64);
    for (kind, count) in views.counts() {
        counter!("repartee_changes_total", "kind" => format!("{kind:?}")).absolute(count);
    }
    for (call, cost) in grpc.reads.costs.by_call() {
        counter!("repartee_storage_reads_total", "call" => call).absolute(cost.reads);
        counter!("repartee_storage_writes_total", "call" => call).absolute(cost.writes);
    }
    gauge!("repartee_cache_changes").set(views.fill().changes as f64);
    let begins = grpc.reads.store.begins();
    gauge!("repartee_log_begins_seq").set(begins.seq as f64);
    gauge!("repartee_log_begins_timestamp_seconds").set(begins.stamp as f64 / 1_000.0);
    gauge!("repartee_tail_seq").set(grpc.reads.tail() as f64);
    grpc.fills(&totals).into_iter().for_each(Fill::show);
}
