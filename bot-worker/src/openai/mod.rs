//! Answers from any OpenAI-compatible endpoint, with the conversation as chat history.
//!
//! Owns the translation: messages to a chat, an answer to a [`Reply`], a refusal to a [`HandlerError`]. It never retries,
//! because the queue does, and never logs what was said.

mod answer;
mod chunk;
mod endpoint;
mod failure;
mod history;
mod latency;
mod ledger;
mod retry_after;
mod rounds;
mod settings;
mod shown;
mod spending;
mod thinking;
mod tool_calls;
mod traced;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Instant, SystemTime},
};

use serde_json::{Value, json};

use self::{
    answer::Answer,
    endpoint::Endpoint,
    failure::Failure,
    history::Bounds,
    latency::Latency,
    rounds::Request,
    spending::{Bill, Shown},
};
pub use self::{
    history::FailedQuestions,
    settings::{Header, MaxTokensField, Name, OpenAiSettings},
};
pub(crate) use self::{ledger::Ledger, settings::Overrides, spending::Spending};
use crate::{Breaker, Error, HandlerError, Reply, Task, mcp::Toolbox};

/// What a probe asks: the same way as questions go, and its first word is answer enough.
const PROBE: &str = "Say OK.";

/// A bot that asks an OpenAI-compatible endpoint.
#[derive(Debug)]
pub struct OpenAi {
    asker: Arc<Asker>,
    breaker: Breaker,
}

/// What asks the endpoint, for questions and for probes.
#[derive(Debug)]
struct Asker {
    endpoint: Endpoint,
    settings: OpenAiSettings,
    spending: Arc<Spending>,
    _shown: Shown,
    latency: Latency,
    toolbox: Toolbox,
    /// True once the endpoint has streamed.
    has_streamed: AtomicBool,
    /// True once the endpoint has refused to stream, and answered without.
    refuses_streams: AtomicBool,
    /// True once an answer has begun in the midst of a thought: the template of the model opens it in the prompt.
    begins_in_thought: AtomicBool,
}

impl OpenAi {
    /// A bot that asks the endpoint at `base_url`, such as `http://127.0.0.1:8000/v1`; `name` is its name in metrics and
    /// logs. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Setting`] if the URL is none; [`Error::HttpClient`] if no TLS client can be built on this machine.
    pub fn new(name: &str, base_url: &str, settings: &OpenAiSettings) -> Result<Self, Error> {
        Self::spending(name, base_url, settings, Arc::new(Spending::new(name)))
    }

    /// The same, with what the bot of this name has spent so far.
    pub(crate) fn spending(
        name: &str,
        base_url: &str,
        settings: &OpenAiSettings,
        spending: Arc<Spending>,
    ) -> Result<Self, Error> {
        let shown = spending.show(settings.tokens_per_day);
        let asker = Arc::new(Asker {
            endpoint: Endpoint::new(base_url, settings)?,
            settings: settings.clone(),
            spending,
            _shown: shown,
            latency: Latency::new(name),
            toolbox: Toolbox::new(name, &settings.tools.servers),
            has_streamed: AtomicBool::new(false),
            refuses_streams: AtomicBool::new(false),
            begins_in_thought: AtomicBool::new(false),
        });
        let probing = Arc::clone(&asker);
        let breaker = Breaker::new(name, move || {
            let asker = Arc::clone(&probing);
            async move { asker.probe().await }
        });
        Ok(Self { asker, breaker })
    }

    /// The breaker of this bot's endpoint, for [`Worker::breaker`](crate::Worker::breaker).
    pub fn breaker(&self) -> Breaker {
        self.breaker.clone()
    }

    /// Starts the servers of its tools; the first answer would do it too. Needs a runtime of tokio.
    pub(crate) fn start_tools(&self) {
        self.asker.toolbox.start();
    }

    /// Ends them.
    pub(crate) async fn end_tools(&self) {
        self.asker.toolbox.end().await;
    }

    /// Asks for the answer to one message, and shows its draft while it comes, if the endpoint streams. Calls the tools that
    /// the model asks for. What exceeds 16,384 bytes is cut off.
    ///
    /// # Errors
    /// An outage if the endpoint can answer nothing at present, be it away, busy, or without the key, the model or the
    /// tokens; a `Retry-After` is obeyed. Permanent if the endpoint refuses this message. Retryable otherwise: an answer
    /// that is empty, broken off or late.
    pub async fn answer(&self, task: &Task) -> Result<Reply, HandlerError> {
        let failure = match self.asker.answer(task).await {
            Ok(text) => {
                self.breaker.answered();
                return Ok(Reply::new(text));
            }
            Err(failure) => failure,
        };
        match failure {
            Failure::Message(error) => {
                self.breaker.answered();
                Err(error)
            }
            Failure::Outage(error) => Err(error),
            Failure::Doubt(error) => {
                self.breaker.check().await?;
                Err(error)
            }
        }
    }
}

