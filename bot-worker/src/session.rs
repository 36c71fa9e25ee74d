//! The loop of a worker: one owner of everything that the session holds.
//!
//! Work comes in from the subscription, attempts run beside the loop, renewals go out in one batch. The loop itself never
//! waits for the service: every step is a task of its own, so a slow answer delays neither the stream nor a renewal.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use repartee_process::{Credential, telemetry::in_call};
use repartee_proto::v1::{
    LeaseRef, ReleaseMessageRequest, RenewLeasesRequest, RenewOutcome, StreamPendingRequest, Work,
    renew_outcome, work_outcome::Outcome, work_request::Step,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::{Code, Status};

use crate::{
    Breaker, Error, Task,
    attempt::{Attempt, Ended},
    client::Client,
    handler::Handler,
    health::OpenStreams,
    held::Held,
    measures::Attempts,
    report::{CALL, Reporter},
    status,
    steps::Steps,
    subscription::{Event, Subscription},
    traces,
    worker::OnReady,
};

/// Events that may wait between the stream and the loop.
const EVENTS: usize = 16;
/// What attempts get after the drain deadline, to notice that they are cancelled.
const LAST_GRACE: Duration = Duration::from_millis(600);
/// Length of a renewed lease whose worker asked for none, as the service has it.
const LEASE: Duration = Duration::from_secs(30);
/// How long the service may take to hear that this worker takes no more work.
const LEAVE: Duration = Duration::from_secs(1);
/// How long the release of what is left may take.
const RELEASE: Duration = Duration::from_secs(1);

/// What a renewal asked for, and what became of it.
type Renewal = (Vec<LeaseRef>, Result<Vec<RenewOutcome>, Status>);

/// One worker between its start and its end.
pub(crate) struct Session {
    client: Client,
    credential: Credential,
    steps: Steps,
    request: StreamPendingRequest,
    drain: Duration,
    handler: Handler,
    breaker: Breaker,
    streams: OpenStreams,
    measured: Attempts,
    reporter: Reporter,
    slots: Arc<Semaphore>,
    held: Held,
    attempts: JoinSet<Ended>,
    renewals: JoinSet<Renewal>,
}

impl Session {
    /// A session that has not said hello yet. The request is one for mode LEASE, within the limits of the contract.
    pub(crate) fn new(
        client: Client,
        credential: Credential,
        request: StreamPendingRequest,
        drain: Duration,
        handler: Handler,
        breaker: Breaker,
        streams: OpenStreams,
    ) -> Self {
        let lease = request.lease.and_then(|lease| lease.try_into().ok()).unwrap_or(LEASE);
        let slots = usize::try_from(request.max_in_flight).expect("the number is checked");
        let steps = Steps::new(client.clone());
        Self {
            reporter: Reporter {
                steps: steps.clone(),
                client: client.clone(),
                lease,
                token_may_change: credential.may_change(),
            },
            steps,
            held: Held::new(lease, slots),
            slots: Arc::new(Semaphore::new(slots)),
            attempts: JoinSet::new(),
            renewals: JoinSet::new(),
            client,
            credential,
            request,
            drain,
            handler,
            measured: Attempts::new(breaker.name()),
            breaker,
            streams,
        }
    }

    /// Works until `shutdown` or a final refusal, then drains.
    pub(crate) async fn run(
        mut self,
        shutdown: CancellationToken,
        on_ready: Option<OnReady>,
    ) -> Result<(), Error> {
        let (sender, mut events) = mpsc::channel(EVENTS);
        let request = self.request.clone();
        let (client, credential) = (self.client.clone(), self.credential.clone());
        let breaker = self.breaker.clone();
        let (steps, leaving) = (self.steps.clone(), CancellationToken::new());
        let subscription =
            Subscription::new(client, credential, request, breaker, self.streams.clone(), sender)
                .taking(steps, leaving.clone());
        let _following = AbortOnDropHandle::new(tokio::spawn(subscription.follow()));
        let result = self.work(&mut events, &shutdown, on_ready).await;
        leaving.cancel();
        let deadline = Instant::now() + self.drain;
        self.release(self.untaken(events).await).await;
        self.finish_attempts(deadline).await;
        self.release(self.held.rest()).await;
        result
    }

    async fn work(
        &mut self,
        events: &mut mpsc::Receiver<Event>,
        shutdown: &CancellationToken,
        mut on_ready: Option<OnReady>,
    ) -> Result<(), Error> {
        loop {
            let event = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                event = events.recv() => event.expect("a subscription ends with a refusal only"),
                () = self.tend() => continue,
            };
            match event {
                Event::Accepted => {
                    tracing::info!(worker = self.request.worker_id, "the service accepted this worker");
                    if let Some(ready) = on_ready.take() {
                        ready();
                    }
                }
                Event::Work(work) => self.start(*work),
                Event::Cancelled(message_id) => self.held.lose_message(&message_id),
                Event::Refused(status) => return Err(Error::Refused(status)),
                // Nobody has asked it to leave.
                Event::Left => {}
            }
        }
    }

    /// Waits for the next thing to do about what is held, and does it. Nothing is lost where it is dropped.
    async fn tend(&mut self) {
        let due = self.held.renewal_due().filter(|_| self.renewals.is_empty());
        tokio::select! {
            Some(ended) = self.attempts.join_next() => self.ended(ended),
            Some(renewal) = self.renewals.join_next() => self.renewed(renewal),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.renew(),
            else => std::future::pending().await,
        }
    }

    fn start(&mut self, work: Work) {
        let trace = traces::of_work(&work);
        let (Some(message), Some(lease)) = (work.message, work.lease) else {
            tracing::error!("the service sent work without a message or a lease; it will expire");
            return;
        };
        let Some(claim) = self.held.admit(&message.id, &lease.token, Instant::now()) else {
            tracing::debug!(id = message.id, "sent again; it is held already");
            return;
        };
        tracing::debug!(id = message.id, "started");
        let call = traces::attempt(&message, trace);
        let attempt = Attempt {
            task: Task::new(message, work.context, claim.stop.clone()),
            claim,
            handler: Arc::clone(&self.handler),
            reporter: self.reporter.clone(),
            slots: Arc::clone(&self.slots),
            breaker: self.breaker.clone(),
            attempts: self.measured.clone(),
        };
        self.attempts.spawn(in_call(call, attempt.run()));
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        match ended {
            Ok(Ended { token, end }) => self.held.finish(token, end),
            Err(error) => tracing::error!(%error, "an attempt broke; its lease will expire"),
        }
    }

    fn renew(&mut self) {
        let leases = self.held.renewal(Instant::now());
        let steps = self.steps.clone();
        self.renewals.spawn(async move {
            let step = Step::Renew(RenewLeasesRequest { leases: leases.clone(), lease: None });
            let outcomes = steps.take("RenewLeases", step, CALL).await.map(|outcome| match outcome {
                Outcome::Renewed(renewed) => renewed.outcomes,
                _ => Vec::new(),
            });
            (leases, outcomes)
        });
    }

    fn renewed(&mut self, renewal: Result<Renewal, JoinError>) {
        let (leases, outcomes) = match renewal {
            Ok((leases, Ok(outcomes))) => (leases, outcomes),
            Ok((_, Err(status))) => {
                let (code, problem) = (status.code(), status.message());
                return tracing::warn!(?code, problem, "leases could not be renewed; trying again");
            }
            Err(error) => return tracing::error!(%error, "a renewal broke; trying again"),
        };
        for (lease, RenewOutcome { outcome }) in leases.iter().zip(outcomes) {
            match outcome {
                Some(renew_outcome::Outcome::ExpiresAt(_)) => {
                    self.held.renewed(&lease.lease_token, Instant::now())
                }
                Some(renew_outcome::Outcome::Rejection(no)) if !status::may_pass(Code::from_i32(no.code)) => {
                    tracing::info!(id = lease.message_id, reason = no.reason, "the lease is lost");
                    self.held.lose(&lease.lease_token);
                }
                Some(renew_outcome::Outcome::Rejection(_)) | None => {}
            }
        }
    }

    /// Lets attempts finish until the drain deadline, then stops them.
    async fn finish_attempts(&mut self, deadline: Instant) {
        tracing::info!(running = self.attempts.len(), "draining");
        // At the deadline there is only one thing to do, whether or not attempts are left.
        let _ = timeout_at(deadline, self.tend_all()).await;
        self.held.stop_all();
        let _ = timeout(LAST_GRACE, self.tend_all()).await;
        self.attempts.shutdown().await;
    }

    async fn tend_all(&mut self) {
        while !self.attempts.is_empty() {
            self.tend().await;
        }
    }

    /// Gives these claims back, all at once.
    async fn release(&self, leases: Vec<LeaseRef>) {
        let released = leases.into_iter().map(|lease| {
            let (steps, id) = (self.steps.clone(), lease.message_id.clone());
            let step = Step::Release(ReleaseMessageRequest { lease: Some(lease), holds_back: None });
            async move {
                match steps.take("ReleaseMessage", step, RELEASE).await {
                    Ok(_) => tracing::info!(id, "released"),
                    Err(status) => {
                        tracing::warn!(id, code = ?status.code(), "not released; it will expire")
                    }
                }
            }
        });
        join_all(released).await;
    }

    /// The claims in the events that nobody looked at, without those that are known already: those that came before the
    /// service knew that this worker leaves, as far as it answers in time.
    async fn untaken(&self, mut events: mpsc::Receiver<Event>) -> Vec<LeaseRef> {
        let (mut leases, until) = (Vec::new(), Instant::now() + LEAVE);
        while let Ok(Some(event)) = timeout_at(until, events.recv()).await {
            let work = match event {
                Event::Work(work) => work,
                Event::Left | Event::Refused(_) => break,
                Event::Accepted | Event::Cancelled(_) => continue,
            };
            let (Some(message), Some(lease)) = (work.message, work.lease) else { continue };
            if !self.held.knows(&lease.token) {
                let (message_id, lease_token) = (message.id, lease.token);
                leases.push(LeaseRef { message_id, lease_token, worker_id: String::new() });
            }
        }
        leases
    }
}
