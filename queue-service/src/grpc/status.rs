//! From our errors to `tonic::Status`: one exhaustive table.

use std::time::Duration;

use repartee_process::{Full, RateUsage, TokenRefused, refusals};
use repartee_proto::v1;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::bounds::{FullQueue, note_full_queue};
use crate::{
    domain::{Rejection, Violation},
    journal::JournalError,
    writer::CommandError,
};

/// Domain of `google.rpc.ErrorInfo`.
const DOMAIN: &str = "repartee.v1";

/// Reasons to refuse a token that may be a guess. GATEWAY_REFUSED is none of them: visitors have sent the calls that bring
/// a gateway's own token again and again, and the gateway has to be told what is wrong with it each time.
pub(super) const WRONG_TOKEN: [&str; 3] = ["TOKEN_UNKNOWN", "TOKEN_EXPIRED", "EDIT_TOKEN_WRONG"];

/// A client that finds the writer busy may come back after this.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// A client may come back after this if somebody has to make room first: on the disk, among the pauses or the blocks.
const OPERATOR_RETRY: Duration = Duration::from_secs(5);

/// One refusal, in the terms of the wire.
struct Refusal {
    code: Code,
    reason: &'static str,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
}

impl Refusal {
    fn new(code: Code, reason: &'static str) -> Self {
        Self { code, reason, violations: Vec::new(), retry_after: None }
    }

    fn of(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::Invalid(violations) => {
                Self { violations: violations.clone(), ..Self::new(Code::InvalidArgument, "") }
            }
            Rejection::NameReserved(violation) => Self {
                violations: vec![violation.clone()],
                ..Self::new(Code::InvalidArgument, "NAME_RESERVED")
            },
            Rejection::NotAllowed { by_token, violations } => {
                let code = if *by_token { Code::PermissionDenied } else { Code::Unauthenticated };
                Self { violations: violations.clone(), ..Self::new(code, "") }
            }
            Rejection::ConversationTaken => Self::new(Code::FailedPrecondition, "CONVERSATION_TAKEN"),
            Rejection::NotFound(_) => Self::new(Code::NotFound, ""),
            Rejection::NotPending(_) => Self::new(Code::FailedPrecondition, "NOT_PENDING"),
            Rejection::NotDue { .. } => Self::new(Code::FailedPrecondition, "NOT_DUE"),
            Rejection::EntityPaused(_) => Self::new(Code::FailedPrecondition, "ENTITY_PAUSED"),
            Rejection::EntityLimit { retry_after_ms, .. } => {
                refusals("entity_limits").increment(1);
                let retry_after = Some(Duration::from_millis(retry_after_ms.unsigned_abs()));
                Self { retry_after, ..Self::new(Code::ResourceExhausted, "ENTITY_LIMIT") }
            }
            Rejection::WorkerPaused { retry_after_ms, .. } => {
                refusals("worker_pauses").increment(1);
                let retry_after = Some(Duration::from_millis(retry_after_ms.unsigned_abs()));
                Self { retry_after, ..Self::new(Code::ResourceExhausted, "WORKER_PAUSED") }
            }
            Rejection::TooManyClaims { .. } => {
                refusals("worker_claims").increment(1);
                let retry_after = Some(BUSY_RETRY);
                Self { retry_after, ..Self::new(Code::ResourceExhausted, "TOO_MANY_CLAIMS") }
            }
            Rejection::TooManyPaused { .. } => {
                refusals("paused_entities").increment(1);
                Self {
                    retry_after: Some(OPERATOR_RETRY),
                    ..Self::new(Code::ResourceExhausted, "TOO_MANY_PAUSED")
                }
            }
            Rejection::Blocked { .. } => {
                refusals("blocked").increment(1);
                Self::new(Code::PermissionDenied, "BLOCKED")
            }
            Rejection::TooManyBlocks { .. } => {
                refusals("blocks").increment(1);
                Self {
                    retry_after: Some(OPERATOR_RETRY),
                    ..Self::new(Code::ResourceExhausted, "TOO_MANY_BLOCKS")
                }
            }
            Rejection::Hidden(_) => Self::new(Code::FailedPrecondition, "HIDDEN"),
            Rejection::TooManyEdits { .. } => {
                refusals("edits").increment(1);
                Self::new(Code::FailedPrecondition, "TOO_MANY_EDITS")
            }
            Rejection::LeaseLost(_) => Self::new(Code::FailedPrecondition, "LEASE_LOST"),
            Rejection::AlreadyCompleted => Self::new(Code::FailedPrecondition, "ALREADY_COMPLETED"),
            Rejection::Cancelled => Self::new(Code::FailedPrecondition, "CANCELLED"),
            Rejection::Failed => Self::new(Code::FailedPrecondition, "FAILED"),
            Rejection::WrongStatus(_) => Self::new(Code::FailedPrecondition, "WRONG_STATUS"),
            Rejection::QueueFull { retry_after_ms, of, .. } => {
                note_full_queue(if of.is_some() { FullQueue::Entity } else { FullQueue::All });
                let retry_after = Some(Duration::from_millis(retry_after_ms.unsigned_abs()));
                Self { retry_after, ..Self::new(Code::ResourceExhausted, "QUEUE_FULL") }
            }
            Rejection::PendingBytes { retry_after_ms, .. } => {
                note_full_queue(FullQueue::Bytes);
                let retry_after = Some(Duration::from_millis(retry_after_ms.unsigned_abs()));
                Self { retry_after, ..Self::new(Code::ResourceExhausted, "QUEUE_FULL") }
            }
            Rejection::IdempotencyConflict => Self {
                violations: vec![Violation {
                    field: "idempotency_key".to_owned(),
                    description: "was used within the last 24 h for another message".to_owned(),
                }],
                ..Self::new(Code::InvalidArgument, "IDEMPOTENCY_CONFLICT")
            },
        }
    }

    fn into_status(self, message: String) -> Status {
        let mut details = ErrorDetails::new();
        if !self.reason.is_empty() {
            details.set_error_info(self.reason, DOMAIN, std::collections::HashMap::new());
        }
        for Violation { field, description } in self.violations {
            details.add_bad_request_violation(field, description);
        }
        if self.retry_after.is_some() {
            details.set_retry_info(self.retry_after);
        }
        Status::with_error_details(self.code, message, details)
    }
}

