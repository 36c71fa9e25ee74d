//! Reading a request body: bounded in size and in time.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, HttpBody as _};
use futures_util::{FutureExt as _, StreamExt as _};
use http::StatusCode;
use repartee_process::{ByteLimit, ConnectionState, UnfinishedBody};

use crate::problem::Problem;

/// How much of a body that is too large is still read and dropped: a client that is refused in the middle of sending
/// would see a broken connection and not the reason.
const DRAINED: usize = 4 * 1024 * 1024;

/// What bodies on their way in may hold.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Bytes of all bodies.
    pub(crate) bytes: ByteLimit,
    /// Bodies on one connection that have not arrived as a whole.
    pub(crate) per_connection: u32,
}

/// Reads all of `body`, which came by `connection`. Only what has arrived is held.
///
/// # Errors
/// 413 above `limit` bytes, 408 where it has not arrived within `patience`, 400 where it breaks off; 429 if there is no
/// room for it.
pub(crate) async fn read(
    body: Body,
    limit: usize,
    patience: Duration,
    incoming: &Incoming,
    connection: Option<Arc<ConnectionState>>,
) -> Result<Vec<u8>, Problem> {
    let reading = read_all(body, limit, incoming, connection);
    tokio::time::timeout(patience, reading).await.unwrap_or_else(|_| {
        let detail = format!("the body did not arrive within {} s", patience.as_secs_f64());
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
    })
}

async fn read_all(
    body: Body,
    limit: usize,
    incoming: &Incoming,
    connection: Option<Arc<ConnectionState>>,
) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        let detail = format!("the body has more than {limit} bytes; send less");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    // A length that is announced is believed: nobody waits for a body that will be refused anyway.
    if body.size_hint().lower() > limit.max(DRAINED) as u64 {
        return Err(too_large());
    }
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut size = 0_usize;
    let (mut held, mut unfinished) = (incoming.bytes.count(0), None);
    loop {
        // Most bodies are there with their heads. Those that are not are counted.
        let next = match chunks.next().now_or_never() {
            Some(next) => next,
            None => {
                if let (None, Some(connection)) = (&unfinished, &connection) {
                    unfinished = Some(begin(connection, incoming.per_connection)?);
                }
                chunks.next().await
            }
        };
        let Some(chunk) = next else { break };
        let chunk = chunk.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body broke off"))?;
        size += chunk.len();
        if size <= limit {
            held.grow(chunk.len() as u64).map_err(|full| Problem::too_many("TOO_MANY_REQUESTS", full))?;
            bytes.extend_from_slice(&chunk);
        } else if size > limit.max(DRAINED) {
            break;
        }
    }
    if size > limit { Err(too_large()) } else { Ok(bytes) }
}

fn begin(connection: &Arc<ConnectionState>, most: u32) -> Result<UnfinishedBody, Problem> {
    connection.begin_body(most).ok_or_else(|| {
        let detail = format!(
            "{most} bodies of this connection are on their way already; nothing was done, finish one and try again"
        );
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail);
        Problem { reason: Some("TOO_MANY_REQUESTS".to_owned()), ..problem }
    })
}
