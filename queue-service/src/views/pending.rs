//! The pending work as readers see it. Sums are kept as it changes: nothing is counted when somebody asks. What waits for
//! its time stands apart until that has come, so that a list of what is due looks at nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use crate::domain::{Millis, Place, Record, Status, Work};

/// The queue of one entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityDepth {
    /// The entity.
    pub entity: String,
    /// Messages that wait, those that wait for a retry included.
    pub pending: u64,
    /// Messages under a lease.
    pub processing: u64,
    /// Since when the oldest message waits: its time stamp, or the time for which it was posted. In the future if no time has
    /// come yet.
    pub oldest: Option<Millis>,
}

/// The queues of all entities together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Entities for which messages wait or are in work.
    pub entities: u64,
    /// Messages that wait, those that wait for a retry included.
    pub pending: u64,
    /// Of these, those that wait for a retry.
    pub delayed: u64,
    /// Messages under a lease.
    pub processing: u64,
    /// Messages that wait for the entity with the most of them.
    pub fullest: u64,
    /// Since when the oldest message waits, as in [`EntityDepth::oldest`].
    pub oldest: Option<Millis>,
    /// Bytes that all of these messages hold, by estimate.
    pub bytes: u64,
}

#[derive(Debug)]
struct Line {
    entity: Arc<str>,
    /// What is due.
    places: BTreeMap<Place, Arc<Record>>,
    /// What is due, and what is not.
    ages: BTreeSet<(Millis, u64)>,
    processing: u64,
}

#[derive(Debug)]
pub(super) struct Pending {
    aging_ms: Millis,
    /// What is due, of all entities.
    all: BTreeMap<Place, Arc<Record>>,
    lines: BTreeMap<String, Line>,
    ages: BTreeSet<(Millis, u64)>,
    /// What waits for its time, by when that is; some are due by now.
    delays: BTreeMap<(Millis, u64), Arc<Record>>,
    /// For which entities so many messages wait.
    lengths: BTreeSet<(usize, Arc<str>)>,
    processing: u64,
    bytes: u64,
}

impl Pending {
    pub(super) fn new(aging_ms: Millis) -> Self {
        Self {
            aging_ms,
            all: BTreeMap::new(),
            lines: BTreeMap::new(),
            ages: BTreeSet::new(),
            delays: BTreeMap::new(),
            lengths: BTreeSet::new(),
            processing: 0,
            bytes: 0,
        }
    }

    pub(super) fn add(&mut self, record: &Arc<Record>) {
        let Some((entity, work)) = entity_and_work(record) else { return };
        if !record.is_unfinished() {
            return;
        }
        self.bytes += record.unfinished_bytes() as u64;
        if !self.lines.contains_key(entity) {
            self.lines.insert(entity.to_owned(), Line::new(entity));
        }
        let line = self.lines.get_mut(entity).expect("it is there or was just inserted");
        if work.status == Status::Processing {
            line.processing += 1;
            self.processing += 1;
            return;
        }
        let age = age(record, work);
        self.ages.insert(age);
        let before = line.ages.len();
        line.ages.insert(age);
        let (now, entity) = (line.ages.len(), Arc::clone(&line.entity));
        match work.not_before {
            Some(due) => drop(self.delays.insert((due, age.1), Arc::clone(record))),
            None => self.offer(Arc::clone(record)),
        }
        self.grow(&entity, before, now);
    }

    /// A message is due.
    fn offer(&mut self, record: Arc<Record>) {
        let Some((entity, work)) = entity_and_work(&record) else { return };
        let place = Place::of(&record, work, self.aging_ms);
        if let Some(line) = self.lines.get_mut(entity) {
            line.places.insert(place, Arc::clone(&record));
        }
        self.all.insert(place, record);
    }

    /// What is due by now is listed from now on.
    pub(super) fn wake(&mut self, now: Millis) {
        while let Some(delayed) = self.delays.first_entry().filter(|delayed| delayed.key().0 <= now) {
            let record = delayed.remove();
            self.offer(record);
        }
    }

