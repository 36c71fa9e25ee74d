//! A change as clients are told of it: written once, as the event of a stream with its message as JSON inside. All
//! streams and all pages share those bytes.

use bytes::Bytes;

/// What stands behind the message.
const END: &[u8] = b"\n\n";

/// One change, written.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    event: Bytes,
    /// Where the message begins.
    json: usize,
}

impl Told {
    /// Change `seq` of the log `epoch`, which left the message like this.
    pub(crate) fn new(epoch: &str, seq: u64, json: &[u8]) -> Self {
        let mut number = itoa::Buffer::new();
        let head = ["id: ", epoch, ".", number.format(seq), "\nevent: message\ndata: "].concat();
        let event = [head.as_bytes(), json, END].concat();
        Self { event: event.into(), json: head.len() }
    }

    /// The event of a stream; its id is the cursor after the change.
    pub(crate) fn event(&self) -> Bytes {
        self.event.clone()
    }

    /// The message as the change left it.
    pub(crate) fn json(&self) -> Bytes {
        self.event.slice(self.json..self.event.len() - END.len())
    }

    /// Bytes of all of it.
    pub(super) fn len(&self) -> usize {
        self.event.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Told;

    #[test]
    fn an_event_has_the_cursor_as_its_id_and_the_message_as_its_data() {
        let told = Told::new("e1", 17, br#"{"id":"a"}"#);
        assert_eq!(&told.event()[..], b"id: e1.17\nevent: message\ndata: {\"id\":\"a\"}\n\n");
        assert_eq!(&told.json()[..], br#"{"id":"a"}"#);
    }
}
