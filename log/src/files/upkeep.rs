//! The thread of a log: prepares space ahead of the writer, and makes the mark durable once a second.
//!
//! Nothing depends on it but time: if it is behind, or not there, the writer prepares what it needs itself, and the mark is
//! made durable with each new segment.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::shared::Shared;

/// How often the mark is made durable, and how long a full disk is left alone.
const EVERY: Duration = Duration::from_secs(1);

/// How the thread is told that there is something to do.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    raised: bool,
    stopped: bool,
}

impl Signal {
    /// There is something to do.
    pub(super) fn raise(&self) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.raised, true) {
            drop(state);
            self.changed.notify_one();
        }
    }

    fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_one();
    }

    /// Waits until there is something to do, or until this time; `false` once it is over.
    fn wait(&self, until: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        while !state.raised && !state.stopped {
            match until {
                None => self.changed.wait(&mut state),
                Some(until) if self.changed.wait_until(&mut state, until).timed_out() => break,
                Some(_) => {}
            }
        }
        state.raised = false;
        !state.stopped
    }
}

/// The thread; dropping it stops it and waits for it.
#[derive(Debug)]
pub(super) struct Upkeep {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let of_thread = Arc::clone(shared);
        let thread = thread::Builder::new().name("log-upkeep".to_owned()).spawn(move || run(&of_thread))?;
        Ok(Self { shared: Arc::clone(shared), thread: Some(thread) })
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.shared.signal.stop();
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, there is nothing left to be done about it.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared) {
    let (mut mark_due, mut retry_due) = (None, None);
    while shared.signal.wait([mark_due, retry_due].into_iter().flatten().min()) {
        let now = Instant::now();
        let at = shared.written_to();
        // Who is short of space is told at once, and tries again in a while.
        if shared.prepared.is_low(at) && retry_due.is_none_or(|due| due <= now) {
            retry_due = shared.prepared.prepare(&*shared.disk, 0).is_err().then(|| now + EVERY);
            if retry_due.is_none() && shared.prepared.is_low(at) {
                shared.signal.raise();
            }
        }
        let is_clean = shared.mark.is_durable(shared.mark.acknowledged().place);
        mark_due = (!is_clean).then(|| mark_due.unwrap_or(now + EVERY));
        if mark_due.is_some_and(|due| due <= now) {
            mark_due = None;
            if shared.sync_mark().is_err() {
                return;
            }
            if !shared.mark.is_durable(shared.mark.acknowledged().place) {
                mark_due = Some(now + EVERY);
            }
        }
    }
}
