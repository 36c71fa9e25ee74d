//! What the gateway says about itself: the OpenAPI document, and Swagger UI as its reader. The reader comes from this
//! server with all that it needs; nothing is loaded from other hosts.

mod fields;
mod shapes;

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use axum::{
    Extension,
    extract::Path,
    response::{IntoResponse, Redirect, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use utoipa::{
    OpenApi,
    openapi::{
        ContentBuilder, HeaderBuilder, ObjectBuilder, OpenApi as Document, Ref, RefOr, Response as Described,
        path::{Operation, PathItem},
        schema::Type,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_swagger_ui::Config;

use crate::{
    client::Prefix,
    conditional,
    kept::Kept,
    problem::{PROBLEM_JSON, Problem, ProblemBody},
    routes,
};

/// Swagger UI sets style attributes and draws icons from `data:` addresses; everything else is a file of this server.
const READER_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Kept, but asked for again each time.
const FRESH: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-cache")];

/// What every call may answer besides what it says itself.
const ALWAYS: [(&str, &str); 1] = [("500", "An error inside the server")];
/// What a call to the queue-service may answer.
const OF_QUEUE: [(&str, &str); 4] = [
    ("429", "A bound or a limit of this client is hit, nothing was done; try again after Retry-After"),
    ("502", "The call broke off; whether it took effect is unknown"),
    ("503", "The queue-service cannot be reached, or is starting or stopping; try again after Retry-After"),
    ("504", "No answer in time; whether the call took effect is unknown"),
];
/// What a call with a body may answer.
const OF_BODY: [(&str, &str); 3] = [
    ("408", "The body did not arrive in time"),
    ("413", "The body is too large"),
    ("415", "The body is not announced as application/json"),
];
/// What a call with a body, parameters or a path may answer.
const OF_INPUT: [(&str, &str); 1] = [("400", "Something in the request is wrong; `errors` points to it")];
/// What a call with a token may answer.
const OF_TOKEN: [(&str, &str); 2] = [
    ("401", "This needs a token, of a role that the documentation of the call names"),
    ("403", "The token is not accepted, or gives no right to this"),
];

/// The tag of pages and their files.
const PAGE: &str = "page";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Repartee",
        description = "People and AI bots talk in public: comments, conversations, and the queue behind the bots. \
            Errors are `application/problem+json` (RFC 9457). Lengths of names and texts are those of the default settings.",
    ),
    components(schemas(ProblemBody)),
    tags(
        (name = "comments", description = "Post and read comments"),
        (name = "conversation", description = "What one human and one AI said to each other"),
        (name = "queue", description = "The work of bots, for workers and operators"),
        (name = "operations", description = "Probes, metrics, and this document"),
    ),
)]
struct Description;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = routes::table().into_openapi();
    // Who generates a client wants the calls, not the pages.
    document.paths.paths.retain(|_, item| !operations(item).any(|operation| is_page(operation)));
    complete(&mut document);
    let mut document = serde_json::to_value(document).expect("the document is plain values");
    shapes::relate_fields(&mut document);
    document
});
/// The document for who knows no better than that the calls are where it is: beside itself.
static DOCUMENT_BESIDE: LazyLock<Kept> = LazyLock::new(|| Kept::new(document_at(".")));

static READER: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::new(["../openapi.json"]).validator_url("none")));

/// The document without its paths: title, tags, the shape of errors.
pub(crate) fn description() -> Document {
    Description::openapi()
}

/// The document of a server at this address, which may be relative to the document's own.
fn document_at(server: &str) -> String {
    let mut document = DOCUMENT.clone();
    document["servers"] = json!([{"url": server}]);
    document.to_string()
}

/// This document: OpenAPI 3.1. Its `servers` are relative to its own address; a trusted proxy that shows this gateway below
/// a path says so in `X-Forwarded-Prefix`.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", operation_id = "getOpenApi",
    responses((status = 200, description = "The document", body = Object)))]
pub(crate) async fn document(prefix: Option<Extension<Prefix>>, asked: HeaderMap) -> impl IntoResponse {
    let json = HeaderValue::from_static("application/json");
    let answer = match prefix {
        Some(Extension(Prefix(prefix))) => conditional::respond(&asked, json, document_at(&prefix)),
        None => DOCUMENT_BESIDE.respond(&asked, json),
    };
    (FRESH, answer)
}

