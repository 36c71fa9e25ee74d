//! Why a command was refused. A refused command changes nothing.

use std::time::{Duration, UNIX_EPOCH};

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
    /// A claim by a worker that pauses, because its leases end without results.
    #[error(
        "the worker {worker_id:?} has lost {lost} leases in a row without a result and pauses; nothing was claimed, try again \
         later"
    )]
    WorkerPaused {
        /// The worker.
        worker_id: String,
        /// How many leases it has lost in a row.
        lost: u32,
        /// When to try again.
        retry_after_ms: Millis,
    },
    /// A claim by a worker that holds as many messages as it may without a session.
    #[error("the worker {worker_id:?} holds as many messages as it may ({limit}{}); finish or release one first", after_losses(*lost))]
    TooManyClaims {
        /// The worker.
        worker_id: String,
        /// How many it may hold.
        limit: usize,
        /// How many leases it has lost in a row.
        lost: u32,
    },
    /// Too many entities are paused.
    #[error("{limit} entities are paused, which is the limit; resume one first")]
    TooManyPaused {
        /// The limit.
        limit: usize,
    },
    /// The author or their address is blocked.
    #[error(
        "an operator has paused posting from here until {}; until then you can read on. Nothing was changed",
        time(*until)
    )]
    Blocked {
        /// Until when, by the wall clock.
        until: Millis,
    },
    /// Too many authors and addresses are blocked.
    #[error(
        "{limit} authors and addresses are blocked, which is the limit (--max-blocks); lift a block first"
    )]
    TooManyBlocks {
        /// The limit.
        limit: usize,
    },
    /// The message is hidden.
    #[error(
        "the message {0} is hidden by an operator: it can be removed, and changed or retried once it is shown again"
    )]
    Hidden(Uuid),
    /// The message was edited as often as it may be.
    #[error("the message was edited {limit} times, which is the limit; nothing was changed")]
    TooManyEdits {
        /// The limit.
        limit: u32,
    },
    /// The caller's lease is over: another claim holds the message, or it waits for one.
    #[error("the lease is lost: {0}; stop working on this message")]
    LeaseLost(&'static str),
    /// The message is finished, and not by this completion: another claim or an operator finished it, or this claim did
    /// without a reply.
    #[error("the message was completed already, and not with this answer; nothing was stored")]
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

fn after_losses(lost: u32) -> String {
    match lost {
        0 => String::new(),
        lost => format!(", after {lost} leases in a row without a result"),
    }
}

/// A time as people read it, in UTC.
fn time(at: Millis) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(at.max(0).unsigned_abs());
    humantime::format_rfc3339_seconds(at).to_string()
}

fn place(entity: Option<&str>) -> String {
    entity.map_or_else(|| "in all".to_owned(), |entity| format!("for the entity {entity:?}"))
}

fn describe(violations: &[Violation]) -> String {
    let lines: Vec<_> = violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect();
    lines.join("; ")
}
