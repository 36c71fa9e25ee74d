//! What calls cost in storage, counted where the storage is touched.

use std::{cell::Cell, collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

/// The storage calls of one call. Only the storage adds to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    reads: Cell<u64>,
    writes: Cell<u64>,
}

impl Tally {
    /// Point reads and range reads.
    pub fn reads(&self) -> u64 {
        self.reads.get()
    }

    /// Records written to the log.
    pub fn writes(&self) -> u64 {
        self.writes.get()
    }

    pub(super) fn count_read(&self) {
        self.reads.set(self.reads.get() + 1);
    }

    pub(super) fn count_writes(&self, rows: u64) {
        self.writes.set(self.writes.get() + rows);
    }
}

/// The storage calls of one kind of call since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallCost {
    /// How often it was served.
    pub calls: u64,
    /// Its reads.
    pub reads: u64,
    /// Its writes.
    pub writes: u64,
}

/// The costs of all kinds of calls; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Costs(Arc<Mutex<BTreeMap<&'static str, CallCost>>>);

impl Costs {
    /// Adds one served call.
    pub fn note(&self, call: &'static str, tally: &Tally) {
        let mut costs = self.0.lock();
        let cost = costs.entry(call).or_default();
        cost.calls += 1;
        cost.reads += tally.reads();
        cost.writes += tally.writes();
    }

    /// All costs by call.
    pub fn by_call(&self) -> Vec<(&'static str, CallCost)> {
        self.0.lock().iter().map(|(call, cost)| (*call, *cost)).collect()
    }
}
