//! From requests to commands. What breaks a limit is refused here, all fields at once, before anything is queued.

mod act;
mod post;
mod work;

use std::collections::BTreeSet;

use prost_types::Duration;
use repartee_proto::v1;
use uuid::{Uuid, fmt::Hyphenated};

use super::{caller::Caller, traces};
use crate::domain::{
    Checks, Failure, LeaseRef, Limits, Millis, OwnName, Proof, Rejection, Reply, SessionsAfter, Status,
    Token, Update,
};

pub(super) use act::{Which, block, blocks_after, reason, selector, source};
pub(super) use post::post;
pub(super) use work::{messages, work};

/// Shortest and longest lease.
const LEASE_RANGE_MS: (Millis, Millis) = (5_000, 600_000);
/// Longest wait of a claim.
const WAIT_MS: Millis = 25_000;
/// Longest wait before a retry that a worker may ask for: 24 h.
const RETRY_AFTER_MS: Millis = 86_400_000;
/// Longest error text, in bytes.
const ERROR_BYTES: usize = 1_024;
/// Why a worker holds back.
const HOLDS_BACK_BYTES: usize = 256;
/// Most entities of one worker.
const ENTITIES: usize = 100;
/// Most items of a batch that is committed together.
const BATCH: usize = 256;
/// Most bytes of texts in such a batch: its messages share a time stamp, and so stand on one page.
const BATCH_BYTES: usize = 1024 * 1024;
/// Longest id of a worker's session, in characters.
const WORKER_SESSION_CHARS: u32 = 64;
/// Most leases renewed at once.
const RENEWALS: usize = 1_000;
/// Most messages a page may be asked for.
const PAGE: u32 = 1_000;
/// Most entities, and most sessions, of a page of statistics, and how many are listed where nothing is said.
const STATS_PAGE: (u32, u32) = (500, 100);
/// Most context messages a worker may ask for.
const CONTEXT: u32 = 100;

/// An edit.
pub(super) fn update(
    limits: &Limits,
    request: v1::UpdateMessageRequest,
) -> Result<(Uuid, Update), Rejection> {
    let mut checks = Checks::new(limits);
    let id = uuid(&mut checks, "message_id", &request.message_id);
    if let Some(text) = &request.text {
        checks.text("text", text);
    }
    if let Some(priority) = request.priority {
        checks.range("priority", i64::from(priority), 0, 99);
    }
    let status = request.status.and_then(|_| match request.status() {
        v1::Status::Pending => Some(Status::Pending),
        v1::Status::Processing => Some(Status::Processing),
        v1::Status::Complete => Some(Status::Complete),
        v1::Status::Failed => Some(Status::Failed),
        v1::Status::Unspecified => {
            checks.refuse("status", "must be PENDING, PROCESSING, COMPLETE or FAILED");
            None
        }
    });
    let update =
        Update { text: request.text, eq_score: request.eq_score, priority: request.priority, status };
    if request.status.is_none() && update == Update::default() {
        checks.refuse("text", "or eq_score, priority or status must be given; there is nothing to change");
    }
    checks.done()?;
    Ok((id.unwrap_or_default(), update))
}

/// One id.
pub(super) fn id(limits: &Limits, field: &str, id: &str) -> Result<Uuid, Rejection> {
    let mut checks = Checks::new(limits);
    let id = uuid(&mut checks, field, id);
    checks.done()?;
    Ok(id.unwrap_or_default())
}

/// An entity, and why an operator acts on it.
pub(super) fn entity(
    limits: &Limits,
    mut entity: String,
    why: String,
) -> Result<(String, String), Rejection> {
    let mut checks = Checks::new(limits);
    checks.name("entity", &mut entity);
    checks.done()?;
    Ok((entity, reason(limits, why)?))
}

/// A claim that was made before.
pub(super) fn lease(
    limits: &Limits,
    caller: &Caller,
    lease: Option<v1::LeaseRef>,
) -> Result<LeaseRef, Rejection> {
    let Some(mut lease) = lease else {
        return Err(Rejection::field("lease", "is missing"));
    };
    let mut checks = Checks::new(limits);
    let id = uuid(&mut checks, "lease.message_id", &lease.message_id);
    let proof = if lease.lease_token.is_empty() {
        if lease.worker_id.is_empty() {
            checks
                .refuse("lease.lease_token", "is missing, and so is worker_id; one of them names the claim");
        } else {
            checks.name("lease.worker_id", &mut lease.worker_id);
        }
        Some(Proof::Worker(caller.own_name(lease.worker_id)))
    } else {
        let token = Token::from_hex(&lease.lease_token);
        if token.is_none() {
            checks.refuse(
                "lease.lease_token",
                format!("must be 32 hex digits, is {} bytes", lease.lease_token.len()),
            );
        }
        token.map(Proof::Lease)
    };
    checks.done()?;
    Ok(LeaseRef { id: id.expect("it was checked"), proof: proof.expect("it was checked") })
}

