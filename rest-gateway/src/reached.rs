//! Read your writes: the answer of a write says which change it has reached, and a read that brings that back shows it, through
//! whichever gateway and whatever shared cache it goes.
//!
//! It comes as the header `X-Reached`, for programs, and as a cookie of a few seconds, which a plain `fetch` of the same
//! origin sends by itself. It is brought back as that cookie, or as the query parameter `reached`. A shared cache keeps answers
//! apart by the cookie (`Vary`), and by the address; pages of other origins send no cookie, so nothing of what they ask for is
//! kept for others.

use std::{sync::Arc, time::Duration};

use axum::{extract::Request, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use parking_lot::Mutex;

use crate::{conditional, visitor};

/// The header in the answer of a write.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-reached");
/// How long a read waits for a gateway that is behind.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Name of the cookie, and of the query parameter behind the dash.
const COOKIE: &str = "repartee-reached";
const PARAMETER: &str = "reached";
/// In seconds: longer than any gateway is behind and any shared cache keeps a page.
const COOKIE_AGE: u32 = 10;
/// Longer than any cursor.
const LONGEST: usize = 128;
/// Shared caches may answer the same poll from one request a second: of all browsers that send no cookie together, and of
/// each visitor with a cookie (`repartee-visitor`) by itself, for they keep answers apart by it. A browser asks each time: what
/// `stale-while-revalidate` allows binds its own cache as well, and would show the writer the page of before.
const SHARED: HeaderValue = HeaderValue::from_static("public, max-age=0, s-maxage=1");
/// An answer for one reader: others may not have it, and the reader asks each time.
const OWN: HeaderValue = HeaderValue::from_static("private, no-cache");
const VARIES: HeaderValue = HeaderValue::from_static("cookie, origin");

/// The position that the writes of one request have reached, and whether this server speaks TLS itself; the newest counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reached(Arc<Mutex<Option<(String, bool)>>>);

impl Reached {
    /// A write has reached this position.
    pub(crate) fn note(&self, position: String, is_tls: bool) {
        *self.0.lock() = Some((position, is_tls));
    }
}

/// Tells the clients of writes what they have reached.
pub(crate) async fn tell<A>(mut request: Request, next: impl FnOnce(Request) -> A) -> Response
where
    A: Future<Output = Response>,
{
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next(request).await;
    }
    let reached = Reached::default();
    request.extensions_mut().insert(reached.clone());
    let is_secure = visitor::is_secure(request.headers());
    let mut response = next(request).await;
    if let Some((position, is_tls)) = reached.0.lock().take().filter(|_| response.status().is_success()) {
        let secure = if is_tls || is_secure { "; Secure" } else { "" };
        let cookie =
            format!("{COOKIE}={position}; Path=/; Max-Age={COOKIE_AGE}; HttpOnly; SameSite=Lax{secure}");
        response.headers_mut().append(header::SET_COOKIE, conditional::header(cookie));
        response.headers_mut().insert(HEADER, conditional::header(position));
    }
    response
}

/// What a read brings with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Brought {
    /// The position that its writer has reached.
    pub(crate) position: Option<String>,
    /// True if the answer may be kept for others.
    is_shared: bool,
}

impl Brought {
    /// By this request.
    pub(crate) fn by(query: Option<&str>, headers: &HeaderMap) -> Self {
        let position = by_query(query).or_else(|| by_cookie(headers)).filter(|it| it.len() <= LONGEST);
        let is_shared = position.is_none() && !headers.contains_key(header::ORIGIN);
        Self { position, is_shared }
    }

    /// Says who may keep the answer, and what it depends on.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(header::CACHE_CONTROL, if self.is_shared { SHARED } else { OWN });
        headers.append(header::VARY, VARIES);
    }
}

fn by_query(query: Option<&str>) -> Option<String> {
    let query = query.filter(|query| query.contains(PARAMETER))?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == PARAMETER).map(|(_, value)| value.into_owned())
}

fn by_cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::Brought;

    fn brought(query: Option<&str>, lines: &[(&'static str, &str)]) -> (Option<String>, String) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let brought = Brought::by(query, &headers);
        let mut answer = HeaderMap::new();
        brought.mark(&mut answer);
        assert_eq!(answer["vary"], "cookie, origin");
        (brought.position, answer["cache-control"].to_str().unwrap().to_owned())
    }

    #[test]
    fn a_position_comes_by_the_address_or_by_the_cookie_and_such_an_answer_is_for_its_reader_alone() {
        let (shared, own) = ("public, max-age=0, s-maxage=1".to_owned(), "private, no-cache".to_owned());
        assert_eq!(brought(None, &[]), (None, shared.clone()));
        assert_eq!(brought(Some("domain=d&limit=5"), &[("cookie", "a=b")]), (None, shared));
        let cookie = [("cookie", "a=b; repartee-reached=e.7; c=d")];
        assert_eq!(brought(None, &cookie), (Some("e.7".to_owned()), own.clone()));
        assert_eq!(brought(Some("reached=e.9"), &cookie), (Some("e.9".to_owned()), own.clone()));
        let other_page = [("origin", "https://elsewhere.example")];
        assert_eq!(brought(None, &other_page), (None, own), "which sends no cookie");
        let long = format!("reached={}", "x".repeat(129));
        assert_eq!(brought(Some(&long), &[]).0, None);
    }
}
