//! The server's end of a stream: bounded in events and in bytes, with the last word kept free, so that even a client that
//! does not read is told why its stream ended.
//!
//! What waits here for its connection counts among the answers on their way. A stream holds its place until all of that is
//! gone, not only until the server has ended it: else whoever opens streams and reads none would be given room again and
//! again.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use prost::Message;
use repartee_process::{Bound, ByteLimit, BytePermit, Place};

use super::Watching;

/// The place of a stream; a watch is counted beside it.
type Held = (Place, Option<Watching>);
use tokio::{
    sync::{Notify, mpsc},
    time::sleep,
};
use tokio_stream::Stream;
use tonic::Status;

use super::{StreamRules, rights::Standing, status};

/// Events that may wait for the connection to take them.
const ROOM: usize = 64;
/// Bytes of these, of more than one.
const BYTES: u64 = 256 * 1024;

/// What clients read from.
pub(crate) struct Inlet<T> {
    waiting: mpsc::Receiver<Waiting<T>>,
    _place: Arc<Held>,
}

/// Where events go in. If it is dropped before the stream was ended, the stream ends with UNKNOWN.
pub(super) struct Outlet<T> {
    sender: mpsc::Sender<Waiting<T>>,
    last_word: Option<mpsc::OwnedPermit<Waiting<T>>>,
    queued: Arc<Queued>,
    answers: ByteLimit,
    rules: StreamRules,
    standing: Standing,
    _place: Arc<Held>,
}

/// An event, or the error that ends the stream, until the connection takes it.
struct Waiting<T> {
    event: Result<T, Status>,
    _bytes: Option<Bytes>,
}

/// The bytes of one event.
struct Bytes {
    queued: Arc<Queued>,
    bytes: u64,
    _permit: BytePermit,
}

/// What waits of one stream.
#[derive(Default)]
struct Queued {
    bytes: AtomicU64,
    taken: Notify,
}

/// The stream is over: its client went away, does not read, or has lost the right to it.
#[derive(Debug)]
pub(super) struct Over;

impl<T: Message> Outlet<T> {
    /// Opens a stream in one of the rooms, for as long as `standing` says. What waits in it counts among `answers`.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED where too many streams are open.
    pub(super) fn open(
        rules: &StreamRules,
        room: &Bound,
        answers: &ByteLimit,
        standing: Standing,
    ) -> Result<(Self, Inlet<T>), Status> {
        Self::open_counted(rules, room, answers, standing, None)
    }

    /// The same of a watch, which is counted as long as its place is held.
    pub(super) fn open_counted(
        rules: &StreamRules,
        room: &Bound,
        answers: &ByteLimit,
        standing: Standing,
        counted: Option<Watching>,
    ) -> Result<(Self, Inlet<T>), Status> {
        let place = Arc::new((rules.enter(room)?, counted));
        let (sender, waiting) = mpsc::channel(ROOM + 1);
        let outlet = Self {
            last_word: sender.clone().try_reserve_owned().ok(),
            sender,
            queued: Arc::default(),
            answers: answers.clone(),
            rules: rules.clone(),
            standing,
            _place: Arc::clone(&place),
        };
        Ok((outlet, Inlet { waiting, _place: place }))
    }

    /// Sends an event, and waits for room as long as a slow client is given; a service that stops waits for nobody, and
    /// neither does one whose client has lost the right to the stream.
    pub(super) async fn send(&mut self, event: T) -> Result<(), Over> {
        let bytes = event.encoded_len().max(1) as u64;
        if !self.has_room(bytes) {
            let (standing, draining) = (self.standing.clone(), self.rules.draining.clone());
            let unless = async {
                tokio::select! {
                    () = standing.lost() => status::token_refused(),
                    () = draining.cancelled() => status::draining(),
                }
            };
            self.wait_for_room(bytes, unless).await?;
        }
        self.put(event, bytes).then_some(()).ok_or(Over)
    }

