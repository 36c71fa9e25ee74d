//! Handing out work: StreamPending in mode LEASE, and ClaimNext. Mode OFFER is in [`offer`], the call Work in [`steps`].

mod offer;
mod steps;

use std::pin::pin;

use repartee_proto::v1::{self, StreamMode, stream_pending_response::Event};
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use super::{
    QueueGrpc, answer,
    caller::Caller,
    check,
    outlet::{Inlet, Outlet, Over},
    rights::Standing,
    service::{jittered, refused},
    status,
    traces::{self, HandedOut},
};
use crate::{
    domain::{self, ClaimBy, Leased, Record, Rejection, Taker},
    writer::{Clock as _, Seat},
};

/// One stream of work: what both modes share.
struct WorkStream {
    grpc: QueueGrpc,
    standing: Standing,
    entities: Vec<String>,
    outlet: Outlet<v1::StreamPendingResponse>,
    next_heartbeat: Instant,
    end: Instant,
}

/// A session that takes work in mode LEASE, until this is dropped.
struct Subscribed {
    seat: Seat,
    entities: Vec<String>,
    /// How many messages of its conversation come with each message.
    context: usize,
}

/// What a worker asks for that opens a stream, checked.
struct Wanted {
    mode: StreamMode,
    session_id: String,
    max_in_flight: usize,
    holds_back: Option<String>,
    worker: check::Worker,
}

impl QueueGrpc {
    pub(super) fn stream_work(
        &self,
        caller: &Caller,
        request: v1::StreamPendingRequest,
    ) -> Result<Inlet<v1::StreamPendingResponse>, Status> {
        let wanted = self.wanted(caller, request)?;
        let standing = self.rights.standing(caller);
        let (room, answers) = (&self.streams.workers, &self.bounds.answers);
        let (outlet, inlet) = Outlet::open(&self.streams, room, answers, standing.clone())?;
        let stream = WorkStream {
            grpc: self.clone(),
            standing,
            entities: wanted.worker.entities.clone(),
            outlet,
            next_heartbeat: Instant::now() + self.streams.heartbeat,
            end: Instant::now() + jittered(self.streams.age),
        };
        if wanted.mode == StreamMode::Offer {
            self.names.serve(&wanted.worker.entities);
            tokio::spawn(stream.offer());
            return Ok(inlet);
        }
        let Subscribed { seat, context, .. } = self.join(caller, wanted)?;
        tokio::spawn(stream.lease(seat, context));
        Ok(inlet)
    }

    /// Lets a session take work, in mode LEASE.
    fn subscribe(&self, caller: &Caller, request: v1::StreamPendingRequest) -> Result<Subscribed, Status> {
        let wanted = self.wanted(caller, request)?;
        if wanted.mode == StreamMode::Offer {
            let description = "must be LEASE here: work is offered on StreamPending";
            return Err(refused(Rejection::field("subscribe.mode", description)));
        }
        self.join(caller, wanted)
    }

    fn wanted(&self, caller: &Caller, mut request: v1::StreamPendingRequest) -> Result<Wanted, Status> {
        let mode = request.mode();
        let max_in_flight = check::stream(&self.limits, &mut request).map_err(refused)?;
        let v1::StreamPendingRequest {
            worker_id,
            session_id,
            entities,
            lease,
            context_limit,
            holds_back,
            ..
        } = request;
        let mut worker =
            check::worker(&self.limits, worker_id, entities, lease, context_limit).map_err(refused)?;
        worker.entities = Self::granted(caller, worker.entities).map_err(refused)?;
        Ok(Wanted { mode, session_id, max_in_flight, holds_back, worker })
    }

    fn join(&self, caller: &Caller, wanted: Wanted) -> Result<Subscribed, Status> {
        let Wanted { session_id, max_in_flight, holds_back, worker, .. } = wanted;
        self.names.serve(&worker.entities);
        let by =
            ClaimBy::new(worker.worker_id, Some(session_id), worker.lease_ms).under(caller.worker_token());
        let entities = worker.entities.clone();
        let taker = Taker { by, entities: worker.entities, max_in_flight, until: None, holds_back };
        // Each message in flight may be delivered and cancelled, and once more after the session came back.
        let seat = self.queue.join(taker, 4 * max_in_flight + 64).map_err(status::command)?;
        Ok(Subscribed { seat, entities, context: worker.context })
    }

    /// How much waits for these entities.
    fn heartbeat(&self, entities: &[String]) -> v1::StreamHeartbeat {
        let (pending, oldest) = self.reads.views.depth(entities);
        v1::StreamHeartbeat { pending, oldest_age: answer::age(oldest, self.clock.read().wall) }
    }

