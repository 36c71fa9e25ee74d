//! Reaching one tool server: starting its process, or opening its HTTP session, up to the list of its tools; and its end.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use reqwest::{
    Client,
    header::{HeaderName, HeaderValue},
    redirect,
};
use rmcp::{
    ClientHandler, Peer, RoleClient,
    model::{ClientCapabilities, ClientConfig, Implementation, ProtocolVersion},
    service::{
        ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, NotificationContext,
        RunningService, RunningServiceCancellationToken,
    },
    transport::{
        StreamableHttpClientTransport, async_rw::AsyncRwTransport,
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{
    list::{self, Listed},
    process::{Pipes, Process},
    settings::{ToolServer, Way},
};
use crate::text::cut;

/// How long a server may take to start and to list its tools: some are downloaded first.
const START: Duration = Duration::from_secs(60);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Most bytes of a message of a server.
const MESSAGE_BYTES: usize = 4 << 20;
/// Most bytes of an error of HTTP that are read.
const ERROR_BYTES: usize = 1024;
/// Most bytes of a reason in the log.
const REASON_BYTES: usize = 800;
/// How long a session may take to close.
const CLOSE: Duration = Duration::from_secs(3);
/// How long what a process wrote behind its last word may take to arrive.
const LAST_WORDS: Duration = Duration::from_millis(200);

type Service = RunningService<RoleClient, Listener>;

/// A server that is there. Dropping it ends it at once.
pub(super) struct Session {
    pub(super) peer: Peer<RoleClient>,
    cancel: RunningServiceCancellationToken,
    closed: Shared<BoxFuture<'static, ()>>,
    process: Option<Process>,
}

impl Session {
    fn new(service: Service, process: Option<Process>) -> Self {
        let (peer, cancel) = (service.peer().clone(), service.cancellation_token());
        let closed = service.waiting().map(drop).boxed().shared();
        Self { peer, cancel, closed, process }
    }

    /// Waits until the server is gone: its session is closed, or its process has exited, whatever it left behind.
    pub(super) async fn ended(&mut self) {
        let process = self.process.as_mut();
        let exited = async {
            match process {
                Some(process) => process.exited().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.closed.clone() => {}
            () = exited => {}
        }
    }

    /// Closes the session, and ends the process with all that it started; 6 s at the most.
    pub(super) async fn end(self) {
        self.cancel.cancel();
        let _ = timeout(CLOSE, self.closed).await;
        if let Some(process) = self.process {
            process.end().await;
        }
    }
}

/// Hears what a server says by itself. It is given nothing that it asks for: no completion, no input, no files.
pub(super) struct Listener {
    /// Told when the list of tools has changed.
    pub(super) changed: Arc<Notify>,
}

impl ClientHandler for Listener {
    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }

    fn get_info(&self) -> ClientConfig {
        let name = Implementation::new("repartee-bot-worker", env!("CARGO_PKG_VERSION"));
        // The last version with a handshake; one without names itself.
        let config = ClientConfig::new(ClientCapabilities::default(), name);
        config.with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }
}

/// Reaches a server, and lists its tools.
///
/// # Errors
/// Why it cannot be used, in words for operators, without a secret.
pub(super) async fn connect(server: &ToolServer, changed: Arc<Notify>) -> Result<(Session, Listed), String> {
    let reach = async |lifecycle| {
        let listener = Listener { changed: Arc::clone(&changed) };
        match server.way() {
            Way::Process { command, args, env } => {
                process((command, args, &env), server, listener, lifecycle).await
            }
            Way::Http { url, key, headers } => {
                http((url, key, headers.into_iter().collect()), server, listener, lifecycle).await
            }
        }
    };
    // Nearly all servers know the handshake that the newest version of the protocol has given up; those that refuse it may
    // know that version only.
    let mut reached = reach(ClientLifecycleMode::Initialize).await;
    if matches!(&reached, Err(Unreached { refused: true, .. })) {
        reached =
            reach(ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::LATEST] }).await;
    }
    reached.map_err(|unreached| without_secrets(&unreached.why, server))
}

/// Why a server was not reached.
struct Unreached {
    why: String,
    /// True if it refused the handshake by name.
    refused: bool,
}

