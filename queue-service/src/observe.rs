//! What operators see: metrics of the calls, and of the queue as it is when it is asked for.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{Request, State},
    http::header::CONTENT_TYPE,
    middleware::Next,
    response::{IntoResponse, Response},
};
use metrics::gauge;

use crate::{
    domain::Millis,
    grpc::QueueGrpc,
    views::EntityDepth,
    writer::{Clock, SystemClock},
};

/// Times a call until its answer begins, by its method and its outcome as far as that is known then.
pub(crate) async fn time_call(request: Request, next: Next) -> Response {
    let method: Arc<str> = request.uri().path().into();
    let began = Instant::now();
    let response = next.run(request).await;
    // An unknown path is whatever a client makes up: it must not become a label.
    if response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
    {
        let code = response
            .headers()
            .get("grpc-status")
            .and_then(|code| code.to_str().ok())
            .unwrap_or("0")
            .to_owned();
        if code != "12" {
            let labels = [("method", method.to_string()), ("code", code)];
            metrics::histogram!("repartee_grpc_call_seconds", &labels).record(began.elapsed());
        }
    }
    response
}

/// Answers `GET /metrics`.
pub(crate) async fn metrics(State(grpc): State<QueueGrpc>) -> impl IntoResponse {
    measure(&grpc, SystemClock.now());
    ([(CONTENT_TYPE, repartee_process::CONTENT_TYPE)], repartee_process::recorder().render())
}

fn measure(grpc: &QueueGrpc, now: Millis) {
    let views = &grpc.reads.views;
    // Sums only: entities are named by clients and would be labels without end. GetStats tells them apart.
    let depths = views.depths(now);
    let sum = |count: fn(&EntityDepth) -> u64| depths.iter().map(count).sum::<u64>() as f64;
    gauge!("repartee_pending").set(sum(|depth| depth.pending));
    gauge!("repartee_delayed").set(sum(|depth| depth.delayed));
    gauge!("repartee_processing").set(sum(|depth| depth.processing));
    for (kind, count) in views.counts() {
        metrics::counter!("repartee_changes_total", "kind" => format!("{kind:?}")).absolute(count);
    }
    let fill = views.fill();
    gauge!("repartee_cache_messages").set(fill.messages as f64);
    gauge!("repartee_cache_changes").set(fill.changes as f64);
    gauge!("repartee_cache_bytes").set(fill.bytes as f64);
    gauge!("repartee_tail_seq").set(grpc.reads.tail() as f64);
    let streams = &grpc.streams;
    gauge!("repartee_worker_streams").set(streams.taken(&streams.workers) as f64);
    gauge!("repartee_watchers").set(streams.taken(&streams.watchers) as f64);
}
