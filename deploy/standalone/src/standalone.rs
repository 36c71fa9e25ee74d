//! The parts and their order: the queue first and last, the gateway and the bot between.

use std::io::{self, IsTerminal as _, Write as _};

use bot_worker::Worker;
use repartee_process::{NewToken, QueueLink, Ready, Role, Secret, Shutdown, TokensFileError, reachable};
use tokio::{
    task::{JoinError, JoinHandle},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    first_start,
    settings::{FRONTS, PLACEHOLDER_URL, Settings},
};

/// The entity that the demo bot answers.
const DEMO_ENTITY: &str = "echo";

/// Why the process cannot start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A setting that belongs to one of the parts.
    #[error("a setting in the environment is wrong: {0}")]
    Settings(#[from] clap::Error),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] queue_service::Error),
    /// The gateway.
    #[error(transparent)]
    Gateway(#[from] rest_gateway::Error),
    /// The demo bot.
    #[error("the demo bot failed")]
    Bot(#[from] bot_worker::Error),
    /// A token of the first start.
    #[error(transparent)]
    Token(#[from] TokensFileError),
    /// One of the parts ended by a bug.
    #[error("a part of the process ended unexpectedly")]
    Part(#[from] JoinError),
    /// The ready file.
    #[error(transparent)]
    ReadyFile(#[from] repartee_process::ReadyFileError),
}

/// Runs everything until it is to stop or a part fails.
pub(crate) async fn run(settings: Settings, shutdown: Shutdown) -> Result<(), Error> {
    let is_first = settings.tokens_file.is_none() && first_start::make_tokens(&settings.data_dir)?;
    // What the parts prove to each other never leaves this process.
    let gateways = NewToken::draw(Role::Gateway, &[], "the gateway of this process", None);
    let bots = NewToken::draw(Role::Worker, &[DEMO_ENTITY.to_owned()], "the demo bot of this process", None);
    let (gateway_token, bot_token) = (gateways.secret.clone(), bots.secret.clone());
    let mut queue =
        queue_service::Server::bind_trusting(settings.queue_service()?, vec![gateways, bots]).await?;
    let grpc = queue.addr();
    // They reach it without a socket; that is for others.
    let link = QueueLink::in_process(queue.in_process());
    let workers = format!("{}://{}", scheme(queue.is_tls()), reachable(grpc));
    let gateway = settings.rest_gateway(PLACEHOLDER_URL)?;
    let gateway = rest_gateway::Settings { token: Some(gateway_token), ..gateway };
    // One process has one set of metrics, so one of its addresses has them.
    let gateway = rest_gateway::Server::bind_before(link.clone(), gateway).await?;
    let gateway = gateway.measuring(vec![queue.hand_over_metrics()]);
    let metrics = gateway.metrics_addr();
    let http = gateway.addr();
    let page = format!("{}://{}", scheme(gateway.is_tls()), reachable(http));

    let (fronts, back) = (CancellationToken::new(), CancellationToken::new());
    let stops = |stop: &CancellationToken| Shutdown { stop: stop.clone(), leaving: shutdown.leaving.clone() };
    let mut queue: JoinHandle<_> = tokio::spawn(queue.serve(stops(&back)));
    let mut gateway: JoinHandle<_> = tokio::spawn(gateway.serve(stops(&fronts)));
    let mut bot: JoinHandle<_> = tokio::spawn(demo_bot(settings.demo_bot, link, bot_token, fronts.clone()));
    greet(&settings, is_first, &workers, &page);
    if let Some(path) = &settings.ready_file {
        Ready { grpc: Some(grpc), http: Some(http), metrics }.write_to(path)?;
    }

    tokio::select! {
        () = shutdown.stop.cancelled() => {}
        ended = &mut queue => return Ok(ended??),
        ended = &mut gateway => return Ok(ended??),
        ended = &mut bot => return Ok(ended??),
    }
    fronts.cancel();
    let ended = timeout(FRONTS, async { tokio::join!(gateway, bot) }).await;
    back.cancel();
    queue.await??;
    if let Ok((gateway, bot)) = ended {
        gateway??;
        bot??;
    }
    Ok(())
}

/// Answers the demo entity; without the bot, only waits for the end.
async fn demo_bot(
    wanted: bool,
    link: QueueLink,
    token: Secret,
    shutdown: CancellationToken,
) -> Result<(), bot_worker::Error> {
    if !wanted {
        shutdown.cancelled().await;
        return Ok(());
    }
    let bot = Worker::over(link).token(token.reveal()).name("demo-bot").entity(DEMO_ENTITY);
    let bot = bot.max_in_flight(16).drain(FRONTS / 2);
    bot.run_until(shutdown, bot_worker::echo_aloud).await
}

fn scheme(is_tls: bool) -> &'static str {
    if is_tls { "https" } else { "http" }
}

/// What a person who started this wants to know first.
fn greet(settings: &Settings, is_first: bool, workers: &str, page: &str) {
    let data = std::path::absolute(&settings.data_dir).unwrap_or_else(|_| settings.data_dir.clone());
    let bot = if settings.demo_bot { "answers the entity \"echo\"" } else { "none" };
    // Where a log keeps what is printed, the token would be in it with each start.
    let may_show = is_first || io::stdout().is_terminal();
    let token = first_start::operator_token(&settings.data_dir).filter(|_| may_show);
    let admin = match (token, first_start::operator_token_file(&data)) {
        (Some(token), _) => format!("{page}/admin#token={}", token.reveal()),
        (None, Some(path)) => format!("{page}/admin, the token is in {}", path.display()),
        (None, None) => format!("{page}/admin (with an operator's token)"),
    };
    let worker_token = match first_start::worker_token_file(&data) {
        Some(path) => format!("the token of workers is in {}", path.display()),
        None => "with a token: repartee token new --role worker --entity NAME".to_owned(),
    };
    let lines = format!(
        "Repartee is running.\n  page     {page}/\n  operator {admin}\n  workers  {workers} (gRPC), {worker_token}\n  \
         data     {}\n  bot      {bot}\nStop with Ctrl-C; the next start continues with the same data.\n",
        data.display(),
    );
    // A service goes on though nobody reads its terminal.
    let _ = io::stdout().write_all(lines.as_bytes());
}
