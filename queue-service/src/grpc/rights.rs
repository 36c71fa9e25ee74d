//! Who may do what. Every call is judged here before its handler runs, by the table in `repartee_process::access`: a call
//! that is not in the table is refused.
//!
//! A right is proved by a token. Where a call comes from proves nothing, and neither does a header that is missing. Only
//! a port that is bound to the loopback takes visitors' calls without a token: there whoever can call could as well ask
//! the gateway. A gateway says for whom it asks; then that caller is judged, not the gateway.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::Response,
};
use metrics::counter;
use repartee_process::{
    ConnectionState, Grant, MISDIRECTED, Role, Tokens,
    access::{self, Callers},
    bearer,
};
use repartee_proto::v1;
use tonic::{Status, transport::server::TcpConnectInfo};
use uuid::Uuid;

use super::{
    Guesses,
    caller::{Caller, Principal},
    door::ForeignName,
    front::own_method,
    status,
    while_allowed::WhileAllowed,
};
use crate::{domain::Editor, journal::EditSecret};

/// Services beside our own: whoever may call at all may call them.
const OTHERS: [&str; 3] = [
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
];
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

/// For how long the right counts by which something was opened: visitors' for good, a token's until it is revoked or
/// expires. Whatever stays open ends with it.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    tokens: Tokens,
    grant: Option<Arc<Grant>>,
}

impl Standing {
    /// Returns once it is lost.
    pub(super) async fn lost(&self) {
        match &self.grant {
            Some(grant) => self.tokens.until_refused(Arc::clone(grant)).await,
            None => std::future::pending().await,
        }
    }

    /// True if it is lost.
    pub(super) fn is_lost(&self) -> bool {
        self.grant.as_ref().is_some_and(|grant| self.tokens.is_refused(grant, SystemTime::now()))
    }

    /// That of a token that nobody revokes.
    #[cfg(test)]
    pub(super) fn of_token(token: repartee_process::NewToken) -> Self {
        let grant = Some(Arc::new(token.grant.clone()));
        Self { tokens: Tokens::load(None, &[token]).expect("there is no file"), grant }
    }
}

