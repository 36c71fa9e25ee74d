//! Entity tags: a client that has the newest answer already gets 304 and no body.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

/// How much of the hash makes the tag: 128 bits are more than enough to tell answers apart.
const TAG_BYTES: usize = 16;

/// Answers `body` under a strong tag made of its bytes, or 304 where `asked` names that tag (RFC 9110, 13.1.2).
pub(crate) fn respond(
    asked: &HeaderMap,
    content_type: &str,
    body: impl Into<Body> + AsRef<[u8]>,
) -> Response {
    let tag = tag(body.as_ref());
    let mut response = if matches(asked, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(body.into());
        let content_type = HeaderValue::from_str(content_type).expect("a media type is a header value");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    };
    response.headers_mut().insert(header::ETAG, tag.parse().expect("a quoted hex string is a header value"));
    response
}

fn tag(body: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(body)[..TAG_BYTES]))
}

/// The weak comparison, as it is meant for `If-None-Match`.
fn matches(asked: &HeaderMap, tag: &str) -> bool {
    let values = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|asked| asked == "*" || asked.strip_prefix("W/").unwrap_or(asked) == tag)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header::IF_NONE_MATCH};

    use super::{matches, tag};

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
        }
    }
}
