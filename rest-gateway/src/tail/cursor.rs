//! Positions as the queue-service writes them: `epoch.seq`. Clients must not look into them; the gateway is the
//! queue-service's own front, and has to know where its tail stands.

use std::{fmt, sync::Arc};

/// No epoch is longer.
const LONGEST_EPOCH: usize = 64;

/// A position in the changes of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Names the log.
    pub(crate) epoch: Arc<str>,
    /// Number of the last change that was seen.
    pub(crate) seq: u64,
}

impl Cursor {
    /// Reads what a client brings; `None` where no queue-service writes it like that.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (epoch, digits) = text.rsplit_once('.')?;
        let names_a_log = (1..=LONGEST_EPOCH).contains(&epoch.len())
            && epoch.bytes().all(|byte| byte.is_ascii_alphanumeric());
        // `parse` alone would accept a sign, and other spellings of the same number.
        let is_number =
            digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        let seq = digits.parse().ok().filter(|_| names_a_log && is_number)?;
        Some(Self { epoch: epoch.into(), seq })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.seq)
    }
}

/// Reads a cursor of the queue-service; `None` where it is none.
pub(super) fn parse(cursor: &str) -> Option<(&str, u64)> {
    let (epoch, seq) = cursor.rsplit_once('.')?;
    Some((epoch, seq.parse().ok()?))
}

/// Writes the cursor after change `seq`.
pub(super) fn format(epoch: &str, seq: u64) -> String {
    [epoch, ".", itoa::Buffer::new().format(seq)].concat()
}

#[cfg(test)]
mod tests {
    use super::{Cursor, format, parse};

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(parse(&format("00f3", 17)), Some(("00f3", 17)));
        assert_eq!((parse("00f3"), parse("00f3."), parse("")), (None, None, None));
        assert_eq!(Cursor::read("00f3.17").unwrap().to_string(), "00f3.17");
    }

    #[test]
    fn what_no_queue_service_writes_is_no_cursor() {
        let long = "a".repeat(65) + ".1";
        for text in [
            "",
            ".",
            "e.",
            ".1",
            "e.+1",
            "e.-1",
            "e.01",
            "e.1x",
            "e 1.1",
            "é.1",
            "e.99999999999999999999",
            &long,
        ] {
            assert_eq!(Cursor::read(text), None, "{text}");
        }
    }
}
