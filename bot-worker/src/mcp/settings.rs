//! Which tool servers a bot may use, and how much of them: flags, and the tables of a TOML file.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use repartee_process::{Secret, Span};
use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize};

use crate::bots::what_is_wrong;

/// Most servers of a bot: each is a process or a connection of its own.
const SERVERS: usize = 16;
/// Most tools of a bot: the model is sent all of them with each request.
pub(crate) const TOOLS: usize = 64;
const NAME_CHARS: usize = 32;
const MOST_CALLS: u32 = 64;
const MOST_ROUNDS: u32 = 16;
const LONGEST_CALL: Duration = Duration::from_secs(840);
/// From a short sentence to what the context of a model holds anyway.
const RESULT_BYTES: std::ops::RangeInclusive<u32> = 256..=262_144;
/// Most bytes of a file that holds a secret.
const SECRET_BYTES: usize = 64 * 1024;
/// Shorter ones are no secrets; taking them out would make a reason unreadable.
const SHORTEST_SECRET: usize = 4;
/// A part of a path that is so long may be a key.
const KEY_IN_A_PATH: usize = 16;
/// Allows all tools of a server.
const ALL: &str = "*";

/// The tools of a bot, by the Model Context Protocol. Whoever may ask the bot can make it call them.
#[derive(Debug, Clone, PartialEq, Args, Serialize)]
pub struct ToolSettings {
    /// A TOML file with the servers whose tools the model may call, a table [NAME] each: `command` and `args`, or `url`; and
    /// `tools`, a list of those allowed, or ["*"]. Followed: a change starts the bot anew.
    #[arg(long, env = "REPARTEE_MCP", value_name = "PATH")]
    pub mcp: Option<PathBuf>,
    /// Most tool calls of an answer, 1 to 64; those of one round run at the same time.
    #[arg(long, env = "REPARTEE_TOOL_CALLS", default_value_t = 8)]
    pub tool_calls: u32,
    /// How many times an answer may go back for tools, 1 to 16; then the model is asked to answer without.
    #[arg(long, env = "REPARTEE_TOOL_ROUNDS", default_value_t = 4)]
    pub tool_rounds: u32,
    /// How long a tool call may take, at most 14m; --timeout bounds the whole answer, tool calls included.
    #[arg(long, env = "REPARTEE_TOOL_TIMEOUT", value_name = "SPAN", default_value = "20s")]
    pub tool_timeout: Span,
    /// Most bytes of a tool's result that the model is given, 256 to 262,144; the rest is cut off, and it is told so.
    #[arg(long, env = "REPARTEE_TOOL_RESULT_BYTES", default_value_t = 16_384)]
    pub tool_result_bytes: u32,
    /// The servers, from the file or from an entry of a bot.
    #[arg(skip)]
    #[serde(skip)]
    pub servers: ToolServers,
}

impl ToolSettings {
    /// Checks what the parser cannot.
    ///
    /// # Errors
    /// One sentence that names the setting, the limit and the value.
    pub(crate) fn check(&self) -> Result<(), String> {
        let within = |name: &str, holds: bool, limit: &str, value: &dyn std::fmt::Display| {
            if holds { Ok(()) } else { Err(format!("--{name} must be {limit}, not {value}")) }
        };
        let Self { tool_calls, tool_rounds, tool_timeout, tool_result_bytes, .. } = self;
        within("tool-calls", (1..=MOST_CALLS).contains(tool_calls), "1 to 64", tool_calls)?;
        within("tool-rounds", (1..=MOST_ROUNDS).contains(tool_rounds), "1 to 16", tool_rounds)?;
        within("tool-timeout", tool_timeout.0 <= LONGEST_CALL, "at most 14m", tool_timeout)?;
        let fits = RESULT_BYTES.contains(tool_result_bytes);
        within("tool-result-bytes", fits, "256 to 262144", tool_result_bytes)
    }

