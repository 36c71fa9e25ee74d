//! The ready bot: the SDK, with an answer that is chosen by settings.

use std::{path::Path, time::Duration};

use repartee_process::Ready;
use tokio::{sync::oneshot, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{Error, HandlerError, Reply, Settings, Task, Worker};

/// In how many steps the echo is written where people watch, and how long each takes.
const STEPS: usize = 5;
const STEP: Duration = Duration::from_millis(80);

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

/// Runs the ready bot until `shutdown` is cancelled, then drains.
///
/// # Errors
/// As [`Worker::run_until`], and where the ready file or the HTTP client fails at the start.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), Error> {
    let (ready, accepted) = oneshot::channel();
    let worker = worker(&settings).on_ready(move || {
        // A bot that has ended needs no ready file.
        let _ = ready.send(());
    });
    let mut answering = Box::pin(answer(worker, &settings, shutdown));
    tokio::select! {
        result = &mut answering => return result,
        Ok(()) = accepted => write_ready_file(settings.ready_file.as_deref())?,
    }
    answering.await
}

fn worker(settings: &Settings) -> Worker {
    let worker =
        Worker::connect(&settings.queue_url).name(&settings.name).max_in_flight(settings.max_in_flight);
    let worker = match (&settings.token_file, &settings.token) {
        (Some(path), _) => worker.token_file(path),
        (None, Some(token)) => worker.token(token.reveal()),
        (None, None) => worker,
    };
    settings.entities.iter().fold(worker, Worker::entity)
}

#[cfg(feature = "openai")]
async fn answer(worker: Worker, settings: &Settings, shutdown: CancellationToken) -> Result<(), Error> {
    let Some(url) = &settings.openai.openai_base_url else { return worker.run_until(shutdown, echo).await };
    let bot = std::sync::Arc::new(crate::OpenAi::new(url, &settings.openai)?);
    let handler = move |task| {
        let bot = std::sync::Arc::clone(&bot);
        async move { bot.answer(&task).await }
    };
    worker.context(settings.openai.context).run_until(shutdown, handler).await
}

#[cfg(not(feature = "openai"))]
async fn answer(worker: Worker, _settings: &Settings, shutdown: CancellationToken) -> Result<(), Error> {
    worker.run_until(shutdown, echo).await
}

fn write_ready_file(path: Option<&Path>) -> Result<(), Error> {
    path.map_or(Ok(()), |path| Ok(Ready::default().write_to(path)?))
}
