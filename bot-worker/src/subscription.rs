//! The stream of work: keeps one open for as long as the worker takes work, and hands its events on.
//!
//! Owns connecting, the watchdog and the backoff between streams. Knows nothing of leases: what a lost stream means for
//! them is the session's and the service's affair.

use std::time::Duration;

use repartee_process::{Credential, status_line};
use repartee_proto::v1::{
    StreamPendingRequest, StreamPendingResponse, Work, stream_pending_response::Event as Sent,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tonic::{Code, Status, Streaming};

use crate::{
    Breaker,
    backoff::{Backoff, Waits},
    client::Client,
    health::OpenStreams,
    status,
    text::{HOLDS_BACK_BYTES, cut},
};

/// How long the service may take to open a stream and say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// The interval of heartbeats where the service does not name one.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a token that stays as it is may be unknown at the start: the service looks at its tokens file every second.
const NEW_TOKEN: Duration = Duration::from_secs(2);
/// Waits between two streams. They begin anew behind a stream that has lived for longer than the longest of them: a service
/// that says hello and breaks off at once is as far away as one that says nothing.
const RECONNECT: Waits = Waits::new(Duration::from_millis(50), Duration::from_secs(10));

/// What the session learns from the stream.
#[derive(Debug)]
pub(crate) enum Event {
    /// The service accepted this session.
    Accepted,
    /// A message to work on; after a reconnect also those that the session holds already.
    Work(Box<Work>),
    /// The message with this id needs no answer any more.
    Cancelled(String),
    /// The service refuses this worker for good. No other event follows.
    Refused(Box<Status>),
}

/// Why a stream ended.
enum End {
    /// Another one may be opened, but not before `wait` has passed.
    Lost { why: String, wait: Duration },
    /// The service refuses this worker for good.
    Refused(Box<Status>),
    /// The worker began to hold back, or takes work again: the service has to be told.
    Turned,
    /// The session is gone.
    Unheard,
}

/// The subscription of one session to its work.
pub(crate) struct Subscription {
    client: Client,
    credential: Credential,
    request: StreamPendingRequest,
    breaker: Breaker,
    streams: OpenStreams,
    events: mpsc::Sender<Event>,
    backoff: Backoff,
    /// True once the service has accepted this worker.
    accepted: bool,
    /// True once the present stream has said hello.
    greeted: bool,
    /// What was last said to be wrong: it is said once, not with every try.
    said: Option<String>,
}

impl Subscription {
    /// A subscription that has not said hello yet.
    pub(crate) fn new(
        client: Client,
        credential: Credential,
        request: StreamPendingRequest,
        breaker: Breaker,
        streams: OpenStreams,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let (backoff, accepted, greeted, said) = (Backoff::new(RECONNECT), false, false, None);
        Self { client, credential, request, breaker, streams, events, backoff, accepted, greeted, said }
    }

    /// Follows one stream after the other until the service refuses the worker or the session is gone.
    pub(crate) async fn follow(mut self) {
        let begun = Instant::now();
        loop {
            self.read_token();
            let opened = Instant::now();
            self.greeted = false;
            let end = self.open_and_read().await;
            let end = self.unless_new(self.unless_replaced(end), begun);
            // A service that takes long to say nothing is no better than one that says it at once.
            if self.greeted && opened.elapsed() > RECONNECT.cap {
                self.backoff.reset();
                self.said = None;
            }
            match end {
                End::Lost { why, wait } => {
                    let wait = wait + self.backoff.next(rand::random());
                    self.say(&why);
                    sleep(wait).await;
                }
                End::Refused(status) => {
                    // A session that is gone needs no refusal.
                    let _ = self.events.send(Event::Refused(status)).await;
                    return;
                }
                End::Turned => {}
                End::Unheard => return,
            }
        }
    }

    /// Says why there is no stream, and what is wrong again and again only once.
    fn say(&mut self, why: &str) {
        if self.said.as_deref() == Some(why) {
            return tracing::debug!(why, "no stream of work; trying again");
        }
        tracing::warn!(why, "no stream of work; trying again until there is one");
        self.said = Some(why.to_owned());
    }

    /// A token that stands in a file is not refused for good, whether it was accepted before or not: operators rotate tokens, and
    /// the file, or what the service knows of it, may be late. A Secret of Kubernetes takes a minute or more to get to a service
    /// that runs already. One that was given by variable stays as it is.
    fn unless_replaced(&self, end: End) -> End {
        match end {
            End::Refused(status)
                if self.credential.may_change()
                    && matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) =>
            {
                let since = if self.accepted { "any more" } else { "yet" };
                lost(format!("the token is not accepted {since}, reading it again: {}", status.message()))
            }
            end => end,
        }
    }

    /// A token that was just made is unknown until the service has looked at its tokens file again.
    fn unless_new(&self, end: End, begun: Instant) -> End {
        match end {
            End::Refused(status)
                if !self.accepted
                    && status.code() == Code::PermissionDenied
                    && self.credential.header().is_some()
                    && begun.elapsed() < NEW_TOKEN =>
            {
                lost("the token is not accepted yet")
            }
            end => end,
        }
    }

    /// At the last moment before a stream: the token may just have been replaced. Nobody waits for this thread then, and the
    /// file is a line long.
    fn read_token(&self) {
        if let Err(problem) = self.credential.read_again() {
            // Said aloud, and once, by the one who follows the file.
            tracing::debug!(problem, "the token cannot be read again; going on with the old one");
        }
    }

    async fn open_and_read(&mut self) -> End {
        let mut outages = self.breaker.watch();
        let holds_back = outages.borrow_and_update().as_ref().map(|outage| outage.why.clone());
        let mut request = self.request.clone();
        request.holds_back = holds_back.as_deref().map(|why| cut(why, HOLDS_BACK_BYTES).to_owned());
        let turned = outages.wait_for(|outage| outage.is_some() != holds_back.is_some());
        let stream = async {
            match timeout(HELLO_WITHIN, self.client.stream_pending(request)).await {
                Ok(Ok(response)) => self.read(response.into_inner()).await,
                Ok(Err(status)) => ended_by(status),
                Err(_) => lost(format!("no stream within {HELLO_WITHIN:?}")),
            }
        };
        tokio::select! {
            end = stream => end,
            _ = turned => End::Turned,
        }
    }

    async fn read(&mut self, mut stream: Streaming<StreamPendingResponse>) -> End {
        let (mut patience, mut open) = (HELLO_WITHIN, None);
        loop {
            let sent = match timeout(patience, stream.message()).await {
                Ok(Ok(Some(sent))) => sent.event,
                Ok(Ok(None)) => return lost("the service closed it"),
                Ok(Err(status)) => return ended_by(status),
                Err(_) => return lost(format!("silent for longer than {patience:?}")),
            };
            let event = match sent {
                Some(Sent::Hello(hello)) => {
                    (self.accepted, self.greeted) = (true, true);
                    open.get_or_insert_with(|| self.streams.open());
                    patience = patience_for(hello.heartbeat_interval);
                    Event::Accepted
                }
                Some(Sent::GoingAway(going)) => {
                    // That is how a stream should end, however short it was.
                    self.backoff.reset();
                    let wait = status::bounded_wait(going.retry_after);
                    return End::Lost { why: "the service goes away".into(), wait };
                }
                _ if !self.greeted => return breach("something came before the hello"),
                Some(Sent::Work(work)) if work.message.is_none() || work.lease.is_none() => {
                    return breach("work without a message or a lease");
                }
                Some(Sent::Work(work)) => Event::Work(Box::new(work)),
                Some(Sent::Cancelled(work)) => Event::Cancelled(work.message_id),
                // `None` is an event of a later version of the contract.
                Some(Sent::Heartbeat(_)) | None => continue,
            };
            if self.events.send(event).await.is_err() {
                return End::Unheard;
            }
        }
    }
}

fn breach(what: &str) -> End {
    lost(format!("the service breaks the contract of StreamPending: {what}"))
}

/// How long a stream may be silent: twice the interval of its heartbeats.
fn patience_for(interval: Option<prost_types::Duration>) -> Duration {
    let interval =
        interval.and_then(|interval| interval.try_into().ok()).filter(|interval| *interval > Duration::ZERO);
    interval.unwrap_or(HEARTBEAT).saturating_mul(2)
}

fn lost(why: impl Into<String>) -> End {
    End::Lost { why: why.into(), wait: Duration::ZERO }
}

fn ended_by(status: Status) -> End {
    if status::may_pass(status.code()) {
        let wait = status::asked_wait(&status);
        End::Lost { why: status_line(&status), wait }
    } else {
        End::Refused(Box::new(status))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::patience_for;

    #[test]
    fn a_stream_may_be_silent_for_two_heartbeats() {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        assert_eq!(patience_for(seconds(300)), Duration::from_secs(600));
        assert_eq!(patience_for(seconds(0)), Duration::from_secs(30));
        assert_eq!(patience_for(seconds(-1)), Duration::from_secs(30));
        assert_eq!(patience_for(None), Duration::from_secs(30));
    }
}
