//! The metrics at an address of their own: whoever reaches it may read them, so it is bounded as every other listener is.

use std::{convert::Infallible, error::Error, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tower::Service;

use crate::{AnswerLimits, ByteLimit, Door, Patience, Shutdown, serve};

/// Most connections: a few scrapers ask, some times a minute.
const CONNECTIONS: u32 = 64;
/// Most requests of one connection over HTTP/2 at once.
const REQUESTS: u32 = 8;
/// Scrapers come back within a minute, on the same connection.
const PATIENCE: Patience =
    Patience { idle: Duration::from_secs(120), head: Duration::from_secs(20), least_rate: 256 };

/// Serves `service` to whoever comes, until it is dropped.
pub async fn serve_metrics<S, B>(listener: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let answers = AnswerLimits {
        total: ByteLimit::new("metrics_answer_bytes", u64::MAX),
        per_connection: u64::MAX,
        per_connection_name: "metrics_answer_bytes_of_connection",
    };
    if let Ok(addr) = listener.local_addr()
        && !addr.ip().to_canonical().is_loopback()
    {
        tracing::warn!(
            %addr,
            "everybody who reaches --metrics-addr reads all that is counted, without a token and without TLS: keep its network \
             private, or set it to a loopback address"
        );
    }
    let door = Door::new(listener, "metrics_connections", CONNECTIONS, PATIENCE, answers);
    let places = door.places().clone();
    let of_connection = move |_: &crate::Connection| {
        places.fill().show();
        Some(service.clone())
    };
    serve(door, REQUESTS, of_connection, Shutdown::default()).await;
}
