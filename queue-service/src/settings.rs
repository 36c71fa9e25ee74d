//! The settings of queue-service.

mod entity_limits;
mod retention;
mod span;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::Parser;
use repartee_process::{AnswerLimits, ByteLimit, Patience, Rate, Span, Switch};
use serde::Serialize;

use crate::{
    domain::{BotName, EntityLimits, Limits, QueueRules, name_setting},
    journal::Durability,
    views::CacheLimits,
    writer::Room,
};

/// Default of `max_pending_per_entity`: far below the total, so that one bot that nobody serves takes no room from others.
const PENDING_PER_ENTITY: u32 = 10_000;

/// Room for the largest answer, a list of 1 MiB, and some beside it.
const LEAST_ANSWER_BYTES: ByteSize = ByteSize(8 * 1024 * 1024);

/// Default of `min_free_disk`, in bytes: more than what is written in a second and what a start needs.
pub const MIN_FREE_DISK: u64 = 256 * 1024 * 1024;

pub(crate) use entity_limits::{parse as parse_entity_limits, read as read_entity_limits};
pub use retention::Retention;
pub use span::SpanOrNone;

/// To whom conversations belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConversationOwner {
    /// To the visitor who began them.
    Visitor,
    /// To nobody.
    Off,
}

/// Owns the messages of Repartee: stores them, hands work to bots, shows every change to everybody.
#[derive(Debug, Clone, Parser, Serialize)]
#[command(name = "queue-service", version)]
pub struct Settings {
    /// Folder of the data; created where it does not exist.
    #[arg(long, env = "REPARTEE_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,
    /// Address of the gRPC face, which answers GET /metrics to operators too; port 0 takes a free port.
    #[arg(long, env = "REPARTEE_GRPC_ADDR", default_value = "127.0.0.1:50051")]
    pub grpc_addr: SocketAddr,
    /// Address that answers GET /metrics to everybody who reaches it, over HTTP/1; port 0 takes a free port. Without it, and
    /// on the gRPC address, it takes an operator's token.
    #[arg(long, env = "REPARTEE_METRICS_ADDR")]
    pub metrics_addr: Option<SocketAddr>,
    /// How safe an acknowledged write is: from a power cut, or from the end of the process only.
    #[arg(long, env = "REPARTEE_DURABILITY", value_enum, default_value = "power")]
    pub durability: Durability,
    /// Free bytes on the disk of the data below which no new text is stored any more: posts and edits are refused with
    /// RESOURCE_EXHAUSTED. Below a quarter of it everything that stores is, and reading goes on; 0 stores until a write
    /// fails, which ends the process.
    #[arg(long, env = "REPARTEE_MIN_FREE_DISK", default_value_t = MIN_FREE_DISK)]
    pub min_free_disk: u64,
    /// How long finished messages are kept after their last change, as 90d or 12h; at least 1s. For ever where absent.
    /// The newest messages, those in the cache, are kept longer.
    #[arg(long, env = "REPARTEE_RETENTION", value_name = "SPAN")]
    pub retention: Option<Retention>,
    /// A jump of the clock ahead of more than this, as 60s or 5min, is not believed until it has lasted as long: until then
    /// new messages are stamped as if the clock had not jumped. After a start that finds the clock so far ahead of the last
    /// write, nothing is removed for its age for as long.
    #[arg(long, env = "REPARTEE_MAX_CLOCK_JUMP", default_value = "60s", value_name = "SPAN")]
    pub max_clock_jump: Span,
    /// Most messages in the cache.
    #[arg(long, env = "REPARTEE_CACHE_MESSAGES", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub cache_messages: u32,
    /// Most bytes in the cache, by estimate.
    #[arg(long, env = "REPARTEE_CACHE_BYTES", default_value_t = 100 * 1024 * 1024, value_parser = clap::value_parser!(u64).range(1_048_576..))]
    pub cache_bytes: u64,
    /// Most messages that may wait in all; more are refused with RESOURCE_EXHAUSTED.
    #[arg(long, env = "REPARTEE_MAX_PENDING", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_pending: u32,
    /// Most messages that may wait for one entity; more are refused with RESOURCE_EXHAUSTED. At most --max-pending; if
    /// absent 10,000, or --max-pending if that is less.
    #[arg(long, env = "REPARTEE_MAX_PENDING_PER_ENTITY", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_pending_per_entity: Option<u32>,
    /// Most bytes that unfinished messages may hold in memory, waiting or in work, by estimate, as 256MiB; at least 1MiB.
    /// More are refused with RESOURCE_EXHAUSTED. This comes on top of the cache.
    #[arg(long, env = "REPARTEE_MAX_PENDING_BYTES", value_name = "SIZE", default_value = "256MiB")]
    pub max_pending_bytes: ByteSize,
    /// Most commands that may wait for the writer; more are refused with RESOURCE_EXHAUSTED.
    #[arg(long, env = "REPARTEE_MAX_COMMANDS", default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_commands: u32,
    /// Most bytes that these commands may hold, by estimate; more are refused with RESOURCE_EXHAUSTED. A command that is
    /// larger is taken where no other waits.
    #[arg(long, env = "REPARTEE_MAX_COMMAND_BYTES", default_value_t = 32 * 1024 * 1024, value_parser = clap::value_parser!(u32).range(65_536..))]
    pub max_command_bytes: u32,
    /// Most calls that are answered at the same time; more are refused with RESOURCE_EXHAUSTED. Open streams are no such
    /// calls, claims that wait are.
    #[arg(long, env = "REPARTEE_MAX_CALLS", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_calls: u32,
    /// Most calls and streams on one connection; a client waits with more, or has them refused by the protocol. A gateway
    /// has one connection for all of its calls.
    #[arg(long, env = "REPARTEE_MAX_CALLS_PER_CONNECTION", default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_calls_per_connection: u32,
    /// Most connections; for more the idlest is closed, or the newcomer if all are busy. Fewer where the system allows fewer
    /// open files.
    #[arg(long, env = "REPARTEE_MAX_CONNECTIONS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,
    /// Seconds that a connection may be open without a call, and within which its peer has to take some of what is sent;
    /// over HTTP/2 the latter ends a call.
    #[arg(long, env = "REPARTEE_IDLE_TIMEOUT", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub idle_timeout: u32,
    /// How long the head of a request may take over HTTP/1, from its first byte, as 20s or 500ms.
    #[arg(long, env = "REPARTEE_HEAD_TIMEOUT", default_value = "20s", value_name = "SPAN")]
    pub head_timeout: Span,
    /// The least bytes a second that a client has to take of an answer that waits for it, on average over the idle timeout;
    /// slower ones are cut off. 0: any at all is enough.
    #[arg(long, env = "REPARTEE_MIN_SEND_RATE", default_value = "256B", value_name = "SIZE")]
    pub min_send_rate: ByteSize,
    /// Most bytes of answers on their way, as 256MiB; lists beyond it are refused with RESOURCE_EXHAUSTED.
    #[arg(long, env = "REPARTEE_MAX_ANSWER_BYTES", default_value = "256MiB", value_name = "SIZE")]
    pub max_answer_bytes: ByteSize,
    /// Most open watches, and most streams of work and waiting claims; more are refused with RESOURCE_EXHAUSTED. An eighth as
    /// many more are for watches of the health and for reflection.
    #[arg(long, env = "REPARTEE_MAX_STREAMS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_streams: u32,
    /// Serve gRPC reflection, by which tools such as grpcurl learn the calls: true or false; if absent, only if --grpc-addr is
    /// a loopback address.
    #[arg(long, env = "REPARTEE_REFLECTION", value_name = "true|false", action = clap::ArgAction::Set)]
    pub reflection: Option<bool>,
    /// Most open watches of gateways, beside those of --max-streams, which they take once these are taken.
    #[arg(long, env = "REPARTEE_GATEWAY_STREAMS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub gateway_streams: u32,
    /// Connections that are kept for gateways, beside --max-connections. Who comes when there is no other room takes one,
    /// and loses it after --head-timeout, or to the next who comes, unless it has called with a gateway's token by then. 0:
    /// none.
    #[arg(long, env = "REPARTEE_GATEWAY_CONNECTIONS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub gateway_connections: u32,
    /// Seconds of waiting that count as one level of priority; 0 makes priority strict.
    #[arg(long, env = "REPARTEE_AGING", default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub aging: u32,
    /// By how much each further waiting message of the same author counts as younger than the one before, as 10s; 0s
    /// treats all messages alike.
    #[arg(long, env = "REPARTEE_FAIR_SHARE", value_name = "SPAN", default_value = "10s")]
    pub fair_share: SpanOrNone,
    /// Give up what nobody has taken this long after it was posted, or after its notBefore, as 7d; 0s lets it wait for
    /// ever. An operator's retry gives it as long again.
    #[arg(long, env = "REPARTEE_PENDING_EXPIRY", value_name = "SPAN", default_value = "7d")]
    pub pending_expiry: SpanOrNone,
    /// Hand out one message at a time per conversation.
    #[arg(long, env = "REPARTEE_ONE_PER_CONVERSATION", default_value_t = true, action = clap::ArgAction::Set)]
    pub one_per_conversation: bool,
    /// Failures after which a message is given up.
    #[arg(long, env = "REPARTEE_MAX_FAILURES", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub max_failures: u32,
    /// Leases without a result after which a message is given up.
    #[arg(long, env = "REPARTEE_MAX_EXPIRIES", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub max_expiries: u32,
    /// Claims after which a message is given up, however they ended; releases count too. An operator's retry begins again.
    #[arg(long, env = "REPARTEE_MAX_ATTEMPTS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_attempts: u32,
    /// Most times that a message may be edited; operators may edit it without end.
    #[arg(long, env = "REPARTEE_MAX_EDITS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub max_edits: u32,
    /// File with the limits of entities, TOML: [default] and [entities.NAME] with per_minute, burst and in_flight, each 1
    /// to 1,000,000; none where absent. It is followed while it changes; content that is wrong is logged and left alone.
    #[arg(long, env = "REPARTEE_ENTITY_LIMITS", value_name = "PATH")]
    pub entity_limits: Option<PathBuf>,
    /// Seconds between the heartbeats of a stream.
    #[arg(long, env = "REPARTEE_HEARTBEAT", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=300))]
    pub heartbeat: u32,
    /// Seconds after which a stream ends by itself at the earliest; at the latest after twice as long.
    #[arg(long, env = "REPARTEE_STREAM_AGE", default_value_t = 900, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub stream_age: u32,
    /// Seconds after which a stream that its client does not read is ended.
    #[arg(long, env = "REPARTEE_STREAM_PATIENCE", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub stream_patience: u32,
    /// File with the hashes of the tokens of workers, gateways and operators, followed while it changes; `tokens` in the
    /// data directory if absent. `queue-service token new` adds to it.
    #[arg(long, env = "REPARTEE_TOKENS_FILE", value_name = "PATH")]
    pub tokens_file: Option<PathBuf>,
    /// Whose a conversation is: the visitor's who began it, who alone writes into it and reads it by its names; or nobody's,
    /// and whoever types the same names and colors is in it.
    #[arg(long, env = "REPARTEE_CONVERSATION_OWNER", value_enum, default_value = "visitor")]
    pub conversation_owner: ConversationOwner,
    /// Limits by client; `off` counts no wrong tokens, for load tests and closed networks.
    #[arg(long, env = "REPARTEE_CLIENT_LIMITS", value_enum, default_value = "on")]
    pub client_limits: Switch,
    /// Wrong tokens of one address after which no other token of it is looked at, until it has waited.
    #[arg(long, env = "REPARTEE_CLIENT_WRONG_TOKENS", default_value = "20/1m", value_name = "COUNT/SPAN")]
    pub client_wrong_tokens: Rate,
    /// Highest priority that a visitor's message gets, and its priority if it names none: 0 to 99.
    #[arg(long, env = "REPARTEE_VISITOR_PRIORITY", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=99))]
    pub visitor_priority: u32,
    /// A name that no visitor may post under, nor under one that looks like it; repeatable, in the variable with commas
    /// between them. The entities that workers name when they ask for work, and those of --bot-name, are reserved by
    /// themselves, and stay so over restarts.
    #[arg(long = "reserved-name", env = "REPARTEE_RESERVED_NAMES", value_name = "NAME", value_delimiter = ',', value_parser = name_setting)]
    pub reserved_names: Vec<String>,
    /// A name that visitors may ask an entity to answer under, beside its own in any spelling (FearAndLoathing for
    /// fear-and-loathing); reserved. Repeatable, in the variable with commas between them.
    #[arg(long = "bot-name", env = "REPARTEE_BOT_NAMES", value_name = "ENTITY=NAME", value_delimiter = ',')]
    pub bot_names: Vec<BotName>,
    /// Most names that are reserved; a name beyond that is not, and the log says so.
    #[arg(long, env = "REPARTEE_MAX_RESERVED_NAMES", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_reserved_names: u32,
    /// What clients may send.
    #[command(flatten)]
    pub limits: Limits,
    /// Write the bound address there, as JSON, once the service serves.
    #[arg(long, env = "REPARTEE_READY_FILE")]
    pub ready_file: Option<PathBuf>,
    /// Read all of the data, which no service may have open, say whether it is whole, and exit: 0 where it is.
    #[arg(long = "check")]
    #[serde(skip)]
    pub check_data: bool,
    /// Print the effective settings and exit.
    #[arg(long)]
    #[serde(skip)]
    pub print_config: bool,
}

