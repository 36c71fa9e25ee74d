//! When an endpoint wants to be asked again: `Retry-After` (RFC 9110, section 10.2.3) in seconds, in fractions of them, as
//! some write it, or as a date; and `retry-after-ms` of OpenAI and Azure.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The wait that these headers of a response ask for. A date is held against the response's own `Date`, if it has one, so
/// that it does not matter whether two clocks agree; else against `now`.
pub(super) fn wait(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let seconds =
        |text: &str| text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    if let Some(wait) = text("retry-after-ms").and_then(seconds) {
        return Some(wait / 1_000);
    }
    let asked = text(RETRY_AFTER.as_str())?;
    seconds(asked).or_else(|| {
        let until = httpdate::parse_http_date(asked).ok()?;
        let now = text(DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
        Some(until.duration_since(now).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::wait;

    fn asked(headers: &[(&'static str, &'static str)]) -> Option<Duration> {
        let header = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let headers: HeaderMap = headers.iter().map(header).collect();
        // Sunday, 6 November 1994, 08:49:37.
        wait(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
    }

    #[test]
    fn seconds_fractions_and_dates_are_understood() {
        let after = |value| asked(&[("retry-after", value)]);
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after(" 30.5 "), Some(Duration::from_millis(30_500)));
        assert_eq!(after("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO), "it has passed");
        for wrong in ["soon", "-1", "NaN", "inf", ""] {
            assert_eq!(after(wrong), None, "{wrong}");
        }
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn a_date_is_held_against_the_clock_that_wrote_it() {
        let wrong_clock = ("date", "Sun, 06 Nov 1994 09:00:00 GMT");
        let until = ("retry-after", "Sun, 06 Nov 1994 09:00:05 GMT");
        assert_eq!(asked(&[wrong_clock, until]), Some(Duration::from_secs(5)));
    }

    #[test]
    fn milliseconds_go_first() {
        assert_eq!(
            asked(&[("retry-after-ms", "1500"), ("retry-after", "2")]),
            Some(Duration::from_millis(1_500))
        );
    }
}
