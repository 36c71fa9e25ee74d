//! One trace from the browser to the bot and back: what a collector is sent, what is passed on without one, and what the logs
//! say of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod away;
mod logs;
mod model;
mod passed_on;
mod strangers;
mod tree;

use e2e::{Answer, Service, question_json};
use reqwest::Method;
use serde_json::Value;

/// The setting of a gateway by which anybody's trace goes on, as where pages begin them.
pub(crate) const ANYBODYS: [&str; 2] = ["--trace-parents", "all"];

/// A trace that a page has begun.
pub(crate) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// The page's own span.
pub(crate) const PAGE: &str = "00f067aa0ba902b7";
/// What a person asks, and what the model answers: neither may be found anywhere else.
pub(crate) const QUESTION: &str = "marked-question-7fd2";
pub(crate) const REPLY: &str = "marked-reply-51ac";

/// Posts [`QUESTION`] with these headers, and gives the answer.
pub(crate) async fn ask(gateway: &Service, headers: &[(&str, &str)]) -> Answer {
    let request =
        gateway.visitor().request(Method::POST, "/api/comments").json(&question_json("echo", QUESTION));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = Answer::to(request).await;
    answer.ok(201);
    answer
}

/// Waits until the question of this answer is answered, as browsers see it; gives the id of the reply.
pub(crate) async fn answered(gateway: &Service, question: &Value) -> String {
    let is_reply = |message: &Value| message["replyTo"] == question["id"];
    let comments = gateway.visitor().comments_once(|all| all.iter().any(is_reply)).await;
    comments.iter().find(|message| is_reply(message)).unwrap()["id"].as_str().unwrap().to_owned()
}

pub(crate) fn sampled() -> String {
    format!("00-{TRACE}-{PAGE}-01")
}
