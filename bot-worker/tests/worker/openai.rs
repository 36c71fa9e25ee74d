//! The ready bot's answers from an OpenAI-compatible endpoint, against a mock of one.

use std::time::Duration;

use bot_worker::{Error, Settings, run};
use clap::Parser as _;
use repartee_proto::v1::{CompleteMessageRequest, FailMessageRequest, Message, MessageType};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_partial_json, header, method, path},
};

use crate::fake::Fake;

/// The ready bot between a fake service and a mock endpoint.
struct Bot {
    fake: Fake,
    endpoint: MockServer,
    _running: JoinHandle<Result<(), Error>>,
    _stop: DropGuard,
}

impl Bot {
    /// A bot whose endpoint gives this answer to every request.
    async fn answering(answer: ResponseTemplate) -> Self {
        let endpoint = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/v1/chat/completions"))
            .respond_with(answer)
            .mount(&endpoint)
            .await;
        let url = format!("{}/v1", endpoint.uri());
        Self::start(endpoint, &url, &[]).await
    }

    async fn start(endpoint: MockServer, base_url: &str, more: &[&str]) -> Self {
        let fake = Fake::start().await;
        let queue_url = fake.url();
        let always =
            ["bot-worker", "--entity", "echo", "--queue-url", &queue_url, "--openai-base-url", base_url];
        let model = ["--model", "small", "--system-prompt", "Be brief.", "--openai-api-key", "sk-test"];
        let settings = Settings::parse_from(always.iter().chain(&model).chain(more));
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone().drop_guard();
        Self { fake, endpoint, _running: tokio::spawn(run(settings, shutdown)), _stop: stop }
    }

    async fn asked(&mut self) {
        self.fake.accepted_stream().await.work("m1", "t1", "Why?").await;
    }

    async fn reply(&mut self) -> String {
        self.asked().await;
        let CompleteMessageRequest { reply, .. } = self.fake.completion().await;
        reply.unwrap().text
    }

    async fn failure(&mut self) -> FailMessageRequest {
        self.asked().await;
        self.fake.failure().await
    }

    async fn requests(&self) -> Vec<Value> {
        let requests = self.endpoint.received_requests().await.unwrap();
        requests.iter().map(|request| request.body_json().unwrap()).collect()
    }
}

/// What an endpoint sends, with no more fields than needed.
fn completion(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_json(json!({"choices": [{"message": {"role": "assistant", "content": text}}]}))
}

#[tokio::test]
async fn the_conversation_is_the_chat_history() {
    let endpoint = MockServer::start().await;
    let answer =
        Mock::given(header("authorization", "Bearer sk-test")).respond_with(completion(" Because. \n"));
    answer.mount(&endpoint).await;
    let url = format!("{}/v1/", endpoint.uri());
    let mut bot = Bot::start(endpoint, &url, &["--history", "2"]).await;
    let stream = bot.fake.accepted_stream().await;
    assert_eq!(stream.request.context_limit, 2);
    let said = |by: MessageType, text: &str| Message {
        message_type: by.into(),
        text: text.into(),
        ..Default::default()
    };
    let context =
        vec![said(MessageType::Human, "Hi"), said(MessageType::Human, ""), said(MessageType::Ai, "Hello")];
    stream.work_in_context("m1", "t1", "Why?", context).await;

    assert_eq!(bot.fake.completion().await.reply.unwrap().text, "Because.");
    let chat = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Why?"},
    ]);
    assert_eq!(bot.requests().await, [json!({"model": "small", "messages": chat, "stream": true})]);
}

#[tokio::test]
async fn a_long_answer_is_cut_between_characters() {
    let long = format!("x{}", "ä".repeat(9_000));
    let reply = Bot::answering(completion(&long)).await.reply().await;
    assert_eq!(reply.len(), 16_383);
    assert!(long.starts_with(&reply));
}

#[tokio::test]
async fn an_empty_answer_is_a_retryable_failure() {
    let silent =
        ResponseTemplate::new(200).set_body_json(json!({"choices": [{"message": {"content": null}}]}));
    for answer in [completion("  "), silent, ResponseTemplate::new(200).set_body_json(json!({"choices": []}))]
    {
        let failed = Bot::answering(answer).await.failure().await;
        assert_eq!((failed.error.as_str(), failed.retryable), ("the endpoint gave an empty answer", true));
    }
}

#[tokio::test]
async fn a_slow_endpoint_is_an_outage_if_it_is_slow_for_a_probe_too() {
    let endpoint = MockServer::start().await;
    let slow = completion("late").set_delay(Duration::from_secs(60));
    Mock::given(method("POST")).respond_with(slow).mount(&endpoint).await;
    let url = endpoint.uri();
    let mut bot = Bot::start(endpoint, &url, &["--timeout", "1s"]).await;
    bot.asked().await;
    assert_eq!(bot.fake.given_back().await.1, "the endpoint took too long");
}

#[tokio::test]
async fn tls_to_something_that_does_not_speak_it_is_an_outage() {
    let endpoint = MockServer::start().await;
    let url = endpoint.uri().replace("http:", "https:");
    let mut bot = Bot::start(endpoint, &url, &[]).await;
    bot.asked().await;
    assert_eq!(bot.fake.given_back().await.1, "the endpoint could not be reached");
}

/// What an endpoint streams, word by word.
fn words(words: &[&str], end: &str) -> ResponseTemplate {
    let chunk = |word: &&str| format!("data: {}\n\n", json!({"choices": [{"delta": {"content": word}}]}));
    let stream = words.iter().map(chunk).collect::<String>() + end;
    ResponseTemplate::new(200).set_body_raw(stream, "text/event-stream")
}

#[tokio::test]
async fn a_streamed_answer_is_the_draft_and_then_the_reply() {
    let mut bot = Bot::answering(words(&["Be", "cause", "."], "data: [DONE]\n\n")).await;
    assert_eq!(bot.reply().await, "Because.");
}

#[tokio::test]
async fn an_endpoint_that_refuses_to_stream_is_asked_without() {
    let endpoint = MockServer::start().await;
    Mock::given(body_partial_json(json!({"stream": true})))
        .respond_with(ResponseTemplate::new(400))
        .with_priority(1)
        .expect(1)
        .mount(&endpoint)
        .await;
    Mock::given(method("POST")).respond_with(completion("At once.")).mount(&endpoint).await;
    let url = endpoint.uri();
    let mut bot = Bot::start(endpoint, &url, &[]).await;
    let stream = bot.fake.accepted_stream().await;
    for token in ["t1", "t2"] {
        stream.work(token, token, "Why?").await;
        assert_eq!(bot.fake.completion().await.reply.unwrap().text, "At once.");
    }
    assert_eq!(bot.requests().await.len(), 3, "it is remembered");
}
