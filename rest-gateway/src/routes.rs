//! The whole URL table. The document of `/openapi.json` comes from the same lines, so neither can name what the other lacks.

use axum::{
    Router,
    middleware::from_fn,
    response::{IntoResponse as _, Redirect},
    routing::get,
};
use http::StatusCode;
use tower_http::validate_request::ValidateRequestHeaderLayer;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt as _},
    routes,
};

use crate::{
    access, admin, changes, comments, conversation, docs, kept, page, probes, queue, rooms, server::App,
    stats, stream,
};

/// Pages as people write them, and where they lie, as seen from there.
const WRITTEN: [(&str, &str); 2] = [("/docs/", "index.html"), ("/admin/", "../admin")];

/// Every path, and what serves its methods.
#[rustfmt::skip]
pub(crate) fn table() -> OpenApiRouter<App> {
    Table::new()
        .at("/api/comments",         routes!(comments::list, comments::post))
        .at("/api/comments/changes", routes!(changes::read))
        .at("/api/comments/stream",  routes!(stream::open))
        .at("/api/comments/{id}",    routes!(comments::read, comments::edit, comments::delete))
        .at("/api/rooms",            routes!(rooms::list))
        .at("/api/conversation",     routes!(conversation::read))
        .at("/api/queue/pending",    routes!(queue::pending))
        .at("/api/queue/claim",      routes!(queue::claim))
        .at("/api/queue/claim-next", routes!(queue::claim_next))
        .at("/api/queue/renew",      routes!(queue::renew))
        .at("/api/queue/release",    routes!(queue::release))
        .at("/api/queue/complete",   routes!(queue::complete))
        .at("/api/queue/fail",       routes!(queue::fail))
        .at("/api/queue/failed",     routes!(queue::failed))
        .at("/api/queue/retry",      routes!(queue::retry))
        .at("/api/queue/cancel",     routes!(queue::cancel))
        .at("/api/queue/retry-messages", routes!(admin::retry_messages))
        .at("/api/queue/cancel-messages", routes!(admin::cancel_messages))
        .at("/api/queue/cancel-pending", routes!(queue::cancel_pending))
        .at("/api/queue/pause",      routes!(queue::pause))
        .at("/api/queue/resume",     routes!(queue::resume))
        .at("/api/stats",            routes!(stats::read))
        .at("/api/admin/history",      routes!(admin::history))
        .at("/api/admin/chart/{name}", routes!(admin::chart))
        .at("/api/admin/work",         routes!(admin::work))
        .at("/api/admin/work/{id}",    routes!(admin::inspect))
        .at("/api/admin/hide",         routes!(admin::hide))
        .at("/api/admin/restore",      routes!(admin::restore))
        .at("/api/admin/hidden",       routes!(admin::hidden))
        .at("/api/admin/block",        routes!(admin::block))
        .at("/api/admin/unblock",      routes!(admin::unblock))
        .at("/api/admin/blocks",       routes!(admin::blocks))
        .at("/api/admin/acts",         routes!(admin::acts))
        .at("/livez",                routes!(probes::livez))
        .at("/readyz",               routes!(probes::readyz))
        .at("/metrics",              routes!(probes::metrics_for_operators))
        .at("/openapi.json",         kept(routes!(docs::document)))
        .at("/docs",                 routes!(docs::reader))
        .at("/docs/{file}",          kept(routes!(docs::file)))
        .at("/admin",                kept(routes!(admin::index)))
        .at("/",                     kept(routes!(page::index)))
        .0
}

/// The table, the files of the page, and the answer to every other path.
pub(crate) fn router() -> Router<App> {
    let (router, _) = table().split_for_parts();
    let written = |to| get(async move || Redirect::permanent(to));
    let router = WRITTEN.into_iter().fold(router, |router, (path, to)| router.route(path, written(to)));
    let files = page::files().layer(kept::compression()).layer(from_fn(kept::once));
    let router = router.merge(files).route_layer(ValidateRequestHeaderLayer::custom(access::admit));
    router.fallback(async || StatusCode::NOT_FOUND.into_response())
}

/// What is answered there stays the same, and is compressed once.
fn kept(handlers: UtoipaMethodRouter<App>) -> UtoipaMethodRouter<App> {
    handlers.layer(kept::compression()).layer(from_fn(kept::once))
}

/// True for a file of the pages, which everybody may read.
pub(crate) fn is_file(path: &str) -> bool {
    page::is_file(path) || WRITTEN.iter().any(|(written, _)| *written == path)
}

struct Table(OpenApiRouter<App>);

impl Table {
    fn new() -> Self {
        Self(OpenApiRouter::with_openapi(docs::description()))
    }

    /// # Panics
    /// Where the handlers are written for another path: the table would lie.
    fn at(self, path: &str, handlers: UtoipaMethodRouter<App>) -> Self {
        let named: Vec<&String> = handlers.1.paths.keys().collect();
        assert_eq!(named, [path], "a handler names another path than the table");
        Self(self.0.routes(handlers))
    }
}
