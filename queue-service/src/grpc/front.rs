//! The way of every request to its handler, whichever service has it.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};

use super::{
    Door, Rights,
    door::{admit, admit_to_page},
    guesses::slow_guesses,
    rights::authorize,
    traces::known,
};
use crate::observe::{CallTimes, time_call};

/// The path of our own calls; beside them are those for health and reflection.
const OWN: &str = "/repartee.v1.QueueService/";

/// The method of a call of ours; `None` for all else.
pub(crate) fn own_method(path: &str) -> Option<&str> {
    path.strip_prefix(OWN)
}

/// What every request meets.
pub(crate) struct Front {
    pub(crate) rights: Arc<Rights>,
    pub(crate) door: Door,
    pub(crate) times: CallTimes,
}

/// Lets a call in whose caller may make it, and times it; beneath it is known which call it is.
pub(crate) async fn enter<A>(front: &Front, request: Request, next: impl FnOnce(Request) -> A) -> Response
where
    A: Future<Output = Response>,
{
    let Front { rights, door, times } = front;
    let allowed = |request| authorize(rights, request, next);
    let admitted = |request| admit(door, request, allowed);
    let is_trusted = |headers: &HeaderMap| rights.proves_role(headers);
    let timed = |request| time_call(times, request, admitted);
    known(is_trusted, request, |request| slow_guesses(rights, request, timed)).await
}

/// The same as a layer, for what is no call of ours.
pub(crate) async fn enter_route(State(front): State<Arc<Front>>, request: Request, next: Next) -> Response {
    enter(&front, request, |request| next.run(request)).await
}

/// The same for a page of this server's, which judges tokens itself.
pub(crate) async fn enter_page(
    State((rights, is_loopback)): State<(Arc<Rights>, bool)>,
    request: Request,
    next: Next,
) -> Response {
    let page = |request| admit_to_page(is_loopback, request, |request| next.run(request));
    slow_guesses(&rights, request, page).await
}
