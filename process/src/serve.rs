//! Serving HTTP: a task for each connection, with bounds in time and in size that libraries have no settings for. Both
//! faces are served here.

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, TryFutureExt as _, future::Either};
use http::{HeaderValue, Request, Response, Version, header::CONNECTION};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
    service::{TowerToHyperService, TowerToHyperServiceFuture},
};
use pin_project_lite::pin_project;
use tokio::time::timeout;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tower::Service;

use crate::{
    Begin, Connection, ConnectionState, Door, HeldAnswer, Patience, SentBody, Shutdown,
    closing::HANDSHAKES,
    connections::{Fate, OpenRequest},
    watched::StreamExecutor,
};

/// Largest head of a request over HTTP/2; over HTTP/1 see [`crate::check_head`].
const HEAD_BYTES: u32 = 16 * 1024;
/// What hyper may hold of one HTTP/1 connection, its head included. It is no bound of a body that is sent as a whole.
const BUFFER_BYTES: usize = 64 * 1024;
/// How often an HTTP/2 connection is checked for life, and how long its peer may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Most errors of streams in the life of a connection that is shared by many, such as data that comes after the end of its
/// stream; the library's own limit is for one client, and never forgets. They cost a frame each, and hold nothing.
const SHARED_STREAM_ERRORS: usize = 1 << 20;

/// How long whoever is connected and has asked for nothing yet may take to do so, once nobody new comes.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves until the stop, then until the last connection has ended. Once it is to stop soon, connections over HTTP/1 end with
/// their next answer. `make` gives the service of a connection, none to refuse it; its requests over HTTP/2 are at most
/// `streams` at the same time.
pub async fn serve<M, S, B>(mut door: Door, streams: u32, make: M, shutdown: Shutdown)
where
    M: Fn(&Connection) -> Option<S>,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (tasks, connections) = (TaskTracker::new(), door.connections().clone());
    let retiring = {
        let (connections, leaving) = (connections.clone(), shutdown.leaving);
        async move {
            leaving.cancelled().await;
            connections.retire();
        }
    };
    let _retiring = AbortOnDropHandle::new(tokio::spawn(retiring));
    let begin = |connection: Connection| {
        // Dropped, it is closed at once.
        if let Some(service) = make(&connection) {
            tasks.spawn(served(connection, service, streams));
        }
    };
    loop {
        tokio::select! {
            (connection, _) = door.accept() => begin(connection),
            () = shutdown.stop.cancelled() => break,
        }
    }
    door.pass_over_newcomers();
    let mut last = pin!(tokio::time::sleep(HANDSHAKES));
    loop {
        tokio::select! {
            // Whoever is there comes in before the end.
            biased;
            (connection, _) = door.accept() => begin(connection),
            () = &mut last => break,
        }
    }
    // Nobody new: the address is free from now on.
    drop(door);
    connections.dismiss_served();
    tasks.close();
    if timeout(FIRST_REQUEST, tasks.wait()).await.is_err() {
        connections.dismiss();
        tasks.wait().await;
    }
}

/// Serves one connection. Thousands of them are open and idle, so what each holds is kept small. A library that finds out
/// the protocol while it reads has to give back what it read, and then takes twice the buffer for HTTP/1: so the protocol
/// is known before. And no async block is around the whole, which would hold the parts twice.
fn served<S, B>(connection: Connection, service: S, streams: u32) -> impl Future<Output = ()> + Send
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let peer = connection.state().peer();
    let serving = begins(connection).and_then(move |(begin, patience, connection)| {
        let state = Arc::clone(connection.state());
        let service = Counted { inner: TowerToHyperService::new(service), state: Arc::clone(&state) };
        let io = TokioIo::new(connection);
        if begin == Begin::Http1 {
            // Nothing here upgrades a connection to another protocol.
            let connection = http1(patience).serve_connection(io, service);
            Either::Left(Served { connection, state, is_leaving: false })
        } else {
            let connection =
                both(patience, streams, state.resets()).serve_connection(io, service).into_owned();
            Either::Right(Box::pin(Served { connection, state, is_leaving: false }))
        }
    });
    serving.map(move |ended: Result<(), BoxError>| {
        if let Err(error) = ended {
            tracing::debug!(error, %peer, "a connection ended");
        }
    })
}

