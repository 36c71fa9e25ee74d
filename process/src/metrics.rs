//! One Prometheus recorder a process, however many servers run in it.

use std::{convert::Infallible, sync::OnceLock, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Content type of the Prometheus text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the buckets of every histogram whose name ends in `_seconds`, from 100 µs to 25 s.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 25.0];

/// How often the samples of histograms are put into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// The recorder of this process, installed by the first call; `render()` gives the text for `/metrics`.
pub fn recorder() -> PrometheusHandle {
    RECORDER
        .get_or_init(|| {
            PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
                .expect("the list of buckets is not empty")
                .install_recorder()
                .expect("this is the only place that installs a recorder")
        })
        .clone()
}

/// Keeps the recorder small: a histogram holds every sample until somebody looks, and nobody may ever look.
pub(crate) async fn upkeep() -> Infallible {
    let mut due = tokio::time::interval(UPKEEP);
    loop {
        due.tick().await;
        recorder().run_upkeep();
    }
}
