//! JSON over HTTP/1.1: one connection a client, kept alive, as a browser has it.

use std::net::{Ipv4Addr, SocketAddr};

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::dial;
use crate::{drive::Outcome, error::Error};

/// One connection to an HTTP server. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Json {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: JoinHandle<()>,
    host: String,
    authorization: Option<HeaderValue>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Json {
    /// Opens a connection.
    ///
    /// # Errors
    /// Where nobody listens.
    pub(crate) async fn connect(addr: SocketAddr) -> Result<Self, Error> {
        Self::connect_from(None, addr).await
    }

    /// The same from this address of the machine: for a server, each is another client.
    ///
    /// # Errors
    /// If nobody listens.
    pub(crate) async fn connect_from(from: Option<Ipv4Addr>, addr: SocketAddr) -> Result<Self, Error> {
        let stream = dial(from, addr).await?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| Error::Http(error.to_string()))?;
        let connection = tokio::spawn(async move {
            // How a connection ends shows in the calls that were on it.
            let _ = connection.await;
        });
        Ok(Self { sender, connection, host: addr.to_string(), authorization: None })
    }

    /// The same connection, whose requests carry this header.
    pub(crate) fn with(self, authorization: Option<HeaderValue>) -> Self {
        let mut connection = self;
        connection.authorization = authorization;
        connection
    }

    /// One connection for each of `clients`.
    ///
    /// # Errors
    /// Where nobody listens.
    pub(crate) async fn connect_all(addr: SocketAddr, clients: usize) -> Result<Vec<Self>, Error> {
        let mut connections = Vec::new();
        for _ in 0..clients {
            connections.push(Self::connect(addr).await?);
        }
        Ok(connections)
    }

    /// Reads `path`.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, hyper::Error> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    /// Reads `path`, compressed as browsers take it; it is not unpacked.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(crate) async fn get_compressed(&mut self, path: &str) -> Result<Answer, hyper::Error> {
        let mut request = self.request(Method::GET, path, Bytes::new());
        let ways = HeaderValue::from_static("gzip, deflate, br");
        request.headers_mut().insert(header::ACCEPT_ENCODING, ways);
        self.send(request).await
    }

    /// Sends a body.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub(crate) async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Result<Answer, hyper::Error> {
        self.call(Method::POST, path, body.into()).await
    }

    /// One request, and its answer read to the end.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, hyper::Error> {
        self.send(self.request(method, path, body)).await
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.host);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request.body(Full::new(body)).expect("paths and hosts of our own are valid")
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        self.sender.ready().await?;
        let (parts, body) = self.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

impl Drop for Json {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Answer {
    /// What the answer counts as.
    pub(crate) fn outcome(answer: &Result<Self, hyper::Error>) -> Outcome {
        match answer {
            Ok(answer) if answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED => {
                Outcome::Done
            }
            Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                Outcome::Refused("429".to_owned())
            }
            Ok(answer) => Outcome::Failed(answer.status.as_u16().to_string()),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// The body as JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}
