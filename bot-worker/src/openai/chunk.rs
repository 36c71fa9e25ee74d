//! One JSON document of an endpoint, be it a whole answer or a chunk of one, as forgiving as what is in use demands.
//!
//! Nothing is taken for granted but that it is JSON: what is absent, null or of another type says nothing. What servers
//! really send stands in `docs/endpoints.md`.

use serde_json::Value;

use super::tool_calls::{self, Piece};

/// What one document says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Chunk {
    /// What the model says.
    pub(super) text: String,
    /// True if it carries a part of a thought, which is shown to nobody.
    pub(super) thought: bool,
    /// The part that stood in `reasoning_content`: some endpoints want it back with the results of tools.
    pub(super) reasoning: String,
    /// Pieces of tool calls.
    pub(super) calls: Vec<Piece>,
    /// Why the answer ends here, if it does: `stop`, `length`, …
    pub(super) finish: Option<String>,
    /// The tokens of request and answer together, so far.
    pub(super) tokens: Option<u64>,
    /// Those of the request, and those of the answer, if they are told apart.
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    /// Why there is no answer.
    pub(super) error: Option<Fault>,
    /// True if it may be a whole answer: what it says has an end, or is a message.
    pub(super) is_whole: bool,
}

/// An error that comes in place of an answer, or in the midst of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fault {
    /// The status that it would have had as a response.
    pub(super) status: Option<u16>,
}

/// Reads one document.
pub(super) fn read(document: &Value) -> Chunk {
    let error = error(document);
    let choices = document.get("choices").and_then(Value::as_array);
    let mut chunk = Chunk {
        tokens: document.get("usage").and_then(tokens),
        input_tokens: document.pointer("/usage/prompt_tokens").and_then(Value::as_u64),
        output_tokens: document.pointer("/usage/completion_tokens").and_then(Value::as_u64),
        is_whole: choices.is_some(),
        error,
        ..Chunk::default()
    };
    // Only one was asked for; should there be more, the others are other answers.
    let Some(choice) = choices.and_then(|choices| choices.iter().find(is_first)) else { return chunk };
    chunk.finish = choice.get("finish_reason").and_then(finish);
    chunk.is_whole = chunk.finish.is_some() || choice.get("message").is_some_and(Value::is_object);
    // A whole answer has a message. Some servers send one in a stream too.
    let said = ["delta", "message"].iter().filter_map(|key| choice.get(key)).find(|said| said.is_object());
    if let Some(said) = said {
        let content = said.get("content").unwrap_or(&Value::Null);
        add_content(content, &mut chunk);
        chunk.calls = tool_calls::pieces(said);
        let reasoning = said.get("reasoning_content").and_then(Value::as_str);
        chunk.reasoning = reasoning.unwrap_or_default().to_owned();
        chunk.thought |= ["reasoning_content", "reasoning", "thinking"].iter().any(|key| says(said.get(key)));
        chunk.thought |=
            said.get("reasoning_details").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    }
    chunk
}

fn is_first(choice: &&Value) -> bool {
    choice.is_object() && choice.get("index").and_then(Value::as_u64).is_none_or(|index| index == 0)
}

/// A reason to finish, in lower case; an empty one says that there is none yet, and so does the word `null`.
fn finish(reason: &Value) -> Option<String> {
    let reason = reason.as_str()?.to_ascii_lowercase();
    match reason.as_str() {
        "" | "null" => None,
        // So Gemini and Anthropic name it, and some who pass their answers on.
        "max_tokens" | "model_context_window_exceeded" => Some("length".to_owned()),
        _ => Some(reason),
    }
}

