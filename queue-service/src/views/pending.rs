//! The pending work as readers see it.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    /// Of these, those that wait for a retry.
    pub delayed: u64,
    /// Messages under a lease.
    pub processing: u64,
    /// Time stamp of the oldest message that waits.
    pub oldest: Option<Millis>,
}

#[derive(Debug, Default)]
struct Line {
    places: BTreeMap<Place, Arc<Record>>,
    ages: BTreeSet<(Millis, u64)>,
    processing: u64,
}

#[derive(Debug)]
pub(super) struct Pending {
    aging_ms: Millis,
    all: BTreeMap<Place, Arc<Record>>,
    lines: BTreeMap<String, Line>,
}

impl Pending {
    pub(super) fn new(aging_ms: Millis) -> Self {
        Self { aging_ms, all: BTreeMap::new(), lines: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, record: &Arc<Record>) {
        let Some((entity, work)) = entity_and_work(record) else { return };
        match work.status {
            Status::Pending => {
                let place = Place::of(record, work, self.aging_ms);
                self.all.insert(place, Arc::clone(record));
                let line = self.lines.entry(entity.to_owned()).or_default();
                line.places.insert(place, Arc::clone(record));
                line.ages.insert((record.content.timestamp, record.content.posted));
            }
            Status::Processing => self.lines.entry(entity.to_owned()).or_default().processing += 1,
            Status::Complete | Status::Failed => {}
        }
    }

    pub(super) fn remove(&mut self, record: &Record) {
        let Some((entity, work)) = entity_and_work(record) else { return };
        let Some(line) = self.lines.get_mut(entity) else { return };
        match work.status {
            Status::Pending => {
                let place = Place::of(record, work, self.aging_ms);
                self.all.remove(&place);
                line.places.remove(&place);
                line.ages.remove(&(record.content.timestamp, record.content.posted));
            }
            Status::Processing => line.processing = line.processing.saturating_sub(1),
            Status::Complete | Status::Failed => {}
        }
        if line.places.is_empty() && line.processing == 0 {
            self.lines.remove(entity);
        }
    }

    pub(super) fn first(&self, entity: Option<&str>, limit: usize, now: Millis) -> Vec<Arc<Record>> {
        let places = match entity {
            Some(entity) => match self.lines.get(entity) {
                Some(line) => &line.places,
                None => return Vec::new(),
            },
            None => &self.all,
        };
        places.values().filter(|record| !is_delayed(record, now)).take(limit).cloned().collect()
    }

    pub(super) fn depth(&self, entities: &[String]) -> (u64, Option<Millis>) {
        let chosen = |entity: &String| entities.is_empty() || entities.contains(entity);
        let lines = self.lines.iter().filter(|(entity, _)| chosen(entity)).map(|(_, line)| line);
        lines.fold((0, None), |(count, oldest): (u64, Option<Millis>), line| {
            let of_line = line.ages.first().map(|(stamp, _)| *stamp);
            (count + line.places.len() as u64, oldest.into_iter().chain(of_line).min())
        })
    }

    pub(super) fn depths(&self, now: Millis) -> Vec<EntityDepth> {
        let depth = |(entity, line): (&String, &Line)| EntityDepth {
            entity: entity.clone(),
            pending: line.places.len() as u64,
            delayed: line.places.values().filter(|record| is_delayed(record, now)).count() as u64,
            processing: line.processing,
            oldest: line.ages.first().map(|(stamp, _)| *stamp),
        };
        self.lines.iter().map(depth).collect()
    }
}

fn entity_and_work(record: &Record) -> Option<(&str, &Work)> {
    Some((record.content.address.as_ref()?.entity.as_str(), record.state.work.as_ref()?))
}

fn is_delayed(record: &Record, now: Millis) -> bool {
    record.state.work.as_ref().and_then(|work| work.not_before).is_some_and(|due| due > now)
}
