//! The probes of an operator: is the process alive, can it serve, what does it count.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use axum::{
    extract::State,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderName, header};
use metrics::gauge;
use repartee_process::{Fill, Measure, check_host};
use repartee_proto::v1::queue_service_server::SERVICE_NAME;
use tokio::{sync::watch, time::MissedTickBehavior};
use tonic::{Request, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    admin::Operator,
    problem::Problem,
    server::{App, Bounds},
    tail::Tail,
};

/// How old the answer of `/readyz` may be, and how long one check may take.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// What the last health check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// No check has ended yet.
    Unknown,
    /// The queue-service serves.
    Ready,
    /// It does not, or cannot be reached.
    NotReady,
}

/// Checks the queue-service's health for as long as the returned future is polled.
pub(crate) fn watch_queue(
    channel: Channel,
    tail: Arc<Tail>,
) -> (impl Future<Output = Infallible>, watch::Receiver<Readiness>) {
    let (found, readiness) = watch::channel(Readiness::Unknown);
    let prober = async move {
        let mut client = HealthClient::new(channel);
        let mut failed = 0;
        let mut checks = tokio::time::interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            checks.tick().await;
            let checked = check(&mut client).await;
            let now = believed(*found.borrow(), checked, &mut failed);
            tail.note_served(now == Readiness::Ready);
            let changed = found.send_replace(now) != now;
            if changed {
                tracing::info!(readiness = ?now, "queue-service");
            }
        }
    };
    (prober, readiness)
}

/// What is believed after one more check; `failed` counts those in a row that failed. One answer that was slow or lost takes no
/// gateway out of its balancer.
fn believed(before: Readiness, checked: Readiness, failed: &mut u32) -> Readiness {
    *failed = if checked == Readiness::NotReady { failed.saturating_add(1) } else { 0 };
    if *failed == 1 && before == Readiness::Ready { before } else { checked }
}

async fn check(client: &mut HealthClient<Channel>) -> Readiness {
    let mut request = Request::new(HealthCheckRequest { service: SERVICE_NAME.to_owned() });
    request.set_timeout(CHECK_INTERVAL);
    let answer = tokio::time::timeout(CHECK_INTERVAL, client.check(request)).await;
    match answer {
        Ok(Ok(answer)) if answer.get_ref().status() == ServingStatus::Serving => Readiness::Ready,
        Ok(Ok(_) | Err(_)) | Err(_) => Readiness::NotReady,
    }
}

/// The process is alive.
#[utoipa::path(get, path = "/livez", tag = "operations", operation_id = "getLiveness",
    responses((status = 200, description = "Always, as long as the process answers", body = str, content_type = "text/plain")))]
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// The gateway can serve: it is not to stop, the queue-service is reached and says that it serves, and its changes come. Two checks in a row, one each second, have to fail before it is
/// not ready; what an operator has to mend is named.
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "getReadiness",
    responses((status = 200, description = "The queue-service serves", body = str, content_type = "text/plain"),
              (status = 503, description = "It does not, or cannot be reached, or this gateway stops")))]
pub(crate) async fn readyz(State(app): State<App>) -> Result<&'static str, Problem> {
    if app.leaving.is_cancelled() {
        return Err(Problem::unavailable("this gateway stops; ask another one"));
    }
    if !is_ready(app.readiness.clone()).await {
        let detail = "the queue-service does not serve; this gateway goes on trying";
        return Err(Problem::unavailable(detail));
    }
    if app.tail.live_within(CHECK_INTERVAL).await {
        Ok("ok\n")
    } else {
        let why = app.tail.trouble().map(|trouble| format!(": {trouble}")).unwrap_or_default();
        Err(Problem::unavailable(format!(
            "the changes of the queue-service do not come{why}; this gateway goes on trying"
        )))
    }
}

async fn is_ready(mut readiness: watch::Receiver<Readiness>) -> bool {
    let found = readiness.wait_for(|readiness| *readiness != Readiness::Unknown).await;
    match found.as_deref() {
        Ok(Readiness::Ready) => true,
        Ok(Readiness::NotReady | Readiness::Unknown) | Err(_) => false,
    }
}

/// Counters and latencies in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "operations", operation_id = "getMetrics",
    security(("token" = [])),
    responses((status = 200, description = "The metrics", body = str, content_type = "text/plain")))]
pub(crate) async fn metrics_for_operators(_: Operator, app: State<App>) -> impl IntoResponse {
    metrics(app).await
}

/// Refuses pages under names that somebody else made up.
pub(crate) async fn admit(
    State(is_loopback): State<bool>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    match check_host(&request, is_loopback) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// The same for whoever reaches the address of the metrics.
pub(crate) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    const TYPE: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, repartee_process::CONTENT_TYPE)];
    (TYPE, repartee_process::measured_text(&[measure(&app)]).await)
}

/// How the gateway as it is now is brought into the metrics, and the other parts of the process with it.
pub(crate) fn measure(app: &App) -> Measure {
    let app = App::clone(app);
    Arc::new(move || {
        let app = App::clone(&app);
        Box::pin(async move {
            show(&app);
            let mut labelled = String::new();
            for other in &app.others {
                labelled.push_str(&other().await);
            }
            labelled
        })
    })
}

fn show(app: &App) {
    app.tail.measure();
    let Bounds { connections, requests, upstream_calls, long_polls, sse_clients, incoming, answers } =
        &app.bounds;
    for bound in [connections, requests, upstream_calls, long_polls, sse_clients] {
        bound.fill().show();
    }
    incoming.bytes.fill().show();
    answers.fill().show();
    gauge!("repartee_sse_clients").set(f64::from(sse_clients.held()));
    app.limits.fills().for_each(Fill::show);
}

#[cfg(test)]
mod tests {
    use super::Readiness::{self, NotReady, Ready, Unknown};

    #[test]
    fn one_failed_check_is_forgiven_and_two_in_a_row_are_not() {
        let (mut failed, mut now) = (0, Unknown);
        let mut believed = |checked: Readiness| {
            now = super::believed(now, checked, &mut failed);
            now
        };
        let checks = [NotReady, Ready, NotReady, Ready, NotReady, NotReady, NotReady, Ready, NotReady];
        let expected = [NotReady, Ready, Ready, Ready, Ready, NotReady, NotReady, Ready, Ready];
        assert_eq!(checks.map(&mut believed), expected);
    }
}
