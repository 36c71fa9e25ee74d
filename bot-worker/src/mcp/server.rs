//! One tool server over time: it is reached, reached again when it is lost, and asked for its tools when they change.
//!
//! What is wrong with it is said once, by name, until it is there again.

use std::{sync::Arc, time::Duration};

use repartee_process::LiveGauge;
use rmcp::{Peer, RoleClient, model::Tool};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    connect::{self, Session},
    list::{self, Listed},
    settings::ToolServer,
};
use crate::backoff::{Backoff, Waits};

/// Waits before a server is started or reached again.
const AGAIN: Waits = Waits::new(Duration::from_secs(1), Duration::from_secs(60));
/// A server that has lived for so long may be started again at once.
const LIVED: Duration = Duration::from_secs(60);
/// Between two looks at the tools of a server that says nothing of changes.
const LOOK_EVERY: Duration = Duration::from_secs(300);

/// What is known of a server.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// It is reached for the first time.
    Starting,
    Up(Arc<Up>),
    Away,
}

/// A server that is there.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) peer: Peer<RoleClient>,
    /// Those that are allowed.
    pub(super) tools: Vec<Tool>,
}

/// Keeps one server.
pub(super) struct Keeper {
    /// Whether it is there, for the metrics.
    pub(super) up: LiveGauge,
    pub(super) bot: String,
    pub(super) name: String,
    pub(super) server: ToolServer,
    pub(super) state: watch::Sender<State>,
    /// Told when a call found it away.
    pub(super) lost: Arc<Notify>,
    pub(super) stop: CancellationToken,
}

impl Keeper {
    /// Keeps it until it is stopped, then ends it.
    pub(super) async fn keep(self) {
        let mut backoff = Backoff::new(AGAIN);
        let mut is_said = false;
        loop {
            let changed = Arc::new(Notify::new());
            let reached = tokio::select! {
                reached = connect::connect(&self.server, Arc::clone(&changed)) => reached,
                () = self.stop.cancelled() => return,
            };
            match reached {
                Ok((session, listed)) => {
                    let since = Instant::now();
                    tracing::info!(bot = self.bot, server = self.name, "the tool server is there");
                    self.say_what_is_missing(&listed);
                    is_said = false;
                    let Some(why) = self.follow(session, listed.tools, &changed).await else { return };
                    let why = connect::without_secrets(&why, &self.server);
                    tracing::warn!(
                        bot = self.bot,
                        server = self.name,
                        why,
                        "the tool server is lost; trying again"
                    );
                    if since.elapsed() > LIVED {
                        backoff.reset();
                    }
                }
                Err(why) if !is_said => {
                    let hint = "answering without its tools; trying again";
                    tracing::error!(bot = self.bot, server = self.name, why, "no tool server: {hint}");
                    is_said = true;
                }
                Err(why) => tracing::debug!(bot = self.bot, server = self.name, why, "still no tool server"),
            }
            self.show(State::Away);
            tokio::select! {
                () = sleep(backoff.next(rand::random())) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Follows a server that is there until it is lost, ends it, and gives why; None if this was stopped.
    async fn follow(&self, mut session: Session, tools: Vec<Tool>, changed: &Notify) -> Option<String> {
        let why = self.watch(&mut session, tools, changed).await;
        self.show(State::Away);
        session.end().await;
        why
    }

    async fn watch(&self, session: &mut Session, tools: Vec<Tool>, changed: &Notify) -> Option<String> {
        let peer = session.peer.clone();
        let mut ended = std::pin::pin!(session.ended());
        self.show_tools(&peer, tools);
        let mut looks = interval(LOOK_EVERY);
        looks.reset();
        loop {
            tokio::select! {
                () = &mut ended => return Some("it has ended".into()),
                () = self.stop.cancelled() => return None,
                () = changed.notified() => {}
                () = self.lost.notified() => {}
                _ = looks.tick() => {}
            }
            let listed = tokio::select! {
                listed = list::list(&peer, &self.server) => listed,
                () = &mut ended => return Some("it has ended".into()),
                () = self.stop.cancelled() => return None,
            };
            match listed {
                Ok(listed) => self.show_tools(&peer, listed.tools),
                Err(why) => return Some(why),
            }
        }
    }

    fn show_tools(&self, peer: &Peer<RoleClient>, tools: Vec<Tool>) {
        self.show(State::Up(Arc::new(Up { peer: peer.clone(), tools })));
    }

    fn show(&self, state: State) {
        self.up.set(if matches!(state, State::Up(_)) { 1.0 } else { 0.0 });
        self.state.send_replace(state);
    }

    fn say_what_is_missing(&self, listed: &Listed) {
        if let Some(why) = listed.stopped {
            tracing::warn!(
                bot = self.bot,
                server = self.name,
                why,
                "the tool server's list was not read to its end"
            );
        }
        for tool in self.server.named().filter(|name| listed.tools.iter().all(|tool| tool.name != *name)) {
            let hint = "or with a schema of more than 16 KiB";
            tracing::warn!(
                bot = self.bot,
                server = self.name,
                tool,
                "the tool server has no such tool, {hint}"
            );
        }
    }
}