    /// Sends an event, or drops it if `unless` is ready before there is room for it.
    pub(super) async fn send_unless(
        &mut self,
        event: T,
        unless: impl Future<Output = ()>,
    ) -> Result<(), Over> {
        let bytes = event.encoded_len().max(1) as u64;
        if !self.has_room(bytes) {
            tokio::select! {
                room = self.wait_for_room(bytes, std::future::pending()) => room?,
                () = unless => return Ok(()),
            }
        }
        self.put(event, bytes).then_some(()).ok_or(Over)
    }

    /// Sends what the client is owed because it was begun: that is waited for though the service stops, or the right to the
    /// stream is lost meanwhile.
    pub(super) async fn send_owed(&mut self, event: T) -> Result<(), Over> {
        let bytes = event.encoded_len().max(1) as u64;
        if !self.has_room(bytes) {
            self.wait_for_room(bytes, std::future::pending()).await?;
        }
        self.put(event, bytes).then_some(()).ok_or(Over)
    }

    /// Sends an event that may be dropped: only where the client keeps up. Says whether it was sent.
    pub(super) fn offer(&mut self, event: T) -> bool {
        let bytes = event.encoded_len().max(1) as u64;
        self.sender.capacity() > ROOM / 2 && self.has_room(bytes) && self.put(event, bytes)
    }

    /// Ends the stream if its client has lost the right to it. To be asked by who sends much at once.
    pub(super) fn check(&mut self) -> Result<(), Over> {
        if self.standing.is_lost() {
            self.end(Err(status::token_refused()));
            return Err(Over);
        }
        Ok(())
    }

    /// Ends the stream with OK: its client has been told all that there is to tell.
    pub(super) fn close(mut self) {
        self.last_word = None;
    }

    /// Sends the last event or error; there is always room for it.
    pub(super) fn end(&mut self, last: Result<T, Status>) {
        if let Some(last_word) = self.last_word.take() {
            last_word.send(Waiting { event: last, _bytes: None });
        }
    }

    /// Returns once the client has gone away; for who waits for that beside much else, for long.
    pub(super) fn gone(&self) -> impl Future<Output = ()> + use<T> {
        let sender = self.sender.clone();
        async move { sender.closed().await }
    }

    /// Returns once the client has gone away.
    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }

    async fn wait_for_room(&mut self, bytes: u64, unless: impl Future<Output = Status>) -> Result<(), Over> {
        let room = async {
            loop {
                let taken = self.queued.taken.notified();
                if self.has_room(bytes) {
                    return;
                }
                taken.await;
            }
        };
        let why = tokio::select! {
            () = room => return Ok(()),
            () = self.sender.closed() => return Err(Over),
            () = sleep(self.rules.patience) => self.rules.too_slow(),
            status = unless => status,
        };
        self.end(Err(why));
        Err(Over)
    }

    /// One event there is always room for: whoever keeps up is never kept waiting by others.
    fn has_room(&self, bytes: u64) -> bool {
        let queued = self.queued.bytes.load(Ordering::Acquire);
        queued == 0
            || self.sender.capacity() > 0
                && queued.saturating_add(bytes) <= BYTES
                && self.answers.has_room(bytes)
    }

    /// False if the client is gone.
    fn put(&self, event: T, bytes: u64) -> bool {
        self.queued.bytes.fetch_add(bytes, Ordering::AcqRel);
        let counted = Bytes { queued: Arc::clone(&self.queued), bytes, _permit: self.answers.count(bytes) };
        self.sender.try_send(Waiting { event: Ok(event), _bytes: Some(counted) }).is_ok()
    }
}

/// A stream that nobody has ended must not look like one that is complete: its task has panicked.
impl<T> Drop for Outlet<T> {
    fn drop(&mut self) {
        if let Some(last_word) = self.last_word.take() {
            let event = Err(Status::unknown("the stream broke off: nobody knows what became of its items"));
            last_word.send(Waiting { event, _bytes: None });
        }
    }
}

impl<T> Stream for Inlet<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.waiting.poll_recv(cx).map(|waiting| waiting.map(|waiting| waiting.event))
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.queued.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.queued.taken.notify_one();
    }
}

#[cfg(test)]
mod tests;
