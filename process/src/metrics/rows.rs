//! A family whose label values come and go, written as it is at one moment.

use std::fmt::Write as _;

/// One gauge family with one label, in the Prometheus text format.
#[derive(Debug)]
pub struct LabelledRows {
    name: &'static str,
    label: &'static str,
    text: String,
}

impl LabelledRows {
    /// The family `name`, which means `help`, told apart by `label`. All three are names of ours, without anything to escape.
    pub fn new(name: &'static str, help: &'static str, label: &'static str) -> Self {
        Self { name, label, text: head(name, help) }
    }

    /// Adds a row. Its label value may be anything that a client made up.
    pub fn add(&mut self, label_value: &str, value: f64) {
        write(&mut self.text, self.name, &labels(&[(self.label, label_value)]), value);
    }

    /// The whole family.
    pub fn into_text(self) -> String {
        self.text + "\n"
    }
}

/// What stands before the rows of a gauge family.
pub(super) fn head(name: &str, help: &str) -> String {
    format!("# HELP {name} {help}\n# TYPE {name} gauge\n")
}

/// Labels as they stand in a row.
pub(super) fn labels(labels: &[(&str, &str)]) -> String {
    let labels: Vec<_> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    labels.join(",")
}

/// Adds a row.
pub(super) fn write(text: &mut String, name: &str, labels: &str, value: f64) {
    // A string takes all that is written.
    let _ = writeln!(text, "{name}{{{labels}}} {value}");
}

/// A label value as the format has it: backslash, quote and line feed are escaped, everything else stands for itself.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::LabelledRows;

    #[test]
    fn a_name_that_a_client_made_up_stays_within_its_quotes() {
        let mut rows = LabelledRows::new("depth", "How deep", "entity");
        rows.add("a\"} 7\nb\\", 2.0);
        let text = rows.into_text();
        let expected = "# HELP depth How deep\n# TYPE depth gauge\ndepth{entity=\"a\\\"} 7\\nb\\\\\"} 2\n\n";
        assert_eq!(text, expected);
    }
}
