//! The HTTP below the client: one request, no retry, a bounded answer.
//!
//! The client's own transport retries, drops the headers of a refusal, and logs the bodies that it cannot read. This one
//! keeps `Retry-After` and lets no body through that the client would log.

use std::time::Duration;

use async_openai::middleware::HttpRequestFactory;
use reqwest::{Client, Response, StatusCode, header::RETRY_AFTER};
use serde::{Deserialize, Serialize};
use tower::{BoxError, Service, util::service_fn};

/// How long a connection to the endpoint may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Most bytes of an answer: a reply of 16,384 bytes with room for what endpoints write around it.
const ANSWER_BYTES: usize = 1 << 20;

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
    /// The answer is something else.
    #[error("no chat completion")]
    NoCompletion(#[from] serde_json::Error),
}

/// An HTTP client that gives up after `timeout`, the whole answer included.
pub(crate) fn http_client(timeout: Duration) -> reqwest::Result<Client> {
    let agent = concat!("repartee-bot-worker/", env!("CARGO_PKG_VERSION"));
    Client::builder().user_agent(agent).connect_timeout(CONNECT).timeout(timeout).build()
}

/// Sends each request once.
pub(crate) fn service(
    http: Client,
) -> impl Service<HttpRequestFactory, Response = Response, Error = BoxError, Future: Send + 'static>
+ Clone
+ Send
+ Sync {
    service_fn(move |request: HttpRequestFactory| {
        let http = http.clone();
        async move {
            let request = request.build().await?;
            let completion = ask(&http, request).await?;
            Ok(Response::from(http::Response::new(completion)))
        }
    })
}

/// Sends `request` and returns the bytes of a chat completion.
async fn ask(http: &Client, request: reqwest::Request) -> Result<Vec<u8>, Refusal> {
    let mut response = http.execute(request).await?;
    if !response.status().is_success() {
        return Err(Refusal::Status { status: response.status(), retry_after: retry_after(&response) });
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

/// `Retry-After` in seconds (RFC 9110, section 10.2.3). Its other form, a date, is left to the queue's own backoff: it
/// would depend on two clocks.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}