/// Lets a call in that its caller may make, with its [`Caller`] in the extensions, or answers it.
pub(super) async fn authorize<A>(
    rights: &Rights,
    mut request: Request,
    next: impl FnOnce(Request) -> A,
) -> Response
where
    A: Future<Output = Response>,
{
    match rights.judge(&request) {
        Ok(caller) => {
            let is_ours = own_method(request.uri().path()).is_some();
            let standing = (!is_ours && !caller.is_visitor()).then(|| rights.standing(&caller));
            request.extensions_mut().insert(caller);
            let response = next(request).await;
            // Our own streams end by themselves, with a word; libraries' know no tokens.
            match standing {
                Some(standing) => response.map(|answer| Body::new(WhileAllowed::new(answer, standing))),
                None => response,
            }
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
        if request.extensions().get::<ForeignName>().is_some() && !vouched && caller.is_visitor() {
            return Err(Status::permission_denied(MISDIRECTED));
        }
        self.permit(request.uri().path(), Identified { caller, vouched })
    }

    /// Judges an item of a stream as the call at `path`, for which it stands.
    ///
    /// # Errors
    /// What that call would answer to whoever asks for the item.
    pub(super) fn judge_item(
        &self,
        opener: &Caller,
        path: &str,
        metadata: &v1::ItemMetadata,
    ) -> Result<Caller, Status> {
        // Whoever opened the stream without a gateway was welcome: else they would not be here.
        let identified = self.identify_item(opener, metadata)?;
        self.permit(path, identified)
    }

    /// Finds out for whom an item is.
    fn identify_item(&self, opener: &Caller, metadata: &v1::ItemMetadata) -> Result<Identified, Status> {
        let v1::ItemMetadata { client, authorization, visitor, new_visitor, .. } = metadata;
        let asks_for_client = !client.is_empty();
        let visitor = Some(visitor.as_str()).filter(|text| (1..=VISITOR_BYTES).contains(&text.len()));
        let visitor = visitor.map(Box::from);
        match opener.principal {
            Principal::Worker(_) | Principal::Operator(_) if asks_for_client => Err(of_another_role()),
            Principal::Gateway(_) if asks_for_client => {
                let asked = (!authorization.is_empty()).then(|| bearer(authorization).unwrap_or_default());
                let (principal, edit_token) = (self.proved_to_gateway(asked)?, edit_token(asked));
                let client = client.parse().ok();
                let caller = Caller { principal, edit_token, visitor, is_new: *new_visitor, client };
                Ok(Identified { caller, vouched: true })
            }
            Principal::Visitor | Principal::Worker(_) | Principal::Gateway(_) | Principal::Operator(_) => {
                let mut caller = opener.clone();
                if visitor.is_some() {
                    (caller.visitor, caller.is_new) = (visitor, *new_visitor);
                }
                Ok(Identified { caller, vouched: true })
            }
        }
    }

    /// Lets a caller make the call at `path`, if they may.
    fn permit(&self, path: &str, Identified { caller, vouched }: Identified) -> Result<Caller, Status> {
        let kinds = caller.kinds().but_visitors_unless(vouched || self.visitors);
        let callers = match own_method(path) {
            Some(method) => access::call(method),
            None if path == HEALTH_CHECK => return Ok(caller),
            None => OTHERS.iter().any(|service| path.starts_with(service)).then_some(Callers::ANYONE),
        };
        let is_there = callers.is_some();
        let callers = callers.unwrap_or(Callers::ANYONE);
        if kinds.meet(callers) {
            // Whatever the router knows: what has no line in the table is not there. Those who may call something are told.
            let not_there = || Status::unimplemented(format!("there is no call {path}"));
            return is_there.then_some(caller).ok_or_else(not_there);
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
    /// PERMISSION_DENIED for a token that is not accepted, and for one of another role than a gateway's that asks for a client.
    fn identify(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Identified, Status> {
        let visitor = text(headers, access::VISITOR).filter(|text| (1..=VISITOR_BYTES).contains(&text.len()));
        let caller = |principal, sent, client| {
            let edit_token = edit_token(sent);
            let is_new = headers.contains_key(access::NEW_VISITOR);
            Caller { principal, edit_token, visitor: visitor.map(Box::from), is_new, client }
        };
        let own = sent(headers, AUTHORIZATION.as_str());
        let asks_for_client = headers.contains_key(access::CLIENT);
        let direct = match self.proved(own) {
            Err(refusal) if asks_for_client => return Err(status::gateway_refused(refusal.message())),
            proved => proved?,
        };
        if asks_for_client && matches!(direct, Principal::Worker(_) | Principal::Operator(_)) {
            return Err(of_another_role());
        }
        let for_client = text(headers, access::CLIENT).filter(|_| matches!(direct, Principal::Gateway(_)));
        let Some(client) = for_client else {
            return Ok(Identified { caller: caller(direct, own, peer), vouched: false });
        };
        let asked = sent(headers, access::ON_BEHALF);
        let principal = self.proved_to_gateway(asked)?;
        Ok(Identified { caller: caller(principal, asked, client.parse().ok()), vouched: true })
    }

    /// What a token proves that a gateway passes on.
    fn proved_to_gateway(&self, asked: Option<&str>) -> Result<Principal, Status> {
        match self.proved(asked)? {
            Principal::Gateway(_) => {
                let detail = "a gateway's token is for the gateway itself, not for those who call it";
                Err(Status::permission_denied(detail))
            }
            principal @ (Principal::Visitor | Principal::Worker(_) | Principal::Operator(_)) => Ok(principal),
        }
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

    /// True if the call's own token is one of a role, whichever that is. Counts nothing: the call is judged after this.
    pub(super) fn proves_role(&self, headers: &HeaderMap) -> bool {
        let own = sent(headers, AUTHORIZATION.as_str()).filter(|sent| Tokens::is_token(sent));
        own.is_some_and(|token| self.tokens.authenticate(token, SystemTime::now()).is_ok())
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

    /// What this caller may keep open, and for how long.
    pub(super) fn standing(&self, caller: &Caller) -> Standing {
        let grant = match &caller.principal {
            Principal::Visitor => None,
            Principal::Worker(grant) | Principal::Gateway(grant) | Principal::Operator(grant) => Some(grant),
        };
        Standing { tokens: self.tokens.clone(), grant: grant.cloned() }
    }

    /// Checks that the caller may change this message: its author by the edit token, or an operator.
    pub(super) fn change(&self, caller: &Caller, id: Uuid) -> Result<Editor, Status> {
        if caller.is_operator() {
            return Ok(Editor::Operator);
        }
        let token = caller.edit_token.as_deref().unwrap_or_default();
        if self.edits.accepts(id, token) {
            return Ok(Editor::Author(caller.sender(&self.edits)));
        }
        counter!("repartee_wrong_tokens_total").increment(1);
        Err(status::wrong_edit_token())
    }
}

/// Whoever asks for a client has to be a gateway: its clients would have the rights of that role.
fn of_another_role() -> Status {
    status::gateway_refused("it is of another role")
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
