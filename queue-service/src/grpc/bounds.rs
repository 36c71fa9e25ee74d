//! What the service holds at the most, and how much of it is held now.

use repartee_process::{Bound, ByteLimit, Fill, refusals};

use super::{QueueGrpc, StreamRules, others::Others};
use crate::{disk::DataLimit, domain::QueueRules, views::Totals};

/// Bounds that belong to no part of the service alone.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// Connections.
    pub(crate) connections: Bound,
    /// Those that are kept for gateways, if there are any.
    pub(crate) reserve: Option<Bound>,
    /// Calls that are being answered.
    pub(crate) calls: Bound,
    /// Calls that are not ours, and their streams.
    pub(crate) others: Others,
    /// Bytes of answers on their way.
    pub(crate) answers: ByteLimit,
    /// Messages that may wait in all, and for one entity; bytes that unfinished ones may hold.
    pub(crate) pending: [usize; 3],
    /// Entries of the log of operators' acts.
    pub(crate) acts: usize,
    /// Authors and addresses that may be blocked.
    pub(crate) blocks: usize,
    /// How much may be stored.
    pub(crate) data: DataLimit,
}

/// Connections, and those that are kept for gateways.
pub(crate) type DoorBounds = (Bound, Option<Bound>);

/// Names of the bounds that the queue's rules keep, in the order of [`FullQueue`].
const PENDING: [&str; 3] = ["pending", "pending_of_entity", "pending_bytes"];

/// Which bound of the queue's rules refused something.
#[derive(Debug, Clone, Copy)]
pub(super) enum FullQueue {
    All,
    Entity,
    Bytes,
}

impl Bounds {
    pub(crate) fn new(
        (connections, reserve): DoorBounds,
        answers: ByteLimit,
        (max_calls, max_streams): (u32, u32),
        rules: &QueueRules,
        data: DataLimit,
    ) -> Self {
        // Counters are there before the first refusal.
        for name in
            PENDING.into_iter().chain(["entity_limits", "paused_entities", "edits", "blocked", "blocks"])
        {
            refusals(name).increment(0);
        }
        metrics::counter!("repartee_wrong_tokens_total").increment(0);
        let pending = [rules.max_pending, rules.max_pending_per_entity, rules.max_pending_bytes];
        let (calls, others) = (Bound::new("calls", max_calls), Others::new(max_streams));
        let (acts, blocks) = (rules.max_acts as usize, rules.max_blocks as usize);
        Self { connections, reserve, calls, others, answers, pending, acts, blocks, data }
    }
}

/// Counts a refusal by the queue's rules.
pub(super) fn note_full_queue(full: FullQueue) {
    let name = match full {
        FullQueue::All => PENDING[0],
        FullQueue::Entity => PENDING[1],
        FullQueue::Bytes => PENDING[2],
    };
    refusals(name).increment(1);
}

impl QueueGrpc {
    /// How full every bound is.
    pub(crate) fn fills(&self, totals: &Totals) -> Vec<Fill> {
        let waiting = [totals.pending, totals.fullest, totals.bytes];
        let views = &self.reads.views;
        let cache = views.fill();
        let kept = |name, held: u64, limit: usize| Fill { name, held, limit: limit as u64 };
        let mut fills = Vec::from(self.queue.waiting());
        fills.extend((0..PENDING.len()).map(|at| kept(PENDING[at], waiting[at], self.bounds.pending[at])));
        fills.push(kept("cache_messages", cache.messages as u64, cache.limits.messages));
        fills.push(kept("cache_bytes", cache.bytes as u64, cache.limits.bytes));
        let StreamRules { workers, watchers, gateways, posters, drafters, .. } = &self.streams;
        fills.extend([workers, watchers, gateways, posters, drafters].map(Bound::fill));
        fills.push(self.names.fill());
        fills.push(kept("acts", views.count_acts() as u64, self.bounds.acts));
        fills.push(kept("blocks", views.count_blocks() as u64, self.bounds.blocks));
        fills.extend([&self.bounds.connections, &self.bounds.calls].map(Bound::fill));
        fills.push(self.bounds.others.fill());
        fills.extend(self.bounds.reserve.as_ref().map(Bound::fill));
        fills.push(self.bounds.answers.fill());
        let stored = self.reads.store.data_bytes();
        fills.extend(self.bounds.data.0.map(|limit| Fill { name: "data_bytes", held: stored, limit }));
        fills
    }
}
