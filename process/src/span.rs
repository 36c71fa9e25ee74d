//! Spans as people write them: `20s`. For the flags of settings.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Serialize, Serializer};

/// A span of time, written as `90d`, `15s` or `1h 30m`; more than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(span) if !span.is_zero() => Ok(Self(span)),
            Ok(_) => Err(format!("must be more than 0s, is {text:?}")),
            Err(error) => Err(format!("must be a span such as 90d, 15s or 500ms, is {text:?}: {error}")),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Span;

    #[test]
    fn a_span_is_more_than_nothing() {
        assert_eq!("1m 30s".parse(), Ok(Span(Duration::from_secs(90))));
        assert_eq!(Span(Duration::from_millis(500)).to_string(), "500ms");
        for wrong in ["0s", "5", "-1s", ""] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
