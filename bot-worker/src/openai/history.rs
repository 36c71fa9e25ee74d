//! The conversation as a chat, in the shape that the strictest templates demand: the user's turn first, turns in turn, the
//! question last. Pure.

use clap::ValueEnum;
use repartee_proto::v1::Status;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::thinking;
use crate::{Message, MessageType};

/// So many bytes of UTF-8 are counted as a token. English has about four, other scripts fewer: an estimate that is rather
/// too high. Which tokenizer a model has, an endpoint does not tell.
const BYTES_A_TOKEN: usize = 3;
/// What a template writes around a turn.
const TOKENS_A_TURN: usize = 4;

/// What stands in the place of an answer that never came.
const NO_ANSWER: &str = "(no answer)";

/// What the model is shown of questions that failed or were cancelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailedQuestions {
    /// Nothing: they are left out.
    #[default]
    Omit,
    /// The question, and `(no answer)` as its answer.
    Placeholder,
}

/// How much of a conversation the model is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Tokens of the earlier messages, by estimate.
    pub(super) tokens: usize,
    pub(super) failed: FailedQuestions,
}

/// One turn.
#[derive(Debug, PartialEq, Eq)]
struct Turn {
    is_user: bool,
    text: String,
}

/// How many tokens a text may be.
fn tokens(text: &str) -> usize {
    tokens_of(text.len())
}

/// How many tokens so many bytes of text may be.
pub(super) fn tokens_of(bytes: usize) -> usize {
    bytes.div_ceil(BYTES_A_TOKEN)
}

/// How many tokens a chat may be, calls of tools and their results included.
pub(super) fn tokens_of_chat(chat: &[Value]) -> usize {
    let said = chat.iter().filter_map(|turn| turn["content"].as_str()).map(tokens);
    let called =
        chat.iter().filter_map(|turn| turn.get("tool_calls")).map(|calls| tokens(&calls.to_string()));
    said.chain(called).sum()
}

/// What the model is sent: the prompt, as much of the conversation as the bounds allow, and the question.
pub(super) fn chat(
    prompt: Option<&str>,
    earlier: &[Message],
    question: &Message,
    bounds: Bounds,
) -> Vec<Value> {
    let mut turns = Vec::new();
    for message in earlier {
        add(&mut turns, message, bounds.failed);
    }
    let mut turns = newest(turns, bounds.tokens);
    push(&mut turns, Turn { is_user: true, text: question.text.clone() });
    let prompt = prompt.map(|prompt| json!({"role": "system", "content": prompt}));
    let turn =
        |turn: Turn| json!({"role": if turn.is_user { "user" } else { "assistant" }, "content": turn.text});
    prompt.into_iter().chain(turns.into_iter().map(turn)).collect()
}

fn add(turns: &mut Vec<Turn>, message: &Message, failed: FailedQuestions) {
    let is_user = message.message_type() != MessageType::Ai;
    let has_failed = message.bot_params.as_ref().is_some_and(|bot| bot.status() == Status::Failed);
    let text = match is_user {
        true => message.text.trim().to_owned(),
        false => thinking::spoken(&message.text, thinking::End::Whole).text.trim().to_owned(),
    };
    // A message without a text was deleted.
    if text.is_empty() || (has_failed && failed == FailedQuestions::Omit) {
        return;
    }
    push(turns, Turn { is_user, text });
    if has_failed {
        push(turns, Turn { is_user: false, text: NO_ANSWER.into() });
    }
}

/// Two turns of one side are one.
fn push(turns: &mut Vec<Turn>, turn: Turn) {
    match turns.last_mut().filter(|last| last.is_user == turn.is_user) {
        Some(last) => {
            last.text.push_str("\n\n");
            last.text.push_str(&turn.text);
        }
        None => turns.push(turn),
    }
}

