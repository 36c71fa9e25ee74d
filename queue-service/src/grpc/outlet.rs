//! The server's end of a stream: bounded, with the last word kept free, so that even a client that does not read is
//! told why its stream ended.

use std::time::Duration;

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::timeout,
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
    patience: Duration,
    _room: OwnedSemaphorePermit,
}

/// The stream is over: its client went away, or does not read.
pub(super) struct Over;

impl<T> Outlet<T> {
    /// Opens a stream.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED where too many streams are open.
    pub(super) fn open(rules: &StreamRules) -> Result<(Self, Inlet<T>), Status> {
        let room =
            rules.room.clone().try_acquire_owned().map_err(|_| status::too_many_streams(rules.most))?;
        let (sender, receiver) = mpsc::channel(ROOM + 1);
        let last_word = sender.clone().try_reserve_owned().ok();
        let outlet = Self { sender, last_word, patience: rules.patience, _room: room };
        Ok((outlet, ReceiverStream::new(receiver)))
    }

    /// Sends an event, and waits for room as long as a slow client is given.
    pub(super) async fn send(&mut self, event: T) -> Result<(), Over> {
        match timeout(self.patience, self.sender.send(Ok(event))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Over),
            Err(_) => {
                self.end(Err(status::slow_reader()));
                Err(Over)
            }
        }
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