impl From<String> for Unreached {
    fn from(why: String) -> Self {
        Self { why, refused: false }
    }
}

async fn process(
    (command, args, env): (&str, &[String], &[(&str, &str)]),
    server: &ToolServer,
    listener: Listener,
    lifecycle: ClientLifecycleMode,
) -> Result<(Session, Listed), Unreached> {
    let started = Process::start(command, args, env, server.secrets());
    let (process, Pipes { stdin, stdout, written }) =
        started.map_err(|error| Unreached::from(format!("{command:?} cannot be started: {error}")))?;
    let transport = AsyncRwTransport::new_client(stdout, stdin).with_max_line_length(MESSAGE_BYTES);
    let reached = handshake(transport, server, listener, lifecycle).await;
    if reached.is_err() {
        sleep(LAST_WORDS).await;
    }
    let said = written.forget();
    match reached {
        Ok((service, listed)) => Ok((Session::new(service, Some(process)), listed)),
        Err(Unreached { why, refused }) => {
            let why = if said.is_empty() { why } else { format!("{why}; it wrote: {said}") };
            Err(Unreached { why, refused })
        }
    }
}

async fn http(
    (url, key, headers): (&str, Option<&str>, HashMap<HeaderName, HeaderValue>),
    server: &ToolServer,
    listener: Listener,
    lifecycle: ClientLifecycleMode,
) -> Result<(Session, Listed), Unreached> {
    // A key goes where the operator said, and nowhere else.
    let client = Client::builder().connect_timeout(CONNECT).redirect(redirect::Policy::none()).build();
    let client = client.map_err(|error| Unreached::from(error.to_string()))?;
    let config = StreamableHttpClientTransportConfig::with_uri(url)
        .custom_headers(headers)
        .max_json_response_size(MESSAGE_BYTES)
        .max_sse_event_size(MESSAGE_BYTES)
        .max_error_response_size(ERROR_BYTES);
    let config = match key {
        Some(key) => config.auth_header(key),
        None => config,
    };
    let transport = StreamableHttpClientTransport::with_client(client, config);
    let (service, listed) = handshake(transport, server, listener, lifecycle).await?;
    Ok((Session::new(service, None), listed))
}

async fn handshake<T, E, A>(
    transport: T,
    server: &ToolServer,
    listener: Listener,
    lifecycle: ClientLifecycleMode,
) -> Result<(Service, Listed), Unreached>
where
    T: rmcp::transport::IntoTransport<RoleClient, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    let started = async {
        let service =
            listener.serve_with_lifecycle(transport, lifecycle).await.map_err(|error| why(&error))?;
        let listed = list::list(service.peer(), server).await?;
        Ok((service, listed))
    };
    let late = |_| Err(Unreached::from(format!("it was not ready within {START:?}")));
    timeout(START, started).await.unwrap_or_else(late)
}

/// Why there was no handshake. The innermost cause says most; around it stand names of types.
fn why(error: &ClientInitializeError) -> Unreached {
    const ENDED: &str = "it ended before it was ready";
    let why = match error {
        ClientInitializeError::ConnectionClosed(_) => ENDED.into(),
        ClientInitializeError::JsonRpcError(error) => error.message.to_string(),
        ClientInitializeError::TransportError { error, .. } => {
            let mut cause: &(dyn std::error::Error + 'static) = error.error.as_ref();
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            match kind {
                Some(std::io::ErrorKind::BrokenPipe) => ENDED.into(),
                _ => format!("it could not be reached: {cause}"),
            }
        }
        error => error.to_string(),
    };
    Unreached { why, refused: matches!(error, ClientInitializeError::JsonRpcError(_)) }
}

/// A reason as it may be logged: bounded, and without what the table of the server holds of secrets. Libraries and servers
/// quote addresses and keys in their errors.
pub(super) fn without_secrets(reason: &str, server: &ToolServer) -> String {
    let clean = |reason: String, secret: &String| reason.replace(secret, "***");
    cut(&server.secrets().iter().fold(reason.to_owned(), clean), REASON_BYTES).to_owned()
}
