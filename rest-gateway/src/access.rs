//! The table of routes and callers, kept in front of the handlers: a method of a path that has no line in it does not exist,
//! whatever the router knows, and one that takes a token is not begun without any. Which token it is, and whether it
//! suffices, the queue-service judges.

use axum::{
    extract::{MatchedPath, Request},
    response::{IntoResponse as _, Response},
};
use http::{Method, StatusCode, header};
use repartee_process::access::{self, Callers, ROUTES};

use crate::{problem::Problem, routes};

/// Lets a request through that its sender may be allowed to make. Needs to lie behind the router, which knows the path.
///
/// # Errors
/// The answer to every other request.
#[expect(clippy::result_large_err, reason = "the layer takes an answer as it is")]
pub(crate) fn admit(request: &mut Request) -> Result<(), Response> {
    let Some(path) = request.extensions().get::<MatchedPath>() else {
        return Err(StatusCode::NOT_FOUND.into_response());
    };
    // Whoever may read may ask for the head alone.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let Some(callers) = callers(method, path.as_str()) else { return Err(not_there(path.as_str())) };
    let has_token = request.headers().contains_key(header::AUTHORIZATION);
    if has_token || callers.include(Callers::VISITOR) {
        return Ok(());
    }
    let detail = format!("this call needs {}: \"Authorization: Bearer <token>\"", callers.tokens());
    Err(Problem::new(StatusCode::UNAUTHORIZED, detail).into_response())
}

/// Who may use this method of a path; `None` if nobody may.
fn callers(method: &Method, path: &str) -> Option<Callers> {
    let is_file = method == Method::GET && routes::is_file(path);
    access::route(method.as_str(), path).or(is_file.then_some(Callers::ANYONE))
}

/// The answer to a method that a path does not have, with those that it has; to a path without any that it is not there.
fn not_there(path: &str) -> Response {
    let listed = ROUTES.iter().filter(|(_, at, _)| *at == path).map(|(method, ..)| *method);
    let methods = listed.chain(routes::is_file(path).then_some("GET"));
    let with_head = |method| if method == "GET" { "GET,HEAD" } else { method };
    let allowed: Vec<&str> = methods.map(with_head).collect();
    if allowed.is_empty() {
        return StatusCode::NOT_FOUND.into_response();
    }
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, allowed.join(","))]).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, extract::Request, routing::any};
    use repartee_process::access::ROUTES;
    use tower::ServiceExt as _;
    use tower_http::validate_request::ValidateRequestHeaderLayer;

    use crate::routes;

    #[tokio::test]
    async fn what_has_no_line_in_the_table_is_not_there_though_the_router_serves_it() {
        let reached = || async { "reached" };
        let paths = ["/api/unlisted", "/api/stats", "/api/comments", "/style.css", "/docs/"];
        let router = paths.into_iter().fold(Router::new(), |router, path| router.route(path, any(reached)));
        let router: Router = router.route_layer(ValidateRequestHeaderLayer::custom(super::admit));
        for (method, path, status, allowed) in [
            ("GET", "/api/unlisted", 404, ""),
            ("OPTIONS", "/api/unlisted", 404, ""),
            ("GET", "/api/stats", 200, ""),
            ("HEAD", "/api/stats", 200, ""),
            ("POST", "/api/stats", 405, "GET,HEAD"),
            ("OPTIONS", "/api/stats", 405, "GET,HEAD"),
            ("DELETE", "/api/comments", 405, "GET,HEAD,POST"),
            ("GET", "/style.css", 200, ""),
            ("POST", "/style.css", 405, "GET,HEAD"),
            ("GET", "/docs/", 200, ""),
        ] {
            let request = Request::builder().method(method).uri(path).header("authorization", "Bearer x");
            let request = request.body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            let allow = response.headers().get("allow").map_or("", |allow| allow.to_str().unwrap());
            assert_eq!((response.status().as_u16(), allow), (status, allowed), "{method} {path}");
        }
    }

    #[test]
    fn the_table_has_every_route_and_no_other() {
        let document = routes::table().into_openapi();
        let mut served = Vec::new();
        for (path, item) in &document.paths.paths {
            let operations = [
                ("GET", &item.get),
                ("POST", &item.post),
                ("PUT", &item.put),
                ("PATCH", &item.patch),
                ("DELETE", &item.delete),
            ];
            served.extend(
                operations
                    .iter()
                    .filter(|(_, operation)| operation.is_some())
                    .map(|(method, _)| (*method, path.as_str())),
            );
        }
        let mut table: Vec<_> = ROUTES.iter().map(|(method, path, _)| (*method, *path)).collect();
        served.sort_unstable();
        table.sort_unstable();
        assert_eq!(table, served);
    }
}
