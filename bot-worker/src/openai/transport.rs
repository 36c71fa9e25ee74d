//! The HTTP below the client: one request, no retry, a bounded answer.
//!
//! The client's own transport retries, drops the headers of a refusal, and logs the bodies that it cannot read. This one
//! keeps `Retry-After` and lets no body through that the client would log.

use std::time::Duration;

use async_openai::middleware::HttpRequestFactory;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::{Deserialize, Serialize};
use tower::{BoxError, Service, util::service_fn};

use super::chunks::Chunks;
use crate::Draft;

/// How long a connection to the endpoint may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Most bytes of an answer: a reply of 16,384 bytes with room for what endpoints write around it.
const ANSWER_BYTES: usize = 1 << 20;
/// The same of one that comes word by word.
const STREAM_BYTES: usize = 16 << 20;

/// What is read of a chat completion. Compatible endpoints differ in all the rest.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Completion {
    choices: Vec<Choice>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Choice {
    message: Said,
}

#[derive(Debug, Deserialize, Serialize)]
struct Said {
    content: Option<String>,
}

impl Completion {
    /// One that says this.
    fn of(text: String) -> Self {
        Self { choices: vec![Choice { message: Said { content: Some(text) } }] }
    }

    /// What the model said; empty where it said nothing.
    pub(crate) fn text(&self) -> &str {
        self.choices.first().and_then(|choice| choice.message.content.as_deref()).unwrap_or_default()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The endpoint answered something else than success.
    #[error("status {status}")]
    Status {
        /// The status.
        status: StatusCode,
        /// How long to wait, where it says so in seconds.
        retry_after: Option<Duration>,
    },
    /// The endpoint could not be reached, or not in time.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The answer exceeds its bound.
    #[error("the answer has more than {ANSWER_BYTES} bytes")]
    TooLong,
    /// The answer broke off.
    #[error("the answer broke off")]
    BrokenOff,
    /// The answer is something else.
    #[error("no chat completion")]
    NoCompletion(#[from] serde_json::Error),
}

/// An HTTP client that gives up after `timeout`, the whole answer included.
pub(crate) fn http_client(timeout: Duration) -> reqwest::Result<Client> {
    let agent = concat!("repartee-bot-worker/", env!("CARGO_PKG_VERSION"));
    Client::builder().user_agent(agent).connect_timeout(CONNECT).timeout(timeout).build()
}

/// Sends each request once, and pushes to `draft` what the endpoint streams.
pub(crate) fn service(
    http: Client,
    draft: Draft,
) -> impl Service<HttpRequestFactory, Response = Response, Error = BoxError, Future: Send + 'static>
+ Clone
+ Send
+ Sync {
    service_fn(move |request: HttpRequestFactory| {
        let (http, draft) = (http.clone(), draft.clone());
        async move {
            let request = request.build().await?;
            let completion = ask(&http, request, &draft).await?;
            Ok(Response::from(http::Response::new(completion)))
        }
    })
}

/// Sends `request` and returns the bytes of a chat completion.
async fn ask(http: &Client, request: reqwest::Request, draft: &Draft) -> Result<Vec<u8>, Refusal> {
    let mut response = http.execute(request).await?;
    if !response.status().is_success() {
        return Err(Refusal::Status { status: response.status(), retry_after: retry_after(&response) });
    }
    if is_stream(&response) {
        return streamed(response, draft).await;
    }
    let mut answer = Vec::new();
    while let Some(part) = response.chunk().await? {
        if answer.len() + part.len() > ANSWER_BYTES {
            return Err(Refusal::TooLong);
        }
        answer.extend_from_slice(&part);
    }
    serde_json::from_slice::<Completion>(&answer)?;
    Ok(answer)
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

/// Reads a chat completion chunk by chunk, and returns it as one that came at once. One that breaks off is none.
async fn streamed(mut response: Response, draft: &Draft) -> Result<Vec<u8>, Refusal> {
    let (mut chunks, mut read, mut text) = (Chunks::default(), 0, String::new());
    while let Some(part) = response.chunk().await? {
        read += part.len();
        // Around each word stands much more than around a whole answer.
        if read > STREAM_BYTES || text.len() > ANSWER_BYTES {
            return Err(Refusal::TooLong);
        }
        let said = chunks.take_in(&part)?;
        draft.push(&said);
        text.push_str(&said);
    }
    if !chunks.is_whole() {
        return Err(Refusal::BrokenOff);
    }
    Ok(serde_json::to_vec(&Completion::of(text))?)
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3). Its other form, a date, is left to the queue's own backoff: it
/// would depend on two clocks.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}
