//! How long messages are kept.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Serialize, Serializer};

use crate::domain::Millis;

/// Shorter spans would sweep what readers have hardly seen.
const SHORTEST: Duration = Duration::from_secs(1);

/// How long finished messages are kept after their last change: a span as `90d` or `12h`, at least 1 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention(Duration);

impl Retention {
    pub(crate) fn millis(self) -> Millis {
        Millis::try_from(self.0.as_millis()).unwrap_or(Millis::MAX)
    }
}

impl FromStr for Retention {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(span) if span >= SHORTEST => Ok(Self(span)),
            Ok(_) => Err(format!("must be at least {}, is {text}", Self(SHORTEST))),
            Err(error) => Err(format!("must be a span as 90d or 12h, is {text:?}: {error}")),
        }
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Serialize for Retention {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_written_as_people_write_it() {
        for (text, ms) in
            [("1s", 1_000), ("12h", 43_200_000), ("90d", 7_776_000_000), ("1h 30min", 5_400_000)]
        {
            let retention: Retention = text.parse().unwrap();
            assert_eq!(retention.millis(), ms);
            assert_eq!(retention.to_string().parse(), Ok(retention));
        }
        assert_eq!("1000000000000y".parse::<Retention>().map_or(Millis::MAX, Retention::millis), Millis::MAX);
    }

    #[test]
    fn a_refusal_names_the_least_span_and_the_value() {
        let refusal = |text: &str| text.parse::<Retention>().unwrap_err();
        assert_eq!(refusal("999ms"), "must be at least 1s, is 999ms");
        assert_eq!(refusal("0s"), "must be at least 1s, is 0s");
        for text in ["", "90", "-1d", "soon"] {
            let refusal = refusal(text);
            assert!(
                refusal.starts_with(&format!("must be a span as 90d or 12h, is {text:?}: ")),
                "{refusal}"
            );
        }
    }
}
