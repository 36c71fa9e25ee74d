//! The worker SDK and the ready bot against a fake queue-service on a real socket.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod bot;
#[cfg(feature = "openai")]
mod bots;
mod drafts;
#[cfg(feature = "openai")]
mod endpoint;
mod fake;
#[cfg(feature = "openai")]
mod openai;
#[cfg(feature = "openai")]
mod outages;
mod outcomes;
mod path;
#[cfg(feature = "openai")]
mod quirks;
mod session;
mod tokens;
#[cfg(feature = "openai")]
mod tools;

use std::future::Future;

use bot_worker::{Error, HandlerError, Reply, Task, Worker, echo};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A worker that runs beside the test.
struct Running {
    shutdown: CancellationToken,
    ended: JoinHandle<Result<(), Error>>,
}

impl Running {
    async fn stop(self) {
        self.shutdown.cancel();
        self.ended.await.unwrap().unwrap();
    }
}

/// Starts a worker with a handler that echoes.
fn start_echo(worker: Worker) -> Running {
    start(worker, echo)
}

/// Starts a worker with a handler of the test.
fn start<H, F, R>(worker: Worker, handler: H) -> Running
where
    H: Fn(Task) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, HandlerError>> + Send + 'static,
    R: Into<Option<Reply>> + 'static,
{
    let shutdown = CancellationToken::new();
    let ended = tokio::spawn(worker.run_until(shutdown.clone(), handler));
    Running { shutdown, ended }
}
