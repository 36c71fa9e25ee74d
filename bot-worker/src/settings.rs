//! The settings of the ready bot. Each doc comment is the help of its flag.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, ValueEnum};
use repartee_process::{Probe, QueueLink, QueueTlsSettings, Secret};
use serde::Serialize;

#[cfg(feature = "openai")]
use crate::OpenAiSettings;

/// A bot for Repartee: answers the messages that are addressed to an entity.
#[derive(Debug, Clone, Parser, Serialize)]
#[command(version, about)]
pub struct Settings {
    /// Address of the queue-service, http:// or https://.
    #[arg(long, env = "REPARTEE_QUEUE_URL", default_value = "http://127.0.0.1:50051")]
    pub queue_url: String,
    /// TLS on the way there.
    #[command(flatten)]
    #[serde(flatten)]
    pub queue_tls: QueueTlsSettings,
    /// File whose first line is the worker's token; it is followed, so that the token can be replaced while the worker runs.
    /// The token itself may be given in the variable REPARTEE_TOKEN, not on the command line, which everybody on the machine
    /// can read.
    #[arg(long, env = "REPARTEE_TOKEN_FILE", value_name = "PATH")]
    pub token_file: Option<PathBuf>,
    /// From REPARTEE_TOKEN.
    #[arg(skip = repartee_process::token_variable())]
    pub token: Option<Secret>,
    /// The bot that is played, 1 to 64 characters; may be given several times, separated by commas in the variable.
    #[arg(long = "entity", env = "REPARTEE_ENTITY", value_delimiter = ',')]
    pub entities: Vec<String>,
    /// Name of the worker in claims and statistics, 1 to 64 characters. Several processes may share one.
    #[arg(long, env = "REPARTEE_NAME", default_value = "bot-worker")]
    pub name: String,
    /// How many messages are answered at the same time, 1 to 1,000.
    #[arg(long, env = "REPARTEE_MAX_IN_FLIGHT", default_value_t = 4)]
    pub max_in_flight: u32,
    /// How to answer without an endpoint.
    #[arg(long, env = "REPARTEE_REPLY")]
    pub reply: Option<ReplyKind>,
    /// How to answer by an endpoint.
    #[cfg(feature = "openai")]
    #[command(flatten)]
    #[serde(flatten)]
    pub openai: OpenAiSettings,
    /// A TOML file with several bots: an entry [[bot]] each, with its entity and what differs from the flags. It is followed:
    /// a change is applied within a second, and wrong content changes nothing.
    #[cfg(feature = "openai")]
    #[arg(long, env = "REPARTEE_BOTS", value_name = "PATH")]
    pub bots: Option<PathBuf>,
    /// A file that keeps over restarts how many tokens each bot has used today, for --tokens-per-day; each process needs its
    /// own. Without it a restart begins with nothing used.
    #[cfg(feature = "openai")]
    #[arg(long, env = "REPARTEE_STATE_FILE", value_name = "PATH")]
    pub state_file: Option<PathBuf>,
    /// Address that answers GET /metrics, /livez and /readyz to everybody who reaches it; port 0 takes a free port.
    #[arg(long, env = "REPARTEE_METRICS_ADDR")]
    pub metrics_addr: Option<SocketAddr>,
    /// A file that is written once the service has accepted the bot.
    #[arg(long, env = "REPARTEE_READY_FILE")]
    pub ready_file: Option<PathBuf>,
    /// Print the effective settings as JSON, secrets masked, and exit.
    #[arg(long)]
    #[serde(skip)]
    pub print_config: bool,
}

/// How the bot answers by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyKind {
    /// With the text that it got.
    Echo,
}

impl repartee_process::Settings for Settings {
    fn print_config(&self) -> bool {
        self.print_config
    }

    fn probe(&self) -> Result<Probe, String> {
        let probe =
            Probe::metrics(self.metrics_addr).ok_or("healthcheck needs --metrics-addr, and asks there")?;
        Ok(probe.with_ready_file(self.ready_file.clone()))
    }

    #[cfg(feature = "openai")]
    fn check(&self) -> Result<(), String> {
        self.check_link()?;
        if self.bots.is_some() {
            let alone = self.entities.is_empty() && self.reply.is_none();
            let problem = "--bots names the entities and how they answer: --entity and --reply exclude it";
            alone.then_some(()).ok_or(problem)?;
            return crate::bots::of(self).map(drop);
        }
        self.check_entities()?;
        match (self.reply, &self.openai.openai_base_url) {
            (Some(ReplyKind::Echo), None) => Ok(()),
            (None, Some(_)) => {
                self.openai.check()?;
                crate::bots::of(self).map(drop)
            }
            (None, None) => {
                Err("either --reply or --openai-base-url is needed: how should the bot answer?".into())
            }
            (Some(_), Some(_)) => Err("--reply and --openai-base-url exclude each other".into()),
        }
    }

    #[cfg(not(feature = "openai"))]
    fn check(&self) -> Result<(), String> {
        self.check_entities()?;
        self.check_link()?;
        self.reply.map(drop).ok_or_else(|| "--reply is needed: how should the bot answer?".into())
    }
}

impl Settings {
    fn check_link(&self) -> Result<(), String> {
        QueueLink::new(&self.queue_url, &self.queue_tls).map(drop).map_err(|error| error.to_string())
    }

    fn check_entities(&self) -> Result<(), String> {
        if self.entities.is_empty() {
            Err("--entity is needed: which bot should be played?".into())
        } else {
            Ok(())
        }
    }
}
