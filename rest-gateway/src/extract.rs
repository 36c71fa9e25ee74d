//! What handlers take from a request. Every refusal is a [`Problem`] that points to the field at fault; unknown fields
//! and parameters are refused, so that a misspelt one is never silently ignored.

use std::borrow::Cow;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use http::{HeaderMap, StatusCode, Uri, header, request::Parts};
use percent_encoding::percent_decode_str;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_path_to_error::Segment;

use crate::{
    body,
    client::{Client, Held},
    json::Object,
    pointer::escape,
    problem::Problem,
    server::App,
};

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A JSON object as the body.
pub(crate) struct Json<T>(pub(crate) T);

/// The query string; every parameter at most once.
pub(crate) struct Query<T>(pub(crate) T);

/// The id in the path. Any text: whether it names a message is for the queue-service to say.
pub(crate) struct Id(pub(crate) String);

/// The header `Idempotency-Key`, where it is given.
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let _permit = app.limits.hold(Held::Body, Client::of(request.extensions()))?;
        let connection = request.extensions().get().cloned();
        let (body, bounds) = (request.into_body(), &app.bounds.incoming);
        let body = body::read(body, app.max_body_bytes, app.request_timeout, bounds, connection).await?;
        from_json(&body).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        from_query(&parts.uri).map(Self)
    }
}

impl FromRequestParts<App> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        check_escapes(parts.uri.path(), "the path")?;
        let refused = |rejection: axum::extract::rejection::PathRejection| {
            Problem::new(rejection.status(), rejection.body_text())
        };
        Path::from_request_parts(parts, app).await.map(|Path(id)| Self(id)).map_err(refused)
    }
}

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let mut keys = parts.headers.get_all("idempotency-key").iter();
        let Some(key) = keys.next() else { return Ok(Self(None)) };
        if keys.next().is_some() {
            return Err(Problem::field("", "header Idempotency-Key: has to be there once"));
        }
        let text = key
            .to_str()
            .map_err(|_| Problem::field("", "header Idempotency-Key: has to be visible ASCII"))?;
        Ok(Self(Some(text.to_owned())))
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = media_type == "application/json"
        || media_type.starts_with("application/") && media_type.ends_with("+json");
    is_json.then_some(()).ok_or_else(|| {
        let detail =
            format!("the body has to come with Content-Type: application/json, not {content_type:?}");
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    })
}

fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // Some platforms' writers of files begin with it; RFC 8259 lets a reader ignore it.
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    match serde_json::from_slice(body) {
        Ok(Object(value)) => Ok(value),
        // Only a body that is refused is read again, with a look at where.
        Err(error) => Err(json_fault::<T>(body, &error)),
    }
}

/// Why a body is refused: because it is no JSON document, or else because of one of its fields.
fn json_fault<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> Problem {
    let no_json = |error: &dyn std::fmt::Display| {
        Problem::new(StatusCode::BAD_REQUEST, format!("the body is not valid JSON: {error}"))
    };
    if let Err(error) = std::str::from_utf8(body) {
        return no_json(&error);
    }
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(body) {
        return no_json(&error);
    }
    let located = |error: serde_path_to_error::Error<serde_json::Error>| {
        let pointer = pointer_to(error.path(), &error);
        (pointer, error.into_inner())
    };
    let mut json = serde_json::Deserializer::from_slice(body);
    let Err((pointer, error)) = serde_path_to_error::deserialize::<_, Object<T>>(&mut json).map_err(located)
    else {
        return no_json(error);
    };
    let text = error.to_string();
    // In a document whose syntax is right, only a lone surrogate makes an escape wrong.
    if !error.is_data() && text.contains("hex escape") {
        let half =
            "holds half of a surrogate pair, such as an emoji that was cut in two; send whole characters";
        return Problem::field(pointer, half);
    }
    Problem::field(pointer, text)
}

pub(crate) fn from_query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let query = uri.query().unwrap_or_default();
    check_escapes(query, "the query")?;
    let query = meant(query);
    let pairs = || serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    // Only a query that is refused is read again, with a look at where.
    T::deserialize(pairs()).or_else(|_| {
        serde_path_to_error::deserialize(pairs()).map_err(|error| {
            let detail = format!("query parameter: {}", error.inner());
            Problem::field(pointer_to(error.path(), &error), detail)
        })
    })
}

/// A query without the parameters that begin with `_`: they are there to get past caches, and mean nothing.
fn meant(query: &str) -> Cow<'_, str> {
    let pairs = || form_urlencoded::parse(query.as_bytes());
    if !pairs().any(|(name, _)| name.starts_with('_')) {
        return Cow::Borrowed(query);
    }
    let meant = pairs().filter(|(name, _)| !name.starts_with('_'));
    Cow::Owned(form_urlencoded::Serializer::new(String::new()).extend_pairs(meant).finish())
}

/// Refuses percent signs without two hex digits behind them, what does not decode to UTF-8, and NUL. Decoders let the
/// first pass as it is and replace the second: a text that nobody sent would be searched for.
fn check_escapes(encoded: &str, place: &str) -> Result<(), Problem> {
    if !encoded.contains(['%', '\0']) {
        return Ok(());
    }
    let broken = |rest: &str| rest.len() < 2 || !rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    let text = percent_decode_str(encoded).decode_utf8();
    if encoded.split('%').skip(1).any(broken) || text.map_or(true, |text| text.contains('\0')) {
        let detail =
            format!("{place} holds a broken percent-encoding: %XX has to be UTF-8 in hex, and not NUL");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    Ok(())
}

/// The JSON pointer of an error. serde names a missing or repeated field in its text only, and points to the object
/// around it.
fn pointer_to(path: &serde_path_to_error::Path, error: &impl ToString) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escape(key))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    let text = error.to_string();
    let named = ["missing field `", "duplicate field `"].iter().find_map(|words| text.split_once(words));
    if let Some((_, rest)) = named {
        let name = rest.split('`').next().unwrap_or_default();
        pointer.push_str(&format!("/{}", escape(name)));
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::check_escapes;

    #[test]
    fn only_whole_escapes_of_utf_8_without_nul_pass() {
        for fine in ["", "a=b", "a=%20+c", "%C3%A4", "%2500"] {
            assert!(check_escapes(fine, "it").is_ok(), "{fine}");
        }
        for broken in ["%", "%4", "%zz", "a%2", "%ff", "%C3x", "%+1", "%é", "%00"] {
            assert!(check_escapes(broken, "it").is_err(), "{broken}");
        }
    }
}