    /// The same with what stands in the file, and with the secrets of the servers. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// One sentence about what is wrong, without what a secret holds.
    pub(crate) fn with_files(mut self) -> Result<Self, String> {
        if let Some(path) = &self.mcp {
            let in_file = |problem: String| format!("--mcp {}: {problem}", path.display());
            let text = fs::read_to_string(path).map_err(|error| in_file(error.to_string()))?;
            self.servers = toml::from_str(&text).map_err(|error| in_file(what_is_wrong(&text, &error)))?;
            self.servers.read_secrets().map_err(in_file)?;
        } else {
            self.servers.read_secrets()?;
        }
        Ok(self)
    }
}

/// The tool servers of a bot, by name.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct ToolServers(BTreeMap<String, ToolServer>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ToolServer {
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, Value>,
    url: Option<String>,
    key_file: Option<PathBuf>,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    tools: Option<BTreeSet<String>>,
    #[serde(skip)]
    key: Option<Secret>,
}

/// How a server is reached.
pub(crate) enum Way<'a> {
    /// It is a child process, and speaks over its standard input and output.
    Process { command: &'a str, args: &'a [String], env: Vec<(&'a str, &'a str)> },
    /// By HTTP.
    Http { url: &'a str, key: Option<&'a str>, headers: Vec<(HeaderName, HeaderValue)> },
}

/// A text that may be a secret: as it stands, or where it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Written")]
struct Value {
    source: Source,
    value: Secret,
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Here,
    File(PathBuf),
    Variable(String),
}

/// The same as it is written.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Here(String),
    File { file: PathBuf },
    Variable { variable: String },
}

impl From<Written> for Value {
    fn from(written: Written) -> Self {
        let nothing = Secret::from(String::new());
        match written {
            Written::Here(text) => Self { source: Source::Here, value: text.into() },
            Written::File { file } => Self { source: Source::File(file), value: nothing },
            Written::Variable { variable } => Self { source: Source::Variable(variable), value: nothing },
        }
    }
}

impl Value {
    fn read(&mut self) -> Result<(), String> {
        match &self.source {
            Source::Here => {}
            Source::File(path) => self.value = first_line(path)?,
            Source::Variable(name) => {
                let value = env::var(name).map_err(|_| format!("the variable {name} is not set"))?;
                self.value = value.into();
            }
        }
        Ok(())
    }
}

impl ToolServers {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &ToolServer)> {
        self.0.iter()
    }

    fn read_secrets(&mut self) -> Result<(), String> {
        if self.0.len() > SERVERS {
            return Err(format!("must have at most {SERVERS} tool servers, has {}", self.0.len()));
        }
        for (name, server) in &mut self.0 {
            let in_server = |problem| format!("the tool server {name:?}: {problem}");
            let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
            if name.is_empty() || name.len() > NAME_CHARS || !name.chars().all(is_name) {
                let rule = "letters, digits, - and _ of ASCII";
                return Err(in_server(format!("its name must be 1 to {NAME_CHARS} {rule}")));
            }
            server.check().and_then(|()| server.read_secrets()).map_err(in_server)?;
        }
        Ok(())
    }
}

impl ToolServer {
    fn check(&self) -> Result<(), String> {
        let Some(tools) = &self.tools else {
            return Err("tools must name those that the model may call, or be [\"*\"]".into());
        };
        if tools.is_empty() || tools.len() > TOOLS {
            return Err(format!("tools must have 1 to {TOOLS} names, has {}", tools.len()));
        }
        match (&self.command, &self.url) {
            (Some(command), None) => {
                let fits = !command.is_empty() && self.key_file.is_none() && self.headers.is_empty();
                fits.then_some(()).ok_or("command must be a program; key-file and headers go with url")?;
                let is_name = |name: &&String| !name.is_empty() && !name.contains(['=', '\0']);
                let wrong = self.env.keys().find(|name| !is_name(name));
                wrong.map_or(Ok(()), |name| Err(format!("env: {name:?} is no name of a variable")))
            }
            (None, Some(url)) => {
                let fits = self.args.is_empty() && self.env.is_empty();
                fits.then_some(()).ok_or("args and env go with command")?;
                let is_url = Url::parse(url).is_ok_and(|url| {
                    matches!(url.scheme(), "http" | "https") && url.has_host() && url.password().is_none()
                });
                is_url
                    .then_some(())
                    .ok_or_else(|| "url must be an http or https URL, without a password".into())
            }
            (Some(_), Some(_)) => Err("command and url exclude each other".into()),
            (None, None) => Err("either command or url is needed: how is it reached?".into()),
        }
    }

