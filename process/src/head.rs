//! The head of a request, held to what the standards demand. A server that guesses what a head means, where others on the
//! way guess something else, is what requests are smuggled by.

use std::net::IpAddr;

use http::{HeaderMap, Request, StatusCode, Version, header::HOST, uri::Uri};

/// Largest head of a request over HTTP/1: its line and its headers, in bytes. Over HTTP/2 the protocol keeps a bound.
pub const HTTP1_HEAD_BYTES: usize = 64 * 1024;

/// What somebody else's name for a port of this machine is refused with.
pub const MISDIRECTED: &str = "this port is for this machine: call it localhost or by a loopback address";

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// More than one host.
    #[error("a request has one Host header; this one has more")]
    Hosts,
    /// HTTP/1.1 without a host.
    #[error("a request over HTTP/1.1 has a Host header; this one has none")]
    NoHost,
    /// A host that is none.
    #[error("the Host must be a name or an address, and a port if any: \"localhost:8080\"")]
    BadHost,
    /// Over HTTP/2, a header that names another host than the target.
    #[error("the Host header and :authority must name the same host")]
    OtherHost,
    /// A head over [`HTTP1_HEAD_BYTES`].
    #[error("the head of a request may have {HTTP1_HEAD_BYTES} bytes; this one has {0}")]
    TooLong(usize),
}

impl HeadFault {
    /// The status of its refusal.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLong(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Hosts | Self::NoHost | Self::BadHost | Self::OtherHost => StatusCode::BAD_REQUEST,
        }
    }
}

/// What a client calls this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host<'a> {
    /// The name or the address; IPv6 without its brackets.
    name: &'a str,
}

impl<'a> Host<'a> {
    /// Reads `name`, `name:port`, `address`, `[address]:port`. No user, no other characters.
    fn parse(text: &'a str) -> Option<Self> {
        let (name, rest) = match text.strip_prefix('[') {
            Some(address) => {
                let (address, rest) = address.split_once(']')?;
                address.parse::<std::net::Ipv6Addr>().ok()?;
                (address, rest)
            }
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let is_name = text.starts_with('[') || name.bytes().all(is_of_name);
        let port = rest.strip_prefix(':').unwrap_or("");
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
            && (port.is_empty() || port.parse::<u16>().is_ok())
            && (rest.is_empty() || rest.starts_with(':'));
        (is_name && is_port).then_some(Self { name })
    }

    /// True for the names that only this machine has for itself: `localhost`, those below it, and loopback addresses. No
    /// name server of somebody else's can make one of them up.
    pub fn is_local(self) -> bool {
        let name = self.name.strip_suffix('.').unwrap_or(self.name);
        let is_below = |(_, last): (&str, &str)| last.eq_ignore_ascii_case("localhost");
        name.eq_ignore_ascii_case("localhost")
            || name.rsplit_once('.').is_some_and(is_below)
            || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    }
}

/// The characters of a registered name (RFC 3986, 3.2.2).
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte)
}

/// Checks a head, and tells what the client calls this server, if it says it.
///
/// # Errors
/// What is wrong with it.
pub fn check_head<B>(request: &Request<B>) -> Result<Option<Host<'_>>, HeadFault> {
    let is_http1 = request.version() < Version::HTTP_2;
    let host = host_of(request.uri(), request.headers(), request.version())?;
    if is_http1 {
        let bytes = head_bytes(request);
        if bytes > HTTP1_HEAD_BYTES {
            return Err(HeadFault::TooLong(bytes));
        }
    }
    Ok(host)
}

/// Refuses a head that is not sound and, on a port that only this machine can reach, one that names somebody else's host: a
/// page whose name somebody's name server points here (DNS rebinding). No header makes up for it, for such a page can send
/// every one.
///
/// # Errors
/// The status and the text of the refusal.
pub fn check_host<B>(request: &Request<B>, is_loopback: bool) -> Result<(), (StatusCode, String)> {
    let host = check_head(request).map_err(|fault| (fault.status(), fault.to_string()))?;
    if is_loopback && !host.is_none_or(Host::is_local) {
        return Err((StatusCode::MISDIRECTED_REQUEST, MISDIRECTED.to_owned()));
    }
    Ok(())
}

fn host_of<'a>(
    uri: &'a Uri,
    headers: &'a HeaderMap,
    version: Version,
) -> Result<Option<Host<'a>>, HeadFault> {
    let mut hosts = headers.get_all(HOST).iter();
    let header = hosts.next();
    if hosts.next().is_some() {
        return Err(HeadFault::Hosts);
    }
    if header.is_none() && version == Version::HTTP_11 {
        return Err(HeadFault::NoHost);
    }
    let read = |text| Host::parse(text).ok_or(HeadFault::BadHost);
    let said = header.map(|host| host.to_str().map_err(|_| HeadFault::BadHost)).transpose()?;
    let target = uri.authority().map(http::uri::Authority::as_str);
    match (target, said) {
        (Some(target), Some(said)) if version >= Version::HTTP_2 && !target.eq_ignore_ascii_case(said) => {
            Err(HeadFault::OtherHost)
        }
        (Some(target), said) => {
            // A target with a host goes before the header, which must be sound all the same.
            said.map(read).transpose()?;
            read(target).map(Some)
        }
        (None, Some(said)) => read(said).map(Some),
        (None, None) => Ok(None),
    }
}

