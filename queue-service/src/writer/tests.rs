//! The writer with a clock that the test turns and a journal that the test holds up or lets fail.

mod commits;
mod full_disk;
mod room;
mod seats;
mod sweep;
mod time;

use std::{
    pin::Pin,
    sync::{Arc, mpsc},
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::sync::mpsc as events;

use super::{Clock, CommandError, QueueHandle, Room, Running, Writer};
use crate::{
    disk::{DataLimit, DiskRoom},
    domain::{
        Millis, Moment, NewMessage, Posted, Queue, QueueRules, Record, Request,
        tests::world::{START, question, remark},
    },
    journal::{Commit, Costs, Journal, JournalError, LogJournal, Store, Tally, tests::open},
    views::{CacheLimits, Floor, Views},
};

/// A clock that stands still until the test turns it; what is waited for is there at once.
#[derive(Clone)]
struct Turned(Arc<Mutex<(Moment, Vec<Millis>)>>);

impl Turned {
    /// Lets time pass.
    fn turn(&self, ms: Millis) {
        self.0.lock().0.now += ms;
        self.step(ms);
    }

    /// Sets the wall clock without any time passing.
    fn step(&self, ms: Millis) {
        self.0.lock().0.wall += ms;
    }

    /// The times that the clock had to be turned to because they were waited for.
    fn waited_for(&self) -> Vec<Millis> {
        self.0.lock().1.clone()
    }
}

impl Clock for Turned {
    fn read(&self) -> Moment {
        self.0.lock().0
    }

    fn wait_until(&self, now: Millis) {
        let mut clock = self.0.lock();
        let passed = now - clock.0.now;
        if passed > 0 {
            clock.0 = Moment { now, wall: clock.0.wall + passed };
            clock.1.push(now);
        }
    }
}

/// Below so many free bytes nothing is stored.
const RESERVE: u64 = 1_000;

/// A journal that tells the test of every commit, and waits until the test says what becomes of it.
pub(crate) struct Held {
    pub(crate) journal: LogJournal,
    pub(crate) commits: events::Sender<Commit>,
    pub(crate) orders: mpsc::Receiver<Order>,
}

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// It is stored.
    Go,
    /// It fails, and nothing of it is stored.
    Fail,
    /// It is stored, and fails then: what cannot be told is whether it is durable.
    FailAfter,
    /// It fails after the first half of its changes.
    FailHalfway,
}

impl Held {
    /// The journal, where it tells of commits, and where it takes orders.
    pub(crate) fn new(journal: LogJournal) -> (Self, events::Receiver<Commit>, mpsc::SyncSender<Order>) {
        let (told, commits) = events::channel(64);
        let (give, orders) = mpsc::sync_channel(64);
        (Self { journal, commits: told, orders }, commits, give)
    }
}

impl Journal for Held {
    fn append(&mut self, commit: &Commit, tally: &Tally) -> Result<(), JournalError> {
        let told = self.commits.blocking_send(commit.clone());
        match told.ok().and_then(|()| self.orders.recv().ok()) {
            Some(Order::Go) => return self.journal.append(commit, tally),
            Some(Order::FailAfter) => self.journal.append(commit, tally)?,
            Some(Order::FailHalfway) => {
                let changes = commit.changes[..commit.changes.len() / 2].to_vec();
                self.journal.append(&Commit { changes, ..commit.clone() }, tally)?;
            }
            Some(Order::Fail) | None => {}
        }
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        Err(JournalError::Sync(Arc::new(full)))
    }
}

/// More than a test fills unless it means to.
const ROOM: Room = Room { commands: 64, bytes: 1_000_000 };
/// A cache in which everything has room.
const ROOMY: CacheLimits = CacheLimits { messages: 10_000, bytes: 100_000_000, list_rooms: false };

/// A running writer and everything around it.
struct Bench {
    queue: QueueHandle,
    running: Running,
    views: Arc<Views>,
    store: Store,
    costs: Costs,
    clock: Turned,
    disk: DiskRoom,
    dir: TempDir,
}

impl Bench {
    /// A writer that keeps what it commits.
    fn start() -> Self {
        Self::start_with(ROOM, |journal| journal)
    }

