//! A target and what was measured against it.

use serde::Serialize;

use crate::table::table;

/// A target and what was measured against it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Check {
    /// What is measured.
    pub(crate) what: String,
    /// What has to be reached.
    pub(crate) target: String,
    /// What was measured; absent where it was not.
    pub(crate) measured: Option<String>,
    /// Whether it was reached.
    pub(crate) reached: bool,
}

impl Check {
    /// Has to be at least `target`.
    pub(crate) fn at_least(what: &str, measured: Option<f64>, target: f64, note: &str) -> Self {
        Self {
            what: what.to_owned(),
            target: format!("≥ {target} {note}"),
            measured: measured.map(|measured| format!("{measured:.2}")),
            reached: measured.is_some_and(|measured| measured >= target),
        }
    }

    /// Has to be at most `target`.
    pub(crate) fn at_most(what: &str, measured: Option<f64>, target: f64, unit: &str) -> Self {
        Self {
            what: what.to_owned(),
            target: format!("≤ {} {unit}", rounded(target)),
            measured: measured.map(|measured| format!("{} {unit}", rounded(measured))),
            reached: measured.is_some_and(|measured| measured <= target),
        }
    }
}

/// Three digits that mean something.
fn rounded(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// The table of checks.
pub(crate) fn checks(checks: &[Check]) -> String {
    let cells = |check: &Check| {
        let state = match (&check.measured, check.reached) {
            (None, _) => "not measured",
            (Some(_), true) => "yes",
            (Some(_), false) => "**no**",
        };
        let measured = check.measured.clone().unwrap_or_else(|| "not measured".to_owned());
        vec![check.what.clone(), check.target.trim().to_owned(), measured.trim().to_owned(), state.to_owned()]
    };
    table(&["what", "target", "measured", "reached"], &checks.iter().map(cells).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::{Check, checks};

    #[test]
    fn a_check_says_plainly_whether_it_was_reached() {
        let table = checks(&[
            Check::at_least("a", Some(0.9), 0.8, "of axum"),
            Check::at_most("b", Some(140.04), 128.0, "MiB"),
            Check::at_most("c", None, 1.0, "s"),
        ]);
        let states: Vec<&str> =
            table.lines().skip(2).map(|line| line.rsplit('|').nth(1).unwrap().trim()).collect();
        assert_eq!(states, ["yes", "**no**", "not measured"]);
        assert!(table.contains("≤ 128 MiB") && table.contains("140 MiB"));
    }
}
