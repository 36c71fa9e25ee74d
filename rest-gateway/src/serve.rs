//! Serving HTTP: a task for each connection, with bounds in time and in size that `axum::serve` has no settings for.

use std::{error::Error, future::Future, net::SocketAddr, time::Duration};

use axum::body::Body;
use futures_util::{FutureExt as _, TryFutureExt as _, future::Either};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use repartee_process::{Begin, Connection, Door};
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
    let open = GracefulShutdown::new();
    loop {
        let (connection, peer) = tokio::select! {
            accepted = door.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        tokio::spawn(served(connection, peer, front.clone(), rules, open.watcher(), shutdown.clone()));
    }
    // Nobody new: the address is free from now on.
    drop(door);
    open.shutdown().await;
}

/// Serves one connection. Thousands of them are open and idle, so what each holds is kept small. A library that finds out
/// the protocol while it reads has to give back what it read, and then takes twice the buffer for HTTP/1: so the protocol
/// is known before. And no async block is around the whole, which would hold the parts twice.
fn served<P: AroundPolls>(
    connection: Connection,
    peer: SocketAddr,
    front: Front<P>,
    rules: Rules,
    watcher: Watcher,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send {
    let begins = begins(connection, shutdown);
    let serving = begins.and_then(move |(begin, connection)| {
        let front = front.of(peer).map_request(|request: http::Request<_>| request.map(Body::new));
        let (io, service) = (TokioIo::new(connection), TowerToHyperService::new(front));
        if begin == Begin::Http1 {
            // Nothing here upgrades a connection to another protocol.
            let served = http1(rules).serve_connection(io, service);
            Either::Left(watcher.watch(served).map_err(Box::from))
        } else {
            let served = both(rules).serve_connection(io, service).into_owned();
            Either::Right(Box::pin(watcher.watch(served)))
        }
    });
    serving.map(move |ended: Result<(), Box<dyn Error + Send + Sync>>| {
        if let Err(error) = ended {
            tracing::debug!(error, %peer, "a connection ended");
        }
    })
}

/// Waits for the first bytes. A connection that has sent none yet does not hold up the stop.
async fn begins(
    connection: Connection,
    shutdown: CancellationToken,
) -> Result<(Begin, Connection), Box<dyn Error + Send + Sync>> {
    let begin = tokio::select! {
        begin = connection.begins() => begin?,
        () = shutdown.cancelled() => return Err("it had asked for nothing when the server stopped".into()),
    };
    Ok((begin, connection))
}

fn http1(rules: Rules) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(rules.idle_timeout).max_buf_size(BUFFER_BYTES);
    builder
}

/// HTTP/2; and HTTP/1 from clients whose first bytes could be both.
fn both(rules: Rules) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use repartee_process::Door;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::sync::CancellationToken;

    use super::begins;

    #[tokio::test]
    async fn a_connection_that_has_asked_for_nothing_does_not_hold_up_the_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut door = Door::new(listener, "test", 1, Duration::from_secs(3_600));
        let _silent = TcpStream::connect(addr).await.unwrap();
        let (connection, _) = door.accept().await;
        let shutdown = CancellationToken::new();
        let waiting = begins(connection, shutdown.clone());
        shutdown.cancel();
        assert!(waiting.await.is_err());
    }
}
