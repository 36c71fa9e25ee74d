//! The parts and their order: the queue first and last, the gateway and the bot between.

use std::{
    io::{self, IsTerminal as _, Write as _},
    net::SocketAddr,
    time::Duration,
};

use bot_worker::Worker;
use repartee_process::{NewToken, Ready, Role, Secret, TokensFileError};
use tokio::{
    task::{JoinError, JoinHandle},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{first_start, settings::Settings};

/// The entity that the demo bot answers.
const DEMO_ENTITY: &str = "echo";

/// How long the gateway and the bot may take to end before the queue is told to. The queue takes 6 s at the most, and
/// the whole has 10 s.
const FRONTS: Duration = Duration::from_secs(2);

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

/// Runs everything until `shutdown` is cancelled or a part fails.
pub(crate) async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), Error> {
    let is_first = settings.tokens_file.is_none() && first_start::make_tokens(&settings.data_dir)?;
    // What the parts prove to each other never leaves this process.
    let gateways = NewToken::draw(Role::Gateway, &[], "the gateway of this process", None);
    let bots = NewToken::draw(Role::Worker, &[DEMO_ENTITY.to_owned()], "the demo bot of this process", None);
    let (gateway_token, bot_token) = (gateways.secret.clone(), bots.secret.clone());
    let queue = queue_service::Server::bind_trusting(settings.queue_service()?, vec![gateways, bots]).await?;
    let grpc = queue.addr();
    let queue_url = format!("http://{}", reachable(grpc));
    let gateway = settings.rest_gateway(&queue_url)?;
    let gateway = rest_gateway::Settings { token: Some(gateway_token), ..gateway };
    let gateway = rest_gateway::Server::bind(gateway).await?;
    let metrics = gateway.metrics_addr();
    let http = gateway.addr();

    let (fronts, back) = (CancellationToken::new(), CancellationToken::new());
    let mut queue: JoinHandle<_> = tokio::spawn(queue.serve(back.clone()));
    let mut gateway: JoinHandle<_> = tokio::spawn(gateway.serve(fronts.clone()));
    let mut bot: JoinHandle<_> =
        tokio::spawn(demo_bot(settings.demo_bot, queue_url, bot_token, fronts.clone()));
    greet(&settings, is_first, grpc, http);
    if let Some(path) = &settings.ready_file {
        Ready { grpc: Some(grpc), http: Some(http), metrics }.write_to(path)?;
    }

    tokio::select! {
        () = shutdown.cancelled() => {}
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
    queue_url: String,
    token: Secret,
    shutdown: CancellationToken,
) -> Result<(), bot_worker::Error> {
    if !wanted {
        shutdown.cancelled().await;
        return Ok(());
    }
    let bot = Worker::connect(queue_url).token(token.reveal()).name("demo-bot").entity(DEMO_ENTITY);
    let bot = bot.max_in_flight(16).drain(FRONTS / 2);
    bot.run_until(shutdown, bot_worker::echo_aloud).await
}

/// The address under which this process reaches what it bound: an unspecified one means all, so the loopback too.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let mut address = bound;
    match bound {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into())
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            address.set_ip(std::net::Ipv6Addr::LOCALHOST.into())
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => {}
    }
    address
}

/// What a person who started this wants to know first.
fn greet(settings: &Settings, is_first: bool, grpc: SocketAddr, http: SocketAddr) {
    let data = std::path::absolute(&settings.data_dir).unwrap_or_else(|_| settings.data_dir.clone());
    let bot = if settings.demo_bot { "answers the entity \"echo\"" } else { "none" };
    let page = reachable(http);
    // Where a log keeps what is printed, the token would be in it with each start.
    let may_show = is_first || io::stdout().is_terminal();
    let token = first_start::operator_token(&settings.data_dir).filter(|_| may_show);
    let admin = match (token, first_start::operator_token_file(&data)) {
        (Some(token), _) => format!("http://{page}/admin#token={}", token.reveal()),
        (None, Some(path)) => format!("http://{page}/admin, the token is in {}", path.display()),
        (None, None) => format!("http://{page}/admin (with an operator's token)"),
    };
    let worker_token = match first_start::worker_token_file(&data) {
        Some(path) => format!("the token of workers is in {}", path.display()),
        None => "with a token: repartee token new --role worker --entity NAME".to_owned(),
    };
    let lines = format!(
        "Repartee is running.\n  page     http://{page}/\n  operator {admin}\n  workers  http://{} (gRPC), {worker_token}\n  \
         data     {}\n  bot      {bot}\nStop with Ctrl-C; the next start continues with the same data.\n",
        reachable(grpc),
        data.display(),
    );
    // A service goes on though nobody reads its terminal.
    let _ = io::stdout().write_all(lines.as_bytes());
}
