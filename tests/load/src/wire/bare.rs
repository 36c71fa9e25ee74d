//! Calls over HTTP/2 without a gRPC library: the same bytes on the wire for a part of the work. For loads that are to be
//! more than the service takes, where the generator must not be what is slow.

use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::Message;
use tokio::net::TcpStream;
use tonic::Code;

use crate::{drive::Outcome, error::Error};

/// The same connections as with the library.
const MOST_CONNECTIONS: usize = 4;

/// One call, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Bare {
    sender: SendRequest<Full<Bytes>>,
    head: Request<()>,
    body: Bytes,
}

impl Bare {
    /// A client for each of `clients` of a call with one request, over at most [`MOST_CONNECTIONS`] connections.
    ///
    /// # Errors
    /// Where nobody listens.
    pub(crate) async fn connect_all(
        queue_url: &str,
        method: &str,
        request: &impl Message,
        clients: usize,
    ) -> Result<Vec<Self>, Error> {
        let authority = queue_url.trim_start_matches("http://").trim_end_matches('/');
        let head = Request::post(format!("http://{authority}/repartee.v1.QueueService/{method}"))
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))
            .header(header::TE, HeaderValue::from_static("trailers"))
            .body(())
            .expect("paths of our own are valid");
        let body = framed(request);
        let mut connections = Vec::new();
        for _ in 0..clients.min(MOST_CONNECTIONS) {
            let sender = connect(authority).await?;
            connections.push(Self { sender, head: head.clone(), body: body.clone() });
        }
        Ok(connections.iter().cycle().take(clients).cloned().collect())
    }

    /// One call, and its answer read to the end.
    pub(crate) async fn call(&mut self) -> Outcome {
        let request = self.head.clone().map(|()| Full::new(self.body.clone()));
        match self.sender.send_request(request).await {
            Ok(answer) => outcome(answer).await,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }
}

async fn connect(authority: &str) -> Result<SendRequest<Full<Bytes>>, Error> {
    let stream =
        TcpStream::connect(authority).await.map_err(Error::io(format!("connecting to {authority}")))?;
    stream.set_nodelay(true).map_err(Error::io("setting TCP_NODELAY"))?;
    let handshake =
        Builder::new(TokioExecutor::new()).timer(TokioTimer::new()).handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(|error| Error::Http(error.to_string()))?;
    tokio::spawn(async move {
        // How a connection ends shows in the calls that were on it. It ends with its senders.
        let _ = connection.await;
    });
    Ok(sender)
}

/// A message as gRPC sends it: not compressed, its length, itself.
fn framed(message: &impl Message) -> Bytes {
    let mut frame = vec![0];
    let length = u32::try_from(message.encoded_len()).expect("a request of ours is shorter than 4 GiB");
    frame.extend(length.to_be_bytes());
    message.encode(&mut frame).expect("a vector grows as far as needed");
    frame.into()
}

/// A refusal has its status in the head, where nothing follows; everything else behind its message.
async fn outcome(answer: Response<Incoming>) -> Outcome {
    if let Some(code) = code(answer.headers()) {
        return counted(code);
    }
    match answer.into_body().collect().await {
        Ok(read) => counted(read.trailers().and_then(code).unwrap_or(Code::Unknown)),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()))
}

fn counted(code: Code) -> Outcome {
    match code {
        Code::Ok => Outcome::Done,
        Code::ResourceExhausted => Outcome::Refused(format!("{code:?}")),
        other => Outcome::Failed(format!("{other:?}")),
    }
}
