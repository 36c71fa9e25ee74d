//! Who may do what. Until tokens are configured, the calls of workers and operators are open to local callers only.

use std::net::IpAddr;

use tonic::{Request, Status, metadata::MetadataMap};
use uuid::Uuid;

use crate::journal::EditSecret;

/// Checks that a call of a worker or an operator comes from this machine.
pub(super) fn local<T>(request: &Request<T>) -> Result<(), Status> {
    if is_local(request) {
        return Ok(());
    }
    Err(Status::unauthenticated("calls of workers and operators are open to local callers only"))
}

/// Checks that the caller may change a message: its author by the edit token, or a local caller without one.
pub(super) fn author_or_local<T>(request: &Request<T>, id: Uuid, secret: &EditSecret) -> Result<(), Status> {
    let Some(authorization) = request.metadata().get("authorization") else {
        return if is_local(request) {
            Ok(())
        } else {
            Err(Status::unauthenticated(
                "send the edit token of the message: \"Authorization: Bearer <editToken>\"",
            ))
        };
    };
    let token = authorization.to_str().ok().and_then(bearer);
    match token {
        Some(token) if secret.accepts(id, token) => Ok(()),
        Some(_) => Err(Status::permission_denied("this token does not belong to this message")),
        None => Err(Status::unauthenticated("the Authorization header must be \"Bearer <editToken>\"")),
    }
}

/// The scheme is matched without regard to case: RFC 9110, section 11.1.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Local: the peer is on this machine, and so is everybody for whom it forwards the call.
fn is_local<T>(request: &Request<T>) -> bool {
    let peer = request.remote_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    peer && forwarded_are_local(request.metadata())
}

fn forwarded_are_local(metadata: &MetadataMap) -> bool {
    metadata.get_all("x-forwarded-for").iter().all(|chain| {
        let addresses = chain.to_str().map(|chain| chain.split(',').map(str::trim));
        addresses.is_ok_and(|mut addresses| {
            addresses.all(|a| a.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(chain: &'static str) -> bool {
        let mut metadata = MetadataMap::new();
        metadata.insert("x-forwarded-for", chain.parse().expect("visible ASCII"));
        forwarded_are_local(&metadata)
    }

    #[test]
    fn a_chain_is_local_only_where_every_address_is_loopback() {
        assert!(forwarded_are_local(&MetadataMap::new()));
        assert!(forwarded("127.0.0.1"));
        assert!(forwarded("127.0.0.1, ::1, ::ffff:127.0.0.1"));
        assert!(!forwarded("203.0.113.7"));
        assert!(!forwarded("127.0.0.1, 203.0.113.7"));
        assert!(!forwarded("unknown"));
        assert!(!forwarded(""));
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }
}