    fn read_secrets(&mut self) -> Result<(), String> {
        for (name, value) in &mut self.env {
            value.read().map_err(|problem| format!("env.{name}: {problem}"))?;
            if value.value.reveal().contains('\0') {
                return Err(format!("env.{name}: must not hold NUL"));
            }
        }
        for (name, value) in &mut self.headers {
            value.read().map_err(|problem| format!("headers.{name}: {problem}"))?;
            header(name, value).map_err(|problem| format!("headers.{name}: {problem}"))?;
        }
        if let Some(path) = &self.key_file {
            let key = first_line(path).map_err(|problem| format!("key-file: {problem}"))?;
            if key.reveal().is_empty() || HeaderValue::from_str(key.reveal()).is_err() {
                let path = path.display();
                return Err(format!("key-file: {path}: its first line must be a key of visible characters"));
            }
            self.key = Some(key);
        }
        Ok(())
    }

    /// Whether the model may call this tool.
    pub(crate) fn allows(&self, tool: &str) -> bool {
        self.tools.as_ref().is_some_and(|tools| tools.contains(ALL) || tools.contains(tool))
    }

    /// The tools that are allowed by name.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().flatten().map(String::as_str).filter(|name| *name != ALL)
    }

    /// How it is reached.
    pub(crate) fn way(&self) -> Way<'_> {
        match &self.command {
            Some(command) => {
                let env = self.env.iter().map(|(name, value)| (name.as_str(), value.value.reveal()));
                Way::Process { command, args: &self.args, env: env.collect() }
            }
            None => Way::Http {
                url: self.url.as_deref().unwrap_or_default(),
                key: self.key.as_ref().map(Secret::reveal),
                headers: self.headers.iter().filter_map(|(name, value)| header(name, value).ok()).collect(),
            },
        }
    }

    /// What must not be in a log, the longest first: values of the environment and of headers, the key, and the URL, which may
    /// hold one, as it is written, as libraries write it, and in parts.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let headers = self.headers.values().map(|value| value.value.reveal());
        // A server may quote a token without the scheme before it.
        let tokens = headers.clone().filter_map(|value| value.rsplit_once(' ').map(|(_, token)| token));
        let values = self.env.values().map(|value| value.value.reveal()).chain(headers).chain(tokens);
        let values = values.chain(self.key.as_ref().map(Secret::reveal)).chain(self.url.as_deref());
        let mut secrets: Vec<String> = values.map(str::to_owned).collect();
        if let Some(url) = self.url.as_deref().and_then(|url| Url::parse(url).ok()) {
            secrets.extend(parts_of(&url));
        }
        secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
        // Of a shorter one that is a part of a longer one the rest would stay.
        secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        secrets
    }
}

/// What of a URL may be a secret, beside the URL as it was written.
fn parts_of(url: &Url) -> Vec<String> {
    let mut parts = vec![url.to_string(), url.username().to_owned()];
    // As an HTTP library shows it, which sends the name of a user in a header.
    let mut plain = url.clone();
    if plain.set_username("").is_ok() {
        parts.push(plain.to_string());
    }
    let query = url.query().unwrap_or_default();
    parts.push(query.to_owned());
    parts.extend(query.split('&').filter_map(|pair| pair.split_once('=')).map(|(_, value)| value.to_owned()));
    parts.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    let long = url.path_segments().into_iter().flatten().filter(|part| part.len() >= KEY_IN_A_PATH);
    parts.extend(long.map(str::to_owned));
    parts
}

fn header(name: &str, value: &Value) -> Result<(HeaderName, HeaderValue), &'static str> {
    let name = name.parse().map_err(|_| "is no name of a header")?;
    let mut value = HeaderValue::from_str(value.value.reveal())
        .map_err(|_| "must have a value of one line of visible characters")?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn first_line(path: &Path) -> Result<Secret, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    if text.len() > SECRET_BYTES {
        return Err(format!("{shown}: must have at most {SECRET_BYTES} bytes, has {}", text.len()));
    }
    Ok(Secret::from(text.lines().next().unwrap_or_default().trim().to_owned()))
}

#[cfg(test)]
mod tests;
