//! What a worker reports, as items on its stream of work: each waits for the stream, and then for its outcome.
//!
//! A stream that ends takes the outcomes with it that had not come. Nobody knows then whether the step was taken, and that is
//! what its caller is told: every step of a worker may be repeated, for the service recognises the lease.

use std::{collections::HashMap, time::Duration};

use repartee_proto::v1::{
    ItemMetadata, StreamPendingRequest, Unsubscribe, WorkOutcome, WorkRequest, work_outcome::Outcome,
    work_request::Step,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tonic::Status;

use crate::traces;

/// Steps that may wait for the stream.
const WAITING: usize = 64;
/// Items that are sent at once, if the service takes up as many.
const IN_FLIGHT: usize = 256;
/// Items that are sent before the service has said how many it takes up.
const AT_FIRST: usize = 16;
/// Items of the subscription itself, beside those.
const OWN: usize = 8;

/// Where a session takes its steps; cheap to clone.
#[derive(Clone)]
pub(crate) struct Steps(mpsc::Sender<Waiting>);

/// The steps that wait for a stream.
pub(crate) type Taken = mpsc::Receiver<Waiting>;

/// A step that waits for a stream.
pub(crate) struct Waiting {
    step: Step,
    metadata: ItemMetadata,
    until: Instant,
    answer: oneshot::Sender<Result<Outcome, Status>>,
}

/// The items of one stream.
pub(crate) struct Items {
    sender: mpsc::Sender<WorkRequest>,
    sent: HashMap<u64, oneshot::Sender<Result<Outcome, Status>>>,
    last: u64,
    /// How many the service takes up at once.
    most: usize,
    /// Number of the present subscription.
    subscription: Option<u64>,
}

/// What an outcome means to the stream itself.
pub(crate) enum Told {
    /// The session takes work from now on, or none from now on.
    Accepted,
    /// The subscription was refused.
    Refused(Status),
    /// It was a step's.
    Nothing,
}

impl Steps {
    /// A way to the stream, and its other end.
    pub(crate) fn new() -> (Self, Taken) {
        let (sender, taken) = mpsc::channel(WAITING);
        (Self(sender), taken)
    }

    /// Takes a step, as a part of what is being done. `method` is the call for which it stands.
    ///
    /// # Errors
    /// What the service answers; DEADLINE_EXCEEDED after `within`, UNAVAILABLE if the stream ended before the outcome, and
    /// PERMISSION_DENIED once the service has refused this worker for good.
    pub(crate) async fn take(&self, method: &str, step: Step, within: Duration) -> Result<Outcome, Status> {
        let until = Instant::now() + within;
        traces::step(method, async |metadata| {
            let taken = async {
                let (answer, outcome) = oneshot::channel();
                let refused = |_| Status::permission_denied("the service refuses this worker");
                self.0.send(Waiting { step, metadata, until, answer }).await.map_err(refused)?;
                let lost = |_| Status::unavailable("the stream of work ended before the outcome came");
                outcome.await.map_err(lost)?
            };
            let late = |_| Err(Status::deadline_exceeded("no outcome in time"));
            timeout(within, taken).await.unwrap_or_else(late)
        })
        .await
    }
}

impl Items {
    /// The items of a stream, and what the stream sends of them.
    pub(crate) fn new() -> (Self, mpsc::Receiver<WorkRequest>) {
        let (sender, items) = mpsc::channel(IN_FLIGHT + OWN);
        (Self { sender, sent: HashMap::new(), last: 0, most: AT_FIRST, subscription: None }, items)
    }

    /// The service takes up so many at once.
    pub(crate) fn may_be(&mut self, most: u32) {
        self.most = usize::try_from(most).unwrap_or(IN_FLIGHT).clamp(1, IN_FLIGHT);
    }

    /// True while another step may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.sent.len() < self.most
    }

    /// True if every step has its outcome.
    pub(crate) fn are_answered(&self) -> bool {
        self.sent.is_empty()
    }

    /// Sends a step. One that nobody waits for any more is not taken.
    pub(crate) fn send(&mut self, Waiting { step, metadata, until, answer }: Waiting) {
        if answer.is_closed() {
            return;
        }
        let timeout = until.saturating_duration_since(Instant::now()).try_into().ok();
        let number = self.put(step, metadata, timeout);
        self.sent.insert(number, answer);
    }

    /// Asks for work; in place of what was asked for before on this stream.
    pub(crate) fn subscribe(&mut self, request: StreamPendingRequest) {
        self.subscription = Some(self.put(Step::Subscribe(request), ItemMetadata::default(), None));
    }

    /// Asks for no more work.
    pub(crate) fn unsubscribe(&mut self) {
        let step = Step::Unsubscribe(Unsubscribe {});
        self.subscription = Some(self.put(step, ItemMetadata::default(), None));
    }

    /// Hands an outcome to whoever waits for it.
    pub(crate) fn outcome(&mut self, WorkOutcome { number, outcome }: WorkOutcome) -> Told {
        let outcome = match outcome {
            Some(Outcome::Status(status)) => Err(Status::from(status)),
            Some(outcome) => Ok(outcome),
            None => Err(Status::internal("an outcome of a later version of the contract")),
        };
        if let Some(answer) = self.sent.remove(&number) {
            // Whoever does not wait any more has repeated it.
            let _ = answer.send(outcome);
            return Told::Nothing;
        }
        if self.subscription != Some(number) {
            return Told::Nothing;
        }
        match outcome {
            Ok(_) => Told::Accepted,
            Err(status) => Told::Refused(status),
        }
    }

    fn put(&mut self, step: Step, metadata: ItemMetadata, timeout: Option<prost_types::Duration>) -> u64 {
        self.last += 1;
        let item = WorkRequest { number: self.last, timeout, metadata: Some(metadata), step: Some(step) };
        // There is a place for each that is under way. Of a stream that is over the reader is told.
        let _ = self.sender.try_send(item);
        self.last
    }
}
