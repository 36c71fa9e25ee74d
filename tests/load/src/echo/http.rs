//! A bare axum server: a handler that answers the bytes that it was given before, and one that passes its body on in one
//! gRPC call that does nothing.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
    serve::ListenerExt as _,
};
use parking_lot::RwLock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{EchoClient, Payload};
use crate::{error::Error, wire::channels};

/// Connections to the echo: enough that none of them is the limit.
const CONNECTIONS: usize = 4;
const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

#[derive(Clone)]
struct Held {
    bytes: Arc<RwLock<Bytes>>,
    echoes: Arc<[EchoClient]>,
}

/// Serves both handlers until `stop`.
///
/// # Errors
/// Where the echo cannot be reached, or the server fails.
pub(super) async fn serve(
    listener: TcpListener,
    upstream: &str,
    stop: CancellationToken,
) -> Result<(), Error> {
    let echoes = channels(upstream, CONNECTIONS).await?.into_iter().map(EchoClient::new).collect();
    let held = Held { bytes: Arc::default(), echoes };
    let router =
        Router::new().route("/bytes", get(answer).post(hold)).route("/hop", post(hop)).with_state(held);
    let listener = listener.tap_io(|stream| {
        // A connection that is gone already needs no option.
        let _ = stream.set_nodelay(true);
    });
    let served = axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
    served.await.map_err(Error::io("serving the bare handlers"))
}

async fn hold(State(held): State<Held>, bytes: Bytes) -> StatusCode {
    *held.bytes.write() = bytes;
    StatusCode::NO_CONTENT
}

async fn answer(State(held): State<Held>) -> impl IntoResponse {
    let bytes = held.bytes.read().clone();
    (JSON, bytes)
}

async fn hop(State(held): State<Held>, data: Bytes) -> Result<impl IntoResponse, StatusCode> {
    let turn = rand::random_range(0..held.echoes.len());
    let payload = Payload { data, answer_bytes: 0 };
    let answer = held.echoes[turn].clone().echo(payload).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok((StatusCode::CREATED, JSON, answer.data))
}