/// The last turns that fit, beginning with one of the user's.
fn newest(mut turns: Vec<Turn>, budget: usize) -> Vec<Turn> {
    let mut left = budget;
    let fits = |turn: &&Turn| match left.checked_sub(tokens(&turn.text) + TOKENS_A_TURN) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    let kept = turns.iter().rev().take_while(fits).count();
    let mut kept = turns.split_off(turns.len() - kept);
    let leading = kept.iter().take_while(|turn| !turn.is_user).count();
    kept.split_off(leading)
}

#[cfg(test)]
mod tests {
    use repartee_proto::v1::{BotParams, Status};
    use serde_json::{Value, json};

    use super::{Bounds, FailedQuestions, chat};
    use crate::{Message, MessageType};

    fn said(by: MessageType, text: &str, status: Status) -> Message {
        let bot_params =
            (by == MessageType::Human).then(|| BotParams { status: status.into(), ..Default::default() });
        Message { message_type: by.into(), text: text.into(), bot_params, ..Default::default() }
    }

    fn asked(text: &str) -> Message {
        said(MessageType::Human, text, Status::Complete)
    }

    fn answered(text: &str) -> Message {
        said(MessageType::Ai, text, Status::Unspecified)
    }

    fn shown(earlier: &[Message], tokens: usize, failed: FailedQuestions) -> Vec<(String, String)> {
        let part = |turn: &Value, key: &str| turn[key].as_str().unwrap().to_owned();
        let chat = chat(None, earlier, &asked("Now?"), Bounds { tokens, failed });
        chat.iter().map(|turn| (part(turn, "role"), part(turn, "content"))).collect()
    }

    fn turns(turns: &[(&str, &str)]) -> Vec<(String, String)> {
        turns.iter().map(|(role, text)| ((*role).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn turns_of_one_side_are_merged_and_the_first_is_the_users() {
        let earlier =
            [answered("Hello"), asked("A"), asked(""), asked("B"), answered("C"), answered("D"), asked("E")];
        let expected = turns(&[("user", "A\n\nB"), ("assistant", "C\n\nD"), ("user", "E\n\nNow?")]);
        assert_eq!(shown(&earlier, 1_000, FailedQuestions::Omit), expected);
    }

    #[test]
    fn failed_questions_are_left_out_or_get_a_placeholder() {
        let earlier = [said(MessageType::Human, "Lost", Status::Failed), asked("A"), answered("B")];
        let rest = [("user", "A"), ("assistant", "B"), ("user", "Now?")];
        assert_eq!(shown(&earlier, 1_000, FailedQuestions::Omit), turns(&rest));
        let lost = [("user", "Lost"), ("assistant", "(no answer)")];
        assert_eq!(shown(&earlier, 1_000, FailedQuestions::Placeholder), turns(&[&lost[..], &rest].concat()));
    }

    #[test]
    fn the_oldest_turns_go_first_where_the_budget_is_small() {
        let earlier = [asked("first"), answered("second"), asked("third"), answered("fourth")];
        let expected = turns(&[("user", "third"), ("assistant", "fourth"), ("user", "Now?")]);
        assert_eq!(shown(&earlier, 12, FailedQuestions::Omit), expected);
        // There would be room for the second, but no chat begins with an answer.
        assert_eq!(shown(&earlier, 18, FailedQuestions::Omit), expected);
        assert_eq!(shown(&earlier, 0, FailedQuestions::Omit), turns(&[("user", "Now?")]));
    }

    #[test]
    fn a_model_is_not_shown_what_it_thought() {
        let earlier =
            [asked("A"), answered("<think>secret</think>B"), asked("C"), answered("<think>all of it")];
        let expected = turns(&[("user", "A"), ("assistant", "B"), ("user", "C\n\nNow?")]);
        assert_eq!(shown(&earlier, 1_000, FailedQuestions::Omit), expected);
    }

    #[test]
    fn the_prompt_stands_before_everything() {
        let bounds = Bounds { tokens: 0, failed: FailedQuestions::Omit };
        assert_eq!(
            chat(Some("Be brief."), &[], &asked("Why?"), bounds)[0],
            json!({"role": "system", "content": "Be brief."})
        );
    }
}
