//! What operators see: metrics of the calls, and of the queue as it is when it is asked for.

mod calls;
mod described;
mod entities;

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures_util::future::BoxFuture;
use metrics::{counter, gauge};
use repartee_process::{Fill, Measure};

pub(crate) use calls::{CallTimes, time_call};
pub(crate) use described::describe;

use crate::{
    domain::{ChangeKind, Millis, Moment},
    grpc::QueueGrpc,
    views::Totals,
    writer::Clock as _,
};

/// All kinds of changes.
const KINDS: [ChangeKind; 13] = [
    ChangeKind::Posted,
    ChangeKind::Claimed,
    ChangeKind::Released,
    ChangeKind::Expired,
    ChangeKind::RetryScheduled,
    ChangeKind::Failed,
    ChangeKind::Completed,
    ChangeKind::Cancelled,
    ChangeKind::Retried,
    ChangeKind::Edited,
    ChangeKind::Deleted,
    ChangeKind::Hidden,
    ChangeKind::Restored,
];

fn label_of(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Posted => "posted",
        ChangeKind::Claimed => "claimed",
        ChangeKind::Released => "released",
        ChangeKind::Expired => "expired",
        ChangeKind::RetryScheduled => "retry_scheduled",
        ChangeKind::Failed => "failed",
        ChangeKind::Completed => "completed",
        ChangeKind::Cancelled => "cancelled",
        ChangeKind::Retried => "retried",
        ChangeKind::Edited => "edited",
        ChangeKind::Deleted => "deleted",
        ChangeKind::Hidden => "hidden",
        ChangeKind::Restored => "restored",
    }
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
    let text = repartee_process::measured_text(&[measure(grpc)]).await;
    ([(CONTENT_TYPE, repartee_process::CONTENT_TYPE)], text)
}

/// How the queue as it is now is brought into the metrics.
pub(crate) fn measure(grpc: QueueGrpc) -> Measure {
    Arc::new(move || -> BoxFuture<'static, String> {
        let grpc = grpc.clone();
        Box::pin(async move {
            let Moment { now, wall } = grpc.clock.read();
            let totals = grpc.reads.views.totals(now);
            measure_queue(&grpc, &totals, wall);
            measure_log(&grpc);
            // What cannot be read is left as it was; the calls that need it say so.
            if let Ok(failed) = grpc.reads.count_failed("Metrics").await {
                gauge!("repartee_failed").set(failed as f64);
            }
            grpc.fills(&totals).into_iter().for_each(Fill::show);
            entities::rows(&grpc.reads.views, &totals, wall)
        })
    })
}

fn measure_queue(grpc: &QueueGrpc, totals: &Totals, wall: Millis) {
    let views = &grpc.reads.views;
    gauge!("repartee_pending").set(totals.pending as f64);
    gauge!("repartee_delayed").set(totals.delayed as f64);
    gauge!("repartee_processing").set(totals.processing as f64);
    gauge!("repartee_oldest_pending_seconds").set(age(totals.oldest, wall));
    gauge!("repartee_pending_entities").set(totals.entities as f64);
    gauge!("repartee_paused_entities").set(views.paused().len() as f64);
    gauge!("repartee_throttled_entities").set(views.throttled() as f64);
}

/// How old that is at `wall`, in seconds; 0 if there is nothing, or it is not due yet.
fn age(oldest: Option<Millis>, wall: Millis) -> f64 {
    oldest.map_or(0.0, |oldest| wall.saturating_sub(oldest).max(0) as f64 / 1_000.0)
}

fn measure_log(grpc: &QueueGrpc) {
    let views = &grpc.reads.views;
    // Each kind is there before its first change.
    for kind in KINDS {
        counter!("repartee_changes_total", "kind" => label_of(kind)).absolute(0);
    }
    for (kind, count) in views.counts() {
        counter!("repartee_changes_total", "kind" => label_of(kind)).absolute(count);
    }
    for (call, cost) in grpc.reads.costs.by_call() {
        counter!("repartee_storage_reads_total", "call" => call).absolute(cost.reads);
        counter!("repartee_storage_writes_total", "call" => call).absolute(cost.writes);
    }
    gauge!("repartee_cache_changes").set(views.fill().changes as f64);
    let begins = grpc.reads.store.begins();
    gauge!("repartee_log_begins_seq").set(begins.seq as f64);
    gauge!("repartee_log_begins_timestamp_seconds").set(begins.stamp as f64 / 1_000.0);
    gauge!("repartee_data_bytes").set(grpc.reads.store.data_bytes() as f64);
    gauge!("repartee_tail_seq").set(grpc.reads.tail() as f64);
}
