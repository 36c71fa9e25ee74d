//! A chat completion that comes word by word, as Server-Sent Events.

use serde::Deserialize;

/// Says that nothing follows.
const DONE: &str = "[DONE]";

/// The reader of one stream.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// A line that is not whole yet.
    line: Vec<u8>,
    is_whole: bool,
}

/// What is read of a chunk.
#[derive(Deserialize)]
struct Chunk {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<String>,
}

impl Chunks {
    /// Takes in what came, and gives what was said in it.
    ///
    /// # Errors
    /// Where it is no part of a chat completion.
    pub(super) fn take_in(&mut self, part: &[u8]) -> Result<String, serde_json::Error> {
        let mut said = String::new();
        for byte in part {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else { continue };
            if data == DONE.as_bytes() {
                self.is_whole = true;
                continue;
            }
            let Chunk { choices } = serde_json::from_slice(data)?;
            let Some(choice) = choices.into_iter().next() else { continue };
            said.push_str(&choice.delta.content.unwrap_or_default());
            self.is_whole |= choice.finish_reason.is_some();
        }
        Ok(said)
    }

    /// True once the endpoint has said that this is all.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }
}

#[cfg(test)]
mod tests {
    use super::Chunks;

    const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\r\n\r\n\
        : a comment\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"Sch\"}}]}\n\n\
        data:{\"choices\":[{\"delta\":{\"content\":\"ön\"}}]}\n\ndata: {\"choices\":[]}\n\ndata: [DONE]\n\n";

    #[test]
    fn what_was_said_is_read_wherever_the_parts_are_cut() {
        for size in [1, 2, 7, 1_000] {
            let mut chunks = Chunks::default();
            let mut said = String::new();
            for part in STREAM.as_bytes().chunks(size) {
                said.push_str(&chunks.take_in(part).unwrap());
            }
            assert_eq!((said.as_str(), chunks.is_whole()), ("Schön", true), "{size}");
        }
    }

    #[test]
    fn a_reason_to_finish_is_an_end_and_an_error_is_no_chunk() {
        let mut chunks = Chunks::default();
        chunks.take_in(b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n").unwrap();
        assert!(chunks.is_whole());
        assert!(chunks.take_in(b"data: {\"error\":{\"message\":\"overloaded\"}}\n").is_err());
    }
}
