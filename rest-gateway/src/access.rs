//! The table of routes and callers, kept in front of the handlers: one that takes a token is not begun without any. A test
//! compares the table with every route, so that none is missing in it. Which token it is, and whether it suffices, the queue-service judges.

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{Method, StatusCode, header};
use repartee_process::access::{self, Callers};

use crate::problem::Problem;

/// Lets a request through that its sender may be allowed to make.
pub(crate) async fn admit(path: MatchedPath, request: Request, next: Next) -> Response {
    // Whoever may read may ask for the head alone; and a browser asks what it may send without any token.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    if request.method() == Method::OPTIONS {
        return next.run(request).await;
    }
    let Some(callers) = access::route(method.as_str(), path.as_str()) else {
        // The router refuses methods that no route has, with what it allows.
        return next.run(request).await;
    };
    let has_token = request.headers().contains_key(header::AUTHORIZATION);
    if has_token || callers.include(Callers::VISITOR) {
        return next.run(request).await;
    }
    let detail = format!("this call needs {}: \"Authorization: Bearer <token>\"", callers.tokens());
    Problem::new(StatusCode::UNAUTHORIZED, detail).into_response()
}

#[cfg(test)]
mod tests {
    use repartee_process::access::ROUTES;

    use crate::routes;

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
