//! The statistics of the queue-service.

use std::collections::BTreeMap;

use repartee_proto::v1::{self, ChangeKind};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::query::number;

/// Most rows of a page, as the queue-service has it.
const MOST: u32 = 500;

/// Which page of the entities, and of the sessions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatsQuery {
    /// Most entities, and most sessions: 1 to 500; 100 where absent. There are fewer where their names are very long.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// Only entities behind this name: `nextEntitiesAfter` of an earlier answer.
    #[serde(default)]
    #[param(required = false)]
    entities_after: String,
    /// Only sessions behind this position: `nextSessionsAfter` of an earlier answer.
    #[serde(default)]
    #[param(required = false)]
    sessions_after: String,
}

impl From<StatsQuery> for v1::GetStatsRequest {
    fn from(query: StatsQuery) -> Self {
        let StatsQuery { limit, entities_after, sessions_after } = query;
        Self { only_in_memory: false, page_size: limit, entities_after, sessions_after }
    }
}

fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    number(deserializer, 1..=MOST, "a whole number from 1 to 500").map(Some)
}

/// Depth and age of the queue, its sessions, the fill of the cache, and what each call cost in storage.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    /// Names the log.
    epoch: String,
    /// Number of the newest change.
    tail_seq: u64,
    /// Number of the last change that retention has removed; 0 where the log is whole.
    begins_after_seq: u64,
    /// Timestamp up to which retention has removed messages from the feed, Unix milliseconds; 0 where it is whole.
    begins_after_timestamp: i64,
    /// Messages that wait, delayed ones included.
    pending: u64,
    /// Of these, messages that wait for their retry.
    delayed: u64,
    /// Messages under a lease.
    processing: u64,
    /// Messages that were given up or cancelled and not retried since.
    failed: u64,
    /// Age of the oldest message that waits, milliseconds; null where none waits.
    #[schema(required)]
    oldest_age_ms: Option<i64>,
    /// The queue by entity, in the order of their names: one page.
    entities: Vec<EntityStats>,
    /// How many entities there are.
    entities_total: u64,
    /// `entitiesAfter` of the next page; null where this is the last one.
    #[schema(required)]
    next_entities_after: Option<String>,
    /// How many changes of each kind were committed since the process started.
    changes_since_start: BTreeMap<&'static str, u64>,
    /// What each call cost in storage since the process started.
    calls: Vec<CallStats>,
    /// The sessions of workers that stream or hold leases; then what workers hold without a session, one entry a worker:
    /// one page.
    sessions: Vec<SessionStats>,
    /// How many there are.
    sessions_total: u64,
    /// `sessionsAfter` of the next page; null where this is the last one.
    #[schema(required)]
    next_sessions_after: Option<String>,
    /// The fill of the cache.
    cache: CacheStats,
    /// Open watches of the feed.
    watchers: u64,
    /// How full every bound of the queue-service is.
    bounds: Vec<BoundStats>,
    /// Workers that are given less than they ask for, because their leases end in a row without a result: by name, at most
    /// 100.
    held_back: Vec<HeldBackWorker>,
    /// How many such workers there are.
    held_back_total: u64,
}

/// A worker whose leases end without a result: after three in a row it gets one message at a time, and after one more it
/// pauses. Any result ends that.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct HeldBackWorker {
    /// Name of the worker.
    worker_id: String,
    /// Leases that it has lost in a row.
    lost_leases: u32,
    /// Until when it gets nothing, Unix milliseconds; null while it gets one message at a time.
    #[schema(required)]
    paused_until: Option<i64>,
}

/// Something of which so much may be held at once.
#[derive(Debug, Serialize, ToSchema)]
struct BoundStats {
    /// Its name, as in the metrics.
    bound: String,
    /// How much is held.
    held: u64,
    /// How much may be held.
    limit: u64,
}

/// The queue of one entity.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EntityStats {
    /// The entity.
    entity: String,
    /// Messages that wait, delayed ones included.
    pending: u64,
    /// Messages under a lease.
    processing: u64,
    /// Age of the oldest message that waits, milliseconds; null where none waits.
    #[schema(required)]
    oldest_age_ms: Option<i64>,
    /// True if an operator has paused it.
    paused: bool,
}

/// What one kind of call cost in storage.
#[derive(Debug, Serialize, ToSchema)]
struct CallStats {
    /// Name of the call, or of the service's own work.
    call: String,
    /// How often it was served.
    calls: u64,
    /// Its point reads and range reads.
    reads: u64,
    /// Its rows written or removed.
    writes: u64,
}

