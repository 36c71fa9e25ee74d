//! What may come in: gRPC calls of programs, so many at once, and no command for which there is no room.
//!
//! The port answers HTTP/1 too, and a browser sends simple cross-origin requests without asking first (the Fetch
//! standard, "CORS protocol"). A page whose name somebody's name server points here (DNS rebinding) is even of the same
//! origin, and reads the answers. On a port of this machine alone it is refused for the name by which it calls the server.
//! A program may come under such a name, through a proxy that passes it on: what makes up for the name is a token of a role,
//! once it was accepted, for a page can send any header but has none that is right.
//!
//! Whoever is refused here is refused before the request is read: under overload that is most of the work.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::Request,
    http::{
        StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, ORIGIN},
    },
    response::{IntoResponse, Response},
};
use repartee_process::{Bound, Full, Host, MISDIRECTED, check_head, check_host};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Bounds, front::own_method, others::Others, status};
use crate::writer::QueueHandle;

/// How long a call may take until its answer begins: longer than any may wait. A request that does not arrive ends then.
pub(super) const CALL: Duration = Duration::from_secs(60);
/// A call whose answer comes last, after as long as its client likes; it has a bound and checks of its own.
const UNTIMED: &str = "StreamDraft";

/// How long a client waits for an answer, as it says; of no use to it is what comes later.
const DEADLINE: &str = "grpc-timeout";

/// Marks a request to a port of this machine alone that calls it by somebody else's name, as an extension.
#[derive(Debug, Clone, Copy)]
pub(super) struct ForeignName;

/// Decides what comes in; cheap to clone.
#[derive(Clone)]
pub(crate) struct Door(Arc<Rules>);

