//! The way to the writer: plain async methods, a private bounded channel behind them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
    mpsc::{SyncSender, TrySendError},
};

use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::job::{Command, Job, Parted, Weight};
use crate::{
    disk::{DiskFull, DiskRoom},
    domain::{
        At, ClaimBy, Completed, Event, Failed, Failure, LeaseRef, Leased, Millis, NewMessage, Posted, Queue,
        Record, Rejection, Reply, Request, SessionView, Taker, TakerId, Update,
    },
};

/// Sends commands to the writer; cheap to clone.
#[derive(Clone)]
pub struct QueueHandle {
    jobs: SyncSender<Job>,
    parted: Parted,
    next_taker: Arc<AtomicU64>,
    disk: DiskRoom,
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A rule refused it; nothing was changed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Too many commands wait; nothing was done.
    #[error("too many commands wait for the writer; nothing was done, try again")]
    Busy,
    /// The command stores something, and there is no room for it; nothing was done.
    #[error(transparent)]
    DiskFull(#[from] DiskFull),
    /// The writer has ended. The command may have been done or not: only a repetition can tell.
    #[error("the service is stopping; repeat the call once it is back")]
    Stopped,
}

/// A post, with its idempotency key.
pub type Post = (NewMessage, Option<Request>);

impl QueueHandle {
    pub(super) fn new(jobs: SyncSender<Job>, parted: Parted, disk: DiskRoom) -> Self {
        Self { jobs, parted, next_taker: Arc::new(AtomicU64::new(1)), disk }
    }

    /// Stores messages in one commit; one outcome each, in their order.
    ///
    /// # Errors
    /// `Busy`, `DiskFull` and `Stopped`, for all of them.
    pub async fn post(
        &self,
        call: &'static str,
        posts: Vec<Post>,
    ) -> Result<Vec<Result<Posted, Rejection>>, CommandError> {
        self.disk.check()?;
        let ids = posts.iter().filter_map(|(new, _)| new.reply_to).collect();
        let keys =
            posts.iter().filter_map(|(_, request)| request.as_ref()).map(|request| request.key).collect();
        let bytes = posts.iter().map(|(new, _)| new.text.len()).sum();
        let weight = Weight { items: posts.len(), bytes };
        let rule = move |queue: &mut Queue, at: &mut At<'_>| {
            posts.into_iter().map(|(new, request)| queue.post(new, request, at)).collect()
        };
        let (reply, outcome) = oneshot::channel();
        self.send(Job::Command(Command { ids, keys, weight, ..Command::new(call, reply, rule) }))?;
        outcome.await.map_err(|_| CommandError::Stopped)
    }

    /// Changes a message. See [`Queue::update`].
    pub async fn update(&self, id: Uuid, update: Update) -> Result<Record, CommandError> {
        self.disk.check()?;
        self.decide("UpdateMessage", vec![id], move |queue, at| queue.update(id, update, at)).await
    }

    /// Deletes a message. See [`Queue::delete`].
    pub async fn delete(&self, id: Uuid) -> Result<Record, CommandError> {
        self.disk.check()?;
        self.decide("DeleteMessage", vec![id], move |queue, _| queue.delete(id)).await
    }

    /// Claims one message. See [`Queue::claim`].
    pub async fn claim(&self, id: Uuid, by: ClaimBy) -> Result<Leased, CommandError> {
        self.disk.check()?;
        self.decide("ClaimMessage", vec![id], move |queue, at| queue.claim(id, &by, at)).await
    }

    /// Extends leases; one outcome each, in their order. See [`Queue::renew`]. It stores nothing.
    ///
    /// # Errors
    /// `Busy` and `Stopped`, for all of them.
    pub async fn renew(
        &self,
        leases: Vec<LeaseRef>,
        lease_ms: Option<Millis>,
    ) -> Result<Vec<Result<Millis, Rejection>>, CommandError> {
        let ids = leases.iter().map(|lease| lease.id).collect();
        self.decide("RenewLeases", ids, move |queue, at| {
            Ok(leases.iter().map(|lease| queue.renew(lease, lease_ms, at.now)).collect())
        })
        .await
    }

    /// Gives a message back. See [`Queue::release`].
    pub async fn release(&self, lease: LeaseRef) -> Result<Record, CommandError> {
        self.disk.check()?;
        self.decide("ReleaseMessage", vec![lease.id], move |queue, _| queue.release(&lease)).await
    }

