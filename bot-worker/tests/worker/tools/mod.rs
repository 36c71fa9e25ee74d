//! Tools by the Model Context Protocol: the ready bot between an endpoint that calls them and real tool servers.

mod bounds;
mod calls;
mod server;
mod servers;

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    endpoint::{Answer, Asked, Endpoint},
    outages::Bot,
};

/// A bot with tools.
struct WithTools {
    bot: Bot,
    _folder: TempDir,
}

impl WithTools {
    /// A bot whose endpoint answers by this rule, with the servers of this file.
    async fn start(file: &str, more: &[&str], rule: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcp.toml");
        fs::write(folder.path().join("key"), server::KEY).unwrap();
        fs::write(&path, file.replace("HERE", folder.path().to_str().unwrap())).unwrap();
        let flags = [&["--mcp", path.to_str().unwrap()], more].concat();
        Self { bot: Bot::start(Endpoint::start(rule).await, &flags).await, _folder: folder }
    }

    /// Asks a question, and gives the reply.
    async fn reply(&mut self) -> String {
        self.bot.fake.accepted_stream().await.work("m1", "t1", "Why?").await;
        self.bot.fake.completion().await.reply.unwrap().text
    }

    /// Why a question fails, and whether another attempt may help.
    async fn failure(&mut self) -> (String, bool) {
        self.bot.fake.accepted_stream().await.work("m1", "t1", "Why?").await;
        let failed = self.bot.fake.failure().await;
        (failed.error, failed.retryable)
    }

    /// What the endpoint is asked next.
    async fn asked(&mut self) -> Value {
        self.bot.endpoint.asked().await.body
    }

    /// What the model was told of its calls in the second request.
    async fn results(&mut self) -> Vec<String> {
        self.asked().await;
        results(&self.asked().await)
    }
}

/// The results of tools in a request.
fn results(asked: &Value) -> Vec<String> {
    let messages = asked["messages"].as_array().unwrap().iter();
    messages
        .filter(|message| message["role"] == "tool")
        .map(|message| message["content"].as_str().unwrap().into())
        .collect()
}

/// True if the model is told the results of tools.
fn has_results(asked: &Asked) -> bool {
    !results(&asked.body).is_empty()
}

/// A stream of these deltas, which ends for this reason.
fn deltas(deltas: &[Value], finish: &str) -> String {
    let chunk = |delta: &Value, finish: Value| {
        let document = json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {document}\n\n")
    };
    let said: String = deltas.iter().map(|delta| chunk(delta, Value::Null)).collect();
    said + &chunk(&json!({}), json!(finish)) + "data: [DONE]\n\n"
}

/// A stream that calls these tools.
fn calling(calls: &[(&str, &str)]) -> String {
    let call = |(at, (name, arguments)): (usize, &(&str, &str))| {
        let function = json!({"name": name, "arguments": arguments});
        json!({"index": at, "id": format!("call_{at}"), "type": "function", "function": function})
    };
    let calls: Vec<_> = calls.iter().enumerate().map(call).collect();
    deltas(&[json!({"role": "assistant", "content": null, "tool_calls": calls})], "tool_calls")
}

/// Calls tools by this stream, and says `Done.` once it knows what came of it.
fn once(stream: String) -> impl FnMut(&Asked) -> Answer + Send + 'static {
    move |asked| match asked {
        asked if asked.is_probe() => Answer::words("OK"),
        asked if has_results(asked) => Answer::words("Done."),
        _ => Answer::stream(&stream),
    }
}
