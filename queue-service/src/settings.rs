//! The settings of queue-service.

mod cache_bytes;
mod entity_limits;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use repartee_process::{
    AnswerLimits, ByteLimit, DrainSettings, Patience, Probe, Rate, Size, Span, Switch, TlsSettings,
};
use serde::Serialize;

use crate::{
    disk::DataLimit,
    domain::{Backoff, BotName, EntityLimits, Limits, QueueRules, name_setting},
    journal::Durability,
    views::CacheLimits,
    writer::Room,
};

/// Default of `max_pending_per_entity`: far below the total, so that one bot that nobody serves takes no room from others.
const PENDING_PER_ENTITY: u32 = 10_000;

/// The longest wait after a failed attempt, in seconds: as long as a worker may ask for.
const LONGEST_RETRY_WAIT: u64 = 24 * 60 * 60;
/// The longest span of the other settings, in seconds: 10 years.
const LONGEST: u64 = 10 * 365 * 86_400;

/// Room for the largest answer, a list of 1 MiB, and some beside it.
const LEAST_ANSWER_BYTES: u64 = 8 * 1024 * 1024;

/// Default of `min_free_disk`: more than what is written in a second and what a start needs.
pub const MIN_FREE_DISK: Size = Size::mib(256);

pub use cache_bytes::CacheBytes;
pub(crate) use entity_limits::{parse as parse_entity_limits, read as read_entity_limits};

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
    /// TLS at the gRPC address.
    #[command(flatten)]
    #[serde(flatten)]
    pub tls: TlsSettings,
    /// Address that answers GET /metrics, /livez and /readyz to everybody who reaches it, over HTTP/1; port 0 takes a free port. Without it, and
    /// on the gRPC address, it takes an operator's token.
    #[arg(long, env = "REPARTEE_METRICS_ADDR")]
    pub metrics_addr: Option<SocketAddr>,
    /// How safe an acknowledged write is: from a power cut, or from the end of the process only.
    #[arg(long, env = "REPARTEE_DURABILITY", value_enum, default_value = "power")]
    pub durability: Durability,
    /// Free room on the disk of the data, as 256MiB, below which no new text is stored any more: posts and edits are refused with
    /// RESOURCE_EXHAUSTED. Below a quarter of it everything that stores is, and reading goes on; 0 stores until a write
    /// fails, which ends the process.
    #[arg(long, env = "REPARTEE_MIN_FREE_DISK", value_name = "SIZE", default_value_t = MIN_FREE_DISK)]
    pub min_free_disk: Size,
    /// How long finished messages are kept after their last change, as 90d or 12h; at least 1s. For ever where absent.
    /// The newest messages, those in the cache, are kept longer.
    #[arg(long, env = "REPARTEE_RETENTION", value_name = "SPAN", value_parser = Span::seconds(1..=Span::LONGEST.0.as_secs()))]
    pub retention: Option<Span>,
    /// Most bytes of messages and their history, as 50GiB: from 15/16 of it on the oldest finished messages are removed, as by
    /// --retention, however young they are, cached ones too; unfinished ones and the newest change stay. While that does not
    /// suffice, new texts are refused with RESOURCE_EXHAUSTED. At least 9/8 of --cache-bytes and --max-pending-bytes
    /// together. What is deleted or edited counts until its part of the log goes. Without end if absent.
    #[arg(long, env = "REPARTEE_MAX_DATA_BYTES", value_name = "SIZE")]
    pub max_data_bytes: Option<Size>,
    /// A jump of the clock ahead of more than this, as 60s or 5min, is not believed until it has lasted as long: until then
    /// new messages are stamped as if the clock had not jumped. After a start that finds the clock so far ahead of the last
    /// write, nothing is removed for its age for as long.
    #[arg(long, env = "REPARTEE_MAX_CLOCK_JUMP", default_value = "60s", value_name = "SPAN")]
    pub max_clock_jump: Span,
    /// Most messages in the cache.
    #[arg(long, env = "REPARTEE_CACHE_MESSAGES", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub cache_messages: u32,
    /// Most bytes in the cache, by estimate, as 100MiB; at least 1MiB. auto: a quarter of the memory that the process's control
    /// group (its container) may take; 100MiB if that has no limit.
    #[arg(long, env = "REPARTEE_CACHE_BYTES", value_name = "SIZE|auto", default_value_t)]
    pub cache_bytes: CacheBytes,
    /// List the rooms, the domains of the cached messages, for whoever may read: ListRooms, and GET /api/rooms of the gateways
    /// that do so too. Takes some 25 bytes more for each cached message, and 300 bytes and the domain for each room.
    #[arg(long, env = "REPARTEE_LIST_ROOMS", value_name = "true|false", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub list_rooms: bool,
    /// Most messages that may wait in all; more are refused with RESOURCE_EXHAUSTED.
    #[arg(long, env = "REPARTEE_MAX_PENDING", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_pending: u32,
    /// Most messages that may wait for one entity; more are refused with RESOURCE_EXHAUSTED. At most --max-pending; if
    /// absent 10,000, or --max-pending if that is less.
    #[arg(long, env = "REPARTEE_MAX_PENDING_PER_ENTITY", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_pending_per_entity: Option<u32>,
    /// Most bytes that unfinished messages may hold in memory, waiting or in work, by estimate, as 256MiB; at least 1MiB.
    /// More are refused with RESOURCE_EXHAUSTED. This comes on top of the cache.
    #[arg(long, env = "REPARTEE_MAX_PENDING_BYTES", value_name = "SIZE", default_value = "256MiB", value_parser = Size::at_least(1 << 20))]
    pub max_pending_bytes: Size,
    /// Most commands that may wait for the writer; more are refused with RESOURCE_EXHAUSTED.
    #[arg(long, env = "REPARTEE_MAX_COMMANDS", default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_commands: u32,
    /// Most bytes that these commands may hold, by estimate, as 32MiB, 64KiB to 2GiB; more are refused with RESOURCE_EXHAUSTED. A command that is
    /// larger is taken where no other waits.
    #[arg(long, env = "REPARTEE_MAX_COMMAND_BYTES", value_name = "SIZE", default_value = "32MiB", value_parser = Size::within(65_536..=1 << 31))]
    pub max_command_bytes: Size,
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
    /// How long a connection may be open without a call, and within which its peer has to take some of what is sent, as 30s;
    /// over HTTP/2 the latter ends a call.
    #[arg(long, env = "REPARTEE_IDLE_TIMEOUT", value_name = "SPAN", default_value = "30s", value_parser = Span::seconds(1..=3_600))]
    pub idle_timeout: Span,
    /// How long the head of a request may take over HTTP/1, from its first byte, as 20s or 500ms.
    #[arg(long, env = "REPARTEE_HEAD_TIMEOUT", default_value = "20s", value_name = "SPAN")]
    pub head_timeout: Span,
    /// The least bytes a second that a client has to take of an answer that waits for it, on average over the idle timeout;
    /// slower ones are cut off. 0: any at all is enough.
    #[arg(long, env = "REPARTEE_MIN_SEND_RATE", value_name = "SIZE", default_value = "256B")]
    pub min_send_rate: Size,
    /// Most bytes of answers on their way, as 256MiB; lists beyond it are refused with RESOURCE_EXHAUSTED.
    #[arg(long, env = "REPARTEE_MAX_ANSWER_BYTES", value_name = "SIZE", default_value = "256MiB", value_parser = Size::at_least(LEAST_ANSWER_BYTES))]
    pub max_answer_bytes: Size,
    /// Most open watches, and most streams of work and waiting claims; more are refused with RESOURCE_EXHAUSTED. An eighth as
    /// many more are for watches of the health and for reflection.
    #[arg(long, env = "REPARTEE_MAX_STREAMS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_streams: u32,
    /// Serve gRPC reflection, by which tools such as grpcurl learn the calls: true or false; if absent, only if --grpc-addr is
    /// a loopback address.
    #[arg(long, env = "REPARTEE_REFLECTION", value_name = "true|false", action = clap::ArgAction::Set)]
    pub reflection: Option<bool>,
    /// Most open streams of gateways, beside those of --max-streams, which they take once these are taken.
    #[arg(long, env = "REPARTEE_GATEWAY_STREAMS", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub gateway_streams: u32,
    /// Connections that are kept for gateways, beside --max-connections. Who comes when there is no other room takes one,
    /// and loses it after --head-timeout, or to the next who comes, unless it has called with a gateway's token by then. 0:
    /// none.
    #[arg(long, env = "REPARTEE_GATEWAY_CONNECTIONS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub gateway_connections: u32,
    /// How much waiting counts as one level of priority, as 60s; 0s makes priority strict.
    #[arg(long, env = "REPARTEE_AGING", value_name = "SPAN", default_value = "60s", value_parser = Span::seconds(0..=86_400))]
    pub aging: Span,
    /// By how much each further waiting message of the same author counts as younger than the one before, as 10s; 0s
    /// treats all messages alike.
    #[arg(long, env = "REPARTEE_FAIR_SHARE", value_name = "SPAN", default_value = "10s", value_parser = Span::seconds(0..=LONGEST))]
    pub fair_share: Span,
    /// By how much each further waiting message from the same address counts as younger, whoever it is by, as 2s: a visitor
    /// may be many authors. 0s lets authors alone count, and so does --fair-share 0s.
    #[arg(long, env = "REPARTEE_ADDRESS_SHARE", value_name = "SPAN", default_value = "2s", value_parser = Span::seconds(0..=LONGEST))]
    pub address_share: Span,
    /// Give up what nobody has taken this long after it was posted, or after its notBefore, as 7d; 0s lets it wait for
    /// ever. An operator's retry gives it as long again.
    #[arg(long, env = "REPARTEE_PENDING_EXPIRY", value_name = "SPAN", default_value = "7d", value_parser = Span::seconds(0..=LONGEST))]
    pub pending_expiry: Span,
    /// Hand out one message at a time per conversation.
    #[arg(long, env = "REPARTEE_ONE_PER_CONVERSATION", default_value_t = true, action = clap::ArgAction::Set)]
    pub one_per_conversation: bool,
    /// Failures after which a message is given up.
    #[arg(long, env = "REPARTEE_MAX_FAILURES", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub max_failures: u32,
    /// How long a message waits after its first failed attempt, as 5s, unless its worker names a time. Each further wait is
    /// eight times as long, up to --max-retry-wait; up to a fifth is added at random.
    #[arg(long, env = "REPARTEE_RETRY_WAIT", value_name = "SPAN", default_value = "5s")]
    pub retry_wait: Span,
    /// The longest such wait, as 5m, at most 24h.
    #[arg(long, env = "REPARTEE_MAX_RETRY_WAIT", value_name = "SPAN", default_value = "5m", value_parser = Span::up_to(LONGEST_RETRY_WAIT))]
    pub max_retry_wait: Span,
    /// Leases without a result after which a message is given up, if two different workers at least have lost them.
    #[arg(long, env = "REPARTEE_MAX_EXPIRIES", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub max_expiries: u32,
    /// Claims after which a message is given up, however they ended; releases count too. An operator's retry begins again.
    #[arg(long, env = "REPARTEE_MAX_ATTEMPTS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max_attempts: u32,
    /// Most messages that a worker may hold by ClaimMessage and ClaimNext together; more are refused with RESOURCE_EXHAUSTED.
    /// Streams say themselves how many they hold.
    #[arg(long, env = "REPARTEE_MAX_WORKER_CLAIMS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_worker_claims: u32,
    /// Most times that a message may be edited; operators may edit it without end.
    #[arg(long, env = "REPARTEE_MAX_EDITS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub max_edits: u32,
    /// How many entries the log of operators' acts keeps, the newest.
    #[arg(long, env = "REPARTEE_MAX_ACTS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_acts: u32,
    /// Most authors and addresses that operators may have blocked at once.
    #[arg(long, env = "REPARTEE_MAX_BLOCKS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub max_blocks: u32,
    /// File with the limits of entities, TOML: [default] and [entities.NAME] with per_minute, burst and in_flight, each 1
    /// to 1,000,000; none where absent. It is followed while it changes; content that is wrong is logged and left alone.
    #[arg(long, env = "REPARTEE_ENTITY_LIMITS", value_name = "PATH")]
    pub entity_limits: Option<PathBuf>,
    /// Time between the heartbeats of a stream, 1s to 5m.
    #[arg(long, env = "REPARTEE_HEARTBEAT", value_name = "SPAN", default_value = "15s", value_parser = Span::seconds(1..=300))]
    pub heartbeat: Span,
    /// When a stream ends by itself at the earliest, as 15m, at most 1d; at the latest after twice as long.
    #[arg(long, env = "REPARTEE_STREAM_AGE", value_name = "SPAN", default_value = "15m", value_parser = Span::seconds(1..=86_400))]
    pub stream_age: Span,
    /// After how long a stream that its client does not read is ended, as 30s, at most 10m.
    #[arg(long, env = "REPARTEE_STREAM_PATIENCE", value_name = "SPAN", default_value = "30s", value_parser = Span::seconds(1..=600))]
    pub stream_patience: Span,
    /// How a stop goes on.
    #[command(flatten)]
    #[serde(flatten)]
    pub drain: DrainSettings,
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
    /// Wrong tokens of one address after which each further one is refused as one too many, until it has waited; right ones
    /// are always accepted.
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
    /// Make the index of the data anew from its log, with the service stopped, and exit. A start does it by itself if the
    /// index is missing or damaged.
    #[arg(long, conflicts_with = "check_data")]
    #[serde(skip)]
    pub rebuild_index: bool,
    /// Take the data as they are, with the service stopped, and exit: an older copy that was put back, or a log whose end was
    /// lost. The log gets a new name, so that no reader goes on with what is not there any more.
    #[arg(long, conflicts_with_all = ["check_data", "rebuild_index"])]
    #[serde(skip)]
    pub adopt: bool,
    /// Print the effective settings and exit.
    #[arg(long)]
    #[serde(skip)]
    pub print_config: bool,
}