    /// Finishes messages in one commit; one outcome each, in their order. See [`Queue::complete`].
    ///
    /// # Errors
    /// `Busy`, `DiskFull` and `Stopped`, for all of them.
    pub async fn complete(
        &self,
        call: &'static str,
        items: Vec<(LeaseRef, Option<Reply>)>,
    ) -> Result<Vec<Result<Completed, Rejection>>, CommandError> {
        self.disk.check()?;
        let ids = items.iter().map(|(lease, _)| lease.id).collect();
        let texts = items.iter().filter_map(|(_, reply)| reply.as_ref()).map(|reply| reply.text.len());
        let weight = Weight { items: items.len(), bytes: texts.sum() };
        self.decide_weighing(weight, call, ids, move |queue, at| {
            Ok(items.into_iter().map(|(lease, reply)| queue.complete(&lease, reply, at)).collect())
        })
        .await
    }

    /// Reports a failure. See [`Queue::fail`].
    pub async fn fail(&self, lease: LeaseRef, failure: Failure) -> Result<Failed, CommandError> {
        self.disk.check()?;
        self.decide("FailMessage", vec![lease.id], move |queue, at| queue.fail(&lease, failure, at)).await
    }

    /// Puts a failed message back. See [`Queue::retry`].
    pub async fn retry(&self, id: Uuid) -> Result<Record, CommandError> {
        self.disk.check()?;
        self.decide("RetryMessage", vec![id], move |queue, _| queue.retry(id)).await
    }

    /// Takes a message out of the queue. See [`Queue::cancel`].
    pub async fn cancel(&self, id: Uuid) -> Result<Record, CommandError> {
        self.disk.check()?;
        self.decide("CancelMessage", vec![id], move |queue, _| queue.cancel(id)).await
    }

    /// The sessions that stream or hold leases.
    pub async fn sessions(&self) -> Result<Vec<SessionView>, CommandError> {
        self.decide("Sessions", Vec::new(), |queue, _| Ok(queue.sessions())).await
    }

    /// Lets somebody take work. Work and news come over the returned seat until it is dropped; the seat ends by itself
    /// where its reader falls `room` events behind.
    ///
    /// A stream may join while the disk is full: it is given work once there is room. A claim that waits may not.
    ///
    /// # Errors
    /// `Busy`, `DiskFull` and `Stopped`.
    pub fn join(&self, taker: Taker, room: usize) -> Result<Seat, CommandError> {
        if taker.until.is_some() {
            self.disk.check()?;
        }
        let id = self.next_taker.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = mpsc::channel(room);
        self.send(Job::Join(id, taker, sender))?;
        Ok(Seat { id, events, unaccepted: None, jobs: self.jobs.clone(), parted: Arc::clone(&self.parted) })
    }

    async fn decide<T: Send + 'static>(
        &self,
        call: &'static str,
        ids: Vec<Uuid>,
        rule: impl FnOnce(&mut Queue, &mut At<'_>) -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, CommandError> {
        self.decide_weighing(Weight { items: 1, bytes: 0 }, call, ids, rule).await
    }

    async fn decide_weighing<T: Send + 'static>(
        &self,
        weight: Weight,
        call: &'static str,
        ids: Vec<Uuid>,
        rule: impl FnOnce(&mut Queue, &mut At<'_>) -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, CommandError> {
        let (reply, outcome) = oneshot::channel();
        self.send(Job::Command(Command { ids, weight, ..Command::new(call, reply, rule) }))?;
        Ok(outcome.await.map_err(|_| CommandError::Stopped)??)
    }

    fn send(&self, job: Job) -> Result<(), CommandError> {
        self.jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => CommandError::Busy,
            TrySendError::Disconnected(_) => CommandError::Stopped,
        })
    }
}

/// A taker's place at the queue. Dropping it gives the place up.
pub struct Seat {
    id: TakerId,
    events: mpsc::Receiver<Event>,
    /// What a claim that waited has got and not accepted yet.
    unaccepted: Option<LeaseRef>,
    jobs: SyncSender<Job>,
    parted: Parted,
}

impl Seat {
    /// What happens next; `None` once the seat was taken away because its reader fell behind, or the writer ended.
    pub async fn next(&mut self) -> Option<Event> {
        let event = self.events.recv().await?;
        if event.is_last() {
            self.unaccepted = event.unseen_lease();
        }
        Some(event)
    }

    /// The caller of a claim that waited is about to get its work: from now on it is not given back with the seat.
    pub fn accept(&mut self) {
        self.unaccepted = None;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.events.close();
        let mut unseen = Vec::from_iter(self.unaccepted.take());
        while let Ok(event) = self.events.try_recv() {
            // A session gets its leases back when it returns; a claim that waited does not return.
            unseen.extend(event.unseen_lease().filter(|_| event.is_last()));
        }
        self.parted.lock().push((self.id, unseen));
        // Where the channel is full, the writer is awake and looks at the list by itself.
        let _ = self.jobs.try_send(Job::Wake);
    }
}
