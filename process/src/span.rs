//! Spans as people write them, `20s`: for the flags, variables and files of settings. Read and written by `humantime`.

use std::{fmt, ops::RangeInclusive, str::FromStr, time::Duration};

use serde::{Serialize, Serializer};

const DAY: Duration = Duration::from_hours(24);

/// A span of time, written as `90d`, `15s`, `1h 30m` or `0.5s`: each number has a unit, from `ns` to `years`, and only
/// nothing may be written as `0`. Read from a text it is more than 0, unless [`Span::seconds`] says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// A hundred years of 365.25 days, as `humantime` counts them: nothing takes a longer span, so that sums of times stay
    /// within their range.
    pub const LONGEST: Self = Self(Duration::from_hours(876_600));

    /// The parser of a flag whose span must lie in a range, in whole seconds.
    pub fn seconds(
        range: RangeInclusive<u64>,
    ) -> impl Fn(&str) -> Result<Self, String> + Clone + Send + Sync + 'static {
        let (least, most) = (Self::of_seconds(*range.start()), Self::of_seconds(*range.end()));
        move |text| {
            let span = parse(text)?;
            let fits = least <= span && span <= most;
            fits.then_some(span).ok_or_else(|| format!("must be {least} to {most}, is {text:?}"))
        }
    }

    /// The parser of a flag whose span must be more than 0 and at most so many seconds.
    pub fn up_to(seconds: u64) -> impl Fn(&str) -> Result<Self, String> + Clone + Send + Sync + 'static {
        let most = Self::of_seconds(seconds);
        move |text| {
            let span: Self = text.parse()?;
            (span <= most).then_some(span).ok_or_else(|| format!("must be at most {most}, is {text:?}"))
        }
    }

    /// So many whole seconds.
    pub const fn of_seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// In whole milliseconds.
    pub fn millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

fn parse(text: &str) -> Result<Span, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_digit = |letter: char| letter.is_ascii_digit();
    // `humantime` would read `1 30s` as 130 s.
    if words.windows(2).any(|pair| pair[0].ends_with(is_digit) && pair[1].starts_with(is_digit)) {
        return Err(format!("must have a unit behind each number, such as 1m 30s, is {text:?}"));
    }
    match humantime::parse_duration(text) {
        Ok(span) if span <= Span::LONGEST.0 => Ok(Span(span)),
        Ok(_) => Err(format!("must be at most {}, is {text:?}", Span::LONGEST)),
        Err(error) => Err(format!("must be a span such as 90d, 15s or 500ms, is {text:?}: {error}")),
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = parse(text)?;
        (!span.0.is_zero()).then_some(span).ok_or_else(|| format!("must be more than 0s, is {text:?}"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `humantime` makes months and years of many days, which are no whole days themselves.
        let days = self.0.as_secs() / DAY.as_secs();
        if days > 0 && self.0 == DAY * u32::try_from(days).unwrap_or(u32::MAX) {
            write!(f, "{days}d")
        } else {
            humantime::format_duration(self.0).fmt(f)
        }
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
    fn a_span_is_read_as_it_is_written() {
        for (text, ms) in [
            ("1s", 1_000),
            ("0.2s", 200),
            ("500ms", 500),
            ("1m 30s", 90_000),
            ("1h30min", 5_400_000),
            ("90d", 7_776_000_000),
            ("400d 1s", 34_560_001_000),
            ("100y", 3_155_760_000_000),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.millis(), span.to_string().parse()), (ms, Ok(span)), "{text}");
        }
        assert_eq!(Span(Duration::from_secs(90 * 86_400)).to_string(), "90d");
        assert_eq!(Span(Duration::ZERO).to_string(), "0s");
    }

    #[test]
    fn a_span_is_more_than_nothing_and_every_number_has_a_unit() {
        for wrong in ["0s", "0", "5", "-1s", "", "soon", "1e3s", "101y", "1 30s"] {
            let refusal = wrong.parse::<Span>().unwrap_err();
            assert!(refusal.contains(&format!("is {wrong:?}")), "{refusal}");
        }
        assert!("5".parse::<Span>().unwrap_err().contains("unit needed"));
    }

    #[test]
    fn a_span_of_a_range_is_refused_with_the_range_and_the_value() {
        let (heartbeat, share) = (Span::seconds(1..=300), Span::seconds(0..=86_400));
        assert_eq!(heartbeat("5m"), Ok(Span::of_seconds(300)));
        assert_eq!(heartbeat("301s"), Err("must be 1s to 5m, is \"301s\"".to_owned()));
        assert_eq!(heartbeat("999ms"), Err("must be 1s to 5m, is \"999ms\"".to_owned()));
        assert_eq!((share("0"), share("0s"), share("1d")), {
            (Ok(Span::of_seconds(0)), Ok(Span::of_seconds(0)), Ok(Span::of_seconds(86_400)))
        });
        assert_eq!(Span::up_to(600)("1ns"), Ok(Span(Duration::from_nanos(1))));
        assert_eq!(Span::up_to(600)("11m"), Err("must be at most 10m, is \"11m\"".to_owned()));
    }
}
