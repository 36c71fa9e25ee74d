//! The writer: the one thread that owns the queue's state.
//!
//! Takes what waits in its channel, lets the rules decide each command, makes the changes of the whole group durable in
//! one commit, shows them to the readers, and only then answers. Nobody else changes the queue, and nothing is visible
//! or acknowledged before it is on disk. A commit that fails ends the writer, and with it the process.

mod clock;
mod group;
mod handle;
mod job;
mod measures;
mod room;
mod seat;
mod sweep;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use crate::{
    disk::{DiskRoom, LOOK_EVERY},
    domain::{Event, LeaseRef, Millis, Queue, TakerId},
    journal::{Costs, Journal, JournalError, Store},
    views::Views,
};

pub use clock::{Clock, ServiceClock};
pub use handle::{CommandError, Post, QueueHandle};
pub use room::Room;
pub use seat::{Claimed, Seat};

use job::{Job, Parted};
use measures::Measures;
use room::Waiting;
use sweep::{KeySweep, LogSweep};

/// From so many items on, a group takes no more commands. The last one may be a batch of as many.
const GROUP_ITEMS: usize = 256;
/// The same in bytes of texts: all messages of a commit share a time stamp, and a page never ends inside one.
const GROUP_BYTES: usize = 1024 * 1024;

/// Room beside the commands: for takers that come and go, and for looking at the queue. They get through where commands
/// find no room, and bounds of their own keep them few.
const OTHERS: usize = 64;
/// Longest sleep without a look at the clock: what wakes the thread may not count while the machine sleeps.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Everything that the writer works with.
pub struct Writer<J, C> {
    /// The state, as the journal left it.
    pub queue: Queue,
    /// Where changes are made durable.
    pub journal: J,
    /// Where messages are looked up that are not live.
    pub store: Store,
    /// Where changes are shown.
    pub views: Arc<Views>,
    /// Where storage calls are counted.
    pub costs: Costs,
    /// What time it is.
    pub clock: C,
    /// Whether there is room on the disk; where not, nothing is decided that would store something.
    pub disk: DiskRoom,
    /// How long finished messages are kept after their last change; for ever where absent.
    pub retention: Option<Millis>,
    /// Nothing is taken away for its age before this, in service time.
    pub ages_from: Millis,
}

/// The running thread.
pub struct Running {
    /// Why the writer ended early; never sent while it runs.
    pub failed: oneshot::Receiver<JournalError>,
    /// The thread; it ends when all handles are gone.
    pub thread: JoinHandle<()>,
}

impl<J: Journal, C: Clock> Writer<J, C> {
    /// Starts the thread, with so much room for commands that wait. Callers are woken on the runtime that this is called
    /// in.
    ///
    /// # Errors
    /// Where the system gives no thread.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn start(self, room: Room) -> std::io::Result<(QueueHandle, Running)> {
        let (sender, receiver) = sync_channel(room.commands as usize + OTHERS);
        let (failure, failed) = oneshot::channel();
        let parted = Parted::default();
        let handle = QueueHandle::new(sender, Arc::clone(&parted), Waiting::new(room), self.disk.clone());
        let state = State::new(self, parted, Handle::current());
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
            if let Err(error) = state.run(&receiver) {
                // The receiver is gone only where the server is ending anyway.
                let _ = failure.send(error);
            }
        })?;
        Ok((handle, Running { failed, thread }))
    }
}

struct State<J, C> {
    with: Writer<J, C>,
    callers: Handle,
    streams: HashMap<TakerId, mpsc::Sender<Event>>,
    parted: Parted,
    /// Work that could not be delivered, to be released in the next group.
    undelivered: Vec<LeaseRef>,
    /// True where the last group found no room on the disk, and left undone what time brings about.
    put_off: bool,
    key_sweep: KeySweep,
    log_sweep: Option<LogSweep>,
    /// When the last commit with new messages was made, in service time.
    stamped_at: Millis,
    measures: Measures,
}

impl<J: Journal, C: Clock> State<J, C> {
    fn new(with: Writer<J, C>, parted: Parted, callers: Handle) -> Self {
        // Before that nothing is over for its age.
        let from = with.clock.read().now.max(with.ages_from);
        let limit = with.disk.data_limit();
        let sweeps = with.retention.is_some() || limit.0.is_some();
        let log_sweep = sweeps.then(|| LogSweep::new(with.retention, limit, from));
        with.disk.note_data(with.store.data_bytes());
        Self {
            with,
            callers,
            streams: HashMap::new(),
            parted,
            undelivered: Vec::new(),
            put_off: false,
            key_sweep: KeySweep::new(from),
            log_sweep,
            stamped_at: Millis::MIN,
            measures: Measures::default(),
        }
    }

    fn run(mut self, jobs: &Receiver<Job>) -> Result<(), JournalError> {
        loop {
            let mut group = Vec::new();
            match jobs.recv_timeout(self.patience()) {
                Ok(job) => {
                    group.push(job);
                    // Callers that are about to send get the core first: a group of more costs hardly more.
                    std::thread::yield_now();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            let mut weight = group.first().map(Job::weight).unwrap_or_default();
            while weight.items < GROUP_ITEMS && weight.bytes < GROUP_BYTES {
                let Ok(job) = jobs.try_recv() else { break };
                weight.items += job.weight().items;
                weight.bytes += job.weight().bytes;
                group.push(job);
            }
            self.serve(group)?;
        }
    }

    /// How long nothing has to be done unless a command comes.
    fn patience(&self) -> Duration {
        // What was put off is to be done soon after there is room, whoever made it.
        if self.put_off {
            return LOOK_EVERY;
        }
        if !self.undelivered.is_empty() {
            return Duration::ZERO;
        }
        let moment = self.with.clock.read();
        let deadlines = [self.with.queue.next_deadline(), Some(self.next_sweep(moment))];
        let deadline = deadlines.into_iter().flatten().min().unwrap_or(Millis::MAX);
        let wait = deadline.saturating_sub(moment.now).max(0);
        Duration::from_millis(wait.unsigned_abs()).min(LONGEST_WAIT)
    }
}

#[cfg(test)]
pub(crate) mod tests;
