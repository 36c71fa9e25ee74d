//! Whose word counts about traces. What a `traceparent` says chooses what is recorded, so a stranger's is taken off the
//! request at the door: nothing behind it continues that trace, and nothing is recorded for its sake.

use std::fmt;

use axum::extract::Request;
use clap::ValueEnum;
use repartee_process::telemetry::{TRACEPARENT, TRACESTATE, TraceContext};
use serde::Serialize;

/// Whose `traceparent` is continued. Of everybody else a trace of our own begins, with a link to theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceParents {
    /// That of callers whose token was accepted lately.
    Tokens,
    /// Also whatever comes through a trusted proxy: that has to set the header, or to drop it.
    Proxies,
    /// Anybody's.
    All,
}

/// In the extensions of a request: the place in a trace that a caller claims whose word does not count.
#[derive(Debug, Clone)]
pub(crate) struct ClaimedTrace(pub(crate) TraceContext);

impl TraceParents {
    /// Takes the trace off a request that it does not continue. `has_token` tells whether its token was accepted lately.
    pub(crate) fn judge(
        self,
        request: &mut Request,
        is_proxy: bool,
        has_token: impl FnOnce(&Request) -> bool,
    ) {
        if !request.headers().contains_key(TRACEPARENT) {
            return;
        }
        let is_trusted = match self {
            Self::All => true,
            Self::Proxies => is_proxy || has_token(request),
            Self::Tokens => has_token(request),
        };
        if is_trusted {
            return;
        }
        let claimed = TraceContext::of(request.headers());
        request.headers_mut().remove(TRACEPARENT);
        request.headers_mut().remove(TRACESTATE);
        claimed.map(|claimed| request.extensions_mut().insert(ClaimedTrace(claimed)));
    }
}

impl fmt::Display for TraceParents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokens => "tokens",
            Self::Proxies => "proxies",
            Self::All => "all",
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, extract::Request};

    use super::{ClaimedTrace, TraceParents};

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    /// Whether the trace of a request goes on, and whether it is noted as a claim.
    fn judged(whose: TraceParents, parent: &str, is_proxy: bool, has_token: bool) -> (bool, bool) {
        let request = Request::get("/").header("traceparent", parent).header("tracestate", "a=1");
        let mut request = request.body(Body::empty()).unwrap();
        whose.judge(&mut request, is_proxy, |_| has_token);
        let goes_on = request.headers().contains_key("traceparent");
        assert_eq!(request.headers().contains_key("tracestate"), goes_on);
        (goes_on, request.extensions().get::<ClaimedTrace>().is_some())
    }

    #[test]
    fn a_trace_goes_on_if_its_caller_is_trusted_and_is_noted_otherwise() {
        use TraceParents::{All, Proxies, Tokens};
        let (goes_on, is_claimed) = ((true, false), (false, true));
        for (whose, is_proxy, has_token, expected) in [
            (Tokens, false, false, is_claimed),
            (Tokens, true, false, is_claimed),
            (Tokens, false, true, goes_on),
            (Proxies, false, false, is_claimed),
            (Proxies, true, false, goes_on),
            (Proxies, false, true, goes_on),
            (All, false, false, goes_on),
        ] {
            assert_eq!(
                judged(whose, PARENT, is_proxy, has_token),
                expected,
                "{whose} {is_proxy} {has_token}"
            );
        }
        assert_eq!(judged(Tokens, "nonsense", false, false), (false, false));
    }
}
