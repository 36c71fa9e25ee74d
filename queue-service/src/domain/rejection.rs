//! Why a command was refused. A refused command changes nothing.

use uuid::Uuid;

use super::{Millis, Status, Violation};

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// The request breaks limits; it will always be refused.
    #[error("{}", describe(.0))]
    Invalid(Vec<Violation>),
    /// A visitor's post under a name that is a bot's, or for an answer under a name that is not the bot's.
    #[error("{}: {}", .0.field, .0.description)]
    NameReserved(Violation),
    /// The caller has no right to what these fields ask for.
    #[error("{}", describe(violations))]
    NotAllowed {
        /// False if the caller proved nothing: a token would help.
        by_token: bool,
        /// What is not allowed.
        violations: Vec<Violation>,
    },
    /// A visitor's question in a conversation that another visitor began.
    #[error(
        "this conversation belongs to another visitor: choose another color or name, or send the secret with which it was begun"
    )]
    ConversationTaken,
    /// No such message.
    #[error("no message has the id {0}")]
    NotFound(Uuid),
    /// A claim of a message that does not wait.
    #[error("Message status is {0}, not pending")]
    NotPending(Status),
    /// A claim of a message that was posted for later.
    #[error("the message is not to be handed out before {due} (Unix milliseconds)")]
    NotDue {
        /// When it is due.
        due: Millis,
    },
    /// A claim of a message whose entity is paused.
    #[error("the entity {0:?} is paused by an operator; its messages wait until it goes on")]
    EntityPaused(String),
    /// A claim of a message whose entity is at a limit.
    #[error("the entity {entity:?} is at its limit of {limit} {of}; nothing was claimed, try again later")]
    EntityLimit {
        /// The entity.
        entity: String,
        /// The limit.
        limit: u32,
        /// What it limits.
        of: &'static str,
        /// When to try again.
        retry_after_ms: Millis,
    },
    /// Too many entities are paused.
    #[error("{limit} entities are paused, which is the limit; resume one first")]
    TooManyPaused {
        /// The limit.
        limit: usize,
    },
    /// The message was edited as often as it may be.
    #[error("the message was edited {limit} times, which is the limit; nothing was changed")]
    TooManyEdits {
        /// The limit.
        limit: u32,
    },
    /// The caller's lease is over: another claim holds the message, or it waits for one.
    #[error("the lease is lost: {0}; stop working on this message")]
    LeaseLost(&'static str),
    /// Another claim finished the message.
    #[error("the message was completed under another claim")]
    AlreadyCompleted,
    /// The message was cancelled or deleted.
    #[error("the message was cancelled")]
    Cancelled,
    /// The message was given up.
    #[error("the message failed after its last attempt; retry it to put it back")]
    Failed,
    /// The step does not lead on from where the message stands.
    #[error("{0}")]
    WrongStatus(String),
    /// Too many messages wait already.
    #[error("{waiting} messages wait {}, the limit is {limit}; nothing was changed, try again later", place(of.as_deref()))]
    QueueFull {
        /// How many wait.
        waiting: usize,
        /// The limit.
        limit: usize,
        /// The entity for which they wait; absent where all that wait are meant.
        of: Option<String>,
        /// When to try again.
        retry_after_ms: Millis,
    },
    /// Unfinished messages hold too many bytes already.
    #[error(
        "unfinished messages hold {bytes} bytes, the limit (--max-pending-bytes) is {limit}; nothing was changed, try \
         again later"
    )]
    PendingBytes {
        /// How many bytes they hold.
        bytes: usize,
        /// The limit.
        limit: usize,
        /// When to try again.
        retry_after_ms: Millis,
    },
    /// The idempotency key was used for another message.
    #[error("this idempotency key was used within the last 24 h for another message; use a new key")]
    IdempotencyConflict,
}

impl Rejection {
    /// A refusal for one field.
    pub fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation { field: field.into(), description: description.into() }])
    }
}

fn place(entity: Option<&str>) -> String {
    entity.map_or_else(|| "in all".to_owned(), |entity| format!("for the entity {entity:?}"))
}

fn describe(violations: &[Violation]) -> String {
    let lines: Vec<_> = violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect();
    lines.join("; ")
}
