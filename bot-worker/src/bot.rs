//! The ready bot: the SDK, with answers that are chosen by settings.
//!
//! Runs one worker for each bot, and follows the files of the settings: a bot that is changed there is drained and begins
//! anew, one that is removed is drained, one that is added begins.

use std::{collections::HashMap, net::SocketAddr, path::Path, time::Duration};

use repartee_process::Ready;
use tokio::{
    sync::oneshot,
    task::{self, JoinSet},
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::AbortOnDropHandle,
};

use crate::{
    Breaker, Error, HandlerError, Reply, Settings, Task, Worker,
    bots::{self, Answers, Bot},
    health::{Health, OpenStreams},
    scrape::MetricsFace,
};

/// In how many steps the echo is written where people watch, and how long each takes.
const STEPS: usize = 5;
const STEP: Duration = Duration::from_millis(80);
/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A handler that answers with the text that it got.
///
/// # Errors
/// Never.
pub async fn echo(task: Task) -> Result<Reply, HandlerError> {
    Ok(Reply::new(task.text()))
}

/// The same, writing so that people can watch: the text grows for a moment before it is the reply.
///
/// # Errors
/// Never.
pub async fn echo_aloud(task: Task) -> Result<Reply, HandlerError> {
    let letters: Vec<char> = task.text().chars().collect();
    for part in letters.chunks(letters.len().div_ceil(STEPS).max(1)) {
        task.draft().push(String::from_iter(part));
        sleep(STEP).await;
    }
    echo(task).await
}

/// Runs the ready bot until `shutdown` is cancelled, then drains. A bot that ends by an error leaves the others as they are.
///
/// # Errors
/// As [`Worker::run_until`] of one of the bots if none is left, and if the ready file, the metrics or the HTTP client fail at
/// the start. What is held then is finished first.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), Error> {
    let face = settings.metrics_addr.map(MetricsFace::listen).transpose()?;
    let address = face.as_ref().and_then(MetricsFace::addr);
    let health = Health::new(shutdown.clone());
    let _metrics = face.map(|face| AbortOnDropHandle::new(tokio::spawn(face.serve(health.clone()))));
    let bots = read(&settings).await?;
    let mut fleet = Fleet::new(settings, shutdown.clone(), health)?;
    let result = fleet.run(bots, address, &shutdown).await;
    result.and(fleet.drain().await)
}

/// The bots of the settings and their files.
async fn read(settings: &Settings) -> Result<Vec<Bot>, Error> {
    let settings = settings.clone();
    let bots = task::spawn_blocking(move || bots::of(&settings)).await;
    let wrong = |problem| Error::Setting { setting: "bots", problem };
    bots.unwrap_or_else(|_| Err("they cannot be read".into())).map_err(wrong)
}

/// How a worker has ended.
type Ended = Result<(task::Id, Result<(), Error>), task::JoinError>;

/// The workers that run.
struct Fleet {
    settings: Settings,
    shutdown: CancellationToken,
    health: Health,
    running: HashMap<String, Running>,
    workers: JoinSet<Result<(), Error>>,
    /// Why the last of those that failed did.
    failed: Option<Error>,
    /// What was last wrong with the files: it is said once.
    wrong: Option<String>,
    #[cfg(feature = "openai")]
    ledger: crate::openai::Ledger,
}

/// A bot that runs, or has failed: then it is started anew once its settings change. Dropping it lets it drain.
struct Running {
    bot: Bot,
    task: task::Id,
    _stop: DropGuard,
}

impl Fleet {
    fn new(settings: Settings, shutdown: CancellationToken, health: Health) -> Result<Self, Error> {
        #[cfg(feature = "openai")]
        let ledger = {
            let wrong = |problem| Error::Setting { setting: "state_file", problem };
            crate::openai::Ledger::open(settings.state_file.as_deref()).map_err(wrong)?
        };
        Ok(Self {
            settings,
            shutdown,
            health,
            running: HashMap::new(),
            workers: JoinSet::new(),
            failed: None,
            wrong: None,
            #[cfg(feature = "openai")]
            ledger,
        })
    }

