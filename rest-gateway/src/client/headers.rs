//! What an answer tells its client of its limits: the headers of draft-ietf-httpapi-ratelimit-headers-10.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use repartee_process::{Full, RateUsage};

/// The share of answers on their way, the one at once that is no number of requests.
pub(super) const ANSWER_BYTES: &str = "client_answer_bytes";
/// The rates that count bytes.
const OF_BYTES: [&str; 2] = ["client_bytes", "client_answers"];

/// How a client stands against a rate, as draft-ietf-httpapi-ratelimit-headers-10 has it: the policy, and what is left of
/// it. For a whole bucket, `w` is the time in which it fills.
pub(crate) fn rate_headers(usage: RateUsage) -> [(HeaderName, HeaderValue); 2] {
    let name = public(usage.name);
    let (window, reset) = (whole_seconds(usage.window).max(1), whole_seconds(usage.reset));
    let unit = if OF_BYTES.contains(&usage.name) { ";qu=\"content-bytes\"" } else { "" };
    [
        ("ratelimit-policy", format!("\"{name}\";q={}{unit};w={window}", usage.burst)),
        ("ratelimit", format!("\"{name}\";r={};t={reset}", usage.remaining)),
    ]
    .map(header)
}

/// The same of what may be held at once, all of which is held.
pub(crate) fn share_headers(full: Full) -> [(HeaderName, HeaderValue); 2] {
    let name = public(full.name);
    let unit = if full.name == ANSWER_BYTES { "content-bytes" } else { "concurrent-requests" };
    [
        ("ratelimit-policy", format!("\"{name}\";q={};qu=\"{unit}\"", full.limit)),
        ("ratelimit", format!("\"{name}\";r=0")),
    ]
    .map(header)
}

fn header((name, value): (&'static str, String)) -> (HeaderName, HeaderValue) {
    let value = HeaderValue::try_from(value).expect("names of limits and numbers are visible ASCII");
    (HeaderName::from_static(name), value)
}

/// The name that clients read: all of these limits are of clients.
fn public(name: &str) -> &str {
    name.trim_start_matches("client_")
}

fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use repartee_process::{Full, RateUsage};

    use super::{rate_headers, share_headers};

    #[test]
    fn a_client_reads_the_policy_and_what_is_left_of_it() {
        let usage = RateUsage {
            name: "client_posts",
            burst: 60,
            window: Duration::from_secs(12),
            remaining: 7,
            reset: Duration::from_millis(1_200),
        };
        let told = rate_headers(usage).map(|(_, value)| value.to_str().unwrap().to_owned());
        assert_eq!(told, ["\"posts\";q=60;w=12", "\"posts\";r=7;t=2"]);
        let full = Full { name: "client_requests", held: 512, limit: 512 };
        let told = share_headers(full).map(|(_, value)| value.to_str().unwrap().to_owned());
        assert_eq!(told, ["\"requests\";q=512;qu=\"concurrent-requests\"", "\"requests\";r=0"]);
    }
}
