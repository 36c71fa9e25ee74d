//! What a service counts, as Prometheus reads it.

use std::collections::BTreeSet;

use crate::Browser;

/// The metrics of one moment.
#[derive(Debug)]
pub struct Metrics(String);

impl Metrics {
    /// Reads the metrics of the service that `browser` speaks to; both faces have them.
    pub async fn of(browser: &Browser) -> Self {
        let answer = browser.metrics().await;
        assert_eq!(answer.status, 200);
        Self(answer.text().to_owned())
    }

    /// The value of a metric with its labels, as they are written: `name{label="value"}`.
    ///
    /// # Panics
    /// Where there is none.
    pub fn value(&self, name: &str) -> f64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let Some(value) = line else { panic!("no {name} in\n{}", self.0) };
        value.parse().expect("a metric is a number")
    }

    /// The families, each with its kind: `counter`, `gauge` or `histogram`.
    pub fn families(&self) -> Vec<(&str, &str)> {
        self.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
    }

    /// The text as it was sent.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The same, with nothing but these families.
    #[must_use]
    pub fn only(&self, families: &[&str]) -> Self {
        let blocks = self.0.split("\n\n").filter(|block| {
            let help = block.strip_prefix("# HELP ").and_then(|help| help.split(' ').next());
            help.is_some_and(|family| families.contains(&family))
        });
        Self(blocks.flat_map(|block| [block, "\n\n"]).collect())
    }

    /// The samples, each with its labels, without their values.
    pub fn samples(&self) -> Vec<&str> {
        let lines = self.0.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect()
    }

    /// The names of the labels of a family, in order; without `le`, which every bucket has.
    pub fn labels(&self, family: &str) -> BTreeSet<&str> {
        let endings = ["", "_bucket", "_sum", "_count"];
        let is_of_family = |name: &&str| {
            name.strip_prefix(family)
                .is_some_and(|rest| endings.iter().any(|ending| rest.split('{').next() == Some(*ending)))
        };
        let samples = self.samples().into_iter().filter(is_of_family);
        let labels = samples.filter_map(|sample| sample.split_once('{'));
        labels.flat_map(|(_, labels)| label_names(labels)).filter(|name| *name != "le").collect()
    }

    /// What a family means, if that is said.
    pub fn help(&self, family: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix("# HELP ")?.strip_prefix(family)?.strip_prefix(' '))
    }

    /// How much of a bound is held, and how much may be.
    pub fn bound(&self, name: &str) -> (f64, f64) {
        let of = |metric| self.value(&format!("repartee_bound_{metric}{{bound=\"{name}\"}}"));
        (of("held"), of("limit"))
    }

    /// How often something was refused at a bound.
    pub fn refused(&self, name: &str) -> f64 {
        self.value(&format!("repartee_refusals_total{{bound=\"{name}\"}}"))
    }
}

/// The names in `a="1",b="2"}`; no value of a test has a quote in it.
fn label_names(labels: &str) -> impl Iterator<Item = &str> {
    labels.split('"').step_by(2).filter_map(|name| name.trim_start_matches(',').strip_suffix('='))
}
