//! How the ready bot asks an endpoint: by flags, and by a file with several bots, whose entries override them.

use std::{convert::Infallible, fs, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};
use repartee_process::{Secret, Span};
use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::FailedQuestions;
use crate::mcp::{ToolServers, ToolSettings};

/// A claim lives for 15 minutes at most; the rest is for reporting.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(840);
/// Most messages of a conversation that the service sends along.
const LONGEST_HISTORY: u32 = 100;
/// Most bytes of a file that holds a prompt or a key.
const FILE_BYTES: usize = 1 << 20;
/// As many as OpenAI takes.
const STOPS: usize = 4;

/// The field of a request that bounds the tokens of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`, which most servers know.
    #[default]
    #[value(name = "max_tokens")]
    MaxTokens,
    /// `max_completion_tokens`, which OpenAI's models that reason ask for.
    #[value(name = "max_completion_tokens")]
    MaxCompletionTokens,
}

impl MaxTokensField {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// How the ready bot asks an OpenAI-compatible endpoint.
#[derive(Debug, Clone, PartialEq, Args, Serialize)]
pub struct OpenAiSettings {
    /// Base URL of an OpenAI-compatible endpoint, such as http://127.0.0.1:8000/v1. The conversation is sent there. A query
    /// stays behind the path, as Azure needs it: https://NAME.openai.azure.com/openai/deployments/MODEL?api-version=DATE.
    #[arg(long, env = "REPARTEE_OPENAI_BASE_URL")]
    pub openai_base_url: Option<String>,
    /// Key for that endpoint; better given by the variable or a file, because other users can see command lines.
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true)]
    pub openai_api_key: Option<Secret>,
    /// File whose first line is the key; followed, so that it can be replaced while the bot runs.
    #[arg(long, env = "REPARTEE_API_KEY_FILE", value_name = "PATH")]
    pub api_key_file: Option<PathBuf>,
    /// The header that carries the key: authorization, as `Bearer KEY`, or another one as it is, such as api-key for Azure.
    #[arg(long, env = "REPARTEE_API_KEY_HEADER", default_value = "authorization")]
    pub api_key_header: Name,
    /// A header that goes with each request, as NAME: VALUE; may be given several times, one a line in the variable.
    #[arg(long = "header", env = "REPARTEE_HEADERS", value_delimiter = '\n', hide_env_values = true)]
    pub headers: Vec<Header>,
    /// The model that is asked.
    #[arg(long, env = "REPARTEE_MODEL")]
    pub model: Option<String>,
    /// What the model is told before the conversation.
    #[arg(long, env = "REPARTEE_SYSTEM_PROMPT")]
    pub system_prompt: Option<String>,
    /// The same from a file, followed while it changes; at most 1 MiB.
    #[arg(long, env = "REPARTEE_SYSTEM_PROMPT_FILE", value_name = "PATH", conflicts_with = "system_prompt")]
    pub system_prompt_file: Option<PathBuf>,
    /// How many earlier messages of the conversation the model sees, 0 to 100.
    #[arg(long, env = "REPARTEE_HISTORY", default_value_t = 20)]
    pub history: u32,
    /// How many tokens of them, by an estimate of three bytes a token; the oldest are left out first.
    #[arg(long, env = "REPARTEE_HISTORY_TOKENS", default_value_t = 8_000)]
    pub history_tokens: u32,
    /// What the model sees of questions that failed or were cancelled.
    #[arg(long, env = "REPARTEE_FAILED_QUESTIONS", value_enum, default_value_t)]
    pub failed_questions: FailedQuestions,
    /// Most tokens of an answer, thinking included; the endpoint's own limit if absent.
    #[arg(long, env = "REPARTEE_MAX_TOKENS")]
    pub max_tokens: Option<u32>,
    /// By which name the endpoint is told so: models that reason may take only the newer one.
    #[arg(long, env = "REPARTEE_MAX_TOKENS_FIELD", value_enum, default_value_t)]
    pub max_tokens_field: MaxTokensField,
    /// How freely the model chooses, 0 to 2; the endpoint's default if absent.
    #[arg(long, env = "REPARTEE_TEMPERATURE")]
    pub temperature: Option<f64>,
    /// From which share of the likeliest tokens the model chooses, above 0 and up to 1.
    #[arg(long, env = "REPARTEE_TOP_P")]
    pub top_p: Option<f64>,
    /// A text at which the model stops; may be given up to four times; the variable holds one.
    #[arg(long, env = "REPARTEE_STOP")]
    pub stop: Vec<String>,
    /// How long an answer may take, as 120s, at most 14m; tool calls are part of it.
    #[arg(long, env = "REPARTEE_TIMEOUT", value_name = "SPAN", default_value = "120s")]
    pub timeout: Span,
    /// Most tokens that the bot uses a day (UTC), questions included, as its endpoint counts them, or estimated if it does
    /// not; answers that are under way still end. Until the next day its messages wait. No limit if absent.
    #[arg(long, env = "REPARTEE_TOKENS_PER_DAY")]
    pub tokens_per_day: Option<u64>,
    /// The tools that the model may call.
    #[command(flatten)]
    #[serde(flatten)]
    pub tools: ToolSettings,
}

