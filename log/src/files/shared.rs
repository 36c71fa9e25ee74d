//! What the writer and all others have in common.
//!
//! Locks are taken in this order: `erasing`, `active`, what is prepared, the mark; `end` and `segments` last of all.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, OnceLock},
};

use parking_lot::{Condvar, Mutex, RwLock};

use super::{
    blocks::{Tail, block_start},
    disk::{Disk, DiskFile},
    mark::MarkFile,
    prepare::Prepared,
    segment::{Segment, Warm},
    upkeep::Signal,
};
use crate::engine::{End, Epoch};

/// So many full segments stay open.
const KEPT_WARM: usize = 8;

/// A log in files.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) segment_bytes: u64,
    pub(super) epoch: Epoch,
    pub(super) key: [u8; 16],
    /// Oldest first; the last one is written to.
    pub(super) segments: RwLock<Vec<Arc<Segment>>>,
    pub(super) end: Mutex<End>,
    pub(super) grown: Condvar,
    pub(super) active: Mutex<Active>,
    /// Held by who erases, and by who has read a body that is neither whole nor erased.
    pub(super) erasing: Mutex<()>,
    pub(super) mark: MarkFile,
    pub(super) prepared: Prepared,
    pub(super) signal: Signal,
    /// Why the log takes nothing more.
    pub(super) failed: OnceLock<Arc<io::Error>>,
    /// Full segments that are open, the one that was used last at the end.
    pub(super) warm: Mutex<VecDeque<Arc<Segment>>>,
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    pub(super) file: Arc<dyn DiskFile>,
    /// Where its last record ends.
    pub(super) at: u64,
    /// The block in which that is, as it is on disk.
    pub(super) tail: Tail,
}

impl Active {
    /// Where the next write begins.
    pub(super) const fn block(&self) -> u64 {
        block_start(self.at)
    }
}

impl Shared {
    /// What failed makes the log take nothing more: what is on disk, only a restart can tell.
    pub(super) fn fail(&self, error: io::Error) -> Arc<io::Error> {
        tracing::error!(error = &error as &dyn std::error::Error, "the log failed and takes nothing more");
        Arc::clone(self.failed.get_or_init(|| Arc::new(error)))
    }

    /// Makes the mark durable, and with it all that was acknowledged.
    pub(super) fn sync_mark(&self) -> Result<(), Arc<io::Error>> {
        let (file, mark) = {
            let active = self.active.lock();
            (Arc::clone(&active.file), self.mark.acknowledged())
        };
        self.mark.sync(&*file, mark).map_err(|error| self.fail(error))
    }

    /// What is needed to read a segment.
    pub(super) fn warm(&self, segment: &Arc<Segment>) -> io::Result<Arc<Warm>> {
        let (warm, opened) = segment.warm(&*self.disk)?;
        if opened {
            self.keep_warm(Arc::clone(segment));
        }
        Ok(warm)
    }

    /// Keeps a segment open, and closes the one that was opened longest ago.
    pub(super) fn keep_warm(&self, segment: Arc<Segment>) {
        let mut warm = self.warm.lock();
        warm.push_back(segment);
        if warm.len() > KEPT_WARM
            && let Some(oldest) = warm.pop_front()
        {
            oldest.cool();
        }
    }
}
