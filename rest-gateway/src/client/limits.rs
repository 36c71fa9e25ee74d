//! The share of one client: how much it may hold at once, and how often it may do what costs others something.
//!
//! Polls that are answered at once (`front.rs`) are refused by no limit: such an answer holds nothing. What bounds them is the
//! pace: who asks for more in a second than anybody needs is read more slowly, whatever the requests are and become.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{body::HttpBody as _, extract::Request, response::Response};
use http::{HeaderMap, Method};
use metrics::{Counter, counter};
use parking_lot::Mutex;
use repartee_process::{
    AcceptedTokens, ClientPermit, ClientPermits, ClientRate, ConnectionState, Fill, Rate, RateUsage,
    SentToken, Size, Switch, Turns,
};
use repartee_proto::v1;
use tokio::time::sleep;

use super::{
    Client, ClientSettings,
    headers::{ANSWER_BYTES, rate_headers},
};
use crate::{answers::LARGE, judged::Judgement, polls, problem::Problem};

/// Where single messages are edited and deleted.
const MESSAGES: &str = "/api/comments/";
/// Reasons of the queue-service to refuse a token that may be a guess. A right one of another role is none.
const WRONG_TOKEN: [&str; 3] = ["TOKEN_UNKNOWN", "TOKEN_EXPIRED", "EDIT_TOKEN_WRONG"];
/// How much later one wrong token too many is answered.
const GUESS_DELAY: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// Polls and streams of one client that were woken at the same moment and go on at the same time.
const TURNS: usize = 4;
/// What a message takes beside its texts, roughly.
const ROWS: usize = 256;
/// Conversations that are known in each of two generations.
const KNOWN: usize = 32_768;

/// The limits of every client; none of them if they are switched off. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ClientLimits {
    limits: Option<Arc<Limits>>,
    /// Whoever sends one of these is no visitor.
    accepted: AcceptedTokens,
}

struct Limits {
    connections: ClientPermits,
    requests: ClientPermits,
    upstream_calls: ClientPermits,
    bodies: ClientPermits,
    long_polls: ClientPermits,
    sse_clients: ClientPermits,
    answer_bytes: ClientPermits,
    answers: ClientRate,
    posts: ClientRate,
    conversations: ClientRate,
    bytes: ClientRate,
    edits: ClientRate,
    wrong_tokens: ClientRate,
    pace: ClientRate,
    /// The time that one request has if all of `pace` is used.
    per_request: Duration,
    known: Conversations,
    turns: Turns,
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

impl Admitted {
    /// Whose request it is.
    pub(crate) fn client(&self) -> Client {
        self.client
    }
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
        Self { limits, accepted: AcceptedTokens::default() }
    }

    /// True if the token in these headers was accepted lately, when `client` sent it.
    pub(crate) fn has_accepted_token(&self, client: Client, headers: &HeaderMap) -> bool {
        SentToken::of(client.key, headers).is_some_and(|sent| self.accepted.has(&sent, Instant::now()))
    }

    /// Counts a request, or a new connection, of `client`. Over its pace the connection is read again only once each of its
    /// connections could have sent one request within that pace: all of them together stay within it, and none is shut out.
    pub(crate) fn pace(&self, connection: &ConnectionState, client: Client) {
        if let Some(limits) = self.of(client)
            && !connection.is_trusted()
            && limits.pace.take(client.key, 1).is_err()
        {
            let connections = limits.connections.held(client.key).max(1);
            connection.slow_down(limits.per_request.saturating_mul(connections));
        }
    }