    pub(super) fn remove(&mut self, record: &Record) {
        let Some((entity, work)) = entity_and_work(record) else { return };
        let Some(line) = self.lines.get_mut(entity).filter(|_| record.is_unfinished()) else { return };
        self.bytes = self.bytes.saturating_sub(record.unfinished_bytes() as u64);
        let before = line.ages.len();
        if work.status == Status::Processing {
            line.processing = line.processing.saturating_sub(1);
            self.processing = self.processing.saturating_sub(1);
        } else {
            let (place, age) = (Place::of(record, work, self.aging_ms), age(record, work));
            self.all.remove(&place);
            self.ages.remove(&age);
            if let Some(due) = work.not_before {
                self.delays.remove(&(due, age.1));
            }
            // It may have become due since.
            line.places.remove(&place);
            line.ages.remove(&age);
        }
        let (now, name) = (line.ages.len(), Arc::clone(&line.entity));
        if now == 0 && line.processing == 0 {
            self.lines.remove(entity);
        }
        self.grow(&name, before, now);
    }

    /// For this entity so many messages waited, and now so many do.
    fn grow(&mut self, entity: &Arc<str>, before: usize, now: usize) {
        if before == now {
            return;
        }
        if before > 0 {
            self.lengths.remove(&(before, Arc::clone(entity)));
        }
        if now > 0 {
            self.lengths.insert((now, Arc::clone(entity)));
        }
    }

    /// The first of what is due since [`Self::wake`], of these entities, of all if none is named.
    pub(super) fn first(&self, entities: &[String], limit: usize) -> Vec<Arc<Record>> {
        if entities.is_empty() {
            return self.all.values().take(limit).cloned().collect();
        }
        // The first of each are enough to have the first of all.
        let lines = entities.iter().filter_map(|entity| self.lines.get(entity));
        let mut first: Vec<_> = lines.flat_map(|line| line.places.iter().take(limit)).collect();
        first.sort_unstable_by_key(|(place, _)| **place);
        first.into_iter().take(limit).map(|(_, record)| Arc::clone(record)).collect()
    }

    /// All that waits, whether it is due or not.
    pub(super) fn waiting(&self) -> Vec<Arc<Record>> {
        self.all.values().chain(self.delays.values()).cloned().collect()
    }

    /// How many wait for these entities, for all where none is named, and since when the oldest.
    pub(super) fn depth(&self, entities: &[String]) -> (u64, Option<Millis>) {
        if entities.is_empty() {
            return (self.ages.len() as u64, self.ages.first().map(|(stamp, _)| *stamp));
        }
        // One that is named twice counts once.
        let entities: BTreeSet<_> = entities.iter().collect();
        let lines = entities.into_iter().filter_map(|entity| self.lines.get(entity));
        lines.fold((0, None), |(count, oldest): (u64, Option<Millis>), line| {
            let of_line = line.ages.first().map(|(stamp, _)| *stamp);
            (count + line.ages.len() as u64, oldest.into_iter().chain(of_line).min())
        })
    }

    /// The queues of the entities behind this name, in the order of their names.
    pub(super) fn depths(&self, after: &str) -> impl Iterator<Item = EntityDepth> {
        self.lines.range::<str, _>((Excluded(after), Unbounded)).map(|(_, line)| line.depth())
    }

    /// The entities for which the most messages wait, the deepest first.
    pub(super) fn deepest(&self, most: usize) -> Vec<EntityDepth> {
        let deepest = self.lengths.iter().rev().take(most);
        deepest.filter_map(|(_, entity)| self.lines.get(&**entity).map(Line::depth)).collect()
    }

    /// All queues together, as of the last [`Self::wake`].
    pub(super) fn totals(&self) -> Totals {
        Totals {
            entities: self.lines.len() as u64,
            pending: self.ages.len() as u64,
            delayed: self.delays.len() as u64,
            processing: self.processing,
            fullest: self.lengths.last().map_or(0, |(length, _)| *length as u64),
            oldest: self.ages.first().map(|(stamp, _)| *stamp),
            bytes: self.bytes,
        }
    }
}

impl Line {
    fn new(entity: &str) -> Self {
        Self { entity: entity.into(), places: BTreeMap::new(), ages: BTreeSet::new(), processing: 0 }
    }

    fn depth(&self) -> EntityDepth {
        EntityDepth {
            entity: (*self.entity).to_owned(),
            pending: self.ages.len() as u64,
            processing: self.processing,
            oldest: self.ages.first().map(|(since, _)| *since),
        }
    }
}

/// Since when a message waits. One that was posted for later waits for nobody before that; the two times differ by no more than
/// the clock was set.
fn age(record: &Record, work: &Work) -> (Millis, u64) {
    let later = work.not_before.filter(|_| work.is_for_later());
    (later.map_or(record.content.timestamp, |due| due.max(record.content.timestamp)), record.content.posted)
}

fn entity_and_work(record: &Record) -> Option<(&str, &Work)> {
    Some((record.content.address.as_ref()?.entity.as_str(), record.state.work.as_ref()?))
}
