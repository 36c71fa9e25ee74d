//! What it means for a message, and for all others, that an endpoint gave no answer.
//!
//! Only codes and kinds are passed on: the text is shown to readers, and an endpoint may quote prompts and keys in its
//! errors.

use std::time::Duration;

use reqwest::StatusCode;

use super::{
    answer::{Answer, ReadError},
    chunk::Fault,
};
use crate::HandlerError;

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It concerns this message alone.
    Message(HandlerError),
    /// No message can be answered at present.
    Outage(HandlerError),
    /// One or the other, which a probe finds out; what it means for the message if the probe succeeds.
    Doubt(HandlerError),
}

impl Failure {
    /// In a word.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::Outage(_) => "outage",
            Self::Doubt(_) => "doubt",
        }
    }

    /// Why, in words for operators.
    pub(super) fn into_error(self) -> HandlerError {
        match self {
            Self::Message(error) | Self::Outage(error) | Self::Doubt(error) => error,
        }
    }
}

/// What one message is tried again after at least, if its endpoint asks to wait for it: five attempts span ten minutes then,
/// as with the waits of the queue.
const SPACED: Duration = Duration::from_secs(150);

/// A response without success.
pub(super) fn of_status(status: StatusCode, wait: Option<Duration>) -> Failure {
    let text = format!("the endpoint answered {}", status.as_u16());
    let asked_to_wait = |error: HandlerError| match wait {
        Some(wait) => error.after(wait),
        None => error,
    };
    match status {
        // Of this request; or of every one, if a setting is wrong. 403 is what moderation of a prompt is told by, too.
        StatusCode::BAD_REQUEST
        | StatusCode::FORBIDDEN
        | StatusCode::CONFLICT
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY
        | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => Failure::Doubt(match wait {
            // What passes by waiting is not for good: some tell a rate by 400 or 413.
            Some(wait) => HandlerError::retryable(text).after(wait.max(SPACED)),
            None => HandlerError::permanent(text),
        }),
        StatusCode::REQUEST_TIMEOUT if wait.is_none() => Failure::Doubt(HandlerError::retryable(text)),
        // Some servers answer 500 to a prompt that is too long: every message of that kind would look like an outage.
        _ if status.is_server_error() && wait.is_none() => Failure::Doubt(HandlerError::retryable(text)),
        // The key, the model, the address, the rate, the money.
        _ => Failure::Outage(asked_to_wait(HandlerError::outage(text))),
    }
}

/// A request that got no response.
pub(super) fn of_request(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        Failure::Outage(HandlerError::outage("the endpoint could not be reached"))
    } else if error.is_timeout() {
        Failure::from(ReadError::TooSlow)
    } else {
        Failure::Doubt(HandlerError::retryable("the endpoint could not be reached"))
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let retryable = HandlerError::retryable(error.to_string());
        match error {
            ReadError::TooLong => Self::Message(retryable),
            ReadError::BrokenOff | ReadError::NoCompletion | ReadError::TooSlow => Self::Doubt(retryable),
            ReadError::Fault(Fault { status: Some(status) }) => {
                of_status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), None)
            }
            ReadError::Fault(Fault { status: None }) => Self::Doubt(retryable),
        }
    }
}

/// What an answer says, unless its end says that it is none. Text beside calls announces them, and answers nothing.
pub(super) fn text_of(answer: &Answer) -> Result<String, Failure> {
    of_kind(&answer.finish)?;
    let text = answer.text();
    if !text.is_empty() && answer.calls.is_empty() {
        return Ok(text);
    }
    let why = if answer.finish == "length" && text.is_empty() {
        "the endpoint's answer has no room beside its thinking: raise --max-tokens"
    } else if !answer.calls.is_empty() {
        "the model calls tools where it should answer"
    } else {
        "the endpoint gave an empty answer"
    };
    Err(Failure::Message(HandlerError::retryable(why)))
}

