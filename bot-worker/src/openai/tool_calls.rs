//! The tool calls of an answer, put together from the pieces in which endpoints send them. Pure.
//!
//! A piece belongs to a call by its index, by its id, or by coming behind it, whatever there is: servers leave out either,
//! send them empty or null, give all calls the index 0, or repeat a whole call. What they really send stands in
//! `docs/endpoints.md`.

use serde_json::{Map, Value, json};

/// Most calls of an answer that are put together; more are a loop.
const CALLS: usize = 128;

/// What one piece says of a call.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Piece {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    /// What has to come back with the call as it is.
    extra: Option<Value>,
}

/// A call.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct ToolCall {
    index: Option<u64>,
    /// Its name for the endpoint; never empty, and none has that of another one, once [`ToolCalls::finish`] has been.
    pub(super) id: String,
    /// The tool.
    pub(super) name: String,
    arguments: String,
    extra: Option<Value>,
}

/// The calls of an answer that is being read.
#[derive(Debug, Default)]
pub(super) struct ToolCalls(Vec<ToolCall>);

/// The pieces in `tool_calls` of a delta or of a message.
pub(super) fn pieces(said: &Value) -> Vec<Piece> {
    let all = match said.get("tool_calls") {
        Some(Value::Array(all)) => all.iter().collect(),
        // One that is not in a list.
        Some(one @ Value::Object(_)) => vec![one],
        _ => Vec::new(),
    };
    all.into_iter().filter(|piece| piece.is_object()).map(piece).collect()
}

fn piece(piece: &Value) -> Piece {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let function = piece.get("function").unwrap_or(piece);
    let arguments = match function.get("arguments") {
        Some(Value::String(text)) => text.clone(),
        Some(whole @ Value::Object(_)) => whole.to_string(),
        _ => String::new(),
    };
    Piece {
        index: piece.get("index").and_then(Value::as_u64),
        id: match piece.get("id") {
            Some(Value::Number(number)) => number.to_string(),
            id => text(id),
        },
        name: text(function.get("name")),
        arguments,
        extra: piece.get("extra_content").filter(|extra| extra.is_object()).cloned(),
    }
}

impl Piece {
    /// How many bytes of it the model wrote.
    pub(super) fn bytes(&self) -> usize {
        self.name.len() + self.arguments.len()
    }
}

impl ToolCalls {
    /// Takes in a piece; false if there are too many.
    pub(super) fn take(&mut self, piece: Piece) -> bool {
        let at = self.place(&piece);
        let Some(at) = at.or_else(|| self.add(piece.index)) else { return false };
        let call = &mut self.0[at];
        let is_repeated = !piece.id.is_empty() && call.id == piece.id && is_object(&piece.arguments);
        if is_repeated && call.is_whole() && !is_no_argument(&call.arguments) {
            return true;
        }
        if call.id.is_empty() {
            call.id = piece.id;
        }
        if call.name.is_empty() {
            call.name = piece.name;
        }
        if is_no_argument(&call.arguments) && !piece.arguments.trim().is_empty() {
            // It held the place until the arguments came.
            call.arguments.clear();
        }
        call.arguments.push_str(&piece.arguments);
        call.extra = piece.extra.or(call.extra.take());
        true
    }

    /// The call that a piece continues, if it continues one.
    fn place(&self, piece: &Piece) -> Option<usize> {
        let by_index = |call: &ToolCall| piece.index.is_some() && call.index == piece.index;
        let by_id = |call: &ToolCall| !piece.id.is_empty() && call.id == piece.id;
        let at = match piece.index {
            Some(_) => self.0.iter().rposition(by_index)?,
            None if !piece.id.is_empty() => return self.0.iter().rposition(by_id),
            None => self.0.len().checked_sub(1)?,
        };
        let call = &self.0[at];
        let is_other_id = !piece.id.is_empty() && !call.id.is_empty() && piece.id != call.id;
        let is_named = piece.id.is_empty() && !piece.name.is_empty() && !call.name.is_empty();
        // With an index, a name that comes once more without arguments only ends its call.
        let adds = piece.index.is_none() || !piece.arguments.trim().is_empty();
        let begins = is_named && (piece.name != call.name || (call.is_whole() && adds));
        if is_other_id { self.0.iter().rposition(by_id) } else { (!begins).then_some(at) }
    }

    fn add(&mut self, index: Option<u64>) -> Option<usize> {
        (self.0.len() < CALLS).then(|| self.0.push(ToolCall { index, ..ToolCall::default() }))?;
        Some(self.0.len() - 1)
    }

    /// The calls, each with an id of its own. One that comes without gets one of nine letters and digits, which is the only
    /// form that Mistral takes.
    pub(super) fn finish(self) -> Vec<ToolCall> {
        let mut calls: Vec<ToolCall> = self.0.into_iter().filter(|call| !call.name.is_empty()).collect();
        // Those of another round should be others.
        let first: usize = rand::random_range(0..100_000 - CALLS);
        for at in 0..calls.len() {
            let is_taken = calls[..at].iter().any(|other| other.id == calls[at].id);
            if calls[at].id.is_empty() || is_taken {
                calls[at].id = format!("call{:05}", first + at);
            }
        }
        calls
    }
}

impl ToolCall {
    /// Its arguments, or why they are none. Without any, or as a text that holds them, they are taken too.
    pub(super) fn arguments(&self) -> Result<Map<String, Value>, String> {
        let text = self.arguments.trim();
        let parsed = match text {
            "" => return Ok(Map::new()),
            text => {
                serde_json::from_str(text).map_err(|error| format!("the arguments are no JSON: {error}"))?
            }
        };
        let parsed = match parsed {
            Value::String(inner) => serde_json::from_str(&inner).unwrap_or_default(),
            other => other,
        };
        match parsed {
            Value::Object(arguments) => Ok(arguments),
            Value::Null => Ok(Map::new()),
            _ => Err("the arguments are no JSON object".into()),
        }
    }

    /// The call as the next request repeats it. Arguments that are none are left out: strict endpoints would refuse all.
    pub(super) fn repeated(&self) -> Value {
        let arguments =
            self.arguments().map_or_else(|_| "{}".into(), |arguments| Value::Object(arguments).to_string());
        let function = json!({"name": self.name, "arguments": arguments});
        let mut call = json!({"id": self.id, "type": "function", "function": function});
        if let Some(extra) = &self.extra {
            call["extra_content"] = extra.clone();
        }
        call
    }

    fn is_whole(&self) -> bool {
        is_object(&self.arguments)
    }
}

/// True for `{}`.
fn is_no_argument(text: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(text).is_ok_and(|arguments| arguments.is_empty())
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<Map<String, Value>>(text).is_ok()
}

#[cfg(test)]
mod tests;