/// A claim that is given back, and why its worker takes nothing for now, if it says so.
pub(super) fn release(
    limits: &Limits,
    caller: &Caller,
    request: v1::ReleaseMessageRequest,
) -> Result<(LeaseRef, Option<String>), Rejection> {
    let lease = lease(limits, caller, request.lease)?;
    let mut checks = Checks::new(limits);
    holds_back(&mut checks, request.holds_back.as_deref());
    checks.done()?;
    Ok((lease, request.holds_back))
}

fn holds_back(checks: &mut Checks<'_>, why: Option<&str>) {
    let bytes = why.map(str::len).unwrap_or(1);
    if !(1..=HOLDS_BACK_BYTES).contains(&bytes) {
        checks.refuse("holds_back", format!("must be 1 to {HOLDS_BACK_BYTES} bytes, is {bytes}"));
    }
}

/// What a draft has become: as long as a reply may be.
pub(super) fn draft(limits: &Limits, field: &str, text: &str) -> Result<(), Rejection> {
    let mut checks = Checks::new(limits);
    checks.draft(field, text);
    checks.done()
}

/// A completion.
pub(super) fn completion(
    limits: &Limits,
    caller: &Caller,
    request: v1::CompleteMessageRequest,
) -> Result<(LeaseRef, Option<Reply>), Rejection> {
    let lease = lease(limits, caller, request.lease)?;
    let reply = request.reply.map(|reply| Reply {
        text: reply.text,
        eq_score: reply.eq_score,
        origin: traces::origin_of_reply(),
    });
    let mut checks = Checks::new(limits);
    if let Some(reply) = &reply {
        checks.text("reply.text", &reply.text);
    }
    checks.done()?;
    Ok((lease, reply))
}

/// A failure.
pub(super) fn failure(
    limits: &Limits,
    caller: &Caller,
    request: v1::FailMessageRequest,
) -> Result<(LeaseRef, Failure), Rejection> {
    let lease = lease(limits, caller, request.lease)?;
    let mut checks = Checks::new(limits);
    if request.error.is_empty() || request.error.len() > ERROR_BYTES {
        checks.refuse("error", format!("must be 1 to {ERROR_BYTES} bytes, is {}", request.error.len()));
    }
    let retry_after_ms =
        request.retry_after.map(|wait| millis(&mut checks, "retry_after", wait, (0, RETRY_AFTER_MS)));
    checks.done()?;
    Ok((lease, Failure { error: request.error, retryable: request.retryable, retry_after_ms }))
}

/// Who takes work.
pub(super) struct Worker {
    pub(super) worker_id: String,
    pub(super) entities: Vec<String>,
    /// Length of the leases that it asked for.
    pub(super) lease_ms: Option<Millis>,
    pub(super) context: usize,
}

pub(super) fn worker(
    limits: &Limits,
    mut worker_id: String,
    mut entities: Vec<String>,
    lease: Option<Duration>,
    context_limit: u32,
) -> Result<Worker, Rejection> {
    let mut checks = Checks::new(limits);
    checks.name("worker_id", &mut worker_id);
    if entities.len() > ENTITIES {
        checks.refuse("entities", format!("must be at most {ENTITIES}, are {}", entities.len()));
    }
    for (index, entity) in entities.iter_mut().enumerate() {
        checks.name(&format!("entities[{index}]"), entity);
    }
    let lease_ms = lease_ms(&mut checks, lease);
    // In one order: the same stream opened again is known by them.
    let entities = Vec::from_iter(BTreeSet::from_iter(entities));
    checks.range("context_limit", i64::from(context_limit), 0, i64::from(CONTEXT));
    checks.done()?;
    Ok(Worker { worker_id, entities, lease_ms, context: context_limit as usize })
}

/// The length that renewed leases get.
pub(super) fn renewal(
    limits: &Limits,
    count: usize,
    lease: Option<Duration>,
) -> Result<Option<Millis>, Rejection> {
    let mut checks = Checks::new(limits);
    checks.range("leases", count as i64, 1, RENEWALS as i64);
    let lease_ms = lease_ms(&mut checks, lease);
    checks.done()?;
    Ok(lease_ms)
}

/// How long a claim may wait.
pub(super) fn wait(limits: &Limits, wait: Option<Duration>) -> Result<Millis, Rejection> {
    let mut checks = Checks::new(limits);
    let wait = wait.map_or(0, |wait| millis(&mut checks, "wait", wait, (0, WAIT_MS)));
    checks.done()?;
    Ok(wait)
}

/// The session and the room of a stream.
pub(super) fn stream(limits: &Limits, request: &mut v1::StreamPendingRequest) -> Result<usize, Rejection> {
    let mut checks = Checks::new(limits);
    checks.named("session_id", &mut request.session_id, 1, WORKER_SESSION_CHARS);
    checks.range("max_in_flight", i64::from(request.max_in_flight), 0, 1_000);
    holds_back(&mut checks, request.holds_back.as_deref());
    if v1::StreamMode::try_from(request.mode).is_err() {
        checks.refuse("mode", format!("must be LEASE or OFFER, is {}", request.mode));
    }
    checks.done()?;
    Ok(request.max_in_flight.max(1) as usize)
}

