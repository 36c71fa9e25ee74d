//! The gRPC face: checks requests, hands commands to the writer and reads to the views, and says the outcome.
//!
//! Must never decide what the rules decide, and never show anything but what the views show.

mod acts;
mod answer;
mod batch;
mod blocks;
mod bounds;
mod caller;
mod check;
mod conversation;
mod door;
mod draft;
mod fields;
mod front;
mod guesses;
mod inspect;
mod items;
mod leases;
mod lists;
mod many;
mod names;
mod operate;
mod others;
mod outlet;
mod post;
mod posts;
mod rights;
mod service;
mod stats;
mod status;
mod traces;
mod watch;
mod while_allowed;
mod work;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::Counter;
use repartee_process::{Bound, Place};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    domain::Limits,
    drafts::Drafts,
    observe::CallTimes,
    reads::Reads,
    writer::{QueueHandle, ServiceClock},
};

pub(crate) use bounds::{Bounds, DoorBounds};
pub(crate) use door::Door;
pub(crate) use front::{Front, enter, enter_page, enter_route, own_method};
pub(crate) use guesses::Guesses;
pub(crate) use names::Names;
pub(crate) use rights::Rights;

/// QueueService over gRPC; cheap to clone.
#[derive(Clone)]
pub(crate) struct QueueGrpc {
    pub(crate) queue: QueueHandle,
    pub(crate) clock: ServiceClock,
    pub(crate) reads: Reads,
    pub(crate) limits: Arc<Limits>,
    pub(crate) rights: Arc<Rights>,
    pub(crate) streams: StreamRules,
    pub(crate) bounds: Bounds,
    pub(crate) drafts: Drafts,
    pub(crate) names: Names,
    /// Highest priority of what visitors send.
    pub(crate) visitor_priority: u32,
    /// Where the items of streams are counted and timed, as the calls for which they stand.
    pub(crate) times: CallTimes,
    /// A conversation belongs to the visitor who began it.
    pub(crate) conversation_owners: bool,
}

/// How streams live and end.
#[derive(Clone)]
pub(crate) struct StreamRules {
    /// Room for streams of work, and for claims that wait.
    pub workers: Bound,
    /// Room for watches: readers take nothing away from workers.
    pub watchers: Bound,
    /// Room for streams of gateways: nobody else takes it.
    pub gateways: Bound,
    /// Room for streams of posts, and for what gateways open beyond the room that is theirs.
    pub posters: Bound,
    /// Room for drafts.
    pub drafters: Bound,
    /// The watches that are open, whosever they are.
    pub watches: Watches,
    /// Streams that were ended because they were not read.
    pub slow: Counter,
    /// How often a stream says that it is alive.
    pub heartbeat: Duration,
    /// A stream ends by itself after this, or up to twice as long.
    pub age: Duration,
    /// A stream whose client reads nothing for this long is ended.
    pub patience: Duration,
    /// Cancelled once the service stops.
    pub draining: CancellationToken,
}

/// How many watches are open, whosever they are; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watches(Arc<AtomicU64>);

/// An open watch; it is counted until it is dropped.
pub(crate) struct Watching(Watches);

impl Watches {
    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one more.
    pub(crate) fn open(&self) -> Watching {
        self.0.fetch_add(1, Ordering::Relaxed);
        Watching(self.clone())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl StreamRules {
    /// A place in one of the rooms.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED where it is full; UNAVAILABLE once the service stops.
    fn enter(&self, room: &Bound) -> Result<Place, Status> {
        // Asked before: whoever waits for the last stream's end holds all the room that there is.
        let entered = room.enter(1);
        if self.draining.is_cancelled() {
            return Err(status::draining());
        }
        entered.map_err(status::too_many_streams)
    }

    /// The end of a stream that is not read.
    fn too_slow(&self) -> Status {
        self.slow.increment(1);
        status::slow_reader()
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_stream_that_comes_while_the_service_waits_for_the_last_one_is_told_that_it_stops() {
        let room = Bound::new("test_streams_while_draining", 1);
        let second = Duration::from_secs(1);
        let rules = StreamRules {
            workers: room.clone(),
            watchers: room.clone(),
            gateways: room.clone(),
            posters: room.clone(),
            drafters: room.clone(),
            watches: Watches::default(),
            slow: Counter::noop(),
            heartbeat: second,
            age: second,
            patience: second,
            draining: CancellationToken::new(),
        };
        let _last = rules.enter(&room).expect("there is one place");
        let refused = || rules.enter(&room).expect_err("it is taken").code();
        assert_eq!(refused(), Code::ResourceExhausted);
        rules.draining.cancel();
        assert_eq!(refused(), Code::Unavailable);
    }
}
