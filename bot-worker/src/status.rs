//! What a worker makes of a status: the one table from codes to what happens next.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// No service may silence a worker for longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// True where the same call may succeed later. All calls of a worker can be repeated: the service recognises the token.
pub(crate) fn may_pass(code: Code) -> bool {
    match code {
        // `Unknown` is how a connection that keepalive found dead looks, `Internal` one that broke in mid-frame.
        Code::Unavailable | Code::Unknown | Code::Internal | Code::DeadlineExceeded => true,
        Code::ResourceExhausted | Code::Cancelled | Code::Aborted => true,
        Code::InvalidArgument | Code::OutOfRange | Code::Unauthenticated | Code::PermissionDenied => false,
        Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition => false,
        Code::Unimplemented | Code::DataLoss | Code::Ok => false,
    }
}

/// How long the service asks to wait, at most 60 s; zero where it does not say.
pub(crate) fn asked_wait(status: &Status) -> Duration {
    let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
    asked.unwrap_or_default().min(LONGEST_WAIT)
}

/// The same for a wait that came in a message of the stream.
pub(crate) fn bounded_wait(asked: Option<prost_types::Duration>) -> Duration {
    asked.and_then(|wait| wait.try_into().ok()).unwrap_or(Duration::ZERO).min(LONGEST_WAIT)
}

/// The documented reason of a refusal, such as `LEASE_LOST`; empty where there is none.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use tonic::{Code, Status};
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::{asked_wait, bounded_wait, may_pass, reason};

    #[test]
    fn a_lost_lease_is_final_and_a_lost_connection_is_not() {
        assert!(!may_pass(Code::FailedPrecondition));
        assert!(may_pass(Code::Unavailable));
        assert!(may_pass(Code::Unknown));
        assert!(may_pass(Code::DeadlineExceeded));
    }

    #[test]
    fn the_services_wait_is_honoured_up_to_a_minute() {
        let asking = |wait| {
            let details = ErrorDetails::with_retry_info(Some(wait));
            Status::with_error_details(Code::ResourceExhausted, "full", details)
        };
        assert_eq!(asked_wait(&asking(Duration::from_secs(2))), Duration::from_secs(2));
        assert_eq!(asked_wait(&asking(Duration::from_secs(3_600))), Duration::from_secs(60));
        assert_eq!(asked_wait(&Status::unavailable("down")), Duration::ZERO);
        assert_eq!(bounded_wait(Some(prost_types::Duration { seconds: -1, nanos: 0 })), Duration::ZERO);
    }

    #[test]
    fn the_reason_of_a_refusal_is_read() {
        let details = ErrorDetails::with_error_info("LEASE_LOST", "repartee.v1", HashMap::new());
        let refusal = Status::with_error_details(Code::FailedPrecondition, "lost", details);
        assert_eq!(reason(&refusal), "LEASE_LOST");
        assert_eq!(reason(&Status::not_found("unknown")), "");
    }
}
