//! Who is an operator: whoever has the token of `--admin-token`; where none is set, callers on this machine, by the rule
//! by which the queue-service judges them.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{HeaderMap, StatusCode, header, request::Parts};
use repartee_process::{Secret, bearer};

use crate::{
    peers,
    problem::Problem,
    server::App,
    upstream::{Asker, Queue},
};

/// An operator's request, and the queue-service on their behalf.
pub(crate) struct Operator(Queue);

/// The queue-service on behalf of who changes a message: an operator with the token, or whoever brings its edit token or
/// is on this machine, which the queue-service decides.
pub(crate) struct Editor(Queue);

/// Somebody who may see the operator's page: everybody where its calls need a token, callers on this machine otherwise.
pub(crate) struct Visitor;

impl Operator {
    /// For the operator's call.
    pub(crate) fn queue(self) -> Queue {
        self.0
    }
}

impl FromRequestParts<App> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let asker = match &app.admin.token {
            Some(token) => check(token, &parts.headers).map(|()| Asker::operator(parts, token))?,
            None => local(parts).and_then(|()| Asker::of(parts))?,
        };
        Ok(Self(asker.queue(app)))
    }
}

impl Editor {
    /// For the change.
    pub(crate) fn queue(self) -> Queue {
        self.0
    }
}

impl FromRequestParts<App> for Editor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let token = app.admin.token.as_ref().filter(|token| check(token, &parts.headers).is_ok());
        let asker = token.map_or_else(|| Asker::of(parts), |token| Ok(Asker::operator(parts, token)))?;
        Ok(Self(asker.queue(app)))
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match app.admin.token {
            Some(_) => Ok(Self),
            None => local(parts).map(|()| Self),
        }
    }
}

fn local(parts: &Parts) -> Result<(), Problem> {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    let detail = "calls of operators are open to local callers only, until --admin-token is set";
    peers::is_local(parts, peer).then_some(()).ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, detail))
}

fn check(token: &Secret, headers: &HeaderMap) -> Result<(), Problem> {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
    let Some(sent) = sent else {
        let detail = "send the token of --admin-token: \"Authorization: Bearer <token>\"";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
    };
    let refused = || Problem::new(StatusCode::FORBIDDEN, "this is not the token of --admin-token");
    token.is(sent).then_some(()).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header::AUTHORIZATION};

    use super::check;

    #[test]
    fn a_wrong_token_is_forbidden_and_none_is_asked_for() {
        let token = "of-the-house".parse().unwrap();
        let with = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        assert!(check(&token, &with("Bearer of-the-house")).is_ok());
        for wrong in ["Bearer of-another-house", "Bearer "] {
            assert_eq!(check(&token, &with(wrong)).unwrap_err().status, 403, "{wrong}");
        }
        for none in ["Basic of-the-house", "of-the-house", ""] {
            assert_eq!(check(&token, &with(none)).unwrap_err().status, 401, "{none}");
        }
        assert_eq!(check(&token, &HeaderMap::new()).unwrap_err().status, 401);
    }
}
