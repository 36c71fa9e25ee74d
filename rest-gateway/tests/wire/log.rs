//! The log of changes of the fake: what tests publish, and the streams that follow it.

use std::sync::{Arc, Mutex};

use futures_util::{Stream, stream};
use repartee_proto::v1::{self, WatchMode, watch_messages_response::Event};
use tokio::sync::watch;
use tonic::Status;

use crate::world::message;

/// Number of the last change before the tests begin; all messages of [`message`] are older.
pub(crate) const BEGIN: u64 = 2_000;

type Sent = Result<v1::WatchMessagesResponse, Status>;

/// A log that begins with one old message.
pub(crate) struct Log {
    state: Mutex<State>,
    /// Counts what happens to the log, for those who follow it.
    news: watch::Sender<u64>,
}

struct State {
    epoch: &'static str,
    changes: Vec<v1::Change>,
    messages: Vec<v1::Message>,
    /// Number of the last change that was sent to anybody.
    sent: u64,
    watches: Vec<v1::WatchMessagesRequest>,
    /// Streams of an earlier life end.
    life: u32,
    refused: bool,
    /// Says hello without a position.
    broken: bool,
    ending: Option<Event>,
}

/// One stream of changes.
struct Watcher {
    log: Arc<Log>,
    life: u32,
    seen: u64,
    news: watch::Receiver<u64>,
    hello: Option<Event>,
    over: bool,
}

impl Default for Log {
    fn default() -> Self {
        let old = v1::Message { timestamp: 1_000, domain: "old".to_owned(), ..message("old") };
        let state = State {
            epoch: "e1",
            changes: Vec::new(),
            messages: vec![old],
            sent: BEGIN,
            watches: Vec::new(),
            life: 0,
            refused: false,
            broken: false,
            ending: None,
        };
        Self { state: Mutex::new(state), news: watch::Sender::new(0) }
    }
}

impl Log {
    /// Appends a change that leaves `message` like that, and says that its commit is whole.
    pub(crate) fn publish(&self, kind: v1::ChangeKind, message: v1::Message) -> u64 {
        self.publish_part(kind, message, true)
    }

    /// Appends a change; where it is not `caught_up`, its commit goes on.
    pub(crate) fn publish_part(
        &self,
        kind: v1::ChangeKind,
        mut message: v1::Message,
        caught_up: bool,
    ) -> u64 {
        let mut state = self.state.lock().unwrap();
        let seq = BEGIN + 1 + state.changes.len() as u64;
        message.seq = seq;
        let cursor = format!("{}.{seq}", state.epoch);
        state.changes.push(v1::Change {
            seq,
            cursor,
            kind: kind.into(),
            message: Some(message),
            caught_up,
            ..Default::default()
        });
        drop(state);
        self.tell();
        seq
    }

    /// Ends all streams, and refuses new ones until [`Self::come_back`].
    pub(crate) fn go_away(&self) {
        let mut state = self.state.lock().unwrap();
        (state.life, state.refused) = (state.life + 1, true);
        drop(state);
        self.tell();
    }

    pub(crate) fn come_back(&self) {
        self.state.lock().unwrap().refused = false;
    }

    /// Ends all streams, and breaks the contract on each new one.
    pub(crate) fn break_the_contract(&self) {
        let mut state = self.state.lock().unwrap();
        (state.life, state.broken) = (state.life + 1, true);
        drop(state);
        self.tell();
    }

    /// Ends all streams with this event; new ones are welcome.
    pub(crate) fn end_with(&self, event: Event) {
        let mut state = self.state.lock().unwrap();
        (state.life, state.ending) = (state.life + 1, Some(event));
        drop(state);
        self.tell();
    }

    /// The data are replaced: another epoch with another page, and every cursor is lost.
    pub(crate) fn replace(&self, epoch: &'static str, messages: Vec<v1::Message>) {
        let mut state = self.state.lock().unwrap();
        (state.epoch, state.messages) = (epoch, messages);
        state.changes.clear();
    }

    /// The cursors of the streams that were asked for, in order.
    pub(crate) fn watched_from(&self) -> Vec<Option<String>> {
        self.state.lock().unwrap().watches.iter().map(|request| request.cursor.clone()).collect()
    }

    /// Number of the last change that was sent to a stream, which gets it before its end.
    pub(crate) fn sent(&self) -> u64 {
        self.state.lock().unwrap().sent
    }

    pub(super) fn newest(&self) -> v1::ListMessagesResponse {
        let state = self.state.lock().unwrap();
        let next_cursor = format!("{}.{}", state.epoch, BEGIN + state.changes.len() as u64);
        v1::ListMessagesResponse { messages: state.messages.clone(), next_cursor, ..Default::default() }
    }

    pub(super) fn watch(
        self: &Arc<Self>,
        request: v1::WatchMessagesRequest,
    ) -> Result<impl Stream<Item = Sent> + Send + use<>, Status> {
        let mut state = self.state.lock().unwrap();
        if state.refused {
            return Err(Status::unavailable("away"));
        }
        let tail = BEGIN + state.changes.len() as u64;
        let (mode, seen) = match request.cursor.as_deref().map(|cursor| cursor.split_once('.').unwrap()) {
            None => (WatchMode::Live, tail),
            Some((epoch, seq)) if epoch == state.epoch => (WatchMode::Resumed, seq.parse().unwrap()),
            Some(_) => (WatchMode::Reset, tail),
        };
        let epoch = state.epoch.to_owned();
        let place = if state.broken { String::new() } else { format!("{epoch}.{tail}") };
        let hello = v1::WatchHello { tail: place, epoch, mode: mode.into(), server_time: 0 };
        state.watches.push(request);
        let (hello, news) = (Some(Event::Hello(hello)), self.news.subscribe());
        let watcher = Watcher { log: Arc::clone(self), life: state.life, seen, news, hello, over: false };
        Ok(stream::unfold(watcher, async |mut watcher| Some((watcher.next().await?, watcher))))
    }

    fn tell(&self) {
        self.news.send_modify(|count| *count += 1);
    }
}

impl Watcher {
    async fn next(&mut self) -> Option<Sent> {
        if let Some(hello) = self.hello.take() {
            return Some(sent(hello));
        }
        loop {
            if let Some(event) = self.look()? {
                return Some(event);
            }
            self.news.changed().await.ok()?;
        }
    }

    /// What is to be sent now; outside `None` where the stream is over.
    fn look(&mut self) -> Option<Option<Sent>> {
        self.news.borrow_and_update();
        let mut state = self.log.state.lock().unwrap();
        if self.over {
            return None;
        }
        if self.life != state.life {
            self.over = true;
            return Some(Some(state.ending.clone().map_or_else(|| Err(Status::unknown("cut")), sent)));
        }
        let next = usize::try_from(self.seen - BEGIN).unwrap();
        let change = state.changes.get(next).cloned();
        Some(change.map(|change| {
            self.seen = change.seq;
            state.sent = change.seq;
            sent(Event::Change(change))
        }))
    }
}

fn sent(event: Event) -> Sent {
    Ok(v1::WatchMessagesResponse { event: Some(event) })
}
