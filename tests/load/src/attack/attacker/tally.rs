//! What an attacker got for its pains.

use std::collections::BTreeMap;

use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use memchr::memmem;
use serde::{Deserialize, Serialize};

/// What was sent and what came back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Connections that were opened.
    pub(crate) connections: u64,
    /// Requests that were begun.
    pub(crate) requests: u64,
    /// Answers by status, and by reason if they are refusals; and how connections and streams ended without one.
    pub(crate) answers: BTreeMap<String, u64>,
    /// Refusals without a word of ours, and answers that name a fault of the server, by status. A head that never became a
    /// request is refused by the HTTP library, which says no more than a status.
    pub(crate) not_ours: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts something that is no answer.
    pub(crate) fn note(&mut self, what: &str) {
        *self.answers.entry(what.to_owned()).or_default() += 1;
    }

    /// Counts an answer.
    pub(crate) fn answer(&mut self, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
        let is_problem =
            headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == b"application/problem+json");
        let name = match reason(body).filter(|_| is_problem) {
            Some(reason) => format!("{} {reason}", status.as_u16()),
            None => status.as_u16().to_string(),
        };
        let never_read = matches!(
            status,
            StatusCode::BAD_REQUEST | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE if body.is_empty()
        );
        if status.is_server_error() || (status.is_client_error() && !is_problem && !never_read) {
            *self.not_ours.entry(name.clone()).or_default() += 1;
        }
        self.note(&name);
    }

    /// Adds another one.
    pub(crate) fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.requests += other.requests;
        for (name, count) in other.answers {
            *self.answers.entry(name).or_default() += count;
        }
        for (name, count) in other.not_ours {
            *self.not_ours.entry(name).or_default() += count;
        }
    }

    /// How many requests were refused, by whatever bound.
    pub(crate) fn refused(&self) -> u64 {
        let refused = self.answers.iter().filter(|(name, _)| name.starts_with('4'));
        refused.map(|(_, count)| count).sum()
    }
}

/// The reason in a problem, found without reading the rest: the attacker shares the servers' cores.
fn reason(body: &[u8]) -> Option<&str> {
    const FIELD: &[u8] = b"\"reason\":\"";
    let from = memmem::find(body, FIELD)? + FIELD.len();
    let length = memchr::memchr(b'"', &body[from..])?;
    str::from_utf8(&body[from..from + length]).ok()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};

    use super::Tally;

    #[test]
    fn a_refusal_in_our_words_is_told_from_others_and_from_faults() {
        let problem =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))]);
        let mut tally = Tally::default();
        tally.answer(StatusCode::CREATED, &HeaderMap::new(), b"{\"reason\":\"no refusal\"}");
        tally.answer(StatusCode::TOO_MANY_REQUESTS, &problem, br#"{"status":429,"reason":"CLIENT_LIMIT"}"#);
        tally.answer(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), b"");
        tally.answer(StatusCode::BAD_GATEWAY, &problem, b"{}");
        tally.answer(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &HeaderMap::new(), b"");
        let mut twice = tally.clone();
        twice.add(tally);
        let counts = [("201", 2), ("429", 2), ("429 CLIENT_LIMIT", 2), ("431", 2), ("502", 2)];
        assert_eq!(twice.answers, counts.map(|(name, count)| (name.to_owned(), count)).into());
        assert_eq!(
            twice.not_ours,
            [("429", 2), ("502", 2)].map(|(name, count)| (name.to_owned(), count)).into()
        );
        assert_eq!(twice.refused(), 6);
    }
}