/// A text, or a list of parts, some of which are thoughts.
fn add_content(content: &Value, chunk: &mut Chunk) {
    match content {
        Value::String(text) => chunk.text.push_str(text),
        Value::Array(parts) => parts.iter().for_each(|part| add_part(part, chunk)),
        Value::Object(_) => add_part(content, chunk),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn add_part(part: &Value, chunk: &mut Chunk) {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
    if kind.starts_with("thinking") || kind.starts_with("reasoning") {
        chunk.thought = true;
    } else if let Some(text) = part.as_str().or_else(|| part.get("text")?.as_str()) {
        chunk.text.push_str(text);
    }
}

fn says(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|text| !text.is_empty())
}

fn tokens(usage: &Value) -> Option<u64> {
    let count = |key| usage.get(key).and_then(Value::as_u64);
    count("total_tokens")
        .or_else(|| Some(count("prompt_tokens")?.saturating_add(count("completion_tokens")?)))
}

/// The statuses of errors that have a name only. What says more stands first: a wrong key is an `invalid_request_error` too.
const KINDS: [(&str, u16); 10] = [
    ("invalid_api_key", 401),
    ("model_not_found", 404),
    ("rate_limit", 429),
    ("insufficient_quota", 429),
    ("context_length", 400),
    ("content_filter", 400),
    ("invalid_request", 400),
    ("validation", 400),
    ("bad_request", 400),
    ("badrequest", 400),
];

/// `{"error": …}` with an object or a text, or an error that is the document itself, as vLLM sent it once.
fn error(document: &Value) -> Option<Fault> {
    let error = match document.get("error").filter(|error| !error.is_null()) {
        Some(error) => error,
        None if document.get("object").and_then(Value::as_str) == Some("error") => document,
        None => return None,
    };
    let code =
        ["code", "status", "http_status_code"].iter().filter_map(|key| error.get(key)).find_map(status);
    let kinds = [error.get("type"), error.get("code"), document.get("error_type")];
    let kinds = kinds.into_iter().flatten().filter_map(Value::as_str);
    let kinds: Vec<_> = kinds.map(str::to_ascii_lowercase).collect();
    let named = || {
        let (_, status) = KINDS.iter().find(|(word, _)| kinds.iter().any(|kind| kind.contains(word)))?;
        Some(*status)
    };
    Some(Fault { status: code.or_else(named) })
}

/// A code that is a status of HTTP, as a number or written.
fn status(code: &Value) -> Option<u16> {
    let code = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
    u16::try_from(code).ok().filter(|code| (400..600).contains(code))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Chunk, Fault, read};

    fn delta(delta: Value) -> Chunk {
        read(&json!({"choices": [{"delta": delta, "finish_reason": null}]}))
    }

    #[test]
    fn what_is_absent_null_or_of_another_type_says_nothing() {
        for document in
            [json!({}), json!(null), json!(5), json!([]), json!({"type": "ping"}), json!({"choices": null})]
        {
            assert_eq!(read(&document), Chunk::default(), "{document}");
        }
        for choices in [json!([]), json!([null]), json!([{}]), json!([{"delta": null, "finish_reason": ""}])]
        {
            let chunk = read(&json!({"choices": choices}));
            assert_eq!(chunk, Chunk { is_whole: chunk.is_whole, ..Chunk::default() });
        }
        assert_eq!(delta(json!({"content": null, "role": null})).text, "");
    }

    #[test]
    fn content_is_a_text_or_a_list_of_parts() {
        assert_eq!(delta(json!({"content": "Hi"})).text, "Hi");
        let parts = json!([{"type": "text", "text": "H"}, "i", {"type": "image_url"}]);
        assert_eq!(delta(json!({"content": parts})).text, "Hi");
        let thought =
            delta(json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]}));
        assert_eq!((thought.text.as_str(), thought.thought), ("", true));
    }

    #[test]
    fn thoughts_in_fields_of_their_own_are_noticed_and_not_kept() {
        for field in ["reasoning_content", "reasoning"] {
            let thought = delta(json!({field: "Hm", "content": ""}));
            assert_eq!((thought.text.as_str(), thought.thought), ("", true));
            assert!(!delta(json!({field: null, "content": "Hi"})).thought);
        }
    }

    #[test]
    fn only_a_reason_ends_an_answer() {
        let end = |reason: Value| read(&json!({"choices": [{"delta": {}, "finish_reason": reason}]})).finish;
        for none in [json!(null), json!(""), json!("null"), json!(5)] {
            assert_eq!(end(none), None);
        }
        assert_eq!(end(json!("stop")).as_deref(), Some("stop"));
        assert_eq!(end(json!("STOP")).as_deref(), Some("stop"));
        assert_eq!(end(json!("MAX_TOKENS")).as_deref(), Some("length"));
    }

    #[test]
    fn errors_are_told_from_answers_in_every_form() {
        let fault = |document: Value| read(&document).error.unwrap();
        let of = |status| Fault { status: Some(status) };
        assert_eq!(fault(json!({"error": {"code": 502, "message": "down"}, "choices": []})), of(502));
        assert_eq!(fault(json!({"error": {"code": "429"}})), of(429));
        assert_eq!(fault(json!({"error": {"type": "rate_limit_exceeded"}})), of(429));
        assert_eq!(fault(json!({"error": "too long", "error_type": "validation"})), of(400));
        assert_eq!(fault(json!({"object": "error", "message": "no", "code": 400})), of(400));
        assert_eq!(fault(json!({"error": "no"})), Fault { status: None });
        assert_eq!(read(&json!({"error": null, "choices": []})).error, None);
    }

    #[test]
    fn what_an_error_says_of_its_cause_goes_before_what_it_is_called() {
        let status = |code: &str| {
            let error = json!({"error": {"type": "invalid_request_error", "code": code}});
            read(&error).error.unwrap().status
        };
        assert_eq!(status("401"), Some(401));
        assert_eq!(status("invalid_api_key"), Some(401));
        assert_eq!(status("model_not_found"), Some(404));
        assert_eq!(status(""), Some(400));
    }

    #[test]
    fn only_a_message_or_an_end_makes_a_whole_answer() {
        let is_whole = |choice: Value| read(&json!({"choices": [choice]})).is_whole;
        assert!(is_whole(json!({"message": {"content": "Hi"}})));
        assert!(is_whole(json!({"delta": {"content": "Hi"}, "finish_reason": "stop"})));
        assert!(!is_whole(json!({"delta": {"content": "Hi"}})));
    }

    #[test]
    fn tokens_are_counted_where_they_are_told() {
        let tokens = |usage: Value| read(&json!({"choices": [], "usage": usage})).tokens;
        assert_eq!(tokens(json!({"total_tokens": 7})), Some(7));
        assert_eq!(tokens(json!({"prompt_tokens": 3, "completion_tokens": 2})), Some(5));
        assert_eq!(tokens(json!({"prompt_tokens": u64::MAX, "completion_tokens": 2})), Some(u64::MAX));
        assert_eq!(tokens(json!(null)), None);
    }
}