/// The name of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub HeaderName);

/// A header that goes with each request, as `NAME: VALUE`. Any text is taken for one, and checked with the other settings:
/// what the parser of flags refuses it prints, and this may be a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Header(Secret);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("must be the name of a header, not {text:?}"))
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl FromStr for Header {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        text.parse().map(Self)
    }
}

impl Header {
    /// Its name and its value. What is wrong is told without what it holds.
    pub(super) fn parts(&self) -> Result<(HeaderName, HeaderValue), &'static str> {
        let (name, value) = self.0.reveal().split_once(':').ok_or("must be written as NAME: VALUE")?;
        let name = name.trim().parse().map_err(|_| "must begin with the name of a header")?;
        let mut value = HeaderValue::from_str(value.trim())
            .map_err(|_| "must have a value of one line of visible characters")?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

/// What an entry of the file of bots may say beside its entity; what it leaves out comes from the flags.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Overrides {
    openai_base_url: Option<String>,
    api_key_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "header_name")]
    api_key_header: Option<Name>,
    model: Option<String>,
    system_prompt: Option<String>,
    system_prompt_file: Option<PathBuf>,
    history: Option<u32>,
    history_tokens: Option<u32>,
    failed_questions: Option<FailedQuestions>,
    #[serde(default, deserialize_with = "headers")]
    headers: Option<Vec<Header>>,
    max_tokens: Option<u32>,
    max_tokens_field: Option<MaxTokensField>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    stop: Option<Vec<String>>,
    #[serde(default, deserialize_with = "span")]
    timeout: Option<Span>,
    tokens_per_day: Option<u64>,
    mcp: Option<ToolServers>,
    tool_calls: Option<u32>,
    tool_rounds: Option<u32>,
    #[serde(default, deserialize_with = "span")]
    tool_timeout: Option<Span>,
    tool_result_bytes: Option<u32>,
    /// Of the bot, not of its endpoint.
    pub(crate) max_in_flight: Option<u32>,
    /// The same.
    pub(crate) entity: Option<String>,
}

fn header_name<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Name>, D::Error> {
    parsed(from, "the name of a header, such as api-key")
}

/// What is no header is refused later, with its number.
fn headers<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<Header>>, D::Error> {
    let header = |text: String| {
        let Ok(header) = text.parse();
        header
    };
    let texts = Option::<Vec<String>>::deserialize(from)?;
    Ok(texts.map(|texts| texts.into_iter().map(header).collect()))
}

fn span<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Span>, D::Error> {
    parsed(from, "a span such as 120s or 2m")
}

/// The value may be a key that stands in the wrong line, so a refusal does not say it.
fn parsed<'de, D: Deserializer<'de>, T: FromStr>(from: D, expected: &str) -> Result<Option<T>, D::Error> {
    let wrong = |_| de::Error::custom(format_args!("must be {expected}"));
    Option::<String>::deserialize(from)?.map(|text| text.parse().map_err(wrong)).transpose()
}

