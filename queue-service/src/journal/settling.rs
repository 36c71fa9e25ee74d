//! The thread behind the writer: erases what was deleted, writes the index, and drops the beginning of the log once all of it
//! is swept.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use repartee_log::Place;

use super::{
    JournalError, Store, Tally,
    keys::Key,
    store::Shared,
    stored::{StoredBeginning, decode},
};

/// How often the index is written while there is little to write. What was deleted is erased at once.
const SETTLE_EVERY: Duration = Duration::from_secs(5);

/// Starts the thread. It ends when it is told to stop, or something fails.
pub(super) fn start(store: &Store) -> std::io::Result<JoinHandle<()>> {
    let shared = Arc::clone(&store.0);
    std::thread::Builder::new().name("index".to_owned()).spawn(move || {
        // sled may panic if its files are damaged.
        let ended = catch_unwind(AssertUnwindSafe(|| shared.run())).unwrap_or(Err(JournalError::Settling));
        if let Err(error) = ended {
            tracing::error!(error = &error as &dyn std::error::Error, "the index cannot be written");
            // The next commit ends the writer, and with it the process: a start makes the index up from the log.
            let _ = shared.failed.set(error);
            shared.index.note_settled();
        }
    })
}

impl Shared {
    fn run(&self) -> Result<(), JournalError> {
        let mut settled = Instant::now();
        loop {
            let stop = self.wait(SETTLE_EVERY.saturating_sub(settled.elapsed()));
            #[cfg(test)]
            if self.signal.raised.lock().killed {
                return Ok(());
            }
            if stop || settled.elapsed() >= SETTLE_EVERY || self.index.is_large() {
                self.settle()?;
                settled = Instant::now();
            } else {
                let _one = self.settling.lock();
                self.erase_due()?;
            }
            if stop {
                return Ok(());
            }
        }
    }

    /// Returns once there is something to do, after this time at the latest; true if it is the last.
    fn wait(&self, at_most: Duration) -> bool {
        let mut raised = self.signal.raised.lock();
        if !raised.now {
            self.signal.changed.wait_for(&mut raised, at_most);
        }
        raised.now = false;
        raised.stop
    }

    /// Erases what is to be erased, writes what the index has in memory, and drops what is swept.
    pub(super) fn settle(&self) -> Result<(), JournalError> {
        let _one = self.settling.lock();
        let Some((upto, rows)) = self.index.settle(self.log.epoch(), || self.erase_due())? else {
            return Ok(());
        };
        metrics::counter!("repartee_index_rows_total").increment(rows);
        self.drop_swept(upto.place)
    }

    /// Writes the rows and not the checkpoint.
    #[cfg(test)]
    pub(super) fn settle_without_checkpoint(&self) -> Result<(), JournalError> {
        let _one = self.settling.lock();
        self.index.settle_without_checkpoint(|| self.erase_due())
    }

    /// Drops the parts of the log of which nothing is left, as far as the index does without them.
    fn drop_swept(&self, settled: Place) -> Result<(), JournalError> {
        // As the index says, not as readers are told: whoever finds it moved finds what is kept elsewhere.
        let Some(begins) = self.index.get(Key::Begins, &Tally::default())? else { return Ok(()) };
        let swept = decode::<StoredBeginning>(&begins)?.beginning().place;
        let Some(oldest) = self.log.oldest().filter(|oldest| oldest.begin < swept) else { return Ok(()) };
        // Both are where a record ends, which may be where a part of the log does.
        let needed = self.next_record(swept)?.min(self.next_record(settled)?);
        if oldest.end <= needed {
            self.log.drop_before(needed).map_err(|error| JournalError::Sync(Arc::new(error)))?;
        }
        Ok(())
    }

    /// Where the next record stands, from a place on; the end of the log if there is none.
    fn next_record(&self, place: Place) -> Result<Place, JournalError> {
        let next = self.log.read(place, 1)?;
        Ok(next.first().map_or(self.log.end().place, |record| record.place))
    }
}