impl repartee_process::Settings for Settings {
    fn print_config(&self) -> bool {
        self.print_config
    }

    fn check(&self) -> Result<(), String> {
        if let Some(limit) = self.max_pending_per_entity.filter(|limit| *limit > self.max_pending) {
            return Err(format!(
                "--max-pending-per-entity must be at most --max-pending ({}), is {limit}",
                self.max_pending
            ));
        }
        if self.max_answer_bytes < LEAST_ANSWER_BYTES {
            return Err(format!(
                "--max-answer-bytes must be at least {LEAST_ANSWER_BYTES}, is {}",
                self.max_answer_bytes
            ));
        }
        if self.max_pending_bytes < ByteSize::mib(1) {
            let given = self.max_pending_bytes;
            return Err(format!("--max-pending-bytes must be at least 1MiB, is {given}"));
        }
        self.read_entity_limits()?;
        Ok(())
    }
}

impl Settings {
    /// The limits of entities, and the file's text that they come from.
    ///
    /// # Errors
    /// Names the file, the line and what is wrong.
    pub(crate) fn read_entity_limits(&self) -> Result<Option<(String, EntityLimits)>, String> {
        let Some(path) = &self.entity_limits else { return Ok(None) };
        let read = entity_limits::read(path).and_then(|text| Ok((entity_limits::parse(&text)?, text)));
        let (limits, text) =
            read.map_err(|error| format!("--entity-limits: the file {}: {error}", path.display()))?;
        Ok(Some((text, limits)))
    }

