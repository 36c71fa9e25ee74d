//! Slows down whoever guesses tokens: after so many wrong ones of a peer none of its tokens is looked at, until it has
//! waited.
//!
//! Tokens that were accepted lately from the same peer go on, so that a guesser beside a gateway does not shut it out. A
//! wrong token that a gateway passes on is counted by the gateway, which knows whose it is.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use repartee_process::{AcceptedTokens, ClientKey, ClientRate, Rate, RateUsage, SentToken, bearer};
use tonic::{Status, transport::server::TcpConnectInfo};
use tonic_types::StatusExt as _;

use super::{Rights, status};

/// What peers have guessed.
#[derive(Debug)]
pub(crate) struct Guesses {
    wrong: ClientRate,
    accepted: AcceptedTokens,
}

impl Guesses {
    /// Nobody has guessed.
    pub(crate) fn new(rate: Rate) -> Self {
        let wrong = ClientRate::new("peer_wrong_tokens", rate, rate.count);
        Self { wrong, accepted: AcceptedTokens::default() }
    }
}

/// Lets a request in unless its peer has sent too many wrong tokens and sends another one.
pub(crate) async fn slow_guesses(
    State(rights): State<Arc<Rights>>,
    request: Request,
    next: Next,
) -> Response {
    let sent = request.headers().get(AUTHORIZATION).cloned();
    let (Some(guesses), Some(sent), Some(peer)) = (&rights.guesses, sent, peer(&request)) else {
        return next.run(request).await;
    };
    let token = SentToken::of(peer, request.headers());
    if !token.is_some_and(|token| guesses.accepted.has(&token, Instant::now()))
        && let Err(usage) = guesses.wrong.look(peer)
    {
        return refused(usage, request.headers());
    }
    let response = next.run(request).await;
    let own = sent.to_str().ok().and_then(bearer).unwrap_or_default();
    if response.status() == StatusCode::OK && !response.headers().contains_key(Status::GRPC_STATUS) {
        // The call got as far as its handler. What is no token of a role may be none that is judged.
        token.inspect(|token| guesses.accepted.accept(*token, Instant::now()));
    } else if is_refusal(&response) && rights.tokens.authenticate(own, SystemTime::now()).is_err() {
        // What is used up already is refused at the next request.
        let _ = guesses.wrong.take(peer, 1);
        token.inspect(|token| guesses.accepted.refuse(token));
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

fn refused(usage: RateUsage, headers: &HeaderMap) -> Response {
    let refusal = status::too_many_wrong_tokens(usage);
    if headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return refusal.into_http();
    }
    let wait = [(RETRY_AFTER, (usage.reset.as_secs() + 1).to_string())];
    (StatusCode::TOO_MANY_REQUESTS, wait, format!("{}\n", refusal.message())).into_response()
}
