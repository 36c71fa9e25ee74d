//! Takes the points of the history. Asks the queue-service for sums that it has in memory: a point costs no storage read,
//! and the same however many entities and sessions there are.

use std::time::Duration;

use repartee_proto::v1::{self, queue_service_client::QueueServiceClient};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tonic::{Code, transport::Channel};

use super::history::Sample;
use crate::{server::App, upstream::MAX_ANSWER_BYTES};

/// The longest time for one answer; a point without it has a gap.
const PATIENCE: Duration = Duration::from_secs(5);

/// Adds points to the history of `app`, for as long as it runs.
pub(crate) struct Sampler {
    pub(crate) app: App,
    /// To the queue-service, for what the gateway asks for itself.
    pub(crate) channel: Channel,
}

impl Sampler {
    pub(crate) async fn run(self) {
        let Self { app, channel } = self;
        let every = app.admin.interval;
        let mut ticks = interval_at(Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut queue = QueueServiceClient::with_interceptor(channel, app.credential.clone())
            .max_decoding_message_size(MAX_ANSWER_BYTES);
        let mut refused = None;
        loop {
            ticks.tick().await;
            let request =
                v1::GetStatsRequest { only_in_memory: true, page_size: Some(0), ..Default::default() };
            let stats = match timeout(PATIENCE, queue.get_stats(request)).await {
                Ok(Ok(stats)) => {
                    refused = None;
                    Some(stats.into_inner())
                }
                Ok(Err(status)) => {
                    // Said once: it is asked again with each point.
                    if is_refusal(status.code()) && refused.replace(status.code()) != Some(status.code()) {
                        let why = status.message();
                        tracing::warn!(code = ?status.code(), why, "the queue-service gives this gateway no figures for its charts");
                    }
                    None
                }
                Err(_) => None,
            };
            app.admin.history.lock().add(Sample {
                time: i64::try_from(app.tail.clock.now()).unwrap_or(i64::MAX),
                stats,
                posts: &mut app.admin.posts.lock(),
                answers: &mut app.admin.answers.lock(),
                sse_clients: app.bounds.sse_clients.held(),
                long_polls: app.bounds.long_polls.held(),
            });
        }
    }
}

/// True where a setting has to change before the answer does.
fn is_refusal(code: Code) -> bool {
    matches!(code, Code::Unauthenticated | Code::PermissionDenied)
}
