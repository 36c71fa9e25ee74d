//! Learns from the answers of the queue-service which tokens it accepts.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use repartee_process::{AcceptedTokens, SentToken};
use tower::Service;

/// In the head of an answer, this says that the call failed before anything was answered.
const GRPC_STATUS: &str = "grpc-status";

/// The token that a call carries, and where it is noted once it is accepted.
pub(crate) type Judgement = (AcceptedTokens, SentToken);

/// A service whose calls carry a token, if any, that it judges before it answers.
#[derive(Clone, Debug)]
pub(crate) struct Judged<S> {
    inner: S,
    judgement: Option<Judgement>,
}

pin_project! {
    /// The answer of such a service.
    pub(crate) struct Judging<F> {
        #[pin]
        inner: F,
        judgement: Option<Judgement>,
    }
}

impl<S> Judged<S> {
    pub(crate) fn new(inner: S, judgement: Option<Judgement>) -> Self {
        Self { inner, judgement }
    }
}

impl<S, A, B> Service<Request<A>> for Judged<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Judging<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        Judging { inner: self.inner.call(request), judgement: self.judgement.clone() }
    }
}

impl<F, B, E> Future for Judging<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        if let Some((accepted, sent)) = this.judgement.take()
            && response.status() == StatusCode::OK
            && !response.headers().contains_key(GRPC_STATUS)
        {
            accepted.accept(sent, Instant::now());
        }
        Poll::Ready(Ok(response))
    }
}
