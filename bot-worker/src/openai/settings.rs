//! How the ready bot asks an endpoint.

use clap::Args;
use repartee_process::Secret;
use reqwest::{Url, header::HeaderValue};
use serde::Serialize;

/// A claim lives for 15 minutes at most; the rest is for reporting.
const LONGEST_TIMEOUT: u64 = 840;

/// Most messages of a conversation that the service sends along.
const LONGEST_CONTEXT: u32 = 100;

/// How the ready bot asks an OpenAI-compatible endpoint.
#[derive(Debug, Clone, Args, Serialize)]
pub struct OpenAiSettings {
    /// Base URL of an OpenAI-compatible endpoint, such as http://127.0.0.1:8000/v1. The conversation is sent there.
    #[arg(long, env = "REPARTEE_OPENAI_BASE_URL")]
    pub openai_base_url: Option<String>,
    /// Key for that endpoint; better given by the variable, because other users can see command lines.
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true)]
    pub openai_api_key: Option<Secret>,
    /// The model that is asked.
    #[arg(long, env = "REPARTEE_MODEL")]
    pub model: Option<String>,
    /// What the model is told before the conversation.
    #[arg(long, env = "REPARTEE_SYSTEM_PROMPT")]
    pub system_prompt: Option<String>,
    /// How many earlier messages of the conversation the model sees, 0 to 100.
    #[arg(long, env = "REPARTEE_CONTEXT", default_value_t = 20)]
    pub context: u32,
    /// How long an answer may take, in seconds, 1 to 840.
    #[arg(long, env = "REPARTEE_TIMEOUT", default_value_t = 120)]
    pub timeout: u64,
}

impl OpenAiSettings {
    /// Checks what the parser cannot.
    ///
    /// # Errors
    /// One sentence that names the setting, the limit and the value.
    pub(crate) fn check(&self) -> Result<(), String> {
        let url = self.openai_base_url.as_deref().unwrap_or_default();
        if !Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            return Err(format!("--openai-base-url must be an http or https URL, not {url:?}"));
        }
        if self.model.as_deref().is_none_or(str::is_empty) {
            return Err("--openai-base-url needs --model".into());
        }
        if self.openai_api_key.as_ref().is_some_and(|key| HeaderValue::from_str(key.reveal()).is_err()) {
            return Err("OPENAI_API_KEY must be one line of visible characters".into());
        }
        if self.context > LONGEST_CONTEXT {
            return Err(format!("--context must be at most {LONGEST_CONTEXT}, not {}", self.context));
        }
        if !(1..=LONGEST_TIMEOUT).contains(&self.timeout) {
            return Err(format!("--timeout must be 1 to {LONGEST_TIMEOUT} seconds, not {}", self.timeout));
        }
        Ok(())
    }
}
