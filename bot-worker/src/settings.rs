//! The settings of the ready bot. Each doc comment is the help of its flag.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use repartee_process::Secret;
use serde::Serialize;

#[cfg(feature = "openai")]
use crate::OpenAiSettings;

/// A bot for Repartee: answers the messages that are addressed to an entity.
#[derive(Debug, Clone, Parser, Serialize)]
#[command(version, about)]
pub struct Settings {
    /// Address of the queue-service.
    #[arg(long, env = "REPARTEE_QUEUE_URL", default_value = "http://127.0.0.1:50051")]
    pub queue_url: String,
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

    #[cfg(feature = "openai")]
    fn check(&self) -> Result<(), String> {
        self.check_entities()?;
        match (self.reply, &self.openai.openai_base_url) {
            (Some(ReplyKind::Echo), None) => Ok(()),
            (None, Some(_)) => self.openai.check(),
            (None, None) => {
                Err("either --reply or --openai-base-url is needed: how should the bot answer?".into())
            }
            (Some(_), Some(_)) => Err("--reply and --openai-base-url exclude each other".into()),
        }
    }

    #[cfg(not(feature = "openai"))]
    fn check(&self) -> Result<(), String> {
        self.check_entities()?;
        self.reply.map(drop).ok_or_else(|| "--reply is needed: how should the bot answer?".into())
    }
}

impl Settings {
    fn check_entities(&self) -> Result<(), String> {
        if self.entities.is_empty() {
            Err("--entity is needed: which bot should be played?".into())
        } else {
            Ok(())
        }
    }
}
