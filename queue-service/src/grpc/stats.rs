//! GetStats: the queue, its sessions, the cache, and the cost of the calls.

use repartee_process::Fill;
use repartee_proto::v1;
use tonic::Status;

use super::{QueueGrpc, answer, status};
use crate::{
    domain::{Millis, SessionView},
    journal::CallCost,
    views::{CacheFill, EntityDepth},
    writer::{Clock, SystemClock},
};

impl QueueGrpc {
    pub(super) async fn stats(&self, request: v1::GetStatsRequest) -> Result<v1::GetStatsResponse, Status> {
        let now = SystemClock.now();
        let sessions = self.queue.sessions().await.map_err(status::command)?;
        let failed = match request.only_in_memory {
            true => 0,
            false => self.reads.count_failed().await.map_err(status::storage)?,
        };
        let (views, depths) = (&self.reads.views, self.reads.views.depths(now));
        let sum = |count: fn(&EntityDepth) -> u64| depths.iter().map(count).sum();
        let count = |(kind, count)| v1::ChangeCount { kind: answer::kind(kind).into(), count };
        let begins = self.reads.store.begins();
        Ok(v1::GetStatsResponse {
            begins_after_seq: begins.seq,
            begins_after_timestamp: begins.stamp,
            epoch: self.reads.store.epoch().to_string(),
            tail_seq: self.reads.tail(),
            pending: sum(|depth| depth.pending),
            delayed: sum(|depth| depth.delayed),
            processing: sum(|depth| depth.processing),
            failed,
            changes_since_start: views.counts().into_iter().map(count).collect(),
            calls: self.reads.costs.by_call().into_iter().map(call).collect(),
            sessions: sessions.into_iter().map(session).collect(),
            cache: Some(cache(views.fill())),
            watchers: self.streams.watchers.held().into(),
            bounds: self.fills(&depths).into_iter().map(bound).collect(),
            entities: depths.into_iter().map(|depth| entity(depth, now)).collect(),
        })
    }
}

fn entity(depth: EntityDepth, now: Millis) -> v1::EntityStats {
    v1::EntityStats {
        entity: depth.entity,
        pending: depth.pending,
        processing: depth.processing,
        oldest_age: answer::age(depth.oldest, now),
    }
}

fn bound(fill: Fill) -> v1::BoundStats {
    v1::BoundStats { bound: fill.name.to_owned(), held: fill.held, limit: fill.limit }
}

fn call((call, cost): (&'static str, CallCost)) -> v1::CallStats {
    v1::CallStats { call: call.to_owned(), calls: cost.calls, reads: cost.reads, writes: cost.writes }
}

fn session(session: SessionView) -> v1::SessionStats {
    v1::SessionStats {
        worker_id: session.worker_id,
        session_id: session.session_id,
        streams: u32::try_from(session.streams).unwrap_or(u32::MAX),
        leases: u32::try_from(session.leases).unwrap_or(u32::MAX),
        last_renew_at: session.last_renew_at,
        last_claim_at: session.last_claim_at,
    }
}

fn cache(fill: CacheFill) -> v1::CacheStats {
    v1::CacheStats {
        messages: fill.messages as u64,
        changes: fill.changes as u64,
        bytes: fill.bytes as u64,
        max_messages: fill.limits.messages as u64,
        max_bytes: fill.limits.bytes as u64,
    }
}