/// The reader of this document.
#[utoipa::path(get, path = "/docs", tag = "page",
    responses((status = 308, description = "To the reader's page",
        headers(("Location" = String, description = "Path of the page")))))]
pub(crate) async fn reader() -> Redirect {
    Redirect::permanent("docs/index.html")
}

/// A file of the reader.
#[utoipa::path(get, path = "/docs/{file}", tag = "page",
    params(("file" = String, Path, description = "Name of the file, such as index.html")),
    responses((status = 200, description = "The file"), (status = 404, description = "The reader has no such file")))]
pub(crate) async fn file(asked: HeaderMap, Path(name): Path<String>) -> Result<Response, Problem> {
    let file = ReaderFile::named(&name)?;
    let policy = [(header::CONTENT_SECURITY_POLICY, READER_POLICY)];
    let answer = file.content.respond(&asked, conditional::header(file.content_type));
    Ok((FRESH, policy, answer).into_response())
}

/// A file of the reader. Its bytes lie in the binary, but for the one that names the document.
#[derive(Debug, Clone)]
struct ReaderFile {
    content_type: String,
    content: Kept,
}

impl ReaderFile {
    /// The file of this name, hashed when it is first asked for.
    ///
    /// # Errors
    /// 404 if there is none.
    fn named(name: &str) -> Result<Self, Problem> {
        // Only what is there comes in here, so it is no more than the reader has.
        static FILES: LazyLock<Mutex<HashMap<String, ReaderFile>>> = LazyLock::new(Mutex::default);
        if let Some(file) = FILES.lock().get(name) {
            return Ok(file.clone());
        }
        let found = utoipa_swagger_ui::serve(name, READER.clone());
        let found = found.map_err(|error| Problem::internal(error.to_string()))?;
        let found = found.ok_or_else(|| {
            Problem::not_found("the reader has no such file; it begins at /docs/index.html")
        })?;
        let content = match found.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        let file = Self { content_type: found.content_type, content: Kept::new(content) };
        FILES.lock().insert(name.to_owned(), file.clone());
        Ok(file)
    }
}

/// Adds what all calls have in common, so that no handler repeats it: errors and their shape, the request id, the token.
fn complete(document: &mut Document) {
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The author's editToken, or a token of a worker or an operator"));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(token.build()));
    fields::limit_bodies(document);
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            complete_operation(path, operation);
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
}

fn is_page(operation: &Operation) -> bool {
    operation.tags.iter().flatten().any(|tag| tag == PAGE)
}

fn complete_operation(path: &str, operation: &mut Operation) {
    fields::limit_parameters(operation);
    let has_body = operation.request_body.is_some();
    let has_input = has_body || operation.parameters.is_some();
    let common = [
        (true, &ALWAYS[..]),
        (path.starts_with("/api/"), &OF_QUEUE),
        (has_body, &OF_BODY),
        (has_input, &OF_INPUT),
        (operation.security.is_some(), &OF_TOKEN),
    ];
    let responses = &mut operation.responses.responses;
    for (status, description) in common.into_iter().filter(|(holds, _)| *holds).flat_map(|(_, rows)| rows) {
        responses.entry((*status).to_owned()).or_insert_with(|| RefOr::T(Described::new(*description)));
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response {
            complete_response(status, response);
        }
    }
}

fn complete_response(status: &str, response: &mut Described) {
    let header = |schema: Type, text: &str| {
        let schema = ObjectBuilder::new().schema_type(schema);
        RefOr::T(HeaderBuilder::new().schema(Some(schema)).description(Some(text)).build())
    };
    response.headers.insert("X-Request-Id".into(), header(Type::String, "Names this request in the logs"));
    if matches!(status, "429" | "503") {
        let wait = header(Type::Integer, "When to try again, in seconds, at least 1");
        response.headers.insert("Retry-After".into(), wait);
    }
    if status == "429" {
        let policy = header(Type::String, "The limit of this client that was hit, if it was one");
        response.headers.insert("RateLimit-Policy".into(), policy);
        let left = header(Type::String, "What is left of that limit, and when there is more");
        response.headers.insert("RateLimit".into(), left);
    }
    if status.starts_with(['4', '5']) {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        response.content.insert(PROBLEM_JSON.into(), RefOr::T(problem));
    }
}
