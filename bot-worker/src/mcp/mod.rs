//! The tools of a bot, by the Model Context Protocol: their servers, what of them the model may call, and the calls.
//!
//! Owns the servers' lives and the bounds of a call. It never decides what is called, trusts no result, and logs neither
//! arguments nor results. `rmcp` speaks the protocol.

mod connect;
mod list;
mod process;
mod result;
mod server;
mod settings;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use repartee_process::LiveGauge;
use rmcp::{
    Peer, RoleClient, ServiceError,
    model::{CallToolRequestParams, CallToolResponse, JsonObject, Tool},
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::server::{Keeper, State};
pub use self::settings::{ToolServers, ToolSettings};
pub(crate) use self::{
    result::{Outcome, Told},
    settings::TOOLS,
};

/// How long an answer waits for servers that are reached for the first time, if it has the time.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// Most letters of the name of a function, as endpoints take it.
const NAME_CHARS: usize = 64;
/// Most pairs of server and tool that metrics tell apart: a server may rename its tools for ever.
const COUNTED: usize = 256;

/// The tool servers of one bot. They are started by the first use, and end when this is dropped.
#[derive(Debug)]
pub(crate) struct Toolbox {
    bot: String,
    settings: ToolServers,
    servers: OnceLock<Vec<Server>>,
    keepers: Mutex<Vec<JoinHandle<()>>>,
    counted: Mutex<BTreeSet<(String, String)>>,
    stop: CancellationToken,
    _end: DropGuard,
}

#[derive(Debug)]
struct Server {
    name: String,
    state: watch::Receiver<State>,
    lost: Arc<Notify>,
}

/// A tool that the model may call.
#[derive(Debug, Clone)]
pub(crate) struct Offered {
    /// What the model calls it: letters, digits, `-` and `_`, at most 64.
    pub(crate) name: String,
    server: String,
    tool: Tool,
    peer: Peer<RoleClient>,
    lost: Arc<Notify>,
}

impl Offered {
    /// What it does, for the model.
    pub(crate) fn description(&self) -> &str {
        self.tool.description.as_deref().unwrap_or_default()
    }

    /// The JSON schema of its arguments.
    pub(crate) fn schema(&self) -> &JsonObject {
        &self.tool.input_schema
    }
}

impl Toolbox {
    /// The servers of the bot of this name; nothing is started yet.
    pub(crate) fn new(bot: &str, settings: &ToolServers) -> Self {
        let stop = CancellationToken::new();
        if !settings.is_empty() {
            describe_counter!(
                "repartee_bot_tool_calls_total",
                Unit::Count,
                "Tool calls of a bot's model, by how they ended"
            );
            describe_histogram!("repartee_bot_tool_call_seconds", Unit::Seconds, "How long tool calls took");
        }
        Self {
            bot: bot.to_owned(),
            settings: settings.clone(),
            servers: OnceLock::new(),
            keepers: Mutex::default(),
            counted: Mutex::default(),
            stop: stop.clone(),
            _end: stop.drop_guard(),
        }
    }

    /// Starts the servers, unless they are.
    pub(crate) fn start(&self) {
        self.servers();
    }

    /// Ends the servers, and waits until they have; 6 s at the most.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        let keepers = std::mem::take(&mut *self.keepers.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(keepers).await;
    }

    fn servers(&self) -> &[Server] {
        self.servers
            .get_or_init(|| self.settings.iter().map(|(name, server)| self.keep(name, server)).collect())
    }

    fn keep(&self, name: &str, server: &settings::ToolServer) -> Server {
        let (state, seen) = watch::channel(State::Starting);
        let lost = Arc::new(Notify::new());
        let labels = [("bot", self.bot.as_str()), ("server", name)];
        let up =
            LiveGauge::of("repartee_bot_tool_server_up", "1 if the tool server is there, else 0", &labels);
        let keeper = Keeper {
            up,
            bot: self.bot.clone(),
            name: name.to_owned(),
            server: server.clone(),
            state,
            lost: Arc::clone(&lost),
            stop: self.stop.clone(),
        };
        let keeper = tokio::spawn(keeper.keep());
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner).push(keeper);
        Server { name: name.to_owned(), state: seen, lost }
    }

    /// What the model may call now. Waits for servers that are reached for the first time, at most `patience`, and 10 s.
    pub(crate) async fn offered(&self, patience: Duration) -> Vec<Offered> {
        let reached = self.servers().iter().map(|server| {
            let mut state = server.state.clone();
            async move { state.wait_for(|state| !matches!(state, State::Starting)).await.map(drop) }
        });
        // Those that are late are offered later.
        let _ = timeout(FIRST_WAIT.min(patience), join_all(reached)).await;
        self.offered_now()
    }

    /// The same without waiting.
    pub(crate) fn offered_now(&self) -> Vec<Offered> {
        let mut offered: Vec<Offered> = Vec::new();
        for server in self.servers() {
            let State::Up(up) = server.state.borrow().clone() else { continue };
            for tool in &up.tools {
                let name = free_name(&server.name, &tool.name, &offered);
                let Some(name) = name.filter(|_| offered.len() < TOOLS) else {
                    tracing::debug!(bot = self.bot, server = server.name, tool = %tool.name, "not offered");
                    continue;
                };
                offered.push(Offered {
                    name,
                    server: server.name.clone(),
                    tool: tool.clone(),
                    peer: up.peer.clone(),
                    lost: Arc::clone(&server.lost),
                });
            }
        }
        offered
    }

    /// Calls a tool. Every failure is told to the model: it may know another way.
    pub(crate) async fn call(&self, tool: &Offered, arguments: JsonObject, limit: Duration) -> Told {
        let since = Instant::now();
        let request = CallToolRequestParams::new(tool.tool.name.clone()).with_arguments(arguments);
        // One that is late is cancelled by being dropped.
        let told = match timeout(limit, tool.peer.call_tool_once(request)).await {
            Err(_) => Told::failed(Outcome::TimedOut, format!("it took more than {} s", limit.as_secs_f32())),
            Ok(answer) => answered(answer),
        };
        if told.outcome == Outcome::Away {
            tool.lost.notify_one();
        }
        self.count(Some(tool), told.outcome, Some(since.elapsed()));
        told
    }

    /// Counts a call that was not made.
    pub(crate) fn refused(&self, tool: Option<&Offered>, why: impl AsRef<str>) -> Told {
        self.count(tool, Outcome::Refused, None);
        Told { text: format!("Not called: {}", why.as_ref()), outcome: Outcome::Refused }
    }

    fn count(&self, tool: Option<&Offered>, outcome: Outcome, took: Option<Duration>) {
        let pair = tool.map(|tool| (tool.server.clone(), tool.name.clone())).unwrap_or_default();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_counted = counted.contains(&pair) || (counted.len() < COUNTED && counted.insert(pair.clone()));
        let (server, name) = if is_counted { pair } else { (pair.0, "others".into()) };
        let labels = [("bot", self.bot.clone()), ("server", server), ("tool", name)];
        if let Some(took) = took {
            histogram!("repartee_bot_tool_call_seconds", &labels).record(took);
        }
        let [bot, server, tool] = labels;
        let labels = [bot, server, tool, ("outcome", outcome.label().to_owned())];
        counter!("repartee_bot_tool_calls_total", &labels).increment(1);
    }
}