    /// Claims the first message that fits, or waits for one.
    pub(super) async fn next_work(
        &self,
        caller: &Caller,
        request: v1::ClaimNextRequest,
    ) -> Result<Option<v1::Work>, Status> {
        let v1::ClaimNextRequest { worker_id, entities, wait, lease, context_limit } = request;
        let wait_ms = check::wait(&self.limits, wait).map_err(refused)?;
        let mut worker =
            check::worker(&self.limits, worker_id, entities, lease, context_limit).map_err(refused)?;
        worker.entities = Self::granted(caller, worker.entities).map_err(refused)?;
        let by = ClaimBy::new(worker.worker_id, None, worker.lease_ms).under(caller.worker_token());
        let until = Some(self.clock.read().now.saturating_add(wait_ms));
        let taker = Taker { by, entities: worker.entities, max_in_flight: 1, until, holds_back: None };
        let _place = self.streams.enter(&self.streams.workers)?;
        self.names.serve(&taker.entities);
        let mut seat = self.queue.join(taker, 1).map_err(status::command)?;
        let standing = self.rights.standing(caller);
        let event = tokio::select! {
            event = seat.next() => event,
            () = standing.lost() => return Err(status::token_refused()),
            () = self.streams.draining.cancelled() => return Err(status::draining()),
        };
        match event {
            Some(domain::Event::Work(_, leased)) => {
                let work = self.handed_out(&leased, worker.context).await?;
                seat.accept();
                Ok(Some(work))
            }
            Some(domain::Event::Refused(_, rejection)) => Err(refused(rejection)),
            Some(domain::Event::Nothing(_) | domain::Event::Cancelled(..)) => Ok(None),
            None => Err(status::draining()),
        }
    }

    async fn handed_out(&self, leased: &Leased, context: usize) -> Result<v1::Work, Status> {
        let handed_out = HandedOut::begin(&leased.record);
        let (traceparent, tracestate) = handed_out.told();
        Ok(v1::Work {
            message: Some(answer::message_for_worker(&leased.record)),
            lease: Some(answer::lease(leased)),
            context: self.context(&leased.record, context).await?,
            traceparent,
            tracestate,
        })
    }

    /// The last messages of a conversation before this one.
    async fn context(&self, record: &Record, limit: usize) -> Result<Vec<v1::Message>, Status> {
        let content = &record.content;
        let (Some(conversation), 1..) = (content.conversation, limit) else { return Ok(Vec::new()) };
        let read = self.reads.conversation("Context", conversation, content.posted, limit);
        let (records, ..) = read.await.map_err(status::storage)?;
        Ok(records.iter().map(|record| answer::message_for_worker(record)).collect())
    }
}

impl WorkStream {
    /// Mode LEASE: sends what the writer claims for this stream.
    async fn lease(mut self, mut seat: Seat, context: usize) {
        // On `Over` the client is gone or was told already.
        let _ = self.serve_leases(&mut seat, context).await;
    }

    async fn serve_leases(&mut self, seat: &mut Seat, context: usize) -> Result<(), Over> {
        self.hello().await?;
        let draining = self.grpc.streams.draining.clone();
        let standing = self.standing.clone();
        let mut lost = pin!(standing.lost());
        loop {
            tokio::select! {
                event = seat.next() => match event {
                    Some(event) => self.tell(event, context).await?,
                    None => {
                        let too_slow = self.grpc.streams.too_slow();
                        return Err(self.refuse(too_slow));
                    }
                },
                () = sleep_until(self.next_heartbeat) => self.heartbeat().await?,
                () = sleep_until(self.end) => return Err(self.go_away()),
                () = draining.cancelled() => return Err(self.go_away()),
                () = &mut lost => return Err(self.refuse(status::token_refused())),
                () = self.outlet.closed() => return Err(Over),
            }
        }
    }

    async fn tell(&mut self, event: domain::Event, context: usize) -> Result<(), Over> {
        let event = match event {
            domain::Event::Work(_, leased) => match self.grpc.handed_out(&leased, context).await {
                Ok(work) => Event::Work(work),
                Err(status) => return Err(self.refuse(status)),
            },
            domain::Event::Cancelled(_, id) => {
                Event::Cancelled(v1::WorkCancelled { message_id: id.to_string() })
            }
            domain::Event::Nothing(_) | domain::Event::Refused(..) => return Ok(()),
        };
        self.send(event).await
    }

    async fn hello(&mut self) -> Result<(), Over> {
        let hello = v1::StreamHello {
            epoch: self.grpc.reads.store.epoch().to_string(),
            heartbeat_interval: Some(answer::span(self.grpc.streams.heartbeat)),
        };
        self.send(Event::Hello(hello)).await
    }

    async fn heartbeat(&mut self) -> Result<(), Over> {
        self.next_heartbeat += self.grpc.streams.heartbeat;
        let heartbeat = self.grpc.heartbeat(&self.entities);
        self.send(Event::Heartbeat(heartbeat)).await
    }

    async fn send(&mut self, event: Event) -> Result<(), Over> {
        self.outlet.send(v1::StreamPendingResponse { event: Some(event) }).await
    }

    fn go_away(&mut self) -> Over {
        let event = Some(Event::GoingAway(answer::going_away()));
        self.outlet.end(Ok(v1::StreamPendingResponse { event }));
        Over
    }

    fn refuse(&mut self, status: Status) -> Over {
        self.outlet.end(Err(status));
        Over
    }
}