/// Why tools that an answer calls are not called, if its end says so.
pub(super) fn of_end(answer: &Answer) -> Result<(), Failure> {
    of_kind(&answer.finish)?;
    if answer.finish == "length" {
        // The last call may be half of one.
        let why = "the endpoint's tool calls have no room: raise --max-tokens";
        return Err(Failure::Message(HandlerError::retryable(why)));
    }
    Ok(())
}

/// Ends by which endpoints say that a filter has refused the answer.
const FILTERED: [&str; 8] = [
    "sensitive",
    "safety",
    "recitation",
    "prohibited_content",
    "blocklist",
    "spii",
    "image_safety",
    "refusal",
];
/// Ends by which they say that the answer is none, or not whole.
const BROKEN_OFF: [&str; 8] = [
    "error",
    "abort",
    "aborted",
    "cancelled",
    "canceled",
    "network_error",
    "insufficient_system_resource",
    "malformed_function_call",
];

/// Ends that say that there is no answer.
fn of_kind(finish: &str) -> Result<(), Failure> {
    match finish {
        // `content_filter: RECITATION` and the like are in use, too.
        _ if finish.starts_with("content_filter") || FILTERED.contains(&finish) => {
            let refused = HandlerError::permanent("the endpoint's filter refuses an answer");
            Err(Failure::Message(refused))
        }
        _ if BROKEN_OFF.contains(&finish) => Err(ReadError::BrokenOff.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::StatusCode;

    use super::{Failure, SPACED, of_kind, of_status};
    use crate::HandlerError;

    fn kind(status: u16, wait: Option<Duration>) -> Failure {
        of_status(StatusCode::from_u16(status).unwrap(), wait)
    }

    #[test]
    fn what_lies_in_the_key_the_model_or_the_rate_is_an_outage() {
        for status in [301, 401, 402, 404, 405, 429] {
            let text = format!("the endpoint answered {status}");
            assert_eq!(kind(status, None), Failure::Outage(HandlerError::outage(text)));
        }
        let minute = Duration::from_secs(60);
        let busy = HandlerError::outage("the endpoint answered 503").after(minute);
        assert_eq!(kind(503, Some(minute)), Failure::Outage(busy));
    }

    #[test]
    fn whoever_asks_to_wait_is_waited_for_and_no_five_attempts_are_spent_at_once() {
        let second = Duration::from_secs(1);
        for status in [400, 403, 409, 413, 422] {
            let Failure::Doubt(error) = kind(status, Some(second)) else { panic!("{status}") };
            assert_eq!((error.retryable, error.retry_after), (true, Some(SPACED)), "{status}");
            let Failure::Doubt(error) = kind(status, Some(SPACED * 2)) else { panic!("{status}") };
            assert_eq!(error.retry_after, Some(SPACED * 2), "{status}");
        }
        for status in [408, 429, 500, 503] {
            assert!(matches!(kind(status, Some(second)), Failure::Outage(_)), "{status}");
        }
    }

    #[test]
    fn an_end_that_says_there_is_no_answer_is_none_however_it_is_written() {
        for finish in ["content_filter", "content_filter: recitation", "safety", "blocklist"] {
            assert!(matches!(of_kind(finish), Err(Failure::Message(error)) if !error.retryable), "{finish}");
        }
        for finish in ["error", "aborted", "malformed_function_call"] {
            assert!(matches!(of_kind(finish), Err(Failure::Doubt(error)) if error.retryable), "{finish}");
        }
        for finish in ["stop", "length", "eos", "tool_calls", "end_turn"] {
            assert!(of_kind(finish).is_ok(), "{finish}");
        }
    }

    #[test]
    fn what_may_lie_in_the_message_is_doubted() {
        for status in [400, 403, 413, 422] {
            let Failure::Doubt(error) = kind(status, None) else { panic!("{status}") };
            assert!(!error.retryable, "{status}");
        }
        for status in [408, 500, 502, 503] {
            let Failure::Doubt(error) = kind(status, None) else { panic!("{status}") };
            assert!(error.retryable && !error.is_outage, "{status}");
        }
    }
}
