//! Visitors: who has no token, and owns the conversations that they begin.
//!
//! A visitor is known by a secret of 256 random bits: a cookie that no script reads, or the header `X-Visitor` for pages on
//! other origins and for programs. The gateway keeps none of them. What goes upstream is a hash, so that a queue-service
//! that is read does not tell the secret.

use axum::{
    extract::FromRequestParts,
    response::{IntoResponseParts, ResponseParts},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use sha2::{Digest as _, Sha256};

use crate::{problem::Problem, server::App};

/// The header, both ways.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-visitor");
/// Name of the cookie.
const COOKIE: &str = "repartee-visitor";
/// A year, in seconds; browsers keep no cookie for longer than 400 days.
const COOKIE_AGE: u32 = 365 * 24 * 60 * 60;
/// Shortest and longest secret that a client may bring, in characters.
pub(crate) const SHORTEST: u32 = 32;
pub(crate) const LONGEST: u32 = 128;

/// The secret of a visitor.
#[derive(Clone)]
pub(crate) struct Visitor {
    secret: String,
    /// True if the client brought it.
    is_known: bool,
    /// True if the request came over https, as far as that can be told.
    is_secure: bool,
}

impl Visitor {
    /// The secret that a request brings. The header counts more than the cookie: who sends it means it.
    ///
    /// # Errors
    /// 400 if the header holds something else.
    pub(crate) fn brought(headers: &HeaderMap) -> Result<Option<String>, Problem> {
        if let Some(value) = headers.get(&HEADER) {
            let secret = value.to_str().ok().filter(|secret| is_secret(secret));
            let refused = || {
                let limits = format!("{SHORTEST} to {LONGEST} letters, digits, - or _");
                let detail = format!("header X-Visitor: must be the visitor's secret, {limits}");
                Problem::new(StatusCode::BAD_REQUEST, detail)
            };
            return secret.map(|secret| Some(secret.to_owned())).ok_or_else(refused);
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs =
            cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        // A cookie that is none of ours was set by somebody else under this host: the visitor has none then.
        let found = pairs.find(|(name, value)| *name == COOKIE && is_secret(value));
        Ok(found.map(|(_, secret)| secret.to_owned()))
    }

    /// The visitor of a request; a new one if it brings no secret.
    pub(crate) fn of(headers: &HeaderMap, is_secure: bool) -> Result<Self, Problem> {
        let brought = Self::brought(headers)?;
        let is_known = brought.is_some();
        let secret = brought.unwrap_or_else(|| hex::encode(rand::random::<[u8; 32]>()));
        Ok(Self { secret, is_known, is_secure })
    }

    /// True if the client brought the secret.
    pub(crate) fn is_known(&self) -> bool {
        self.is_known
    }

    /// What stands for the secret upstream: 128 bits of its hash.
    pub(crate) fn digest(secret: &str) -> String {
        hex::encode(&Sha256::digest(secret.as_bytes())[..16])
    }

    /// The same of this visitor.
    pub(crate) fn own_digest(&self) -> String {
        Self::digest(&self.secret)
    }

    fn cookie(&self) -> HeaderValue {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let secret = &self.secret;
        let cookie =
            format!("{COOKIE}={secret}; Path=/; Max-Age={COOKIE_AGE}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(cookie).expect("a secret is visible ASCII")
    }

    /// Gives a new visitor their secret, as a cookie and as a header.
    pub(crate) fn give(&self, headers: &mut HeaderMap) {
        if !self.is_known {
            headers.append(header::SET_COOKIE, self.cookie());
            let value = HeaderValue::try_from(&self.secret).expect("a secret is visible ASCII");
            headers.insert(HEADER, value);
        }
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Self::of(&parts.headers, app.is_tls || is_secure(&parts.headers))
    }
}

impl IntoResponseParts for Visitor {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        self.give(parts.headers_mut());
        Ok(parts)
    }
}

/// True if what stands before this server spoke TLS: a proxy says so, and a page over https names its origin so. Both are
/// believed from everybody: whoever sends a wrong one gets a cookie that their own browser does not keep.
pub(crate) fn is_secure(headers: &HeaderMap) -> bool {
    let proto = headers.get("x-forwarded-proto").and_then(|proto| proto.to_str().ok());
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    // Of several proxies, the first one is named first: the one that browsers speak to.
    let proto = proto.and_then(|proto| proto.split(',').next());
    proto.is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
        || origin.is_some_and(|origin| origin.starts_with("https://"))
}

fn is_secret(text: &str) -> bool {
    (SHORTEST as usize..=LONGEST as usize).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Visitor, is_secure};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_secret_comes_by_header_or_by_cookie_and_the_header_counts_more() {
        let brought = |lines: &[(&'static str, &str)]| Visitor::brought(&headers(lines)).unwrap();
        let cookie = format!("a=b; repartee-visitor={SECRET}; c=d");
        let other = SECRET.replace('0', "z");
        assert_eq!(brought(&[("cookie", &cookie)]).as_deref(), Some(SECRET));
        assert_eq!(brought(&[("cookie", &cookie), ("x-visitor", &other)]).as_deref(), Some(&*other));
        for none in [
            "repartee-visitor=short",
            "repartee-visitor=",
            "other=1",
            &format!("repartee-visitor={SECRET}\"x"),
        ] {
            assert_eq!(brought(&[("cookie", none)]), None, "{none}");
        }
    }

    #[test]
    fn what_came_over_https_is_known_by_the_proxy_or_by_the_origin() {
        for (name, value, secure) in [
            ("x-forwarded-proto", "https", true),
            ("x-forwarded-proto", "HTTPS, http", true),
            ("x-forwarded-proto", "http, https", false),
            ("x-forwarded-proto", "http", false),
            ("origin", "https://talk.example", true),
            ("origin", "http://talk.example", false),
            ("origin", "null", false),
        ] {
            assert_eq!(is_secure(&headers(&[(name, value)])), secure, "{name}: {value}");
        }
        assert!(!is_secure(&HeaderMap::new()));
    }

    #[test]
    fn a_header_that_is_no_secret_is_refused_with_the_limit() {
        for wrong in ["short", "with spaces in it, which is no secret at all", &"x".repeat(129), ""] {
            let problem = Visitor::brought(&headers(&[("x-visitor", wrong)])).unwrap_err();
            assert!(
                problem.detail.contains("X-Visitor") && problem.detail.contains("32 to 128"),
                "{}",
                problem.detail
            );
        }
    }

    #[test]
    fn a_new_visitor_is_given_a_secret_that_no_script_reads_and_a_known_one_none() {
        let given = |secure| {
            let mut answer = HeaderMap::new();
            Visitor::of(&HeaderMap::new(), secure).unwrap().give(&mut answer);
            answer
        };
        let answer = given(false);
        let (cookie, secret) =
            (answer["set-cookie"].to_str().unwrap(), answer["x-visitor"].to_str().unwrap());
        assert!(cookie.starts_with(&format!("repartee-visitor={secret}; Path=/")), "{cookie}");
        assert!(cookie.contains("HttpOnly; SameSite=Lax") && !cookie.contains("Secure"), "{cookie}");
        assert!(given(true)["set-cookie"].to_str().unwrap().ends_with("; Secure"));
        assert_ne!(given(true)["x-visitor"], answer["x-visitor"]);
        let mut none = HeaderMap::new();
        Visitor::of(&headers(&[("x-visitor", SECRET)]), false).unwrap().give(&mut none);
        assert!(none.is_empty());
    }
}
