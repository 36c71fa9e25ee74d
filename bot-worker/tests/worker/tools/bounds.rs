//! What goes wrong with a call, and what is too much.

use serde_json::json;

use super::{WithTools, calling, deltas, once, results, server::as_child};
use crate::endpoint::{Answer, Asked};
use crate::fake::Call;

/// What the model is told of one call of a tool, all of which are allowed.
async fn told(name: &str, arguments: &str, more: &[&str]) -> String {
    let mut bot =
        WithTools::start(&as_child("shed", &["*"]), more, once(calling(&[(name, arguments)]))).await;
    assert_eq!(bot.reply().await, "Done.", "{name}");
    let results = bot.results().await;
    assert_eq!(results.len(), 1);
    results.concat()
}

#[tokio::test]
async fn every_failure_of_a_tool_is_told_to_the_model() {
    assert_eq!(told("fail", "{}", &[]).await, "The tool failed: out of paper");
    assert_eq!(told("refuse", "{}", &[]).await, "The tool failed: not like this");
    assert_eq!(told("hang", "{}", &["--tool-timeout", "1s"]).await, "The tool failed: it took more than 1 s");
    assert_eq!(told("die", "{}", &[]).await, "The tool failed: its server is away at present");
    assert_eq!(told("fly", "{}", &[]).await, "Not called: there is no such tool");
    let no_json = told("echo", "{\"text\": ", &[]).await;
    assert!(no_json.starts_with("Not called: the arguments are no JSON: "), "{no_json}");
}

#[tokio::test]
async fn a_result_of_a_megabyte_is_cut_and_says_so() {
    let told = told("big", "{}", &["--tool-result-bytes", "1000"]).await;
    assert_eq!(told, format!("{}\n[cut off: these are 1000 of 1048576 bytes]", "x".repeat(1_000)));
}

#[tokio::test]
async fn a_message_of_more_than_four_mebibytes_is_not_taken_in() {
    let told = told("huge", "{}", &["--tool-timeout", "1s"]).await;
    assert_eq!(told, "The tool failed: it took more than 1 s");
}

#[tokio::test]
async fn a_tool_that_is_not_allowed_is_neither_offered_nor_called() {
    let mut bot = WithTools::start(&as_child("shed", &["echo"]), &[], once(calling(&[("die", "{}")]))).await;
    assert_eq!(bot.reply().await, "Done.");
    let offered = bot.asked().await;
    assert_eq!(offered["tools"].as_array().unwrap().len(), 1);
    assert_eq!(results(&bot.asked().await), ["Not called: there is no such tool"]);
}

#[tokio::test]
async fn calls_beyond_the_bound_are_not_made_and_the_model_is_asked_to_answer() {
    let three = calling(&[("time_now", "{}"), ("time_now", "{}"), ("time_now", "{}")]);
    let mut bot = WithTools::start(&as_child("shed", &["*"]), &["--tool-calls", "2"], once(three)).await;
    assert_eq!(bot.reply().await, "Done.");
    bot.asked().await;
    let second = bot.asked().await;
    let refused = "Not called: no more tool calls are allowed for this answer";
    assert_eq!(results(&second), ["12:00", "12:00", refused]);
    assert_eq!(second["tool_choice"], "none");
}

#[tokio::test]
async fn a_model_that_calls_tools_for_ever_is_asked_to_answer_and_then_given_up() {
    let call =
        json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "time_now", "arguments": "{}"}}]});
    let for_ever = |stops: bool| {
        let call = call.clone();
        move |asked: &Asked| match asked {
            asked if asked.is_probe() => Answer::words("OK"),
            asked if stops && asked.body["tool_choice"] == "none" => Answer::words("Enough."),
            _ => Answer::stream(deltas(&[json!({"content": "Let me look."}), call.clone()], "tool_calls")),
        }
    };
    let file = as_child("shed", &["*"]);
    let mut bot = WithTools::start(&file, &["--tool-rounds", "2"], for_ever(true)).await;
    assert_eq!(bot.reply().await, "Let me look.\n\nLet me look.\n\nEnough.");
    let mut choices = Vec::new();
    while let Some(asked) = bot.bot.endpoint.unseen() {
        choices.push(asked.body.get("tool_choice").cloned());
    }
    assert_eq!(choices, [None, None, Some("none".into())]);

    let mut bot = WithTools::start(&file, &["--tool-rounds", "2"], for_ever(false)).await;
    assert_eq!(bot.failure().await, ("the model calls tools where it should answer".into(), true));
}

#[tokio::test]
async fn tools_that_take_all_the_time_of_an_answer_fail_it() {
    let file = as_child("shed", &["*"]);
    let mut bot = WithTools::start(&file, &["--timeout", "2s"], once(calling(&[("hang", "{}")]))).await;
    assert_eq!(bot.failure().await, ("the answer and its tools took too long (--timeout)".into(), true));
}

#[tokio::test]
async fn the_lease_is_renewed_while_a_tool_takes_long() {
    let file = as_child("shed", &["*"]);
    let mut bot = WithTools::start(&file, &[], once(calling(&[("hang", "{}")]))).await;
    bot.bot.fake.accepted_stream().await.work("m1", "t1", "Why?").await;
    match bot.bot.fake.call().await {
        Call::Renew(leases) => assert_eq!(leases[0].lease_token, "t1"),
        other => panic!("a renewal was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn an_endpoint_that_refuses_tools_is_an_outage_that_says_so() {
    let refuses = |asked: &Asked| match asked.body.get("tools") {
        Some(_) => Answer::status(400),
        None => Answer::words("Because."),
    };
    let mut bot = WithTools::start(&as_child("shed", &["*"]), &[], refuses).await;
    bot.bot.fake.accepted_stream().await.work("m1", "t1", "Why?").await;
    assert_eq!(bot.bot.fake.given_back().await.1, "the endpoint answered 400 to a request with tools");
}
