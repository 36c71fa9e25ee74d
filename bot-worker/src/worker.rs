//! The front door of the SDK: what a worker is told before it runs, checked before anything is started.

use std::{fmt, future::Future, path::PathBuf, time::Duration};

use repartee_process::{Credential, QueueLink, QueueLinkError, QueueTlsSettings, Secret};
use repartee_proto::v1::{StreamMode, StreamPendingRequest, queue_service_client::QueueServiceClient};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::{Breaker, Error, HandlerError, Reply, Task, handler, health::OpenStreams, session::Session};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// A connection that is silent for this long is asked for a sign of life …
const KEEPALIVE: Duration = Duration::from_secs(2);
/// … and dropped without one after this: a path that swallows everything is noticed within 5 s, so that renewals go over
/// a fresh connection before the shortest lease is over.
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(2);

/// Limits of the contract.
pub(crate) const NAME_CHARS: usize = 64;
const ENTITIES: usize = 100;
pub(crate) const IN_FLIGHT: u32 = 1_000;
const CONTEXT: u32 = 100;
const SHORTEST_LEASE: Duration = Duration::from_secs(5);
const LONGEST_LEASE: Duration = Duration::from_secs(600);

/// A worker that is not yet running. See the [crate's example](crate).
#[must_use = "a worker does nothing before `run`"]
pub struct Worker {
    url: String,
    name: String,
    entities: Vec<String>,
    max_in_flight: u32,
    lease: Option<Duration>,
    context: u32,
    drain: Duration,
    on_ready: Option<OnReady>,
    token: Option<Token>,
    breaker: Option<Breaker>,
    streams: Option<OpenStreams>,
    tls: QueueTlsSettings,
    /// In place of the address, if the queue-service is a part of this process.
    link: Option<QueueLink>,
}

/// Where the token comes from.
enum Token {
    Given(Secret),
    InFile(PathBuf),
}

pub(crate) type OnReady = Box<dyn FnOnce() + Send>;

