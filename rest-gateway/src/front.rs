//! The first that a request meets: what can be answered at once is answered here, everything else goes to the router.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    response::Response,
    routing::future::RouteFuture,
};
use futures_util::future::Either;
use pin_project_lite::pin_project;
use repartee_process::{ClientPermit, ConnectionState, check_head};
use tower::Service;

use crate::{
    client::{Held, Peer, Proxies},
    hsts::Promise,
    layers, polls,
    server::App,
    settings::Settings,
    trace_parents::TraceParents,
};

/// Streams of a proxy's connection that may be reset before they were looked at: its clients share it. They hold 16 KiB each
/// until then, at the most.
const RESETS_OF_PROXY: u32 = 1_024;

/// What every connection gets a copy of.
#[derive(Clone)]
pub(crate) struct Front<P> {
    app: App,
    /// What lies around an answer that was found at once.
    around_polls: P,
    router: Router,
    proxies: Proxies,
    /// Whose traces go on.
    trace_parents: TraceParents,
    /// What browsers are to remember of TLS.
    hsts: Promise,
}

/// The front for one connection.
#[derive(Clone)]
pub(crate) struct Connection<P> {
    front: Front<P>,
    peer: Peer,
    state: Arc<ConnectionState>,
    /// A part of the client's share of connections.
    _share: Option<Arc<ClientPermit>>,
}

/// The front of `router`, with the layers that `settings` ask for.
pub(crate) fn front(app: App, router: Router, settings: &Settings) -> Front<impl AroundPolls> {
    let proxies = Proxies::new(settings.trusted_proxies.clone(), settings.forwarded_header);
    let hsts = if app.is_tls { settings.hsts.promise() } else { Promise::default() };
    let (around_polls, trace_parents) = (layers::around_polls(settings), settings.trace_parents);
    Front { app, around_polls, router, proxies, trace_parents, hsts }
}

/// Layers around an answer: the request brings it in place of its body, which for a poll is empty.
pub(crate) trait AroundPolls:
    Service<Request<Response>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> AroundPolls for S where
    S: Service<Request<Response>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

impl<P: AroundPolls> Front<P> {
    /// The front for this connection, which holds a part of its client's share; a proxy's holds none, for its clients are
    /// counted by request. `None` if the client has all of its share already.
    pub(crate) fn of(&self, state: &Arc<ConnectionState>) -> Option<Connection<P>> {
        let peer = self.proxies.peer(state.peer());
        if peer.is_proxy {
            state.share();
            state.expect_resets(RESETS_OF_PROXY);
        }
        // What is refused is counted, and nobody is there to be told: no request has come yet.
        let share =
            if peer.is_proxy { None } else { self.app.limits.hold(Held::Connection, peer.client).ok()? };
        let share = share.map(Arc::new);
        if !peer.is_proxy {
            self.app.limits.pace(state, peer.client);
        }
        Some(Connection { front: self.clone(), peer, state: Arc::clone(state), _share: share })
    }
}

impl<P> Connection<P> {
    /// A trace goes on only if its caller may say so.
    fn judge_trace(&self, request: &mut Request) {
        let Front { app, proxies, trace_parents, .. } = &self.front;
        trace_parents.judge(request, self.peer.is_proxy, |request| {
            let client = proxies.client(&self.peer, request.headers());
            app.limits.has_accepted_token(client, request.headers())
        });
    }
}

impl<P: AroundPolls> Service<Request> for Connection<P> {
    type Response = Response;
    type Error = Infallible;
    type Future = Promising<Either<P::Future, RouteFuture<Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        if !self.peer.is_proxy {
            self.front.app.limits.pace(&self.state, self.peer.client);
        }
        let fault = check_head(&request).err();
        self.judge_trace(&mut request);
        let hsts = self.front.hsts.to(&request);
        let inner = match polls::at_once(&self.front.app, &request).filter(|_| fault.is_none()) {
            Some(answer) => Either::Left(self.front.around_polls.call(request.map(|_| answer))),
            None => {
                let client = self.front.proxies.client(&self.peer, request.headers());
                request.extensions_mut().insert(ConnectInfo(self.peer.socket));
                request.extensions_mut().insert(client);
                let prefix = self.peer.prefix(request.headers());
                prefix.map(|prefix| request.extensions_mut().insert(prefix));
                // A layer refuses it, inside those that every answer meets.
                fault.map(|fault| request.extensions_mut().insert(fault));
                request.extensions_mut().insert(Arc::clone(&self.state));
                Either::Right(self.front.router.call(request))
            }
        };
        Promising { inner, hsts }
    }
}

pin_project! {
    /// An answer on its way, and what it promises about TLS.
    pub(crate) struct Promising<F> {
        #[pin]
        inner: F,
        hsts: Promise,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Promising<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.inner.poll(cx));
        this.hsts.put_into(response.headers_mut());
        Poll::Ready(Ok(response))
    }
}
