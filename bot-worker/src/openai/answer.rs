//! Reading an answer: one reader for what comes at once and for what comes word by word.
//!
//! It takes what endpoints really send (`docs/endpoints.md`), and knows one thing for sure: an answer without a proper end
//! is no answer. What a body is, it tells by the body: not every server says so in the content type.

use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::{EventStreamError, Eventsource as _};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use reqwest::Response;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::{
    chunk::{self, Chunk, Fault},
    spending::Bill,
    thinking::{self, End},
    tool_calls::{Piece, ToolCall, ToolCalls},
};

/// Most bytes of an answer that comes at once, and of the text of one that comes word by word: a reply of 16,384 bytes with
/// room for thoughts, and for what endpoints write around it.
const ANSWER_BYTES: usize = 1 << 20;
/// Most bytes of an answer that comes word by word: around each word stands much more than around a whole answer.
const STREAM_BYTES: usize = 16 << 20;
/// How much the parser of streams is given at once, beside one long line.
const PIECE_BYTES: usize = 8 * 1024;
/// How long to wait for what follows the end: the use of tokens, and `[DONE]`. Some servers never close the connection.
const AFTER_THE_END: Duration = Duration::from_secs(2);
/// Up to this length each word is shown; of longer answers every so many bytes.
const SHOWN_AT_ONCE: usize = 64 * 1024;
const SHOWN_EVERY: usize = 1024;

/// The byte order mark of UTF-8.
const BOM: &[u8] = "\u{feff}".as_bytes();
/// Says that nothing follows.
const DONE: &str = "[DONE]";

/// A whole answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What the model wrote, its thinking included.
    raw: String,
    /// Why it ended: `stop`, `length`, …; empty if the endpoint gave no reason.
    pub(super) finish: String,
    /// The tokens that it cost, request included, if the endpoint tells.
    pub(super) tokens: Option<u64>,
    /// Those of the request, and those of the answer, if the endpoint tells them apart.
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    /// The tools that the model calls.
    pub(super) calls: Vec<ToolCall>,
    /// What came as `reasoning_content`.
    pub(super) reasoning: String,
    /// True if thoughts of this endpoint are known to begin in the prompt.
    begins_in_thought: bool,
}

impl Answer {
    /// What the model says, without its thinking.
    pub(super) fn text(&self) -> String {
        let is_cut_off = self.finish == "length";
        let spoken = thinking::spoken(&self.raw, if is_cut_off { End::CutOff } else { End::Whole });
        if is_cut_off && self.begins_in_thought && !spoken.has_thought {
            return String::new();
        }
        spoken.text.trim().to_owned()
    }

    /// True if its thought began in the prompt.
    pub(super) fn began_in_thought(&self) -> bool {
        thinking::spoken(&self.raw, End::Whole).from_prompt
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the endpoint's answer broke off")]
    BrokenOff,
    #[error("the endpoint's answer is too long")]
    TooLong,
    #[error("the endpoint's answer is no chat completion")]
    NoCompletion,
    #[error("the endpoint took too long")]
    TooSlow,
    #[error("the endpoint failed in the midst of its answer")]
    Fault(Fault),
}

impl From<reqwest::Error> for ReadError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() { Self::TooSlow } else { Self::BrokenOff }
    }
}

/// Told what is there so far: the text without thinking, and whether the model thinks.
pub(super) type Watch<'a> = &'a mut (dyn FnMut(&str, bool) + Send);

/// Reads the body of a successful response, and counts what is written on its bill. `begins_in_thought` if the endpoint has
/// shown that the opening tags of its thoughts are in the prompt: then nothing is shown before a closing one.
pub(super) async fn read(
    response: Response,
    begins_in_thought: bool,
    bill: &mut Bill<'_>,
    watch: Watch<'_>,
) -> Result<Answer, ReadError> {
    let reading = Reading::new(begins_in_thought, bill);
    read_parts(response.bytes_stream().map_err(ReadError::from), reading, watch).await
}

async fn read_parts(
    parts: impl Stream<Item = Result<Bytes, ReadError>> + Send,
    reading: Reading<'_, '_>,
    watch: Watch<'_>,
) -> Result<Answer, ReadError> {
    let mut parts = std::pin::pin!(parts);
    let begun = beginning(&mut parts).await?;
    let first = begun.iter().find(|byte| !byte.is_ascii_whitespace());
    if first.is_some_and(|first| matches!(first, b'{' | b'[' | b'<')) {
        return at_once(begun, parts, reading).await;
    }
    let begun = stream::iter([Ok(begun.into())]);
    word_by_word(limited(begun.chain(parts)), reading, watch).await
}