    /// A writer whose commits wait for orders.
    fn start_held(commands: u32) -> (Self, events::Receiver<Commit>, mpsc::SyncSender<Order>) {
        Self::start_held_with(Room { commands, ..ROOM })
    }

    fn start_held_with(room: Room) -> (Self, events::Receiver<Commit>, mpsc::SyncSender<Order>) {
        Self::start_held_as(room, ROOMY, None)
    }

    fn start_held_as(
        room: Room,
        limits: CacheLimits,
        retention: Option<Millis>,
    ) -> (Self, events::Receiver<Commit>, mpsc::SyncSender<Order>) {
        let mut ends = None;
        let bench = Self::start_as(room, limits, retention, |journal| {
            let (journal, commits, orders) = Held::new(journal);
            ends = Some((commits, orders));
            journal
        });
        let (commits, orders) = ends.expect("the journal was made");
        (bench, commits, orders)
    }

    /// A writer that sweeps what is older than this, behind a cache for so many messages.
    fn start_keeping(keep_ms: Millis, messages: usize) -> Self {
        Self::start_as(ROOM, CacheLimits { messages, ..ROOMY }, Some(keep_ms), |journal| journal)
    }

    /// A writer that sweeps what is more than this, behind a cache for so many messages.
    fn start_holding(bytes: u64, messages: usize) -> Self {
        // The cache is far below the limit, as the settings demand.
        let cache = CacheLimits { messages, bytes: usize::try_from(bytes / 4).unwrap(), ..ROOMY };
        Self::start_limited(ROOM, cache, None, DataLimit(Some(bytes)), |journal| journal)
    }

    fn start_with<J: Journal>(room: Room, journal: impl FnOnce(LogJournal) -> J) -> Self {
        Self::start_as(room, ROOMY, None, journal)
    }

    fn start_as<J: Journal>(
        room: Room,
        limits: CacheLimits,
        retention: Option<Millis>,
        journal: impl FnOnce(LogJournal) -> J,
    ) -> Self {
        Self::start_limited(room, limits, retention, DataLimit(None), journal)
    }

    fn start_limited<J: Journal>(
        room: Room,
        limits: CacheLimits,
        retention: Option<Millis>,
        data: DataLimit,
        journal: impl FnOnce(LogJournal) -> J,
    ) -> Self {
        let (dir, disk) = (TempDir::new().unwrap(), DiskRoom::new(RESERVE, data));
        let (opened, rules) = (open(&dir), QueueRules::default());
        let store = opened.store().clone();
        let views = Views::restore(limits, rules.aging_ms, Floor::default(), std::iter::empty(), &[], 0);
        let (views, costs, clock) = (
            Arc::new(views),
            Costs::default(),
            Turned(Arc::new(Mutex::new((Moment::of(START), Vec::new())))),
        );
        let writer = Writer {
            queue: Queue::restore(rules, store.ids().clone(), (0, 0), Vec::new(), Moment::of(START)),
            journal: journal(opened),
            store: store.clone(),
            views: Arc::clone(&views),
            costs: costs.clone(),
            clock: clock.clone(),
            disk: disk.clone(),
            retention,
            ages_from: Millis::MIN,
        };
        let (queue, running) = writer.start(room).unwrap();
        Self { queue, running, views, store, costs, clock, disk, dir }
    }

    async fn post(&self, new: NewMessage) -> Record {
        self.try_post(new, None).await.unwrap().record
    }

    async fn try_post(&self, new: NewMessage, request: Option<Request>) -> Result<Posted, CommandError> {
        let mut outcomes = self.queue.post("PostMessage", vec![(new, request)]).await?;
        Ok(outcomes.pop().expect("one post has one outcome")?)
    }

    async fn say(&self) -> Record {
        self.post(remark("ann")).await
    }

    async fn ask(&self, human: &str) -> Record {
        self.post(question(human, "bot")).await
    }

    /// Returns once the writer has done all that was asked before.
    async fn settled(&self) {
        self.queue.sessions().await.unwrap();
    }

    /// Number of the newest change that readers see.
    fn tail(&self) -> u64 {
        *self.views.subscribe().borrow()
    }

    fn shown(&self, record: &Record) -> Option<Record> {
        self.views.posted(record.content.posted).map(|record| (*record).clone())
    }
}

/// Polls a future once: enough to send a command.
fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}
