//! The order in which pending work is handed out.
//!
//! Every conversation is a line of waiting messages; only the head of a line is offered, and only while nobody works
//! on another message of it. All offered heads stand in one order per entity. With one-per-conversation off, every
//! message is a line of its own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{ConversationId, Millis, Record, Work};

/// A place in the order; the smallest is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// With strict priority, the higher priority first; else equal for all.
    level: i64,
    key: i64,
    /// Number of the change that posted the message; breaks ties, and names the message.
    pub posted: u64,
}

impl Place {
    /// The place of pending work. Each `aging_ms` waited since its base counts as one level of priority, and because all
    /// wait equally fast, one static key says it: `base − priority × aging`. With `aging_ms = 0` priority is strict.
    pub fn of(record: &Record, work: &Work, aging_ms: Millis) -> Self {
        let posted = record.content.posted;
        let priority = i64::from(work.priority);
        if aging_ms == 0 {
            return Self { level: -priority, key: work.base, posted };
        }
        let key = work.base.saturating_sub(priority.saturating_mul(aging_ms));
        Self { level: 0, key, posted }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum LineKey {
    Conversation(ConversationId),
    Message(u64),
}

#[derive(Debug, Default)]
struct Line {
    waiting: BTreeMap<Place, Waiting>,
    processing: usize,
    offered: Option<Place>,
}

#[derive(Debug)]
struct Waiting {
    entity: String,
    /// Set while the message is not due.
    not_before: Option<Millis>,
}

/// All lines.
#[derive(Debug)]
pub(super) struct Lines {
    aging_ms: Millis,
    one_per_conversation: bool,
    lines: HashMap<LineKey, Line>,
    /// The first of what is offered of each entity that is open.
    heads: BTreeSet<Place>,
    /// Entities of which nothing is handed out now, and what would be offered of them.
    closed: HashSet<String>,
    held_back: HashMap<String, BTreeSet<Place>>,
    /// What is offered of the others.
    by_entity: HashMap<String, BTreeSet<Place>>,
    delayed: BTreeMap<(Millis, u64), (LineKey, Place)>,
    /// What was posted for later and is not due: it joins its line when it is, so that it holds nobody up.
    for_later: HashMap<u64, Waiting>,
}

impl Lines {
    pub(super) fn new(aging_ms: Millis, one_per_conversation: bool) -> Self {
        Self {
            aging_ms,
            one_per_conversation,
            lines: HashMap::new(),
            heads: BTreeSet::new(),
            closed: HashSet::new(),
            held_back: HashMap::new(),
            by_entity: HashMap::new(),
            delayed: BTreeMap::new(),
            for_later: HashMap::new(),
        }
    }

    /// Puts pending work into its line.
    pub(super) fn enter(&mut self, record: &Record, work: &Work) {
        let key = self.key(record);
        let place = Place::of(record, work, self.aging_ms);
        let entity = record.content.address.as_ref().map(|a| a.entity.clone()).unwrap_or_default();
        if let Some(due) = work.not_before {
            self.delayed.insert((due, place.posted), (key, place));
        }
        let waiting = Waiting { entity, not_before: work.not_before };
        if work.is_for_later() {
            self.for_later.insert(place.posted, waiting);
            return;
        }
        self.lines.entry(key).or_default().waiting.insert(place, waiting);
        self.refresh(key);
    }

    /// Takes pending work out of its line.
    pub(super) fn leave(&mut self, record: &Record, work: &Work) {
        let key = self.key(record);
        let place = Place::of(record, work, self.aging_ms);
        if let Some(due) = work.not_before {
            self.delayed.remove(&(due, place.posted));
        }
        if self.for_later.remove(&place.posted).is_some() {
            return;
        }
        self.withdraw(key);
        if let Some(line) = self.lines.get_mut(&key) {
            line.waiting.remove(&place);
        }
        self.refresh(key);
    }

    /// Somebody began to work on a message of the line.
    pub(super) fn begin(&mut self, record: &Record) {
        let key = self.key(record);
        self.lines.entry(key).or_default().processing += 1;
        self.refresh(key);
    }

    /// Somebody ended the work on a message of the line.
    pub(super) fn end(&mut self, record: &Record) {
        let key = self.key(record);
        if let Some(line) = self.lines.get_mut(&key) {
            line.processing = line.processing.saturating_sub(1);
        }
        self.refresh(key);
    }

    /// Offers the messages that are due: their wait for a retry is over, or the time has come for which they were posted.
    pub(super) fn wake(&mut self, now: Millis) {
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let (key, place) = entry.remove();
            if let Some(waiting) = self.for_later.remove(&place.posted) {
                self.lines.entry(key).or_default().waiting.insert(place, waiting);
            }
            if let Some(waiting) = self.lines.get_mut(&key).and_then(|line| line.waiting.get_mut(&place)) {
                waiting.not_before = None;
            }
            self.refresh(key);
        }
    }

    /// When the next message is due.
    pub(super) fn next_wake(&self) -> Option<Millis> {
        self.delayed.first_key_value().map(|((due, _), _)| *due)
    }

    /// The message that is served next of all, or of these entities.
    pub(super) fn first(&self, entities: &[String]) -> Option<u64> {
        let first = if entities.is_empty() {
            self.heads.first()
        } else {
            entities.iter().filter_map(|entity| self.by_entity.get(entity)?.first()).min()
        };
        first.map(|place| place.posted)
    }

    /// The message that is served next of all, or of these entities, among those that somebody may have. Behind the first one
    /// it looks at so many of each entity only.
    pub(super) fn first_that(&self, entities: &[String], may_have: impl Fn(u64) -> bool) -> Option<u64> {
        const LOOKED_AT: usize = 64;
        let first = self.first(entities)?;
        if may_have(first) {
            return Some(first);
        }
        let of = |places: &BTreeSet<Place>| {
            places.iter().take(LOOKED_AT).find(|place| may_have(place.posted)).copied()
        };
        let first = if entities.is_empty() {
            self.by_entity.values().filter_map(of).min()
        } else {
            entities.iter().filter_map(|entity| of(self.by_entity.get(entity)?)).min()
        };
        first.map(|place| place.posted)
    }

    /// What is offered, by entity.
    pub(super) fn offered(&self) -> &HashMap<String, BTreeSet<Place>> {
        &self.by_entity
    }

    /// True where nothing is offered to anybody.
    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Hands out an entity's work from now on, or holds it back.
    pub(super) fn set_open(&mut self, entity: &str, open: bool) {
        let changed = if open { self.closed.remove(entity) } else { self.closed.insert(entity.to_owned()) };
        if !changed {
            return;
        }
        let (from, to) = match open {
            true => (&mut self.held_back, &mut self.by_entity),
            false => (&mut self.by_entity, &mut self.held_back),
        };
        let Some(places) = from.remove(entity) else { return };
        match places.first().copied() {
            Some(head) if open => {
                self.heads.insert(head);
            }
            Some(head) => {
                self.heads.remove(&head);
            }
            None => {}
        }
        to.insert(entity.to_owned(), places);
    }

    /// The entities that have something offered or are closed.
    pub(super) fn entities(&self) -> Vec<String> {
        self.by_entity.keys().chain(&self.closed).cloned().collect()
    }

    /// How many entities are closed.
    pub(super) fn closed(&self) -> usize {
        self.closed.len()
    }

    fn key(&self, record: &Record) -> LineKey {
        match record.content.conversation {
            Some(conversation) if self.one_per_conversation => LineKey::Conversation(conversation),
            _ => LineKey::Message(record.content.posted),
        }
    }

    /// Makes what is offered of a line what its head says, and forgets an empty line.
    fn refresh(&mut self, key: LineKey) {
        self.withdraw(key);
        let Some(line) = self.lines.get_mut(&key) else { return };
        if line.waiting.is_empty() && line.processing == 0 {
            self.lines.remove(&key);
            return;
        }
        let head = line.waiting.first_key_value().filter(|(_, head)| head.not_before.is_none());
        if let (0, Some((place, head))) = (line.processing, head) {
            line.offered = Some(*place);
            let (place, entity) = (*place, head.entity.clone());
            let open = !self.closed.contains(&entity);
            let offered = if open { &mut self.by_entity } else { &mut self.held_back };
            let places = offered.entry(entity).or_default();
            let before = places.first().copied();
            places.insert(place);
            if open && before.is_none_or(|before| place < before) {
                if let Some(before) = before {
                    self.heads.remove(&before);
                }
                self.heads.insert(place);
            }
        }
    }

    fn withdraw(&mut self, key: LineKey) {
        let Some(line) = self.lines.get_mut(&key) else { return };
        let Some(place) = line.offered.take() else { return };
        let Some(head) = line.waiting.get(&place) else { return };
        let open = !self.closed.contains(&head.entity);
        let offered = if open { &mut self.by_entity } else { &mut self.held_back };
        if let Some(places) = offered.get_mut(&head.entity) {
            places.remove(&place);
            if self.heads.remove(&place) {
                self.heads.extend(places.first().copied());
            }
            if places.is_empty() {
                offered.remove(&head.entity);
            }
        }
    }
}
