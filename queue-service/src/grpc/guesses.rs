//! Slows down whoever guesses tokens: after so many wrong ones of a peer, each further one is refused as one too many,
//! until the peer has waited.
//!
//! Every token is looked at, and only a wrong one is ever refused for others: many come from one address, and a guesser
//! among them must not shut them out. It tells a guesser nothing: a guess that is let through was right. What a guess costs
//! is one hash; one too many is answered a second later, so that a connection makes few of them. A wrong token that a gateway passes on is counted by the gateway, which knows
//! whose it is.

use std::time::{Duration, SystemTime};

use axum::{
    extract::Request,
    http::{
        HeaderValue, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse as _, Response},
};
use repartee_process::{ClientKey, ClientRate, Rate, RateUsage, bearer};
use tokio::time::sleep;
use tonic::{Status, transport::server::TcpConnectInfo};
use tonic_types::StatusExt as _;

use super::{Rights, status};

/// How much later one wrong token too many is answered.
const DELAY: Duration = Duration::from_secs(1);

/// What peers have guessed.
#[derive(Debug)]
pub(crate) struct Guesses(ClientRate);

impl Guesses {
    /// Nobody has guessed.
    pub(crate) fn new(rate: Rate) -> Self {
        Self(ClientRate::new("peer_wrong_tokens", rate, rate.count))
    }
}

/// Answers a request; one whose token was wrong is told to wait if its peer has sent too many of those.
pub(super) async fn slow_guesses<A>(
    rights: &Rights,
    request: Request,
    next: impl FnOnce(Request) -> A,
) -> Response
where
    A: Future<Output = Response>,
{
    let sent = request.headers().get(AUTHORIZATION).cloned();
    let (Some(guesses), Some(sent), Some(peer)) = (&rights.guesses, sent, peer(&request)) else {
        return next(request).await;
    };
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let response = next(request).await;
    let own = sent.to_str().ok().and_then(bearer).unwrap_or_default();
    // What is no token of a role, but was refused, is an author's.
    if is_refusal(&response)
        && rights.tokens.authenticate(own, SystemTime::now()).is_err()
        && let Err(usage) = guesses.0.take(peer, 1)
    {
        sleep(DELAY).await;
        return refused(usage, kind.as_ref());
    }
    response
}

fn peer(request: &Request) -> Option<ClientKey> {
    let info = request.extensions().get::<TcpConnectInfo>()?;
    info.remote_addr().map(|addr| addr.ip().into())
}

/// True if it was the token that was refused, over gRPC or over HTTP.
fn is_refusal(response: &Response) -> bool {
    let reason =
        Status::from_header_map(response.headers()).and_then(|status| status.get_details_error_info());
    response.status() == StatusCode::FORBIDDEN
        || reason.is_some_and(|info| status::WRONG_TOKEN.contains(&info.reason.as_str()))
}

fn refused(usage: RateUsage, kind: Option<&HeaderValue>) -> Response {
    let refusal = status::too_many_wrong_tokens(usage);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return refusal.into_http();
    }
    let wait = [(RETRY_AFTER, (usage.reset.as_secs() + 1).to_string())];
    (StatusCode::TOO_MANY_REQUESTS, wait, format!("{}\n", refusal.message())).into_response()
}
