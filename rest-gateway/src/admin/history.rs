//! The last hour as a ring of points, and the last day as another one of coarser points. Pure: what was counted and when
//! come in as arguments.

use std::{collections::VecDeque, time::Duration};

use hdrhistogram::Histogram;
use repartee_proto::v1::{self, ChangeKind};

use crate::json::{CallSpan, HistoryPoint, Span};

/// Points that each ring keeps: an hour of them at one in ten seconds.
pub(super) const KEPT: usize = 360;
/// So many points make a coarse one: as many of these as are kept are a day.
const COARSE: usize = 24;
/// So many of the newest points are a quarter of an hour.
const QUARTER: usize = KEPT / 4;
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

    /// Takes in what another one has recorded.
    fn add(&mut self, others: &Self) {
        self.0.add(&others.0).expect("all have the same bounds");
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

/// A point, and what each call cost in its time.
type Point = (HistoryPoint, Vec<v1::CallStats>);

/// The points: two rings of at most [`KEPT`] each.
#[derive(Default)]
pub(super) struct History {
    fine: VecDeque<Point>,
    coarse: VecDeque<Point>,
    /// Becomes the next coarse point.
    gathering: Gathering,
    /// What the queue-service had counted by the last point.
    last: Option<v1::GetStatsResponse>,
}

/// The points since the last coarse one.
#[derive(Default)]
struct Gathering {
    points: Vec<Point>,
    posts: Latencies,
    answers: Latencies,
}

impl Span {
    /// How many points it has at the most, and how many intervals there are between two of them.
    pub(super) fn points(self) -> (usize, u32) {
        match self {
            Self::Quarter => (QUARTER, 1),
            Self::Hour => (KEPT, 1),
            Self::Day => (KEPT, COARSE as u32),
        }
    }
}

impl Gathering {
    /// Takes a point in; hands out the coarse one once there are enough.
    fn add(&mut self, point: &Point) -> Option<Point> {
        self.points.push(point.clone());
        if self.points.len() < COARSE {
            return None;
        }
        let points = std::mem::take(&mut self.points);
        let (posts, post_p50_ms, post_p99_ms) = self.posts.take();
        let (answers, answer_p50_ms, answer_p99_ms) = self.answers.take();
        let all = || points.iter().map(|(point, _)| point);
        let sum = |of: fn(&HistoryPoint) -> Option<u64>| {
            all().filter_map(of).fold(None, |sum: Option<u64>, count| Some(sum.unwrap_or(0) + count))
        };
        let coarse = HistoryPoint {
            time: all().next_back().map_or(0, |last| last.time),
            posted: sum(|point| point.posted),
            answered: sum(|point| point.answered),
            failed: sum(|point| point.failed),
            storage_reads: sum(|point| point.storage_reads),
            storage_writes: sum(|point| point.storage_writes),
            pending: all().filter_map(|point| point.pending).max(),
            processing: all().filter_map(|point| point.processing).max(),
            oldest_age_ms: all().filter_map(|point| point.oldest_age_ms).max(),
            watchers: all().filter_map(|point| point.watchers).max(),
            sse_clients: all().map(|point| point.sse_clients).max().unwrap_or_default(),
            long_polls: all().map(|point| point.long_polls).max().unwrap_or_default(),
            posts,
            post_p50_ms,
            post_p99_ms,
            answers,
            answer_p50_ms,
            answer_p99_ms,
        };
        let calls = sums(points.into_iter().flat_map(|(_, calls)| calls));
        Some((coarse, calls))
    }
}

impl History {
    /// Adds a point; the oldest leaves where there are enough.
    pub(super) fn add(&mut self, sample: Sample<'_>) {
        let Sample { time, stats, posts, answers, sse_clients, long_polls } = sample;
        self.gathering.posts.add(posts);
        self.gathering.answers.add(answers);
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
        let point = (point, calls);
        if let Some(coarse) = self.gathering.add(&point) {
            push(&mut self.coarse, coarse);
        }
        push(&mut self.fine, point);
    }

    /// The points of a span, oldest first.
    pub(super) fn points(&self, span: Span) -> Vec<HistoryPoint> {
        let ring = if span == Span::Day { &self.coarse } else { &self.fine };
        let older = ring.len().saturating_sub(span.points().0);
        ring.iter().skip(older).map(|(point, _)| point.clone()).collect()
    }

    /// How much time the counts of the last hour cover, in ms.
    pub(super) fn span_ms(&self) -> i64 {
        let times = || self.fine.iter().map(|(point, _)| point.time);
        let first = times().zip(&self.fine).position(|(_, (point, _))| point.posted.is_some());
        // What the first count covers began with the point before it.
        let began = first.map(|first| first.saturating_sub(1)).and_then(|first| times().nth(first));
        began.zip(times().next_back()).map_or(0, |(began, ended)| ended - began)
    }

    /// What each kind of call cost in that time.
    pub(super) fn calls(&self) -> Vec<CallSpan> {
        let calls = sums(self.fine.iter().flat_map(|(_, calls)| calls).cloned());
        let span = |v1::CallStats { call, calls, reads, writes }| CallSpan { call, calls, reads, writes };
        calls.into_iter().map(span).collect()
    }
}

/// Adds a point; the oldest leaves if there are enough.
fn push(ring: &mut VecDeque<Point>, point: Point) {
    ring.push_back(point);
    if ring.len() > KEPT {
        ring.pop_front();
    }
}

/// One sum for each kind of call, by name.
fn sums(calls: impl Iterator<Item = v1::CallStats>) -> Vec<v1::CallStats> {
    let mut sums: Vec<v1::CallStats> = Vec::new();
    for call in calls {
        match sums.iter_mut().find(|sum| sum.call == call.call) {
            Some(sum) => {
                sum.calls += call.calls;
                sum.reads += call.reads;
                sum.writes += call.writes;
            }
            None => sums.push(call),
        }
    }
    sums.sort_by(|a, b| a.call.cmp(&b.call));
    sums
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

    use super::{COARSE, History, KEPT, Latencies, QUARTER, Sample, Span};

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
        let points = history.points(Span::Hour);
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
        let points = history.points(Span::Hour);
        assert_eq!((points[1].posted, points[1].pending), (None, None));
        assert_eq!(points[2].posted, Some(60));
        assert_eq!(history.calls()[0].writes, 240);
    }

    #[test]
    fn counters_that_begin_anew_are_counted_from_zero() {
        let mut history = History::default();
        add(&mut history, 0, Some(stats(100, 400)));
        add(&mut history, 10_000, Some(stats(8, 32)));
        assert_eq!(history.points(Span::Hour)[1].posted, Some(8));
        assert_eq!((history.calls()[0].calls, history.calls()[0].writes), (8, 32));
    }

    #[test]
    fn the_ring_is_bounded() {
        let mut history = History::default();
        for at in 0..=KEPT as i64 {
            add(&mut history, at * 10_000, Some(stats(at as u64, 0)));
        }
        let points = history.points(Span::Hour);
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
        let points = history.points(Span::Hour);
        assert_eq!(points[0].answers, 3);
        assert!((20_000.0..20_400.0).contains(&points[0].answer_p50_ms.unwrap()), "{:?}", points[0]);
        assert!((7.2e6..7.3e6).contains(&points[0].answer_p99_ms.unwrap()), "{:?}", points[0]);
        assert_eq!((points[1].answers, points[1].answer_p99_ms), (0, None));
        assert_eq!(points[0].posts, 101);
        assert!((50.0..53.0).contains(&points[0].post_p50_ms.unwrap()), "{:?}", points[0]);
        assert!((99.0..101.0).contains(&points[0].post_p99_ms.unwrap()), "{:?}", points[0]);
        assert_eq!((points[1].posts, points[1].post_p50_ms), (0, None));
    }

    #[test]
    fn a_quarter_of_an_hour_is_the_newest_part_of_the_hour() {
        let mut history = History::default();
        for at in 0..KEPT as i64 {
            add(&mut history, at * 10_000, Some(stats(at as u64, 0)));
        }
        let (quarter, hour) = (history.points(Span::Quarter), history.points(Span::Hour));
        assert_eq!((quarter.len(), hour.len()), (QUARTER, KEPT));
        assert_eq!(quarter[0].time, hour[KEPT - QUARTER].time);
        assert_eq!(quarter.last().unwrap().time, hour.last().unwrap().time);
    }

    #[test]
    fn a_day_has_coarse_points_that_leave_nothing_out() {
        let mut history = History::default();
        let (mut posts, mut answers) = (Latencies::default(), Latencies::default());
        for at in 0..2 * COARSE as i64 {
            posts.record(Duration::from_millis(if at == 3 { 500 } else { 10 }));
            // Of the second coarse point nothing is known for a while.
            let known = !(30..=40).contains(&at);
            let stats =
                known.then(|| GetStatsResponse { pending: (at == 5).into(), ..stats(10 * at as u64, 0) });
            let (posts, answers) = (&mut posts, &mut answers);
            history.add(Sample {
                time: at * 10_000,
                stats,
                posts,
                answers,
                sse_clients: at as u32,
                long_polls: 0,
            });
        }
        let day = history.points(Span::Day);
        assert_eq!(day.len(), 2);
        assert_eq!((day[0].time, day[1].time), (230_000, 470_000));
        assert_eq!((day[0].posted, day[1].posted), (Some(230), Some(240)));
        assert_eq!((day[0].pending, day[1].pending), (Some(1), Some(0)), "the most of its time");
        assert_eq!((day[0].posts, day[0].sse_clients), (COARSE as u64, 23));
        assert!((9.0..11.0).contains(&day[0].post_p50_ms.unwrap()), "{day:?}");
        assert!((490.0..510.0).contains(&day[0].post_p99_ms.unwrap()), "of all of its time: {day:?}");
        assert!((9.0..11.0).contains(&day[1].post_p99_ms.unwrap()), "{day:?}");
    }

    #[test]
    fn the_ring_of_a_day_is_bounded_too() {
        let mut history = History::default();
        for at in 0..((KEPT + 2) * COARSE) as i64 {
            add(&mut history, at, None);
        }
        assert_eq!(history.points(Span::Day).len(), KEPT);
    }
}
