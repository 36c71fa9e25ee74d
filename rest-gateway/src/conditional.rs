//! Entity tags: a client that has the newest answer already gets 304 and no body.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

/// How much of the hash makes the tag: 128 bits are more than enough to tell answers apart.
const TAG_BYTES: usize = 16;
/// Room for what handlers and layers add to an answer, so that it is made once.
const HEADERS: usize = 16;

/// Answers `body` under a strong tag made of its bytes, or 304 where `asked` names that tag.
pub(crate) fn respond(
    asked: &HeaderMap,
    content_type: HeaderValue,
    body: impl Into<Body> + AsRef<[u8]>,
) -> Response {
    let tag = tag(body.as_ref());
    respond_as(asked, tag, content_type, body)
}

/// Answers `body` under this tag, or 304 where `asked` names it (RFC 9110, 13.1.2).
pub(crate) fn respond_as(
    asked: &HeaderMap,
    tag: String,
    content_type: HeaderValue,
    body: impl Into<Body>,
) -> Response {
    let mut response = if matches(asked, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        untagged(content_type, body)
    };
    response.headers_mut().insert(header::ETAG, header(tag));
    response
}

/// Answers `body` to a client that cannot ask for it again.
pub(crate) fn untagged(content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().reserve(HEADERS);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// The tag of an answer that was compressed: the same content in other bytes, so a weak one (RFC 9110, 8.8.1).
pub(crate) fn weaken<B>(mut response: Response<B>) -> Response<B> {
    if response.headers().contains_key(header::CONTENT_ENCODING) {
        let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
        if let Some(weak) = tag.filter(|tag| tag.starts_with('"')).map(|tag| format!("W/{tag}")) {
            response.headers_mut().insert(header::ETAG, header(weak));
        }
    }
    response
}

/// What this gateway or the queue-service wrote, as a header.
pub(crate) fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("tags and positions are visible ASCII")
}

/// The strong tag of these bytes.
pub(crate) fn tag(body: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(body)[..TAG_BYTES]))
}

/// True where the client has an answer with this tag, or asks whether there is any.
fn matches(asked: &HeaderMap, tag: &str) -> bool {
    tags(asked).any(|asked| asked == "*") || names(asked, tag)
}

/// True where the client has an answer with this tag: the weak comparison, as it is meant for `If-None-Match`.
pub(crate) fn names(asked: &HeaderMap, tag: &str) -> bool {
    tags(asked).any(|asked| asked.strip_prefix("W/").unwrap_or(asked) == tag)
}

fn tags(asked: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header::IF_NONE_MATCH};

    use super::{matches, names, tag};

    #[test]
    fn a_tag_is_found_in_every_form_that_clients_send() {
        let tag = tag(b"[]");
        for (asked, found) in [
            (tag.clone(), true),
            (format!("W/{tag}"), true),
            (format!("\"other\", {tag}"), true),
            ("*".to_owned(), true),
            ("\"other\"".to_owned(), false),
            (tag.trim_matches('"').to_owned(), false),
            (String::new(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, asked.parse().unwrap());
            assert_eq!(matches(&headers, &tag), found, "{asked}");
            assert_eq!(names(&headers, &tag), found && asked != "*", "{asked}");
        }
    }
}
