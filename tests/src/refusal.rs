//! What a gRPC error says beside its code and its message.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// A refusal, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status code.
    pub code: Code,
    /// Reason of the ErrorInfo; empty without one.
    pub reason: String,
    /// The fields of the BadRequest.
    pub fields: Vec<String>,
    /// Delay of the RetryInfo.
    pub retry_after: Option<Duration>,
}

impl From<&Status> for Refused {
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        if let Some(info) = details.error_info() {
            assert_eq!(info.domain, "repartee.v1", "the domain of every reason");
        }
        Self {
            code: status.code(),
            reason: details.error_info().map(|info| info.reason.clone()).unwrap_or_default(),
            fields: details
                .bad_request()
                .map(|request| {
                    request.field_violations.iter().map(|violation| violation.field.clone()).collect()
                })
                .unwrap_or_default(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
    }
}

/// Code and reason of the refusal in `outcome`.
///
/// # Panics
/// Where the call was accepted, or refused without a word of explanation.
pub fn refused<T: std::fmt::Debug>(outcome: Result<T, Status>) -> (Code, String) {
    let status = outcome.expect_err("the call must be refused");
    assert!(!status.message().is_empty(), "a refusal says what is wrong: {status:?}");
    let refused = Refused::from(&status);
    (refused.code, refused.reason)
}

/// Asserts that a call found the queue full: the one refusal of a post that finds no room, which says when to come again.
///
/// # Panics
/// If it was refused for something else.
pub fn assert_full(status: &Status) {
    let refused = Refused::from(status);
    let why = (refused.code, refused.reason.as_str());
    assert_eq!(why, (Code::ResourceExhausted, "QUEUE_FULL"), "{status:?}");
    assert!(refused.retry_after.is_some_and(|delay| !delay.is_zero()), "{status:?}");
}

/// Code and reason of a call that the present state does not allow.
pub fn precondition(reason: &str) -> (Code, String) {
    (Code::FailedPrecondition, reason.to_owned())
}
