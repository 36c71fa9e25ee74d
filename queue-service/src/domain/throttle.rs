//! How much of an entity's work is handed out: a rate, a cap on what is in flight, and the pause of an operator.
//!
//! What is closed here waits; it is still posted, listed and cancelled as ever. The rate is kept by the generic cell rate
//! algorithm (ITU-T I.371), a token bucket in one number. It lives in memory only: a restart begins with full buckets, and
//! so do new limits. Pauses are stored, and what is in flight follows from the leases.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Millis, Queue, Rejection};

/// Most entities that may be paused at once.
const MAX_PAUSED: usize = 1_000;

/// A worker that finds an entity at its cap may come back after this.
const IN_FLIGHT_RETRY_MS: Millis = 1_000;

/// What is handed out of one entity; none is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EntityLimit {
    /// Messages a minute, over all workers.
    pub per_minute: Option<u32>,
    /// How many of them may go at once after a pause in the work; a sixth of the minute's if absent.
    pub burst: Option<u32>,
    /// Messages under a lease at the same time, over all workers.
    pub in_flight: Option<u32>,
}

/// The limits of all entities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntityLimits {
    /// What an entity without an entry of its own has, and an entry that leaves something out.
    pub default: EntityLimit,
    /// By entity.
    pub entities: BTreeMap<String, EntityLimit>,
}

impl EntityLimits {
    /// What applies to an entity.
    pub fn of(&self, entity: &str) -> EntityLimit {
        let own = self.entities.get(entity).copied().unwrap_or_default();
        let default = self.default;
        EntityLimit {
            per_minute: own.per_minute.or(default.per_minute),
            // A burst belongs to its rate.
            burst: own.burst.or(default.burst.filter(|_| own.per_minute.is_none())),
            in_flight: own.in_flight.or(default.in_flight),
        }
    }
}

impl EntityLimit {
    /// Microseconds from one message to the next, and how far a burst may run ahead of that.
    fn pace(self) -> Option<(i64, i64)> {
        let per_minute = self.per_minute?.max(1);
        let burst = self.burst.unwrap_or(per_minute / 6).max(1);
        let interval = 60_000_000 / i64::from(per_minute);
        Some((interval, i64::from(burst - 1) * interval))
    }
}

/// A change of a pause, to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The entity.
    pub entity: String,
    /// Since when it is paused; none once it goes on.
    pub since: Option<Millis>,
}

/// What is closed, and why.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    limits: EntityLimits,
    paused: BTreeMap<String, Millis>,
    in_flight: HashMap<String, u32>,
    /// When the bucket of an entity is full again, in microseconds; one that is full has no entry.
    full_at: HashMap<String, i64>,
    /// The same in the order of time, in milliseconds.
    filling: BTreeSet<(Millis, String)>,
    /// Entities whose bucket is empty, and until when.
    empty: HashMap<String, Millis>,
    reopening: BTreeSet<(Millis, String)>,
}

impl Throttle {
    pub(super) fn new(limits: EntityLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(super) fn is_open(&self, entity: &str) -> bool {
        let full = || {
            let limit = self.limits.of(entity).in_flight;
            limit.is_some_and(|limit| self.in_flight(entity) >= limit)
        };
        !self.paused.contains_key(entity) && !self.empty.contains_key(entity) && !full()
    }

    fn in_flight(&self, entity: &str) -> u32 {
        self.in_flight.get(entity).copied().unwrap_or(0)
    }

    pub(super) fn begin(&mut self, entity: &str) {
        *self.in_flight.entry(entity.to_owned()).or_default() += 1;
    }

    pub(super) fn end(&mut self, entity: &str) {
        if let Some(count) = self.in_flight.get_mut(entity) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(entity);
            }
        }
    }

    /// Takes a claim out of the entity's bucket.
    fn spend(&mut self, entity: &str, now: Millis) {
        let Some((interval, ahead)) = self.limits.of(entity).pace() else { return };
        let now = now.saturating_mul(1_000);
        let before = self.full_at.get(entity).copied();
        let after = before.unwrap_or(now).max(now).saturating_add(interval);
        if let Some(before) = before {
            self.filling.remove(&(millis(before), entity.to_owned()));
        }
        self.full_at.insert(entity.to_owned(), after);
        self.filling.insert((millis(after), entity.to_owned()));
        let opens = after.saturating_sub(ahead);
        if opens > now {
            let opens = millis(opens);
            if let Some(before) = self.empty.insert(entity.to_owned(), opens) {
                self.reopening.remove(&(before, entity.to_owned()));
            }
            self.reopening.insert((opens, entity.to_owned()));
        }
    }

    /// Lets time pass. Returns an entity whose bucket has a message again; call until there is none.
    fn reopen(&mut self, now: Millis) -> Option<String> {
        while self.filling.first().is_some_and(|(full, _)| *full <= now) {
            if let Some((_, entity)) = self.filling.pop_first() {
                self.full_at.remove(&entity);
            }
        }
        let (_, entity) = self.reopening.first().filter(|(opens, _)| *opens <= now)?.clone();
        self.reopening.pop_first();
        self.empty.remove(&entity);
        Some(entity)
    }

    /// When the next entity has a message again.
    pub(super) fn next_deadline(&self) -> Option<Millis> {
        self.reopening.first().map(|(opens, _)| *opens)
    }
}

