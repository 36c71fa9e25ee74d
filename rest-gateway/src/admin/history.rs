//! The last hour as a ring of points. Pure: what was counted and when come in as arguments.

use std::{collections::VecDeque, time::Duration};

use hdrhistogram::Histogram;
use repartee_proto::v1::{self, ChangeKind};

use crate::json::{CallSpan, HistoryPoint};

/// Points that are kept: an hour of them at one in ten seconds.
pub(super) const KEPT: usize = 360;
/// What took longer than a day is counted as a day, in microseconds.
const LONGEST: u64 = 86_400_000_000;

/// How long calls or answers took since the last point.
pub(super) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 2).expect("the bounds are in order"))
    }
}

impl Latencies {
    pub(super) fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST).clamp(1, LONGEST));
    }

    /// How many there were, and their median and 99th percentile in ms; starts over.
    fn take(&mut self) -> (u64, Option<f64>, Option<f64>) {
        let ms = |quantile| (!self.0.is_empty()).then(|| self.0.value_at_quantile(quantile) as f64 / 1_000.0);
        let taken = (self.0.len(), ms(0.5), ms(0.99));
        self.0.reset();
        taken
    }
}

/// What is known at one moment.
pub(super) struct Sample<'a> {
    /// Unix milliseconds.
    pub(super) time: i64,
    /// What the queue-service says; nothing where it did not answer.
    pub(super) stats: Option<v1::GetStatsResponse>,
    /// Posts through this gateway.
    pub(super) posts: &'a mut Latencies,
    /// Answers of which it has heard.
    pub(super) answers: &'a mut Latencies,
    /// Open streams of this gateway.
    pub(super) sse_clients: u32,
    /// Its long-polls.
    pub(super) long_polls: u32,
}

/// The points, at most [`KEPT`].
#[derive(Default)]
pub(super) struct History {
    points: VecDeque<(HistoryPoint, Vec<v1::CallStats>)>,
    /// What the queue-service had counted by the last point.
    last: Option<v1::GetStatsResponse>,
}

impl History {
    /// Adds a point; the oldest leaves where there are enough.
    pub(super) fn add(&mut self, sample: Sample<'_>) {
        let Sample { time, stats, posts, answers, sse_clients, long_polls } = sample;
        let (posts, post_p50_ms, post_p99_ms) = posts.take();
        let (answers, answer_p50_ms, answer_p99_ms) = answers.take();
        let mut point = HistoryPoint {
            time,
            posts,
            post_p50_ms,
            post_p99_ms,
            answers,
            answer_p50_ms,
            answer_p99_ms,
            sse_clients,
            long_polls,
            ..HistoryPoint::default()
        };
        let mut calls = Vec::new();
        if let Some(now) = stats {
            point.pending = Some(now.pending);
            point.processing = Some(now.processing);
            let in_ms = |age: prost_types::Duration| {
                age.seconds.saturating_mul(1_000) + i64::from(age.nanos) / 1_000_000
            };
            point.oldest_age_ms = Some(now.oldest_age.map(in_ms).unwrap_or_default());
            point.watchers = Some(now.watchers);
            if let Some(before) = &self.last {
                let counted = |kind| Some(since(count(before, kind), count(&now, kind)));
                point.posted = counted(ChangeKind::Posted);
                point.answered = counted(ChangeKind::Completed);
                point.failed = counted(ChangeKind::Failed);
                calls = calls_since(before, &now);
                point.storage_reads = Some(calls.iter().map(|call| call.reads).sum());
                point.storage_writes = Some(calls.iter().map(|call| call.writes).sum());
            }
            self.last = Some(now);
        }
        self.points.push_back((point, calls));
        if self.points.len() > KEPT {
            self.points.pop_front();
        }
    }

    /// All points, oldest first.
    pub(super) fn points(&self) -> Vec<HistoryPoint> {
        self.points.iter().map(|(point, _)| point.clone()).collect()
    }

    /// How much time the counts of the points cover, in ms.
    pub(super) fn span_ms(&self) -> i64 {
        let times = || self.points.iter().map(|(point, _)| point.time);
        let first = times().zip(&self.points).position(|(_, (point, _))| point.posted.is_some());
        // What the first count covers began with the point before it.
        let began = first.map(|first| first.saturating_sub(1)).and_then(|first| times().nth(first));
        began.zip(times().next_back()).map_or(0, |(began, ended)| ended - began)
    }

    /// What each kind of call cost in that time.
    pub(super) fn calls(&self) -> Vec<CallSpan> {
        let mut sums: Vec<CallSpan> = Vec::new();
        for call in self.points.iter().flat_map(|(_, calls)| calls) {
            let at = sums.iter().position(|sum| sum.call == call.call).unwrap_or_else(|| {
                sums.push(CallSpan { call: call.call.clone(), ..CallSpan::default() });
                sums.len() - 1
            });
            sums[at].calls += call.calls;
            sums[at].reads += call.reads;
            sums[at].writes += call.writes;
        }
        sums.sort_by(|a, b| a.call.cmp(&b.call));
        sums
    }
}

/// How much was added to a counter; one that stands lower has begun anew.
fn since(before: u64, now: u64) -> u64 {
    if now < before { now } else { now - before }
}

fn count(stats: &v1::GetStatsResponse, kind: ChangeKind) -> u64 {
    stats.changes_since_start.iter().filter(|count| count.kind() == kind).map(|count| count.count).sum()
}

