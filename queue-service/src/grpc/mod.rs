//! The gRPC face: checks requests, hands commands to the writer and reads to the views, and says the outcome.
//!
//! Must never decide what the rules decide, and never show anything but what the views show.

mod answer;
mod batch;
mod check;
mod door;
mod drain;
mod outlet;
mod rights;
mod service;
mod stats;
mod status;
mod watch;
mod work;

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{domain::Limits, journal::EditSecret, reads::Reads, writer::QueueHandle};

pub(crate) use door::programs_only;
pub(crate) use drain::refuse_while_draining;

/// QueueService over gRPC; cheap to clone.
#[derive(Clone)]
pub(crate) struct QueueGrpc {
    pub(crate) queue: QueueHandle,
    pub(crate) reads: Reads,
    pub(crate) limits: Arc<Limits>,
    pub(crate) secret: EditSecret,
    pub(crate) streams: StreamRules,
}

/// How streams live and end.
#[derive(Debug, Clone)]
pub(crate) struct StreamRules {
    /// Room for streams of work, and for claims that wait.
    pub workers: Arc<Semaphore>,
    /// Room for watches: readers take nothing away from workers.
    pub watchers: Arc<Semaphore>,
    /// How much room each of them has.
    pub most: usize,
    /// How often a stream says that it is alive.
    pub heartbeat: Duration,
    /// A stream ends by itself after this, or up to twice as long.
    pub age: Duration,
    /// A stream whose client reads nothing for this long is ended.
    pub patience: Duration,
    /// Cancelled once the service stops.
    pub draining: CancellationToken,
}

impl StreamRules {
    /// A place in one of the rooms.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED where it is full.
    fn enter(&self, room: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Status> {
        room.clone().try_acquire_owned().map_err(|_| status::too_many_streams(self.most))
    }

    /// How many places of a room are taken.
    pub(crate) fn taken(&self, room: &Semaphore) -> usize {
        self.most.saturating_sub(room.available_permits())
    }
}
