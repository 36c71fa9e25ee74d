//! The page and its files, compiled into the binary. What the page may load and run is fixed here.

use std::sync::LazyLock;

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{kept::Kept, server::App, visitor::Visitor};

const HTML: &str = "text/html; charset=utf-8";
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The operator's page shows charts that it has fetched with a token.
const OPERATORS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Kept, but asked for again each time: a new release shows at once.
const FRESH: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-cache")];
/// Browsers load a module of another origin only where that origin says so. These files hold nothing of anybody, so every
/// site may have them; which sites may call the API is `--cors-origin`'s to say. The protocol by which they came tells the
/// modules how many connections the browser needs.
const FOR_ALL: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    (HeaderName::from_static("timing-allow-origin"), "*"),
];

/// The page; `data-rooms` on its body says that the server lists its rooms.
const INDEX: &str = include_str!("../web/index.html");

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A page.
    Html,
    /// A style sheet of our own pages.
    Css,
    /// A script of our own pages.
    Script,
    /// A module that every site may load.
    Module,
    /// The types of one.
    Types,
}

/// The files that are served beside the page.
#[rustfmt::skip]
const FILES: [(&str, Kind, &str); 34] = [
    ("/style.css",     Kind::Css,    include_str!("../web/style.css")),
    ("/app.js",        Kind::Script, include_str!("../web/app.js")),
    ("/room-list.js",  Kind::Script, include_str!("../web/room-list.js")),
    ("/admin.css",     Kind::Css,    include_str!("../web/admin.css")),
    ("/admin.js",      Kind::Script, include_str!("../web/admin.js")),
    ("/board.js",      Kind::Script, include_str!("../web/board.js")),
    ("/calls.js",      Kind::Script, include_str!("../web/calls.js")),
    ("/charts.js",     Kind::Script, include_str!("../web/charts.js")),
    ("/parts.js",      Kind::Script, include_str!("../web/parts.js")),
    ("/place.js",      Kind::Script, include_str!("../web/place.js")),
    ("/tables.js",     Kind::Script, include_str!("../web/tables.js")),
    ("/token.js",      Kind::Script, include_str!("../web/token.js")),
    ("/work.js",       Kind::Script, include_str!("../web/work.js")),
    ("/repartee.js",   Kind::Module, include_str!("../web/repartee.js")),
    ("/repartee.d.ts", Kind::Types,  include_str!("../web/repartee.d.ts")),
    ("/acts.js",       Kind::Module, include_str!("../web/acts.js")),
    ("/changes.js",    Kind::Module, include_str!("../web/changes.js")),
    ("/edits.js",      Kind::Module, include_str!("../web/edits.js")),
    ("/events.js",     Kind::Module, include_str!("../web/events.js")),
    ("/rooms.js",      Kind::Module, include_str!("../web/rooms.js")),
    ("/rooms.d.ts",    Kind::Types,  include_str!("../web/rooms.d.ts")),
    ("/schedule.js",   Kind::Module, include_str!("../web/schedule.js")),
    ("/embed.js",      Kind::Module, include_str!("../web/embed.js")),
    ("/composer.js",   Kind::Module, include_str!("../web/composer.js")),
    ("/dom.js",        Kind::Module, include_str!("../web/dom.js")),
    ("/feed.js",       Kind::Module, include_str!("../web/feed.js")),
    ("/line.js",       Kind::Module, include_str!("../web/line.js")),
    ("/look.js",       Kind::Module, include_str!("../web/look.js")),
    ("/markdown.js",   Kind::Module, include_str!("../web/markdown.js")),
    ("/places.js",     Kind::Module, include_str!("../web/places.js")),
    ("/prose.js",      Kind::Module, include_str!("../web/prose.js")),
    ("/shapes.js",     Kind::Module, include_str!("../web/shapes.js")),
    ("/tabs.js",       Kind::Module, include_str!("../web/tabs.js")),
    ("/view.js",       Kind::Module, include_str!("../web/view.js")),
];

/// The page: the comments of a domain and a composer. Its files lie beside it.
#[utoipa::path(get, path = "/", tag = "page",
    responses((status = 200, description = "The page", body = str, content_type = "text/html",
        headers(("ETag" = str, description = "Tag for If-None-Match"))),
        (status = 304, description = "The page is the one that the client has")))]
