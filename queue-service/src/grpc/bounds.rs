//! What the service holds at the most, and how much of it is held now.

use repartee_process::{Bound, Fill, refusals};

use super::QueueGrpc;
use crate::{domain::QueueRules, views::EntityDepth};

/// Bounds that belong to no part of the service alone.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// Connections.
    pub(crate) connections: Bound,
    /// Calls that are being answered.
    pub(crate) calls: Bound,
    /// Messages that may wait in all, and for one entity.
    pub(crate) pending: [usize; 2],
}

/// Names of the bounds that the queue's rules keep: in all, and for one entity.
const PENDING: [&str; 2] = ["pending", "pending_of_entity"];

impl Bounds {
    pub(crate) fn new(connections: Bound, max_calls: u32, rules: &QueueRules) -> Self {
        // Counters are there before the first refusal.
        for name in PENDING {
            refusals(name).increment(0);
        }
        let pending = [rules.max_pending, rules.max_pending_per_entity];
        Self { connections, calls: Bound::new("calls", max_calls), pending }
    }
}

/// Counts a refusal by the queue's rules.
pub(super) fn note_full_queue(of_entity: bool) {
    refusals(PENDING[usize::from(of_entity)]).increment(1);
}

impl QueueGrpc {
    /// How full every bound is.
    pub(crate) fn fills(&self, depths: &[EntityDepth]) -> Vec<Fill> {
        let waiting = [
            depths.iter().map(|depth| depth.pending).sum(),
            depths.iter().map(|depth| depth.pending).max().unwrap_or(0),
        ];
        let cache = self.reads.views.fill();
        let kept = |name, held: u64, limit: usize| Fill { name, held, limit: limit as u64 };
        let mut fills = Vec::from(self.queue.waiting());
        fills.extend((0..2).map(|at| kept(PENDING[at], waiting[at], self.bounds.pending[at])));
        fills.push(kept("cache_messages", cache.messages as u64, cache.limits.messages));
        fills.push(kept("cache_bytes", cache.bytes as u64, cache.limits.bytes));
        fills
            .extend([&self.streams.workers, &self.streams.watchers, &self.streams.drafters].map(Bound::fill));
        fills.extend([&self.bounds.connections, &self.bounds.calls].map(Bound::fill));
        fills
    }
}
