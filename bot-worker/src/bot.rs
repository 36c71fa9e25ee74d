//! The ready bot: the SDK, with an answer that is chosen by settings.

use std::path::Path;

use repartee_process::Ready;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{Error, HandlerError, Reply, Settings, Task, Worker};

/// A handler that answers with the text that it got.
///
/// # Errors
/// Never.
pub async fn echo(task: Task) -> Result<Reply, HandlerError> {
    Ok(Reply::new(task.text()))
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
