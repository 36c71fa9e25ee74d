//! The settings of the one-process run. What only one of its parts knows keeps that part's default and is set by that
//! part's environment variables.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;
use queue_service::{Retention, journal::Durability};
use serde::Serialize;
use serde_json::{Value, json};

/// Where the gateway finds the queue is known once that is bound.
const PLACEHOLDER_URL: &str = "http://127.0.0.1:50051";

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
    /// How safe an acknowledged write is: from a power cut, or from the end of the process only.
    #[arg(long, env = "REPARTEE_DURABILITY", value_enum, default_value = "power")]
    pub(crate) durability: Durability,
    /// Free bytes on the disk of the data below which no new text is stored any more, and nothing below a quarter of it; 0
    /// stores until a write fails.
    #[arg(long, env = "REPARTEE_MIN_FREE_DISK", default_value_t = queue_service::MIN_FREE_DISK)]
    pub(crate) min_free_disk: u64,
    /// How long finished messages are kept after their last change, as 90d or 12h; at least 1s. For ever where absent.
    /// The newest messages, those in the cache, are kept longer.
    #[arg(long, env = "REPARTEE_RETENTION", value_name = "SPAN")]
    pub(crate) retention: Option<Retention>,
    /// Most messages in the cache.
    #[arg(long, env = "REPARTEE_CACHE_MESSAGES", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) cache_messages: u32,
    /// Most bytes in the cache, by estimate.
    #[arg(long, env = "REPARTEE_CACHE_BYTES", default_value_t = 100 * 1024 * 1024, value_parser = clap::value_parser!(u64).range(1_048_576..))]
    pub(crate) cache_bytes: u64,
    /// Run a bot that answers the entity `echo` by repeating what it is told.
    #[arg(long, env = "REPARTEE_DEMO_BOT", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) demo_bot: bool,
    /// File with the hashes of the tokens of workers, gateways and operators, followed while it changes. If absent, `tokens`
    /// in the data directory; then the first start makes a token of each role and puts it into a file beside it.
    #[arg(long, env = "REPARTEE_TOKENS_FILE", value_name = "PATH")]
    pub(crate) tokens_file: Option<PathBuf>,
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
            durability: self.durability,
            min_free_disk: self.min_free_disk,
            retention: self.retention,
            cache_messages: self.cache_messages,
            cache_bytes: self.cache_bytes,
            tokens_file: self.tokens_file.clone(),
            // It would be the gateway's too, which cannot take it.
            metrics_addr: None,
            ready_file: None,
            ..own
        })
    }

    /// The settings of rest-gateway: its own defaults and variables, with ours over them.
    pub(crate) fn rest_gateway(&self, queue_url: &str) -> Result<rest_gateway::Settings, clap::Error> {
        let own = rest_gateway::Settings::try_parse_from(["rest-gateway", "--queue-url", queue_url])?;
        Ok(rest_gateway::Settings {
            http_addr: self.http_addr,
            token_file: None,
            token: None,
            ready_file: None,
            ..own
        })
    }
}
