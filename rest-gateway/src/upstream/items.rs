//! Calls that go as items on a few streams which all clients share, in place of a call each: what is posted on Posts, the steps
//! of workers on Work. Whoever asks sees no difference: the same rights, limits, deadline, repetition and errors.
//!
//! An item goes only on a stream that is open and has room. Otherwise, as with the first of all, it is a call of its own, and
//! once that went well a stream is opened for the next. An item goes on to its end though its client goes away, as every call
//! does.

mod kind;
mod lane;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use http::HeaderMap;
use metrics::counter;
use repartee_process::{
    Credential,
    access::{CLIENT, NEW_VISITOR, ON_BEHALF, VISITOR},
    telemetry::{self, Span, SpanKind, TraceContext, rpc},
};
use repartee_proto::v1::{self, work_outcome::Outcome, work_request::Step};
use tokio::time::timeout;
use tonic::{Code, Request, Status, transport::Channel};

use super::{
    Metadata, Queue, Repeatable,
    uncancelled::{Awaited, Carried},
};
use crate::problem::Problem;
use kind::{Kind, Posts, Work};
use lane::{Failure, Lane};

/// Streams of a kind on each connection.
const LANES: usize = 2;

/// The streams; each is opened behind the first call that could have gone on it.
#[derive(Debug)]
pub(crate) struct Streams {
    posts: Vec<Lane<Posts>>,
    work: Vec<Lane<Work>>,
    next: AtomicUsize,
}

