//! The stream of work: keeps one open for as long as the session lasts, hands its events on, and takes the session's steps.
//!
//! Owns connecting, the watchdog and the backoff between streams. Knows nothing of leases: what a lost stream means for
//! them is the session's and the service's affair.

mod open;

use std::time::Duration;

use futures_util::stream::poll_fn;
use repartee_process::{Credential, status_line};
use repartee_proto::v1::{StreamPendingRequest, Work, WorkResponse, work_response::Event as Sent};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use crate::{
    Breaker,
    backoff::{Backoff, Waits},
    breaker::Outage,
    client::Client,
    health::OpenStreams,
    status,
    steps::{Items, Steps, Taken, Told, Waiting},
    text::{HOLDS_BACK_BYTES, cut},
};
use open::Open;

/// How long the service may take to open a stream and say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
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
    /// The service sends no more work, because the session leaves. No other event follows.
    Left,
    /// The service refuses this worker for good. No other event follows.
    Refused(Box<Status>),
}

/// What is told of outages.
type Outages = watch::Receiver<Option<Outage>>;

/// Why a stream ended.
enum End {
    /// Another one may be opened, but not before `wait` has passed.
    Lost { why: String, wait: Duration },
    /// The service refuses this worker for good.
    Refused(Box<Status>),
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
    steps: Steps,
    /// Cancelled once the session takes no more work.
    leaving: CancellationToken,
    /// True once it has been told that the service knows.
    left: bool,
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
        Self {
            steps: Steps::new(client.clone()),
            client,
            credential,
            request,
            breaker,
            streams,
            events,
            leaving: CancellationToken::new(),
            left: false,
            backoff: Backoff::new(RECONNECT),
            accepted: false,
            greeted: false,
            said: None,
        }
    }

    /// The same with the session's steps, until it leaves.
    pub(crate) fn taking(self, steps: Steps, leaving: CancellationToken) -> Self {
        Self { steps, leaving, ..self }
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
                    tokio::select! {
                        () = sleep(wait) => {}
                        // Whoever leaves need not wait for a stream: there is nothing to be given back.
                        () = self.leaving.cancelled(), if !self.left => {}
                    }
                }
                End::Refused(status) => {
                    // A session that is gone needs no refusal.
                    let _ = self.events.send(Event::Refused(status)).await;
                    return;
                }
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
        let (mut items, mut sent) = Items::new();
        let mut open = Open::default();
        if self.leaving.is_cancelled() {
            // The service gives it nothing: it has not asked.
            if let Err(end) = self.tell(Event::Left).await {
                return end;
            }
        } else {
            open.holds_back = self.subscribe(&mut items, &mut outages);
        }
        open.token = self.credential.header();
        let requests = poll_fn(move |cx| sent.poll_recv(cx));
        match timeout(HELLO_WITHIN, self.client.work(requests)).await {
            Ok(Ok(response)) => self.read(response.into_inner(), items, open, outages).await,
            Ok(Err(status)) => ended_by(status),
            Err(_) => lost(format!("no stream within {HELLO_WITHIN:?}")),
        }
    }

    /// Asks for work, or says why none is taken at present; true if that is so.
    fn subscribe(&self, items: &mut Items, outages: &mut Outages) -> bool {
        let mut request = self.request.clone();
        let outage = outages.borrow_and_update();
        request.holds_back = outage.as_ref().map(|outage| cut(&outage.why, HOLDS_BACK_BYTES).to_owned());
        let holds_back = request.holds_back.is_some();
        items.subscribe(request);
        holds_back
    }

    /// Reads events and sends steps until the stream ends.
    async fn read(
        &mut self,
        mut stream: Streaming<WorkResponse>,
        mut items: Items,
        mut open: Open,
        mut outages: Outages,
    ) -> End {
        let leaving = self.leaving.clone();
        loop {
            if open.retry_after.is_some() && items.are_answered() {
                return open.ended("");
            }
            tokio::select! {
                sent = timeout_at(open.until, stream.message()) => match sent {
                    Ok(Ok(Some(sent))) => {
                        if let Err(end) = self.told(sent.event, &mut items, &mut open).await {
                            return end;
                        }
                        open.heard();
                    }
                    Ok(Ok(None)) => return open.ended("the service closed it"),
                    Ok(Err(status)) if open.retry_after.is_none() => return ended_by(status),
                    Ok(Err(status)) => return open.ended(&status_line(&status)),
                    Err(_) => return open.ended(&format!("silent for longer than {:?}", open.patience)),
                },
                step = next(&mut open.taken), if items.has_room() => {
                    if self.credential.header() == open.token {
                        items.send(step);
                    } else {
                        // Of a token that was replaced nobody knows how long it counts: the rest goes on a new stream, and
                        // until then without one.
                        open.ends_after(Duration::ZERO);
                        self.backoff.reset();
                    }
                }
                () = turned(&mut outages, open.holds_back), if open.takes_items() && !leaving.is_cancelled() => {
                    open.holds_back = self.subscribe(&mut items, &mut outages);
                }
                () = leaving.cancelled(), if open.takes_items() && !open.is_leaving => {
                    open.is_leaving = true;
                    items.unsubscribe();
                }
            }
        }
    }

    /// Does what an event of the stream asks for.
    ///
    /// # Errors
    /// Why the stream is over with it.
    async fn told(&mut self, event: Option<Sent>, items: &mut Items, open: &mut Open) -> Result<(), End> {
        let event = match event {
            Some(Sent::Hello(hello)) => {
                open.greet(hello.heartbeat_interval);
                open.taken.get_or_insert_with(|| self.steps.begin());
                items.may_be(hello.max_in_flight);
                return Ok(());
            }
            Some(Sent::GoingAway(going)) => {
                // That is how a stream should end, however short it was.
                self.backoff.reset();
                open.ends_after(status::bounded_wait(going.retry_after));
                return Ok(());
            }
            _ if !open.is_greeted => return Err(breach("something came before the hello")),
            Some(Sent::Outcome(outcome)) => match items.outcome(outcome) {
                Told::Accepted if open.is_leaving => Event::Left,
                Told::Accepted => {
                    (self.accepted, self.greeted) = (true, true);
                    open.shown.get_or_insert_with(|| self.streams.open());
                    Event::Accepted
                }
                Told::Refused(status) => return Err(ended_by(status)),
                Told::Nothing => return Ok(()),
            },
            Some(Sent::Work(work)) if work.message.is_none() || work.lease.is_none() => {
                return Err(breach("work without a message or a lease"));
            }
            Some(Sent::Work(work)) => Event::Work(Box::new(work)),
            Some(Sent::Cancelled(work)) => Event::Cancelled(work.message_id),
            // `None` is an event of a later version of the contract.
            Some(Sent::Heartbeat(_)) | None => return Ok(()),
        };
        self.tell(event).await
    }

    /// Hands an event to the session, which hears nothing more once it has left.
    async fn tell(&mut self, event: Event) -> Result<(), End> {
        if self.left {
            return Ok(());
        }
        self.left = matches!(event, Event::Left);
        match self.events.send(event).await {
            // It waits for nobody while it leaves, and reports all the same.
            Err(_) if self.leaving.is_cancelled() => Ok(()),
            sent => sent.map_err(|_| End::Unheard),
        }
    }
}

/// The next step for a stream; none if it takes none.
async fn next(taken: &mut Option<Taken>) -> Waiting {
    match taken {
        Some(taken) => taken.next().await,
        None => std::future::pending().await,
    }
}

/// Returns once the worker begins to hold back, or takes work again.
async fn turned(outages: &mut Outages, holds_back: bool) {
    if outages.wait_for(|outage| outage.is_some() != holds_back).await.is_err() {
        // Of a breaker that is gone nothing is heard any more.
        std::future::pending().await
    }
}

fn breach(what: &str) -> End {
    lost(format!("the service breaks the contract of Work: {what}"))
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
