//! What may come in: gRPC calls of programs. Pages of web sites may not.
//!
//! The port answers HTTP/1 too, and a browser sends simple cross-origin requests without asking first (the Fetch
//! standard, "CORS protocol"). A page that anybody's site shows to somebody on this machine would be a local caller.

use axum::{
    extract::Request,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, ORIGIN},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Refuses what a page can send: whatever names its origin, and whatever is not of gRPC's own content type.
pub(crate) async fn programs_only(request: Request, next: Next) -> Response {
    let kind = request.headers().get(CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        let text = "this port serves gRPC: the content type must be application/grpc";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    if request.headers().contains_key(ORIGIN) {
        let text = "this port serves programs, not pages: use the JSON face";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    next.run(request).await
}
