//! From what the queue-service refuses to what an HTTP client reads: the one table from `tonic::Code` to a status.

use std::{error::Error as StdError, iter, mem, time::Duration};

use http::StatusCode;
use repartee_proto::v1;
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::StatusExt as _;

use crate::{
    pointer::pointer,
    problem::{FieldError, Problem},
};

/// The reason that turns INVALID_ARGUMENT into 422: the request is well-formed, but not the one that the key stands for.
const IDEMPOTENCY_CONFLICT: &str = "IDEMPOTENCY_CONFLICT";

/// The reason of a refusal that is the gateway's own: its token is not accepted.
const GATEWAY_REFUSED: &str = "GATEWAY_REFUSED";

/// One refusal, as a status or as an item of a batch carries it.
struct Refusal {
    code: Code,
    message: String,
    reason: Option<String>,
    violations: Vec<(String, String)>,
    retry_after: Option<Duration>,
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let fields = status.get_details_bad_request().map(|request| request.field_violations);
        let violations = fields.into_iter().flatten().map(|field| (field.field, field.description));
        Refusal {
            code: code_of(&status),
            reason: status.get_details_error_info().map(|info| info.reason),
            violations: violations.collect(),
            retry_after: status.get_details_retry_info().and_then(|info| info.retry_delay),
            message: status.message().to_owned(),
        }
        .into_problem()
    }
}

impl From<v1::Rejection> for Problem {
    fn from(rejection: v1::Rejection) -> Self {
        let violations = rejection.violations.into_iter().map(|field| (field.field, field.description));
        Refusal {
            code: Code::from(rejection.code),
            reason: Some(rejection.reason).filter(|reason| !reason.is_empty()),
            violations: violations.collect(),
            retry_after: None,
            message: rejection.message,
        }
        .into_problem()
    }
}

impl Problem {
    /// The refusal of a call whose message is named by the path: the body has no field for its id.
    pub(crate) fn of_path(status: Status) -> Self {
        let mut problem = Self::from(status);
        let mut errors = mem::take(&mut problem.errors);
        for error in errors.iter_mut().filter(|error| error.pointer == "/messageId") {
            *error =
                FieldError { pointer: String::new(), detail: format!("id in the path: {}", error.detail) };
        }
        problem.point_to(errors);
        problem
    }

    /// Names the fields at fault, in the words of JSON in place of the contract's.
    fn point_to(&mut self, errors: Vec<FieldError>) {
        if !errors.is_empty() {
            let lines: Vec<String> = errors.iter().map(FieldError::to_string).collect();
            self.detail = lines.join("; ");
        }
        self.errors = errors;
    }
}

impl Refusal {
    fn into_problem(self) -> Problem {
        if self.reason.as_deref() == Some(GATEWAY_REFUSED) {
            // Nobody who calls the gateway can do anything about it.
            let mut problem =
                Problem::unavailable("the queue-service does not accept this gateway; try again later");
            problem.cause = Some(self.message.into());
            return problem;
        }
        let mut problem = Problem::new(http_status(self.code, self.reason.as_deref()), "");
        match inner(self.code) {
            Some(public) => {
                problem.detail = public.to_owned();
                problem.cause = Some(format!("{:?}: {}", self.code, self.message).into());
            }
            None if self.message.is_empty() => problem.detail = self.code.description().to_owned(),
            None => problem.detail = self.message,
        }
        let errors = self.violations.into_iter().map(|(field, detail)| field_error(&field, detail)).collect();
        problem.point_to(errors);
        problem.reason = self.reason;
        problem.retry_after = self.retry_after;
        problem
    }
}

fn field_error(field: &str, detail: String) -> FieldError {
    match pointer(field) {
        Some(pointer) => FieldError { pointer, detail },
        None => FieldError { pointer: String::new(), detail: format!("header Idempotency-Key: {detail}") },
    }
}

/// The code of a call, where tonic's own client reports its deadline and a request that never left as CANCELLED.
fn code_of(status: &Status) -> Code {
    let causes = || iter::successors(status.source(), |&error: &&'_ (dyn StdError + 'static)| error.source());
    if causes().any(|cause| cause.is::<TimeoutExpired>()) {
        Code::DeadlineExceeded
    } else if status.code() == Code::Cancelled && causes().any(|cause| cause.is::<tonic::transport::Error>())
    {
        Code::Unavailable
    } else {
        status.code()
    }
}

/// The status of a code. CANCELLED and UNKNOWN mean that the call broke off on the way: 502, for nobody here is at fault.
fn http_status(code: Code, reason: Option<&str>) -> StatusCode {
    match code {
        Code::InvalidArgument if reason == Some(IDEMPOTENCY_CONFLICT) => StatusCode::UNPROCESSABLE_ENTITY,
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Cancelled | Code::Unknown => StatusCode::BAD_GATEWAY,
        // tonic says OUT_OF_RANGE of an answer that is too large for it; the queue-service never does.
        Code::Ok | Code::Internal | Code::DataLoss | Code::OutOfRange => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What a client reads where the message of the status is not meant for it; `None` where it is.
fn inner(code: Code) -> Option<&'static str> {
    match code {
        Code::InvalidArgument
        | Code::Unauthenticated
        | Code::PermissionDenied
        | Code::NotFound
        | Code::FailedPrecondition
        | Code::AlreadyExists
        | Code::Aborted
        | Code::ResourceExhausted => None,
        Code::Unimplemented => {
            Some("the queue-service does not know this call; it is older than this gateway")
        }
        Code::Unavailable => {
            Some("the queue-service cannot be reached, or is starting or stopping; try again")
        }
        Code::DeadlineExceeded => {
            Some("no answer in time; whether the request took effect is unknown, so read before repeating it")
        }
        Code::Cancelled | Code::Unknown => Some(
            "the call broke off; whether the request took effect is unknown, so read before repeating it",
        ),
        Code::Ok | Code::Internal | Code::DataLoss | Code::OutOfRange => Some(
            "an error inside the server; whether the request took effect is unknown, so read before repeating it",
        ),
    }
}