/// What calls cost since then; calls that were not made are left out.
fn calls_since(before: &v1::GetStatsResponse, now: &v1::GetStatsResponse) -> Vec<v1::CallStats> {
    let difference = |call: &v1::CallStats| {
        let old = before.calls.iter().find(|old| old.call == call.call);
        // The process began anew where it has answered fewer calls than before.
        let old = old.filter(|old| old.calls <= call.calls).cloned().unwrap_or_default();
        let (calls, reads, writes) =
            (call.calls - old.calls, since(old.reads, call.reads), since(old.writes, call.writes));
        (calls + reads + writes > 0).then(|| v1::CallStats { call: call.call.clone(), calls, reads, writes })
    };
    now.calls.iter().filter_map(difference).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use repartee_proto::v1::{CallStats, ChangeCount, ChangeKind, GetStatsResponse};

    use super::{History, KEPT, Latencies, Sample};

    fn stats(posted: u64, writes: u64) -> GetStatsResponse {
        let changes = [(ChangeKind::Posted, posted), (ChangeKind::Completed, posted / 2)];
        GetStatsResponse {
            pending: 3,
            changes_since_start: changes
                .map(|(kind, count)| ChangeCount { kind: kind.into(), count })
                .to_vec(),
            calls: vec![CallStats { call: "PostMessage".to_owned(), calls: posted, reads: 0, writes }],
            oldest_age: Some(prost_types::Duration { seconds: 9, nanos: 500_000_000 }),
            ..GetStatsResponse::default()
        }
    }

    fn add(history: &mut History, time: i64, stats: Option<GetStatsResponse>) {
        let (posts, answers) = (&mut Latencies::default(), &mut Latencies::default());
        history.add(Sample { time, stats, posts, answers, sse_clients: 1, long_polls: 2 });
    }

    #[test]
    fn a_point_has_what_happened_since_the_one_before() {
        let mut history = History::default();
        add(&mut history, 0, Some(stats(100, 400)));
        add(&mut history, 10_000, Some(stats(130, 520)));
        let points = history.points();
        assert_eq!(
            (points[0].posted, points[0].pending),
            (None, Some(3)),
            "nothing is known before the first"
        );
        assert_eq!((points[1].posted, points[1].answered), (Some(30), Some(15)));
        assert_eq!((points[1].storage_reads, points[1].storage_writes), (Some(0), Some(120)));
        assert_eq!(points[1].oldest_age_ms, Some(9_500), "the oldest of all entities");
        assert_eq!((points[1].sse_clients, points[1].long_polls), (1, 2));
        assert_eq!(history.span_ms(), 10_000);
        let calls = history.calls();
        assert_eq!((calls.len(), calls[0].calls, calls[0].writes), (1, 30, 120));
    }

    #[test]
    fn a_queue_service_that_does_not_answer_leaves_a_gap_and_nothing_is_lost() {
        let mut history = History::default();
        add(&mut history, 0, Some(stats(100, 400)));
        add(&mut history, 10_000, None);
        add(&mut history, 20_000, Some(stats(160, 640)));
        let points = history.points();
        assert_eq!((points[1].posted, points[1].pending), (None, None));
        assert_eq!(points[2].posted, Some(60));
        assert_eq!(history.calls()[0].writes, 240);
    }

    #[test]
    fn counters_that_begin_anew_are_counted_from_zero() {
        let mut history = History::default();
        add(&mut history, 0, Some(stats(100, 400)));
        add(&mut history, 10_000, Some(stats(8, 32)));
        assert_eq!(history.points()[1].posted, Some(8));
        assert_eq!((history.calls()[0].calls, history.calls()[0].writes), (8, 32));
    }

    #[test]
    fn the_ring_is_bounded() {
        let mut history = History::default();
        for at in 0..=KEPT as i64 {
            add(&mut history, at * 10_000, Some(stats(at as u64, 0)));
        }
        let points = history.points();
        assert_eq!((points.len(), points[0].time), (KEPT, 10_000));
        assert_eq!(history.calls()[0].calls, KEPT as u64);
    }

    #[test]
    fn latencies_are_those_since_the_last_point() {
        let (mut posts, mut answers) = (Latencies::default(), Latencies::default());
        for ms in 1..=100 {
            posts.record(Duration::from_millis(ms));
        }
        posts.record(Duration::from_secs(100_000));
        for took in [Duration::ZERO, Duration::from_secs(20), Duration::from_secs(7_200)] {
            answers.record(took);
        }
        let mut history = History::default();
        for time in [0, 10_000] {
            let (posts, answers) = (&mut posts, &mut answers);
            history.add(Sample { time, stats: None, posts, answers, sse_clients: 0, long_polls: 0 });
        }
        let points = history.points();
        assert_eq!(points[0].answers, 3);
        assert!((20_000.0..20_400.0).contains(&points[0].answer_p50_ms.unwrap()), "{:?}", points[0]);
        assert!((7.2e6..7.3e6).contains(&points[0].answer_p99_ms.unwrap()), "{:?}", points[0]);
        assert_eq!((points[1].answers, points[1].answer_p99_ms), (0, None));
        assert_eq!(points[0].posts, 101);
        assert!((50.0..53.0).contains(&points[0].post_p50_ms.unwrap()), "{:?}", points[0]);
        assert!((99.0..101.0).contains(&points[0].post_p99_ms.unwrap()), "{:?}", points[0]);
        assert_eq!((points[1].posts, points[1].post_p50_ms), (0, None));
    }
}
