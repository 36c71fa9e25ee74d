//! One Prometheus recorder a process, however many servers run in it.

mod described;
mod live;
mod parts;
mod rows;
pub(crate) mod snapshot;

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

pub use live::LiveGauge;
pub(crate) use parts::measured;
pub use parts::{MeasuredPart, measure_part};
pub use rows::LabelledRows;

/// Content type of the Prometheus text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the buckets of every histogram whose name ends in `_seconds`, from 100 µs to 25 s.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 25.0];
/// The same of what people, models and their tools take: from 5 ms to the 15 min that a claim lasts at most.
const LONG_SECONDS: [f64; 14] =
    [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0];
/// The histograms that have these.
const LONG: [&str; 4] = [
    "repartee_offer_to_claim_seconds",
    "repartee_claim_to_complete_seconds",
    "repartee_bot_attempt_seconds",
    "repartee_bot_endpoint_seconds",
];
/// The same of every histogram that counts changes or commands: more than a few hundred are in a commit that sweeps or cancels.
const CHANGES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0];

/// How often the samples of histograms are put into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<Recorder> = OnceLock::new();

struct Recorder {
    handle: PrometheusHandle,
    process: Collector,
    since: SystemTime,
}

/// How one part of a process brings its gauges up to date before they are read. Gives the families whose label values come and go,
/// as [`LabelledRows`] writes them: the recorder would keep a value for ever.
pub type Measure = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// Installs the recorder of this process, if that is not done; what is counted before counts for nothing. The families that
/// every process has are described by it, those of a server by that server, after this.
pub fn start_metrics() {
    recorder();
}

/// All that is counted, in the Prometheus text format, with what the system says about this process.
pub fn metrics_text() -> String {
    let Recorder { handle, process, .. } = recorder();
    process.collect();
    handle.render() + &live::text()
}

/// The same, once all these parts of the process have measured: each family is there once, however many parts there are.
pub async fn measured_text(parts: &[Measure]) -> String {
    let mut labelled = String::new();
    for measure in parts {
        labelled.push_str(&measure().await);
    }
    metrics_text() + &labelled
}

/// When counting began.
pub(crate) fn started() -> SystemTime {
    recorder().since
}

fn recorder() -> &'static Recorder {
    RECORDER.get_or_init(|| {
        let buckets = [
            ("_seconds", SECONDS.as_slice()),
            ("_changes", CHANGES.as_slice()),
            ("_commands", CHANGES.as_slice()),
        ];
        let buckets = buckets.map(|(suffix, bounds)| (Matcher::Suffix(suffix.to_owned()), bounds));
        // A whole name counts more than the end of one.
        let long = LONG.map(|name| (Matcher::Full(name.to_owned()), LONG_SECONDS.as_slice()));
        let handle = buckets
            .into_iter()
            .chain(long)
            .try_fold(PrometheusBuilder::new(), |builder, (of, bounds)| {
                builder.set_buckets_for_metric(of, bounds)
            })
            .expect("the lists of buckets are not empty")
            .install_recorder()
            .expect("this is the only place that installs a recorder");
        let process = Collector::default();
        process.describe();
        described::describe();
        crate::telemetry::describe();
        metrics::gauge!("repartee_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Recorder { handle, process, since: SystemTime::now() }
    })
}

/// Keeps the recorder small: a histogram holds every sample until somebody looks, and nobody may ever look.
pub(crate) async fn upkeep() -> Infallible {
    let mut due = tokio::time::interval(UPKEEP);
    loop {
        due.tick().await;
        recorder().handle.run_upkeep();
    }
}
