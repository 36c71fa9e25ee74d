//! Which entities are held back, as readers see it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use parking_lot::RwLock;
use tokio::sync::watch;

use super::Views;
use crate::domain::{Millis, Pause};

#[derive(Debug, Default)]
pub(super) struct Pauses {
    paused: RwLock<BTreeMap<String, Millis>>,
    changed: watch::Sender<()>,
    throttled: AtomicUsize,
}

impl Views {
    /// The pauses as they were stored.
    pub fn restore_pauses(&self, paused: impl IntoIterator<Item = (String, Millis)>) {
        self.pauses.paused.write().extend(paused);
    }

    /// Shows pauses that are durable.
    pub fn show_pauses(&self, pauses: Vec<Pause>) {
        if pauses.is_empty() {
            return;
        }
        let mut paused = self.pauses.paused.write();
        for Pause { entity, since } in pauses {
            match since {
                Some(since) => paused.insert(entity, since),
                None => paused.remove(&entity),
            };
        }
        self.pauses.changed.send_replace(());
    }

    /// Notes how many entities are at a limit of theirs.
    pub fn note_throttled(&self, entities: usize) {
        self.pauses.throttled.store(entities, Ordering::Relaxed);
    }

    /// How many entities are at a limit of theirs.
    pub fn throttled(&self) -> usize {
        self.pauses.throttled.load(Ordering::Relaxed)
    }

    /// The entities that are paused, in the order of their names, and since when.
    pub fn paused(&self) -> BTreeMap<String, Millis> {
        self.pauses.paused.read().clone()
    }

    /// True while an entity is paused.
    pub fn is_paused(&self, entity: &str) -> bool {
        self.pauses.paused.read().contains_key(entity)
    }

    /// Wakes whenever an entity is paused or goes on.
    pub fn pause_changes(&self) -> watch::Receiver<()> {
        self.pauses.changed.subscribe()
    }
}
