//! The way to the writer: plain async methods, a private bounded channel behind them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
    mpsc::{SyncSender, TrySendError},
};

use repartee_process::{Fill, Full};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::{
    job::{Command, Job, Parted, Weight},
    room::{Waiting, of_completion, of_lease, of_post, of_update},
    seat::{Claimed, Returns, Seat},
};
#[cfg(test)]
use crate::domain::{SessionView, SessionsAfter};
use crate::{
    disk::{DiskFull, DiskRoom, Stored},
    domain::{
        Act, At, Block, Cancelled, ClaimBy, Completed, Deed, Editor, EntityLimits, Failed, Failure, LeaseRef,
        Millis, NewMessage, Posted, Queue, Record, Rejection, Reply, Request, Selector, Source, Taker,
        Target, Update,
    },
};

/// Most messages that are cancelled in one commit: as many as a group of commands has.
const PIECE: usize = 256;

/// Sends commands to the writer; cheap to clone.
#[derive(Clone)]
pub struct QueueHandle {
    jobs: SyncSender<Job>,
    waiting: Waiting,
    returns: Returns,
    next_taker: Arc<AtomicU64>,
    disk: DiskRoom,
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A rule refused it; nothing was changed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Too many commands wait, or they hold too many bytes; nothing was done.
    #[error("too much waits for the writer ({0}); nothing was done, try again")]
    Busy(Full),
    /// The command stores something, and there is no room for it; nothing was done.
    #[error(transparent)]
    DiskFull(#[from] DiskFull),
    /// The writer has ended. The command may have been done or not: only a repetition can tell.
    #[error("the service is stopping; repeat the call once it is back")]
    Stopped,
}

/// A message that a step is to be taken on, and the deed that it is.
pub(crate) type Step = (Uuid, Option<Deed>);

/// A post, with its idempotency key.
pub type Post = (NewMessage, Option<Request>);

impl QueueHandle {
    pub(super) fn new(jobs: SyncSender<Job>, parted: Parted, waiting: Waiting, disk: DiskRoom) -> Self {
        let returns = Returns::new(jobs.clone(), parted);
        Self { jobs, waiting, returns, next_taker: Arc::new(AtomicU64::new(1)), disk }
    }

    /// Finds out whether a small command would find room now.
    ///
    /// # Errors
    /// Where it would not; that is counted as its refusal.
    pub fn has_room(&self) -> Result<(), Full> {
        self.waiting.check()
    }

    /// What waits for the writer: commands, and the bytes that they hold.
    pub fn waiting(&self) -> [Fill; 2] {
        self.waiting.fill()
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
        self.disk.check(Stored::NewText)?;
        let ids = posts.iter().filter_map(|(new, _)| new.reply_to).collect();
        let keys =
            posts.iter().filter_map(|(_, request)| request.as_ref()).map(|request| request.key).collect();
        let before = |(new, request): &Post| Some((new.claims()?, request.as_ref()?.before?));
        let keys_before = posts.iter().filter_map(before).collect();
        let conversations = posts.iter().filter_map(|(new, _)| new.claims()).collect();
        let bytes = posts.iter().map(|(new, _)| new.text.len()).sum();
        let weight = Weight { items: posts.len(), bytes };
        let held = posts.iter().map(|(new, _)| of_post(new)).sum();
        let rule = move |queue: &mut Queue, at: &mut At<'_>| {
            posts.into_iter().map(|(new, request)| queue.post(new, request, at)).collect()
        };
        let (reply, outcome) = oneshot::channel();
        let command = Command::new(call, reply, rule);
        self.command(Command { ids, keys, keys_before, conversations, weight, ..command }, held)?;
        outcome.await.map_err(|_| CommandError::Stopped)
    }

    /// Changes a message. See [`Queue::update`]. A deed is what an operator does, here and below: it is entered into the log
    /// if it changes something.
    pub async fn update(
        &self,
        id: Uuid,
        update: Update,
        editor: Editor,
        deed: Option<Deed>,
    ) -> Result<Record, CommandError> {
        let stored = if update.text.is_some() { Stored::NewText } else { Stored::Progress };
        self.disk.check(stored)?;
        let held = of_update(&update);
        self.act("UpdateMessage", vec![id], held, deed, move |queue, at| queue.update(id, update, editor, at))
            .await
    }