/// The first millisecond that is not before.
fn millis(micros: i64) -> Millis {
    micros.div_euclid(1_000) + i64::from(micros.rem_euclid(1_000) > 0)
}

impl Queue {
    /// Pauses an entity: its messages wait, and are posted as ever. Returns since when it is paused. Pausing twice changes
    /// nothing. `wall` is the wall clock, which operators see.
    ///
    /// # Errors
    /// `TooManyPaused`.
    pub fn pause(&mut self, entity: &str, wall: Millis) -> Result<Millis, Rejection> {
        if let Some(since) = self.throttle.paused.get(entity) {
            return Ok(*since);
        }
        if self.throttle.paused.len() >= MAX_PAUSED {
            return Err(Rejection::TooManyPaused { limit: MAX_PAUSED });
        }
        self.throttle.paused.insert(entity.to_owned(), wall);
        self.pauses.push(Pause { entity: entity.to_owned(), since: Some(wall) });
        self.reconsider(entity);
        Ok(wall)
    }

    /// Lets a paused entity go on. Returns false if it was not paused.
    pub fn resume(&mut self, entity: &str) -> bool {
        let was_paused = self.throttle.paused.remove(entity).is_some();
        if was_paused {
            self.pauses.push(Pause { entity: entity.to_owned(), since: None });
            self.reconsider(entity);
        }
        was_paused
    }

    /// The pauses that changed since the last call, to be committed together.
    pub fn take_pauses(&mut self) -> Vec<Pause> {
        std::mem::take(&mut self.pauses)
    }

    /// After a restart: the pauses as they were stored.
    pub fn restore_pauses(&mut self, paused: impl IntoIterator<Item = (String, Millis)>) {
        for (entity, since) in paused {
            self.throttle.paused.insert(entity.clone(), since);
            self.reconsider(&entity);
        }
    }

    /// Other limits from now on; they begin with full buckets.
    pub fn set_entity_limits(&mut self, limits: EntityLimits) {
        let Throttle { paused, in_flight, .. } = std::mem::take(&mut self.throttle);
        self.throttle = Throttle { paused, in_flight, ..Throttle::new(limits) };
        let mut known: HashSet<String> = self.lines.entities().into_iter().collect();
        known.extend(self.throttle.in_flight.keys().cloned());
        known.iter().for_each(|entity| self.reconsider(entity));
    }

    /// True if an entity's messages are handed out now.
    #[cfg(test)]
    pub(super) fn is_open(&self, entity: &str) -> bool {
        self.throttle.is_open(entity)
    }

    /// How many entities are at a limit of theirs; paused ones do not count.
    pub fn throttled(&self) -> usize {
        self.lines.closed().saturating_sub(self.throttle.paused.len())
    }

    /// Notes a claim.
    pub(super) fn spend(&mut self, entity: &str, now: Millis) {
        self.throttle.spend(entity, now);
        self.reconsider(entity);
    }

    /// Opens the entities whose buckets have a message again.
    pub(super) fn reopen(&mut self, now: Millis) {
        while let Some(entity) = self.throttle.reopen(now) {
            self.reconsider(&entity);
        }
    }

    /// Offers an entity's work, or holds it back.
    pub(super) fn reconsider(&mut self, entity: &str) {
        let open = self.throttle.is_open(entity);
        self.lines.set_open(entity, open);
    }

    /// Checks that a message of this entity may be handed out.
    pub(super) fn check_open(&self, entity: &str, now: Millis) -> Result<(), Rejection> {
        if self.throttle.is_open(entity) {
            return Ok(());
        }
        let entity = entity.to_owned();
        if self.throttle.paused.contains_key(&entity) {
            return Err(Rejection::EntityPaused(entity));
        }
        let limit = self.throttle.limits.of(&entity);
        Err(match self.throttle.empty.get(&entity) {
            Some(opens) => Rejection::EntityLimit {
                limit: limit.per_minute.unwrap_or(0),
                of: "messages a minute",
                retry_after_ms: opens.saturating_sub(now).max(1),
                entity,
            },
            None => Rejection::EntityLimit {
                limit: limit.in_flight.unwrap_or(0),
                of: "messages in flight",
                retry_after_ms: IN_FLIGHT_RETRY_MS,
                entity,
            },
        })
    }
}
