//! The table of quirks in `docs/endpoints.md`: what endpoints that are OpenAI-compatible in their own way really send, each
//! against the ready bot.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    endpoint::{Answer, Endpoint},
    outages::Bot,
};

/// A stream of these documents, and what stands behind them.
fn events(documents: &[Value], end: &str) -> String {
    let mut stream = String::new();
    for document in documents {
        write!(stream, "data: {document}\n\n").unwrap();
    }
    stream + end
}

fn chunk(delta: Value, finish: Value) -> Value {
    json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn said(text: &str) -> Value {
    chunk(json!({"content": text}), Value::Null)
}

fn stop() -> Value {
    chunk(json!({}), json!("stop"))
}

const DONE: &str = "data: [DONE]\n\n";

/// What the bot replies to a question whose answer is this.
async fn reply(answer: Answer) -> String {
    let mut bot = Bot::asking(move |_| answer.clone()).await;
    bot.fake.accepted_stream().await.work("m1", "t1", "Why?").await;
    bot.fake.completion().await.reply.unwrap().text
}

/// What becomes of a question whose answer is this, while probes are answered properly: the attempt fails.
async fn failure(answer: Answer) -> (String, bool) {
    let mut bot =
        Bot::asking(move |asked| if asked.is_probe() { Answer::words("OK") } else { answer.clone() }).await;
    bot.fake.accepted_stream().await.work("m1", "t1", "Why?").await;
    let failed = bot.fake.failure().await;
    (failed.error, failed.retryable)
}

#[tokio::test]
async fn whatever_stands_around_the_words_the_words_are_the_reply() {
    let usage = json!({"choices": [], "usage": {"total_tokens": 9}});
    let azure = json!({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]});
    let filtered = json!({"choices": [{"index": 0, "finish_reason": null, "content_filter_results": {}}]});
    let parts = |text: &str| chunk(json!({"content": [{"type": "text", "text": text}]}), Value::Null);
    let empty = |text: &str| chunk(json!({"role": null, "content": text, "tool_calls": null}), json!(""));
    let quirks = [
        (
            "OpenAI: the last chunk tells the tokens",
            events(&[said("Be"), said("cause."), stop(), usage.clone()], DONE),
        ),
        (
            "Azure: the first chunk has no choices, the last no delta",
            events(&[azure, said("Because."), stop(), filtered], DONE),
        ),
        (
            "older SGLang, Ollama: an empty reason until there is one",
            events(&[empty("Because"), empty("."), stop()], DONE),
        ),
        (
            "KoboldCpp: the reason null in words",
            events(&[chunk(json!({"content": "Because."}), json!("null")), stop()], DONE),
        ),
        (
            "SGLang: nulls in the delta, and the delta itself",
            events(
                &[
                    chunk(json!({"content": null}), Value::Null),
                    chunk(Value::Null, Value::Null),
                    said("Because."),
                    stop(),
                ],
                DONE,
            ),
        ),
        (
            "vLLM: the last word stands beside the reason",
            events(&[said("Because"), chunk(json!({"content": "."}), json!("stop"))], DONE),
        ),
        (
            "older LiteLLM: no reason at all until the last",
            events(&[json!({"choices": [{"delta": {"content": "Because."}}]}), stop()], DONE),
        ),
        ("SGLang: two reasons", events(&[said("Because."), stop(), stop()], DONE)),
        ("proxies of Gemini: [DONE] is the only end", events(&[said("Because.")], DONE)),
        ("a reason is the only end", events(&[said("Because."), stop()], "")),
        (
            "OpenRouter: comments while it waits",
            format!(": OPENROUTER PROCESSING\n\n{}", events(&[said("Because."), stop()], DONE)),
        ),
        (
            "an empty line of data as a sign of life",
            format!("data:\n\ndata: \n\n{}", events(&[said("Because."), stop()], DONE)),
        ),
        (
            "events of other kinds",
            format!(
                "event: ping\ndata: {{\"type\": \"ping\"}}\n\n{}",
                events(&[said("Because."), stop()], DONE)
            ),
        ),
        (
            "choices that are null or missing",
            events(&[json!({"choices": null}), json!({"id": "x"}), said("Because."), stop()], DONE),
        ),
        ("Mistral: content as a list of parts", events(&[parts("Be"), parts("cause."), stop()], DONE)),
        ("lines that end in CR LF", events(&[said("Because."), stop()], DONE).replace('\n', "\r\n")),
        (
            "no empty lines between the events",
            events(&[said("Because."), stop()], DONE).replace("\n\n", "\n"),
        ),
        (
            "no space behind the colon, none at the end",
            events(&[said("Because."), stop()], "data:[DONE]").replace("data: ", "data:"),
        ),
        (
            "a message in place of a delta",
            events(
                &[json!({"choices": [{"message": {"content": "Because."}, "finish_reason": "stop"}]})],
                DONE,
            ),
        ),
        (
            "the use of tokens with every chunk",
            events(
                &[
                    json!({"choices": [{"delta": {"content": "Because."}}], "usage": {"total_tokens": 3}}),
                    stop(),
                    usage,
                ],
                DONE,
            ),
        ),
    ];
    for (quirk, body) in quirks {
        assert_eq!(reply(Answer::stream(body)).await, "Because.", "{quirk}");
    }
}

