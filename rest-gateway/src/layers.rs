//! What lies around every route, from the outside in: observation, headers, CORS, compression, the shape of
//! errors, panics.

use std::{any::Any, convert::Infallible, future::ready};

use axum::{
    Router,
    body::Body,
    extract::State,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use http::{HeaderName, HeaderValue, Method, Request, Version, header};
use repartee_process::{
    Bound, HeadFault, Place,
    telemetry::{TRACEPARENT, TRACESTATE},
};
use tower::ServiceBuilder;
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionBody, CompressionLayer, Predicate as _,
        predicate::{NotForContentType, SizeAbove},
    },
    cors::{AllowOrigin, CorsLayer},
};

use crate::{
    answers::Answers,
    client::{Admitted, ClientLimits},
    conditional::weaken,
    front::AroundPolls,
    observe::{ObserveLayer, REQUEST_ID},
    polls,
    problem::{Problem, finish},
    reached,
    settings::Settings,
    visitor,
};

/// Headers that pages of other origins may read.
const EXPOSED: [HeaderName; 15] = [
    visitor::HEADER,
    reached::HEADER,
    HeaderName::from_static("x-live"),
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("x-next-cursor"),
    HeaderName::from_static("x-more"),
    HeaderName::from_static("x-storage-reads"),
    HeaderName::from_static("idempotent-replayed"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    REQUEST_ID,
    TRACEPARENT,
    TRACESTATE,
];
/// Headers that they may send.
const ACCEPTED: [HeaderName; 9] = [
    visitor::HEADER,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    REQUEST_ID,
    TRACEPARENT,
    TRACESTATE,
];
/// What takes no place of a request: an operator asks for it also while the gateway is busy. Nobody else is told more of
/// them than a few bytes.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];
/// Smaller bodies, in bytes, are sent as they are: compressing them costs more than it saves.
pub(crate) const SMALL: usize = 1_024;
/// Of gzip and of brotli: most of what can be saved, in a tenth of the time that the rest would take.
const COMPRESSION: CompressionLevel = CompressionLevel::Precise(4);
const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::PATCH, Method::DELETE];
/// How long a browser may remember what it may send, in seconds; browsers cut it to two hours or less.
const PREFLIGHT_MAX_AGE: u64 = 7_200;
/// Of answers that are no page: nothing in them is to be run or framed.
const DATA_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// Of pages, beside their own Content-Security-Policy: other windows cannot reach into them, no frame shows them, and they
/// use none of the device's features. On data these headers mean nothing, so data goes without their bytes.
const PAGE_POLICIES: [(HeaderName, HeaderValue); 3] = [
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=(), browsing-topics=()",
        ),
    ),
    // For browsers that do not know frame-ancestors.
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

/// Puts the layers around `router`.
pub(crate) fn around<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    settings: &Settings,
    requests: Bound,
    limits: ClientLimits,
) -> Router<S> {
    let layers = ServiceBuilder::new()
        .layer(ObserveLayer::matched(settings.log_addresses.into()))
        .map_response(page_policies)
        .map_response(policies)
        .option_layer(cors(&settings.cors_origins))
        .map_response(compressed)
        .map_request(writes_are_never_unacceptable)
        .layer(CompressionLayer::new().quality(COMPRESSION).compress_when(
            SizeAbove::new(SMALL as u64).and(NotForContentType::SSE).and(NotForContentType::IMAGES),
        ))
        .layer(middleware::from_fn_with_state((requests, limits), few_at_once))
        .layer(CatchPanicLayer::custom(panicked));
    router.layer(layers)
}

/// The layers of an answer to a poll that was found at once: it is no error, and sent as it is.
pub(crate) fn around_polls(settings: &Settings) -> impl AroundPolls + use<> {
    ServiceBuilder::new()
        .layer(ObserveLayer::of(polls::PATH))
        .map_response(policies)
        .option_layer(cors(&settings.cors_origins))
        .service_fn(|request: Request<Response>| ready(Ok::<_, Infallible>(request.into_body())))
}

