//! What lies around every route, from the outside in: observation, headers, CORS, compression, the shape of
//! errors, panics.

use std::any::Any;

use axum::{
    Router, middleware,
    response::{IntoResponse as _, Response},
};
use http::{HeaderName, HeaderValue, Method, header};
use tower::ServiceBuilder;
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer, Predicate as _,
        predicate::{NotForContentType, SizeAbove},
    },
    cors::{AllowOrigin, CorsLayer},
    set_header::SetResponseHeaderLayer,
};

use crate::{
    conditional::weaken,
    observe::{REQUEST_ID, observe},
    problem::{Problem, finish},
    settings::Settings,
};

/// Headers that pages of other origins may read.
const EXPOSED: [HeaderName; 8] = [
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("x-next-cursor"),
    HeaderName::from_static("x-more"),
    HeaderName::from_static("x-storage-reads"),
    HeaderName::from_static("idempotent-replayed"),
    REQUEST_ID,
];
/// Headers that they may send.
const ACCEPTED: [HeaderName; 5] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    REQUEST_ID,
];
/// Smaller bodies, in bytes, are sent as they are: compressing them costs more than it saves.
const SMALL: u64 = 1_024;
/// Of gzip and of brotli: most of what can be saved, in a tenth of the time that the rest would take.
const COMPRESSION: CompressionLevel = CompressionLevel::Precise(4);
const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PATCH, Method::DELETE];
/// How long a browser may remember what it may send, in seconds; browsers cut it to two hours or less.
const PREFLIGHT_MAX_AGE: u64 = 7_200;
/// Of answers that are no page: nothing in them is to be run or framed.
const DATA_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Puts the layers around `router`.
pub(crate) fn around<S: Clone + Send + Sync + 'static>(router: Router<S>, settings: &Settings) -> Router<S> {
    let fixed = |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    let layers =
        ServiceBuilder::new()
            .layer(middleware::from_fn(observe))
            .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
            .layer(SetResponseHeaderLayer::if_not_present(header::CONTENT_SECURITY_POLICY, DATA_POLICY))
            .layer(SetResponseHeaderLayer::if_not_present(
                header::CACHE_CONTROL,
                HeaderValue::from_static("no-store"),
            ))
            .option_layer(cors(&settings.cors_origins))
            .map_response(weaken)
            .layer(CompressionLayer::new().quality(COMPRESSION).compress_when(
                SizeAbove::new(SMALL).and(NotForContentType::SSE).and(NotForContentType::IMAGES),
            ))
            .layer(middleware::from_fn(finish))
            .layer(CatchPanicLayer::custom(panicked));
    router.layer(layers)
}

/// No layer without an allowed origin: pages of other origins can neither send nor read anything then.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    let allowed = match origins {
        [] => return None,
        [all] if all == "*" => AllowOrigin::any(),
        listed => AllowOrigin::list(listed.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods(METHODS)
        .allow_headers(ACCEPTED)
        .expose_headers(EXPOSED)
        .max_age(std::time::Duration::from_secs(PREFLIGHT_MAX_AGE));
    Some(layer)
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::internal("a handler panicked").into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, extract::Request, routing::get};
    use clap::Parser as _;
    use tower::ServiceExt as _;

    use super::around;
    use crate::Settings;

    async fn broken() -> &'static str {
        panic!("the secret of the house");
    }

    #[tokio::test]
    async fn a_panic_becomes_a_problem_without_inner_detail() {
        let settings = Settings::try_parse_from(["rest-gateway"]).unwrap();
        let router: Router = around(Router::new().route("/", get(broken)), &settings);
        let response = router.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert!(response.headers().contains_key("x-request-id"));
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }
}
