//! The metrics and the probes of the ready bot, at an address of their own.

use std::{convert::Infallible, net::SocketAddr};

use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use tokio::net::TcpListener;
use tower::service_fn;

use crate::{Error, health::Health};

/// Where the metrics are asked for.
pub(crate) struct MetricsFace(TcpListener);

impl MetricsFace {
    /// Takes the address; whoever reaches it may read the metrics.
    ///
    /// # Errors
    /// [`Error::Metrics`] if it cannot be listened on.
    pub(crate) fn listen(addr: SocketAddr) -> Result<Self, Error> {
        // What is counted before the first look is counted too.
        repartee_process::start_metrics();
        let listen = || {
            let listener = std::net::TcpListener::bind(addr)?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        listen().map(Self).map_err(|error| Error::Metrics(addr, error))
    }

    pub(crate) fn addr(&self) -> Option<SocketAddr> {
        self.0.local_addr().ok()
    }

    /// Answers for as long as it is polled.
    pub(crate) async fn serve(self, health: Health) {
        let service = service_fn(move |request: Request<_>| {
            let answer = answer(request.uri().path(), &health);
            async move { Ok::<_, Infallible>(answer) }
        });
        repartee_process::serve_metrics(self.0, service).await;
    }
}

fn answer(path: &str, health: &Health) -> Response<String> {
    let text = "text/plain; charset=utf-8";
    let (status, kind, body) = match path {
        "/metrics" => (StatusCode::OK, repartee_process::CONTENT_TYPE, repartee_process::metrics_text()),
        "/livez" => (StatusCode::OK, text, "ok\n".to_owned()),
        "/readyz" => match health.readiness() {
            Ok(ready) => (StatusCode::OK, text, ready),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, text, why),
        },
        _ => (StatusCode::NOT_FOUND, text, "there are /metrics, /livez and /readyz\n".to_owned()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