#[tokio::test]
async fn a_stream_is_known_by_itself_and_so_is_an_answer_at_once() {
    let stream = events(&[said("Because."), stop()], DONE);
    for kind in ["application/json", "text/plain; charset=utf-8", "application/octet-stream", ""] {
        assert_eq!(reply(Answer::body(kind, &stream)).await, "Because.", "{kind}");
    }
    let whole =
        json!({"choices": [{"message": {"content": "Because."}, "finish_reason": "stop"}]}).to_string();
    for kind in ["application/json", "text/event-stream", "text/plain"] {
        assert_eq!(reply(Answer::body(kind, &whole)).await, "Because.", "{kind}");
        assert_eq!(reply(Answer::body(kind, format!("\n  {whole}"))).await, "Because.", "{kind}");
    }
}

#[tokio::test]
async fn an_answer_is_done_with_its_last_word_though_the_connection_stays_open() {
    // Whoever waits here for the end of the connection waits for the timeout of two minutes: the fake service, which waits for
    // the reply, gives up long before.
    for end in [DONE, ""] {
        let body = events(&[said("Because."), stop()], end);
        assert_eq!(reply(Answer::stream(body).stays_open()).await, "Because.");
    }
    assert_eq!(reply(Answer::stream(events(&[said("Because.")], DONE)).stays_open()).await, "Because.");
}

#[tokio::test]
async fn an_answer_without_a_proper_end_is_no_answer() {
    let half = |finish: Value| events(&[said("Be"), chunk(json!({"content": "cau"}), finish)], "");
    let broken_off = ("the endpoint's answer broke off".to_owned(), true);
    for finish in [json!(null), json!(""), json!("null"), json!("error"), json!("abort")] {
        assert_eq!(failure(Answer::stream(half(finish))).await, broken_off);
    }
    let cut = half(json!("stop"));
    assert_eq!(failure(Answer::stream(&cut[..cut.len() - 12])).await, broken_off, "within a chunk");
    for error in
        ["data: {\"error\": {\"message\": \"no\"}}\n\n", "event: error\ndata: {\"message\": \"no\"}\n\n"]
    {
        let body = format!("{}{error}{DONE}", events(&[said("Half")], ""));
        let failed = failure(Answer::stream(body)).await;
        assert_eq!(failed, ("the endpoint failed in the midst of its answer".into(), true), "{error}");
    }
    let page = Answer::body("text/html", "<html>");
    assert_eq!(failure(page).await, ("the endpoint's answer is no chat completion".into(), true));
}

#[tokio::test]
async fn what_concerns_the_one_message_fails_it_for_good() {
    let filtered = events(&[said("I"), chunk(json!({}), json!("content_filter"))], DONE);
    assert_eq!(
        failure(Answer::stream(filtered)).await,
        ("the endpoint's filter refuses an answer".into(), false)
    );
    // TGI, where a prompt is too long.
    let too_long =
        "data: {\"error\": \"inputs must have less than 4096 tokens\", \"error_type\": \"validation\"}\n\n";
    assert_eq!(failure(Answer::stream(too_long)).await, ("the endpoint answered 400".into(), false));
    for status in [400, 403, 413, 422] {
        assert_eq!(failure(Answer::status(status)).await, (format!("the endpoint answered {status}"), false));
    }
}