    /// Deletes a message. See [`Queue::delete`].
    pub async fn delete(&self, id: Uuid, deed: Option<Deed>) -> Result<Record, CommandError> {
        self.disk.check(Stored::Progress)?;
        self.act("DeleteMessage", vec![id], 0, deed, move |queue, _| queue.delete(id)).await
    }

    /// Hides a message. See [`Queue::hide`].
    pub async fn hide(&self, id: Uuid, deed: Option<Deed>) -> Result<Record, CommandError> {
        self.disk.check(Stored::Progress)?;
        self.act("HideMessage", vec![id], 0, deed, move |queue, _| queue.hide(id)).await
    }

    /// Shows a hidden message again. See [`Queue::unhide`].
    pub async fn unhide(&self, id: Uuid, deed: Option<Deed>) -> Result<Record, CommandError> {
        self.disk.check(Stored::Progress)?;
        self.act("RestoreMessage", vec![id], 0, deed, move |queue, _| queue.unhide(id)).await
    }

    /// Claims one message. See [`Queue::claim`]. It is given back where its caller has gone away before the answer.
    pub async fn claim(&self, id: Uuid, by: ClaimBy) -> Result<Claimed, CommandError> {
        self.disk.check(Stored::Progress)?;
        let returns = self.returns.clone();
        let rule = move |queue: &mut Queue, at: &mut At<'_>| {
            queue.claim(id, &by, at).map(|leased| Claimed::new(leased, returns))
        };
        self.decide("ClaimMessage", vec![id], 0, rule).await
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
        let held = leases.iter().map(of_lease).sum();
        self.decide("RenewLeases", ids, held, move |queue, at| {
            Ok(leases.iter().map(|lease| queue.renew(lease, lease_ms, at.now)).collect())
        })
        .await
    }

    /// Gives a message back; `holds_back` says why the worker takes nothing for now. See [`Queue::release`] and
    /// [`Queue::hold_back`].
    pub async fn release(&self, lease: LeaseRef, holds_back: Option<String>) -> Result<Record, CommandError> {
        self.disk.check(Stored::Progress)?;
        let held = of_lease(&lease);
        self.decide("ReleaseMessage", vec![lease.id], held, move |queue, at| match holds_back {
            Some(why) => queue.hold_back(&lease, why, at.now),
            None => queue.release(&lease, at.now),
        })
        .await
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
        self.disk.check(Stored::Progress)?;
        let ids = items.iter().map(|(lease, _)| lease.id).collect();
        let texts = items.iter().filter_map(|(_, reply)| reply.as_ref()).map(|reply| reply.text.len());
        let weight = Weight { items: items.len(), bytes: texts.sum() };
        let held = items.iter().map(of_completion).sum();
        self.decide_weighing(weight, call, ids, held, move |queue, at| {
            Ok(items.into_iter().map(|(lease, reply)| queue.complete(&lease, reply, at)).collect())
        })
        .await
    }

    /// Reports a failure. See [`Queue::fail`].
    pub async fn fail(&self, lease: LeaseRef, failure: Failure) -> Result<Failed, CommandError> {
        self.disk.check(Stored::Progress)?;
        let held = of_lease(&lease) + failure.error.len();
        self.decide("FailMessage", vec![lease.id], held, move |queue, at| queue.fail(&lease, failure, at))
            .await
    }

    /// Puts a failed message back. See [`Queue::retry`].
    pub async fn retry(&self, id: Uuid, deed: Option<Deed>) -> Result<Record, CommandError> {
        self.disk.check(Stored::Progress)?;
        self.act("RetryMessage", vec![id], 0, deed, move |queue, at| queue.retry(id, at.now)).await
    }

    /// Takes a message out of the queue. See [`Queue::cancel`].
    pub async fn cancel(&self, id: Uuid, deed: Option<Deed>) -> Result<Record, CommandError> {
        self.disk.check(Stored::Progress)?;
        self.act("CancelMessage", vec![id], 0, deed, move |queue, _| queue.cancel(id)).await
    }

    /// Puts failed messages back in one commit; one outcome each, in their order. See [`Queue::retry`].
    ///
    /// # Errors
    /// `Busy`, `DiskFull` and `Stopped`, for all of them.
    pub async fn retry_each(&self, steps: Vec<Step>) -> Result<Vec<Result<Record, Rejection>>, CommandError> {
        self.act_on_each("RetryMessages", steps, |queue, id, at| queue.retry(id, at.now)).await
    }

    /// Takes messages out of the queue in one commit; one outcome each, in their order. See [`Queue::cancel`].
    ///
    /// # Errors
    /// `Busy`, `DiskFull` and `Stopped`, for all of them.
    pub async fn cancel_each(
        &self,
        steps: Vec<Step>,
    ) -> Result<Vec<Result<Record, Rejection>>, CommandError> {
        self.act_on_each("CancelMessages", steps, |queue, id, _| queue.cancel(id)).await
    }

    /// Cancels a piece of what waits, and with `in_work` of what workers hold. See [`Queue::cancel_all`]. `before` is the
    /// piece before this one.
    pub async fn cancel_all(
        &self,
        which: Selector,
        in_work: bool,
        before: Option<Act>,
        deed: Deed,
    ) -> Result<Cancelled, CommandError> {
        self.disk.check(Stored::Progress)?;
        let message = which.message();
        let held = deed.held() + before.as_ref().map_or(0, |act| act.deed.held());
        let weight = Weight { items: PIECE, bytes: 0 };
        let rule = move |queue: &mut Queue, at: &mut At<'_>| {
            let which = queue.select(&which)?;
            Ok(queue.cancel_all(which, in_work, PIECE, (before, deed), at.wall))
        };
        self.decide_weighing(weight, "CancelPending", Vec::from_iter(message), held, rule).await
    }

    /// Blocks somebody for a span. See [`Queue::block`].
    pub async fn block(&self, who: Selector, span: Millis, deed: Deed) -> Result<Block, CommandError> {
        self.disk.check(Stored::Progress)?;
        let (message, held) = (who.message(), deed.held());
        let rule = move |queue: &mut Queue, at: &mut At<'_>| {
            let which = queue.select(&who)?;
            let Some(source) = which.source() else { return Err(Rejection::field("author", "is missing")) };
            let (deed, reason) = (Deed { on: Target::All(which), ..deed.clone() }, deed.reason);
            queue.acting(Some(deed), at, |queue, at| queue.block(source, span, reason, at))
        };
        self.decide("BlockSender", Vec::from_iter(message), held, rule).await
    }

    /// Lifts a block; false if there was none.
    pub async fn unblock(&self, who: Source, deed: Option<Deed>) -> Result<bool, CommandError> {
        self.disk.check(Stored::Progress)?;
        self.act("UnblockSender", vec![], 0, deed, move |queue, _| Ok(queue.unblock(who))).await
    }

    /// Pauses an entity. See [`Queue::pause`].
    pub async fn pause(&self, entity: String, deed: Option<Deed>) -> Result<Millis, CommandError> {
        self.disk.check(Stored::Progress)?;
        let held = entity.len();
        self.act("PauseEntity", vec![], held, deed, move |queue, at| queue.pause(&entity, at.wall)).await
    }

    /// Lets a paused entity go on; false if it was not paused.
    pub async fn resume(&self, entity: String, deed: Option<Deed>) -> Result<bool, CommandError> {
        self.disk.check(Stored::Progress)?;
        let held = entity.len();
        self.act("ResumeEntity", vec![], held, deed, move |queue, _| Ok(queue.resume(&entity))).await
    }

    /// Gives entities other limits. It stores nothing.
    ///
    /// # Errors
    /// `Busy` and `Stopped`.
    pub async fn set_entity_limits(&self, limits: EntityLimits) -> Result<(), CommandError> {
        self.decide("EntityLimits", vec![], 0, move |queue, _| {
            queue.set_entity_limits(limits);
            Ok(())
        })
        .await
    }

    /// Reads the queue, between two commands: short, the writer waits meanwhile.
    pub async fn read<T: Send + 'static>(
        &self,
        call: &'static str,
        read: impl FnOnce(&Queue) -> T + Send + 'static,
    ) -> Result<T, CommandError> {
        let (reply, found) = oneshot::channel();
        // It changes nothing, and an operator wants to see a full queue most of all.
        self.send(Job::Command(Command::new(call, reply, |queue, _| read(queue))))?;
        found.await.map_err(|_| CommandError::Stopped)
    }

    /// All sessions that stream or hold leases.
    #[cfg(test)]
    pub(super) async fn sessions(&self) -> Result<Vec<SessionView>, CommandError> {
        let all = |queue: &Queue| queue.sessions(&SessionsAfter::Start).map(|(_, view)| view).collect();
        self.read("Sessions", all).await
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
            self.disk.check(Stored::Progress)?;
        }
        let id = self.next_taker.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = mpsc::channel(room);
        self.send(Job::Join(id, taker, sender))?;
        Ok(Seat::new(id, events, self.returns.clone()))
    }

    /// Lets a rule decide for an operator, if there is a deed.
    async fn act<T: Send + 'static>(
        &self,
        call: &'static str,
        ids: Vec<Uuid>,
        held: usize,
        deed: Option<Deed>,
        rule: impl FnOnce(&mut Queue, &mut At<'_>) -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, CommandError> {
        let held = held + deed.as_ref().map_or(0, Deed::held);
        self.decide(call, ids, held, move |queue, at| queue.acting(deed, at, rule)).await
    }

    /// Lets a rule decide about many messages, each for itself.
    async fn act_on_each(
        &self,
        call: &'static str,
        steps: Vec<Step>,
        rule: impl Fn(&mut Queue, Uuid, &mut At<'_>) -> Result<Record, Rejection> + Send + 'static,
    ) -> Result<Vec<Result<Record, Rejection>>, CommandError> {
        self.disk.check(Stored::Progress)?;
        let ids = steps.iter().map(|(id, _)| *id).collect();
        let held = steps.iter().filter_map(|(_, deed)| deed.as_ref()).map(Deed::held).sum();
        let weight = Weight { items: steps.len(), bytes: 0 };
        self.decide_weighing(weight, call, ids, held, move |queue, at| {
            let each = |(id, deed)| queue.acting(deed, at, |queue, at| rule(queue, id, at));
            Ok(steps.into_iter().map(each).collect())
        })
        .await
    }

    async fn decide<T: Send + 'static>(
        &self,
        call: &'static str,
        ids: Vec<Uuid>,
        held: usize,
        rule: impl FnOnce(&mut Queue, &mut At<'_>) -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, CommandError> {
        self.decide_weighing(Weight { items: 1, bytes: 0 }, call, ids, held, rule).await
    }

    async fn decide_weighing<T: Send + 'static>(
        &self,
        weight: Weight,
        call: &'static str,
        ids: Vec<Uuid>,
        held: usize,
        rule: impl FnOnce(&mut Queue, &mut At<'_>) -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, CommandError> {
        let (reply, outcome) = oneshot::channel();
        self.command(Command { ids, weight, ..Command::new(call, reply, rule) }, held)?;
        Ok(outcome.await.map_err(|_| CommandError::Stopped)??)
    }

    /// Sends a command that holds so many bytes while it waits.
    fn command(&self, mut command: Command, held: usize) -> Result<(), CommandError> {
        command.taken = Some(self.waiting.enter(held).map_err(CommandError::Busy)?);
        self.send(Job::Command(command))
    }

    fn send(&self, job: Job) -> Result<(), CommandError> {
        self.jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => CommandError::Busy(self.waiting.refuse()),
            TrySendError::Disconnected(_) => CommandError::Stopped,
        })
    }
}