impl Worker {
    /// A worker for the queue-service at `url`, such as `http://127.0.0.1:50051` or `https://queue.example:50051`. The
    /// connection is made by [`Worker::run`] and made again whenever it is lost.
    pub fn connect(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            name: "worker".into(),
            entities: Vec::new(),
            max_in_flight: 1,
            lease: None,
            context: 0,
            drain: Duration::from_secs(8),
            on_ready: None,
            token: None,
            breaker: None,
            streams: None,
            tls: QueueTlsSettings::default(),
            link: None,
        }
    }

    /// A worker for the queue-service behind `link`, such as one of this process.
    pub fn over(link: QueueLink) -> Self {
        Self { link: Some(link), ..Self::connect("") }
    }

    /// The worker's token, as `token new --role worker` printed it.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Token::Given(Secret::from(token.into())));
        self
    }

    /// The file whose first line is the worker's token. It is read again every second, and whenever the worker connects
    /// anew, so that a token can be replaced while the worker runs: write the new one, then revoke the old one.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token = Some(Token::InFile(path.into()));
        self
    }

    /// The file with the authorities, PEM, of which the certificate of an `https://` service has to be; those that the
    /// system trusts unless set.
    pub fn queue_ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls.queue_ca = Some(path.into());
        self
    }

    /// The files of the certificate by which an `https://` service knows this worker, and of its private key, PEM: for a
    /// service with `--tls-client-ca`. A token is needed all the same. These files, and that of [`Worker::queue_ca`], are
    /// read again every second, for new connections.
    pub fn queue_client_certificate(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        (self.tls.queue_client_cert, self.tls.queue_client_key) = (Some(cert.into()), Some(key.into()));
        self
    }

    pub(crate) fn queue_tls(mut self, tls: QueueTlsSettings) -> Self {
        self.tls = tls;
        self
    }

    /// The worker's name in claims and statistics, 1 to 64 characters; `worker` unless set. Several processes may share
    /// one: each has a random session id beside it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Answers this entity too. Without any, the worker answers all.
    pub fn entity(mut self, entity: impl Into<String>) -> Self {
        self.entities.push(entity.into());
        self
    }

    /// How many messages are worked on at the same time, 1 to 1,000; 1 unless set.
    pub fn max_in_flight(mut self, messages: u32) -> Self {
        self.max_in_flight = messages;
        self
    }

    /// The length of a lease, 5 s to 10 min; 30 s unless set. Leases are renewed three times as often, so this is about
    /// how long a message waits after its worker died.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// With each message, this many of the last messages of its conversation, at most 100; none unless set.
    pub fn context(mut self, messages: u32) -> Self {
        self.context = messages;
        self
    }

    /// How long running handlers may go on after the shutdown; 8 s unless set. What is not finished then is released.
    pub fn drain(mut self, deadline: Duration) -> Self {
        self.drain = deadline;
        self
    }

    /// What says whether answers can be given, and probes until they can be again. Without it, a worker whose handler told
    /// of an outage tries the next message after a backoff.
    pub fn breaker(mut self, breaker: Breaker) -> Self {
        self.breaker = Some(breaker);
        self
    }

    /// Where it shows whether it is connected.
    pub(crate) fn showing(mut self, streams: OpenStreams) -> Self {
        self.streams = Some(streams);
        self
    }

    /// Is called once, when the service has accepted the worker for the first time.
    pub fn on_ready(mut self, ready: impl FnOnce() + Send + 'static) -> Self {
        self.on_ready = Some(Box::new(ready));
        self
    }

    /// Answers messages until SIGTERM or SIGINT, then drains. See [`Worker::run_until`].
    ///
    /// # Errors
    /// As [`Worker::run_until`].
    pub async fn run<H, F, R>(self, handler: H) -> Result<(), Error>
    where
        H: Fn(Task) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: Into<Option<Reply>>,
    {
        self.run_until(repartee_process::Shutdown::on_signal(Duration::ZERO).stop, handler).await
    }

    /// Answers messages until `shutdown` is cancelled, then drains: takes nothing more, lets running handlers finish
    /// within the drain deadline, releases the rest.
    ///
    /// The handler is called once for each claim, `max_in_flight` times at once at most. `Ok(None)` completes a
    /// message without a reply. A panic is caught and counts as a retryable failure. A lost connection is no reason to
    /// return: the worker connects again for ever, and goes on with what it holds.
    ///
    /// # Errors
    /// [`Error::Setting`] before anything is started; [`Error::Refused`] where the service refuses this worker for good.
    pub async fn run_until<H, F, R>(self, shutdown: CancellationToken, handler: H) -> Result<(), Error>
    where
        H: Fn(Task) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: Into<Option<Reply>>,
    {
        self.check()?;
        let credential = self.credential()?;
        let link = self.link()?;
        link.warn_if_readable("this worker's token, and all questions and answers");
        let client = QueueServiceClient::with_interceptor(channel(&link), credential.clone());
        let _link = AbortOnDropHandle::new(tokio::spawn(link.follow()));
        // Calls between two streams, renewals and completions, need a replaced token too.
        let _following = AbortOnDropHandle::new(tokio::spawn(credential.clone().follow()));
        let handler = handler::boxed(handler);
        let breaker = self.breaker.clone().unwrap_or_else(|| Breaker::of_time_alone(&self.name));
        let _probing = AbortOnDropHandle::new(tokio::spawn(breaker.clone().keep_probing()));
        let streams = self.streams.clone().unwrap_or_else(|| OpenStreams::new(breaker.name()));
        let request = self.subscription();
        let session = Session::new(client, credential, request, self.drain, handler, breaker, streams);
        session.run(shutdown, self.on_ready).await
    }

    fn credential(&self) -> Result<Credential, Error> {
        let (setting, credential) = match &self.token {
            None => return Ok(Credential::default()),
            Some(Token::Given(token)) => ("token", Credential::of(token)),
            Some(Token::InFile(path)) => ("token_file", Credential::in_file(path.clone())),
        };
        credential.map_err(|problem| Error::Setting { setting, problem })
    }

    fn check(&self) -> Result<(), Error> {
        let names =
            std::iter::once(("name", &self.name)).chain(self.entities.iter().map(|name| ("entity", name)));
        for (setting, name) in names {
            let length = name.chars().count();
            require(setting, (1..=NAME_CHARS).contains(&length), || {
                format!("must have 1 to {NAME_CHARS} characters, {name:?} has {length}")
            })?;
        }
        require("entity", self.entities.len() <= ENTITIES, || {
            format!("at most {ENTITIES} can be answered, not {}", self.entities.len())
        })?;
        require("max_in_flight", (1..=IN_FLIGHT).contains(&self.max_in_flight), || {
            format!("must be 1 to {IN_FLIGHT}, not {}", self.max_in_flight)
        })?;
        require(
            "lease",
            self.lease.is_none_or(|lease| (SHORTEST_LEASE..=LONGEST_LEASE).contains(&lease)),
            || {
                format!(
                    "must be {SHORTEST_LEASE:?} to {LONGEST_LEASE:?}, not {:?}",
                    self.lease.unwrap_or_default()
                )
            },
        )?;
        require("context", self.context <= CONTEXT, || {
            format!("must be at most {CONTEXT}, not {}", self.context)
        })
    }

    fn link(&self) -> Result<QueueLink, Error> {
        if let Some(link) = &self.link {
            return Ok(link.clone());
        }
        let wrong = |QueueLinkError { setting, problem }| Error::Setting { setting, problem };
        QueueLink::new(&self.url, &self.tls).map_err(wrong)
    }

    fn subscription(&self) -> StreamPendingRequest {
        StreamPendingRequest {
            worker_id: self.name.clone(),
            session_id: Uuid::new_v4().to_string(),
            entities: self.entities.clone(),
            mode: StreamMode::Lease.into(),
            max_in_flight: self.max_in_flight,
            // A length that is asked for holds from the start; without one, a delivery that is lost on its way goes to
            // somebody else soon.
            lease: self.lease.map(|lease| lease.try_into().expect("a checked lease fits")),
            context_limit: self.context,
            holds_back: None,
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("url", &self.url).field("name", &self.name).finish_non_exhaustive()
    }
}

