//! The life of the server: bind, serve, drain.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
use http::Request;
use repartee_process::{
    Bound, ByteLimit, Credential, Door, Measure, QueueLink, QueueLinkError, Ready, ReadyFileError, Shutdown,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::transport::Channel;
use tower::ServiceExt as _;

use crate::{
    admin::{Admin, Sampler},
    body::Incoming,
    client::ClientLimits,
    front::front,
    layers,
    polls::Polls,
    probes::{self, Readiness},
    routes,
    settings::Settings,
    stream::Pulse,
    tail::{Follower, Tail},
    upstream::{self, Pool, connect},
};

/// What handlers share; a clone for each request costs one count.
pub(crate) type App = Arc<Shared>;

/// What there is once.
pub(crate) struct Shared {
    /// The connections to the queue-service.
    pub(crate) pool: Pool,
    /// What polls are answered from.
    pub(crate) tail: Arc<Tail>,
    /// The deadline of a call, and of a body on its way in.
    pub(crate) request_timeout: Duration,
    /// The largest body, in bytes.
    pub(crate) max_body_bytes: usize,
    /// What the last health check found.
    pub(crate) readiness: watch::Receiver<Readiness>,
    /// What is held at the most.
    pub(crate) bounds: Bounds,
    /// What each client may take of it.
    pub(crate) limits: ClientLimits,
    /// Cancelled once the server is asked to stop: it is not ready any more, and refuses nobody yet.
    pub(crate) leaving: CancellationToken,
    /// Cancelled once the server stops: what waits answers at once.
    pub(crate) stopping: CancellationToken,
    /// Counts the polls.
    pub(crate) polls: Polls,
    /// What operators are shown.
    pub(crate) admin: Arc<Admin>,
    /// How streams of events live.
    pub(crate) pulse: Pulse,
    /// The gateway's own token.
    pub(crate) credential: Credential,
    /// True if every request comes over TLS.
    pub(crate) is_tls: bool,
    /// True if the rooms are listed for whoever asks.
    pub(crate) lists_rooms: bool,
    /// How the other parts of this process bring what they measure into the same metrics.
    pub(crate) others: Vec<Measure>,
}

/// What the gateway holds at the most.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// Connections.
    pub(crate) connections: Bound,
    /// Requests that are being answered.
    pub(crate) requests: Bound,
    /// Those of them that need the queue-service.
    pub(crate) upstream_calls: Bound,
    /// Those of them that wait for a change.
    pub(crate) long_polls: Bound,
    /// Streams of events.
    pub(crate) sse_clients: Bound,
    /// Bodies of requests on their way in.
    pub(crate) incoming: Incoming,
    /// Bytes of answers on their way out.
    pub(crate) answers: ByteLimit,
}

/// A gateway that is bound and does not serve yet.
pub struct Server {
    door: Door,
    addr: SocketAddr,
    settings: Settings,
    link: QueueLink,
    pool: Pool,
    /// For what the gateway asks for itself: health, and the stream of changes.
    own: Channel,
    credential: Credential,
    metrics: Option<TcpListener>,
    others: Vec<Measure>,
}

