//! Building the service from its settings, and running it until it is told to stop.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request, middleware::from_fn_with_state, routing::get};
use hyper::body::Incoming;
use repartee_process::{Bound, ByteLimit, Connection, Door, NewToken, Switch, Tokens, TokensFileError};
use repartee_proto::v1::queue_service_server::QueueServiceServer;
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::{service::Routes, transport::server::Connected as _};
use tower::ServiceExt as _;

use crate::{
    disk::{DiskRoom, Watch},
    drafts::Drafts,
    grpc::{
        self, Bounds, DoorBounds, Guesses, Names, QueueGrpc, Rights, StreamRules, admit, admit_to_page,
        authorize, slow_guesses,
    },
    journal::{Costs, EditSecret, HighWater, Journal, JournalError, Marked, OpenError, SledStore, Tally},
    limits_file::LimitsFile,
    observe,
    reads::Reads,
    restore::restore,
    settings::{ConversationOwner, Retention, Settings},
    writer::{Clock as _, Running, ServiceClock, Writer},
};

/// Largest request; a batch has a bound of its own below it.
const REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// How long open calls may take to end after the signal to stop.
const DRAIN: Duration = Duration::from_secs(4);
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
    addr: SocketAddr,
    metrics: Option<TcpListener>,
    calls_per_connection: u32,
    reflection: Option<bool>,
}