pub(crate) async fn index(State(app): State<App>, visitor: Visitor, asked: HeaderMap) -> Response {
    static PAGE: LazyLock<Kept> = LazyLock::new(|| Kind::Html.served(INDEX));
    static PAGE_WITH_ROOMS: LazyLock<Kept> =
        LazyLock::new(|| Kept::new(INDEX.replacen("<body>", "<body data-rooms>", 1)));
    let mut page = file(&asked, Kind::Html, if app.lists_rooms { &PAGE_WITH_ROOMS } else { &PAGE });
    // Their first comment is theirs then, whoever else comes from their address. No cache may give it to somebody else.
    if !visitor.is_known() {
        visitor.give(page.headers_mut());
        page.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    page
}

/// The operator's page.
pub(crate) fn operators(asked: &HeaderMap) -> Response {
    static PAGE: LazyLock<Kept> = LazyLock::new(|| Kind::Html.served(include_str!("../web/admin.html")));
    let policy = [(header::CONTENT_SECURITY_POLICY, OPERATORS_POLICY)];
    (policy, FRESH, PAGE.respond(asked, HeaderValue::from_static(HTML))).into_response()
}

/// True for the path of one of them.
pub(crate) fn is_file(path: &str) -> bool {
    FILES.iter().any(|(at, ..)| *at == path)
}

/// The files beside the page.
pub(crate) fn files() -> Router<App> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, source)| {
        let content = kind.served(source);
        router.route(path, get(async move |asked: HeaderMap| file(&asked, kind, &content)))
    })
}

fn file(asked: &HeaderMap, kind: Kind, content: &Kept) -> Response {
    let for_all = matches!(kind, Kind::Module | Kind::Types).then_some(FOR_ALL);
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY)];
    let content_type = HeaderValue::from_static(kind.content_type());
    (for_all, FRESH, policy, content.respond(asked, content_type)).into_response()
}

impl Kind {
    fn content_type(self) -> &'static str {
        match self {
            Self::Html => HTML,
            Self::Css => "text/css; charset=utf-8",
            Self::Script | Self::Module => "text/javascript; charset=utf-8",
            Self::Types => "text/plain; charset=utf-8",
        }
    }

    /// What is sent of a file: of a module, only what browsers need.
    fn served(self, source: &'static str) -> Kept {
        match self {
            Self::Module => Kept::new(without_comments(source)),
            Self::Html | Self::Css | Self::Script | Self::Types => Kept::new(source),
        }
    }
}

/// A module without the lines that are nothing but comment, a third of what a site would have to load, and without what
/// its lines begin with. A test sees to it that no text in a module has lines of comment; none needs its indentation.
fn without_comments(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut within = false;
    for line in source.lines() {
        let bare = line.trim();
        within |= bare.starts_with("/**");
        if !(within || bare.is_empty() || bare.starts_with("//")) {
            code.push_str(line.trim_start());
            code.push('\n');
        }
        within &= !bare.ends_with("*/");
    }
    code
}

#[cfg(test)]
mod tests {
    use super::{FILES, Kind, without_comments};

    #[test]
    fn only_lines_of_comment_are_left_out() {
        let source = "// Why.\n\n/**\n * @param {x} y\n */\nlet a = `\n* { b: c }\n`; // kept\n/** one line */\n  // d\n  f();\n";
        assert_eq!(without_comments(source), "let a = `\n* { b: c }\n`; // kept\nf();\n");
    }

    #[test]
    fn no_text_in_a_module_looks_like_a_comment() {
        for (path, _, source) in FILES.iter().filter(|(_, kind, _)| *kind == Kind::Module) {
            let mut in_text = false;
            for line in source.lines() {
                let left_out = ["//", "/**"].iter().any(|start| line.trim().starts_with(start));
                assert!(!(in_text && left_out), "{path}: {line}");
                // What stands between backticks in a comment is no text of the program.
                if in_text || !(left_out || line.trim().starts_with('*')) {
                    in_text ^= line.matches('`').count() % 2 == 1;
                }
            }
            assert!(!in_text, "{path}");
        }
    }
}