impl repartee_process::Settings for Settings {
    fn print_config(&self) -> bool {
        self.print_config
    }

    fn probe(&self) -> Result<Probe, String> {
        let own = || Probe::grpc(self.grpc_addr).without_tls(self.tls.tls_cert.is_some());
        let probe = Probe::metrics(self.metrics_addr).map_or_else(own, Ok)?;
        Ok(probe.with_ready_file(self.ready_file.clone()))
    }

    fn drain_delay(&self) -> Duration {
        self.drain.drain_delay.0
    }

    fn check(&self) -> Result<(), String> {
        if let Some(limit) = self.max_pending_per_entity.filter(|limit| *limit > self.max_pending) {
            return Err(format!(
                "--max-pending-per-entity must be at most --max-pending ({}), is {limit}",
                self.max_pending
            ));
        }
        if self.retry_wait > self.max_retry_wait {
            let (first, cap) = (self.retry_wait, self.max_retry_wait);
            return Err(format!("--retry-wait must be at most --max-retry-wait ({cap}), is {first}"));
        }
        self.check_max_data_bytes()?;
        self.read_entity_limits()?;
        self.tls.check()
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

    /// What may not be removed has to fit beside what is cached: else nothing new could come while a full queue waits.
    fn check_max_data_bytes(&self) -> Result<(), String> {
        let stays = self.cache_bytes.size().0.saturating_add(self.max_pending_bytes.0);
        let least = Size(stays.saturating_add(stays / 8));
        match self.max_data_bytes {
            Some(given) if given < least => Err(format!(
                "--max-data-bytes must be at least {least}, 9/8 of --cache-bytes and --max-pending-bytes together, is {given}"
            )),
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn data_limit(&self) -> DataLimit {
        DataLimit(self.max_data_bytes.map(|Size(most)| most))
    }

    /// The tokens file.
    pub fn tokens_path(&self) -> PathBuf {
        self.tokens_file.clone().unwrap_or_else(|| self.data_dir.join("tokens"))
    }

    pub(crate) fn rules(&self) -> QueueRules {
        QueueRules {
            aging_ms: self.aging.millis(),
            one_per_conversation: self.one_per_conversation,
            max_pending: self.max_pending as usize,
            max_pending_per_entity: self
                .max_pending_per_entity
                .unwrap_or(PENDING_PER_ENTITY.min(self.max_pending))
                as usize,
            max_pending_bytes: self.max_pending_bytes.in_memory(),
            max_failures: self.max_failures,
            max_expiries: self.max_expiries,
            max_attempts: self.max_attempts,
            max_worker_claims: self.max_worker_claims as usize,
            max_edits: self.max_edits,
            fair_share_ms: self.fair_share.millis(),
            address_share_ms: self.address_share.millis(),
            pending_expiry_ms: Some(self.pending_expiry.millis()).filter(|span| *span > 0),
            backoff: Backoff { first_ms: self.retry_wait.millis(), cap_ms: self.max_retry_wait.millis() },
            entity_limits: EntityLimits::default(),
            max_acts: self.max_acts,
            max_blocks: self.max_blocks,
        }
    }

    pub(crate) fn cache(&self) -> CacheLimits {
        CacheLimits {
            messages: self.cache_messages as usize,
            bytes: self.cache_bytes.size().in_memory(),
            list_rooms: self.list_rooms,
        }
    }

    pub(crate) fn patience(&self) -> Patience {
        Patience { idle: self.idle_timeout.0, head: self.head_timeout.0, least_rate: self.min_send_rate.0 }
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
        let bytes = u32::try_from(self.max_command_bytes.0).expect("the flag takes at most 2 GiB");
        Room { commands: self.max_commands, bytes }
    }
}
