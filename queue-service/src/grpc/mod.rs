//! The gRPC face: checks requests, hands commands to the writer and reads to the views, and says the outcome.
//!
//! Must never decide what the rules decide, and never show anything but what the views show.

mod answer;
mod batch;
mod check;
mod drain;
mod outlet;
mod rights;
mod service;
mod stats;
mod status;
mod watch;
mod work;

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{domain::Limits, journal::EditSecret, reads::Reads, writer::QueueHandle};

pub(crate) use drain::refuse_while_draining;

/// QueueService over gRPC; cheap to clone.
#[derive(Clone)]
pub(crate) struct QueueGrpc {
    pub(crate) queue: QueueHandle,
    pub(crate) reads: Reads,
    pub(crate) limits: Arc<Limits>,
    pub(crate) secret: EditSecret,
    pub(crate) streams: StreamRules,
    pub(crate) draining: CancellationToken,
}

/// How streams live and end.
#[derive(Debug, Clone)]
pub(crate) struct StreamRules {
    /// Room for open streams of both kinds.
    pub room: Arc<Semaphore>,
    /// Most open streams of both kinds.
    pub most: usize,
    /// How often a stream says that it is alive.
    pub heartbeat: Duration,
    /// A stream ends by itself after this, or up to twice as long.
    pub age: Duration,
    /// A stream whose client reads nothing for this long is ended.
    pub patience: Duration,
    /// Open watches, for statistics.
    pub watchers: Arc<std::sync::atomic::AtomicU64>,
}
