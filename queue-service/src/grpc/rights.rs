//! Who may do what. Calls of workers and operators are open to callers on this machine, and where an admin token is set
//! to whoever sends it, from anywhere. Then a bearer token that is wrong is refused, to callers on this machine too.

use std::net::IpAddr;

use repartee_process::{Secret, bearer};
use tonic::{Request, Status, metadata::MetadataMap};
use uuid::Uuid;

use crate::{domain::Editor, journal::EditSecret};

/// What callers are judged by.
pub(crate) struct Rights {
    /// The token of operators, where one is set.
    pub(crate) admin: Option<Secret>,
    /// Makes and checks the tokens of authors.
    pub(crate) edits: EditSecret,
}

impl Rights {
    /// Checks that a call of a worker or an operator comes from this machine, or with the token of operators. Where none
    /// is set there is nothing to compare a token with, and none is looked at.
    pub(super) fn work_or_operate<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let Some(admin) = &self.admin else {
            let closed = "calls of workers and operators are open to local callers only, until the queue-service has an --admin-token";
            return is_local(request).then_some(()).ok_or_else(|| Status::unauthenticated(closed));
        };
        match sent(request.metadata()) {
            Some(token) if admin.is(token) => Ok(()),
            Some(_) => {
                Err(Status::permission_denied("this is not the token of the queue-service's --admin-token"))
            }
            None if is_local(request) => Ok(()),
            None => Err(Status::unauthenticated(
                "calls of workers and operators are open to local callers, and with the token of its --admin-token to \
                 others: \"Authorization: Bearer <token>\"",
            )),
        }
    }

    /// True if the caller has no right beyond those of everybody.
    pub(super) fn is_visitor<T>(&self, request: &Request<T>) -> bool {
        self.work_or_operate(request).is_err()
    }

    /// Checks that the caller may change a message: its author by the edit token, an operator by theirs, or a local caller
    /// without one.
    ///
    /// A local caller that asks for nobody else may do so whatever it sends where no token of operators is set: it is a
    /// gateway on this machine that has checked an operator's token by its own setting, or somebody who could as well
    /// send none.
    pub(super) fn change<T>(&self, request: &Request<T>, id: Uuid) -> Result<Editor, Status> {
        if !request.metadata().contains_key("authorization") {
            let closed = "send the edit token of the message: \"Authorization: Bearer <editToken>\"";
            return is_local(request)
                .then_some(Editor::Operator)
                .ok_or_else(|| Status::unauthenticated(closed));
        }
        let Some(token) = sent(request.metadata()) else {
            return Err(Status::unauthenticated("the Authorization header must be \"Bearer <editToken>\""));
        };
        if self.edits.accepts(id, token) {
            return Ok(Editor::Author);
        }
        let may = match &self.admin {
            Some(admin) => admin.is(token),
            None => is_local(request) && !request.metadata().contains_key(FORWARDED_FOR),
        };
        may.then_some(Editor::Operator)
            .ok_or_else(|| Status::permission_denied("this token does not belong to this message"))
    }
}

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The bearer token that came with a call; one that cannot be read is as good as a wrong one.
fn sent(metadata: &MetadataMap) -> Option<&str> {
    metadata.get("authorization")?.to_str().map_or(Some(""), bearer)
}

/// Local: the peer is on this machine, and so is everybody for whom it forwards the call.
fn is_local<T>(request: &Request<T>) -> bool {
    let peer = request.remote_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    peer && forwarded_are_local(request.metadata())
}

fn forwarded_are_local(metadata: &MetadataMap) -> bool {
    metadata.get_all(FORWARDED_FOR).iter().all(|chain| {
        let addresses = chain.to_str().map(|chain| chain.split(',').map(str::trim));
        addresses.is_ok_and(|mut addresses| {
            addresses.all(|a| a.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback()))
        })
    })
}

#[cfg(test)]
mod tests;