/// A refusal as the status of a call.
pub(super) fn rejected(rejection: &Rejection) -> Status {
    Refusal::of(rejection).into_status(rejection.to_string())
}

/// A refusal as the outcome of one item of a batch.
pub(super) fn rejection(rejection: &Rejection) -> v1::Rejection {
    let Refusal { code, reason, violations, .. } = Refusal::of(rejection);
    let violation = |v: Violation| v1::FieldViolation { field: v.field, description: v.description };
    v1::Rejection {
        code: code.into(),
        reason: reason.to_owned(),
        message: rejection.to_string(),
        violations: violations.into_iter().map(violation).collect(),
    }
}

/// Why a command has no outcome.
pub(super) fn command(error: CommandError) -> Status {
    match &error {
        CommandError::Rejected(rejection) => rejected(rejection),
        CommandError::Busy(full) => busy(*full),
        CommandError::DiskFull(_) => Refusal {
            retry_after: Some(OPERATOR_RETRY),
            ..Refusal::new(Code::ResourceExhausted, "DISK_FULL")
        }
        .into_status(error.to_string()),
        CommandError::Stopped => Refusal::new(Code::Unavailable, "DRAINING").into_status(error.to_string()),
    }
}

/// There is no room before the writer.
pub(super) fn busy(full: Full) -> Status {
    Refusal { retry_after: Some(BUSY_RETRY), ..Refusal::new(Code::ResourceExhausted, "QUEUE_FULL") }
        .into_status(CommandError::Busy(full).to_string())
}

/// A failed look into the storage: logged here, not told.
pub(super) fn storage(error: JournalError) -> Status {
    tracing::error!(error = &error as &dyn std::error::Error, "a read from the storage failed");
    Status::internal("the storage could not be read; the operator finds the cause in the log")
}

