//! The probes of an operator: is the process alive, can it serve, what does it count.

use std::{convert::Infallible, future::Future, time::Duration};

use axum::{
    extract::State,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderName, header};
use repartee_process::{Fill, check_host};
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
) -> (impl Future<Output = Infallible>, watch::Receiver<Readiness>) {
    let (found, readiness) = watch::channel(Readiness::Unknown);
    let prober = async move {
        let mut client = HealthClient::new(channel);
        let mut checks = tokio::time::interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            checks.tick().await;
            let now = check(&mut client).await;
            let changed = found.send_replace(now) != now;
            if changed {
                tracing::info!(readiness = ?now, "queue-service");
            }
        }
    };
    (prober, readiness)
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
#[utoipa::path(get, path = "/livez", tag = "operations",
    responses((status = 200, description = "Always, as long as the process answers", body = str, content_type = "text/plain")))]
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// The gateway can serve: the queue-service is reached and says that it serves, at most 2 s ago, and its changes come.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses((status = 200, description = "The queue-service serves", body = str, content_type = "text/plain"),
              (status = 503, description = "It does not, or cannot be reached")))]
pub(crate) async fn readyz(State(app): State<App>) -> Result<&'static str, Problem> {
    if !is_ready(app.readiness.clone()).await {
        let detail = "the queue-service does not serve; this gateway goes on trying";
        return Err(Problem::unavailable(detail));
    }
    if app.tail.live_within(CHECK_INTERVAL).await {
        Ok("ok\n")
    } else {
        Err(Problem::unavailable("the changes of the queue-service do not come; this gateway goes on trying"))
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
#[utoipa::path(get, path = "/metrics", tag = "operations",
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
    app.tail.measure();
    let Bounds { connections, requests, upstream_calls, long_polls, sse_clients, incoming, answers } =
        &app.bounds;
    for bound in [connections, requests, upstream_calls, long_polls, sse_clients] {
        bound.fill().show();
    }
    incoming.bytes.fill().show();
    answers.fill().show();
    app.limits.fills().for_each(Fill::show);
    const TYPE: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, repartee_process::CONTENT_TYPE)];
    (TYPE, repartee_process::recorder().render())
}
