//! One message to answer, as a handler sees it.

use repartee_proto::v1::Message;
use tokio_util::sync::CancellationToken;

use crate::Draft;

/// One message to answer, with what is needed to answer it.
#[derive(Debug, Clone)]
pub struct Task {
    message: Message,
    context: Vec<Message>,
    cancelled: CancellationToken,
    draft: Draft,
}

impl Task {
    pub(crate) fn new(message: Message, context: Vec<Message>, cancelled: CancellationToken) -> Self {
        Self { message, context, cancelled, draft: Draft::new() }
    }

    /// The message.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// What the human said.
    pub fn text(&self) -> &str {
        &self.message.text
    }

    /// The last messages of the conversation before this one, oldest first; as many as the worker asked for.
    pub fn context(&self) -> &[Message] {
        &self.context
    }

    /// How many times the message was claimed, this time included: 1 on the first attempt.
    pub fn attempt(&self) -> u32 {
        self.message.bot_params.as_ref().map_or(1, |bot| bot.attempts)
    }

    /// Shows people what the bot is writing, until the reply is posted: `task.draft().push("I think ")`.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Fires when nobody waits for the answer any more: the lease is lost, the message was cancelled, or the worker's
    /// time to drain is over. Half a second later the handler is dropped.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }
}
