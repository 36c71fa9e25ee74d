//! What one client may take, as settings. The defaults are far more than a family or a class of thirty behind one address
//! needs, and a small part of what the server has.

use std::num::NonZeroU32;

use clap::Args;
use repartee_process::{Rate, Size, Switch};
use serde::Serialize;

use crate::settings::LEAST_ANSWER_BYTES;

/// Limits of clients count in 32 bits.
const LARGEST: u64 = u32::MAX as u64;

/// What each client may take: an IPv4 address, or the /64 of an IPv6 address. More is refused with 429, and the rest is
/// left to others.
#[derive(Debug, Clone, Args, Serialize)]
pub struct ClientSettings {
    /// Limits by client; `off` switches off all of them, for load tests and closed networks.
    #[arg(long, env = "REPARTEE_CLIENT_LIMITS", value_enum, default_value = "on")]
    pub client_limits: Switch,
    /// Most connections of one client; more are closed at once. Trusted proxies may have more: their clients are counted
    /// by request.
    #[arg(long, env = "REPARTEE_CLIENT_CONNECTIONS", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub client_connections: u32,
    /// Most requests of one client at the same time, polls that wait among them.
    #[arg(long, env = "REPARTEE_CLIENT_REQUESTS", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub client_requests: u32,
    /// Most requests of one client at the same time that need the queue-service.
    #[arg(long, env = "REPARTEE_CLIENT_UPSTREAM_CALLS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub client_upstream_calls: u32,
    /// How often one client may ask for anything. More is not refused: its connections are read more slowly, in turn. Whoever
    /// shows the token of a role is not slowed down, nor are trusted proxies.
    #[arg(long, env = "REPARTEE_CLIENT_PACE", default_value = "1000/1s", value_name = "COUNT/SPAN")]
    pub client_pace: Rate,
    /// Most request bodies of one client on their way in at the same time.
    #[arg(long, env = "REPARTEE_CLIENT_BODIES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub client_bodies: u32,
    /// Most requests of one client at the same time that wait for a change.
    #[arg(long, env = "REPARTEE_CLIENT_LONG_POLLS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub client_long_polls: u32,
    /// Most streams of events to one client.
    #[arg(long, env = "REPARTEE_CLIENT_SSE_CLIENTS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub client_sse_clients: u32,
    /// Most bytes of answers on their way to one client, over however many connections, as 64MiB; one answer is always sent.
    #[arg(long, env = "REPARTEE_CLIENT_ANSWER_BYTES", default_value = "64MiB", value_parser = Size::within(LEAST_ANSWER_BYTES..=LARGEST), value_name = "SIZE")]
    pub client_answer_bytes: Size,
    /// Most bytes of answers above 16 KiB to one client in a minute, files as they are sent, all else before it is compressed;
    /// all of them at once, where it has asked for none for that long.
    #[arg(long, env = "REPARTEE_CLIENT_ANSWER_BYTES_PER_MINUTE", default_value = "128MiB", value_parser = Size::within(LEAST_ANSWER_BYTES..=LARGEST), value_name = "SIZE")]
    pub client_answer_bytes_per_minute: Size,
    /// How often one client may post.
    #[arg(long, env = "REPARTEE_CLIENT_POSTS", default_value = "300/1m", value_name = "COUNT/SPAN")]
    pub client_posts: Rate,
    /// Posts of one client at once, where it has not posted for a while.
    #[arg(long, env = "REPARTEE_CLIENT_POST_BURST", default_value = "60", value_name = "COUNT")]
    pub client_post_burst: NonZeroU32,
    /// Conversations with bots that one client may begin; all of them at once, where it has not begun any for that long.
    #[arg(long, env = "REPARTEE_CLIENT_CONVERSATIONS", default_value = "60/10m", value_name = "COUNT/SPAN")]
    pub client_conversations: Rate,
    /// Bytes that one client may have stored in a day, names and 256 for each message included; all of them at once, where
    /// it has stored nothing for a day.
    #[arg(long, env = "REPARTEE_CLIENT_BYTES_PER_DAY", default_value = "64MiB", value_parser = Size::within(65_536..=LARGEST), value_name = "SIZE")]
    pub client_bytes_per_day: Size,
    /// How often one client may edit and delete; all of them at once, where it has not for that long.
    #[arg(long, env = "REPARTEE_CLIENT_EDITS", default_value = "60/1m", value_name = "COUNT/SPAN")]
    pub client_edits: Rate,
    /// Wrong tokens of one client after which each further one is refused as one too many, until it has waited; right ones
    /// are always accepted.
    #[arg(long, env = "REPARTEE_CLIENT_WRONG_TOKENS", default_value = "20/1m", value_name = "COUNT/SPAN")]
    pub client_wrong_tokens: Rate,
}
