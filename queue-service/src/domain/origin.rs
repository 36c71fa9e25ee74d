//! Where a message came from, for those who look for it in traces and in logs. No rule asks for it.

use repartee_process::telemetry::TraceContext;

/// Names the request that posted a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Its place in a trace: what is done for the message's sake is a part of that.
    Trace(TraceContext),
    /// Its `x-request-id`: it was in no trace.
    Request(Box<str>),
}

impl Origin {
    /// What it is found under: the trace's id, or the request's.
    pub fn name(&self) -> String {
        match self {
            Self::Trace(trace) => trace.trace_id(),
            Self::Request(id) => id.to_string(),
        }
    }

    /// The place in a trace, if it was in one.
    pub fn trace(&self) -> Option<&TraceContext> {
        match self {
            Self::Trace(trace) => Some(trace),
            Self::Request(_) => None,
        }
    }

    /// What it takes in memory, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Trace(trace) => trace.heap_bytes(),
                Self::Request(id) => id.len(),
            }
    }
}
