//! The store as all but the writer see it: the log, and the index of it.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Condvar, Mutex, RwLock};
use repartee_log::Log;

use super::{
    JournalError, LastCommit, Tally, commits::LogCommit, erase::Erase, index::Index, sweep::Beginning,
};
use crate::domain::Ids;

/// The store; cheap to clone. Any clone may read. The folder is free once all of them are gone, and the journal.
#[derive(Clone)]
pub struct Store(pub(super) Arc<Shared>);

/// What the writer, the readers and the settling thread share.
pub(super) struct Shared {
    pub(super) log: Arc<dyn Log>,
    pub(super) index: Index,
    /// Where the log begins for readers; moved before anything goes.
    pub(super) begins: RwLock<Beginning>,
    /// Bytes of the log that are not swept.
    pub(super) data_bytes: AtomicU64,
    /// What is to be erased. Whatever an overlay says of a message, what it makes erasable is here before.
    pub(super) erase: Mutex<Vec<Erase>>,
    pub(super) signal: Signal,
    /// One at a time writes the index.
    pub(super) settling: Mutex<()>,
    /// Why the index takes nothing more.
    pub(super) failed: OnceLock<JournalError>,
    epoch: Arc<str>,
    ids: Ids,
}

/// Wakes the settling thread.
#[derive(Debug, Default)]
pub(super) struct Signal {
    pub(super) raised: Mutex<Raised>,
    pub(super) changed: Condvar,
}

#[derive(Debug, Default)]
pub(super) struct Raised {
    /// Something is to be erased, or there is much to write.
    pub(super) now: bool,
    /// The journal is gone.
    pub(super) stop: bool,
    /// The same, as it is after a kill.
    #[cfg(test)]
    pub(super) killed: bool,
}

impl Signal {
    pub(super) fn raise(&self, stop: bool) {
        let mut raised = self.raised.lock();
        raised.now = true;
        raised.stop |= stop;
        self.changed.notify_all();
    }
}

impl Store {
    pub(super) fn new(log: Arc<dyn Log>, index: Index) -> Self {
        let (epoch, ids) = (log.epoch().to_string().into(), Ids::new(log.key()));
        Self(Arc::new(Shared {
            log,
            index,
            begins: RwLock::default(),
            data_bytes: AtomicU64::new(0),
            erase: Mutex::default(),
            signal: Signal::default(),
            settling: Mutex::default(),
            failed: OnceLock::new(),
            epoch,
            ids,
        }))
    }

    /// Names this log; another one if what it holds may not be what the name stood for.
    pub fn epoch(&self) -> &Arc<str> {
        &self.0.epoch
    }

    /// The ids of this log's messages.
    pub fn ids(&self) -> &Ids {
        &self.0.ids
    }

    /// Where the log begins. What a reader finds gone was before it.
    pub fn begins(&self) -> Beginning {
        *self.0.begins.read()
    }

    /// Bytes of the log that are not swept: messages and their history.
    pub fn data_bytes(&self) -> u64 {
        self.0.data_bytes.load(Ordering::Relaxed)
    }

    /// Whether there is no space for what is to be written next, as far as the log knows.
    pub fn is_short(&self) -> bool {
        self.0.log.shortage().is_some()
    }

    /// The last commit.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn last_commit(&self, tally: &Tally) -> Result<LastCommit, JournalError> {
        let end = self.0.log.end();
        tally.count_read();
        let Some(last) = self.0.log.read_back(end.place, 1)?.pop() else { return Ok(LastCommit::default()) };
        let (seq, stamp) = (last.last(), last.stamp);
        let commit = LogCommit::parse(last)?;
        Ok(LastCommit { seq, stamp, time: commit.time(), service_time: commit.head.service_time(stamp) })
    }
}

impl Shared {
    pub(super) fn begins_seq(&self) -> u64 {
        self.begins.read().seq
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("epoch", &self.0.epoch).finish_non_exhaustive()
    }
}
