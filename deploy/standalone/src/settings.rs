//! The settings of the one-process run. What only one of its parts knows keeps that part's default and is set by that
//! part's environment variables.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use queue_service::{CacheBytes, journal::Durability};
use repartee_process::{DrainSettings, Probe, QueueTlsSettings, Size, Span, TlsSettings};
use serde::Serialize;
use serde_json::{Value, json};

/// How long the gateway and the bot may take to end before the queue is told to.
pub(crate) const FRONTS: Duration = Duration::from_secs(2);

/// Where the gateway finds the queue is known once that is bound.
pub(crate) const PLACEHOLDER_URL: &str = "http://127.0.0.1:50051";

/// Repartee in one process: people and bots talk in public, and every browser sees it.
#[derive(Debug, Clone, Parser, Serialize)]
#[command(name = "repartee", version)]
pub(crate) struct Settings {
    /// Folder of the data; created where it does not exist.
    #[arg(long, env = "REPARTEE_DATA_DIR", default_value = "./data")]
    pub(crate) data_dir: PathBuf,
    /// Address for browsers, JSON over HTTP; port 0 takes a free port.
    #[arg(long, env = "REPARTEE_HTTP_ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) http_addr: SocketAddr,
    /// Address for bot workers, gRPC; port 0 takes a free port.
    #[arg(long, env = "REPARTEE_GRPC_ADDR", default_value = "127.0.0.1:50051")]
    pub(crate) grpc_addr: SocketAddr,
    /// TLS at both addresses, but not at that for bot workers while it is a loopback address.
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) tls: TlsSettings,
    /// How safe an acknowledged write is: from a power cut, or from the end of the process only.
    #[arg(long, env = "REPARTEE_DURABILITY", value_enum, default_value = "power")]
    pub(crate) durability: Durability,
    /// Free room on the disk of the data, as 256MiB, below which no new text is stored any more, and nothing below a quarter of it; 0
    /// stores until a write fails.
    #[arg(long, env = "REPARTEE_MIN_FREE_DISK", value_name = "SIZE", default_value_t = queue_service::MIN_FREE_DISK)]
    pub(crate) min_free_disk: Size,
    /// How long finished messages are kept after their last change, as 90d or 12h; at least 1s. For ever where absent.
    /// The newest messages, those in the cache, are kept longer.
    #[arg(long, env = "REPARTEE_RETENTION", value_name = "SPAN", value_parser = Span::seconds(1..=Span::LONGEST.0.as_secs()))]
    pub(crate) retention: Option<Span>,
    /// Most messages in the cache.
    #[arg(long, env = "REPARTEE_CACHE_MESSAGES", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) cache_messages: u32,
    /// Most bytes in the cache, by estimate, as 100MiB; at least 1MiB. auto: a quarter of the memory that the process's control
    /// group (its container) may take; 100MiB if that has no limit.
    #[arg(long, env = "REPARTEE_CACHE_BYTES", value_name = "SIZE|auto", default_value_t)]
    pub(crate) cache_bytes: CacheBytes,
    /// List the rooms, the domains of the cached messages, for whoever asks, at GET /api/rooms and on the page.
    #[arg(long, env = "REPARTEE_LIST_ROOMS", value_name = "true|false", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub(crate) list_rooms: bool,
    /// Run a bot that answers the entity `echo` by repeating what it is told.
    #[arg(long, env = "REPARTEE_DEMO_BOT", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) demo_bot: bool,
    /// File with the hashes of the tokens of workers, gateways and operators, followed while it changes. If absent, `tokens`
    /// in the data directory; then the first start makes a token of each role and puts it into a file beside it.
    #[arg(long, env = "REPARTEE_TOKENS_FILE", value_name = "PATH")]
    pub(crate) tokens_file: Option<PathBuf>,
    /// How long it goes on serving after SIGTERM, as 5s, at most 10m, while it says that it is not ready. None by default: the data
    /// has one owner, so no other process takes over before this one has ended. SIGINT, as by Ctrl-C, skips the wait; a
    /// second signal ends the process at once.
    #[arg(long, env = "REPARTEE_DRAIN_DELAY", value_name = "SPAN", default_value = "0s", value_parser = Span::seconds(0..=DrainSettings::LONGEST))]
    pub(crate) drain_delay: Span,
    /// Write the bound addresses there, as JSON, once everything serves.
    #[arg(long, env = "REPARTEE_READY_FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    /// Print the effective settings and exit.
    #[arg(long)]
    #[serde(skip)]
    pub(crate) print_config: bool,
}

impl repartee_process::Settings for Settings {
    fn print_config(&self) -> bool {
        self.print_config
    }

    fn effective(&self) -> Value {
        let mut shown = json!(self);
        // What is wrong in the environment is told by the check; here it is only left out.
        if let (Ok(queue), Ok(gateway)) = (self.queue_service(), self.rest_gateway(PLACEHOLDER_URL)) {
            shown["queue-service"] = queue.effective();
            shown["rest-gateway"] = gateway.effective();
        }
        shown
    }

    fn probe(&self) -> Result<Probe, String> {
        // The gateway is ready only if the queue is.
        let gateway = self.rest_gateway(PLACEHOLDER_URL).map_err(|wrong| wrong.to_string())?;
        Ok(gateway.probe()?.with_ready_file(self.ready_file.clone()))
    }

    fn drain_delay(&self) -> Duration {
        self.drain_delay.0
    }

    fn check(&self) -> Result<(), String> {
        self.queue_service().map_err(|wrong| wrong.to_string())?.check()?;
        self.rest_gateway(PLACEHOLDER_URL).map_err(|wrong| wrong.to_string())?.check()
    }
}

impl Settings {
    /// The settings of queue-service: its own defaults and variables, with ours over them.
    pub(crate) fn queue_service(&self) -> Result<queue_service::Settings, clap::Error> {
        let own = queue_service::Settings::try_parse_from(["queue-service"])?;
        Ok(queue_service::Settings {
            data_dir: self.data_dir.clone(),
            grpc_addr: self.grpc_addr,
            tls: if self.is_grpc_local() { TlsSettings::default() } else { self.tls.clone() },
            durability: self.durability,
            min_free_disk: self.min_free_disk,
            retention: self.retention,
            cache_messages: self.cache_messages,
            cache_bytes: self.cache_bytes,
            list_rooms: self.list_rooms,
            // It serves on while the gateway and the bot end.
            drain: DrainSettings { drain_delay: Span(self.drain_delay.0 + FRONTS) },
            tokens_file: self.tokens_file.clone(),
            // It would be the gateway's too, which cannot take it.
            metrics_addr: None,
            ready_file: None,
            ..own
        })
    }

    fn is_grpc_local(&self) -> bool {
        self.grpc_addr.ip().to_canonical().is_loopback()
    }

    /// The settings of rest-gateway: its own defaults and variables, with ours over them.
    pub(crate) fn rest_gateway(&self, queue_url: &str) -> Result<rest_gateway::Settings, clap::Error> {
        let own = rest_gateway::Settings::try_parse_from(["rest-gateway", "--queue-url", queue_url])?;
        Ok(rest_gateway::Settings {
            http_addr: self.http_addr,
            list_rooms: self.list_rooms,
            tls: self.tls.clone(),
            // What the parts say to each other stays on this machine.
            queue_tls: QueueTlsSettings::default(),
            drain: DrainSettings { drain_delay: self.drain_delay },
            token_file: None,
            token: None,
            ready_file: None,
            ..own
        })
    }
}