    /// The tokens file.
    pub fn tokens_path(&self) -> PathBuf {
        self.tokens_file.clone().unwrap_or_else(|| self.data_dir.join("tokens"))
    }

    pub(crate) fn rules(&self) -> QueueRules {
        QueueRules {
            aging_ms: i64::from(self.aging) * 1_000,
            one_per_conversation: self.one_per_conversation,
            max_pending: self.max_pending as usize,
            max_pending_per_entity: self
                .max_pending_per_entity
                .unwrap_or(PENDING_PER_ENTITY.min(self.max_pending))
                as usize,
            max_pending_bytes: usize::try_from(self.max_pending_bytes.as_u64()).unwrap_or(usize::MAX),
            max_failures: self.max_failures,
            max_expiries: self.max_expiries,
            max_attempts: self.max_attempts,
            max_edits: self.max_edits,
            fair_share_ms: self.fair_share.millis(),
            pending_expiry_ms: Some(self.pending_expiry.millis()).filter(|span| *span > 0),
            entity_limits: EntityLimits::default(),
        }
    }

    pub(crate) fn cache(&self) -> CacheLimits {
        let bytes = usize::try_from(self.cache_bytes).unwrap_or(usize::MAX);
        CacheLimits { messages: self.cache_messages as usize, bytes }
    }

    pub(crate) fn patience(&self) -> Patience {
        Patience {
            idle: Self::seconds(self.idle_timeout),
            head: self.head_timeout.0,
            least_rate: self.min_send_rate.0,
        }
    }

    /// A gateway asks over one connection for everybody: that has no limit of its own.
    pub(crate) fn answers(&self) -> AnswerLimits {
        AnswerLimits {
            total: ByteLimit::new("grpc_answer_bytes", self.max_answer_bytes.0),
            per_connection: u64::MAX,
            per_connection_name: "grpc_answer_bytes_of_connection",
        }
    }

    pub(crate) fn room(&self) -> Room {
        Room { commands: self.max_commands, bytes: self.max_command_bytes }
    }

    pub(crate) fn seconds(seconds: u32) -> Duration {
        Duration::from_secs(u64::from(seconds))
    }
}
