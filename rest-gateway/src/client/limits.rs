//! The share of one client: how much it may hold at once, and how often it may do what costs others something.
//!
//! Polls that are answered at once (`front.rs`) have no limit of their own: such an answer costs less than a look at a
//! limit, holds nothing, and one connection has one of them at a time over HTTP/1. What bounds them is the number of
//! connections.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{extract::Request, response::Response};
use http::{HeaderMap, Method, header::AUTHORIZATION};
use parking_lot::Mutex;
use repartee_process::{
    AcceptedTokens, ClientPermit, ClientPermits, ClientRate, Fill, Full, Rate, RateUsage, SentToken, Switch,
};
use repartee_proto::v1;

use super::{Client, ClientSettings};
use crate::{judged::Judgement, polls, problem::Problem};

/// Where single messages are edited and deleted.
const MESSAGES: &str = "/api/comments/";
/// Reasons of the queue-service to refuse a token that may be a guess. A right one of another role is none.
const WRONG_TOKEN: [&str; 3] = ["TOKEN_UNKNOWN", "TOKEN_EXPIRED", "EDIT_TOKEN_WRONG"];
const DAY: Duration = Duration::from_secs(86_400);
/// What a message takes beside its texts, roughly.
const ROWS: usize = 256;
/// Conversations that are known in each of two generations.
const KNOWN: usize = 32_768;

/// The limits of every client; none of them if they are switched off. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ClientLimits {
    limits: Option<Arc<Limits>>,
}

struct Limits {
    connections: ClientPermits,
    requests: ClientPermits,
    upstream_calls: ClientPermits,
    bodies: ClientPermits,
    long_polls: ClientPermits,
    sse_clients: ClientPermits,
    posts: ClientRate,
    conversations: ClientRate,
    bytes: ClientRate,
    edits: ClientRate,
    wrong_tokens: ClientRate,
    known: Conversations,
    /// Whoever sends one of these is no visitor.
    accepted: AcceptedTokens,
}

/// What a client holds at once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Held {
    /// A connection.
    Connection,
    /// A call that is on its way to the queue-service.
    UpstreamCall,
    /// A body that is on its way in.
    Body,
    /// A request that waits for a change.
    LongPoll,
    /// A stream of events.
    SseClient,
}

/// A request that was let in, and what it holds as long as it is answered.
pub(crate) struct Admitted {
    client: Client,
    token: Option<SentToken>,
    /// What its answer tells of the rate that it used.
    usage: Option<RateUsage>,
    _permit: Option<ClientPermit>,
}

impl ClientLimits {
    pub(crate) fn new(settings: &ClientSettings) -> Self {
        let limits = match settings.client_limits {
            Switch::On => Some(Arc::new(Limits::new(settings))),
            Switch::Off => {
                tracing::warn!("limits by client are off: one client can take all that there is");
                None
            }
        };
        Self { limits }
    }

    /// Lets a request in that brings a token, under its client's limit of wrong tokens. From then on its client is exempt
    /// if the token was accepted lately: until the queue-service has judged it, anybody may send anything.
    ///
    /// # Errors
    /// 429 that tells the limit and when to try again; the token was not looked at.
    pub(crate) fn admit_token(&self, request: &mut Request) -> Result<Admitted, Problem> {
        let client = Client::of(request.extensions());
        let mut admitted = Admitted { client, token: None, usage: None, _permit: None };
        let Some(limits) = self.limits.as_deref() else { return Ok(admitted) };
        if !request.headers().contains_key(AUTHORIZATION) {
            return Ok(admitted);
        }
        admitted.token = SentToken::of(client.key, request.headers());
        if admitted.token.is_some_and(|token| limits.accepted.has(&token, Instant::now())) {
            admitted.client.is_exempt = true;
            request.extensions_mut().insert(admitted.client);
        } else {
            // A right one that is guessed at last does not tell itself apart.
            limits.wrong_tokens.look(client.key).map_err(Problem::over_rate)?;
        }
        Ok(admitted)
    }

    /// Lets a request in under its client's limits of requests, of posts and of edits.
    ///
    /// # Errors
    /// 429 that tells the limit and when to try again; nothing was done.
    pub(crate) fn admit(&self, mut admitted: Admitted, request: &Request) -> Result<Admitted, Problem> {
        let client = admitted.client;
        let Some(limits) = self.of(client) else { return Ok(admitted) };
        admitted._permit = Some(limits.requests.acquire(client.key).map_err(Problem::over_share)?);
        let rate = match *request.method() {
            Method::POST if request.uri().path() == polls::PATH => Some(&limits.posts),
            Method::PATCH | Method::DELETE if request.uri().path().starts_with(MESSAGES) => {
                Some(&limits.edits)
            }
            _ => None,
        };
        admitted.usage = rate.map(|rate| rate.take(client.key, 1)).transpose().map_err(Problem::over_rate)?;
        Ok(admitted)
    }