#[tokio::test]
async fn thinking_is_not_in_the_reply_in_whatever_shape_it_comes() {
    let thought = |delta: Value| chunk(delta, Value::Null);
    let tags = "<think>secret</think>\n\nBecause.";
    let shapes = [
        ("tags", events(&[said(tags), stop()], DONE)),
        (
            "tags over many chunks",
            events(&tags.chars().map(|c| said(&c.to_string())).chain([stop()]).collect::<Vec<_>>(), DONE),
        ),
        ("a closing tag alone", events(&[said("secret\n</think>\n\nBecause."), stop()], DONE)),
        (
            "reasoning_content",
            events(&[thought(json!({"reasoning_content": "secret"})), said("Because."), stop()], DONE),
        ),
        (
            "reasoning",
            events(&[thought(json!({"reasoning": "secret", "content": ""})), said("Because."), stop()], DONE),
        ),
        (
            "parts",
            events(
                &[
                    thought(
                        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "secret"}]}]}),
                    ),
                    said("Because."),
                    stop(),
                ],
                DONE,
            ),
        ),
        (
            "at once",
            json!({"choices": [{"message": {"content": tags, "reasoning_content": "secret"}}]}).to_string(),
        ),
    ];
    for (shape, body) in shapes {
        assert_eq!(reply(Answer::stream(body)).await, "Because.", "{shape}");
    }
    let nothing_else = events(&[said("<think>secret without an end"), stop()], DONE);
    assert_eq!(
        failure(Answer::stream(nothing_else)).await,
        ("the endpoint gave an empty answer".into(), true)
    );
}

#[tokio::test]
async fn people_see_that_a_model_thinks_and_never_what() {
    for thought in [json!({"reasoning_content": "secret"}), json!({"content": "<think>secret"})] {
        let first = events(&[chunk(thought, Value::Null)], "");
        // It goes on when the draft is seen: the answer is cut off, and the next attempt gets it whole.
        let mut bot = Bot::asking(move |_| Answer::stream(&first).stays_open()).await;
        bot.fake.accepted_stream().await.work("m1", "t1", "Why?").await;
        bot.fake.drafted("thinking…").await;
        let shown = bot.fake.shown();
        assert!(!shown.contains("secret"), "{shown}");
    }
}

#[tokio::test]
async fn an_endpoint_that_refuses_max_tokens_is_told_the_bound_by_its_newer_name() {
    let flags = ["--max-tokens", "50", "--max-tokens-field", "max_completion_tokens"];
    let mut bot = Bot::start(Endpoint::start(|_| Answer::words("Because.")).await, &flags).await;
    bot.fake.accepted_stream().await.work("m1", "t1", "Why?").await;
    bot.fake.completion().await;
    let asked = bot.endpoint.asked().await.body;
    assert_eq!((&asked["max_completion_tokens"], asked.get("max_tokens")), (&json!(50), None));
}

#[tokio::test]
async fn the_settings_of_a_model_go_with_each_question_and_nothing_else_does() {
    let flags =
        ["--max-tokens", "50", "--temperature", "0.5", "--top-p", "0.75", "--stop", "END", "--stop", "\n\n"];
    let more = ["--tokens-per-day", "1000", "--api-key-header", "api-key", "--header", "X-Title: Talk"];
    let mut bot =
        Bot::start(Endpoint::start(|_| Answer::words("Because.")).await, &[&flags[..], &more].concat()).await;
    bot.fake.accepted_stream().await.work("m1", "t1", "Why?").await;
    bot.fake.completion().await;
    let asked = bot.endpoint.asked().await;
    let expected = json!({
        "model": "small",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
        "stream": true, "stream_options": {"include_usage": true},
        "max_tokens": 50, "temperature": 0.5, "top_p": 0.75, "stop": ["END", "\n\n"],
    });
    assert_eq!(asked.body, expected);
    assert!(
        asked.head.contains("\r\napi-key: sk-test") && asked.head.contains("\r\nx-title: talk"),
        "{}",
        asked.head
    );
    assert!(!asked.head.contains("authorization"), "{}", asked.head);
}