/// The body up to where it can be told what it is, without byte order marks: the parser of streams panics at one.
async fn beginning(
    parts: &mut (impl Stream<Item = Result<Bytes, ReadError>> + Unpin),
) -> Result<Vec<u8>, ReadError> {
    let mut begun: Vec<u8> = Vec::new();
    while begun.len() <= ANSWER_BYTES {
        let mut rest = &begun[..];
        while let Some(behind) = rest.strip_prefix(BOM) {
            rest = behind;
        }
        if !BOM.starts_with(rest) && !rest.trim_ascii_start().is_empty() {
            let from = begun.len() - rest.len();
            return Ok(begun.split_off(from));
        }
        match parts.try_next().await? {
            Some(part) => begun.extend_from_slice(&part),
            None => return Err(ReadError::NoCompletion),
        }
    }
    Err(ReadError::TooLong)
}

/// Reads the body of a successful response until it is sure that it becomes an answer: up to its first word, if it comes
/// word by word. The rest is not asked for.
pub(super) async fn begins(response: Response, bill: &mut Bill<'_>) -> Result<(), ReadError> {
    let (said, mut words) = tokio::sync::oneshot::channel();
    let mut said = Some(said);
    let mut watch = |_: &str, _: bool| {
        if let Some(said) = said.take() {
            // The one who listens is below.
            let _ = said.send(());
        }
    };
    let answer = {
        let answer = std::pin::pin!(read(response, false, bill, &mut watch));
        tokio::select! {
            answer = answer => answer?,
            Ok(()) = &mut words => return Ok(()),
        }
    };
    bill.settle(answer.tokens);
    Ok(())
}

/// An answer that is one document. That it is whole, its closing bracket says.
async fn at_once(
    mut body: Vec<u8>,
    mut parts: impl Stream<Item = Result<Bytes, ReadError>> + Unpin,
    mut reading: Reading<'_, '_>,
) -> Result<Answer, ReadError> {
    while let Some(part) = parts.try_next().await? {
        body.extend_from_slice(&part);
        if body.len() > ANSWER_BYTES {
            return Err(ReadError::TooLong);
        }
    }
    let document: Value = serde_json::from_slice(&body).map_err(|_| ReadError::NoCompletion)?;
    let chunk = chunk::read(&document);
    let is_whole = chunk.is_whole;
    reading.take(chunk)?;
    if is_whole { Ok(reading.into_answer()) } else { Err(ReadError::NoCompletion) }
}

/// The lines of a body, up to a bound of bytes, of all and of a line; and an empty line behind them, for servers that leave
/// out the last one. The parser of streams copies what is left of a part behind each line, and reads a line anew with each
/// part of it: so it gets few lines at once, and each whole.
fn limited(
    parts: impl Stream<Item = Result<Bytes, ReadError>>,
) -> impl Stream<Item = Result<Bytes, ReadError>> {
    let (mut read, mut held) = (0, Vec::new());
    let end = stream::iter([Ok(Bytes::from_static(b"\n\n"))]);
    let pieces = parts.chain(end).map_ok(move |part| {
        read += part.len();
        let lines = lines(&mut held, &part);
        let is_too_long = read > STREAM_BYTES || held.len() > ANSWER_BYTES;
        stream::iter(if is_too_long { vec![Err(ReadError::TooLong)] } else { lines })
    });
    pieces.try_flatten()
}

/// The lines that end in this part, in pieces; what is left is `held` for the next one.
fn lines(held: &mut Vec<u8>, part: &[u8]) -> Vec<Result<Bytes, ReadError>> {
    let mut pieces = Vec::new();
    for piece in part.chunks(PIECE_BYTES) {
        held.extend_from_slice(piece);
        if let Some(end) = piece.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')) {
            let rest = held.split_off(held.len() - piece.len() + end + 1);
            pieces.push(Ok(std::mem::replace(held, rest).into()));
        }
    }
    pieces
}