/// One session of a worker, or all that a worker holds that claimed by id or with claim-next, without a session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionStats {
    /// Name of the worker.
    worker_id: String,
    /// The session; empty for claims without one.
    session_id: String,
    /// Its open streams; 0 for claims without a session.
    streams: u32,
    /// Leases that it holds.
    leases: u32,
    /// When it renewed last, Unix milliseconds; null where it never did while it held something.
    #[schema(required)]
    last_renew_at: Option<i64>,
    /// When it was given a message last, Unix milliseconds; for what it held when the queue-service started, that time.
    /// Null where it was given none while it was here.
    #[schema(required)]
    last_claim_at: Option<i64>,
    /// Why it takes nothing for now, in the worker's words; null if it takes work.
    #[schema(required)]
    holds_back: Option<String>,
}

/// The fill of the cache.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CacheStats {
    /// Messages in it.
    messages: u64,
    /// Changes in it.
    changes: u64,
    /// Bytes that they take.
    bytes: u64,
    /// Most messages that it may hold.
    max_messages: u64,
    /// Most bytes that it may hold.
    max_bytes: u64,
}

impl From<v1::GetStatsResponse> for Stats {
    fn from(stats: v1::GetStatsResponse) -> Self {
        let changes = stats.changes_since_start.iter().map(|change| (name(change.kind()), change.count));
        Self {
            changes_since_start: changes.collect(),
            epoch: stats.epoch,
            tail_seq: stats.tail_seq,
            begins_after_seq: stats.begins_after_seq,
            begins_after_timestamp: stats.begins_after_timestamp,
            pending: stats.pending,
            delayed: stats.delayed,
            processing: stats.processing,
            failed: stats.failed,
            oldest_age_ms: stats.oldest_age.map(in_ms),
            entities_total: stats.entities_total,
            next_entities_after: Some(stats.next_entities_after).filter(|next| !next.is_empty()),
            sessions_total: stats.sessions_total,
            next_sessions_after: Some(stats.next_sessions_after).filter(|next| !next.is_empty()),
            entities: stats.entities.into_iter().map(EntityStats::from).collect(),
            calls: stats.calls.into_iter().map(CallStats::from).collect(),
            sessions: stats.sessions.into_iter().map(SessionStats::from).collect(),
            cache: stats.cache.map(CacheStats::from).unwrap_or_default(),
            watchers: stats.watchers,
            bounds: stats.bounds.into_iter().map(BoundStats::from).collect(),
            held_back: stats.held_back.into_iter().map(HeldBackWorker::from).collect(),
            held_back_total: stats.held_back_total,
        }
    }
}

impl From<v1::EntityStats> for EntityStats {
    fn from(stats: v1::EntityStats) -> Self {
        Self {
            entity: stats.entity,
            pending: stats.pending,
            processing: stats.processing,
            oldest_age_ms: stats.oldest_age.map(in_ms),
            paused: stats.paused,
        }
    }
}

impl From<v1::CallStats> for CallStats {
    fn from(stats: v1::CallStats) -> Self {
        Self { call: stats.call, calls: stats.calls, reads: stats.reads, writes: stats.writes }
    }
}

impl From<v1::SessionStats> for SessionStats {
    fn from(stats: v1::SessionStats) -> Self {
        Self {
            worker_id: stats.worker_id,
            session_id: stats.session_id,
            streams: stats.streams,
            leases: stats.leases,
            last_renew_at: stats.last_renew_at,
            holds_back: stats.holds_back,
            last_claim_at: stats.last_claim_at,
        }
    }
}

impl From<v1::HeldBackWorker> for HeldBackWorker {
    fn from(worker: v1::HeldBackWorker) -> Self {
        Self {
            worker_id: worker.worker_id,
            lost_leases: worker.lost_leases,
            paused_until: worker.paused_until,
        }
    }
}

impl From<v1::BoundStats> for BoundStats {
    fn from(stats: v1::BoundStats) -> Self {
        Self { bound: stats.bound, held: stats.held, limit: stats.limit }
    }
}

impl From<v1::CacheStats> for CacheStats {
    fn from(stats: v1::CacheStats) -> Self {
        Self {
            messages: stats.messages,
            changes: stats.changes,
            bytes: stats.bytes,
            max_messages: stats.max_messages,
            max_bytes: stats.max_bytes,
        }
    }
}

fn in_ms(age: prost_types::Duration) -> i64 {
    age.seconds.saturating_mul(1_000) + i64::from(age.nanos) / 1_000_000
}

/// The word of a change, as DESIGN uses it.
fn name(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Unspecified => "unknown",
        ChangeKind::Posted => "posted",
        ChangeKind::Claimed => "claimed",
        ChangeKind::Released => "released",
        ChangeKind::Expired => "expired",
        ChangeKind::RetryScheduled => "retryScheduled",
        ChangeKind::Failed => "failed",
        ChangeKind::Completed => "completed",
        ChangeKind::Cancelled => "cancelled",
        ChangeKind::Retried => "retried",
        ChangeKind::Edited => "edited",
        ChangeKind::Deleted => "deleted",
        ChangeKind::Hidden => "hidden",
        ChangeKind::Restored => "restored",
    }
}
