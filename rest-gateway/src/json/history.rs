//! The history behind the operator's charts.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::query::number;

/// Widths of a chart, in px.
const WIDTHS: std::ops::RangeInclusive<u32> = 200..=2_000;
const USUAL_WIDTH: u32 = 640;

/// The points of a span.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryPage {
    /// The server's clock, Unix milliseconds.
    pub(crate) server_time: u64,
    /// Between two points, milliseconds.
    pub(crate) interval_ms: u64,
    /// How many points the span has at the most: the newest one stands at its end.
    pub(crate) most: usize,
    /// This gateway now.
    pub(crate) now: Now,
    /// Oldest first, at most 360.
    pub(crate) points: Vec<HistoryPoint>,
    /// How much time `calls` covers, the last hour at the most, whatever the span of the points; milliseconds.
    pub(crate) span_ms: i64,
    /// What each kind of call cost in that time, by name.
    pub(crate) calls: Vec<CallSpan>,
}

/// What one gateway serves at this moment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Now {
    /// Open streams of events.
    pub(crate) sse_clients: u32,
    /// Long-polls that wait.
    pub(crate) long_polls: u32,
    /// True while it follows the changes of the queue-service.
    pub(crate) follows: bool,
}

/// One point: counts since the point before it, and how it stood then; in the span of a day, how it stood at the most in that
/// time. What is null was not known: the queue-service did
/// not answer, or it is the first point.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryPoint {
    /// When it was taken, Unix milliseconds.
    pub(crate) time: i64,
    /// Messages posted.
    #[schema(required)]
    pub(crate) posted: Option<u64>,
    /// Messages completed.
    #[schema(required)]
    pub(crate) answered: Option<u64>,
    /// Messages given up.
    #[schema(required)]
    pub(crate) failed: Option<u64>,
    /// Messages that wait.
    #[schema(required)]
    pub(crate) pending: Option<u64>,
    /// Messages under a lease.
    #[schema(required)]
    pub(crate) processing: Option<u64>,
    /// Age of the oldest message that waits, milliseconds; 0 where none does.
    #[schema(required)]
    pub(crate) oldest_age_ms: Option<i64>,
    /// Watches of the feed at the queue-service, one for each gateway and each program that watches.
    #[schema(required)]
    pub(crate) watchers: Option<u64>,
    /// Storage reads of all calls.
    #[schema(required)]
    pub(crate) storage_reads: Option<u64>,
    /// Storage writes of all calls.
    #[schema(required)]
    pub(crate) storage_writes: Option<u64>,
    /// Comments that were posted through this gateway.
    pub(crate) posts: u64,
    /// Half of these were stored and shown within so many milliseconds; null where there were none.
    #[schema(required)]
    pub(crate) post_p50_ms: Option<f64>,
    /// And 99 of 100.
    #[schema(required)]
    pub(crate) post_p99_ms: Option<f64>,
    /// Messages that were completed while this gateway followed the changes, each counted once. Those from before it
    /// started are not, and those that it missed where it lost its place.
    pub(crate) answers: u64,
    /// Half of these were completed within so many milliseconds after they were posted; null where there were none.
    #[schema(required)]
    pub(crate) answer_p50_ms: Option<f64>,
    /// And 99 of 100.
    #[schema(required)]
    pub(crate) answer_p99_ms: Option<f64>,
    /// Open streams of events.
    pub(crate) sse_clients: u32,
    /// Long-polls that waited.
    pub(crate) long_polls: u32,
}

/// What one kind of call cost in the time of the history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CallSpan {
    /// Name of the call, or of the service's own work.
    pub(crate) call: String,
    /// How often it was served.
    pub(crate) calls: u64,
    /// Its point reads and range reads.
    pub(crate) reads: u64,
    /// Its rows written or removed.
    pub(crate) writes: u64,
}

/// How far back a history goes, at the usual distance between two points (`--history-interval`, 10 s); at another one it is as
/// much shorter or longer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
pub(crate) enum Span {
    /// 15 minutes, in 90 points.
    #[serde(rename = "15m")]
    Quarter,
    /// An hour, in 360 points.
    #[default]
    #[serde(rename = "1h")]
    Hour,
    /// A day, in 360 points of four minutes each.
    #[serde(rename = "24h")]
    Day,
}

/// Which history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// How far back it goes; an hour where absent.
    #[serde(default)]
    #[param(required = false, inline)]
    pub(crate) span: Span,
}

/// How a chart looks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChartQuery {
    /// How far back it goes; an hour where absent.
    #[serde(default)]
    #[param(required = false, inline)]
    pub(crate) span: Span,
    /// For a light or a dark page; light where absent.
    #[serde(default)]
    #[param(required = false, inline)]
    pub(crate) theme: Theme,
    /// Its width in px, 200 to 2,000; 640 where absent.
    #[serde(default = "usual_width", deserialize_with = "width")]
    #[param(required = false, minimum = 200, maximum = 2000)]
    pub(crate) width: u32,
}

/// The colors around a chart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Theme {
    /// Dark ink.
    #[default]
    Light,
    /// Light ink.
    Dark,
}

fn usual_width() -> u32 {
    USUAL_WIDTH
}

fn width<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    number(deserializer, WIDTHS, "px, a whole number from 200 to 2000")
}