async fn word_by_word(
    parts: impl Stream<Item = Result<Bytes, ReadError>>,
    mut reading: Reading<'_, '_>,
    watch: Watch<'_>,
) -> Result<Answer, ReadError> {
    let mut events = std::pin::pin!(parts.eventsource());
    let mut enough = None;
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = sleep_until(enough.unwrap_or_else(Instant::now)), if enough.is_some() => None,
        };
        let event = match event {
            Some(Ok(event)) => event,
            None if reading.finish.is_some() => return Ok(reading.into_answer()),
            // What breaks off behind the end takes nothing from the answer.
            Some(Err(_)) if reading.finish.is_some() => return Ok(reading.into_answer()),
            Some(Err(EventStreamError::Transport(error))) => return Err(error),
            Some(Err(EventStreamError::Utf8(_) | EventStreamError::Parser(_))) => {
                return Err(ReadError::NoCompletion);
            }
            None => return Err(ReadError::BrokenOff),
        };
        if event.data.len() > ANSWER_BYTES {
            return Err(ReadError::TooLong);
        }
        if reading.take_event(&event.data)? {
            return Ok(reading.into_answer());
        }
        if event.event == "error" {
            return Err(ReadError::Fault(Fault::default()));
        }
        reading.show(watch);
        if reading.finish.is_some() {
            enough = enough.or_else(|| Some(Instant::now() + AFTER_THE_END));
        }
    }
}

/// An answer that is being read.
struct Reading<'a, 'b> {
    begins_in_thought: bool,
    bill: &'a mut Bill<'b>,
    raw: String,
    reasoning: String,
    calls: ToolCalls,
    /// Bytes of them.
    called: usize,
    finish: Option<String>,
    tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    thought: bool,
    /// How much of `raw` was shown, and whether the model was said to think.
    shown: (usize, bool),
}

impl<'a, 'b> Reading<'a, 'b> {
    fn new(begins_in_thought: bool, bill: &'a mut Bill<'b>) -> Self {
        Self {
            begins_in_thought,
            bill,
            raw: String::new(),
            reasoning: String::new(),
            calls: ToolCalls::default(),
            called: 0,
            finish: None,
            tokens: None,
            input_tokens: None,
            output_tokens: None,
            thought: false,
            shown: (0, false),
        }
    }

    /// Takes in what one event says; true if that was the last. Servers that forget the empty lines send several documents
    /// in one event, each on a line of its own.
    fn take_event(&mut self, data: &str) -> Result<bool, ReadError> {
        let lines = match serde_json::from_str::<Value>(data) {
            Ok(document) => return self.take(chunk::read(&document)).map(|()| false),
            Err(_) => data.lines().map(str::trim).filter(|line| !line.is_empty()),
        };
        for line in lines {
            if line == DONE {
                self.finish.get_or_insert_default();
                return Ok(true);
            }
            let broken = |error: serde_json::Error| {
                if error.is_eof() { ReadError::BrokenOff } else { ReadError::NoCompletion }
            };
            let document: Value = serde_json::from_str(line).map_err(broken)?;
            self.take(chunk::read(&document))?;
        }
        Ok(false)
    }

    /// Takes in one document.
    fn take(&mut self, chunk: Chunk) -> Result<(), ReadError> {
        if let Some(fault) = chunk.error {
            return Err(ReadError::Fault(fault));
        }
        self.raw.push_str(&chunk.text);
        // Of a longer thought nothing is kept.
        if self.reasoning.len() + chunk.reasoning.len() <= ANSWER_BYTES {
            self.reasoning.push_str(&chunk.reasoning);
        }
        let called: usize = chunk.calls.iter().map(Piece::bytes).sum();
        self.called += called;
        self.bill.add(chunk.text.len() + called);
        let has_room = chunk.calls.into_iter().all(|piece| self.calls.take(piece));
        if !has_room || self.raw.len() + self.called > ANSWER_BYTES {
            return Err(ReadError::TooLong);
        }
        self.thought |= chunk.thought;
        self.tokens = chunk.tokens.or(self.tokens);
        self.input_tokens = chunk.input_tokens.or(self.input_tokens);
        self.output_tokens = chunk.output_tokens.or(self.output_tokens);
        if chunk.finish.is_some() {
            self.finish = chunk.finish;
        }
        Ok(())
    }

    fn show(&mut self, watch: Watch<'_>) {
        let (bytes, thought) = self.shown;
        let due = self.raw.len() <= SHOWN_AT_ONCE || self.raw.len() >= bytes + SHOWN_EVERY;
        if (self.raw.len() == bytes || !due) && thought == self.thought {
            return;
        }
        self.shown = (self.raw.len(), self.thought);
        let spoken = thinking::spoken(&self.raw, End::Open);
        if self.begins_in_thought && !spoken.has_thought {
            watch("", true);
        } else {
            watch(spoken.text.trim_start(), self.thought || spoken.thinks);
        }
    }

    fn into_answer(self) -> Answer {
        Answer {
            raw: self.raw,
            finish: self.finish.unwrap_or_default(),
            tokens: self.tokens,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            calls: self.calls.finish(),
            reasoning: self.reasoning,
            begins_in_thought: self.begins_in_thought,
        }
    }
}

#[cfg(test)]
mod tests;
