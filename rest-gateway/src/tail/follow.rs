//! The loop that keeps the tail: one stream from the queue-service, opened again from its cursor whenever it ends.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use metrics::counter;
use repartee_process::{
    Credential, status_line,
    telemetry::{NewSpan, Span, SpanKind},
};
use repartee_proto::v1::{
    self, WatchHello, WatchMode, queue_service_client::QueueServiceClient, watch_messages_response::Event,
};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::{Code, Request, Status, Streaming, service::interceptor::InterceptedService, transport::Channel};

use super::{
    Tail,
    change::Change,
    cursor,
    unsettled::{Gap, Unsettled},
};

/// Between two attempts, at random: never sooner than the first, never later than the second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A stream that lived this long and was sent away is opened again at once.
const LIVED: Duration = Duration::from_secs(1);
/// After a stream that lived this long, pauses begin with the shortest again, and what ended it is worth a line of its own.
const LIVED_WELL: Duration = Duration::from_secs(10);
/// Between two moments in which browsers are told of what bots write, however many write.
const DRAFTS: Duration = Duration::from_millis(100);
/// How long the newest page may take, and the answer about the gateway's own token.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// Follows the queue-service for one tail.
pub(crate) struct Follower {
    /// What is kept.
    pub(crate) tail: Arc<Tail>,
    /// Called for each message that is completed, with the time since it was posted.
    pub(crate) answered: Box<dyn Fn(Duration) + Send + Sync>,
    /// A connection of its own: pages on their way to browsers never stand before a change.
    pub(crate) channel: Channel,
    /// The gateway's own token.
    pub(crate) credential: Credential,
    /// The most bytes of one answer.
    pub(crate) max_answer_bytes: usize,
    /// Messages to begin with.
    pub(crate) seed: u32,
    /// A stream that is silent for longer is dead.
    pub(crate) patience: Duration,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{}", status_line(.0))]
    Refused(#[from] Status),
    #[error("it was silent for longer than {0:?}")]
    Silent(Duration),
    #[error("it ended")]
    Ended,
    #[error("the position is lost: {0}")]
    Reset(String),
    #[error("the queue-service broke the contract: {0}")]
    Contract(&'static str),
}

impl Lost {
    /// What somebody has to mend, in words; `None` if it passes by itself.
    fn to_be_mended(&self) -> Option<String> {
        match self {
            Self::Refused(status) => match status.code() {
                Code::Unauthenticated | Code::PermissionDenied => Some(format!(
                    "the queue-service does not accept this gateway's token ({}): give it one of the role gateway",
                    status.message()
                )),
                _ => None,
            },
            Self::Contract(what) => Some(format!("the queue-service breaks the contract: {what}")),
            Self::Silent(_) | Self::Ended | Self::Reset(_) => None,
        }
    }

    /// What kind of end it is: two of one kind are told once.
    fn kind(&self) -> String {
        match self {
            Self::Refused(status) => format!("refused: {:?}", status.code()),
            Self::Silent(_) => "silent".to_owned(),
            Self::Ended => "ended".to_owned(),
            Self::Reset(_) => "reset".to_owned(),
            Self::Contract(what) => format!("contract: {what}"),
        }
    }
}

/// How a stream ended that nothing is wrong with.
struct SentAway;

impl Follower {
    /// Keeps the tail for as long as it is polled.
    pub(crate) async fn run(self) -> Infallible {
        // It is there before the first reset.
        counter!("repartee_tail_resets_total").increment(0);
        let (mut failures, mut said) = (0_u32, Vec::new());
        loop {
            let began = Instant::now();
            let ended = self.follow().await;
            let was_live = self.tail.go_away();
            if let Err(Lost::Reset(_) | Lost::Contract(_)) = &ended {
                counter!("repartee_tail_resets_total").increment(1);
                self.tail.forget();
            }
            let lived_well = was_live && began.elapsed() >= LIVED_WELL;
            failures = if lived_well { 0 } else { failures.saturating_add(1) };
            if lived_well {
                said.clear();
            }
            match ended {
                Ok(SentAway) if was_live && began.elapsed() >= LIVED => {
                    failures = 0;
                    continue;
                }
                Ok(SentAway) => tracing::debug!("the queue-service sent the stream of changes away"),
                Err(lost) => {
                    self.tail.set_trouble(lost.to_be_mended());
                    self.say(&lost, &mut said);
                }
            }
            sleep(pause(failures)).await;
        }
    }

    /// Says each kind of end once, until the stream has lived well in between: a queue-service that stays away is told of by
    /// the health check.
    fn say(&self, lost: &Lost, said: &mut Vec<String>) {
        let what = lost.kind();
        if said.contains(&what) {
            return tracing::debug!(%lost, "the stream of changes is still away");
        }
        said.push(what);
        let to_mend = lost.to_be_mended();
        tracing::warn!(%lost, to_mend, "the stream of changes is away; this gateway goes on trying");
    }

    /// Opens the stream and follows it to its end.
    async fn follow(&self) -> Result<SentAway, Lost> {
        counter!("repartee_tail_streams_total").increment(1);
        self.prove().await?;
        let position = self.tail.position();
        let cursor = position.as_ref().map(|(epoch, seq)| cursor::format(epoch, *seq));
        let request = v1::WatchMessagesRequest { cursor, domain: String::new(), drafts: true };
        let opened = timeout(self.patience, self.client().watch_messages(request)).await;
        let mut stream = opened.map_err(|_| Lost::Silent(self.patience))??.into_inner();
        let Event::Hello(hello) = self.next(&mut stream).await? else {
            return Err(Lost::Contract("a stream of changes begins with hello"));
        };
        self.tail.clock.set(hello.server_time);
        let goal = self.begin(&hello, position.as_ref()).await?;
        let (epoch, from) = self.tail.position().unwrap_or_default();
        self.keep(stream, &epoch, Unsettled::after(from), goal).await
    }

    /// Makes sure that the gateway's token is a gateway's: a worker's or an operator's opens the stream as well, but no call for
    /// a client is accepted with it.
    async fn prove(&self) -> Result<(), Lost> {
        let Some(token) = self.credential.token() else { return Ok(()) };
        let mut request = Request::new(v1::AuthenticateRequest { token: token.reveal().to_owned() });
        request.set_timeout(LIST_TIMEOUT);
        let proved = self.client().authenticate(request).await?.into_inner();
        match proved.role() {
            v1::Role::Gateway => Ok(()),
            _ => Err(Lost::Contract("who is no gateway is told what a token proves")),
        }
    }

    /// Makes sure that the tail holds what was before the stream. Gives the number that it has to reach to be live.
    async fn begin(&self, hello: &WatchHello, position: Option<&(String, u64)>) -> Result<u64, Lost> {
        let (epoch, tail) = cursor::parse(&hello.tail).ok_or(Lost::Contract("hello has no cursor"))?;
        match (hello.mode(), position) {
            (WatchMode::Resumed, Some((ours, _))) if ours == epoch => Ok(tail),
            (WatchMode::Live, None) => self.seed(epoch, tail).await,
            (WatchMode::Live | WatchMode::Resumed | WatchMode::Reset | WatchMode::Unspecified, _) => {
                Err(Lost::Reset(format!("{:?} of {}", hello.mode(), hello.tail)))
            }
        }
    }

    /// Lists the newest page. The stream is open and begins after `seq`, so nothing is missed between.
    async fn seed(&self, epoch: &str, seq: u64) -> Result<u64, Lost> {
        let request = v1::ListMessagesRequest { limit: self.seed, ..v1::ListMessagesRequest::default() };
        let mut request = Request::new(request);
        request.set_timeout(LIST_TIMEOUT);
        let page = self.client().list_messages(request).await?.into_inner();
        let (of, listed) = cursor::parse(&page.next_cursor).ok_or(Lost::Contract("a page has no cursor"))?;
        if of != epoch || listed < seq {
            return Err(Lost::Reset("the log was replaced in the middle of the seed".to_owned()));
        }
        let complete = page.messages.len() < self.seed as usize && !page.older;
        self.tail.seed(epoch, seq, listed, page.messages, complete);
        Ok(listed)
    }

    /// Shows what the stream brings, until it ends.
    async fn keep(
        &self,
        mut stream: Streaming<v1::WatchMessagesResponse>,
        epoch: &str,
        mut unsettled: Unsettled,
        goal: u64,
    ) -> Result<SentAway, Lost> {
        let mut live = false;
        let (mut drafted, mut next_drafts) = (BTreeSet::new(), Instant::now());
        loop {
            if !live && self.tail.position().is_some_and(|(_, seq)| seq >= goal) {
                live = true;
                self.tail.go_live();
                tracing::info!(seq = goal, "the tail of the feed is live");
            }
            if !drafted.is_empty() && Instant::now() >= next_drafts {
                self.tail.show_drafts(std::mem::take(&mut drafted).into_iter());
                next_drafts = Instant::now() + DRAFTS;
            }
            let event = tokio::select! {
                biased;
                event = self.next(&mut stream) => event?,
                () = sleep_until(next_drafts), if !drafted.is_empty() => continue,
            };
            match event {
                Event::Draft(draft) => {
                    self.tail.draft(&draft);
                    drafted.insert(draft.domain);
                }
                Event::Change(change) => {
                    let caught_up = change.caught_up;
                    let change =
                        Change::read(epoch, change).ok_or(Lost::Contract("a change has no message"))?;
                    let whole = unsettled.take_in(change, caught_up);
                    self.show(whole.map_err(|Gap(_, _)| Lost::Contract("a change is missing"))?);
                }
                Event::Heartbeat(heartbeat) => {
                    self.tail.clock.set(heartbeat.server_time);
                    self.show(unsettled.settle());
                }
                Event::GoingAway(_) => return Ok(SentAway),
                Event::Reset(reset) => return Err(Lost::Reset(reset.reason)),
                Event::Hello(_) => return Err(Lost::Contract("hello comes once")),
            }
        }
    }

    /// Shows changes. The stream never goes back behind what is shown, so here each answer is counted once.
    fn show(&self, changes: Vec<Change>) {
        changes.iter().filter_map(|change| change.answered_after).for_each(&self.answered);
        let _spans: Vec<_> = changes.iter().filter_map(span_of_showing).collect();
        self.tail.show(changes);
    }

    async fn next(&self, stream: &mut Streaming<v1::WatchMessagesResponse>) -> Result<Event, Lost> {
        loop {
            let message = timeout(self.patience, stream.message()).await;
            let response = message.map_err(|_| Lost::Silent(self.patience))??.ok_or(Lost::Ended)?;
            // An event of a kind that this gateway does not know concerns newer ones.
            if let Some(event) = response.event {
                return Ok(event);
            }
        }
    }

    fn client(&self) -> QueueServiceClient<InterceptedService<Channel, Credential>> {
        QueueServiceClient::with_interceptor(self.channel.clone(), self.credential.clone())
            .max_decoding_message_size(self.max_answer_bytes)
    }
}

/// From here on those who poll, and those who follow, are shown a new message.
fn span_of_showing(change: &Change) -> Option<Span> {
    let trace = change.trace.as_deref()?;
    let mut span = NewSpan::of(SpanKind::Internal, Some(trace)).begin(|| "show message");
    span.set("messaging.system", || "repartee".into());
    span.set("messaging.message.id", || change.id.to_string().into());
    Some(span)
}

/// Full jitter: gateways that lost the same queue-service do not come back together.
fn pause(failures: u32) -> Duration {
    let most = SHORTEST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
    SHORTEST_PAUSE + (most - SHORTEST_PAUSE).mul_f64(rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_PAUSE, SHORTEST_PAUSE, pause};

    #[test]
    fn pauses_stay_within_their_bounds() {
        for failures in [0, 1, 5, 6, 31, u32::MAX] {
            let pause = pause(failures);
            assert!((SHORTEST_PAUSE..=LONGEST_PAUSE).contains(&pause), "{failures}: {pause:?}");
        }
        assert_eq!(pause(0), SHORTEST_PAUSE);
    }
}