impl OpenAiSettings {
    /// These settings, as an entry overrides them.
    pub(crate) fn overridden(&self, by: &Overrides) -> Self {
        let by = by.clone();
        let has_prompt = by.system_prompt.is_some() || by.system_prompt_file.is_some();
        let (prompt, prompt_file) = match has_prompt {
            true => (by.system_prompt, by.system_prompt_file),
            false => (self.system_prompt.clone(), self.system_prompt_file.clone()),
        };
        // The key of one endpoint is never sent to another one.
        let same_place = by.openai_base_url.is_none() || by.openai_base_url == self.openai_base_url;
        let own = self.clone();
        Self {
            openai_api_key: own.openai_api_key.filter(|_| same_place && by.api_key_file.is_none()),
            api_key_file: by.api_key_file.or(own.api_key_file.filter(|_| same_place)),
            headers: by.headers.unwrap_or(if same_place { own.headers } else { Vec::new() }),
            openai_base_url: by.openai_base_url.or(own.openai_base_url),
            api_key_header: by.api_key_header.unwrap_or(own.api_key_header),
            model: by.model.or(own.model),
            system_prompt: prompt,
            system_prompt_file: prompt_file,
            history: by.history.unwrap_or(own.history),
            history_tokens: by.history_tokens.unwrap_or(own.history_tokens),
            failed_questions: by.failed_questions.unwrap_or(own.failed_questions),
            max_tokens: by.max_tokens.or(own.max_tokens),
            max_tokens_field: by.max_tokens_field.unwrap_or(own.max_tokens_field),
            temperature: by.temperature.or(own.temperature),
            top_p: by.top_p.or(own.top_p),
            stop: by.stop.unwrap_or(own.stop),
            timeout: by.timeout.unwrap_or(own.timeout),
            tokens_per_day: by.tokens_per_day.or(own.tokens_per_day),
            tools: ToolSettings {
                mcp: own.tools.mcp.filter(|_| by.mcp.is_none()),
                servers: by.mcp.unwrap_or_default(),
                tool_calls: by.tool_calls.unwrap_or(own.tools.tool_calls),
                tool_rounds: by.tool_rounds.unwrap_or(own.tools.tool_rounds),
                tool_timeout: by.tool_timeout.unwrap_or(own.tools.tool_timeout),
                tool_result_bytes: by.tool_result_bytes.unwrap_or(own.tools.tool_result_bytes),
            },
        }
    }

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
        for (at, header) in self.headers.iter().enumerate() {
            header.parts().map_err(|problem| format!("--header, number {}: {problem}", at + 1))?;
        }
        if self.system_prompt.is_some() && self.system_prompt_file.is_some() {
            return Err("--system-prompt and --system-prompt-file exclude each other".into());
        }
        let within = |name: &str, holds: bool, limit: &str, value: &dyn std::fmt::Display| {
            if holds { Ok(()) } else { Err(format!("--{name} must be {limit}, not {value}")) }
        };
        within("history", self.history <= LONGEST_HISTORY, "at most 100", &self.history)?;
        within("timeout", self.timeout.0 <= LONGEST_TIMEOUT, "at most 14m", &self.timeout)?;
        within("max-tokens", self.max_tokens != Some(0), "at least 1", &0)?;
        let temperature = self.temperature.unwrap_or(1.0);
        within("temperature", (0.0..=2.0).contains(&temperature), "0 to 2", &temperature)?;
        let top_p = self.top_p.unwrap_or(1.0);
        within("top-p", top_p > 0.0 && top_p <= 1.0, "above 0 and at most 1", &top_p)?;
        within("stop", self.stop.len() <= STOPS, "given at most 4 times", &self.stop.len())?;
        within("stop", self.stop.iter().all(|stop| !stop.is_empty()), "a text", &"empty")?;
        self.tools.check()
    }

    /// The same settings with what stands in their files. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// One sentence about a file that cannot be used, without what it holds.
    pub(crate) fn with_files(mut self) -> Result<Self, String> {
        if let Some(path) = &self.system_prompt_file {
            let prompt = read("--system-prompt-file", path)?;
            self.system_prompt = Some(prompt.trim().to_owned()).filter(|prompt| !prompt.is_empty());
        }
        if let Some(path) = &self.api_key_file {
            let key = read("--api-key-file", path)?;
            let key = key.lines().next().unwrap_or_default().trim().to_owned();
            if key.is_empty() || HeaderValue::from_str(&key).is_err() {
                let path = path.display();
                return Err(format!(
                    "--api-key-file {path}: its first line must be a key of visible characters"
                ));
            }
            self.openai_api_key = Some(Secret::from(key));
        }
        self.tools = self.tools.with_files()?;
        Ok(self)
    }
}

fn read(setting: &str, path: &PathBuf) -> Result<String, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("{setting} {shown}: {error}"))?;
    match text.len() {
        0..=FILE_BYTES => Ok(text),
        bytes => Err(format!("{setting} {shown}: must have at most {FILE_BYTES} bytes, has {bytes}")),
    }
}
