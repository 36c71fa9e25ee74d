//! The events of a stream beside its messages, as bytes.

use bytes::Bytes;
use serde::Serialize;

use crate::tail::Cursor;

/// Between these two, in milliseconds, a client is to wait before it connects again: at random, so that those who lost
/// the same server do not come back together.
const SHORTEST_RETRY: u64 = 500;
const LONGEST_RETRY: u64 = 3_000;

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// With the next change.
    Live,
    /// With the first change behind the cursor that the client gave.
    Resumed,
    /// With the newest page: the client's cursor is lost.
    Reset,
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Bye {
    /// It is old enough; another one is welcome.
    Age,
    /// The server stops.
    Shutdown,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hello<'a> {
    epoch: &'a str,
    cursor: String,
    mode: Mode,
    server_time: u64,
}

#[derive(Serialize)]
struct Reason<'a, R> {
    reason: R,
    cursor: &'a str,
}

#[derive(Serialize)]
struct Upstream {
    live: bool,
}

/// The first event. A client that is told of a reset has seen nothing of this log yet, so the event has no id then.
pub(super) fn hello(cursor: &Cursor, mode: Mode, server_time: u64) -> Bytes {
    let hello = Hello { epoch: &cursor.epoch, cursor: cursor.to_string(), mode, server_time };
    let id = if mode == Mode::Reset { None } else { Some(cursor) };
    event("hello", id, false, &hello)
}

/// The position is lost; the newest page follows.
pub(super) fn reset(reason: &str, cursor: &Cursor) -> Bytes {
    event("reset", None, false, &Reason { reason, cursor: &cursor.to_string() })
}

/// The server ends the stream.
pub(super) fn bye(why: Bye, cursor: Option<&Cursor>) -> Bytes {
    let place = cursor.map(Cursor::to_string).unwrap_or_default();
    event("bye", cursor, true, &Reason { reason: why, cursor: &place })
}

/// Whether the changes of the queue-service come: while they do not, what the client shows may be old.
pub(super) fn upstream(live: bool) -> Bytes {
    event("upstream", None, false, &Upstream { live })
}

/// A message of the newest page. Who loses the connection before the page has ended gets another one.
pub(super) fn of_page(json: &[u8]) -> Bytes {
    [b"event: message\ndata: ", json, b"\n\n"].concat().into()
}

/// Everything up to here was seen: an id without an event.
pub(super) fn seen(cursor: &Cursor) -> Bytes {
    format!("id: {cursor}\n\n").into()
}

/// The stream is alive, and its client has seen everything up to here, where that is further than it was told.
pub(super) fn alive(cursor: Option<&Cursor>) -> Bytes {
    match cursor {
        Some(cursor) => format!(": alive\nid: {cursor}\n\n").into(),
        None => Bytes::from_static(b": alive\n\n"),
    }
}

/// When to come back after the connection is lost.
pub(super) fn retry() -> Bytes {
    format!("retry: {}\n\n", pause()).into()
}

fn event(name: &str, id: Option<&Cursor>, with_retry: bool, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).expect("events are plain values");
    let id = id.map(|cursor| format!("id: {cursor}\n")).unwrap_or_default();
    let retry = if with_retry { format!("retry: {}\n", pause()) } else { String::new() };
    format!("{id}{retry}event: {name}\ndata: {data}\n\n").into()
}

fn pause() -> u64 {
    rand::random_range(SHORTEST_RETRY..=LONGEST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::{Bye, LONGEST_RETRY, Mode, SHORTEST_RETRY, alive, bye, hello, reset, retry, seen};
    use crate::tail::Cursor;

    fn text(event: bytes::Bytes) -> String {
        String::from_utf8(event.to_vec()).unwrap()
    }

    #[test]
    fn every_event_ends_with_an_empty_line_and_says_where_the_client_stands() {
        let cursor = Cursor { epoch: "e1".into(), seq: 7 };
        let greeting = text(hello(&cursor, Mode::Resumed, 5));
        assert!(
            greeting.starts_with("id: e1.7\nevent: hello\ndata: {\"epoch\":\"e1\",\"cursor\":\"e1.7\","),
            "{greeting}"
        );
        assert!(greeting.contains("\"mode\":\"resumed\"") && greeting.ends_with("}\n\n"), "{greeting}");
        let end = text(bye(Bye::Shutdown, Some(&cursor)));
        assert!(end.starts_with("id: e1.7\nretry: "), "{end}");
        assert!(
            end.ends_with("event: bye\ndata: {\"reason\":\"shutdown\",\"cursor\":\"e1.7\"}\n\n"),
            "{end}"
        );
        assert_eq!(text(seen(&cursor)), "id: e1.7\n\n");
        assert_eq!(text(alive(Some(&cursor))), ": alive\nid: e1.7\n\n");
        assert_eq!(text(alive(None)), ": alive\n\n");
    }

    #[test]
    fn a_client_keeps_its_old_place_until_a_reset_is_whole() {
        let cursor = Cursor { epoch: "e1".into(), seq: 7 };
        assert!(text(hello(&cursor, Mode::Reset, 5)).starts_with("event: hello\n"));
        assert!(
            text(reset("it is gone", &cursor)).starts_with("event: reset\ndata: {\"reason\":\"it is gone\"")
        );
    }

    #[test]
    fn clients_are_told_to_come_back_at_different_times() {
        let pauses: Vec<u64> =
            (0..50).map(|_| text(retry()).trim().strip_prefix("retry: ").unwrap().parse().unwrap()).collect();
        assert!(pauses.iter().all(|pause| (SHORTEST_RETRY..=LONGEST_RETRY).contains(pause)));
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