/// The bytes of a head as HTTP/1 sends it, at the least.
fn head_bytes<B>(request: &Request<B>) -> usize {
    const LINE: usize = "  HTTP/1.1\r\n".len();
    const HEADER: usize = ": \r\n".len();
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |path| path.as_str().len())
        + uri.authority().map_or(0, |authority| authority.as_str().len());
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + HEADER);
    request.method().as_str().len() + target + LINE + headers.sum::<usize>() + 2
}

#[cfg(test)]
mod tests {
    use http::{Request, Version};

    use super::{HTTP1_HEAD_BYTES, HeadFault, Host, check_head};

    fn request(version: Version, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().version(version).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn fault(version: Version, uri: &str, headers: &[(&str, &str)]) -> Option<HeadFault> {
        check_head(&request(version, uri, headers)).err()
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_a_port_if_any() {
        for sound in [
            "localhost",
            "localhost:8080",
            "localhost:",
            "chat.example.com.",
            "127.0.0.1:80",
            "[::1]:8080",
            "[::1]",
            "xn--bcher-kva.example",
            "under_score",
            "",
        ] {
            assert!(Host::parse(sound).is_some(), "{sound:?}");
        }
        for broken in [
            "localhost:evil",
            "127.0.0.1:8080@evil.example",
            "user@localhost",
            "localhost:8080:8080",
            "localhost:65536",
            "localhost:+80",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[evil]",
            "a b",
            "a/b",
            "a\\b",
            "a?b",
            "a#b",
            "b\u{fc}cher",
        ] {
            assert!(Host::parse(broken).is_none(), "{broken:?}");
        }
    }

    #[test]
    fn local_is_what_nobody_else_can_name() {
        let is_local = |text| Host::parse(text).unwrap().is_local();
        for local in
            ["localhost", "LOCALHOST:1", "localhost.", "a.localhost", "127.0.0.1", "127.9.9.9:80", "[::1]:1"]
        {
            assert!(is_local(local), "{local}");
        }
        for other in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "",
            "[::2]",
            "10.0.0.1",
        ] {
            assert!(!is_local(other), "{other}");
        }
    }

    #[test]
    fn over_http1_a_host_is_said_once() {
        let (http10, http11) = (Version::HTTP_10, Version::HTTP_11);
        assert_eq!(fault(http11, "/", &[("host", "a")]), None);
        assert_eq!(fault(http11, "/", &[]), Some(HeadFault::NoHost));
        assert_eq!(fault(http10, "/", &[]), None, "HTTP/1.0 knows no host");
        for version in [http10, http11] {
            assert_eq!(fault(version, "/", &[("host", "a"), ("host", "a")]), Some(HeadFault::Hosts));
            assert_eq!(fault(version, "/", &[("host", "a:b")]), Some(HeadFault::BadHost));
        }
        assert_eq!(fault(http11, "http://a:1/", &[("host", "b")]), None, "the target goes before");
        assert_eq!(fault(http11, "http://u@a:1/", &[("host", "b")]), Some(HeadFault::BadHost));
    }

    #[test]
    fn over_http2_the_header_names_no_other_host() {
        let http2 = Version::HTTP_2;
        assert_eq!(fault(http2, "http://a:1/", &[]), None);
        assert_eq!(fault(http2, "http://a:1/", &[("host", "A:1")]), None);
        assert_eq!(fault(http2, "http://a:1/", &[("host", "b")]), Some(HeadFault::OtherHost));
        assert_eq!(fault(http2, "http://u@a/", &[]), Some(HeadFault::BadHost));
        assert_eq!(fault(http2, "/", &[("host", "a"), ("host", "b")]), Some(HeadFault::Hosts));
    }

    #[test]
    fn a_head_has_so_many_bytes() {
        let plain = "GET / HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n".len();
        let long = |bytes: usize| "v".repeat(bytes);
        let fits = long(HTTP1_HEAD_BYTES - plain);
        assert_eq!(fault(Version::HTTP_11, "/", &[("host", "a"), ("x", &fits)]), None);
        let over = long(HTTP1_HEAD_BYTES - plain + 1);
        let too_long = HeadFault::TooLong(HTTP1_HEAD_BYTES + 1);
        assert_eq!(fault(Version::HTTP_11, "/", &[("host", "a"), ("x", &over)]), Some(too_long));
    }
}
