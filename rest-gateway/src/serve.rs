//! Serving HTTP: a task for each connection, with bounds in time and in size that `axum::serve` has no settings for.

use std::time::Duration;

use axum::body::Body;
use futures_util::TryFutureExt as _;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use repartee_process::Door;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::front::{AroundPolls, Front};

/// Largest head of a request.
const HEAD_BYTES: u32 = 16 * 1024;
/// What hyper may hold of one HTTP/1 connection, its head included. It is no bound of a body that is sent as a whole.
const BUFFER_BYTES: usize = 64 * 1024;
/// How often an HTTP/2 connection is checked for life, and how long its peer may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// What one connection may do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// How long the head of a request may take, and the pause before it.
    pub(crate) idle_timeout: Duration,
    /// Requests at the same time over HTTP/2.
    pub(crate) requests: u32,
}

/// Serves until `shutdown` is cancelled, then until the last connection has ended.
pub(crate) async fn serve<P: AroundPolls>(
    mut door: Door,
    front: Front<P>,
    rules: Rules,
    shutdown: CancellationToken,
) {
    let (builder, open) = (builder(rules), GracefulShutdown::new());
    loop {
        let (connection, peer) = tokio::select! {
            accepted = door.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let front = front.of(peer).map_request(|request: http::Request<_>| request.map(Body::new));
        let served = builder
            .serve_connection_with_upgrades(TokioIo::new(connection), TowerToHyperService::new(front))
            .into_owned();
        let served = open.watch(served).inspect_err(move |error| {
            tracing::debug!(error, %peer, "a connection ended");
        });
        // No async block around it: that would take its room twice, for as long as the connection lives.
        tokio::spawn(served);
    }
    // Nobody new: the address is free from now on.
    drop(door);
    open.shutdown().await;
}

fn builder(rules: Rules) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(rules.idle_timeout)
        .max_buf_size(BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .max_concurrent_streams(rules.requests)
        .max_header_list_size(HEAD_BYTES);
    builder
}
