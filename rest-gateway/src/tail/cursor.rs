//! Positions as the queue-service writes them: `epoch.seq`. Clients must not look into them; the gateway is the
//! queue-service's own front, and has to know where its tail stands.

/// Reads a cursor; `None` where it is none.
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
    use super::{format, parse};

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(parse(&format("00f3", 17)), Some(("00f3", 17)));
        assert_eq!((parse("00f3"), parse("00f3."), parse("")), (None, None, None));
    }
}
