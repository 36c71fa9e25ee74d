//! Gauges that are there for as long as what they measure. The recorder keeps a value for ever: a bot that was removed would
//! stay disconnected in it until the next start, and wake somebody each night.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use super::rows;

/// A row of a gauge family. It is shown until all clones, and all others of the same labels, are dropped.
#[derive(Clone)]
pub struct LiveGauge(Arc<AtomicU64>);

/// The families by name; each with its rows by their labels as they are written.
static FAMILIES: Mutex<BTreeMap<&'static str, Family>> = Mutex::new(BTreeMap::new());

struct Family {
    help: &'static str,
    rows: BTreeMap<String, Weak<AtomicU64>>,
}

impl LiveGauge {
    /// The row with these labels of the family `name`, which means `help`; 0 if there is none yet. Names of labels are ours, a
    /// value may be anything.
    pub fn of(name: &'static str, help: &'static str, labels: &[(&'static str, &str)]) -> Self {
        let labels = rows::labels(labels);
        let mut families = FAMILIES.lock();
        let family = families.entry(name).or_insert_with(|| Family { help, rows: BTreeMap::new() });
        if let Some(row) = family.rows.get(&labels).and_then(Weak::upgrade) {
            return Self(row);
        }
        let row = Arc::new(AtomicU64::new(0.0_f64.to_bits()));
        family.rows.insert(labels, Arc::downgrade(&row));
        Self(row)
    }

    /// Shows this value from now on.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Shows so much more, or less.
    pub fn add(&self, change: f64) {
        let more = |bits| Some((f64::from_bits(bits) + change).to_bits());
        // Never refused: the function gives a value always.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

impl fmt::Debug for LiveGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveGauge").field(&f64::from_bits(self.0.load(Ordering::Relaxed))).finish()
    }
}

/// All families that have a row, in the Prometheus text format. Forgets the rows that nobody holds.
pub(super) fn text() -> String {
    let mut families = FAMILIES.lock();
    let mut text = String::new();
    for (name, family) in families.iter_mut() {
        family.rows.retain(|_, row| row.strong_count() > 0);
        if family.rows.is_empty() {
            continue;
        }
        text.push_str(&rows::head(name, family.help));
        for (labels, row) in &family.rows {
            // It may have gone just now.
            if let Some(row) = row.upgrade() {
                rows::write(&mut text, name, labels, f64::from_bits(row.load(Ordering::Relaxed)));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::LiveGauge;
    use crate::metrics_text;

    #[test]
    fn a_row_is_shown_as_long_as_somebody_holds_it() {
        let of = |bot| LiveGauge::of("test_live", "Of a test", &[("bot", bot), ("server", "s")]);
        let (one, other) = (of("one"), of("tw\"o"));
        one.add(2.0);
        other.set(7.0);
        let successor = of("one");
        successor.add(-1.0);
        let family = "# HELP test_live Of a test\n# TYPE test_live gauge\n";
        let rows = ["test_live{bot=\"one\",server=\"s\"} 1\n", "test_live{bot=\"tw\\\"o\",server=\"s\"} 7\n"];
        assert!(metrics_text().contains(&format!("{family}{}{}\n", rows[0], rows[1])), "{}", metrics_text());
        drop(one);
        assert!(metrics_text().contains(rows[0]), "its successor holds it");
        drop(successor);
        assert!(!metrics_text().contains("bot=\"one\"") && metrics_text().contains(rows[1]));
        assert!(of("one").0.load(super::Ordering::Relaxed) == 0, "the next of that name begins anew");
        drop(other);
        assert!(!metrics_text().contains("test_live"));
    }
}
