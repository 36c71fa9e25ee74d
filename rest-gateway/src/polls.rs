//! Answers to polls of the feed: from the number of the last change, from the tail, or from the queue-service.
//!
//! The three say the same; they differ in what they cost.

use axum::{
    extract::{FromRequestParts as _, Request},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use metrics::{Counter, counter};
use repartee_proto::v1;

use crate::{
    answers::{Answers, LARGE, hold},
    conditional,
    extract::from_query,
    json::{ListQuery, Listing, Message, StorageReads},
    layers::SMALL,
    problem::Problem,
    reached::{self, Brought},
    server::App,
    tail::{Older, Page, Wanted},
    upstream::Queue,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NEXT_CURSOR: HeaderName = HeaderName::from_static("x-next-cursor");
/// Present, and `false`, while the changes of the queue-service do not come: the page may be old.
pub(crate) const LIVE: HeaderName = HeaderName::from_static("x-live");
pub(crate) const MORE: HeaderName = HeaderName::from_static("x-more");
const STORAGE_READS: HeaderName = HeaderName::from_static("x-storage-reads");

/// Where polls are asked for; what [`at_once`] looks for in front of the router.
pub(crate) const PATH: &str = "/api/comments";

/// How many polls there were, by what became of them: nothing new, or a page from the tail or from the queue-service, which
/// differ in what they cost.
pub(crate) struct Polls {
    unchanged: Counter,
    tail: Counter,
    queue: Counter,
    refused: Counter,
    /// Those that read on by cursor.
    pub(crate) of_changes: ChangesPolls,
}

/// How many polls by cursor there were, by what became of them.
pub(crate) struct ChangesPolls {
    /// The newest page, for a client without a cursor.
    pub(crate) newest: Counter,
    /// Some changes.
    pub(crate) changes: Counter,
    /// Nothing, also after a wait.
    pub(crate) nothing: Counter,
    /// The cursor is lost.
    pub(crate) reset: Counter,
    pub(crate) refused: Counter,
}

/// Counts polls with this outcome; it is there before the first one.
fn counted(name: &'static str, outcome: &'static str) -> Counter {
    let counter = counter!(name, "outcome" => outcome);
    counter.increment(0);
    counter
}

impl Default for ChangesPolls {
    fn default() -> Self {
        let outcome = |outcome| counted("repartee_changes_polls_total", outcome);
        Self {
            newest: outcome("newest"),
            changes: outcome("changes"),
            nothing: outcome("nothing"),
            reset: outcome("reset"),
            refused: outcome("refused"),
        }
    }
}

impl Default for Polls {
    fn default() -> Self {
        let outcome = |outcome| counted("repartee_polls_total", outcome);
        Self {
            of_changes: ChangesPolls::default(),
            unchanged: outcome("unchanged"),
            tail: outcome("tail"),
            queue: outcome("queue"),
            refused: outcome("refused"),
        }
    }
}

/// Answers one poll.
///
/// # Errors
/// 503 where the changes of the queue-service do not come, or what it refuses.
pub(crate) async fn answer(app: &App, request: Request, wanted: &Wanted) -> Result<Response, Problem> {
    find_page(app, request, wanted).await.inspect_err(|_| app.polls.refused.increment(1))
}

async fn find_page(app: &App, request: Request, wanted: &Wanted) -> Result<Response, Problem> {
    let brought = Brought::by(request.uri().query(), request.headers());
    if let Some(position) = &brought.position
        && !app.tail.reaches(position, reached::PATIENCE).await
    {
        // This gateway is behind, so who has written asks the queue-service.
        return from_queue(app, request, wanted, &brought, None).await;
    }
    if let Some(response) = unchanged(app, request.headers(), wanted, &brought) {
        app.polls.unchanged.increment(1);
        return Ok(response);
    }
    let page = match app.tail.page(wanted).await {
        // Somebody was told of a change that the stream does not bring: the queue-service knows it.
        Err(_) if app.tail.is_streaming() => {
            return from_queue(app, request, wanted, &brought, None).await;
        }
        page => page?,
    };
    match page {
        Ok(page) => {
            let room = Answers::of(request.extensions()).room(page.body.len())?;
            app.polls.tail.increment(1);
            let mut response = from_tail(app, request.headers(), page, &brought);
            hold(&mut response, room);
            Ok(response)
        }
        Err(older) => from_queue(app, request, wanted, &brought, Some(older)).await,
    }
}

/// The same answer, where it needs neither a wait nor a call, and would be sent as it is. `None` for every other request:
/// what is refused, asked for upstream, or compressed goes the way of all requests.
pub(crate) fn at_once(app: &App, request: &Request) -> Option<Response> {
    if request.method() != Method::GET || request.uri().path() != PATH {
        return None;
    }
    let query = request.uri().query().unwrap_or_default();
    let wanted = Wanted::plain(query).or_else(|| {
        match Listing::try_from(from_query::<ListQuery>(request.uri()).ok()?).ok()? {
            Listing::Feed(wanted) => Some(wanted),
            Listing::Back(_) => None,
        }
    })?;
    let asked = request.headers();
    let brought = Brought::by(Some(query), asked);
    if brought.position.as_ref().is_some_and(|position| !app.tail.has_reached(position)) {
        return None;
    }
    if let Some(response) = unchanged(app, asked, &wanted, &brought) {
        app.polls.unchanged.increment(1);
        return Some(response);
    }
    let page = app.tail.page_now(&wanted)?;
    let compressible = page.body.len() >= SMALL;
    // What is large needs room, which the way of all requests asks for.
    if page.body.len() > LARGE || compressible && asked.contains_key(header::ACCEPT_ENCODING) {
        return None;
    }
    app.polls.tail.increment(1);
    let mut response = from_tail(app, asked, page, &brought);
    if compressible {
        response.headers_mut().append(header::VARY, header::ACCEPT_ENCODING.into());
    }
    Some(response)
}

/// 304 where the client has what the domain showed after its last change. No feed is looked at for it.
fn unchanged(app: &App, asked: &HeaderMap, wanted: &Wanted, brought: &Brought) -> Option<Response> {
    if !asked.contains_key(header::IF_NONE_MATCH) {
        return None;
    }
    let (tag, position) = app.tail.tag(&wanted.domain)?;
    conditional::names(asked, &tag).then(|| {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        response.headers_mut().insert(header::ETAG, conditional::header(tag));
        told(app, &mut response, brought, position, false, 0);
        response
    })
}

/// A page of older messages. Nobody polls for it, so it is asked for upstream each time.
///
/// # Errors
/// What the queue-service refuses.
pub(crate) async fn back(
    app: &App,
    request: Request,
    wanted: v1::ListMessagesRequest,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let queue = Queue::from_request_parts(&mut parts, app).await?;
    let room = Answers::of(&parts.extensions).room_for_page(wanted.limit)?;
    let page = queue.client()?.list_messages(wanted).await?.into_inner();
    drop(room);
    let brought = Brought::by(parts.uri.query(), &parts.headers);
    let mut response = feed_page(app, &parts.headers, &Answers::of(&parts.extensions), page, &brought)?;
    // Where the feed goes on is not behind this page.
    response.headers_mut().remove(NEXT_CURSOR);
    Ok(response)
}

fn from_tail(app: &App, asked: &HeaderMap, page: Page, brought: &Brought) -> Response {
    let mut response = conditional::respond_as(asked, page.tag, JSON, page.body);
    told(app, &mut response, brought, page.next_cursor, page.more, 0);
    response
}

async fn from_queue(
    app: &App,
    request: Request,
    wanted: &Wanted,
    brought: &Brought,
    older: Option<Older>,
) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let queue = Queue::from_request_parts(&mut parts, app).await?;
    let room = Answers::of(&parts.extensions).room_for_page(wanted.limit)?;
    let page = queue.client()?.list_messages(v1::ListMessagesRequest::from(wanted)).await?.into_inner();
    drop(room);
    if let Some(older) = older {
        app.tail.learn(wanted, older, &page);
        // The next poll may be answered from the tail, and must not show less than this one.
        app.tail.reach_cursor(&page.next_cursor, reached::PATIENCE).await;
    }
    let answer = feed_page(app, &parts.headers, &Answers::of(&parts.extensions), page, brought)?;
    app.polls.queue.increment(1);
    Ok(answer)
}

/// A page from upstream as an answer. A reset is for one reader only: it is neither cached nor tagged.
///
/// # Errors
/// 429 if there is no room for it.
fn feed_page(
    app: &App,
    asked: &HeaderMap,
    answers: &Answers,
    page: v1::ListMessagesResponse,
    brought: &Brought,
) -> Result<Response, Problem> {
    let messages: Vec<Message> = page.messages.into_iter().map(Message::from).collect();
    let body = serde_json::to_vec(&messages).expect("a message is plain values");
    let room = answers.room(body.len())?;
    let reads = StorageReads::from(page.kv_stats).count();
    if page.reset {
        let mut response = conditional::untagged(JSON, body);
        told(app, &mut response, brought, page.next_cursor, page.more, reads);
        response.headers_mut().remove(header::CACHE_CONTROL);
        hold(&mut response, room);
        return Ok(response);
    }
    let mut response = conditional::respond(asked, JSON, body);
    told(app, &mut response, brought, page.next_cursor, page.more, reads);
    hold(&mut response, room);
    Ok(response)
}

/// Where the page ends, and what it cost.
fn told(app: &App, response: &mut Response, brought: &Brought, next_cursor: String, more: bool, reads: u64) {
    let headers = response.headers_mut();
    brought.mark(headers);
    if !app.tail.hears() {
        headers.insert(LIVE, said(false));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    // Behind a page from before the log's beginning there is no position to follow from.
    if !next_cursor.is_empty() {
        headers.insert(NEXT_CURSOR, conditional::header(next_cursor));
    }
    headers.insert(MORE, said(more));
    headers.insert(STORAGE_READS, reads.into());
}

/// Whether there is more, as a header.
pub(crate) fn said(more: bool) -> HeaderValue {
    HeaderValue::from_static(if more { "true" } else { "false" })
}
