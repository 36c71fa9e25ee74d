//! Calls that work, in every shape in which endpoints send them.

use serde_json::{Value, json};

use super::{
    WithTools, calling, deltas, has_results, once, results,
    server::{as_child, has_served_as_child},
};
use crate::endpoint::Answer;

#[tokio::test]
async fn a_tool_is_offered_called_and_its_result_goes_back() {
    if has_served_as_child().await {
        return;
    }
    let file = as_child("shed", &["echo", "time.now"]);
    let mut bot =
        WithTools::start(&file, &[], once(calling(&[("time_now", ""), ("echo", "{\"text\":\"Hi\"}")]))).await;
    assert_eq!(bot.reply().await, "Done.");

    let first = bot.asked().await;
    let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]});
    let nothing = json!({"type": "object", "properties": {}});
    let function = |name: &str, description: &str, schema: &Value| {
        let function = json!({"name": name, "description": description, "parameters": schema});
        json!({"type": "function", "function": function})
    };
    let offered =
        json!(
            [function("echo", "Takes a text.", &schema), function("time_now", "Takes nothing.", &nothing),]
        );
    assert_eq!(first["tools"], offered, "only those that are allowed");
    assert_eq!(first.get("tool_choice"), None);

    let second = bot.asked().await;
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let calls = json!([call("call_0", "time_now", "{}"), call("call_1", "echo", "{\"text\":\"Hi\"}")]);
    let turns = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_0", "content": "12:00"},
        {"role": "tool", "tool_call_id": "call_1", "content": "Hi"},
    ]);
    assert_eq!(second["messages"], turns);
    assert_eq!(second["tools"], offered);
}