    /// Looks at the answer: counts a wrong token, and tells how much is left of a rate.
    pub(crate) fn answered(&self, admitted: &Admitted, response: &mut Response) {
        let problem = response.extensions().get::<Problem>();
        let reason = problem.and_then(|problem| problem.reason.as_deref());
        if let Some(limits) = &self.limits
            && reason.is_some_and(|reason| WRONG_TOKEN.contains(&reason))
        {
            // What is used up already is refused at the next request.
            let _ = limits.wrong_tokens.take(admitted.client.key, 1);
            if let Some(token) = &admitted.token {
                limits.accepted.refuse(token);
            }
        }
        if let Some(usage) = admitted.usage.filter(|_| response.status().is_success()) {
            response.headers_mut().extend(rate_headers(usage));
        }
    }

    /// Holds one more for `client`; nothing if it has no limits.
    ///
    /// # Errors
    /// 429 if it holds as many as it may.
    pub(crate) fn hold(&self, what: Held, client: Client) -> Result<Option<ClientPermit>, Problem> {
        let Some(limits) = self.of(client) else { return Ok(None) };
        let permits = match what {
            Held::Connection => &limits.connections,
            Held::UpstreamCall => &limits.upstream_calls,
            Held::Body => &limits.bodies,
            Held::LongPoll => &limits.long_polls,
            Held::SseClient => &limits.sse_clients,
        };
        permits.acquire(client.key).map(Some).map_err(Problem::over_share)
    }

    /// The token that is sent with a call of `client`, and where to note that it was accepted; `None` if there is nothing
    /// to learn from it.
    pub(crate) fn judgement(&self, client: Client, headers: &HeaderMap) -> Option<Judgement> {
        let limits = self.limits.as_deref()?;
        Some((limits.accepted.clone(), SentToken::of(client.key, headers)?))
    }

    /// Counts what is to be stored: its bytes, and its conversation if that is a new one.
    ///
    /// # Errors
    /// 429 if the client has stored, or begun, as much as it may.
    pub(crate) fn post(&self, client: Client, message: &v1::NewMessage) -> Result<(), Problem> {
        let Some(limits) = self.of(client) else { return Ok(()) };
        let named = [&message.domain, &message.username, &message.color].map(String::len);
        limits.store(client, message.text.len() + named.iter().sum::<usize>())?;
        match &message.bot {
            Some(bot) => limits.converse(client, message, bot),
            None => Ok(()),
        }
    }

    /// Counts a text that is to be stored in place of another one.
    ///
    /// # Errors
    /// 429 if the client has stored as much as it may.
    pub(crate) fn edit(&self, client: Client, text: Option<&str>) -> Result<(), Problem> {
        self.of(client).map_or(Ok(()), |limits| limits.store(client, text.map_or(0, str::len)))
    }

    /// How full the limits at once are, each by the client that holds most.
    pub(crate) fn fills(&self) -> impl Iterator<Item = Fill> {
        self.limits.iter().flat_map(|limits| {
            let Limits { connections, requests, upstream_calls, bodies, long_polls, sse_clients, .. } =
                &**limits;
            [connections, requests, upstream_calls, bodies, long_polls, sse_clients].map(ClientPermits::fill)
        })
    }

    /// The limits that hold for `client`: those that have proved to be more than visitors have none here.
    fn of(&self, client: Client) -> Option<&Limits> {
        self.limits.as_deref().filter(|_| !client.is_exempt)
    }
}

impl Limits {
    fn new(settings: &ClientSettings) -> Self {
        let rate = |name, rate: Rate| ClientRate::new(name, rate, rate.count);
        let bytes = u32::try_from(settings.client_bytes_per_day.0).unwrap_or(u32::MAX);
        let bytes = NonZeroU32::new(bytes).unwrap_or(NonZeroU32::MIN);
        Self {
            connections: ClientPermits::new("client_connections", settings.client_connections),
            requests: ClientPermits::new("client_requests", settings.client_requests),
            upstream_calls: ClientPermits::new("client_upstream_calls", settings.client_upstream_calls),
            bodies: ClientPermits::new("client_bodies", settings.client_bodies),
            long_polls: ClientPermits::new("client_long_polls", settings.client_long_polls),
            sse_clients: ClientPermits::new("client_sse_clients", settings.client_sse_clients),
            posts: ClientRate::new("client_posts", settings.client_posts, settings.client_post_burst),
            conversations: rate("client_conversations", settings.client_conversations),
            bytes: rate("client_bytes", Rate { count: bytes, span: DAY }),
            edits: rate("client_edits", settings.client_edits),
            wrong_tokens: rate("client_wrong_tokens", settings.client_wrong_tokens),
            known: Conversations::default(),
            accepted: AcceptedTokens::default(),
        }
    }

