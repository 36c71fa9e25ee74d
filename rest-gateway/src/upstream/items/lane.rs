//! One stream after the other for items of many clients: who sends what, and what becomes of the items when a stream ends.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use futures_util::stream::poll_fn;
use parking_lot::Mutex;
use repartee_process::Credential;
use repartee_proto::v1::{self, queue_service_client::QueueServiceClient};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tonic::{Code, Status, Streaming, transport::Channel};

use super::{
    super::MAX_ANSWER_BYTES,
    kind::{Event, Kind},
};

/// Items that are on their way at once, if the service takes up as many.
const IN_FLIGHT: usize = 256;
/// Items that wait for one of these; what comes then is a call of its own.
const WAITING: usize = 64;
/// After a stream was refused or broke, the next one is opened no sooner.
const PAUSE: Duration = Duration::from_secs(1);

/// One stream at a time.
pub(crate) struct Lane<K: Kind> {
    channel: Channel,
    credential: Credential,
    state: Arc<Mutex<State<K>>>,
}

/// What is known of a lane's stream.
enum State<K: Kind> {
    /// There is none. It may be opened from then on.
    Closed(Option<Instant>),
    /// It is being opened, or about to end.
    Busy,
    /// Items go in here.
    Open(mpsc::Sender<Item<K>>),
}

/// One call, as it waits for its stream.
struct Item<K: Kind> {
    asked: K::Asked,
    metadata: v1::ItemMetadata,
    /// When nobody needs an answer any more.
    until: Instant,
    answer: oneshot::Sender<Answered<K>>,
}

/// What became of it.
type Answered<K> = Result<<K as Kind>::Answer, Failure>;

/// Why an item has no answer.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The service refused it, or the time is over.
    Refused(Status),
    /// No stream has taken it: nothing was done.
    NoRoom,
    /// The stream ended before it was taken up: nothing was done.
    Broken,
    /// The stream broke: nobody knows.
    Unknown(Status),
}

/// The items of one stream that have no outcome yet.
struct Sent<K: Kind> {
    sender: mpsc::Sender<K::Request>,
    answers: HashMap<u64, oneshot::Sender<Answered<K>>>,
    last: u64,
    most: usize,
}

impl<K: Kind> fmt::Debug for Lane<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

impl<K: Kind> Lane<K> {
    /// A lane over this connection.
    pub(super) fn over(channel: Channel, credential: Credential) -> Self {
        Self { channel, credential, state: Arc::new(Mutex::new(State::Closed(None))) }
    }

    /// True if its stream takes items.
    pub(super) fn is_open(&self) -> bool {
        matches!(*self.state.lock(), State::Open(_))
    }

    /// Gives an item to the stream; `None` if there is none, or it has no room. Whoever does not wait for the answer has not
    /// taken the item back.
    pub(super) fn put(
        &self,
        asked: K::Asked,
        metadata: v1::ItemMetadata,
        timeout: Duration,
    ) -> Option<impl Future<Output = Answered<K>> + Send + use<K>> {
        let (answer, answered) = oneshot::channel();
        let item = Item { asked, metadata, until: Instant::now() + timeout, answer };
        match &*self.state.lock() {
            State::Open(items) => items.try_send(item).ok()?,
            State::Closed(_) | State::Busy => return None,
        }
        // A lane tells each what became of it before it ends, unless it panics.
        Some(async move { answered.await.unwrap_or_else(|_| Err(Failure::unknown("it was dropped"))) })
    }

    /// Opens the stream, if there is none and it is time.
    pub(super) fn open_soon(&self) {
        let mut state = self.state.lock();
        match *state {
            State::Closed(since) if since.is_none_or(|since| since <= Instant::now()) => {}
            State::Closed(_) | State::Busy | State::Open(_) => return,
        }
        *state = State::Busy;
        let (channel, credential, state) =
            (self.channel.clone(), self.credential.clone(), Arc::clone(&self.state));
        tokio::spawn(run(channel, credential, state));
    }
}

/// The life of one stream.
async fn run<K: Kind>(channel: Channel, credential: Credential, state: Arc<Mutex<State<K>>>) {
    let (sender, mut items) = mpsc::channel(IN_FLIGHT);
    let mut sent = Sent { sender, answers: HashMap::new(), last: 0, most: IN_FLIGHT };
    let opener = QueueServiceClient::with_interceptor(channel, credential);
    let opener = opener.max_decoding_message_size(MAX_ANSWER_BYTES);
    let failure = match K::open(opener, poll_fn(move |cx| items.poll_recv(cx))).await {
        Ok(events) => follow(&mut sent, events, &state).await,
        // Calls of their own find out what is wrong, and say so to those whom it concerns.
        Err(status) => Failure::Unknown(status),
    };
    let pause = (!matches!(failure, Failure::Broken)).then(|| Instant::now() + PAUSE);
    *state.lock() = State::Closed(pause);
    for (_, answer) in sent.answers.drain() {
        // Whoever does not wait any more needs no answer, here and below.
        let _ = answer.send(Err(failure.clone()));
    }
}