    /// Runs these bots, and what becomes of them by their files, until the shutdown.
    async fn run(
        &mut self,
        bots: Vec<Bot>,
        address: Option<SocketAddr>,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let accepted: Vec<_> = bots.into_iter().map(|bot| self.start(bot)).collect::<Result<_, _>>()?;
        let mut accepted = Some(std::pin::pin!(futures_util::future::join_all(accepted)));
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some(ended) = self.workers.join_next_with_id() => self.ended(ended)?,
                _ = async { accepted.as_mut().expect("it is there").await }, if accepted.is_some() => {
                    accepted = None;
                    write_ready_file(self.settings.ready_file.as_deref(), address)?;
                }
                _ = looks.tick() => self.look().await,
            }
        }
    }

    /// Starts a bot; another one of the same name drains. The receiver hears when the service has accepted it.
    fn start(&mut self, bot: Bot) -> Result<oneshot::Receiver<()>, Error> {
        let (ready, accepted) = oneshot::channel();
        let stop = self.shutdown.child_token();
        let worker = self.worker(&bot).on_ready(move || {
            // A process that has ended needs no ready file.
            let _ = ready.send(());
        });
        let task = self.answer(worker, &bot, stop.clone())?;
        self.running.insert(bot.name(), Running { bot, task, _stop: stop.drop_guard() });
        Ok(accepted)
    }

    fn worker(&self, bot: &Bot) -> Worker {
        let settings = &self.settings;
        let worker =
            Worker::connect(&settings.queue_url).name(&settings.name).max_in_flight(bot.max_in_flight);
        let worker = worker.queue_tls(settings.queue_tls.clone());
        let worker = match (&settings.token_file, &settings.token) {
            (Some(path), _) => worker.token_file(path),
            (None, Some(token)) => worker.token(token.reveal()),
            (None, None) => worker,
        };
        bot.entities.iter().fold(worker, Worker::entity)
    }

    fn answer(&mut self, worker: Worker, bot: &Bot, stop: CancellationToken) -> Result<task::Id, Error> {
        let handle = match &bot.answers {
            Answers::Echo => {
                let worker = self.watched(worker, bot, Breaker::of_time_alone(&bot.name()));
                self.workers.spawn(worker.run_until(stop, echo))
            }
            #[cfg(feature = "openai")]
            Answers::Endpoint(settings) => {
                use std::sync::Arc;
                let name = bot.name();
                let spending = self.ledger.spending(&name);
                let url = settings.openai_base_url.as_deref().unwrap_or_default();
                let openai = Arc::new(crate::OpenAi::spending(&name, url, settings, spending)?);
                openai.start_tools();
                let worker = self.watched(worker.context(settings.history), bot, openai.breaker());
                let answering = Arc::clone(&openai);
                let handler = move |task| {
                    let openai = Arc::clone(&answering);
                    async move { openai.answer(&task).await }
                };
                let working = worker.run_until(stop, handler);
                self.workers.spawn(async move {
                    let result = working.await;
                    openai.end_tools().await;
                    result
                })
            }
        };
        Ok(handle.id())
    }

    /// The worker of a bot, with its breaker; the probes see both from now on.
    fn watched(&self, worker: Worker, bot: &Bot, breaker: Breaker) -> Worker {
        let streams = OpenStreams::new(&bot.name());
        self.health.begin(bot.name(), streams.clone(), breaker.clone());
        worker.breaker(breaker).showing(streams)
    }

    /// Looks at the files, and makes the bots that run those that stand there. Wrong content changes nothing.
    async fn look(&mut self) {
        #[cfg(feature = "openai")]
        self.ledger.save().await;
        let bots = match read(&self.settings).await {
            Ok(bots) => bots,
            Err(error) => {
                let problem = error.to_string();
                if self.wrong.as_ref() != Some(&problem) {
                    tracing::error!(problem, "the files of the bots are wrong; going on with what they were");
                }
                self.wrong = Some(problem);
                return;
            }
        };
        self.wrong = None;
        self.running.retain(|name, running| {
            let stays = bots.iter().any(|bot| bot.name() == *name);
            if !stays {
                tracing::info!(bot = running.bot.name(), "removed from the file; draining");
            }
            stays
        });
        self.health.keep(|name| bots.iter().any(|bot| bot.name() == name));
        for bot in bots {
            if self.running.get(&bot.name()).is_none_or(|running| running.bot != bot) {
                tracing::info!(bot = bot.name(), "new or changed; starting");
                let name = bot.name();
                if let Err(error) = self.start(bot) {
                    tracing::error!(bot = name, %error, "cannot start; going on with what runs");
                }
            }
        }
    }

    /// Notes that a worker has ended.
    ///
    /// # Errors
    /// Why the last one failed, if none is left.
    fn ended(&mut self, ended: Ended) -> Result<(), Error> {
        let (task, result) = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Ok(()),
        };
        if let Err(error) = result {
            let of_task = self.running.iter().find(|(_, running)| running.task == task);
            let bot = of_task.map_or("one that was removed", |(name, _)| name);
            tracing::error!(bot, %error, "a bot has ended; change its entry, or start again, once the cause is mended");
            self.failed = Some(error);
        }
        if self.workers.is_empty() { self.failed.take().map_or(Ok(()), Err) } else { Ok(()) }
    }

    /// Lets all finish what they hold.
    async fn drain(mut self) -> Result<(), Error> {
        self.running.clear();
        self.failed = None;
        let mut result = Ok(());
        while let Some(ended) = self.workers.join_next_with_id().await {
            result = self.ended(ended);
        }
        #[cfg(feature = "openai")]
        self.ledger.save().await;
        result
    }
}

fn write_ready_file(path: Option<&Path>, metrics: Option<SocketAddr>) -> Result<(), Error> {
    path.map_or(Ok(()), |path| Ok(Ready { metrics, ..Ready::default() }.write_to(path)?))
}
