//! Bodies that stay the same as long as the process lives: hashed once, and compressed once for each way to compress, as
//! well as is worth its time. Whoever asks for the largest of them again and again costs little more than their bytes.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Version, header::CONTENT_ENCODING};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::OnceCell, task::spawn_blocking};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer,
        predicate::{Predicate, SizeAbove},
    },
};

use crate::{
    conditional::{respond_as, tag},
    layers::SMALL,
    problem::Problem,
};

/// Of gzip the best; of brotli what is worth its time, for the last two steps take ten times as long.
const COMPRESSION: CompressionLevel = CompressionLevel::Precise(9);

/// A body that stays the same, and its tag.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    content: Bytes,
    tag: String,
}

/// Bodies by their tag and the way in which they are compressed.
type Compressed = HashMap<(String, HeaderValue), Arc<OnceCell<Bytes>>>;

/// Marks an answer whose body stays the same: its tag.
#[derive(Debug, Clone)]
struct StaysTheSame(String);

impl Kept {
    /// Hashes the content, once.
    pub(crate) fn new(content: impl Into<Bytes>) -> Self {
        let content = content.into();
        let tag = tag(&content);
        Self { content, tag }
    }

    /// Answers it, or 304 where `asked` names its tag. All answers share its bytes.
    pub(crate) fn respond(&self, asked: &HeaderMap, content_type: HeaderValue) -> Response {
        let mut response = respond_as(asked, self.tag.clone(), content_type, self.content.clone());
        response.extensions_mut().insert(StaysTheSame(self.tag.clone()));
        response
    }
}

/// Compresses what stays the same; inside of [`once`], which keeps what comes of it.
pub(crate) fn compression() -> CompressionLayer<impl Predicate> {
    let is_kept = |status: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions| {
        status == StatusCode::OK && extensions.get::<StaysTheSame>().is_some()
    };
    CompressionLayer::new().quality(COMPRESSION).compress_when(SizeAbove::new(SMALL as u64).and(is_kept))
}

/// Answers from memory what was compressed before. Which way to compress a client takes is the compression's to say.
pub(crate) async fn once(request: Request, next: Next) -> Response {
    // As many as there are bodies that stay the same, and ways to compress.
    static COMPRESSED: LazyLock<Mutex<Compressed>> = LazyLock::new(Mutex::default);
    // What HEAD asks for is never filled in: its body may be gone already.
    let is_get = request.method() == Method::GET;
    let (parts, body) = next.run(request).await.into_parts();
    let tag = parts.extensions.get::<StaysTheSame>().filter(|_| is_get);
    let (Some(StaysTheSame(tag)), Some(way)) = (tag, parts.headers.get(CONTENT_ENCODING)) else {
        return Response::from_parts(parts, body);
    };
    let compressed = Arc::clone(COMPRESSED.lock().entry((tag.clone(), way.clone())).or_default());
    match compressed.get_or_try_init(|| whole(body)).await {
        Ok(bytes) => Response::from_parts(parts, Body::from(bytes.clone())),
        Err(error) => Problem::internal(error).into_response(),
    }
}

/// All of a body that is compressed while it is read. The largest takes a core a good part of a second, so nobody else waits
/// for this thread.
async fn whole(body: Body) -> Result<Bytes, String> {
    let runtime = Handle::current();
    let reading = spawn_blocking(move || runtime.block_on(to_bytes(body, usize::MAX)));
    reading.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn, response::Response, routing::get};
    use http::{HeaderMap, HeaderValue, Request};
    use tower::ServiceExt as _;

    use super::{Kept, compression, once};

    async fn asked(method: &str, accepts: &str) -> Response {
        let kept = Kept::new("What is said once is said. ".repeat(100));
        let content_type = HeaderValue::from_static("text/plain");
        let handler = get(async move |asked: HeaderMap| kept.respond(&asked, content_type));
        let router: Router = Router::new().route("/", handler).layer(compression()).layer(from_fn(once));
        let request = Request::builder().method(method).uri("/").header("accept-encoding", accepts);
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn body(response: Response) -> bytes::Bytes {
        axum::body::to_bytes(response.into_body(), 10_000).await.unwrap()
    }

    #[tokio::test]
    async fn what_stays_the_same_is_compressed_as_each_client_takes_it_and_the_same_each_time() {
        for (accepts, way) in
            [("gzip, br", Some("br")), ("gzip", Some("gzip")), ("br;q=0", None), ("identity", None)]
        {
            // The first answer to HEAD must not become what is kept.
            let head = asked("HEAD", accepts).await;
            assert_eq!(body(head).await.len(), 0, "{accepts}");
            let (first, second) = (asked("GET", accepts).await, asked("GET", accepts).await);
            let told = first.headers().get("content-encoding").map(|way| way.to_str().unwrap().to_owned());
            assert_eq!(told.as_deref(), way, "{accepts}");
            let (first, second) = (body(first).await, body(second).await);
            assert_eq!(first, second, "{accepts}");
            let is_small = first.len() < 200;
            assert_eq!(is_small, way.is_some(), "{accepts}: {} bytes", first.len());
        }
    }
}