/// Refuses heads that are not sound, and requests beyond so many at once, of one client and in all, and gives every other
/// error its shape. An operator's probes get through: a gateway that is busy is alive. Files are like all the rest: one that
/// is compressed, or that waits for a peer, takes memory too.
async fn few_at_once(
    State((requests, limits)): State<(Bound, ClientLimits)>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    if let Some(fault) = request.extensions().get::<HeadFault>() {
        return refuse(*fault, &request);
    }
    let path = request.uri().path().to_owned();
    let next = |request| reached::tell(request, |request| next.run(request));
    let is_probe = PROBES.contains(&path.as_str());
    if is_probe && !request.headers().contains_key(header::AUTHORIZATION) {
        return finish(request, next).await;
    }
    match let_in(&requests, &limits, &mut request) {
        Ok((admitted, _place)) => {
            let answers = Answers::for_client(request.extensions_mut(), &limits, admitted.client());
            let answer = finish(request, next).await;
            let answer = if is_probe { Ok(answer) } else { answers.admit(answer) };
            let mut response = answer.unwrap_or_else(|problem| problem.answer(&path));
            match limits.answered(&admitted, &mut response).await {
                Ok(()) => response,
                Err(problem) => problem.answer(&path),
            }
        }
        Err(problem) => problem.answer(&path),
    }
}

/// Refuses a head, and whatever may come behind it on the connection.
fn refuse(fault: HeadFault, request: &Request<Body>) -> Response {
    let mut response = Problem::from(fault).answer(request.uri().path());
    if request.version() < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn let_in(
    requests: &Bound,
    limits: &ClientLimits,
    request: &mut Request<Body>,
) -> Result<(Admitted, Option<Place>), Problem> {
    let admitted = limits.look_at_token(request);
    if PROBES.contains(&request.uri().path()) {
        return Ok((admitted, None));
    }
    let admitted = limits.admit(admitted, request)?;
    let place = requests.enter(1).map_err(|full| Problem::too_many("TOO_MANY_REQUESTS", full))?;
    Ok((admitted, Some(place)))
}

/// The compression answers 406 for what a client does not take, after the handler has run: what was written would look
/// refused. So the answer to a write is sent as it is.
fn writes_are_never_unacceptable<B>(mut request: Request<B>) -> Request<B> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    request
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

/// An answer behind the compression. A body that is compressed takes some kilobytes: it is put aside here, so that the
/// layers further out do not move it on. One that is not leaves those kilobytes behind, which thousands of open streams
/// would hold.
fn compressed(response: Response<CompressionBody<Body>>) -> Response {
    if response.headers().contains_key(header::CONTENT_ENCODING) {
        weaken(response).map(Body::new)
    } else {
        response.map(CompressionBody::into_inner)
    }
}

/// What browsers may do with an answer, unless the answer itself says it. Polls meet this too: constants only, and few.
/// Strict-Transport-Security depends on the request: see [`crate::hsts`].
fn policies<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(DATA_POLICY);
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // Says nothing against the sites of `--cors-origin`: it is about tags that load without asking, as <img> and <script>.
    headers.entry(RESOURCE_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    response
}

fn page_policies<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    let is_page =
        headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if is_page {
        headers.extend(PAGE_POLICIES);
    }
    response
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::internal("a handler panicked").into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, extract::Request, routing::get};
    use clap::Parser as _;
    use repartee_process::Bound;
    use tower::ServiceExt as _;

    use super::around;
    use crate::{Settings, client::ClientLimits};

    async fn broken() -> &'static str {
        panic!("the secret of the house");
    }

    #[tokio::test]
    async fn a_panic_becomes_a_problem_without_inner_detail() {
        let settings = Settings::try_parse_from(["rest-gateway"]).unwrap();
        let (requests, limits) = (Bound::new("test_layers", 1), ClientLimits::new(&settings.clients));
        let router: Router = around(Router::new().route("/", get(broken)), &settings, requests, limits);
        let response = router.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert!(response.headers().contains_key("x-request-id"));
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }
}
