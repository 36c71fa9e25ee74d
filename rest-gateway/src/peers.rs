//! Who stands behind a request: the chain of peers that the queue-service judges. Local callers may do what workers and
//! operators do, so whatever may come from elsewhere has to show in the chain.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request::Parts};

use crate::client::node;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Stands in the chain for somebody whose address is not known; it is no address, so nobody becomes local by it.
const UNKNOWN: &str = "unknown";

/// Addresses that go upstream; more than any request passes.
const MOST_ADDRESSES: usize = 16;

/// The chain: what the request came with, the peer that sent it, and an unknown one where a page of another site may
/// have made the browser of a local person send it. Nothing of it is what a client wrote: each part is an address that was
/// read, or [`UNKNOWN`], and there are at most [`MOST_ADDRESSES`], the nearest ones; one that is unknown stands for others.
pub(crate) fn chain(parts: &Parts, peer: Option<SocketAddr>) -> String {
    let headers = &parts.headers;
    let foreign = headers.contains_key(header::FORWARDED) || !is_own_page(&parts.uri, headers);
    let peer = peer.map(|peer| peer.ip().to_canonical());
    let received =
        [REAL_IP, FORWARDED_FOR].into_iter().flat_map(|name| headers.get_all(name).into_iter().rev());
    let hops = received.flat_map(|line: &HeaderValue| line.as_bytes().rsplit(|byte| *byte == b','));
    let mut nearest_first =
        foreign.then_some(None).into_iter().chain([peer]).chain(hops.map(|hop| node(hop.trim_ascii())));
    let mut chain: Vec<_> = nearest_first.by_ref().take(MOST_ADDRESSES).collect();
    if nearest_first.next().is_some() {
        chain[MOST_ADDRESSES - 1] = None;
    }
    let names =
        chain.iter().rev().map(|hop| hop.map_or_else(|| UNKNOWN.to_owned(), |address| address.to_string()));
    names.collect::<Vec<_>>().join(", ")
}

/// True where everybody in the chain is on this machine: the rule by which the queue-service judges it.
pub(crate) fn is_local(parts: &Parts, peer: Option<SocketAddr>) -> bool {
    let chain = chain(parts, peer);
    let is_loopback =
        |address: &str| address.trim().parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    chain.split(',').all(is_loopback)
}

/// True unless a page of another site may have sent this: it names its origin, or it reached this server under a name
/// that somebody else's name server made up (DNS rebinding).
fn is_own_page(uri: &Uri, headers: &HeaderMap) -> bool {
    let Some(host) = host(uri, headers) else { return true };
    let origin = headers.get(header::ORIGIN);
    let same = origin.is_none_or(|origin| {
        let authority =
            origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(&host))
    });
    same && is_local_name(&host)
}

/// What the client calls this server, with the port: HTTP/2 says it in the target, HTTP/1 in a header.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    match uri.authority() {
        Some(authority) => Some(authority.to_string()),
        None => Some(headers.get(header::HOST)?.to_str().unwrap_or("?").to_owned()),
    }
}

fn is_local_name(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().to_canonical().is_loopback();
    }
    let name = host.rsplit_once(':').filter(|_| !host.ends_with(']')).map_or(host, |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{chain, is_local};

    /// The chain of a request by a peer on this machine.
    fn local(headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder().uri("/api/comments");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        chain(&parts, "[::ffff:127.0.0.1]:4711".parse().ok())
    }

    #[test]
    fn the_peer_is_the_last_of_the_chain() {
        assert_eq!(local(&[]), "127.0.0.1");
        let received = [("x-forwarded-for", "203.0.113.9, 10.0.0.1"), ("x-forwarded-for", "::1")];
        assert_eq!(local(&received), "203.0.113.9, 10.0.0.1, ::1, 127.0.0.1");
        assert_eq!(local(&[("x-real-ip", "203.0.113.9")]), "203.0.113.9, 127.0.0.1");
    }

    #[test]
    fn what_is_no_address_is_unknown_and_so_many_addresses_are_passed_on() {
        assert_eq!(
            local(&[("x-forwarded-for", "evil\u{e9}, 203.0.113.9:80, ")]),
            "unknown, 203.0.113.9, unknown, 127.0.0.1"
        );
        let long = vec!["::1"; 20_000].join(",");
        let chain = local(&[("x-forwarded-for", &long)]);
        assert_eq!(chain.split(", ").count(), 16);
        assert!(chain.starts_with("unknown, ::1, ") && chain.ends_with(", ::1, 127.0.0.1"), "{chain}");
    }

    #[test]
    fn a_caller_without_a_known_peer_is_not_local() {
        let (parts, ()) = Request::new(()).into_parts();
        assert_eq!(chain(&parts, None), "unknown");
    }

    #[test]
    fn local_is_where_everybody_in_the_chain_is() {
        let judged = |headers: &[(&str, &str)]| {
            let mut request = Request::builder().uri("/admin");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            is_local(&parts, "[::ffff:127.0.0.1]:4711".parse().ok())
        };
        assert!(judged(&[]) && judged(&[("x-forwarded-for", "::1, 127.0.0.9")]));
        for elsewhere in [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-for", ""),
            ("x-real-ip", "unknown"),
            ("forwarded", "for=127.0.0.1"),
            ("host", "evil.example"),
        ] {
            assert!(!judged(&[elsewhere]), "{elsewhere:?}");
        }
    }

    #[test]
    fn our_own_page_and_programs_are_local() {
        for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "[::1]", "127.0.0.1"] {
            assert_eq!(local(&[("host", host)]), "127.0.0.1", "{host}");
            let origin = format!("http://{host}");
            assert_eq!(local(&[("host", host), ("origin", &origin)]), "127.0.0.1", "{origin}");
        }
    }

    #[test]
    fn what_a_page_of_another_site_can_send_is_not_local() {
        let elsewhere = "127.0.0.1, unknown";
        let here = ("host", "127.0.0.1:8080");
        assert_eq!(local(&[here, ("origin", "http://evil.example")]), elsewhere);
        assert_eq!(local(&[here, ("origin", "http://127.0.0.1:9090")]), elsewhere);
        assert_eq!(local(&[here, ("origin", "null")]), elsewhere);
        assert_eq!(local(&[("host", "evil.example:8080")]), elsewhere);
        assert_eq!(local(&[("host", "evil.example"), ("origin", "http://evil.example")]), elsewhere);
        assert_eq!(local(&[("host", "127.0.0.1.evil.example")]), elsewhere);
        assert_eq!(local(&[here, ("forwarded", "for=203.0.113.9")]), elsewhere);
    }
}
