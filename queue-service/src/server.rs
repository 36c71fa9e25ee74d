//! Building the service from its settings ([`open`]), and running it until it is told to stop; what it answers is put
//! together in [`calls`].

mod calls;
mod dispatch;
mod open;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
    middleware::from_fn_with_state,
    routing::get,
};
use hyper::body::Incoming;
use repartee_process::{
    Door, InProcess, InProcessDoor, Measure, NewToken, Shutdown, Tokens, TokensFileError, in_process,
};
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tower::ServiceExt as _;

use crate::{
    grpc::{Names, StreamRules, enter_page},
    journal::{Journal, JournalError, LogJournal, OpenError},
    observe,
    settings::Settings,
    writer::{Running, ServiceClock},
};
use open::Opened;

/// Time for streams to say goodbye before the connections are closed, and for the writer's thread to end after them.
const GOODBYE: Duration = Duration::from_secs(1);
/// How often the clock is looked at.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// Why the service cannot start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage engine gave up while its files were checked.
    #[error("the data cannot be checked: the storage engine gave up while reading its files")]
    Inspection,
    /// The file of the entities' limits.
    #[error("{0}")]
    EntityLimits(String),
    /// The secret of the edit tokens.
    #[error("the edit secret in the data directory cannot be used")]
    Secret(#[source] io::Error),
    /// The names of the entities that were served.
    #[error("the names that are reserved for bots cannot be read from {0}")]
    Names(PathBuf, #[source] io::Error),
    /// The address.
    #[error("cannot listen on {0}; is another process using it?")]
    Bind(SocketAddr, #[source] io::Error),
    /// A file of `--tls-cert`, `--tls-key` or `--tls-client-ca`.
    #[error("{0}")]
    Tls(String),
    /// The tokens file.
    #[error(transparent)]
    Tokens(#[from] TokensFileError),
    /// The journal, while running.
    #[error(
        "the journal in {0} failed; nothing that was acknowledged is lost, start again once the cause is mended"
    )]
    Journal(PathBuf, #[source] JournalError),
    /// The writer thread ended by itself.
    #[error("the writer ended unexpectedly; nothing that was acknowledged is lost, start again")]
    Writer,
    /// The system gave no thread.
    #[error("the writer's thread cannot be started")]
    Thread(#[source] io::Error),
    /// The reflection service.
    #[error("the gRPC reflection service cannot be built")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The ready file.
    #[error(transparent)]
    ReadyFile(#[from] repartee_process::ReadyFileError),
}

/// A service that has read its data and bound its address, and does not serve yet.
pub struct Server {
    opened: Opened,
    door: Door,
    /// For other parts of this process, if there are any.
    within: Option<InProcessDoor>,
    addr: SocketAddr,
    metrics: Option<TcpListener>,
    calls_per_connection: u32,
    reflection: Option<bool>,
    drain: Duration,
    has_metrics: bool,
}

impl Server {
    /// Opens the data directory, reads what is live and cached, and binds the address.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn bind(settings: Settings) -> Result<Self, Error> {
        Self::bind_trusting(settings, Vec::new()).await
    }

    /// The same for a process with other parts, which have these tokens of their own: no file holds them.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn bind_trusting(settings: Settings, own: Vec<NewToken>) -> Result<Self, Error> {
        Self::bind_with(settings, own, |store| store).await
    }

    /// The same with a journal before the store, that may fail where the store does not.
    async fn bind_with<J: Journal>(
        settings: Settings,
        own: Vec<NewToken>,
        journal: impl FnOnce(LogJournal) -> J + Send + 'static,
    ) -> Result<Self, Error> {
        // The address first: where it is taken, nothing else was touched.
        let bind = |error| Error::Bind(settings.grpc_addr, error);
        let listener = repartee_process::listen(settings.grpc_addr).map_err(bind)?;
        let addr = listener.local_addr().map_err(bind)?;
        let metrics = match settings.metrics_addr {
            Some(at) => Some(repartee_process::listen(at).map_err(|error| Error::Bind(at, error))?),
            None => None,
        };
        let (calls_per_connection, reflection) = (settings.max_calls_per_connection, settings.reflection);
        let drain = settings.drain.drain();
        let tls = settings.tls.load().map_err(Error::Tls)?;
        let (patience, answers) = (settings.patience(), settings.answers());
        let total = answers.total.clone();
        let door = Door::new(listener, "grpc_connections", settings.max_connections, patience, answers)
            .with_reserve("gateway_connections", settings.gateway_connections)
            .with_tls(tls);
        door.warn_if_readable(
            "--grpc-addr",
            "texts, lease tokens, edit tokens, and the tokens of workers, gateways and operators",
        );
        let connections = (door.places().clone(), door.reserve().cloned());
        let opening = tokio::task::spawn_blocking(move || {
            open::open(&settings, &own, addr, connections, total, journal)
        });
        let opened = opening.await.map_err(|_| Error::Writer)??;
        Ok(Self {
            opened,
            door,
            within: None,
            addr,
            metrics,
            calls_per_connection,
            reflection,
            drain,
            has_metrics: true,
        })
    }

    /// The address that was bound.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// True if it speaks TLS there.
    pub fn is_tls(&self) -> bool {
        self.door.is_tls()
    }

    /// The way by which other parts of this process reach it, without a socket; with a token as elsewhere.
    pub fn in_process(&mut self) -> InProcess {
        let (way, door) = in_process();
        self.within = Some(door);
        way
    }

    /// The address of the metrics, if they have one of their own.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Leaves the metrics to another part of this process, which answers `GET /metrics` for all of them and measures the queue
    /// by what is returned: what is scraped at two addresses would be counted twice.
    pub fn hand_over_metrics(&mut self) -> Measure {
        self.has_metrics = false;
        observe::measure(self.opened.grpc.clone())
    }

    /// Serves until it is to stop, then ends all streams, finishes what is in flight, and stops within
    /// [`drain`](repartee_process::DrainSettings::drain).
    ///
    /// # Errors
    /// Where the journal or the server fails; the process is to be ended then.
    pub async fn serve(self, shutdown: impl Into<Shutdown>) -> Result<(), Error> {
        let Shutdown { leaving, stop: shutdown } = shutdown.into();
        // Counting starts with the first call, so the recorder has to be there before it.
        repartee_process::start_metrics();
        observe::describe();
        let Self {
            opened: Opened { grpc, running, disk, data_dir, limits_file },
            door,
            within,
            metrics,
            calls_per_connection,
            reflection,
            drain,
            has_metrics,
            ..
        } = self;
        let measured = has_metrics.then(|| repartee_process::measure_part(observe::measure(grpc.clone())));
        let is_leaving = leaving.clone();
        let ready = async move || {
            if is_leaving.is_cancelled() {
                (StatusCode::SERVICE_UNAVAILABLE, "this queue-service stops\n")
            } else {
                (StatusCode::OK, "ok\n")
            }
        };
        let _metrics = metrics.map(|listener| {
            let is_loopback = listener.local_addr().is_ok_and(|addr| addr.ip().to_canonical().is_loopback());
            let router = Router::new()
                .route("/metrics", get(observe::metrics))
                .route("/livez", get(async || "ok\n"))
                .route("/readyz", get(ready))
                .with_state(grpc.clone())
                .layer(from_fn_with_state((Arc::clone(&grpc.rights), is_loopback), enter_page))
                .map_request(|request: Request<Incoming>| request.map(Body::new));
            AbortOnDropHandle::new(tokio::spawn(repartee_process::serve_metrics(listener, router)))
        });
        let Running { failed, thread } = running;
        let _tokens = AbortOnDropHandle::new(tokio::spawn(grpc.rights.tokens.clone().follow()));
        let granted = reserve_granted(grpc.names.clone(), grpc.rights.tokens.clone());
        let _granted = AbortOnDropHandle::new(tokio::spawn(granted));
        let (draining, streams) = (grpc.streams.draining.clone(), grpc.streams.clone());
        if let Some(file) = limits_file {
            tokio::spawn(file.follow(grpc.queue.clone(), draining.clone()));
        }
        let (stop, extras) = (CancellationToken::new(), calls::Extras { reflection, has_metrics });
        let observed = AbortOnDropHandle::new(tokio::spawn(observe_clock(grpc.clock.clone())));
        let stops = Shutdown { leaving: leaving.clone(), stop: stop.clone() };
        let serving = tokio::spawn(calls::serve(grpc, (door, within), calls_per_connection, extras, stops));
        let outcome = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            failure = failed => {
                Err(failure.map_or(Error::Writer, |error| Error::Journal(data_dir, error)))
            }
        };
        leaving.cancel();
        draining.cancel();
        outcome?;
        // Whether all of them have said goodbye or not: the connections are closed next.
        let StreamRules { workers, watchers, gateways, posters, .. } = streams;
        let goodbye = async {
            tokio::join!(workers.emptied(), watchers.emptied(), gateways.emptied(), posters.emptied())
        };
        let _ = timeout(GOODBYE, goodbye).await;
        stop.cancel();
        if let Ok(served) = timeout(drain.saturating_sub(2 * GOODBYE), serving).await {
            served.map_err(|_| Error::Writer)??;
        } else {
            tracing::warn!("calls were still open after the time for draining; closing them");
        }
        if let Some(part) = measured {
            part.end().await;
        }
        // All handles are gone now, so the writer has ended or is about to.
        let _ = timeout(GOODBYE, tokio::task::spawn_blocking(move || thread.join())).await;
        drop((disk, observed));
        Ok(())
    }
}

/// Looks at the clock regularly: a step is told though nobody asks for anything.
async fn observe_clock(clock: ServiceClock) {
    let mut look = tokio::time::interval(CLOCK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        clock.observe();
    }
}

/// Keeps the names of the entities that tokens grant for the bots.
async fn reserve_granted(names: Names, tokens: Tokens) {
    let mut changes = tokens.changes();
    loop {
        names.reserve(tokens.entities().iter().map(String::as_str));
        if changes.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