/// What runs once the data is read.
struct Opened {
    grpc: QueueGrpc,
    running: Running,
    disk: Watch,
    data_dir: PathBuf,
    limits_file: Option<LimitsFile>,
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
        journal: impl FnOnce(SledStore) -> J + Send + 'static,
    ) -> Result<Self, Error> {
        // The address first: where it is taken, nothing else was touched.
        let bind = |error| Error::Bind(settings.grpc_addr, error);
        let listener = TcpListener::bind(settings.grpc_addr).await.map_err(bind)?;
        let addr = listener.local_addr().map_err(bind)?;
        let metrics = match settings.metrics_addr {
            Some(at) => Some(TcpListener::bind(at).await.map_err(|error| Error::Bind(at, error))?),
            None => None,
        };
        let (calls_per_connection, reflection) = (settings.max_calls_per_connection, settings.reflection);
        let (patience, answers) = (settings.patience(), settings.answers());
        let total = answers.total.clone();
        let door = Door::new(listener, "grpc_connections", settings.max_connections, patience, answers)
            .with_reserve("gateway_connections", settings.gateway_connections);
        let connections = (door.places().clone(), door.reserve().cloned());
        let opening =
            tokio::task::spawn_blocking(move || open(&settings, &own, addr, connections, total, journal));
        let opened = opening.await.map_err(|_| Error::Writer)??;
        Ok(Self { opened, door, addr, metrics, calls_per_connection, reflection })
    }

    /// The address that was bound.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of the metrics, if they have one of their own.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until `shutdown` is cancelled, then ends all streams and stops within 10 s.
    ///
    /// # Errors
    /// Where the journal or the server fails; the process is to be ended then.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), Error> {
        // Counting starts with the first call, so the recorder has to be there before it.
        repartee_process::recorder();
        let Self {
            opened: Opened { grpc, running, disk, data_dir, limits_file },
            door,
            metrics,
            calls_per_connection,
            reflection,
            ..
        } = self;
        let _metrics = metrics.map(|listener| {
            let is_loopback = listener.local_addr().is_ok_and(|addr| addr.ip().to_canonical().is_loopback());
            let router = Router::new()
                .route("/metrics", get(observe::metrics))
                .with_state(grpc.clone())
                .layer(from_fn_with_state(is_loopback, admit_to_page))
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
        let stop = CancellationToken::new();
        let observed = AbortOnDropHandle::new(tokio::spawn(observe_clock(grpc.clock.clone())));
        let serving = tokio::spawn(serve_grpc(grpc, door, calls_per_connection, reflection, stop.clone()));
        let outcome = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            failure = failed => {
                Err(failure.map_or(Error::Writer, |error| Error::Journal(data_dir, error)))
            }
        };
        draining.cancel();
        outcome?;
        // Whether all of them have said goodbye or not: the connections are closed next.
        let (workers, watchers, gateways) = (streams.workers, streams.watchers, streams.gateways);
        let goodbye = async { tokio::join!(workers.emptied(), watchers.emptied(), gateways.emptied()) };
        let _ = timeout(GOODBYE, goodbye).await;
        stop.cancel();
        if let Ok(served) = timeout(DRAIN, serving).await {
            served.map_err(|_| Error::Writer)??;
        } else {
            tracing::warn!("calls were still open after the time for draining; closing them");
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

/// Opens the data and starts the writer. Blocks.
fn open<J: Journal>(
    settings: &Settings,
    own: &[NewToken],
    addr: SocketAddr,
    connections: DoorBounds,
    answers: ByteLimit,
    journal: impl FnOnce(SledStore) -> J,
) -> Result<Opened, Error> {
    let (data_dir, durability) = (settings.data_dir.clone(), settings.durability);
    let tally = Tally::default();
    let mut store = SledStore::open(&data_dir, durability, &tally)?;
    let mark = HighWater::open(&data_dir, &mut store, &tally)?;
    let tokens = Tokens::load(Some(&settings.tokens_path()), own)?;
    if tokens.is_empty() {
        let file = settings.tokens_path();
        tracing::warn!(file = %file.display(), "there are no tokens: no worker, gateway or operator can call; `token new` makes one");
    }
    let edits = EditSecret::open(&data_dir).map_err(Error::Secret)?;
    let names = Names::open(settings).map_err(|error| Error::Names(data_dir.clone(), error))?;
    if durability == crate::journal::Durability::Process {
        tracing::warn!("durability is \"process\": acknowledged writes survive a kill, not a power cut");
    }
    let room = DiskRoom::new(settings.min_free_disk);
    let disk = room.watch(&data_dir).map_err(|error| OpenError::Directory(data_dir.clone(), error))?;
    let (costs, mut rules) = (Costs::default(), settings.rules());
    let mut limits_file = None;
    if let Some((text, limits)) = settings.read_entity_limits().map_err(Error::EntityLimits)? {
        rules.entity_limits = limits;
        limits_file = settings.entity_limits.clone().map(|path| LimitsFile { path, text });
    }
    let damaged = |error| OpenError::Damaged(data_dir.clone(), Box::new(error));
    let last = store.last_commit(&Tally::default()).map_err(damaged)?;
    let clock = ServiceClock::start(last, settings.max_clock_jump.0);
    let (queue, views) =
        restore(&store, rules.clone(), settings.cache(), &costs, clock.read(), tally).map_err(damaged)?;
    let views = Arc::new(views);
    let writer = Writer {
        queue,
        journal: Marked::new(journal(store.clone()), mark, &data_dir, durability)?,
        store: store.clone(),
        views: Arc::clone(&views),
        costs: costs.clone(),
        clock: clock.clone(),
        disk: room,
        retention: settings.retention.map(Retention::millis),
        ages_from: clock.ages_from(),
    };
    let guesses = (settings.client_limits == Switch::On).then(|| Guesses::new(settings.client_wrong_tokens));
    let (queue, running) = writer.start(settings.room()).map_err(Error::Thread)?;
    let grpc = QueueGrpc {
        queue,
        clock,
        reads: Reads { views, store, costs, failures: Arc::default() },
        limits: Arc::new(settings.limits.clone()),
        rights: Arc::new(Rights { tokens, edits, visitors: addr.ip().to_canonical().is_loopback(), guesses }),
        streams: StreamRules {
            workers: Bound::new("worker_streams", settings.max_streams),
            watchers: Bound::new("watches", settings.max_streams),
            gateways: Bound::new("gateway_streams", settings.gateway_streams),
            drafters: Bound::new("drafts", settings.max_streams),
            slow: repartee_process::refusals("stream_events"),
            heartbeat: Settings::seconds(settings.heartbeat),
            age: Settings::seconds(settings.stream_age),
            patience: Settings::seconds(settings.stream_patience),
            draining: CancellationToken::new(),
        },
        bounds: Bounds::new(connections, answers, (settings.max_calls, settings.max_streams), &rules),
        drafts: Drafts::default(),
        names,
        visitor_priority: settings.visitor_priority,
        conversation_owners: settings.conversation_owner == ConversationOwner::Visitor,
    };
    Ok(Opened { grpc, running, disk, data_dir, limits_file })
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

async fn serve_grpc(
    grpc: QueueGrpc,
    door: Door,
    calls_per_connection: u32,
    reflection: Option<bool>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<QueueServiceServer<QueueGrpc>>().await;
    let draining = grpc.streams.draining.clone();
    tokio::spawn(async move {
        draining.cancelled().await;
        health.set_not_serving::<QueueServiceServer<QueueGrpc>>().await;
        health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    });
    let is_loopback = door.is_loopback();
    let metrics = Router::new()
        .route("/metrics", get(observe::metrics_for_operators))
        .with_state(grpc.clone())
        .layer(from_fn_with_state(is_loopback, admit_to_page));
    let draining = grpc.streams.draining.clone();
    let admission = grpc::Door::new(draining, grpc.queue.clone(), &grpc.bounds, is_loopback);
    let rights = Arc::clone(&grpc.rights);
    let guessed_at = Arc::clone(&rights);
    let queue = QueueServiceServer::new(grpc).max_decoding_message_size(REQUEST_BYTES);
    let mut routes = Routes::from(Router::new()).add_service(health_service).add_service(queue);
    if reflection.unwrap_or(is_loopback) {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(repartee_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        routes = routes.add_service(builder.build_v1()?);
    }
    let calls = routes
        .into_axum_router()
        .layer(from_fn_with_state(rights, authorize))
        .layer(from_fn_with_state(admission, admit))
        .layer(from_fn_with_state(observe::CallTimes::default(), observe::time_call));
    let router = calls.merge(metrics).layer(from_fn_with_state(guessed_at, slow_guesses));
    let of_connection = move |connection: &Connection| {
        let (state, info) = (Arc::clone(connection.state()), connection.connect_info());
        // A gateway's, or a worker's with many tasks: what was reset takes no more than the streams that may be open anyway.
        state.expect_resets(calls_per_connection);
        Some(router.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Arc::clone(&state));
            request.extensions_mut().insert(info.clone());
            request.map(Body::new)
        }))
    };
    repartee_process::serve(door, calls_per_connection, of_connection, stop).await;
    Ok(())
}

#[cfg(test)]
mod tests;
