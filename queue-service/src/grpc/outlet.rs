//! The server's end of a stream: bounded, with the last word kept free, so that even a client that does not read is
//! told why its stream ended.

use repartee_process::{Bound, Place};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::sleep,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{StreamRules, status};

/// Events that may wait for the connection to take them.
const ROOM: usize = 64;

/// What clients read from.
pub(super) type Inlet<T> = ReceiverStream<Result<T, Status>>;

/// Where events go in.
pub(super) struct Outlet<T> {
    sender: mpsc::Sender<Result<T, Status>>,
    last_word: Option<mpsc::OwnedPermit<Result<T, Status>>>,
    rules: StreamRules,
    _place: Place,
}

/// The stream is over: its client went away, or does not read.
pub(super) struct Over;

impl<T> Outlet<T> {
    /// Opens a stream in one of the rooms.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED where too many streams are open.
    pub(super) fn open(rules: &StreamRules, room: &Bound) -> Result<(Self, Inlet<T>), Status> {
        let place = rules.enter(room)?;
        let (sender, receiver) = mpsc::channel(ROOM + 1);
        let last_word = sender.clone().try_reserve_owned().ok();
        let outlet = Self { sender, last_word, rules: rules.clone(), _place: place };
        Ok((outlet, ReceiverStream::new(receiver)))
    }

    /// Sends an event, and waits for room as long as a slow client is given; a service that stops waits for nobody.
    pub(super) async fn send(&mut self, event: T) -> Result<(), Over> {
        let why = match self.sender.try_send(Ok(event)) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(Over),
            Err(TrySendError::Full(event)) => tokio::select! {
                sent = self.sender.send(event) => return sent.map_err(|_| Over),
                () = sleep(self.rules.patience) => self.rules.too_slow(),
                () = self.rules.draining.cancelled() => status::draining(),
            },
        };
        self.end(Err(why));
        Err(Over)
    }

    /// Sends an event that may be dropped: only where the client keeps up. Says whether it was sent.
    pub(super) fn offer(&mut self, event: T) -> bool {
        self.sender.capacity() > ROOM / 2 && self.sender.try_send(Ok(event)).is_ok()
    }

    /// Sends the last event or error; there is always room for it.
    pub(super) fn end(&mut self, last: Result<T, Status>) {
        if let Some(last_word) = self.last_word.take() {
            last_word.send(last);
        }
    }

    /// Returns once the client has gone away.
    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }
}