/// How many items a batch has, and how many bytes their texts have together.
pub(super) fn batch(limits: &Limits, texts: impl ExactSizeIterator<Item = usize>) -> Result<(), Rejection> {
    let mut checks = Checks::new(limits);
    checks.range("items", texts.len() as i64, 1, BATCH as i64);
    let bytes: usize = texts.sum();
    if bytes > BATCH_BYTES {
        checks.refuse("items", format!("must have at most {BATCH_BYTES} bytes of text in all, have {bytes}"));
    }
    checks.done()
}

/// A page: the domain, where one is given, and how many items.
pub(super) fn page(
    limits: &Limits,
    mut domain: String,
    limit: u32,
    usual: u32,
) -> Result<(Option<String>, usize), Rejection> {
    let mut checks = Checks::new(limits);
    if !domain.is_empty() {
        checks.domain("domain", &mut domain);
    }
    checks.range("limit", i64::from(limit), 0, i64::from(PAGE));
    checks.done()?;
    let limit = if limit == 0 { usual } else { limit };
    Ok(((!domain.is_empty()).then_some(domain), limit as usize))
}

/// The entity of a list of what waits, where one is given, and how many items.
pub(super) fn pending(
    limits: &Limits,
    mut entity: String,
    limit: u32,
    usual: u32,
) -> Result<(Option<String>, usize), Rejection> {
    let mut checks = Checks::new(limits);
    if !entity.is_empty() {
        checks.name("entity", &mut entity);
    }
    checks.done()?;
    let (_, limit) = page(limits, String::new(), limit, usual)?;
    Ok(((!entity.is_empty()).then_some(entity), limit))
}

/// Which part of the lists is asked for with the statistics.
#[derive(Debug)]
pub(super) struct StatsPage {
    /// Most rows of each list.
    pub(super) most: usize,
    /// Only entities behind this name.
    pub(super) entities_after: String,
    /// Only sessions behind this position.
    pub(super) sessions_after: SessionsAfter,
}

fn own_name(token_id: &str, name: &str) -> OwnName {
    OwnName { token_id: (!token_id.is_empty()).then(|| token_id.into()), name: name.to_owned() }
}

/// A page of statistics.
pub(super) fn stats(request: &v1::GetStatsRequest) -> Result<StatsPage, Rejection> {
    let (most, usual) = STATS_PAGE;
    let page_size = request.page_size.unwrap_or(usual);
    if page_size > most {
        return Err(Rejection::field("page_size", format!("must be 0 to {most}, is {page_size}")));
    }
    let mut position = request.sessions_after.splitn(3, ':');
    let sessions_after = match (position.next(), position.next(), position.next()) {
        (Some(""), None, None) => SessionsAfter::Start,
        (Some("s"), Some(token_id), Some(id)) => SessionsAfter::Session(own_name(token_id, id)),
        (Some("w"), Some(token_id), Some(name)) => SessionsAfter::Worker(own_name(token_id, name)),
        _ => {
            let shown: String = request.sessions_after.chars().take(80).collect();
            let wanted = "must be next_sessions_after of an earlier answer";
            return Err(Rejection::field("sessions_after", format!("{wanted}, is {shown:?}")));
        }
    };
    let entities_after = request.entities_after.clone();
    Ok(StatsPage { most: page_size as usize, entities_after, sessions_after })
}

/// A conversation's parts.
pub(super) fn conversation(
    limits: &Limits,
    request: &mut v1::GetConversationRequest,
) -> Result<(), Rejection> {
    let mut checks = Checks::new(limits);
    checks.name("human_username", &mut request.human_username);
    checks.color("human_color", &request.human_color);
    checks.name("ai_username", &mut request.ai_username);
    checks.color("ai_color", &request.ai_color);
    if let Some(session_id) = &mut request.session_id {
        checks.name("session_id", session_id);
    }
    checks.done()
}

fn uuid(checks: &mut Checks<'_>, field: &str, text: &str) -> Option<Uuid> {
    // One spelling: the parser would take braces, a URN, and digits without hyphens too.
    let id = Uuid::try_parse(text).ok().filter(|_| text.len() == Hyphenated::LENGTH);
    if id.is_none() {
        let shown: String = text.chars().take(40).collect();
        checks.refuse(field, format!("must be the id of a message (a UUID), is {shown:?}"));
    }
    id
}

fn lease_ms(checks: &mut Checks<'_>, lease: Option<Duration>) -> Option<Millis> {
    lease.map(|lease| millis(checks, "lease", lease, LEASE_RANGE_MS))
}

fn millis(checks: &mut Checks<'_>, field: &str, span: Duration, range: (Millis, Millis)) -> Millis {
    let millis = span.seconds.saturating_mul(1_000).saturating_add(i64::from(span.nanos) / 1_000_000);
    if !(range.0..=range.1).contains(&millis) {
        let seconds = |millis: Millis| millis as f64 / 1_000.0;
        checks.refuse(
            field,
            format!("must be {} s to {} s, is {} s", seconds(range.0), seconds(range.1), seconds(millis)),
        );
    }
    millis
}
