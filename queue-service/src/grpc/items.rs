//! Many calls on one stream: how long such a stream lasts, and how one of its items is served as the call for which it
//! stands, with its rights, limits, deadline, costs, metrics and place in a trace.

use std::{pin::Pin, sync::Arc, time::Duration};

use repartee_process::Bound;
use repartee_proto::v1;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout};
use tonic::{Code, Status};

use super::{
    QueueGrpc, StreamRules, caller::Caller, door::CALL, outlet::Outlet, rights::Standing, service::jittered,
    status, traces,
};

/// Items of one stream that are being answered; the next ones wait unread, in the connection.
pub(super) const IN_FLIGHT: usize = 256;

/// Serves the items of one stream; cheap to clone.
#[derive(Clone)]
pub(super) struct Items(Arc<Opened>);

struct Opened {
    grpc: QueueGrpc,
    /// Who opened the stream.
    opener: Caller,
}

/// Why a stream reads no more items.
pub(super) enum Ending {
    /// It is old enough, or the service stops.
    GoingAway,
    /// Its client has ended its side.
    ClientDone,
    /// Its client has lost the right to it, or an item could not be read.
    Refused(Status),
}

/// What happens to a stream beside its items.
pub(super) enum Moment {
    /// It is time to say that it is alive.
    Heartbeat,
    /// It has to end. Comes once.
    Ending(Ending),
    /// Its client is gone.
    Gone,
}

type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The time of a stream: heartbeats, and its end. Waited for beside every item, so it is put together once.
pub(super) struct Course {
    heartbeat: Interval,
    /// `None` once it has come.
    ending: Option<Waiting<Ending>>,
    gone: Waiting<()>,
    standing: Standing,
}

impl Course {
    /// Begins with the stream.
    pub(super) fn of<T: prost::Message + 'static>(
        rules: &StreamRules,
        standing: Standing,
        outlet: &Outlet<T>,
    ) -> Self {
        let mut heartbeat = interval_at(Instant::now() + rules.heartbeat, rules.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (draining, age) = (rules.draining.clone(), jittered(rules.age));
        let held = standing.clone();
        let ending = async move {
            tokio::select! {
                () = held.lost() => Ending::Refused(status::token_refused()),
                () = draining.cancelled() => Ending::GoingAway,
                () = sleep(age) => Ending::GoingAway,
            }
        };
        Self { heartbeat, ending: Some(Box::pin(ending)), gone: Box::pin(outlet.gone()), standing }
    }

    /// How the stream ends instead of taking up an item, if its client has lost the right to it.
    pub(super) fn refusal(&self) -> Option<Ending> {
        self.standing.is_lost().then(|| Ending::Refused(status::token_refused()))
    }

    /// What happens next. Nothing is lost if this is dropped.
    pub(super) async fn next(&mut self) -> Moment {
        let ending = async {
            match &mut self.ending {
                Some(ending) => ending.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ending = ending => {
                self.ending = None;
                Moment::Ending(ending)
            }
            _ = self.heartbeat.tick() => Moment::Heartbeat,
            () = &mut self.gone => Moment::Gone,
        }
    }
}

impl Ending {
    /// The last word of a stream whose items all have their outcomes.
    pub(super) fn finish<T: prost::Message>(self, mut outlet: Outlet<T>) {
        match self {
            Self::Refused(status) => outlet.end(Err(status)),
            Self::GoingAway | Self::ClientDone => outlet.close(),
        }
    }
}

impl Items {
    /// The items of a stream that `opener` has opened.
    pub(super) fn new(grpc: QueueGrpc, opener: Caller) -> Self {
        Self(Arc::new(Opened { grpc, opener }))
    }

    /// What serves the calls.
    pub(super) fn grpc(&self) -> &QueueGrpc {
        &self.0.grpc
    }

    /// Who asks for an item, if they may make the call at `path`.
    ///
    /// # Errors
    /// As that call's.
    pub(super) fn caller(&self, path: &str, metadata: &v1::ItemMetadata) -> Result<Caller, Status> {
        let Opened { grpc, opener } = &*self.0;
        grpc.rights.judge_item(opener, path, metadata)
    }

    /// Whether a gateway has opened the stream, for others.
    pub(super) fn are_of_gateway(&self) -> bool {
        self.0.opener.is_gateway()
    }

    /// Serves one item as the call at `path`.
    ///
    /// # Errors
    /// What `answer` says; TOO_MANY_CALLS if too much is being answered, DEADLINE_EXCEEDED after `span`.
    pub(super) async fn serve<T>(
        &self,
        path: &'static str,
        metadata: &v1::ItemMetadata,
        span: Option<prost_types::Duration>,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let Opened { grpc, opener } = &*self.0;
        let began = std::time::Instant::now();
        let timed = async {
            let limit = limit(span);
            if limit.is_zero() {
                return Err(status::too_late());
            }
            let _place = grpc.bounds.calls.enter(1).map_err(status::too_many_calls)?;
            timeout(limit, answer).await.unwrap_or_else(|_| Err(status::too_late()))
        };
        let outcome = traces::known_item(!opener.is_visitor(), path, metadata, timed).await;
        let code = outcome.as_ref().map_or_else(Status::code, |_| Code::Ok);
        grpc.times.note(path, code as usize, began.elapsed());
        outcome
    }
}

impl QueueGrpc {
    /// A gateway has room of its own; what it opens beyond that is as anybody's.
    pub(super) fn room_for<'a>(&'a self, caller: &Caller, others: &'a Bound) -> &'a Bound {
        let gateways = &self.streams.gateways;
        if caller.is_gateway() && gateways.has_room(1) { gateways } else { others }
    }
}

/// How long an outcome is of use: as long as a call may take, if the client does not say, and not at all if the time is over.
fn limit(span: Option<prost_types::Duration>) -> Duration {
    span.map_or(CALL, |span| Duration::try_from(span).unwrap_or_default().min(CALL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_of_use_as_long_as_its_client_says_and_a_minute_at_most() {
        let of = |seconds, nanos| limit(Some(prost_types::Duration { seconds, nanos }));
        assert_eq!(limit(None), CALL);
        assert_eq!(of(1, 500_000_000), Duration::from_millis(1_500));
        assert_eq!(of(61, 0), CALL);
        assert_eq!((of(0, 0), of(-1, 0), of(0, -1)), (Duration::ZERO, Duration::ZERO, Duration::ZERO));
    }
}
