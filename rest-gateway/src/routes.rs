//! The whole URL table. The document of `/openapi.json` comes from the same lines, so neither can name what the other lacks.

use axum::{
    Router,
    middleware::from_fn,
    response::{IntoResponse as _, Redirect},
    routing::get,
};
use http::StatusCode;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter},
    routes,
};

use crate::{
    access, admin, changes, comments, conversation, docs, page, probes, queue, server::App, stats, stream,
};

/// Every path, and what serves its methods.
#[rustfmt::skip]
pub(crate) fn table() -> OpenApiRouter<App> {
    Table::new()
        .at("/api/comments",         routes!(comments::list, comments::post))
        .at("/api/comments/changes", routes!(changes::read))
        .at("/api/comments/stream",  routes!(stream::open))
        .at("/api/comments/{id}",    routes!(comments::read, comments::edit, comments::delete))
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
        .at("/api/queue/pause",      routes!(queue::pause))
        .at("/api/queue/resume",     routes!(queue::resume))
        .at("/api/stats",            routes!(stats::read))
        .at("/api/admin/history",      routes!(admin::history))
        .at("/api/admin/chart/{name}", routes!(admin::chart))
        .at("/livez",                routes!(probes::livez))
        .at("/readyz",               routes!(probes::readyz))
        .at("/metrics",              routes!(probes::metrics_for_operators))
        .at("/openapi.json",         routes!(docs::document))
        .at("/docs",                 routes!(docs::reader))
        .at("/docs/{file}",          routes!(docs::file))
        .at("/admin",                routes!(admin::index))
        .at("/",                     routes!(page::index))
        .0
}

/// The table, the files of the page, and the answer to every other path.
pub(crate) fn router() -> Router<App> {
    let (router, _) = table().split_for_parts();
    // As people write them; the files of these pages lie where the table has them.
    let written = |to| get(async move || Redirect::permanent(to));
    // Around the table alone: the files of the pages are for everybody.
    let router = router.route_layer(from_fn(access::admit));
    let router = router.route("/docs/", written("index.html")).route("/admin/", written("../admin"));
    router.merge(page::files()).fallback(async || StatusCode::NOT_FOUND.into_response())
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
