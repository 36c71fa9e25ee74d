//! Reading what proxies say about whom they ask for: `X-Forwarded-For`, and `Forwarded` (RFC 7239).
//!
//! Both are read from the right. What our own proxies wrote stands there, whatever a client put before it: a quote that
//! it left open reaches only to the left of what it wrote.

use std::{
    fmt, iter,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use clap::ValueEnum;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// An IPv6 address in brackets has 47 characters at most, and a port follows.
const LONGEST_NODE: usize = 64;

/// The header in which the trusted proxies say for whom they ask. One only: a proxy that writes one of them passes the
/// other one on as its client sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: 203.0.113.9, 10.0.0.1`, as most proxies do.
    XForwardedFor,
    /// `Forwarded: for=203.0.113.9`, RFC 7239.
    Forwarded,
}

impl ForwardedHeader {
    pub(crate) fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => X_FORWARDED_FOR,
            Self::Forwarded => header::FORWARDED,
        }
    }
}

impl fmt::Display for ForwardedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        })
    }
}

/// The hops that `header` names, the nearest first; `None` for one that names no address. Empty list elements count for
/// nothing (RFC 9110, section 5.6.1).
pub(crate) fn hops(headers: &HeaderMap, header: ForwardedHeader) -> impl Iterator<Item = Option<IpAddr>> {
    let lines = headers.get_all(header.name()).into_iter().rev();
    let elements = lines.flat_map(|line: &HeaderValue| rsplit(line.as_bytes(), b','));
    elements.filter(|element| !element.is_empty()).map(move |element| match header {
        ForwardedHeader::XForwardedFor => node(element),
        ForwardedHeader::Forwarded => forwarded_for(element),
    })
}

/// The address in `for` of one element of `Forwarded`.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut named = rsplit(element, b';').filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        pair[..at].trim_ascii().eq_ignore_ascii_case(b"for").then(|| pair[at + 1..].trim_ascii())
    });
    let value = named.next()?;
    // Each parameter may occur once.
    if named.next().is_some() {
        return None;
    }
    match value.strip_prefix(b"\"") {
        // An address holds nothing that would have to be escaped.
        Some(quoted) => node(quoted.strip_suffix(b"\"")?),
        None => node(value),
    }
}

/// One node of RFC 7239, section 6, and what is seen of it in `X-Forwarded-For`: an address, in brackets or not, with a
/// port or without. `None` if it is obfuscated, unknown, or no node at all.
pub(super) fn node(bytes: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(bytes).ok().filter(|text| text.len() <= LONGEST_NODE)?;
    if let Some(inner) = text.strip_prefix('[') {
        let (address, port) = inner.split_once(']')?;
        let v6 = address.parse::<Ipv6Addr>().ok()?;
        return (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
            .then(|| IpAddr::V6(v6).to_canonical());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = text.split_once(':')?;
    is_port(port).then(|| address.parse::<Ipv4Addr>().ok().map(IpAddr::V4))?
}

/// A port, or an obfuscated one.
fn is_port(text: &str) -> bool {
    let obfuscated = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    text.parse::<u16>().is_ok() && !text.starts_with('+') || text.strip_prefix('_').is_some_and(obfuscated)
}

/// The trimmed parts between separators that stand in no quotes, the last one first.
fn rsplit(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    iter::from_fn(move || {
        let line = rest?;
        let mut quoted = false;
        let found = line.iter().rposition(|&byte| {
            quoted ^= byte == b'"';
            byte == separator && !quoted
        });
        let part = found.map_or(line, |at| &line[at + 1..]);
        rest = found.map(|at| &line[..at]);
        Some(part.trim_ascii())
    })
}
