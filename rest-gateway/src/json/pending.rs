//! The lists of the queue: what waits, and what was given up.

use std::convert::Infallible;

use axum::response::{IntoResponseParts, ResponseParts};
use repartee_proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use super::message::Message;

/// The work that waits.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PendingList {
    /// In the order in which it is handed out.
    pending: Vec<Message>,
    /// Always empty: platform posts are no work. Kept for workers of the first design.
    platform_only: Vec<Message>,
    /// True where more wait: a list ends at 1 MiB too.
    more: bool,
    /// What this call cost in storage.
    kv_stats: KvStats,
}

/// The failed messages.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailedList {
    /// Newest first.
    failed: Vec<FailedMessage>,
    /// True where older ones are failed: a list ends at 1 MiB too. Go on with `beforeId`.
    more: bool,
    /// What this call cost in storage.
    kv_stats: KvStats,
}

/// The hidden messages.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HiddenList {
    /// Those that were posted last first.
    hidden: Vec<Message>,
    /// True where more are hidden: a list ends at 1 MiB too. Go on with `beforeId`.
    more: bool,
    /// What this call cost in storage.
    kv_stats: KvStats,
}

/// A message that was given up.
#[derive(Debug, Serialize, ToSchema)]
struct FailedMessage {
    /// The message.
    #[schema(required)]
    message: Option<Message>,
    /// The last errors, oldest first, at most 5.
    errors: Vec<String>,
    /// How many attempts failed.
    failures: u32,
    /// How many leases ended without a result.
    expiries: u32,
    /// True where it was cancelled, before or after it was given up.
    cancelled: bool,
}

/// How often the storage was asked, counted by the storage layer itself.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct KvStats {
    /// Point reads and range reads.
    reads: u64,
    /// Rows written or removed.
    writes: u64,
}

/// The header `X-Storage-Reads`: what a call cost, in point reads and range reads.
pub(crate) struct StorageReads(u64);

impl StorageReads {
    /// How many.
    pub(crate) fn count(&self) -> u64 {
        self.0
    }
}

impl From<Option<v1::KvStats>> for StorageReads {
    fn from(stats: Option<v1::KvStats>) -> Self {
        Self(KvStats::from(stats).reads)
    }
}

impl IntoResponseParts for StorageReads {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        parts.headers_mut().insert("x-storage-reads", self.0.into());
        Ok(parts)
    }
}

impl From<v1::ListPendingResponse> for PendingList {
    fn from(list: v1::ListPendingResponse) -> Self {
        Self {
            pending: list.messages.into_iter().map(Message::from).collect(),
            platform_only: Vec::new(),
            more: list.more,
            kv_stats: list.kv_stats.into(),
        }
    }
}

impl From<v1::ListFailedResponse> for FailedList {
    fn from(list: v1::ListFailedResponse) -> Self {
        Self {
            failed: list.failed.into_iter().map(FailedMessage::from).collect(),
            more: list.more,
            kv_stats: list.kv_stats.into(),
        }
    }
}

impl From<v1::ListHiddenResponse> for HiddenList {
    fn from(list: v1::ListHiddenResponse) -> Self {
        Self {
            hidden: list.messages.into_iter().map(Message::from).collect(),
            more: list.more,
            kv_stats: list.kv_stats.into(),
        }
    }
}

impl From<v1::FailedMessage> for FailedMessage {
    fn from(failed: v1::FailedMessage) -> Self {
        Self {
            message: failed.message.map(Message::from),
            errors: failed.errors,
            failures: failed.failures,
            expiries: failed.expiries,
            cancelled: failed.cancelled,
        }
    }
}

impl From<Option<v1::KvStats>> for KvStats {
    fn from(stats: Option<v1::KvStats>) -> Self {
        stats.map_or_else(Self::default, |stats| Self { reads: stats.reads, writes: stats.writes })
    }
}
