//! Answers from any OpenAI-compatible endpoint, with the conversation as chat history.
//!
//! Owns the translation: messages to a chat, an answer to a [`Reply`], a refusal to a [`HandlerError`]. It never
//! retries, because the queue does, and never logs what was said.

mod chunks;
mod settings;
mod transport;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    types::chat::{
        ChatCompletionRequestAssistantMessage, ChatCompletionRequestMessage,
        ChatCompletionRequestSystemMessage, ChatCompletionRequestUserMessage, CreateChatCompletionRequest,
    },
};
use reqwest::StatusCode;

pub use self::settings::OpenAiSettings;
use self::transport::{Completion, Refusal};
use crate::{
    Error, HandlerError, Message, MessageType, Reply, Task,
    text::{REPLY_BYTES, cut},
};

/// A bot that asks an OpenAI-compatible endpoint.
#[derive(Debug)]
pub struct OpenAi {
    http: reqwest::Client,
    config: OpenAIConfig,
    /// False once the endpoint has refused to stream.
    streams: AtomicBool,
    model: String,
    system_prompt: Option<String>,
}

impl OpenAi {
    /// A bot that asks the endpoint at `base_url`, such as `http://127.0.0.1:8000/v1`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::HttpClient`] where no TLS client can be built on this machine.
    pub fn new(base_url: &str, settings: &OpenAiSettings) -> Result<Self, Error> {
        let key = settings.openai_api_key.as_ref().map_or("", |key| key.reveal());
        let config = OpenAIConfig::new().with_api_base(base_url.trim_end_matches('/')).with_api_key(key);
        Ok(Self {
            http: transport::http_client(Duration::from_secs(settings.timeout))?,
            config,
            streams: AtomicBool::new(true),
            model: settings.model.clone().unwrap_or_default(),
            system_prompt: settings.system_prompt.clone(),
        })
    }

    /// Asks for the answer to one message, and shows its draft while it comes, where the endpoint streams. What exceeds 16,384 bytes is cut off.
    ///
    /// # Errors
    /// Permanent where the endpoint refuses the request itself (4xx other than 408 and 429); retryable otherwise, after
    /// the `Retry-After` of the endpoint where it names one. An empty answer is retryable: models seldom give two.
    pub async fn answer(&self, task: &Task) -> Result<Reply, HandlerError> {
        let streams = self.streams.load(Ordering::Relaxed);
        let mut completion = self.ask(task, streams).await;
        if streams && matches!(&completion, Err(error) if refuses_streams(error)) {
            completion = self.ask(task, false).await;
            // What is refused either way is refused for another reason.
            self.streams.store(completion.is_err(), Ordering::Relaxed);
        }
        let completion = completion.map_err(failure)?;
        let text = completion.text().replace('\0', "");
        match cut(text.trim(), REPLY_BYTES) {
            "" => Err(HandlerError::retryable("the endpoint gave an empty answer")),
            text => Ok(Reply::new(text)),
        }
    }

    async fn ask(&self, task: &Task, streams: bool) -> Result<Completion, OpenAIError> {
        let request = CreateChatCompletionRequest {
            model: self.model.clone(),
            messages: chat(self.system_prompt.as_deref(), task),
            stream: streams.then_some(true),
            ..Default::default()
        };
        let service = transport::service(self.http.clone(), task.draft().clone());
        let client = Client::build(self.http.clone(), self.config.clone()).with_http_service(service);
        client.chat().create_byot(request).await
    }
}

/// A request that is wrong as it is; among endpoints that cannot stream, this is how they say it.
fn refuses_streams(error: &OpenAIError) -> bool {
    let OpenAIError::Boxed(error) = error else { return false };
    matches!(
        error.downcast_ref(),
        Some(Refusal::Status { status: StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY, .. })
    )
}

/// The conversation as a chat: what the human said is the user's, what the AI said the assistant's. Messages without a
/// text were deleted.
fn chat(system_prompt: Option<&str>, task: &Task) -> Vec<ChatCompletionRequestMessage> {
    let prompt = system_prompt.map(|prompt| ChatCompletionRequestSystemMessage::from(prompt).into());
    let said = task.context().iter().chain([task.message()]).filter(|message| !message.text.is_empty());
    prompt.into_iter().chain(said.map(line)).collect()
}

fn line(message: &Message) -> ChatCompletionRequestMessage {
    let text = message.text.as_str();
    match message.message_type() {
        MessageType::Ai => ChatCompletionRequestAssistantMessage::from(text).into(),
        MessageType::Human | MessageType::Unspecified => ChatCompletionRequestUserMessage::from(text).into(),
    }
}

/// What a failed call means for the message. Only codes and kinds are passed on: the text is shown to readers, and an
/// endpoint may quote prompts and keys in its errors.
fn failure(error: OpenAIError) -> HandlerError {
    let refusal = match error {
        OpenAIError::Boxed(error) => error.downcast::<Refusal>().ok(),
        _ => None,
    };
    match refusal.as_deref() {
        Some(Refusal::Status { status, retry_after }) => refused(*status, *retry_after),
        Some(Refusal::Http(error)) if error.is_timeout() => {
            HandlerError::retryable("the endpoint took too long")
        }
        Some(Refusal::Http(_)) => HandlerError::retryable("the endpoint could not be reached"),
        Some(Refusal::TooLong) => HandlerError::retryable("the endpoint's answer is too long"),
        Some(Refusal::BrokenOff) => HandlerError::retryable("the endpoint's answer broke off"),
        Some(Refusal::NoCompletion(_)) => {
            HandlerError::retryable("the endpoint's answer is no chat completion")
        }
        None => HandlerError::permanent("the endpoint could not be asked"),
    }
}

fn refused(status: StatusCode, retry_after: Option<Duration>) -> HandlerError {
    let text = format!("the endpoint answered {}", status.as_u16());
    let passes = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if status.is_client_error() && !passes {
        return HandlerError::permanent(text);
    }
    let error = HandlerError::retryable(text);
    match retry_after {
        Some(wait) => error.after(wait),
        None => error,
    }
}
