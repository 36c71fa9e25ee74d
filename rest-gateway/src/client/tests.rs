//! Whose request it is, as a table and as rules that hold for whatever a client sends.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::{
    ForwardedHeader, Proxies,
    forwarded::{self, node},
};

const PROXY: &str = "10.0.0.1:4711";
const HEADERS: [ForwardedHeader; 2] = [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded];

fn proxies(header: ForwardedHeader) -> Proxies {
    let trusted = ["10.0.0.0/8", "2001:db8:ffff::/48"].map(|network| network.parse().unwrap());
    Proxies::new(trusted.to_vec(), header)
}

fn headers(lines: &[(ForwardedHeader, &[u8])]) -> HeaderMap {
    let line =
        |(name, value): &(ForwardedHeader, &[u8])| (name.name(), HeaderValue::from_bytes(value).unwrap());
    let mut headers = HeaderMap::new();
    lines.iter().map(line).for_each(|(name, value): (HeaderName, _)| {
        headers.append(name, value);
    });
    headers
}

/// The client of a request of `peer` with these lines of `header`.
fn judged(header: ForwardedHeader, peer: &str, lines: &[&[u8]]) -> IpAddr {
    let lines: Vec<_> = lines.iter().map(|line| (header, *line)).collect();
    let proxies = proxies(header);
    proxies.client(&proxies.peer(peer.parse().unwrap()), &headers(&lines)).address
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_client_is_the_last_hop_that_is_no_proxy_of_ours() {
    for (lines, client) in [
        (&[][..], "10.0.0.1"),
        (&["203.0.113.9"], "203.0.113.9"),
        (&["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        (&["198.51.100.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        (&["198.51.100.1", "203.0.113.9", "10.0.0.2,10.0.0.3"], "203.0.113.9"),
        (&["203.0.113.9:4711"], "203.0.113.9"),
        (&["::ffff:203.0.113.9"], "203.0.113.9"),
        (&["::ffff:203.0.113.9, ::ffff:10.0.0.2"], "203.0.113.9"),
        (&["2001:db8::7"], "2001:db8::7"),
        (&["[2001:db8::7]:443 , 2001:db8:ffff::1"], "2001:db8::7"),
        // Our own proxies all the way: the outermost one asks for itself.
        (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (&["203.0.113.9, , "], "203.0.113.9"),
        // What cannot be read is unknown: the proxy in front of it answers.
        (&["203.0.113.9, unknown"], "10.0.0.1"),
        (&["203.0.113.9, nonsense, 10.0.0.2"], "10.0.0.2"),
        (&["203.0.113.9, 10.0.0.2.5"], "10.0.0.1"),
        (&["203.0.113.9, fe80::1%eth0"], "10.0.0.1"),
        (&["203.0.113.9, 1.2.3.4:99999"], "10.0.0.1"),
        (&["for=203.0.113.9"], "10.0.0.1"),
    ] {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(judged(ForwardedHeader::XForwardedFor, PROXY, &lines), address(client), "{lines:?}");
    }
}

#[test]
fn the_forwarded_header_is_read_as_rfc_7239_has_it() {
    for (lines, client) in [
        (&["for=203.0.113.9"][..], "203.0.113.9"),
        (&["For=\"203.0.113.9:4711\";proto=http;by=203.0.113.43"], "203.0.113.9"),
        (&["proto=https; FOR = 203.0.113.9"], "203.0.113.9"),
        (&["for=\"[2001:db8::7]:4711\""], "2001:db8::7"),
        (&["for=\"[2001:db8::7]\", for=10.0.0.2"], "2001:db8::7"),
        (
            &["for=198.51.100.1, for=203.0.113.9;by=\"a,b;for=1.1.1.1\", for=\"10.0.0.2:_port\""],
            "203.0.113.9",
        ),
        (&["for=198.51.100.1", "for=203.0.113.9"], "203.0.113.9"),
        (&["for=\"[2001:db8::7]:_a.b-c\""], "2001:db8::7"),
        // Obfuscated, unknown, twice, or not at all.
        (&["for=203.0.113.9, for=_hidden"], "10.0.0.1"),
        (&["for=203.0.113.9, for=unknown, for=10.0.0.2"], "10.0.0.2"),
        (&["for=203.0.113.9;for=198.51.100.1"], "10.0.0.1"),
        (&["for=203.0.113.9, by=10.0.0.2"], "10.0.0.1"),
        (&["203.0.113.9"], "10.0.0.1"),
        // A quote that a client left open does not reach what our proxy wrote behind it.
        (&["for=\"198.51.100.1, for=203.0.113.9"], "203.0.113.9"),
        (&["for=\"\\\", for=\"203.0.113.9\""], "203.0.113.9"),
        (&["for=\"203.0.113.9"], "10.0.0.1"),
    ] {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(judged(ForwardedHeader::Forwarded, PROXY, &lines), address(client), "{lines:?}");
    }
}

#[test]
fn only_the_header_of_the_setting_counts() {
    for header in HEADERS {
        let proxies = proxies(header);
        let both = headers(&[
            (ForwardedHeader::XForwardedFor, b"203.0.113.1"),
            (ForwardedHeader::Forwarded, b"for=203.0.113.2"),
        ]);
        let client = proxies.client(&proxies.peer(PROXY.parse().unwrap()), &both).address;
        let expected = if header == ForwardedHeader::Forwarded { "203.0.113.2" } else { "203.0.113.1" };
        assert_eq!(client, address(expected));
    }
}

#[test]
fn so_many_hops_are_read_and_no_more() {
    let line = format!("198.51.100.1{}", ",10.0.0.2".repeat(20_000));
    assert_eq!(judged(ForwardedHeader::XForwardedFor, PROXY, &[line.as_bytes()]), address("10.0.0.2"));
}

/// Whatever a header can carry.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => prop::sample::select(b"for=\"\\,;:[]._ 0123456789abcdef".to_vec()),
        1 => (0x20_u8..=0xff).prop_filter("DEL is in no header", |byte| *byte != 0x7f),
    ];
    prop::collection::vec(byte, 0..200)
}

fn untrusted() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>()
        .prop_map(|address| address.to_canonical())
        .prop_filter("no proxy of ours", |address| !proxies(ForwardedHeader::Forwarded).trusts(*address))
}

proptest! {
    #[test]
    fn no_header_of_an_untrusted_peer_has_an_effect(peer in untrusted(), lines in prop::collection::vec(line(), 0..4)) {
        for header in HEADERS {
            let proxies = proxies(header);
            let lines: Vec<_> = lines.iter().map(|line| (header, &line[..])).collect();
            let judged = proxies.client(&proxies.peer((peer, 80).into()), &headers(&lines));
            prop_assert_eq!((judged.address, judged.key), (peer, peer.into()));
        }
    }

    #[test]
    fn nothing_that_a_client_sends_hides_what_our_proxy_wrote_behind_it(
        client in untrusted(), lines in prop::collection::vec(line(), 0..3), own_line in any::<bool>()
    ) {
        for header in HEADERS {
            let wrote = match (header, client) {
                (ForwardedHeader::XForwardedFor, _) => client.to_string(),
                (ForwardedHeader::Forwarded, IpAddr::V4(_)) => format!("for={client}"),
                (ForwardedHeader::Forwarded, IpAddr::V6(_)) => format!("for=\"[{client}]\""),
            };
            let mut lines = lines.clone();
            match lines.last_mut() {
                Some(last) if !own_line => last.extend([b", ", wrote.as_bytes()].concat()),
                _ => lines.push(wrote.into_bytes()),
            }
            let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(judged(header, PROXY, &lines), client);
        }
    }

    #[test]
    fn a_client_is_the_proxy_or_an_address_that_was_named(lines in prop::collection::vec(line(), 0..4)) {
        for header in HEADERS {
            let slices: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            let judged = judged(header, PROXY, &slices);
            let headers = headers(&slices.iter().map(|line| (header, *line)).collect::<Vec<_>>());
            let named = forwarded::hops(&headers, header).any(|hop| hop == Some(judged));
            prop_assert!(named || judged == address("10.0.0.1"));
        }
    }

    #[test]
    fn an_address_is_read_however_it_is_written(ip in any::<IpAddr>(), port in any::<u16>()) {
        let canonical = Some(ip.to_canonical());
        prop_assert_eq!(node(ip.to_string().as_bytes()), canonical);
        prop_assert_eq!(node(std::net::SocketAddr::new(ip, port).to_string().as_bytes()), canonical);
    }
}