impl Streams {
    /// Streams over these connections.
    pub(super) fn over(channels: &[Channel], credential: &Credential) -> Self {
        let lanes = || channels.iter().cycle().take(channels.len() * LANES).cloned();
        Self {
            posts: lanes().map(|channel| Lane::over(channel, credential.clone())).collect(),
            work: lanes().map(|channel| Lane::over(channel, credential.clone())).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// The streams of a kind in turn.
    fn turn<K: Kind>(&self) -> &Lane<K> {
        let lanes = K::lanes(self);
        &lanes[self.next.fetch_add(1, Ordering::Relaxed) % lanes.len()]
    }
}

/// The steps of workers, each with the answer that it gets.
macro_rules! steps {
    ($($name:ident($request:ident as $step:ident by $call:ident, $is_repeatable:literal)
        -> $answer:ident as $outcome:ident;)*) => {$(
        /// The call of this name.
        ///
        /// # Errors
        /// 429 if too many calls are on their way; what the queue-service refuses.
        pub(crate) async fn $name(self, request: v1::$request) -> Result<v1::$answer, Problem> {
            let method = stringify!($request).strip_suffix("Request").unwrap_or_default();
            let step = Step::$step(request.clone());
            let call = async |queue: Self| Ok(queue.client()?.$call(request).await?.into_inner());
            let read = |outcome| match outcome {
                Outcome::$outcome(answer) => Some(answer),
                _ => None,
            };
            self.item_or_call::<Work, _>(method, $is_repeatable, step, read, call).await
        }
    )*};
}

impl Queue {
    /// PostMessage.
    ///
    /// # Errors
    /// 429 if too many calls are on their way; what the queue-service refuses.
    pub(crate) async fn post(
        self,
        request: v1::PostMessageRequest,
    ) -> Result<v1::PostMessageResponse, Problem> {
        let (is_keyed, asked) = (request.idempotency_key.is_some(), request.clone());
        let call = async |queue: Self| {
            let mut request = Request::new(request);
            if is_keyed {
                request.extensions_mut().insert(Repeatable);
            }
            Ok(queue.client()?.post_message(request).await?.into_inner())
        };
        self.item_or_call::<Posts, _>("PostMessage", is_keyed, asked, Some, call).await
    }

    steps! {
        claim(ClaimMessageRequest as Claim by claim_message, false) -> ClaimMessageResponse as Claimed;
        renew(RenewLeasesRequest as Renew by renew_leases, true) -> RenewLeasesResponse as Renewed;
        release(ReleaseMessageRequest as Release by release_message, false) -> ReleaseMessageResponse as Released;
        complete(CompleteMessageRequest as Complete by complete_message, true) -> CompleteMessageResponse as Completed;
        fail(FailMessageRequest as Fail by fail_message, false) -> FailMessageResponse as Failed;
    }

    /// ClaimNext without a wait.
    ///
    /// # Errors
    /// 429 if too many calls are on their way; what the queue-service refuses.
    pub(crate) async fn claim_next(
        self,
        request: v1::ClaimNextRequest,
    ) -> Result<v1::ClaimNextResponse, Problem> {
        let step = Step::ClaimNext(v1::ClaimNextRequest { wait: None, ..request.clone() });
        let call = async |queue: Self| {
            Ok(queue.client_that_waits(Duration::ZERO)?.claim_next(request).await?.into_inner())
        };
        let read = |outcome| match outcome {
            Outcome::Next(answer) => Some(answer),
            _ => None,
        };
        self.item_or_call::<Work, _>("ClaimNext", false, step, read, call).await
    }

    /// Sends an item, if a stream of its kind takes it, or makes the call for which it stands.
    async fn item_or_call<K: Kind, T>(
        mut self,
        method: &'static str,
        is_repeatable: bool,
        asked: K::Asked,
        read: impl Fn(K::Answer) -> Option<T>,
        call: impl AsyncFnOnce(Self) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let pool = self.app.clone();
        let lane = pool.pool.streams().turn::<K>();
        if lane.is_open() {
            let began = Instant::now();
            match self.item::<K>(lane, method, asked).await? {
                Ok(answer) => {
                    let other = "the queue-service answered an item with another one's outcome";
                    return read(answer).ok_or_else(|| Problem::internal(other));
                }
                Err(Failure::Refused(status)) => return Err(status.into()),
                Err(Failure::Unknown(status)) if !is_repeatable => return Err(status.into()),
                Err(Failure::Unknown(_) | Failure::Broken) => {
                    counter!("repartee_upstream_repeats_total").increment(1);
                    tracing::debug!(method, "a call is repeated, for its stream has ended");
                }
                Err(Failure::NoRoom) => {}
            }
            self.timeout = self.timeout.saturating_sub(began.elapsed());
        }
        let answer = call(self).await?;
        lane.open_soon();
        Ok(answer)
    }

    /// Sends an item and waits for its outcome.
    ///
    /// # Errors
    /// 429 if too many calls are on their way.
    async fn item<K: Kind>(
        &self,
        lane: &Lane<K>,
        method: &'static str,
        asked: K::Asked,
    ) -> Result<Result<K::Answer, Failure>, Problem> {
        let carried = Carried::by(&self.app, self.asker.client, self.timeout)?;
        let mut metadata = item_metadata(&self.asker.metadata);
        let mut span = begin_span(method, &mut metadata);
        let judgement = self.asker.judgement.clone();
        let Some(answered) = lane.put(asked, metadata, self.timeout) else { return Ok(Err(Failure::NoRoom)) };
        let item = async move {
            // The place is held as long as the item is on its way.
            let Carried { timeout: within, place: _place } = carried;
            let late = |_| Err(Failure::Refused(Status::deadline_exceeded("no answer in time")));
            let answer = timeout(within, answered).await.unwrap_or_else(late);
            if span.is_recorded() {
                let code = match &answer {
                    Ok(_) => Code::Ok,
                    Err(Failure::Refused(status) | Failure::Unknown(status)) => status.code(),
                    Err(Failure::Broken | Failure::NoRoom) => Code::Unavailable,
                };
                rpc::end(&mut span, &SpanKind::Client, code);
            }
            if answer.is_ok()
                && let Some((accepted, sent)) = judgement
            {
                accepted.accept(sent, Instant::now());
            }
            answer
        };
        Ok(Awaited::uncancelled(item).await)
    }
}

/// The span of an item if it is in a trace: the queue-service's own span is a part of it.
fn begin_span(method: &str, metadata: &mut v1::ItemMetadata) -> Span {
    if !telemetry::is_on() {
        return Span::default();
    }
    let mut headers = HeaderMap::new();
    let state = Some(metadata.tracestate.as_str()).filter(|state| !state.is_empty());
    if let Some(sent) = TraceContext::parse(&metadata.traceparent, state) {
        sent.write_to(&mut headers);
    }
    let span = rpc::begin_client_call(&format!("/repartee.v1.QueueService/{method}"), &mut headers);
    if let Some(own) = TraceContext::of(&headers) {
        metadata.traceparent = own.traceparent();
    }
    span
}

/// What a call carries, as an item has it.
fn item_metadata(metadata: &Metadata) -> v1::ItemMetadata {
    let mut item = v1::ItemMetadata::default();
    for (name, value) in metadata {
        let text = || value.to_str().unwrap_or_default().to_owned();
        match *name {
            CLIENT => item.client = text(),
            ON_BEHALF => item.authorization = text(),
            VISITOR => item.visitor = text(),
            NEW_VISITOR => item.new_visitor = true,
            "x-request-id" => item.request_id = text(),
            "traceparent" => item.traceparent = text(),
            "tracestate" => item.tracestate = text(),
            _ => {}
        }
    }
    item
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataValue;

    use super::*;

    #[test]
    fn an_item_says_all_that_a_call_carries() {
        let named = |name: &'static str| (name, MetadataValue::from_static("v"));
        let all = [CLIENT, ON_BEHALF, VISITOR, NEW_VISITOR, "x-request-id", "traceparent", "tracestate"];
        let v = || "v".to_owned();
        assert_eq!(
            item_metadata(&all.map(named).to_vec()),
            v1::ItemMetadata {
                request_id: v(),
                traceparent: v(),
                tracestate: v(),
                visitor: v(),
                new_visitor: true,
                client: v(),
                authorization: v(),
            }
        );
    }
}
