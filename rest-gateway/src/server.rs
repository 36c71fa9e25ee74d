//! The life of the server: bind, serve, drain.

use std::{future::IntoFuture as _, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::serve::ListenerExt as _;
use repartee_process::{Ready, ReadyFileError};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::transport::Channel;

use crate::{
    front::front,
    layers,
    polls::Polls,
    probes::{self, Readiness},
    routes,
    settings::Settings,
    tail::{Follower, Tail},
    upstream::{self, Pool},
};

/// How long open requests may go on after the stop; a stop has 10 s in all.
const DRAIN: Duration = Duration::from_secs(8);

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
    /// Cancelled once the server is asked to stop: what waits answers at once.
    pub(crate) stopping: CancellationToken,
    /// Counts the polls.
    pub(crate) polls: Polls,
}

/// A gateway that is bound and does not serve yet.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    settings: Settings,
    pool: Pool,
    /// For what the gateway asks for itself: health, and the stream of changes.
    own: Channel,
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
    /// The address of the queue-service is none.
    #[error("--queue-url {url:?} is no address such as http://127.0.0.1:50051")]
    QueueUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        source: tonic::transport::Error,
    },
    /// The ready file could not be written.
    #[error(transparent)]
    ReadyFile(#[from] ReadyFileError),
    /// The listener broke.
    #[error("serving ended")]
    Serve(#[source] io::Error),
}

/// Runs a gateway until `shutdown` is cancelled: binds, logs the address, writes the ready file, serves.
///
/// # Errors
/// Where it cannot bind, cannot write the ready file, or the listener breaks.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), Error> {
    let ready_file = settings.ready_file.clone();
    let server = Server::bind(settings).await?;
    let addr = server.addr();
    tracing::info!(%addr, queue_url = server.settings.queue_url, "serving HTTP");
    if let Some(path) = ready_file {
        // The socket is bound: whoever connects from now on is served.
        Ready { http: Some(addr), ..Ready::default() }.write_to(&path)?;
    }
    server.serve(shutdown).await
}

impl Server {
    /// Binds the address. The queue-service need not be there yet.
    ///
    /// # Errors
    /// Where the address cannot be bound, or the queue-service's is none.
    pub async fn bind(settings: Settings) -> Result<Self, Error> {
        let url_error = |source| Error::QueueUrl { url: settings.queue_url.clone(), source };
        let pool = Pool::to(&settings.queue_url, settings.queue_connections).map_err(url_error)?;
        let own = upstream::connect(&settings.queue_url).map_err(url_error)?;
        let bind_error = |source| Error::Bind { addr: settings.http_addr, source };
        let listener = TcpListener::bind(settings.http_addr).await.map_err(bind_error)?;
        let addr = listener.local_addr().map_err(bind_error)?;
        Ok(Self { listener, addr, settings, pool, own })
    }

    /// The bound address, with the port that was found where 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` is cancelled, then lets open requests finish for at most 8 s.
    ///
    /// # Errors
    /// Where the listener breaks.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), Error> {
        // Counting starts with the first request, so the recorder has to be there before it.
        repartee_process::recorder();
        let (prober, readiness) = probes::watch_queue(self.own.clone());
        let tail = Arc::new(Tail::new(self.settings.tail()));
        let follower = Follower {
            tail: Arc::clone(&tail),
            channel: self.own,
            max_answer_bytes: upstream::MAX_ANSWER_BYTES,
            seed: self.settings.tail_seed,
            patience: self.settings.watch_patience,
        };
        let _follower = AbortOnDropHandle::new(tokio::spawn(follower.run()));
        let app = Arc::new(Shared {
            pool: self.pool,
            tail,
            request_timeout: self.settings.request_timeout,
            max_body_bytes: self.settings.max_body_bytes,
            readiness,
            stopping: shutdown.clone(),
            polls: Polls::default(),
        });
        let router = layers::around(routes::router(), &self.settings).with_state(App::clone(&app));
        let front = front(app, router, &self.settings);
        let listener = self.listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps Nagle's algorithm");
            }
        });
        let serving = axum::serve(listener, front).with_graceful_shutdown(shutdown.clone().cancelled_owned());
        let deadline = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            outcome = serving.into_future() => outcome.map_err(Error::Serve),
            never = prober => match never {},
            () = deadline => {
                tracing::warn!(after_s = DRAIN.as_secs(), "requests were still open at the end of the drain");
                Ok(())
            }
        }
    }
}
