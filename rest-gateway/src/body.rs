//! Reading a request body: bounded in size and in time.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use futures_util::StreamExt as _;
use http::StatusCode;

use crate::problem::Problem;

/// How much of a body that is too large is still read and dropped: a client that is refused in the middle of sending
/// would see a broken connection and not the reason.
const DRAINED: usize = 4 * 1024 * 1024;

/// Reads all of `body`.
///
/// # Errors
/// 413 above `limit` bytes, 408 where it has not arrived within `patience`, 400 where it breaks off.
pub(crate) async fn read(body: Body, limit: usize, patience: Duration) -> Result<Vec<u8>, Problem> {
    tokio::time::timeout(patience, read_all(body, limit)).await.unwrap_or_else(|_| {
        let detail = format!("the body did not arrive within {} s", patience.as_secs_f64());
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
    })
}

async fn read_all(body: Body, limit: usize) -> Result<Vec<u8>, Problem> {
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
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body broke off"))?;
        size += chunk.len();
        if size <= limit {
            bytes.extend_from_slice(&chunk);
        } else if size > limit.max(DRAINED) {
            break;
        }
    }
    if size > limit { Err(too_large()) } else { Ok(bytes) }
}
