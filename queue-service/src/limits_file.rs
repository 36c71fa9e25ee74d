//! Following the file of the entities' limits: what is written there applies a second later, without a restart.

use std::path::PathBuf;

use repartee_process::Looks;
use tokio_util::sync::CancellationToken;

use crate::{
    settings::{parse_entity_limits, read_entity_limits},
    writer::QueueHandle,
};

/// The file, and what was last seen in it.
pub(crate) struct LimitsFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl LimitsFile {
    /// Applies what is written to the file until `stop`. Content that is wrong is logged once; the old limits stay.
    pub(crate) async fn follow(mut self, queue: QueueHandle, stop: CancellationToken) {
        let path = self.path.clone();
        let (mut looks, mut wrong) = (Looks::by(move || read_entity_limits(&path)), None);
        loop {
            let read = tokio::select! {
                () = stop.cancelled() => return,
                read = looks.next() => read,
            };
            let outcome = match read {
                Ok(text) if text == self.text => Ok(()),
                Ok(text) => self.apply(text, &queue).await,
                Err(error) => Err(error),
            };
            let error = outcome.err();
            if let Some(error) = error.as_ref().filter(|_| error != wrong) {
                tracing::error!(file = %self.path.display(), "the file of --entity-limits is wrong, the limits stay as they were: {error}");
            }
            wrong = error;
        }
    }

    async fn apply(&mut self, text: String, queue: &QueueHandle) -> Result<(), String> {
        let limits = parse_entity_limits(&text)?;
        // Where too much waits for the writer, the next look tries again.
        queue.set_entity_limits(limits).await.map_err(|error| error.to_string())?;
        tracing::info!(file = %self.path.display(), "the limits of entities are those of the changed file");
        self.text = text;
        Ok(())
    }
}