    fn store(&self, client: Client, bytes: usize) -> Result<(), Problem> {
        let bytes = u32::try_from(bytes + ROWS).unwrap_or(u32::MAX);
        self.bytes.take(client.key, bytes).map(drop).map_err(Problem::over_rate)
    }

    fn converse(
        &self,
        client: Client,
        message: &v1::NewMessage,
        bot: &v1::BotAddress,
    ) -> Result<(), Problem> {
        let v1::BotAddress { entity, ai_username, ai_color, session_id, .. } = bot;
        let conversation = (&message.username, &message.color, entity, ai_username, ai_color, session_id);
        let conversation = self.known.hasher.hash_one(conversation);
        if self.known.has(conversation) {
            return Ok(());
        }
        self.conversations.take(client.key, 1).map_err(Problem::over_rate)?;
        self.known.learn(conversation);
        Ok(())
    }
}

/// The conversations that went through this gateway lately, by a hash: at most two generations of [`KNOWN`]. One that is
/// forgotten counts as new again, which costs its next post one of many.
#[derive(Default)]
struct Conversations {
    hasher: RandomState,
    generations: Mutex<[HashSet<u64>; 2]>,
}

impl Conversations {
    fn has(&self, conversation: u64) -> bool {
        self.generations.lock().iter().any(|generation| generation.contains(&conversation))
    }

    fn learn(&self, conversation: u64) {
        let mut generations = self.generations.lock();
        let [young, old] = &mut *generations;
        if young.len() >= KNOWN {
            *old = std::mem::take(young);
        }
        young.insert(conversation);
    }
}

/// How a client stands against a rate, as draft-ietf-httpapi-ratelimit-headers-10 has it: the policy, and what is left of
/// it. For a whole bucket, `w` is the time in which it fills.
pub(crate) fn rate_headers(usage: RateUsage) -> [(http::HeaderName, http::HeaderValue); 2] {
    let name = public(usage.name);
    let (window, reset) = (whole_seconds(usage.window).max(1), whole_seconds(usage.reset));
    let unit = if usage.name == "client_bytes" { ";qu=\"content-bytes\"" } else { "" };
    [
        ("ratelimit-policy", format!("\"{name}\";q={}{unit};w={window}", usage.burst)),
        ("ratelimit", format!("\"{name}\";r={};t={reset}", usage.remaining)),
    ]
    .map(header)
}

/// The same of what may be held at once, all of which is held.
pub(crate) fn share_headers(full: Full) -> [(http::HeaderName, http::HeaderValue); 2] {
    let name = public(full.name);
    [
        ("ratelimit-policy", format!("\"{name}\";q={};qu=\"concurrent-requests\"", full.limit)),
        ("ratelimit", format!("\"{name}\";r=0")),
    ]
    .map(header)
}

fn header((name, value): (&'static str, String)) -> (http::HeaderName, http::HeaderValue) {
    let value = http::HeaderValue::try_from(value).expect("names of limits and numbers are visible ASCII");
    (http::HeaderName::from_static(name), value)
}

/// The name that clients read: all of these limits are of clients.
fn public(name: &str) -> &str {
    name.trim_start_matches("client_")
}

fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use repartee_process::{Full, RateUsage};

    use super::{Conversations, KNOWN, rate_headers, share_headers};

    #[test]
    fn a_client_reads_the_policy_and_what_is_left_of_it() {
        let usage = RateUsage {
            name: "client_posts",
            burst: 60,
            window: Duration::from_secs(12),
            remaining: 7,
            reset: Duration::from_millis(1_200),
        };
        let told = rate_headers(usage).map(|(_, value)| value.to_str().unwrap().to_owned());
        assert_eq!(told, ["\"posts\";q=60;w=12", "\"posts\";r=7;t=2"]);
        let full = Full { name: "client_requests", held: 512, limit: 512 };
        let told = share_headers(full).map(|(_, value)| value.to_str().unwrap().to_owned());
        assert_eq!(told, ["\"requests\";q=512;qu=\"concurrent-requests\"", "\"requests\";r=0"]);
    }

    #[test]
    fn so_many_conversations_are_known_and_the_newest_among_them() {
        let known = Conversations::default();
        for conversation in 0..KNOWN as u64 * 3 + 10 {
            known.learn(conversation);
            assert!(known.has(conversation));
        }
        assert!(known.has(KNOWN as u64 * 2 + 5) && !known.has(5));
        let held: usize = known.generations.lock().iter().map(std::collections::HashSet::len).sum();
        assert!(held <= 2 * KNOWN);
    }
}
