//! What is counted, read back from the text that a scrape gets: whatever else it is sent to has the same families.
//!
//! Reads what this process writes and nothing else: what it does not know, it leaves out.

use std::collections::BTreeMap;

/// All rows of one name.
#[derive(Debug, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) rows: Rows,
}

/// The rows of a family, each with its labels.
#[derive(Debug, PartialEq)]
pub(crate) enum Rows {
    /// What only grows.
    Counter(Vec<(Labels, f64)>),
    /// What is so at present.
    Gauge(Vec<(Labels, f64)>),
    /// What was measured, in buckets.
    Histogram(Vec<(Labels, Buckets)>),
}

/// Names and values.
pub(crate) type Labels = Vec<(String, String)>;

/// The measurements of one row of a histogram.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Buckets {
    /// Upper bounds, rising, and how many are at or below each; without the last one, which has no bound.
    pub(crate) upto: Vec<(f64, u64)>,
    pub(crate) sum: f64,
    pub(crate) count: u64,
}

/// Reads the Prometheus text format, as this process writes it.
pub(crate) fn read(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    let mut helps = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            helps.insert(name, unescaped(help));
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let rows = match kind {
                "counter" => Rows::Counter(Vec::new()),
                "gauge" => Rows::Gauge(Vec::new()),
                "histogram" => Rows::Histogram(Vec::new()),
                _ => continue,
            };
            families.push(Family {
                name: name.to_owned(),
                help: helps.remove(name).unwrap_or_default(),
                rows,
            });
        } else if let (Some(family), Some((name, labels, value))) = (families.last_mut(), sample(line)) {
            family.add(name, labels, value);
        }
    }
    families
}

impl Family {
    fn add(&mut self, name: &str, mut labels: Labels, value: f64) {
        let Some(part) = name.strip_prefix(&self.name) else { return };
        match &mut self.rows {
            Rows::Counter(rows) | Rows::Gauge(rows) if part.is_empty() => rows.push((labels, value)),
            Rows::Counter(_) | Rows::Gauge(_) => {}
            Rows::Histogram(rows) => {
                let bound = labels.iter().position(|(name, _)| name == "le").map(|at| labels.remove(at).1);
                // The rows of one set of labels follow each other.
                if rows.last().is_none_or(|(of, _)| *of != labels) {
                    rows.push((labels, Buckets::default()));
                }
                if let Some((_, buckets)) = rows.last_mut() {
                    buckets.add(part, bound.and_then(|bound| bound.parse().ok()), value);
                }
            }
        }
    }
}

impl Buckets {
    fn add(&mut self, part: &str, bound: Option<f64>, value: f64) {
        match (part, bound) {
            ("_bucket", Some(bound)) if bound.is_finite() => self.upto.push((bound, value as u64)),
            ("_sum", _) => self.sum = value,
            ("_count", _) => self.count = value as u64,
            _ => {}
        }
    }

    /// How many are in each bucket, the one without a bound last.
    pub(crate) fn counts(&self) -> Vec<u64> {
        let mut below = 0;
        let upto = self.upto.iter().map(|(_, upto)| *upto).chain([self.count]);
        upto.map(|upto| {
            let count = upto.saturating_sub(below);
            below = upto;
            count
        })
        .collect()
    }
}

/// `name{label="value"} 1` or `name 1`.
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    let (name, labels, value) = match line.find('{') {
        Some(at) => {
            let (labels, value) = labels(&line[at + 1..])?;
            (&line[..at], labels, value)
        }
        None => line.split_once(' ').map(|(name, value)| (name, Labels::new(), value))?,
    };
    Some((name, labels, value.trim().parse().ok()?))
}

/// Reads labels to the brace behind them, and gives what stands behind that.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        rest = rest.strip_prefix(',').unwrap_or(rest);
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let end = end_of(quoted)?;
        labels.push((name.to_owned(), unescaped(&quoted[..end])));
        rest = &quoted[end + 1..];
    }
}

/// Where the quote is that no backslash stands before.
fn end_of(quoted: &str) -> Option<usize> {
    let mut is_escaped = false;
    quoted.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => match letters.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => plain.push('\\'),
            },
            (letter, false) => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{Buckets, Family, Rows, read};

    fn label(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn what_a_scrape_gets_is_read_back() {
        let text = "# HELP a_total How often\\nit was\n# TYPE a_total counter\na_total{kind=\"x\"} 3\na_total{kind=\"y\"} 0\n\n\
                    # TYPE b gauge\nb{entity=\"}\\\"\\\\,=\\n\",n=\"\"} -0.5\nb 7\n\n\
                    # HELP c_seconds Time\n# TYPE c_seconds histogram\n\
                    c_seconds_bucket{of=\"m\",le=\"0.5\"} 1\nc_seconds_bucket{of=\"m\",le=\"1\"} 3\n\
                    c_seconds_bucket{of=\"m\",le=\"+Inf\"} 4\nc_seconds_sum{of=\"m\"} 3.25\nc_seconds_count{of=\"m\"} 4\n\
                    c_seconds_bucket{of=\"n\",le=\"0.5\"} 0\nc_seconds_bucket{of=\"n\",le=\"+Inf\"} 0\n\
                    c_seconds_sum{of=\"n\"} 0\nc_seconds_count{of=\"n\"} 0\n\n# TYPE d summary\nd{quantile=\"0.5\"} 1\n";
        let of = |name: &str, help: &str, rows| Family { name: name.to_owned(), help: help.to_owned(), rows };
        let counted = vec![(vec![label("kind", "x")], 3.0), (vec![label("kind", "y")], 0.0)];
        let gauges = vec![(vec![label("entity", "}\"\\,=\n"), label("n", "")], -0.5), (Vec::new(), 7.0)];
        let buckets = Buckets { upto: vec![(0.5, 1), (1.0, 3)], sum: 3.25, count: 4 };
        assert_eq!(buckets.counts(), [1, 2, 1]);
        let none = Buckets { upto: vec![(0.5, 0)], sum: 0.0, count: 0 };
        let measured = vec![(vec![label("of", "m")], buckets), (vec![label("of", "n")], none)];
        assert_eq!(
            read(text),
            [
                of("a_total", "How often\nit was", Rows::Counter(counted)),
                of("b", "", Rows::Gauge(gauges)),
                of("c_seconds", "Time", Rows::Histogram(measured)),
            ]
        );
    }

    #[test]
    fn what_is_no_metric_is_left_out() {
        for text in ["", "a 1", "# TYPE a gauge\nb 1\na{x=\"1} 2\na{x} 2\na{x=\"1\\\"} 2\na x\n{", "# TYPE a"]
        {
            assert!(read(text).iter().all(|family| family.rows == Rows::Gauge(Vec::new())), "{text}");
        }
    }
}
