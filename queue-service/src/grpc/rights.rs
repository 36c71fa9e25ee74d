//! Who may do what. Every call is judged here before its handler runs, by the table in `repartee_process::access`: a call
//! that is not in the table is refused.
//!
//! A right is proved by a token. Where a call comes from proves nothing, and neither does a header that is missing. Only
//! a port that is bound to the loopback takes visitors' calls without a token: there whoever can call could as well ask
//! the gateway. A gateway says for whom it asks; then that caller is judged, not the gateway.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    middleware::Next,
    response::Response,
};
use metrics::counter;
use repartee_process::{
    ConnectionState, Grant, Role, Tokens,
    access::{self, Callers},
    bearer,
};
use tonic::{Status, transport::server::TcpConnectInfo};
use uuid::Uuid;

use super::{
    Guesses,
    caller::{Caller, Principal},
    status,
};
use crate::{domain::Editor, journal::EditSecret};

/// The path of our own calls; beside them are those for health and reflection.
const OWN: &str = "/repartee.v1.QueueService/";
/// Says whether the service serves; orchestrators ask it and can send no token.
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// Longest value that stands for a visitor's secret.
const VISITOR_BYTES: usize = 128;

/// A caller, and whether a gateway vouches for them.
struct Identified {
    caller: Caller,
    vouched: bool,
}

/// What callers are judged by.
#[derive(Debug)]
pub(crate) struct Rights {
    /// The tokens of workers, gateways and operators.
    pub(crate) tokens: Tokens,
    /// Makes and checks the tokens of authors.
    pub(crate) edits: EditSecret,
    /// Visitors' calls need no token: the port is bound to the loopback.
    pub(crate) visitors: bool,
    /// The wrong tokens of each peer; none if they are not counted.
    pub(crate) guesses: Option<Guesses>,
}

/// Lets a call in that its caller may make, with its [`Caller`] in the extensions, or answers it.
pub(crate) async fn authorize(
    State(rights): State<Arc<Rights>>,
    mut request: Request,
    next: Next,
) -> Response {
    match rights.judge(&request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.into_http(),
    }
}

impl Rights {
    fn judge(&self, request: &Request) -> Result<Caller, Status> {
        let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        let Identified { caller, vouched } = self.identify(request.headers(), peer.map(|peer| peer.ip()))?;
        if (vouched || caller.is_gateway())
            && let Some(connection) = request.extensions().get::<Arc<ConnectionState>>()
        {
            connection.keep();
        }
        let kinds = caller.kinds().but_visitors_unless(vouched || self.visitors);
        let path = request.uri().path();
        let callers = match path.strip_prefix(OWN) {
            Some(method) => access::call(method),
            None if path == HEALTH_CHECK => return Ok(caller),
            // Health's streams and reflection are for everybody who may call at all.
            None => Some(Callers::ANYONE),
        };
        // What is no call of ours is told so by the router, to those who may call something.
        let callers = callers.unwrap_or(Callers::ANYONE);
        if kinds.meet(callers) {
            return Ok(caller);
        }
        let needed = if callers == Callers::ANYONE { "a token" } else { callers.tokens() };
        if caller.is_visitor() && caller.edit_token.is_none() {
            let needs = format!("this call needs {needed}: \"authorization: Bearer <token>\"");
            return Err(Status::unauthenticated(needs));
        }
        Err(Status::permission_denied(format!("this call needs {needed}; another token was sent")))
    }

    /// Finds out who calls.
    ///
    /// # Errors
    /// PERMISSION_DENIED for a token that is not accepted.
    fn identify(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Identified, Status> {
        let visitor = text(headers, access::VISITOR).filter(|text| (1..=VISITOR_BYTES).contains(&text.len()));
        let caller = |principal, sent, client| {
            let edit_token = edit_token(sent);
            let is_new = headers.contains_key(access::NEW_VISITOR);
            Caller { principal, edit_token, visitor: visitor.map(Box::from), is_new, client }
        };
        let own = sent(headers, AUTHORIZATION.as_str());
        let direct = self.proved(own)?;
        let for_client = text(headers, access::CLIENT).filter(|_| matches!(direct, Principal::Gateway(_)));
        let Some(client) = for_client else {
            return Ok(Identified { caller: caller(direct, own, peer), vouched: false });
        };
        let asked = sent(headers, access::ON_BEHALF);
        let principal = self.proved(asked)?;
        if let Principal::Gateway(_) = principal {
            let detail = "a gateway's token is for the gateway itself, not for those who call it";
            return Err(Status::permission_denied(detail));
        }
        Ok(Identified { caller: caller(principal, asked, client.parse().ok()), vouched: true })
    }

    /// What a token proves; nothing if none of a role was sent.
    fn proved(&self, sent: Option<&str>) -> Result<Principal, Status> {
        let Some(token) = sent.filter(|sent| Tokens::is_token(sent)) else { return Ok(Principal::Visitor) };
        let grant = self.grant(token)?;
        Ok(match grant.role {
            Role::Worker => Principal::Worker(grant),
            Role::Gateway => Principal::Gateway(grant),
            Role::Operator => Principal::Operator(grant),
        })
    }

    /// What a token proves, to a gateway that has to know.
    ///
    /// # Errors
    /// PERMISSION_DENIED if it is not accepted.
    pub(super) fn grant(&self, token: &str) -> Result<Arc<Grant>, Status> {
        self.tokens.authenticate(token, SystemTime::now()).map_err(|refused| {
            counter!("repartee_wrong_tokens_total").increment(1);
            status::wrong_token(refused)
        })
    }

    /// Checks that a request over HTTP comes from an operator: 401 without a token, 403 with another one.
    pub(crate) fn operator(&self, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        let Some(token) = sent(headers, AUTHORIZATION.as_str()) else {
            return Err((
                StatusCode::UNAUTHORIZED,
                "send an operator's token: \"Authorization: Bearer <token>\"\n",
            ));
        };
        let is_one = self.grant(token).is_ok_and(|grant| grant.role == Role::Operator);
        is_one.then_some(()).ok_or((StatusCode::FORBIDDEN, "this is no operator's token\n"))
    }

    /// Ends once what this caller proved counts no more; never for visitors.
    pub(super) async fn until_refused(&self, caller: &Caller) {
        match &caller.principal {
            Principal::Visitor => std::future::pending().await,
            Principal::Worker(grant) | Principal::Gateway(grant) | Principal::Operator(grant) => {
                self.tokens.until_refused(Arc::clone(grant)).await;
            }
        }
    }

    /// Checks that the caller may change this message: its author by the edit token, or an operator.
    pub(super) fn change(&self, caller: &Caller, id: Uuid) -> Result<Editor, Status> {
        if caller.is_operator() {
            return Ok(Editor::Operator);
        }
        let token = caller.edit_token.as_deref().unwrap_or_default();
        if self.edits.accepts(id, token) {
            return Ok(Editor::Author);
        }
        counter!("repartee_wrong_tokens_total").increment(1);
        Err(status::wrong_edit_token())
    }
}

/// The bearer token in a header. One that cannot be read is as good as a wrong one.
fn sent<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().map_or(Some(""), bearer)
}

/// The edit token in what was sent; none if it is a token of a role.
fn edit_token(sent: Option<&str>) -> Option<Box<str>> {
    sent.filter(|sent| !Tokens::is_token(sent)).map(Box::from)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests;