/// Sends items and hands out outcomes until the stream ends; says what that means to those that have none.
async fn follow<K: Kind>(
    sent: &mut Sent<K>,
    mut events: Streaming<K::Response>,
    state: &Mutex<State<K>>,
) -> Failure {
    let (sender, mut waiting) = mpsc::channel(WAITING);
    // Until the service has said hello, and from when it goes away, there is nowhere to put items.
    let (mut sender, mut goes_away) = (Some(sender), false);
    let failure = loop {
        tokio::select! {
            event = events.message() => match event {
                Ok(Some(response)) => match K::event(response) {
                    Event::Hello(most) => {
                        sent.most = usize::try_from(most).unwrap_or(IN_FLIGHT).clamp(1, IN_FLIGHT);
                        if let Some(sender) = sender.take() {
                            *state.lock() = State::Open(sender);
                        }
                    }
                    Event::Outcome(number, outcome) => sent.settle(number, outcome),
                    Event::GoingAway => {
                        (sender, goes_away) = (None, true);
                        *state.lock() = State::Busy;
                    }
                    Event::Alive => {}
                },
                // Only a service that has said so before it goes has answered all that it took up.
                Ok(None) if goes_away => break Failure::Broken,
                Ok(None) => break Failure::unknown("it ended early"),
                Err(status) => break ended(&status),
            },
            Some(item) = waiting.recv(), if sent.answers.len() < sent.most => sent.send(item),
        }
    };
    *state.lock() = State::Busy;
    waiting.close();
    while let Some(item) = waiting.recv().await {
        let _ = item.answer.send(Err(Failure::Broken));
    }
    failure
}

impl Failure {
    /// That of an item of a stream that did not end as it should.
    fn unknown(why: &str) -> Self {
        Self::Unknown(Status::unknown(format!("the stream broke off: {why}")))
    }
}

impl<K: Kind> Sent<K> {
    fn send(&mut self, Item { asked, metadata, until, answer }: Item<K>) {
        if answer.is_closed() {
            return;
        }
        self.last += 1;
        let left = until.saturating_duration_since(Instant::now());
        let request = K::item(self.last, left.try_into().ok(), metadata, asked);
        match self.sender.try_send(request) {
            Ok(()) => drop(self.answers.insert(self.last, answer)),
            // There is a place for each that is on its way; the stream is over, and its reader is about to hear of it.
            Err(_) => drop(answer.send(Err(Failure::Broken))),
        }
    }

    fn settle(&mut self, number: u64, outcome: Result<K::Answer, Status>) {
        if let Some(answer) = self.answers.remove(&number) {
            let _ = answer.send(outcome.map_err(Failure::Refused));
        }
    }
}

/// Why a stream ended, as it concerns those that have no outcome. If the service has ended it because the token counts no
/// longer, all that it took up have theirs.
fn ended(status: &Status) -> Failure {
    use std::error::Error as _;

    if status.source().is_none() && status.code() == Code::PermissionDenied {
        return Failure::Broken;
    }
    Failure::unknown(&format!("{:?}: {}", status.code(), status.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_item_that_waits_for_its_stream_has_so_much_less_time_on_it() {
        let channel = tonic::transport::Endpoint::from_static("http://127.0.0.1").connect_lazy();
        let lane = Lane::<super::super::Posts>::over(channel, Credential::default());
        let (open, mut waiting) = mpsc::channel(1);
        *lane.state.lock() = State::Open(open);
        let ten = Duration::from_secs(10);
        let answered = lane.put(v1::PostMessageRequest::default(), v1::ItemMetadata::default(), ten);
        assert!(answered.is_some());

        tokio::time::advance(Duration::from_secs(4)).await;
        let (sender, mut requests) = mpsc::channel(1);
        let mut sent = Sent { sender, answers: HashMap::new(), last: 0, most: 1 };
        sent.send(waiting.recv().await.unwrap());
        let timeout = requests.recv().await.unwrap().timeout.unwrap();
        assert_eq!((timeout.seconds, timeout.nanos), (6, 0));
    }

    #[test]
    fn what_a_stream_that_was_refused_its_token_had_not_taken_up_may_be_sent_again() {
        assert!(matches!(ended(&Status::permission_denied("revoked")), Failure::Broken));
        for code in [Code::Unknown, Code::Internal, Code::Unavailable, Code::ResourceExhausted] {
            assert!(matches!(ended(&Status::new(code, "")), Failure::Unknown(_)), "{code:?}");
        }
    }
}
