//! Whose request it is: the address that a client is counted, limited and logged by.
//!
//! It is the peer of the connection, unless that peer is a proxy of ours (`--trusted-proxy`): then it is the last hop in
//! the proxy's header that is no proxy of ours. Nothing that a client writes can make it another one: a header counts only
//! from the right, and only as far as our own proxies wrote it.

mod forwarded;
mod headers;
mod limits;
mod prefix;
mod proxies;
mod settings;

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::extract::FromRequestParts;
use http::{Extensions, HeaderMap, request::Parts};
use repartee_process::ClientKey;

pub use forwarded::ForwardedHeader;
pub(crate) use headers::{rate_headers, share_headers};
pub(crate) use limits::{Admitted, ClientLimits, Held};
pub(crate) use prefix::Prefix;
pub use proxies::Network;
pub use settings::ClientSettings;

/// More proxies of ours in a row than anybody has: what stands further to the left is not looked at.
const MOST_HOPS: usize = 16;

/// The sender of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address, never an IPv4 address that is written as IPv6.
    pub(crate) address: IpAddr,
    /// What it is counted by.
    pub(crate) key: ClientKey,
    /// True if its token was accepted lately: the limits of visitors are not its.
    pub(crate) is_exempt: bool,
}

/// The other end of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Address and port, as the system tells them.
    pub(crate) socket: SocketAddr,
    /// What it is counted by, if it speaks for itself.
    pub(crate) client: Client,
    /// True if it speaks for others.
    pub(crate) is_proxy: bool,
}

/// Knows the proxies that speak for others. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Proxies(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    trusted: Vec<Network>,
    header: ForwardedHeader,
    /// The operator was told that a proxy seems to be missing in the settings.
    hinted: AtomicBool,
}

impl Client {
    /// The sender of the request with these extensions. A request that met no [`Proxies`] is nobody's: `0.0.0.0`.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_else(|| Self::at(IpAddr::from([0, 0, 0, 0])))
    }

    fn at(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, key: address.into(), is_exempt: false }
    }
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

impl Peer {
    /// The path below which the client sees this gateway, if this peer is a proxy that says so.
    pub(crate) fn prefix(&self, headers: &HeaderMap) -> Option<Prefix> {
        self.is_proxy.then(|| Prefix::of(headers))?
    }
}

impl Proxies {
    pub(crate) fn new(trusted: Vec<Network>, header: ForwardedHeader) -> Self {
        Self(Arc::new(Inner { trusted, header, hinted: AtomicBool::new(false) }))
    }

    /// The other end of a connection; judged once for all of its requests.
    pub(crate) fn peer(&self, socket: SocketAddr) -> Peer {
        let client = Client::at(socket.ip());
        Peer { socket, client, is_proxy: self.trusts(client.address) }
    }

    /// The sender of a request that came over the connection of `peer`. Only a proxy's requests have their headers read.
    pub(crate) fn client(&self, peer: &Peer, headers: &HeaderMap) -> Client {
        if !peer.is_proxy {
            self.hint(peer.client.address, headers);
            return peer.client;
        }
        let mut address = peer.client.address;
        for hop in forwarded::hops(headers, self.0.header).take(MOST_HOPS) {
            // Who cannot be read is unknown: the proxy that wrote it answers for them.
            let Some(hop) = hop else { break };
            address = hop;
            if !self.trusts(hop) {
                break;
            }
        }
        Client::at(address)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.trusted.iter().any(|network| network.contains(address))
    }

    /// Tells the operator, once, that what looks like a proxy is counted as one client.
    fn hint(&self, peer: IpAddr, headers: &HeaderMap) {
        let Inner { header, hinted, .. } = &*self.0;
        if headers.contains_key(header.name()) && is_private(peer) && !hinted.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %peer,
                "a peer sends {}, but is no --trusted-proxy: everybody behind it counts as one client",
                header.name()
            );
        }
    }
}

/// Addresses that are not reached from elsewhere, where a proxy of ours would have one.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
