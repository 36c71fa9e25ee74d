//! Strict-Transport-Security: what browsers are to remember about TLS (RFC 6797).
//!
//! A browser that was told keeps to https for every port of that name, for as long as it was told. So it is told only where
//! that is what an operator means: over TLS of this server's own, to who called it by a name without a port. `localhost` is
//! everybody's, and of addresses browsers remember nothing (section 8.1.1).

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use http::{HeaderMap, HeaderValue, Request, header};
use repartee_process::Span;
use serde::{Serialize, Serializer};

/// For how long browsers are to keep to https.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hsts {
    /// Nothing is said.
    Off,
    /// So long; zero makes them forget it.
    For(Duration),
}

/// What an answer says about it; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Promise(Option<HeaderValue>);

impl Hsts {
    pub(crate) fn promise(self) -> Promise {
        let value = |span: Duration| {
            HeaderValue::try_from(format!("max-age={}", span.as_secs())).expect("digits are visible ASCII")
        };
        match self {
            Self::Off => Promise(None),
            Self::For(span) => Promise(Some(value(span))),
        }
    }
}

impl Promise {
    /// What is promised to whoever sent this request.
    pub(crate) fn to<B>(&self, request: &Request<B>) -> Self {
        let host = || {
            let target = request.uri().authority().map(http::uri::Authority::as_str);
            target.or_else(|| request.headers().get(header::HOST)?.to_str().ok())
        };
        Self(self.0.as_ref().filter(|_| host().is_some_and(is_plain_name)).cloned())
    }

    pub(crate) fn put_into(&mut self, headers: &mut HeaderMap) {
        if let Some(value) = self.0.take() {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
        }
    }
}

/// True for a name without a port that is not this machine's own.
fn is_plain_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let top = name.rsplit('.').next().unwrap_or_default();
    !name.is_empty()
        && !name.contains(':')
        && !top.eq_ignore_ascii_case("localhost")
        && name.parse::<IpAddr>().is_err()
}

impl FromStr for Hsts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let span = Span::seconds(0..=Span::LONGEST.0.as_secs())(text);
        span.map(|Span(span)| Self::For(span)).map_err(|wrong| format!("{wrong}; or off"))
    }
}

impl fmt::Display for Hsts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::For(span) => Span(*span).fmt(f),
        }
    }
}

impl Serialize for Hsts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Request, header};

    use super::{Hsts, Promise};

    fn said(promise: &Promise, host: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        promise.to(&Request::get("/").header("host", host).body(()).unwrap()).put_into(&mut headers);
        Some(headers.get(header::STRICT_TRANSPORT_SECURITY)?.to_str().unwrap().to_owned())
    }

    #[test]
    fn browsers_are_told_only_where_a_name_stands_for_this_server_alone() {
        let promise = "180d".parse::<Hsts>().unwrap().promise();
        for name in ["talk.example", "TALK.example.", "localhost.example"] {
            assert_eq!(said(&promise, name).as_deref(), Some("max-age=15552000"), "{name}");
        }
        for other in [
            "talk.example:8443",
            "localhost",
            "a.LOCALHOST",
            "localhost.",
            "127.0.0.1",
            "[::1]",
            "[2001:db8::1]:443",
            "",
        ] {
            assert_eq!(said(&promise, other), None, "{other}");
        }
        let over_http2 = Request::get("https://talk.example/").body(()).unwrap();
        assert!(promise.to(&over_http2).0.is_some());
    }

    #[test]
    fn nothing_is_said_without_tls_or_when_it_is_off_and_zero_is_said() {
        assert_eq!(said(&Promise::default(), "talk.example"), None);
        assert_eq!(said(&Hsts::Off.promise(), "talk.example"), None);
        let forget = "0s".parse::<Hsts>().unwrap();
        assert_eq!(said(&forget.promise(), "talk.example").as_deref(), Some("max-age=0"));
        for text in ["180days", "off", "0s"] {
            let setting = text.parse::<Hsts>().unwrap();
            assert_eq!(setting.to_string().parse(), Ok(setting), "{text}");
        }
    }
}
