//! The ways in which one address has been found to stop others, and what each may take of a service's memory.

use serde::{Deserialize, Serialize};

const MIB: u64 = 1024 * 1024;

/// Connections that one client may have: the default of `--client-connections`.
const CONNECTIONS: u64 = 512;
/// What one connection may hold at most: a head over HTTP/1.
const CONNECTION: u64 = 64 * 1024;
/// What the allocator keeps, and small things.
const SLACK: u64 = 16 * MIB;
/// What the queue-service takes with a full cache.
const QUEUE: u64 = 128 * MIB;
/// What one client may have stored in a day: the default of `--client-bytes-per-day`.
const STORED: u64 = 64 * MIB;

/// A way to attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// 800 connections that send the head of a request, a byte a second.
    SlowHeads,
    /// 33 HTTP/2 connections with 128 posts each, and 200 over HTTP/1, whose bodies never end: a byte a second.
    SlowBodies,
    /// 30 HTTP/2 connections that ask for 30 large pages each with windows of 0 and answer pings, and 40 HTTP/1
    /// connections that ask for 30 each and take 100 bytes a second.
    ClosedWindows,
    /// 16 HTTP/2 connections that reset what they ask for, 100 at a time, and 60 clients that post and cut the connection.
    Resets,
    /// 800 connections, half of them over HTTP/2, which answer pings and ask for nothing.
    IdleConnections,
    /// Posts as fast as 64 connections can.
    Posts,
    /// Edits of one message, 16 KB each, as fast as 64 connections can.
    Edits,
    /// Posts to, and polls of, domains that nobody has named before, as fast as 64 connections can.
    Domains,
    /// 600 streams of events, half of which are not read.
    EventStreams,
    /// 600 polls that wait.
    LongPolls,
    /// Questions of 16 KB to bots that are not there and to the one that is, as fast as 64 connections can.
    WaitingTexts,
    /// Requests with 60 KB of addresses, cookies and tokens in their heads, as fast as 32 clients can.
    LargeHeads,
    /// Pages of 1 MiB and the largest file there is, compressed and taken as fast as 64 connections can.
    LargeAnswers,
    /// Tokens that are guessed, as fast as 64 connections can.
    WrongTokens,
}

impl Kind {
    /// In words, for results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SlowHeads => "slow heads",
            Self::SlowBodies => "slow bodies",
            Self::ClosedWindows => "windows of 0",
            Self::Resets => "resets",
            Self::IdleConnections => "idle connections",
            Self::Posts => "flood of posts",
            Self::Edits => "flood of edits",
            Self::Domains => "flood of domains",
            Self::EventStreams => "streams of events",
            Self::LongPolls => "long-polls",
            Self::WaitingTexts => "waiting texts of 16 KB",
            Self::LargeHeads => "heads of 60 KB",
            Self::LargeAnswers => "large answers",
            Self::WrongTokens => "guessed tokens",
        }
    }

    /// The most that the gateway may have resident meanwhile, in bytes, if it had `quiet` before: the stated bounds of
    /// what one client may hold.
    pub(crate) fn gateway_bound(self, quiet: u64) -> u64 {
        let held = match self {
            // `--max-answer-bytes`: more than 32 connections of one client reach it.
            Self::ClosedWindows => 256 * MIB,
            // `--client-answer-bytes`.
            Self::LargeAnswers => 64 * MIB,
            // `--client-bodies` × `--max-body-bytes`.
            Self::SlowBodies => 64 * 64 * 1024,
            // What is stored comes into the tail: `--tail-bytes`.
            Self::Posts | Self::Edits | Self::Domains | Self::WaitingTexts => 32 * MIB,
            _ => 0,
        };
        quiet + CONNECTIONS * CONNECTION + held + SLACK
    }

    /// The most that the queue-service may have resident meanwhile, in bytes.
    pub(crate) fn queue_bound(self) -> u64 {
        let held = if self == Self::WaitingTexts { STORED } else { 0 };
        QUEUE + held
    }

    /// One in how many hands is used in the short form: what is to be held has to be more than one client's share, of the
    /// rest a few do.
    pub(crate) fn short_one_in(self) -> u32 {
        match self {
            Self::SlowHeads | Self::IdleConnections => 1,
            Self::EventStreams | Self::LongPolls => 2,
            _ => 4,
        }
    }

    /// Its name on a command line.
    pub(crate) fn flag(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self);
        value.expect("no way is hidden").get_name().to_owned()
    }
}
