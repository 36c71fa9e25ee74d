//! What an operator decides about the queue.

use super::{Backoff, EntityLimits, Millis};

/// The settings of the queue's rules.
#[derive(Debug, Clone)]
pub struct QueueRules {
    /// Time waited that counts as one level of priority; 0 makes priority strict.
    pub aging_ms: Millis,
    /// Hand out one message at a time per conversation.
    pub one_per_conversation: bool,
    /// Most messages that may wait in all.
    pub max_pending: usize,
    /// Most messages that may wait for one entity.
    pub max_pending_per_entity: usize,
    /// Most bytes that unfinished messages may hold in memory, by estimate.
    pub max_pending_bytes: usize,
    /// Give up after this many failures.
    pub max_failures: u32,
    /// Give up after this many leases that ended without a result, if two different workers lost them.
    pub max_expiries: u32,
    /// Give up after this many claims in all, however they ended; an operator's retry begins again.
    pub max_attempts: u32,
    /// How many messages a worker may hold without a session.
    pub max_worker_claims: usize,
    /// How many times a message may be edited; operators may go on.
    pub max_edits: u32,
    /// By how much an author's next message counts as younger than the last one that waits; 0 gives all the same.
    pub fair_share_ms: Millis,
    /// How far the waiting messages of one address stand apart at least, whoever they are by; 0 lets authors alone count.
    pub address_share_ms: Millis,
    /// Give up what has waited this long.
    pub pending_expiry_ms: Option<Millis>,
    /// How long a message waits after a failed attempt.
    pub backoff: Backoff,
    /// How much of an entity's work is handed out.
    pub entity_limits: EntityLimits,
    /// How many entries the log of operators' acts keeps.
    pub max_acts: u32,
    /// Most authors and addresses that may be blocked at once.
    pub max_blocks: u32,
}

impl Default for QueueRules {
    fn default() -> Self {
        Self {
            aging_ms: 60_000,
            one_per_conversation: true,
            max_pending: 100_000,
            max_pending_per_entity: 10_000,
            max_pending_bytes: 256 * 1024 * 1024,
            max_failures: 5,
            max_expiries: 3,
            max_attempts: 20,
            max_worker_claims: 100,
            max_edits: 100,
            fair_share_ms: 10_000,
            address_share_ms: 2_000,
            pending_expiry_ms: None,
            backoff: Backoff::default(),
            entity_limits: EntityLimits::default(),
            max_acts: 10_000,
            max_blocks: 10_000,
        }
    }
}
