//! The bytes of answers on their way, of one connection and of all.

use std::sync::{Arc, atomic::Ordering};

use super::ConnectionState;
use crate::{ByteLimit, ClientPermit, Full};

/// How many bytes of answers may be on their way.
#[derive(Debug, Clone)]
pub struct AnswerLimits {
    /// In all.
    pub total: ByteLimit,
    /// On one connection.
    pub per_connection: u64,
    /// The label of the latter in the metrics.
    pub per_connection_name: &'static str,
}

/// Bytes of an answer on their way, of its connection and of all, until it is dropped.
#[derive(Debug)]
#[must_use = "what is dropped at once is not held"]
pub struct AnswerPermit {
    connection: Arc<ConnectionState>,
    bytes: u64,
    /// The same of whoever the answer is for: many clients may come by one connection, and one by many.
    share: Option<ClientPermit>,
}

impl AnswerPermit {
    /// With what its client holds for it, for as long.
    pub fn with_share(mut self, share: Option<ClientPermit>) -> Self {
        self.share = share;
        self
    }
}

/// The permit of an answer, as an extension of the response: its body holds it until the last byte is sent.
#[derive(Debug, Clone)]
pub struct HeldAnswer(pub Arc<AnswerPermit>);

impl ConnectionState {
    /// Holds so many bytes for an answer that is about to be made.
    ///
    /// # Errors
    /// If too many are on their way, on this connection or in all; that is counted.
    pub fn take_answer(self: &Arc<Self>, bytes: u64) -> Result<AnswerPermit, Full> {
        let AnswerLimits { total, per_connection, .. } = &self.registry().answers;
        let held = self.answer_bytes.fetch_add(bytes, Ordering::Relaxed);
        let given_back = || self.answer_bytes.fetch_sub(bytes, Ordering::Relaxed);
        if held.saturating_add(bytes) > *per_connection && held > 0 {
            given_back();
            return Err(self.refuse_answer(held));
        }
        match total.grow(bytes) {
            Ok(()) => Ok(AnswerPermit { connection: Arc::clone(self), bytes, share: None }),
            Err(full) => {
                given_back();
                Err(full)
            }
        }
    }

    /// Counts bytes of an answer that is there already.
    pub(crate) fn count_answer(self: &Arc<Self>, bytes: u64) -> AnswerPermit {
        self.answer_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.registry().answers.total.add(bytes);
        AnswerPermit { connection: Arc::clone(self), bytes, share: None }
    }

    fn refuse_answer(&self, held: u64) -> Full {
        self.registry().answers_refused.increment(1);
        let AnswerLimits { per_connection, per_connection_name, .. } = &self.registry().answers;
        let small = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
        Full { name: per_connection_name, held: small(held), limit: small(*per_connection) }
    }
}

impl Drop for AnswerPermit {
    fn drop(&mut self) {
        self.connection.answer_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.connection.registry().answers.total.give_back(self.bytes);
    }
}
