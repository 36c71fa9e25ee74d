//! Serving HTTP: a task for each connection, with bounds in time and in size that libraries have no settings for. Both
//! faces are served here.

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, TryFutureExt as _, future::Either};
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
    service::{TowerToHyperService, TowerToHyperServiceFuture},
};
use pin_project_lite::pin_project;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use crate::{
    Begin, Connection, ConnectionState, Door, HeldAnswer, Patience, SentBody,
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

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves until `shutdown` is cancelled, then until the last connection has ended. `make` gives the service of a
/// connection, none to refuse it; its requests over HTTP/2 are at most `streams` at the same time.
pub async fn serve<M, S, B>(mut door: Door, streams: u32, make: M, shutdown: CancellationToken)
where
    M: Fn(&Connection) -> Option<S>,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (tasks, connections) = (TaskTracker::new(), door.connections().clone());
    loop {
        let (connection, _) = tokio::select! {
            accepted = door.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        // Dropped, it is closed at once.
        let Some(service) = make(&connection) else { continue };
        tasks.spawn(served(connection, service, streams));
    }
    // Nobody new: the address is free from now on.
    drop(door);
    connections.dismiss();
    tasks.close();
    tasks.wait().await;
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

async fn begins(mut connection: Connection) -> Result<(Begin, Patience, Connection), BoxError> {
    let begin = connection.begins().await?;
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
        Answering { inner: self.inner.call(request), request: Some(open) }
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
mod tests {
    use std::{convert::Infallible, time::Duration};

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body::Body;
    use hyper::body::Incoming;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::sync::CancellationToken;
    use tower::service_fn;

    use super::serve;
    use crate::{AnswerLimits, ByteLimit, Door, Patience};

    /// No body.
    struct Nothing;

    impl Body for Nothing {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            std::task::Poll::Ready(None)
        }
    }

    #[tokio::test]
    async fn a_connection_that_has_asked_for_nothing_does_not_hold_up_the_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let hour = Duration::from_secs(3_600);
        let patience = Patience { idle: hour, head: hour, least_rate: 0 };
        let total = ByteLimit::new("test_serve_answers", 1 << 20);
        let answers = AnswerLimits { total, per_connection: 1, per_connection_name: "test_serve_answer" };
        let door = Door::new(listener, "test_serve", 1, patience, answers);
        let (places, shutdown) = (door.places().clone(), CancellationToken::new());
        let of_connection = |_: &crate::Connection| {
            Some(service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new(Nothing))))
        };
        let serving = serve(door, 1, of_connection, shutdown.clone());
        let stopping = async {
            let _silent = TcpStream::connect(addr).await.unwrap();
            while places.held() == 0 {
                tokio::task::yield_now().await;
            }
            shutdown.cancel();
            _silent
        };
        let (_silent, ()) = tokio::join!(stopping, serving);
    }
}
