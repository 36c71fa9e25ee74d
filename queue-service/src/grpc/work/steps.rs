//! Work: all that a worker does on one stream. It subscribes, gets its work, and reports on it; each step is served as the call
//! for which it stands.

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use repartee_proto::v1::{self, work_outcome::Outcome, work_request::Step, work_response::Event};
use tonic::{Status, Streaming};

use super::{QueueGrpc, Subscribed, answer, refused};
use crate::{
    domain::{self, Rejection},
    grpc::{
        caller::Caller,
        items::{Course, Ending, IN_FLIGHT, Items, Moment},
        outlet::{Inlet, Outlet, Over},
        rights::Standing,
    },
};

/// The calls for which items stand.
const SUBSCRIBE: &str = "/repartee.v1.QueueService/StreamPending";
const CLAIM: &str = "/repartee.v1.QueueService/ClaimMessage";
const CLAIM_NEXT: &str = "/repartee.v1.QueueService/ClaimNext";
const RENEW: &str = "/repartee.v1.QueueService/RenewLeases";
const RELEASE: &str = "/repartee.v1.QueueService/ReleaseMessage";
const COMPLETE: &str = "/repartee.v1.QueueService/CompleteMessage";
const FAIL: &str = "/repartee.v1.QueueService/FailMessage";

/// One open stream of Work.
struct StepStream {
    items: Items,
    requests: Streaming<v1::WorkRequest>,
    outlet: Outlet<v1::WorkResponse>,
    course: Course,
    standing: Standing,
    subscribed: Option<Subscribed>,
}

impl QueueGrpc {
    pub(in crate::grpc) fn stream_steps(
        &self,
        caller: Caller,
        requests: Streaming<v1::WorkRequest>,
    ) -> Result<Inlet<v1::WorkResponse>, Status> {
        let standing = self.rights.standing(&caller);
        // A gateway's stream is none of a worker: whoever watches over those must not take it for one.
        let others = if caller.is_gateway() { &self.streams.posters } else { &self.streams.workers };
        let room = self.room_for(&caller, others);
        let (outlet, inlet) = Outlet::open(&self.streams, room, &self.bounds.answers, standing.clone())?;
        let course = Course::of(&self.streams, standing.clone(), &outlet);
        let items = Items::new(self.clone(), caller);
        let stream = StepStream { items, requests, outlet, course, standing, subscribed: None };
        tokio::spawn(async move {
            // On `Over` the client is gone or was told already.
            let _ = stream.serve().await;
        });
        Ok(inlet)
    }
}

impl StepStream {
    async fn serve(mut self) -> Result<(), Over> {
        self.hello().await?;
        let (mut taken_up, mut ending) = (FuturesUnordered::new(), None::<Ending>);
        loop {
            if taken_up.is_empty()
                && let Some(ending) = ending.take()
            {
                ending.finish(self.outlet);
                return Ok(());
            }
            let reads = ending.is_none() && taken_up.len() < IN_FLIGHT;
            tokio::select! {
                Some(outcome) = taken_up.next() => {
                    self.send(Event::Outcome(outcome)).await?;
                    // Those of one commit come together.
                    while let Some(Some(outcome)) = taken_up.next().now_or_never() {
                        self.send(Event::Outcome(outcome)).await?;
                    }
                }
                read = self.requests.message(), if reads => match read {
                    Ok(Some(_)) if let Some(refused) = self.course.refusal() => ending = Some(refused),
                    Ok(Some(v1::WorkRequest { number, metadata, step: Some(Step::Subscribe(to)), .. })) => {
                        self.subscribe(number, metadata.unwrap_or_default(), to).await?;
                    }
                    Ok(Some(v1::WorkRequest { number, step: Some(Step::Unsubscribe(_)), .. })) => {
                        self.subscribed = None;
                        self.answer(number, Outcome::Unsubscribed(v1::Unsubscribed {})).await?;
                    }
                    Ok(Some(item)) => taken_up.push(outcome(self.items.clone(), item)),
                    Ok(None) => ending = Some(Ending::ClientDone),
                    Err(status) => ending = Some(Ending::Refused(status)),
                },
                event = next(&mut self.subscribed) => ending = self.tell(event).await?,
                moment = self.course.next() => match moment {
                    Moment::Heartbeat => self.heartbeat().await?,
                    Moment::Gone => return Err(Over),
                    Moment::Ending(end) => {
                        if let Ending::GoingAway = end {
                            self.send(Event::GoingAway(answer::going_away())).await?;
                        }
                        ending = ending.or(Some(end));
                    }
                },
            }
            if ending.is_some() {
                self.subscribed = None;
            }
        }
    }

    /// Gives the session work from now on, in place of what was subscribed to before.
    async fn subscribe(
        &mut self,
        number: u64,
        metadata: v1::ItemMetadata,
        to: v1::StreamPendingRequest,
    ) -> Result<(), Over> {
        let items = self.items.clone();
        let joined = async {
            let caller = items.caller(SUBSCRIBE, &metadata)?;
            if items.are_of_gateway() {
                return Err(Status::permission_denied(
                    "nobody subscribes by a gateway: open Work with the worker's own token",
                ));
            }
            items.grpc().subscribe(&caller, to)
        };
        let outcome = match items.serve(SUBSCRIBE, &metadata, None, joined).await {
            Ok(subscribed) => {
                self.subscribed = Some(subscribed);
                Outcome::Subscribed(v1::Subscribed {})
            }
            Err(refusal) => Outcome::Status((&refusal).into()),
        };
        self.answer(number, outcome).await
    }

