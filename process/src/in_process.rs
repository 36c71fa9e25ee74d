//! A way to a server of the same process: each connection is two buffers in memory, and no socket. Nobody else can connect
//! there, and what proves a right is a token, as everywhere.

use std::{convert::Infallible, error::Error, io, pin::pin};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

/// Bytes that may be on their way in each direction of one connection.
const BUFFER_BYTES: usize = 256 * 1024;
/// Connections that may wait to be accepted.
const BACKLOG: usize = 8;

type BoxError = Box<dyn Error + Send + Sync>;

/// Connects to a server of this process; cheap to clone.
#[derive(Debug, Clone)]
pub struct InProcess(mpsc::Sender<DuplexStream>);

/// Where such connections come in.
#[derive(Debug)]
pub struct InProcessDoor(mpsc::Receiver<DuplexStream>);

/// A way, and the door at its end.
pub fn in_process() -> (InProcess, InProcessDoor) {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    (InProcess(sender), InProcessDoor(receiver))
}

impl InProcess {
    /// A new connection.
    ///
    /// # Errors
    /// If nobody serves there any more.
    pub(crate) async fn connect(self) -> io::Result<TokioIo<DuplexStream>> {
        let (here, there) = duplex(BUFFER_BYTES);
        let gone = |_| io::Error::new(io::ErrorKind::ConnectionRefused, "this part of the process has ended");
        self.0.send(there).await.map_err(gone)?;
        Ok(TokioIo::new(here))
    }
}

/// Serves HTTP/2 to the other parts of this process until the stop, then until their calls are answered; at most `streams` of
/// one connection at the same time.
pub async fn serve_in_process<S, B>(
    mut door: InProcessDoor,
    streams: u32,
    service: S,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let tasks = TaskTracker::new();
    loop {
        let stream = tokio::select! {
            stream = door.0.recv() => stream,
            () = stop.cancelled() => None,
        };
        let Some(stream) = stream else { break };
        tasks.spawn(served(stream, streams, service.clone(), stop.clone()));
    }
    // Whoever connects from now on is refused.
    drop(door);
    tasks.close();
    tasks.wait().await;
}

async fn served<S, B>(stream: DuplexStream, streams: u32, service: S, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(streams);
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn Error, "a connection of this process ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_connects_to_what_has_ended() {
        let (way, door) = in_process();
        assert!(way.clone().connect().await.is_ok());
        drop(door);
        assert_eq!(way.connect().await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