#[tokio::test]
async fn whatever_shape_calls_come_in_the_tool_is_called_with_its_arguments() {
    let call = |call: Value| json!({"tool_calls": [call]});
    let echo = |arguments: Value| json!({"name": "echo", "arguments": arguments});
    let quirks = [
        (
            "OpenAI, vLLM, Mistral: in pieces",
            deltas(
                &[
                    call(json!({"index": 0, "id": "a", "type": "function", "function": echo(json!(""))})),
                    call(json!({"index": 0, "function": {"arguments": "{\"text\": \"H"}})),
                    call(json!({"index": 0, "function": {"arguments": "i\"}"}})),
                ],
                "tool_calls",
            ),
        ),
        (
            "SGLang: null, and DashScope: empty, where nothing is new",
            deltas(
                &[
                    call(json!({"index": 0, "id": "a", "function": echo(json!("{\"text\":"))})),
                    call(json!({"index": 0, "id": null, "function": {"name": null, "arguments": "\"H"}})),
                    call(json!({"index": 0, "id": "", "function": {"name": "", "arguments": "i\"}"}})),
                ],
                "tool_calls",
            ),
        ),
        (
            "older Ollama, Gemini: whole, without an index, and with the end stop",
            deltas(&[call(json!({"id": "a", "function": echo(json!("{\"text\":\"Hi\"}"))}))], "stop"),
        ),
        (
            "Ollama with gpt-oss: without an id",
            deltas(&[call(json!({"index": 0, "function": echo(json!("{\"text\":\"Hi\"}"))}))], "tool_calls"),
        ),
        (
            "older llama.cpp: arguments as an object",
            deltas(&[call(json!({"index": 0, "id": "a", "function": echo(json!({"text": "Hi"}))}))], "tool_calls"),
        ),
        (
            "the older name of the end",
            deltas(&[call(json!({"index": 0, "id": "a", "function": echo(json!("{\"text\":\"Hi\"}"))}))], "function_call"),
        ),
        (
            "a document in answer to a stream",
            json!({"choices": [{"finish_reason": "tool_calls", "message": {"role": "assistant", "content": null,
                "tool_calls": [{"id": "a", "type": "function", "function": echo(json!("{\"text\":\"Hi\"}"))}]}}]})
            .to_string(),
        ),
    ];
    for (quirk, stream) in quirks {
        let mut bot = WithTools::start(&as_child("shed", &["echo"]), &[], once(stream)).await;
        assert_eq!(bot.reply().await, "Done.", "{quirk}");
        bot.asked().await;
        let told = bot.asked().await;
        assert_eq!(results(&told), ["Hi"], "{quirk}");
        let messages = told["messages"].as_array().unwrap();
        let [asked, result] = &messages[messages.len() - 2..] else { panic!("{told}") };
        assert_eq!(asked["tool_calls"][0]["id"], result["tool_call_id"], "{quirk}");
        assert_ne!(result["tool_call_id"], "", "{quirk}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_in_calls_without_a_proper_end_calls_nothing() {
    let whole = calling(&[("die", "{}")]);
    let broken = whole.split_inclusive("\n\n").next().unwrap().to_owned();
    let rule = move |asked: &crate::endpoint::Asked| match asked.is_probe() {
        true => Answer::words("OK"),
        false => Answer::stream(&broken),
    };
    let mut bot = WithTools::start(&as_child("shed", &["die"]), &[], rule).await;
    assert_eq!(bot.failure().await, ("the endpoint's answer broke off".into(), true));
}

#[tokio::test]
async fn calls_that_a_bound_of_tokens_cut_off_are_not_made() {
    let cut =
        calling(&[("die", "{}")]).replace("\"finish_reason\":\"tool_calls\"", "\"finish_reason\":\"length\"");
    let mut bot = WithTools::start(&as_child("shed", &["die"]), &[], once(cut)).await;
    let why = "the endpoint's tool calls have no room: raise --max-tokens";
    assert_eq!(bot.failure().await, (why.into(), true));
}

#[tokio::test]
async fn what_was_said_before_a_call_stays_and_people_see_which_tool_is_used() {
    let call = json!([{"index": 0, "id": "a", "function": {"name": "echo", "arguments": "{}"}}]);
    let stream = deltas(&[json!({"content": "Let me look."}), json!({"tool_calls": call})], "tool_calls");
    // Slow enough to be seen: the tool hangs until its time is up.
    let hangs = stream.replace("echo", "hang");
    let file = as_child("shed", &["hang"]);
    let mut bot = WithTools::start(&file, &["--tool-timeout", "1s"], once(hangs)).await;
    assert_eq!(bot.reply().await, "Let me look.\n\nDone.");
    let shown = bot.bot.fake.shown();
    assert!(shown.contains("using hang…"), "{shown}");
    bot.asked().await;
    let told = bot.asked().await;
    let turn =
        told["messages"].as_array().unwrap().iter().find(|turn| turn.get("tool_calls").is_some()).unwrap();
    assert_eq!(turn["content"], "Let me look.");
}

#[tokio::test]
async fn a_thought_goes_back_with_the_results_to_endpoints_that_sent_it_in_its_own_field_only() {
    let call = json!([{"index": 0, "id": "a", "function": {"name": "echo", "arguments": "{}"}}]);
    let thought = [json!({"reasoning_content": "Hm, "}), json!({"reasoning_content": "the tool."})];
    let stream = deltas(&[&thought[..], &[json!({"tool_calls": call})]].concat(), "tool_calls");
    let mut bot = WithTools::start(&as_child("shed", &["echo"]), &[], once(stream)).await;
    assert_eq!(bot.reply().await, "Done.");
    bot.asked().await;
    assert_eq!(bot.asked().await["messages"][2]["reasoning_content"], "Hm, the tool.");

    let written = json!([{"index": 0, "id": "a", "function": {"name": "echo", "arguments": "{}"}}]);
    let stream = deltas(
        &[json!({"content": "<think>Hm</think>I ask."}), json!({"tool_calls": written})],
        "tool_calls",
    );
    let mut bot = WithTools::start(&as_child("shed", &["echo"]), &[], once(stream)).await;
    assert_eq!(bot.reply().await, "I ask.\n\nDone.");
    bot.asked().await;
    let turn = bot.asked().await["messages"][2].clone();
    assert_eq!((turn.get("reasoning_content"), turn["content"].as_str()), (None, Some("I ask.")));
}

#[tokio::test]
async fn an_endpoint_that_streams_no_tools_is_asked_without_streaming() {
    let call = json!({"id": "a", "type": "function", "function": {"name": "echo", "arguments": "{\"text\":\"Hi\"}"}});
    let whole = |message: Value, finish: &str| {
        let document = json!({"choices": [{"message": message, "finish_reason": finish}]});
        Answer::body("application/json", document.to_string())
    };
    let rule = move |asked: &crate::endpoint::Asked| match asked {
        asked if asked.body["stream"] == true => Answer::status(400),
        asked if has_results(asked) => whole(json!({"content": "Done."}), "stop"),
        _ => whole(json!({"content": null, "tool_calls": [call]}), "tool_calls"),
    };
    let mut bot = WithTools::start(&as_child("shed", &["echo"]), &[], rule).await;
    assert_eq!(bot.reply().await, "Done.");
}
