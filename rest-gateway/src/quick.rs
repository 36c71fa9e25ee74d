//! The short way: what can be answered at once is answered before the layers that it does not need.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    response::Response,
};
use futures_util::{
    TryFutureExt as _,
    future::{Either, MapOk},
};
use tower::{BoxError, Layer, Service};

use crate::{polls, server::App};

/// Puts the short way before a service.
#[derive(Clone)]
pub(crate) struct QuickLayer(pub(crate) App);

/// A service, and the short way past it.
#[derive(Clone)]
pub(crate) struct Quick<S> {
    app: App,
    inner: S,
}

type Boxed<B> = fn(Response<B>) -> Response;

impl<S> Layer<S> for QuickLayer {
    type Service = Quick<S>;

    fn layer(&self, inner: S) -> Quick<S> {
        Quick { app: App::clone(&self.0), inner }
    }
}

impl<S, B> Service<Request> for Quick<S>
where
    S: Service<Request, Response = Response<B>, Error = Infallible>,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, MapOk<S::Future, Boxed<B>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match polls::at_once(&self.app, &request) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(self.inner.call(request).map_ok(|response| response.map(Body::new))),
        }
    }
}
