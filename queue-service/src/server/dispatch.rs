//! Which service answers a request. Our own calls, nearly all that there are, go straight to their service: a router costs
//! each request a copy of all that lies behind it, and a box for the future of each layer.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, body::Body, extract::Request, response::Response, routing::future::RouteFuture};
use futures_util::future::Either;
use repartee_proto::v1::queue_service_server::QueueServiceServer;
use tower::Service;

use crate::grpc::{Front, QueueGrpc, enter, own_method};

/// Every service of the port; what a connection gets a copy of.
#[derive(Clone)]
pub(super) struct Dispatch {
    /// What our own calls meet first; `others` brings the same.
    pub(super) front: Arc<Front>,
    pub(super) queue: QueueServiceServer<QueueGrpc>,
    /// Health, reflection, the metrics, and what is not there.
    pub(super) others: Router,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl Service<Request> for Dispatch {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Answering, RouteFuture<Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if own_method(request.uri().path()).is_none() {
            return Either::Right(self.others.call(request));
        }
        let (front, mut queue) = (Arc::clone(&self.front), self.queue.clone());
        Either::Left(Box::pin(async move {
            let answer = async move |request| match queue.call(request).await {
                Ok(response) => response.map(Body::new),
                Err(never) => match never {},
            };
            Ok(enter(&front, request, answer).await)
        }))
    }
}