fn channel(link: &QueueLink) -> Channel {
    link.connect_lazy(|endpoint| {
        endpoint
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_ANSWER)
            .keep_alive_while_idle(true)
    })
}

fn require(setting: &'static str, holds: bool, problem: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Setting { setting, problem: problem() }) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Worker;

    #[track_caller]
    fn refused(worker: Worker) -> String {
        worker.check().and_then(|()| worker.link().map(drop)).unwrap_err().to_string()
    }

    #[tokio::test]
    async fn settings_outside_their_limits_are_refused_with_the_limit_and_the_value() {
        let worker = || Worker::connect("http://127.0.0.1:50051");
        assert_eq!(refused(worker().name("")), "name: must have 1 to 64 characters, \"\" has 0");
        assert!(refused(worker().entity("e".repeat(65))).ends_with("has 65"));
        assert_eq!(refused(worker().max_in_flight(0)), "max_in_flight: must be 1 to 1000, not 0");
        assert_eq!(refused(worker().lease(Duration::from_secs(1))), "lease: must be 5s to 600s, not 1s");
        assert_eq!(refused(worker().context(101)), "context: must be at most 100, not 101");
        assert!(refused(Worker::connect("127.0.0.1:50051")).starts_with("queue-url: must look like"));
        assert!(refused(Worker::connect("ftp://127.0.0.1:50051")).starts_with("queue-url: must look like"));
        assert!(refused(worker().queue_ca("/ca")).starts_with("queue-ca: needs a --queue-url with https://"));
        let over_tls = Worker::connect("https://127.0.0.1:50051").queue_ca("/nowhere/at/all");
        assert!(refused(over_tls).starts_with("queue-ca: /nowhere/at/all: cannot be read"));
    }
}