/// Why a gateway cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not one of this machine.
    #[error("cannot listen on {addr}; choose another --http-addr")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The address of the metrics cannot be listened on.
    #[error("cannot listen on {addr}; choose another --metrics-addr")]
    Metrics {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The gateway's own token.
    #[error("{0}")]
    Token(String),
    /// The queue-service cannot be reached so.
    #[error(transparent)]
    Queue(#[from] QueueLinkError),
    /// A file of `--tls-cert`, `--tls-key` or `--tls-client-ca`.
    #[error("{0}")]
    Tls(String),
    /// The ready file could not be written.
    #[error(transparent)]
    ReadyFile(#[from] ReadyFileError),
}

/// Runs a gateway until it is to stop: binds, logs the address, writes the ready file, serves.
///
/// # Errors
/// Where it cannot bind, or cannot write the ready file.
pub async fn run(settings: Settings, shutdown: impl Into<Shutdown>) -> Result<(), Error> {
    let ready_file = settings.ready_file.clone();
    let server = Server::bind(settings).await?;
    let addr = server.addr();
    tracing::info!(%addr, tls = server.is_tls(), queue_url = server.settings.queue_url, "serving HTTP");
    if let Some(path) = ready_file {
        // The socket is bound: whoever connects from now on is served.
        Ready { http: Some(addr), metrics: server.metrics_addr(), ..Ready::default() }.write_to(&path)?;
    }
    server.serve(shutdown).await
}

impl Server {
    /// Binds the address. The queue-service need not be there yet.
    ///
    /// # Errors
    /// Where the address cannot be bound, or the queue-service's is none.
    pub async fn bind(settings: Settings) -> Result<Self, Error> {
        let link = settings.queue_link()?;
        Self::bind_before(link, settings).await
    }

    /// The same before the queue-service behind `link`, such as one of this process, in place of that of the settings.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn bind_before(link: QueueLink, settings: Settings) -> Result<Self, Error> {
        let tls = settings.tls.load().map_err(Error::Tls)?;
        let bind_error = |source| Error::Bind { addr: settings.http_addr, source };
        let listener = repartee_process::listen(settings.http_addr).map_err(bind_error)?;
        let credential = settings.credential().map_err(Error::Token)?;
        let (pool, own) = (Pool::to(&link, settings.queue_connections, &credential), connect(&link));
        if !credential.is_set() {
            tracing::warn!(
                "this gateway has no token of its own: the queue-service takes what it asks for as asked by nobody, and looks \
                 at no client's token. Set --token-file or REPARTEE_TOKEN"
            );
        }
        let metrics = match settings.metrics_addr {
            Some(addr) => {
                let listener = repartee_process::listen(addr);
                Some(listener.map_err(|source| Error::Metrics { addr, source })?)
            }
            None => None,
        };
        let addr = listener.local_addr().map_err(bind_error)?;
        let (patience, answers) = (settings.patience(), settings.answers());
        let door = Door::new(listener, "http_connections", settings.max_connections, patience, answers);
        let door = door.with_tls(tls);
        door.warn_if_readable(
            "--http-addr",
            "texts, visitors' secrets, edit tokens, and the tokens of workers and operators",
        );
        link.warn_if_readable("this gateway's token, and all that it asks for and is told");
        Ok(Self { door, addr, settings, link, pool, own, credential, metrics, others: Vec::new() })
    }

    /// Answers `GET /metrics` for these parts of the process too.
    #[must_use]
    pub fn measuring(mut self, others: Vec<Measure>) -> Self {
        self.others = others;
        self
    }

    /// The bound address, with the port that was found where 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// True if it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.door.is_tls()
    }

    /// The address of the metrics, if they have one of their own.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until it is to stop, then lets open requests finish for at most
    /// [`drain`](repartee_process::DrainSettings::drain).
    ///
    /// # Errors
    /// None: it serves as long as it is to.
    pub async fn serve(self, shutdown: impl Into<Shutdown>) -> Result<(), Error> {
        let shutdown = shutdown.into();
        // Counting starts with the first request, so the recorder has to be there before it.
        repartee_process::start_metrics();
        crate::observe::describe();
        let _link = AbortOnDropHandle::new(tokio::spawn(self.link.follow()));
        let tail = Arc::new(Tail::new(self.settings.tail()));
        let (prober, readiness) = probes::watch_queue(self.own.clone(), Arc::clone(&tail));
        let admin = Admin::new(self.settings.history_interval.0);
        let counts = Arc::clone(&admin);
        let follower = Follower {
            tail: Arc::clone(&tail),
            answered: Box::new(move |took| counts.answered(took)),
            channel: self.own.clone(),
            credential: self.credential.clone(),
            max_answer_bytes: upstream::MAX_ANSWER_BYTES,
            seed: self.settings.tail_seed,
            patience: self.settings.watch_patience.0,
        };
        let _follower = AbortOnDropHandle::new(tokio::spawn(follower.run()));
        let app = Arc::new(Shared {
            pool: self.pool,
            tail,
            request_timeout: self.settings.request_timeout.0,
            max_body_bytes: self.settings.max_body_bytes.in_memory(),
            readiness,
            bounds: Bounds {
                connections: self.door.places().clone(),
                requests: Bound::new("requests", self.settings.max_requests),
                upstream_calls: Bound::new("upstream_calls", self.settings.max_upstream_calls),
                long_polls: Bound::new("long_polls", self.settings.max_long_polls),
                sse_clients: Bound::new("sse_clients", self.settings.max_sse_clients),
                incoming: Incoming {
                    bytes: ByteLimit::new("incoming_bytes", self.settings.max_incoming_bytes.0),
                    per_connection: self.settings.max_bodies_per_connection,
                },
                answers: self.door.connections().answers().total.clone(),
            },
            limits: ClientLimits::new(&self.settings.clients),
            leaving: shutdown.leaving.clone(),
            stopping: shutdown.stop.clone(),
            polls: Polls::default(),
            admin,
            pulse: Pulse { heartbeat: self.settings.sse_heartbeat.0, age: self.settings.sse_age.0 },
            credential: self.credential.clone(),
            is_tls: self.door.is_tls(),
            lists_rooms: self.settings.list_rooms,
            others: self.others,
        });
        let measured = repartee_process::measure_part(probes::measure(&app));
        let _credential = AbortOnDropHandle::new(tokio::spawn(self.credential.follow()));
        let _metrics = self.metrics.map(|listener| {
            let is_loopback = listener.local_addr().is_ok_and(|addr| addr.ip().to_canonical().is_loopback());
            let router = Router::new()
                .route("/metrics", get(probes::metrics))
                .route("/livez", get(probes::livez))
                .route("/readyz", get(probes::readyz))
                .with_state(App::clone(&app))
                .layer(from_fn_with_state(is_loopback, probes::admit))
                .map_request(|request: Request<hyper::body::Incoming>| request.map(Body::new));
            AbortOnDropHandle::new(tokio::spawn(repartee_process::serve_metrics(listener, router)))
        });
        let sampler = Sampler { app: App::clone(&app), channel: self.own };
        let _sampler = AbortOnDropHandle::new(tokio::spawn(sampler.run()));
        let (closing, stopping) = (Arc::clone(&app.tail), shutdown.stop.clone());
        let _closing = AbortOnDropHandle::new(tokio::spawn(async move {
            stopping.cancelled().await;
            closing.close();
        }));
        let (requests, limits) = (app.bounds.requests.clone(), app.limits.clone());
        let router = layers::around(routes::router(), &self.settings, requests, limits);
        let router = router.with_state(App::clone(&app));
        let front = front(app, router, &self.settings);
        let streams = self.settings.max_requests_per_connection;
        let of_connection = |connection: &repartee_process::Connection| {
            let front = front.of(connection.state())?;
            Some(front.map_request(|request: Request<hyper::body::Incoming>| request.map(Body::new)))
        };
        let serving = repartee_process::serve(self.door, streams, of_connection, shutdown.clone());
        let drain = self.settings.drain.drain();
        let deadline = async {
            shutdown.stop.cancelled().await;
            tokio::time::sleep(drain).await;
        };
        tokio::select! {
            () = serving => {}
            never = prober => match never {},
            () = deadline => {
                tracing::warn!(after_s = drain.as_secs(), "requests were still open at the end of the drain");
            }
        }
        measured.end().await;
        Ok(())
    }
}
