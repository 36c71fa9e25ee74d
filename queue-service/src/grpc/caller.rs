//! Who calls: what the token of a call proves, and for whom a gateway asks.

use std::{net::IpAddr, sync::Arc};

use repartee_process::{Grant, access::Callers};
use tonic::Request;

use crate::{
    domain::{Claimant, OwnName, Sender, SenderKey},
    journal::{EditSecret, Use},
};

/// The caller of one call. It is put into the extensions of every request before its handler runs.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// The edit token that came in place of a token of a role; whether it is the right one is not known yet.
    pub(crate) edit_token: Option<Box<str>>,
    /// Stands for the visitor's secret, if there is one. Whoever sends it knows that secret.
    pub(crate) visitor: Option<Box<str>>,
    /// True if that secret was only made for the answer to this call: until it comes back, the address stands for it.
    pub(crate) is_new: bool,
    /// The address of the client, if that is known.
    pub(crate) client: Option<IpAddr>,
}

/// What a caller has proved.
#[derive(Debug, Clone)]
pub(crate) enum Principal {
    /// Nothing.
    Visitor,
    /// A worker's token.
    Worker(Arc<Grant>),
    /// A gateway's token, in a call that it makes for itself.
    Gateway(Arc<Grant>),
    /// An operator's token.
    Operator(Arc<Grant>),
}

impl Caller {
    /// The caller of a request.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        // Put there by `authorize`, around all calls. Without it, a caller has proved nothing.
        let nobody = || Self {
            principal: Principal::Visitor,
            edit_token: None,
            visitor: None,
            is_new: false,
            client: None,
        };
        request.extensions().get().cloned().unwrap_or_else(nobody)
    }

    /// The kinds of callers that this one is.
    pub(super) fn kinds(&self) -> Callers {
        match &self.principal {
            Principal::Visitor if self.edit_token.is_some() => Callers::VISITOR | Callers::AUTHOR,
            Principal::Visitor => Callers::VISITOR,
            Principal::Worker(_) => Callers::WORKER,
            Principal::Gateway(_) => Callers::GATEWAY,
            Principal::Operator(_) => Callers::OPERATOR,
        }
    }

    /// True if the caller has proved nothing, or only that a message is theirs.
    pub(super) fn is_visitor(&self) -> bool {
        matches!(self.principal, Principal::Visitor)
    }

    /// True for operators.
    pub(super) fn is_operator(&self) -> bool {
        matches!(self.principal, Principal::Operator(_))
    }

    /// True for a gateway that asks for itself.
    pub(super) fn is_gateway(&self) -> bool {
        matches!(self.principal, Principal::Gateway(_))
    }

    /// What a worker is limited to; `None` if the caller may answer every entity.
    pub(super) fn limited_to(&self) -> Option<&Grant> {
        match &self.principal {
            Principal::Worker(grant) if !grant.is_for_all() => Some(grant),
            Principal::Worker(_) | Principal::Operator(_) | Principal::Gateway(_) | Principal::Visitor => {
                None
            }
        }
    }

    /// The id of a worker's token; none for everybody else.
    pub(super) fn worker_token(&self) -> Option<&str> {
        match &self.principal {
            Principal::Worker(grant) => Some(&grant.id),
            Principal::Operator(_) | Principal::Gateway(_) | Principal::Visitor => None,
        }
    }

    /// A name that this caller chose for a worker.
    pub(super) fn own_name(&self, name: String) -> OwnName {
        OwnName { token_id: self.worker_token().map(Arc::from), name }
    }

    /// Who stands behind what a visitor sends; none for callers with a role, who have no share of their own.
    pub(super) fn sender(&self, secret: &EditSecret) -> Option<Sender> {
        if !self.is_visitor() {
            return None;
        }
        let key = |of: Use, value: &[u8]| SenderKey(secret.key(of, value));
        let address = self.client.map_or_else(Vec::new, share_of);
        let address = key(Use::Address, &address);
        let brought = self.visitor.as_ref().filter(|_| !self.is_new);
        let author = brought.map_or(address, |visitor| key(Use::Visitor, visitor.as_bytes()));
        Some(Sender { author, address })
    }

    /// Who asks for a conversation; none for callers with a role.
    pub(super) fn claimant(&self, secret: &EditSecret) -> Option<Claimant> {
        let Sender { address, .. } = self.sender(secret)?;
        let key = |visitor: &str| SenderKey(secret.key(Use::Visitor, visitor.as_bytes()));
        let visitor = self.visitor.as_deref().map_or(address, key);
        Some(Claimant { visitor, has_secret: self.visitor.is_some() && !self.is_new, address })
    }

    /// To whom an idempotency key belongs: the token, else the visitor, else the address.
    pub(super) fn scope(&self, sender: Option<Sender>) -> Vec<u8> {
        match (&self.principal, sender) {
            (Principal::Worker(grant) | Principal::Gateway(grant) | Principal::Operator(grant), _) => {
                [b"token ", grant.id.as_bytes()].concat()
            }
            (Principal::Visitor, Some(sender)) => [&b"sender "[..], &sender.author.0].concat(),
            (Principal::Visitor, None) => Vec::new(),
        }
    }

    /// The same before the visitor was handed the secret that they bring; none if they bring none.
    pub(super) fn scope_before(&self, sender: Option<Sender>) -> Option<Vec<u8>> {
        let Sender { author, address } = sender?;
        (author != address).then(|| [&b"sender "[..], &address.0].concat())
    }
}

/// What has a share of its own: an IPv4 address; of IPv6 the first 64 bits, since a household gets as many.
fn share_of(client: IpAddr) -> Vec<u8> {
    match client.to_canonical() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets()[..8].to_vec(),
    }
}
