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
const TEXT: &str = "text/plain; charset=utf-8";
/// Kept, but asked for again each time: a new release shows at once.
const FRESH: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-cache")];
/// Browsers load a module of another origin only where that origin says so. These files hold nothing of anybody, so every
/// site may have them; which sites may call the API is `--cors-origin`'s to say.
const FOR_ALL: [(HeaderName, &str); 2] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
];

/// A file of the page: path, content type, content, and whether other sites may load it.
type File = (&'static str, &'static str, &'static str, bool);

/// The files that are served beside the page.
#[rustfmt::skip]
const FILES: [File; 10] = [
    ("/style.css",     CSS,    include_str!("../web/style.css"),     false),
    ("/app.js",        SCRIPT, include_str!("../web/app.js"),        false),
    ("/poll.js",       SCRIPT, include_str!("../web/poll.js"),       false),
    ("/view.js",       SCRIPT, include_str!("../web/view.js"),       true),
    ("/feed.js",       SCRIPT, include_str!("../web/feed.js"),       true),
    ("/repartee.js",   SCRIPT, include_str!("../web/repartee.js"),   true),
    ("/repartee.d.ts", TEXT,   include_str!("../web/repartee.d.ts"), true),
    ("/changes.js",    SCRIPT, include_str!("../web/changes.js"),    true),
    ("/events.js",     SCRIPT, include_str!("../web/events.js"),     true),
    ("/schedule.js",   SCRIPT, include_str!("../web/schedule.js"),   true),
];

/// The page: the comments of a domain and a composer. Its files lie beside it.
#[utoipa::path(get, path = "/", tag = "page",
    responses((status = 200, description = "The page", body = str, content_type = "text/html",
        headers(("ETag" = str, description = "Tag for If-None-Match"))),
        (status = 304, description = "The page is the one that the client has")))]
pub(crate) async fn index(asked: HeaderMap) -> impl IntoResponse {
    file(&asked, HTML, include_str!("../web/index.html"))
}

/// The files beside the page.
pub(crate) fn files() -> Router<App> {
    FILES.into_iter().fold(Router::new(), |router, (path, content_type, content, for_all)| {
        let serve = async move |asked: HeaderMap| {
            let file = file(&asked, content_type, content);
            (for_all.then_some(FOR_ALL), file).into_response()
        };
        router.route(path, get(serve))
    })
}

fn file(asked: &HeaderMap, content_type: &'static str, content: &'static str) -> Response {
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY)];
    (FRESH, policy, conditional::respond(asked, HeaderValue::from_static(content_type), content))
        .into_response()
}
