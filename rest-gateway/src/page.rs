//! The page and its files, compiled into the binary. What the page may load and run is fixed here.

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{conditional, server::App};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// Kept, but asked for again each time: a new release shows at once.
const FRESH: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-cache")];

/// The files that the page loads: path, content type, content.
const FILES: [(&str, &str, &str); 5] = [
    ("/style.css", CSS, include_str!("../web/style.css")),
    ("/app.js", SCRIPT, include_str!("../web/app.js")),
    ("/feed.js", SCRIPT, include_str!("../web/feed.js")),
    ("/poll.js", SCRIPT, include_str!("../web/poll.js")),
    ("/view.js", SCRIPT, include_str!("../web/view.js")),
];

/// The page: the comments of a domain and a composer. Its files lie beside it.
#[utoipa::path(get, path = "/", tag = "page",
    responses((status = 200, description = "The page", body = str, content_type = "text/html",
        headers(("ETag" = str, description = "Tag for If-None-Match"))),
        (status = 304, description = "The page is the one that the client has")))]
pub(crate) async fn index(asked: HeaderMap) -> impl IntoResponse {
    file(&asked, HTML, include_str!("../web/index.html"))
}

/// The files of the page.
pub(crate) fn files() -> Router<App> {
    FILES.into_iter().fold(Router::new(), |router, (path, content_type, content)| {
        router.route(path, get(async move |asked: HeaderMap| file(&asked, content_type, content)))
    })
}

fn file(asked: &HeaderMap, content_type: &'static str, content: &'static str) -> Response {
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY)];
    (FRESH, policy, conditional::respond(asked, HeaderValue::from_static(content_type), content))
        .into_response()
}
