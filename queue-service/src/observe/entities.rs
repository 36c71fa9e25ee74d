//! The depth of the queue by entity. Entities are named by clients, so only the deepest have a row of their own; all others
//! share one, and GetStats tells them apart.

use repartee_process::LabelledRows;

use super::age;
use crate::{
    domain::Millis,
    views::{EntityDepth, Totals, Views},
};

/// How many entities have rows of their own.
const DEEPEST: usize = 20;
/// The row of all others. An entity of this name is among them.
const OTHER: &str = "other";

/// The families that are told apart by entity.
pub(super) fn rows(views: &Views, totals: &Totals, wall: Millis) -> String {
    let mut pending = LabelledRows::new(
        "repartee_entity_pending",
        "Messages that wait, of the twenty entities with the most of them and of all others together",
        "entity",
    );
    let mut oldest = LabelledRows::new(
        "repartee_entity_oldest_pending_seconds",
        "How long the oldest message of each of these entities has waited since it could be taken",
        "entity",
    );
    let mut others = totals.pending;
    for EntityDepth { entity, pending: waiting, oldest: since, .. } in views.deepest(DEEPEST) {
        if entity != OTHER {
            pending.add(&entity, waiting as f64);
            oldest.add(&entity, age(since, wall));
            others = others.saturating_sub(waiting);
        }
    }
    pending.add(OTHER, others as f64);
    pending.into_text() + &oldest.into_text()
}
