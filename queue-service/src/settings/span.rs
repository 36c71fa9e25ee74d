//! Spans that may be nothing.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Serialize, Serializer};

use crate::domain::Millis;

/// The longest span: 10 years, so that sums of times stay within their range.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A span as `10s` or `7d`; `0s` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanOrNone(Duration);

impl SpanOrNone {
    pub(crate) fn millis(self) -> Millis {
        Millis::try_from(self.0.as_millis()).unwrap_or(Millis::MAX)
    }
}

impl FromStr for SpanOrNone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        match humantime::parse_duration(text) {
            Ok(span) if span <= LONGEST => Ok(Self(span)),
            Ok(_) => Err(format!("must be at most {}, is {text}", Self(LONGEST))),
            Err(error) => {
                Err(format!("must be a span such as 10s or 7d, or 0s for none, is {text:?}: {error}"))
            }
        }
    }
}

impl fmt::Display for SpanOrNone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Serialize for SpanOrNone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::SpanOrNone;

    #[test]
    fn a_span_is_read_as_it_is_written_and_nothing_is_one_too() {
        for (text, ms) in [("0", 0), ("0s", 0), ("10s", 10_000), ("7d", 604_800_000), ("1h 30m", 5_400_000)] {
            let span: SpanOrNone = text.parse().unwrap();
            assert_eq!(span.millis(), ms);
            assert_eq!(span.to_string().parse(), Ok(span));
        }
    }

    #[test]
    fn a_refusal_names_the_limit_and_the_value() {
        let refusal = |text: &str| text.parse::<SpanOrNone>().unwrap_err();
        assert!(refusal("11y").starts_with("must be at most "), "{}", refusal("11y"));
        for text in ["", "10", "-1s", "soon"] {
            assert!(refusal(text).contains(&format!("{text:?}")), "{}", refusal(text));
        }
    }
}