impl Asker {
    async fn probe(&self) -> Result<(), HandlerError> {
        let asked = crate::Message { text: PROBE.into(), ..Default::default() };
        let chat = history::chat(self.settings.system_prompt.as_deref(), &[], &asked, self.bounds());
        // With the tools: an endpoint that refuses them refuses every question.
        let tools = self.toolbox.offered_now();
        let patience = self.settings.timeout.0;
        let request = Request { chat: &chat, tools: &tools, may_call: true, begins: true, patience };
        let streams = !self.refuses_streams.load(Ordering::Relaxed);
        let probed = async {
            self.check_budget(&request)?;
            let (response, mut bill) = self.send(&request, streams).await?;
            answer::begins(response, &mut bill).await.map_err(Failure::from)
        };
        let probed = probed.await;
        probed.map_err(|failure| {
            let mut error = failure.into_error();
            // A permanent refusal is one of the request.
            if !tools.is_empty() && !error.retryable {
                error.text += " to a request with tools";
            }
            HandlerError { is_outage: true, retryable: true, ..error }
        })
    }

    /// Asks, streaming if the endpoint can. Among endpoints that cannot, a refusal as a bad request is how they say it.
    async fn ask(&self, request: &Request<'_>, watch: answer::Watch<'_>) -> Result<Answer, Failure> {
        self.check_budget(request)?;
        let began = Instant::now();
        let result = self.send_and_read(request, watch).await;
        self.latency.note(&result, began.elapsed());
        result
    }

    async fn send_and_read(
        &self,
        request: &Request<'_>,
        watch: answer::Watch<'_>,
    ) -> Result<Answer, Failure> {
        let streams = !self.refuses_streams.load(Ordering::Relaxed);
        let mut response = self.send(request, streams).await;
        let is_refused = matches!(&response, Err(Failure::Doubt(error)) if !error.retryable);
        if streams && is_refused && !self.has_streamed.load(Ordering::Relaxed) {
            response = self.send(request, false).await;
            // What is refused either way is refused for another reason.
            self.refuses_streams.store(response.is_ok(), Ordering::Relaxed);
        }
        let (response, mut bill) = response?;
        let begins_in_thought = self.begins_in_thought.load(Ordering::Relaxed);
        let answer = answer::read(response, begins_in_thought, &mut bill, watch).await?;
        bill.settle(answer.tokens);
        self.has_streamed.fetch_or(streams, Ordering::Relaxed);
        self.begins_in_thought.fetch_or(answer.began_in_thought(), Ordering::Relaxed);
        Ok(answer)
    }

    /// Makes sure that there are tokens for a request; an answer that has begun goes on without.
    ///
    /// # Errors
    /// An outage until there are some again.
    fn check_budget(&self, request: &Request<'_>) -> Result<(), Failure> {
        let used_up = self.spending.used_up(self.settings.tokens_per_day, SystemTime::now());
        if let Some(wait) = used_up.filter(|_| request.begins) {
            let used_up = HandlerError::outage("the tokens of today are used up (--tokens-per-day)");
            return Err(Failure::Outage(used_up.after(wait)));
        }
        Ok(())
    }

    /// Sends a request. The bill is spent when it is dropped, even if nobody waits any more.
    async fn send(
        &self,
        request: &Request<'_>,
        streams: bool,
    ) -> Result<(reqwest::Response, Bill<'_>), Failure> {
        let mut bill = Bill::new(&self.spending, request.tokens());
        let document = self.document(request, streams);
        let response = self.endpoint.send(&document, request.patience, &mut bill).await?;
        Ok((response, bill))
    }

    /// Only what has to be said: strict endpoints refuse fields that they do not know.
    fn document(&self, request: &Request<'_>, streams: bool) -> Value {
        let settings = &self.settings;
        let mut document = json!({"model": settings.model, "messages": request.chat});
        let mut add = |key: &str, value: Value| document[key] = value;
        if streams {
            add("stream", true.into());
        }
        if streams && settings.tokens_per_day.is_some() {
            add("stream_options", json!({"include_usage": true}));
        }
        if let Some(tokens) = settings.max_tokens {
            add(settings.max_tokens_field.name(), tokens.into());
        }
        if let Some(temperature) = settings.temperature {
            add("temperature", json!(temperature));
        }
        if let Some(top_p) = settings.top_p {
            add("top_p", json!(top_p));
        }
        if !settings.stop.is_empty() {
            add("stop", json!(settings.stop));
        }
        if !request.tools.is_empty() {
            add("tools", request.functions());
        }
        if !request.tools.is_empty() && !request.may_call {
            add("tool_choice", "none".into());
        }
        document
    }

    fn bounds(&self) -> Bounds {
        let tokens = usize::try_from(self.settings.history_tokens).unwrap_or(usize::MAX);
        Bounds { tokens, failed: self.settings.failed_questions }
    }
}