async fn begins(connection: Connection) -> Result<(Begin, Patience, Connection), BoxError> {
    let (begin, connection) = connection.begins().await?;
    let patience = connection.patience();
    Ok((begin, patience, connection))
}

/// The time for a head is kept by the door; hyper's own is the end of what the door cannot see, such as a head that began
/// behind the request before.
fn longest_head(patience: Patience) -> Duration {
    patience.idle + patience.head
}

fn http1(patience: Patience) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(longest_head(patience)).max_buf_size(BUFFER_BYTES);
    builder
}

/// HTTP/2; and HTTP/1 from clients whose first bytes could be both.
fn both(patience: Patience, streams: u32, resets: u32) -> auto::Builder<StreamExecutor> {
    let mut builder = auto::Builder::new(StreamExecutor(patience));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(longest_head(patience))
        .max_buf_size(BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .max_concurrent_streams(streams)
        .max_header_list_size(HEAD_BYTES);
    if resets > 0 {
        builder
            .http2()
            .max_pending_accept_reset_streams(resets as usize)
            .max_local_error_reset_streams(SHARED_STREAM_ERRORS);
    }
    builder
}

/// The service of one connection, whose requests are counted.
struct Counted<S> {
    inner: TowerToHyperService<S>,
    state: Arc<ConnectionState>,
}

pin_project! {
    /// The answer to one request.
    struct Answering<S> where S: Service<Request<Incoming>> {
        #[pin]
        inner: TowerToHyperServiceFuture<S, Request<Incoming>>,
        request: Option<OpenRequest>,
        is_http1: bool,
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
    B: Body<Data = Bytes>,
{
    type Response = Response<SentBody<B>>;
    type Error = Infallible;
    type Future = Answering<S>;

    fn call(&self, request: Request<Incoming>) -> Answering<S> {
        let open = self.state.begin_request();
        let is_http1 = request.version() < Version::HTTP_2;
        Answering { inner: self.inner.call(request), request: Some(open), is_http1 }
    }
}

impl<S, B> Future for Answering<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<SentBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let held = response.extensions_mut().remove::<HeldAnswer>();
        let request = this.request.take().expect("a future is not polled after its end");
        if *this.is_http1 && request.connection().retires() {
            // Its client sends the next request on another one: this one may end just when that comes.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response.map(|body| SentBody::new(body, held, request))))
    }
}

pin_project! {
    /// A connection, until it ends or has to.
    struct Served<C> {
        #[pin]
        connection: C,
        state: Arc<ConnectionState>,
        is_leaving: bool,
    }
}

/// A connection that can be asked to end once its requests are answered.
trait Leave {
    fn leave(self: Pin<&mut Self>);
}

impl<S, B> Leave for http1::Connection<TokioIo<Connection>, Counted<S>>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<BoxError>,
{
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, B> Leave for auto::Connection<'static, TokioIo<Connection>, Counted<S>, StreamExecutor>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<C, E> Future for Served<C>
where
    C: Future<Output = Result<(), E>> + Leave,
    E: Into<BoxError>,
{
    type Output = Result<(), BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        match this.state.poll_fate(cx) {
            Fate::End => return Poll::Ready(Err("it did nothing, or had to make room".into())),
            Fate::Leave if !*this.is_leaving => {
                *this.is_leaving = true;
                this.connection.as_mut().leave();
            }
            Fate::Leave | Fate::Stay => {}
        }
        this.connection.poll(cx).map_err(Into::into)
    }
}

#[cfg(test)]
mod tests;