    async fn answer(&mut self, number: u64, outcome: Outcome) -> Result<(), Over> {
        self.send(Event::Outcome(v1::WorkOutcome { number, outcome: Some(outcome) })).await
    }

    /// Tells what has happened to the subscription, or says why the stream has to end.
    async fn tell(&mut self, event: Option<domain::Event>) -> Result<Option<Ending>, Over> {
        let context = self.subscribed.as_ref().map_or(0, |subscribed| subscribed.context);
        let event = match event {
            Some(domain::Event::Work(_, leased)) => {
                match self.items.grpc().handed_out(&leased, context).await {
                    Ok(work) => Event::Work(work),
                    Err(status) => return Ok(Some(Ending::Refused(status))),
                }
            }
            Some(domain::Event::Cancelled(_, id)) => {
                Event::Cancelled(v1::WorkCancelled { message_id: id.to_string() })
            }
            Some(domain::Event::Nothing(_) | domain::Event::Refused(..)) => return Ok(None),
            None => {
                let too_slow = self.items.grpc().streams.too_slow();
                return Err(self.refuse(too_slow));
            }
        };
        // Once the stream is to end, nothing more is handed out; what it is owed it still gets.
        let (standing, draining) = (self.standing.clone(), self.items.grpc().streams.draining.clone());
        let ends = async {
            tokio::select! {
                () = standing.lost() => {}
                () = draining.cancelled() => {}
            }
        };
        self.outlet.send_unless(v1::WorkResponse { event: Some(event) }, ends).await?;
        Ok(None)
    }

    async fn hello(&mut self) -> Result<(), Over> {
        let grpc = self.items.grpc();
        let hello = v1::WorkHello {
            epoch: grpc.reads.store.epoch().to_string(),
            heartbeat_interval: Some(answer::span(grpc.streams.heartbeat)),
            max_in_flight: IN_FLIGHT as u32,
        };
        self.send(Event::Hello(hello)).await
    }

    async fn heartbeat(&mut self) -> Result<(), Over> {
        let told = self.subscribed.as_ref().map(|to| self.items.grpc().heartbeat(&to.entities));
        self.send(Event::Heartbeat(told.unwrap_or_default())).await
    }

    async fn send(&mut self, event: Event) -> Result<(), Over> {
        self.outlet.send_owed(v1::WorkResponse { event: Some(event) }).await
    }

    fn refuse(&mut self, status: Status) -> Over {
        self.outlet.end(Err(status));
        Over
    }
}

/// What happens next to a subscription; nothing without one.
async fn next(subscribed: &mut Option<Subscribed>) -> Option<domain::Event> {
    match subscribed {
        Some(subscribed) => subscribed.seat.next().await,
        None => std::future::pending().await,
    }
}

/// What becomes of an item.
async fn outcome(items: Items, item: v1::WorkRequest) -> v1::WorkOutcome {
    let v1::WorkRequest { number, timeout, metadata, step } = item;
    let metadata = metadata.unwrap_or_default();
    let path = match &step {
        Some(Step::Claim(_)) => CLAIM,
        Some(Step::ClaimNext(_)) => CLAIM_NEXT,
        Some(Step::Renew(_)) => RENEW,
        Some(Step::Release(_)) => RELEASE,
        Some(Step::Complete(_)) => COMPLETE,
        Some(Step::Fail(_)) => FAIL,
        Some(Step::Subscribe(_) | Step::Unsubscribe(_)) | None => SUBSCRIBE,
    };
    let taken = async {
        let caller = items.caller(path, &metadata)?;
        take(items.grpc(), &caller, step).await
    };
    // In a box: each layer around it would hold it twice.
    let outcome = items.serve(path, &metadata, timeout, Box::pin(taken)).await;
    let outcome = outcome.unwrap_or_else(|refusal| Outcome::Status((&refusal).into()));
    v1::WorkOutcome { number, outcome: Some(outcome) }
}

/// Takes a step.
///
/// # Errors
/// Those of the call for which it stands.
async fn take(grpc: &QueueGrpc, caller: &Caller, step: Option<Step>) -> Result<Outcome, Status> {
    Ok(match step {
        Some(Step::Claim(request)) => Outcome::Claimed(grpc.claim(caller, request).await?),
        Some(Step::ClaimNext(request)) if request.wait.is_some_and(|wait| wait != Default::default()) => {
            let description = "must be absent on a stream: whoever wants to wait for work subscribes";
            return Err(refused(Rejection::field("claim_next.wait", description)));
        }
        Some(Step::ClaimNext(request)) => {
            Outcome::Next(v1::ClaimNextResponse { work: grpc.next_work(caller, request).await? })
        }
        Some(Step::Renew(request)) => Outcome::Renewed(grpc.renew(caller, request).await?),
        Some(Step::Release(request)) => Outcome::Released(grpc.release(caller, request).await?),
        Some(Step::Complete(request)) => Outcome::Completed(grpc.complete(caller, request).await?),
        Some(Step::Fail(request)) => Outcome::Failed(grpc.fail(caller, request).await?),
        Some(Step::Subscribe(_) | Step::Unsubscribe(_)) | None => {
            return Err(refused(Rejection::field(
                "step",
                "is missing, or of a later version of this contract",
            )));
        }
    })
}