/// The service is stopping.
pub(super) fn draining() -> Status {
    Refusal::new(Code::Unavailable, "DRAINING")
        .into_status("the service is stopping; repeat the call once it is back".to_owned())
}

/// A call whose answer was not there in time.
pub(super) fn too_late() -> Status {
    Status::deadline_exceeded("the call took too long; read before repeating it")
}

/// No room for another stream.
pub(super) fn too_many_streams(full: Full) -> Status {
    Refusal { retry_after: Some(BUSY_RETRY), ..Refusal::new(Code::ResourceExhausted, "TOO_MANY_STREAMS") }
        .into_status(format!("too many streams are open ({full}); try again later"))
}

/// No room for another call.
pub(super) fn too_many_calls(full: Full) -> Status {
    Refusal { retry_after: Some(BUSY_RETRY), ..Refusal::new(Code::ResourceExhausted, "TOO_MANY_CALLS") }
        .into_status(format!("too many calls are being answered ({full}); nothing was done, try again"))
}

/// A token of a role that is not accepted.
pub(super) fn wrong_token(refused: TokenRefused) -> Status {
    let reason = match refused {
        TokenRefused::Unknown => "TOKEN_UNKNOWN",
        TokenRefused::Expired => "TOKEN_EXPIRED",
    };
    Refusal::new(Code::PermissionDenied, reason).into_status(refused.to_string())
}

/// A gateway asks for a client with a token of its own that is none of a gateway's: its operator is at fault, not the client.
pub(super) fn gateway_refused(why: &str) -> Status {
    Refusal::new(Code::PermissionDenied, "GATEWAY_REFUSED").into_status(format!(
        "the token of the gateway itself is not accepted ({why}): it needs one of the role gateway"
    ))
}

/// A peer has sent too many of those; this one was wrong too.
pub(super) fn too_many_wrong_tokens(usage: RateUsage) -> Status {
    Refusal { retry_after: Some(usage.reset), ..Refusal::new(Code::ResourceExhausted, "CLIENT_LIMIT") }
        .into_status(format!(
            "this token is wrong, as too many from this address were ({} at once, all of them again after {} s); try again in \
             {} s",
            usage.burst,
            usage.window.as_secs(),
            usage.reset.as_secs() + 1
        ))
}

/// A token of an author that is not that of this message.
pub(super) fn wrong_edit_token() -> Status {
    Refusal::new(Code::PermissionDenied, "EDIT_TOKEN_WRONG")
        .into_status("this token does not belong to this message".to_owned())
}

/// A conversation that is not the reader's.
pub(super) fn conversation_of_another() -> Status {
    Refusal::new(Code::PermissionDenied, "CONVERSATION_TAKEN").into_status(
        "this conversation belongs to another visitor: it is read with the secret with which it was begun, or with a \
         worker's or an operator's token"
            .to_owned(),
    )
}

/// A stream whose caller has lost the right to it.
pub(super) fn token_refused() -> Status {
    Status::permission_denied(
        "the token of this stream was revoked or has expired; connect again with another one",
    )
}

/// A client that does not read its stream.
pub(super) fn slow_reader() -> Status {
    Refusal::new(Code::ResourceExhausted, "SLOW_READER").into_status(
        "this stream was not read fast enough and was ended; connect again and read on".to_owned(),
    )
}

/// A list that this service does not keep.
pub(super) fn rooms_not_listed() -> Status {
    Refusal::new(Code::NotFound, "ROOMS_NOT_LISTED")
        .into_status("this server does not list its rooms: it has to be started with --list-rooms".to_owned())
}

/// A cursor that is none.
pub(super) fn no_cursor(cursor: &str) -> Status {
    let shown: String = cursor.chars().take(80).collect();
    let description = format!("must be a cursor as the service gave it, is {shown:?}");
    let violations = vec![Violation { field: "cursor".to_owned(), description: description.clone() }];
    Refusal { violations, ..Refusal::new(Code::InvalidArgument, "CURSOR_INVALID") }
        .into_status(format!("cursor: {description}"))
}
