//! A JSON client that hides nothing of an answer.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use reqwest::{
    Client, Method, RequestBuilder,
    header::{AUTHORIZATION, HeaderMap},
    redirect::Policy,
};
use serde_json::Value;

use crate::{DEADLINE, OPERATOR};

/// A browser, or a worker that speaks JSON.
#[derive(Debug, Clone)]
pub struct Browser {
    client: Client,
    base: String,
    metrics: Option<String>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Browser {
    /// A browser with connections of its own to the service at `base`; it sends an operator's token where a request has
    /// none.
    pub fn new(base: &str) -> Self {
        Self::with(base, Some(OPERATOR))
    }

    /// The same with this token, or without any.
    pub fn with(base: &str, token: Option<&str>) -> Self {
        Self::from(base, token, None)
    }

    /// The same without a token, at this address of the machine.
    pub fn at(base: &str, address: Ipv4Addr) -> Self {
        Self::from(base, None, Some(address))
    }

    fn from(base: &str, token: Option<&str>, address: Option<Ipv4Addr>) -> Self {
        let bearer = token.map(|token| format!("Bearer {token}").parse().expect("a token is visible ASCII"));
        let client = Client::builder()
            .default_headers(bearer.into_iter().map(|bearer| (AUTHORIZATION, bearer)).collect())
            .no_proxy()
            .local_address(address.map(IpAddr::from))
            .redirect(Policy::none())
            .timeout(DEADLINE)
            .build()
            .expect("a plain client can be built");
        Self { client, base: base.to_owned(), metrics: None }
    }

    /// The same with this client, whatever it sends.
    pub fn by(client: Client, base: &str) -> Self {
        Self { client, base: base.to_owned(), metrics: None }
    }

    /// The same, where the service has its metrics at an address of their own.
    #[must_use]
    pub fn with_metrics_at(self, addr: Option<SocketAddr>) -> Self {
        Self { metrics: addr.map(|addr| format!("http://{addr}")), ..self }
    }

    /// Reads the metrics of the service.
    pub async fn metrics(&self) -> Answer {
        let base = self.metrics.as_ref().unwrap_or(&self.base);
        Answer::to(self.client.get(format!("{base}/metrics"))).await
    }

    /// A request to `path`, for what the calls below cannot say.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Reads `path`.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    /// Sends `body` to `path`.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(body)).await
    }

    /// Posts a comment and hands out the answer's body.
    ///
    /// # Panics
    /// Where the comment is refused.
    pub async fn comment(&self, comment: &Value) -> Value {
        self.post("/api/comments", comment).await.ok(201)
    }

    /// The newest comments, once they are so: what was not written through this gateway takes a moment to be seen there.
    ///
    /// # Panics
    /// Where they are refused, or do not become so.
    pub async fn comments_once(&self, so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let seen = async {
            loop {
                let comments = self.comments().await;
                if so(&comments) {
                    return comments;
                }
            }
        };
        crate::within_deadline("comments to be seen through the gateway", seen).await
    }

    /// The newest comments.
    ///
    /// # Panics
    /// Where they are refused.
    pub async fn comments(&self) -> Vec<Value> {
        let page = self.get("/api/comments?limit=1000").await.ok(200);
        page.as_array().expect("a page is a bare array").clone()
    }
}

impl Answer {
    /// Sends `request` and reads the answer.
    ///
    /// # Panics
    /// Where there is no answer.
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("the gateway answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.expect("the answer has an end").to_vec();
        Self { status, headers, body }
    }

    /// A header; empty where it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("our headers are text"))
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("every body is UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// The body of an answer with this status.
    ///
    /// # Panics
    /// Where the status is another one.
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    /// The body of a refusal with this status, after its shape was checked (RFC 9457 and what API.md adds to it).
    ///
    /// # Panics
    /// Where status, headers or shape are others.
    pub fn problem(&self, status: u16) -> Value {
        let seen = format!("{} {:?} {}", self.status, self.headers, self.text());
        assert_eq!(self.status, status, "{seen}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{seen}");
        assert_eq!(self.header("cache-control"), "no-store", "{seen}");
        assert!(!self.header("x-request-id").is_empty(), "{seen}");
        assert_eq!(!self.header("retry-after").is_empty(), matches!(status, 429 | 503), "{seen}");
        let problem = self.json();
        for member in problem.as_object().expect("a problem is an object").keys() {
            let known =
                ["type", "title", "status", "detail", "instance", "errors", "reason", "success", "error"];
            assert!(known.contains(&member.as_str()), "{member} is no member of a problem: {seen}");
        }
        for text in ["type", "title", "detail", "instance"] {
            assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "{text} is missing: {seen}");
        }
        assert_eq!((&problem["status"], &problem["success"]), (&status.into(), &false.into()), "{seen}");
        assert_eq!(problem["error"], problem["detail"], "{seen}");
        problem
    }

    /// The JSON pointers of a refusal with this status.
    pub fn pointers(&self, status: u16) -> Vec<String> {
        let problem = self.problem(status);
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let pointers = errors.iter().map(|error| {
            assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
            error["pointer"]
                .as_str()
                .unwrap_or_else(|| panic!("an error points to a field: {problem}"))
                .to_owned()
        });
        pointers.collect()
    }
}