struct Rules {
    draining: CancellationToken,
    queue: QueueHandle,
    calls: Bound,
    others: Others,
    /// True if only this machine can reach the port.
    is_loopback: bool,
    /// The refusals of a full writer, which differ in their numbers only, and those are known.
    full: Vec<(&'static str, HeaderMap)>,
}

impl Door {
    /// Refuses commands while there is no room before the writer, calls beyond the bound, and all of them once
    /// `draining` is cancelled.
    pub(crate) fn new(
        draining: CancellationToken,
        queue: QueueHandle,
        bounds: &Bounds,
        is_loopback: bool,
    ) -> Self {
        let (calls, others) = (bounds.calls.clone(), bounds.others.clone());
        let refusal = |fill: repartee_process::Fill| {
            let limit = u32::try_from(fill.limit).unwrap_or(u32::MAX);
            let full = Full { name: fill.name, held: limit, limit };
            let response: Response = status::busy(full).into_http();
            (fill.name, response.into_parts().0.headers)
        };
        let full = queue.waiting().map(refusal).into();
        Self(Arc::new(Rules { draining, queue, calls, others, is_loopback, full }))
    }
}

/// Lets a request in, or answers it.
pub(super) async fn admit<A>(
    Door(rules): &Door,
    mut request: Request,
    next: impl FnOnce(Request) -> A,
) -> Response
where
    A: Future<Output = Response>,
{
    if let Some(refusal) = no_program(request.headers()) {
        return refusal.into_response();
    }
    match check_head(&request) {
        Err(fault) => return (fault.status(), fault.to_string()).into_response(),
        Ok(host) if rules.is_loopback && !host.is_none_or(Host::is_local) => {
            if !request.headers().contains_key(AUTHORIZATION) {
                return (StatusCode::MISDIRECTED_REQUEST, MISDIRECTED).into_response();
            }
            request.extensions_mut().insert(ForeignName);
        }
        Ok(_) => {}
    }
    let limit = deadline(request.headers()).map_or(CALL, |deadline| deadline.min(CALL));
    let Some(method) = own_method(request.uri().path()) else {
        return rules.others.serve(limit, request, next).await;
    };
    if rules.draining.is_cancelled() {
        return status::draining().into_http();
    }
    if is_command(method)
        && let Err(full) = rules.queue.has_room()
    {
        return rules.refusal(full);
    }
    if method == UNTIMED {
        return next(request).await;
    }
    match rules.calls.enter(1) {
        // A stream is no call any more once it is open.
        Ok(_place) => timed(limit, next(request)).await,
        Err(full) => status::too_many_calls(full).into_http(),
    }
}

/// The same for what is no call: a page of this server's.
pub(super) async fn admit_to_page<A>(
    is_loopback: bool,
    request: Request,
    next: impl FnOnce(Request) -> A,
) -> Response
where
    A: Future<Output = Response>,
{
    match check_host(&request, is_loopback) {
        Ok(()) => next(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

pub(super) async fn timed(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    timeout(limit, answer).await.unwrap_or_else(|_| status::too_late().into_http())
}

/// The deadline that a client gives a call (gRPC over HTTP/2, "Requests"): at most eight digits and a unit.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(DEADLINE)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = is_number.then(|| digits.parse().ok()).flatten()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

impl Rules {
    fn refusal(&self, full: Full) -> Response {
        let Some((_, headers)) = self.full.iter().find(|(name, _)| *name == full.name) else {
            return status::busy(full).into_http();
        };
        let mut response = Response::default();
        response.headers_mut().clone_from(headers);
        response
    }
}

/// Refuses what a page can send: whatever names its origin, and whatever is not of gRPC's own content type.
fn no_program(headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
    if !headers.get(CONTENT_TYPE).is_some_and(|kind| is_grpc(kind.as_bytes())) {
        let text = "this port serves gRPC: the content type must be application/grpc";
        return Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let text = "this port serves programs, not pages: use the JSON face";
    headers.contains_key(ORIGIN).then_some((StatusCode::FORBIDDEN, text))
}

/// True for `application/grpc` and `application/grpc+proto`, whatever parameters they have. Other formats are not served.
fn is_grpc(kind: &[u8]) -> bool {
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or(kind).trim_ascii();
    essence.eq_ignore_ascii_case(b"application/grpc")
        || essence.eq_ignore_ascii_case(b"application/grpc+proto")
}

/// True for calls that are one command to the writer.
fn is_command(method: &str) -> bool {
    matches!(
        method,
        "PostMessage"
            | "PostMessages"
            | "UpdateMessage"
            | "DeleteMessage"
            | "ClaimMessage"
            | "RenewLeases"
            | "ReleaseMessage"
            | "CompleteMessage"
            | "CompleteMessages"
            | "FailMessage"
            | "RetryMessage"
            | "CancelMessage"
    )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::{DEADLINE, Duration, deadline, is_grpc};

    #[test]
    fn only_what_is_grpc_is_called_so() {
        for kind in ["application/grpc", "application/grpc+proto", "Application/GRPC ; charset=utf-8"] {
            assert!(is_grpc(kind.as_bytes()), "{kind}");
        }
        for kind in [
            "",
            "application/grpcx",
            "application/grpc-web",
            "application/grpc+json",
            "text/application/grpc",
        ] {
            assert!(!is_grpc(kind.as_bytes()), "{kind}");
        }
    }

    #[test]
    fn a_deadline_is_digits_and_a_unit() {
        let read = |text: &str| {
            deadline(&HeaderMap::from_iter([(DEADLINE.parse().unwrap(), text.parse().unwrap())]))
        };
        assert_eq!(read("1H"), Some(Duration::from_secs(3_600)));
        assert_eq!(read("10000000u"), Some(Duration::from_secs(10)));
        assert_eq!(read("25m"), Some(Duration::from_millis(25)));
        for none in ["", "S", "1", "+1S", "123456789S", "1x", "1.5S"] {
            assert_eq!(read(none), None, "{none}");
        }
        assert_eq!(deadline(&HeaderMap::new()), None);
    }
}