fn answered(answer: Result<CallToolResponse, ServiceError>) -> Told {
    match answer {
        Ok(CallToolResponse::Complete(result)) => result::told(&result),
        // It asks for what a person would have to give, or for patience without end.
        Ok(_) => Told::failed(Outcome::Failed, "it asks back, and nobody is there to answer"),
        Err(ServiceError::McpError(error)) => Told::failed(Outcome::Failed, error.message),
        Err(ServiceError::Timeout { .. }) => Told::failed(Outcome::TimedOut, "it took too long"),
        Err(ServiceError::UnexpectedResponse) => Told::failed(Outcome::Failed, "it answered something else"),
        Err(_) => Told::failed(Outcome::Away, "its server is away at present"),
    }
}

/// A name for a tool that endpoints take and no other has: its own, or with its server's before it.
fn free_name(server: &str, tool: &str, taken: &[Offered]) -> Option<String> {
    let clean = |name: &str| -> String {
        let is_kept = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        name.chars().map(|letter| if is_kept(letter) { letter } else { '_' }).take(NAME_CHARS).collect()
    };
    let names = [clean(tool), clean(&format!("{server}_{tool}"))];
    names.into_iter().find(|name| !name.is_empty() && taken.iter().all(|other| other.name != *name))
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, Instant};

    use super::{ToolServers, Toolbox};

    #[tokio::test(start_paused = true)]
    async fn an_answer_waits_for_a_server_that_starts_no_longer_than_it_has_time() {
        let table = "[slow]\ncommand = \"sleep\"\nargs = [\"1000\"]\ntools = [\"*\"]\n";
        let servers: ToolServers = toml::from_str(table).unwrap();
        for (patience, waits) in [(1, 1), (60, 10)] {
            let toolbox = Toolbox::new("test", &servers);
            let since = Instant::now();
            assert!(toolbox.offered(Duration::from_secs(patience)).await.is_empty());
            assert_eq!(since.elapsed().as_secs(), waits);
            toolbox.end().await;
        }
    }
}