    /// Looks at the token of a request. From then on its client is exempt if the token was accepted lately: until the
    /// queue-service has judged it, anybody may send anything.
    pub(crate) fn look_at_token(&self, request: &mut Request) -> Admitted {
        let client = Client::of(request.extensions());
        let mut admitted = Admitted { client, token: None, usage: None, _permit: None };
        admitted.token = SentToken::of(client.key, request.headers());
        if self.limits.is_none() {
            return admitted;
        }
        admitted.client.is_exempt =
            admitted.token.is_some_and(|token| self.accepted.has(&token, Instant::now()));
        if let Some(connection) = request.extensions().get::<Arc<ConnectionState>>() {
            connection.trust(admitted.client.is_exempt);
        }
        if admitted.client.is_exempt {
            request.extensions_mut().insert(admitted.client);
        }
        admitted
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

    /// Looks at the answer: counts a wrong token and a large body, and tells how much is left of a rate.
    ///
    /// Every token is judged, and only a wrong one is refused for those before it: many share an address, and whoever
    /// guesses among them must not shut them out. What guessing costs the queue-service is bounded by time instead: one wrong
    /// token too many is answered a second later.
    ///
    /// # Errors
    /// 429 in place of the refusal of a token if its client has sent too many wrong ones, and in place of a large answer if
    /// its client was sent too much of that lately.
    pub(crate) async fn answered(&self, admitted: &Admitted, response: &mut Response) -> Result<(), Problem> {
        let problem = response.extensions().get::<Problem>();
        let reason = problem.and_then(|problem| problem.reason.as_deref());
        if reason.is_some_and(|reason| WRONG_TOKEN.contains(&reason)) {
            if let Some(token) = &admitted.token {
                self.accepted.refuse(token);
            }
            if let Some(limits) = &self.limits
                && let Err(usage) = limits.wrong_tokens.take(admitted.client.key, 1)
            {
                sleep(GUESS_DELAY).await;
                return Err(Problem::over_rate(usage));
            }
        }
        if let Some(limits) = self.of(admitted.client)
            && let Some(bytes) = response.body().size_hint().exact().filter(|bytes| *bytes > LARGE as u64)
        {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            limits.answers.take(admitted.client.key, bytes).map_err(Problem::over_rate)?;
        }
        if let Some(usage) = admitted.usage.filter(|_| response.status().is_success()) {
            response.headers_mut().extend(rate_headers(usage));
        }
        Ok(())
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

    /// Waits until what was woken for `client` may go on; others' requests come between. At once if it has no limits.
    pub(crate) async fn turn(&self, client: Client) {
        if let Some(limits) = self.of(client) {
            limits.turns.pass(client.key).await;
        }
    }

    /// Holds the bytes of an answer for `client`; nothing if it has no limits.
    ///
    /// # Errors
    /// 429 if as many as it may have are on their way to it.
    pub(crate) fn hold_answer(&self, client: Client, bytes: usize) -> Result<Option<ClientPermit>, Problem> {
        let Some(limits) = self.of(client) else { return Ok(None) };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        limits.answer_bytes.acquire_many(client.key, bytes).map(Some).map_err(Problem::over_share)
    }

    /// The token that is sent with a call of `client`, and where to note that it was accepted; `None` if there is nothing
    /// to learn from it.
    pub(crate) fn judgement(&self, client: Client, headers: &HeaderMap) -> Option<Judgement> {
        Some((self.accepted.clone(), SentToken::of(client.key, headers)?))
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
            let Limits { connections, requests, upstream_calls, bodies, long_polls, .. } = &**limits;
            let Limits { sse_clients, answer_bytes, .. } = &**limits;
            [connections, requests, upstream_calls, bodies, long_polls, sse_clients, answer_bytes]
                .map(ClientPermits::fill)
        })
    }

    /// The limits that hold for `client`: those that have proved to be more than visitors have none here.
    fn of(&self, client: Client) -> Option<&Limits> {
        self.limits.as_deref().filter(|_| !client.is_exempt)
    }
}

/// Counts how often somebody was faster than the pace.
fn slowdowns() -> Counter {
    repartee_process::start_metrics();
    counter!("repartee_client_slowdowns_total")
}

impl Limits {
    fn new(settings: &ClientSettings) -> Self {
        let rate = |name, rate: Rate| ClientRate::new(name, rate, rate.count);
        let bytes_in = |span, bytes: Size| {
            let bytes = u32::try_from(bytes.0).unwrap_or(u32::MAX);
            Rate { count: NonZeroU32::new(bytes).unwrap_or(NonZeroU32::MIN), span }
        };
        Self {
            connections: ClientPermits::new("client_connections", settings.client_connections),
            requests: ClientPermits::new("client_requests", settings.client_requests),
            upstream_calls: ClientPermits::new("client_upstream_calls", settings.client_upstream_calls),
            bodies: ClientPermits::new("client_bodies", settings.client_bodies),
            long_polls: ClientPermits::new("client_long_polls", settings.client_long_polls),
            sse_clients: ClientPermits::new("client_sse_clients", settings.client_sse_clients),
            answer_bytes: ClientPermits::new(
                ANSWER_BYTES,
                u32::try_from(settings.client_answer_bytes.0).unwrap_or(u32::MAX),
            ),
            answers: rate("client_answers", bytes_in(MINUTE, settings.client_answer_bytes_per_minute)),
            posts: ClientRate::new("client_posts", settings.client_posts, settings.client_post_burst),
            conversations: rate("client_conversations", settings.client_conversations),
            bytes: rate("client_bytes", bytes_in(DAY, settings.client_bytes_per_day)),
            edits: rate("client_edits", settings.client_edits),
            wrong_tokens: rate("client_wrong_tokens", settings.client_wrong_tokens),
            pace: ClientRate::that_refuses_nothing("client_pace", settings.client_pace, slowdowns()),
            per_request: settings.client_pace.span / settings.client_pace.count.get(),
            known: Conversations::default(),
            turns: Turns::new(TURNS),
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

#[cfg(test)]
mod tests {
    use super::{Conversations, KNOWN};

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
