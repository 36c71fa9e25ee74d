//! What a worker reports, as items on its stream of work; each is a call of its own while there is no stream that takes it.
//!
//! A stream that ends takes the outcomes with it that had not come. Nobody knows then whether the step was taken, and that is
//! what its caller is told: every step of a worker may be repeated, for the service recognises the lease.

use std::{collections::HashMap, sync::Arc, time::Duration};

use repartee_proto::v1::{
    ItemMetadata, StreamPendingRequest, Unsubscribe, WorkOutcome, WorkRequest, work_outcome::Outcome,
    work_request::Step,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout},
};
use tonic::{Request, Status};

use crate::{client::Client, traces};

/// Steps that may wait for the stream; what comes then is a call of its own.
const WAITING: usize = 64;
/// Items that are sent at once, if the service takes up as many.
const IN_FLIGHT: usize = 256;
/// Items of the subscription itself, beside those.
const OWN: usize = 8;

/// Where a session takes its steps; cheap to clone.
#[derive(Clone)]
pub(crate) struct Steps {
    client: Client,
    open: Arc<Way>,
}

/// The way to the stream, while one takes items.
type Way = watch::Sender<Option<mpsc::Sender<Waiting>>>;

/// The steps that wait for one stream, from when it takes items until this is dropped.
pub(crate) struct Taken {
    waiting: mpsc::Receiver<Waiting>,
    open: Arc<Way>,
}

/// A step that waits for a stream. If it is dropped, it was not sent, and is taken without the stream.
pub(crate) struct Waiting {
    step: Step,
    metadata: ItemMetadata,
    until: Instant,
    answer: oneshot::Sender<Result<Outcome, Status>>,
}

/// The items of one stream. Once it is dropped, nobody knows what became of those without an outcome.
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
    /// Steps of this client; calls of their own until a stream is open.
    pub(crate) fn new(client: Client) -> Self {
        Self { client, open: Arc::new(watch::Sender::new(None)) }
    }

    /// From now on, steps go to a stream.
    pub(crate) fn begin(&self) -> Taken {
        let (sender, waiting) = mpsc::channel(WAITING);
        self.open.send_replace(Some(sender));
        Taken { waiting, open: Arc::clone(&self.open) }
    }

    /// Takes a step, as a part of what is being done. `method` is the call for which it stands.
    ///
    /// # Errors
    /// What the service answers; DEADLINE_EXCEEDED after `within`, and UNAVAILABLE if the stream ended before the outcome.
    pub(crate) async fn take(&self, method: &str, step: Step, within: Duration) -> Result<Outcome, Status> {
        let until = Instant::now() + within;
        let taken = async {
            match self.on_stream(method, &step, until).await? {
                Some(outcome) => Ok(outcome),
                None => self.call(step, until).await,
            }
        };
        let late = |_| Err(Status::deadline_exceeded("no outcome in time"));
        timeout(within, taken).await.unwrap_or_else(late)
    }

    /// Takes a step on the stream; `None` if there is none that takes it.
    async fn on_stream(&self, method: &str, step: &Step, until: Instant) -> Result<Option<Outcome>, Status> {
        let open = self.open.borrow().clone();
        let Some(place) = open.and_then(|open| open.try_reserve_owned().ok()) else { return Ok(None) };
        traces::step(method, async |metadata| {
            let (answer, outcome) = oneshot::channel();
            place.send(Waiting { step: step.clone(), metadata, until, answer });
            outcome.await.ok().transpose()
        })
        .await
    }

    /// Takes a step as the call for which it stands.
    async fn call(&self, step: Step, until: Instant) -> Result<Outcome, Status> {
        let mut client = self.client.clone();
        macro_rules! call {
            ($request:ident by $call:ident as $method:literal -> $outcome:ident) => {{
                let mut request = Request::new($request);
                request.set_timeout(until.saturating_duration_since(Instant::now()));
                let answer = traces::call($method, request, |request| client.$call(request)).await?;
                Ok(Outcome::$outcome(answer))
            }};
        }
        match step {
            Step::Renew(request) => call!(request by renew_leases as "RenewLeases" -> Renewed),
            Step::Release(request) => call!(request by release_message as "ReleaseMessage" -> Released),
            Step::Complete(request) => call!(request by complete_message as "CompleteMessage" -> Completed),
            Step::Fail(request) => call!(request by fail_message as "FailMessage" -> Failed),
            Step::Claim(_) | Step::ClaimNext(_) | Step::Subscribe(_) | Step::Unsubscribe(_) => {
                Err(Status::internal("a session takes no such step"))
            }
        }
    }
}

impl Taken {
    /// The next step; never ends.
    pub(crate) async fn next(&mut self) -> Waiting {
        match self.waiting.recv().await {
            Some(step) => step,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.open.send_replace(None);
    }
}

impl Items {
    /// The items of a stream, and what the stream sends of them.
    pub(crate) fn new() -> (Self, mpsc::Receiver<WorkRequest>) {
        let (sender, items) = mpsc::channel(IN_FLIGHT + OWN);
        (Self { sender, sent: HashMap::new(), last: 0, most: IN_FLIGHT, subscription: None }, items)
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
        if let Some(number) = self.put(step, metadata, timeout) {
            self.sent.insert(number, answer);
        }
    }

    /// Asks for work; in place of what was asked for before on this stream.
    pub(crate) fn subscribe(&mut self, request: StreamPendingRequest) {
        self.subscription = self.put(Step::Subscribe(request), ItemMetadata::default(), None);
    }

    /// Asks for no more work.
    pub(crate) fn unsubscribe(&mut self) {
        let step = Step::Unsubscribe(Unsubscribe {});
        self.subscription = self.put(step, ItemMetadata::default(), None);
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

    /// Sends an item under a number of its own; `None` if the stream is over, of which its reader is told.
    fn put(
        &mut self,
        step: Step,
        metadata: ItemMetadata,
        timeout: Option<prost_types::Duration>,
    ) -> Option<u64> {
        self.last += 1;
        let item = WorkRequest { number: self.last, timeout, metadata: Some(metadata), step: Some(step) };
        // There is a place for each that is under way.
        self.sender.try_send(item).ok().map(|()| self.last)
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        for (_, answer) in self.sent.drain() {
            let lost = Status::unavailable("the stream of work ended before the outcome came");
            let _ = answer.send(Err(lost));
        }
    }
}
