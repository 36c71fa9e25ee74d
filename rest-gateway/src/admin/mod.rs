//! The operator's side: who is one, the page, and the history behind its charts.
//!
//! The charts are drawn here, as SVG by `plotters`: a library that Rust's registry carries and that builds into the
//! binary, so that the page loads nothing from elsewhere and no copy of somebody's script lies in this repository.

mod acts;
mod blocks;
mod chart;
mod history;
mod operator;
mod sampler;
mod work;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use parking_lot::Mutex;

use crate::{
    extract::Query,
    json::{Answer, ChartQuery, HistoryPage, HistoryQuery, Now, Span},
    page,
    problem::Problem,
    server::App,
};
pub(crate) use acts::*;
pub(crate) use blocks::*;
use chart::Chart;
use history::{History, Latencies};
pub(crate) use operator::Operator;
pub(crate) use sampler::Sampler;
pub(crate) use work::*;

/// What operators are shown.
pub(crate) struct Admin {
    /// Between two points of the history.
    interval: Duration,
    history: Mutex<History>,
    posts: Mutex<Latencies>,
    answers: Mutex<Latencies>,
}

impl Admin {
    pub(crate) fn new(interval: Duration) -> Arc<Self> {
        let (history, posts, answers) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { interval, history, posts, answers })
    }

    /// The time between two points of a span.
    fn between_points(&self, span: Span) -> Duration {
        self.interval.saturating_mul(span.points().1)
    }

    /// A message was stored and shown; its call began then.
    pub(crate) fn posted(&self, began: Instant) {
        self.posts.lock().record(began.elapsed());
    }

    /// A message was completed, so long after it was posted.
    pub(crate) fn answered(&self, took: Duration) {
        self.answers.lock().record(took);
    }
}

/// The operator's page. It holds nothing of anybody: what it shows it asks for, with the operator's token.
#[utoipa::path(get, path = "/admin", tag = "page",
    responses((status = 200, description = "The page", body = str, content_type = "text/html"),
        (status = 304, description = "The page is the one that the client has")))]
pub(crate) async fn index(asked: HeaderMap) -> Response {
    page::operators(&asked)
}

/// The last quarter of an hour, hour or day, in points: throughput, latency, depth, storage.
///
/// What the queue-service counts is the same by every gateway; latencies, streams and long-polls are those of this one,
/// which learns of every answer for as long as it follows the changes.
#[utoipa::path(get, path = "/api/admin/history", tag = "operations", operation_id = "getHistory",
    params(HistoryQuery),
    security(("token" = [])),
    responses((status = 200, description = "The points, oldest first", body = HistoryPage)))]
pub(crate) async fn history(
    _: Operator,
    State(app): State<App>,
    Query(HistoryQuery { span }): Query<HistoryQuery>,
) -> Answer<HistoryPage> {
    let (points, calls, span_ms) = {
        let history = app.admin.history.lock();
        (history.points(span), history.calls(), history.span_ms())
    };
    let now = Now {
        sse_clients: app.bounds.sse_clients.held(),
        long_polls: app.bounds.long_polls.held(),
        follows: app.tail.is_current(),
    };
    let interval_ms = u64::try_from(app.admin.between_points(span).as_millis()).unwrap_or(u64::MAX);
    let (server_time, most) = (app.tail.clock.now(), span.points().0);
    Answer(HistoryPage { server_time, interval_ms, most, now, points, span_ms, calls })
}

/// A chart of one of these spans as an SVG picture: `throughput`, `latency`, `answers`, `depth` or `storage`.
#[utoipa::path(get, path = "/api/admin/chart/{name}", tag = "operations", operation_id = "getChart",
    params(("name" = String, Path, description = "throughput, latency, answers, depth or storage"), ChartQuery),
    security(("token" = [])),
    responses((status = 200, description = "The picture", body = str, content_type = "image/svg+xml"),
        (status = 404, description = "There is no such chart")))]
pub(crate) async fn chart(
    _: Operator,
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<ChartQuery>,
) -> Result<Response, Problem> {
    let chart = Chart::named(&name).ok_or_else(|| Problem::not_found("there is no such chart"))?;
    let points = app.admin.history.lock().points(query.span);
    let picture = chart.draw(&points, app.admin.between_points(query.span), &query)?;
    let headers: [(HeaderName, HeaderValue); 1] =
        [(header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"))];
    Ok((headers, picture).into_response())
}
