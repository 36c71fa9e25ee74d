//! Metrics on their way to the collector: every so often all that a scrape would get, as it is then. One export at a time, and
//! nothing waits: what was not taken is counted and forgotten, for the next one says it again.

use std::time::SystemTime;

use metrics::{Counter, Unit, counter, describe_counter};
use opentelemetry_proto::{
    tonic::resource::v1::Resource, transform::common::tonic::ResourceAttributesWithSchema,
};
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    environment::Metrics,
    export::LAST_BATCH,
    points::{self, Times},
    sender::Sender,
};
use crate::metrics::{measured, snapshot, started};

const EXPORTED: &str = "repartee_telemetry_points_exported_total";
const LOST: &str = "repartee_telemetry_points_lost_total";

/// Describes what is counted of metrics that are sent, and begins with 0.
pub(super) fn describe() {
    describe_counter!(EXPORTED, Unit::Count, "Data points of metrics that the collector has taken");
    describe_counter!(
        LOST,
        Unit::Count,
        "Data points of metrics that the collector has not taken; what they told, the next ones tell"
    );
    counter!(EXPORTED).increment(0);
    counter!(LOST).increment(0);
}

/// Metrics are sent until this ends.
pub(super) struct Reports {
    task: JoinHandle<()>,
    stop: CancellationToken,
    runtime: Handle,
}

/// Begins to send them, in this runtime.
///
/// # Errors
/// One sentence about a variable that cannot be used.
pub(super) fn start(
    environment: &Metrics,
    resource: &opentelemetry_sdk::Resource,
) -> Result<Reports, String> {
    crate::start_metrics();
    let sender = Sender::to(environment).map_err(|error| format!("metrics cannot be sent: {error}"))?;
    let ResourceAttributesWithSchema { attributes, .. } = resource.into();
    let reporter = Reporter {
        sender,
        resource: Resource { attributes: attributes.0, ..Resource::default() },
        is_away: false,
        exported: counter!(EXPORTED),
        lost: counter!(LOST),
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(reporter.run(environment.interval, stop.clone()));
    tracing::info!(protocol = ?environment.way.protocol, interval = ?environment.interval, "sending metrics over OTLP");
    Ok(Reports { task, stop, runtime: Handle::current() })
}

impl Reports {
    /// Sends what is so at the end, for 2 s at the most. Blocks.
    pub(super) fn end(self) {
        self.stop.cancel();
        if self.runtime.block_on(async { timeout(LAST_BATCH, self.task).await }).is_err() {
            tracing::debug!("the last metrics were not sent");
        }
    }
}

/// Looks, and sends.
struct Reporter {
    sender: Sender,
    resource: Resource,
    is_away: bool,
    exported: Counter,
    lost: Counter,
}

impl Reporter {
    async fn run(mut self, interval: std::time::Duration, stop: CancellationToken) {
        let mut due = interval_at(Instant::now() + interval, interval);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                _ = due.tick() => false,
                () = stop.cancelled() => true,
            };
            self.report().await;
            if is_last {
                return;
            }
        }
    }

    async fn report(&mut self) {
        let families = snapshot::read(&measured().await);
        let times = Times::new(started(), SystemTime::now());
        let (request, points) = points::request(&self.resource, families, times);
        let sent = self.sender.send(request).await;
        let lost = sent.as_ref().map_or(points, |rejected| (*rejected).min(points));
        self.exported.increment(points - lost);
        self.lost.increment(lost);
        let was_away = std::mem::replace(&mut self.is_away, sent.is_err());
        match sent {
            Err(why) if !was_away => {
                tracing::warn!(why, "the collector does not take metrics; trying again with the next");
            }
            Ok(_) if was_away => tracing::info!("the collector takes metrics again"),
            Ok(_) | Err(_) => {}
        }
    }
}
