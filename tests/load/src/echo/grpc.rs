//! A tonic service with one method that gives bytes back. It is written by hand, as tonic's generator would write it, so
//! that it needs no contract.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use http::uri::PathAndQuery;
use prost::bytes::Bytes;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{NamedService, UnaryService},
    transport::{Channel, server::TcpIncoming},
};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::error::Error;

const PATH: &str = "/repartee.load.Echo/Echo";
/// The largest answer that is asked for: a long page.
const LONGEST: usize = 4 * 1024 * 1024;
static ZEROS: [u8; LONGEST] = [0; LONGEST];

/// What goes there and back.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Payload {
    /// Bytes without a meaning.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) data: Bytes,
    /// How many bytes to answer; the same bytes where it is 0.
    #[prost(uint32, tag = "2")]
    pub(crate) answer_bytes: u32,
}

/// Serves the echo until `stop`.
///
/// # Errors
/// Where the server fails.
pub(super) async fn serve(listener: TcpListener, stop: CancellationToken) -> Result<(), Error> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tonic::transport::Server::builder().add_service(Echo);
    Ok(server.serve_with_incoming_shutdown(incoming, stop.cancelled()).await?)
}

#[derive(Debug, Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "repartee.load.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<Payload, Payload>::default());
            Ok(grpc.unary(Answer, request).await)
        })
    }
}

struct Answer;

impl UnaryService<Payload> for Answer {
    type Response = Payload;
    type Future = Ready<Result<Response<Payload>, Status>>;

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        let mut payload = request.into_inner();
        if payload.answer_bytes > 0 {
            payload.data = Bytes::from_static(&ZEROS[..LONGEST.min(payload.answer_bytes as usize)]);
        }
        ready(Ok(Response::new(payload)))
    }
}

/// A client of the echo.
#[derive(Debug, Clone)]
pub(crate) struct EchoClient(tonic::client::Grpc<Channel>);

impl EchoClient {
    /// A client on a channel.
    pub(crate) fn new(channel: Channel) -> Self {
        Self(tonic::client::Grpc::new(channel).max_decoding_message_size(2 * LONGEST))
    }

    /// Sends bytes and gets bytes.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub(crate) async fn echo(&mut self, payload: Payload) -> Result<Payload, Status> {
        self.0.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<Payload, Payload>::default();
        let answer = self.0.unary(Request::new(payload), PathAndQuery::from_static(PATH), codec).await?;
        Ok(answer.into_inner())
    }
}
