//! The log of operators' acts as operators see it: all entries that are kept, in memory, for its page is looked at every
//! few seconds.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;

use super::Views;
use crate::domain::{Act, ActRows};

#[derive(Debug, Default)]
pub(super) struct Acts(RwLock<BTreeMap<u64, Arc<Act>>>);

impl Views {
    /// The entries as they were stored.
    pub fn restore_acts(&self, acts: Vec<Act>) {
        self.acts.0.write().extend(acts.into_iter().map(|act| (act.number, Arc::new(act))));
    }

    /// Shows entries that are durable.
    pub fn show_acts(&self, rows: ActRows) {
        if rows.is_empty() {
            return;
        }
        let mut acts = self.acts.0.write();
        acts.extend(rows.written.into_iter().map(|act| (act.number, Arc::new(act))));
        for number in rows.dropped {
            acts.remove(&number);
        }
    }

    /// The newest entries with a number below `before`, newest first, at most `limit`. Says whether there are older ones.
    pub fn acts(&self, before: u64, limit: usize) -> (Vec<Arc<Act>>, bool) {
        let acts = self.acts.0.read();
        let mut older = acts.range(..before).rev();
        let page: Vec<_> = older.by_ref().take(limit).map(|(_, act)| Arc::clone(act)).collect();
        (page, older.next().is_some())
    }

    /// How many entries are kept.
    pub fn count_acts(&self) -> usize {
        self.acts.0.read().len()
    }
}
