//! The feed by cursor, as pages: what there is at once, or a wait until there is something.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderName, HeaderValue, header};
use repartee_proto::v1;
use tokio::time::{Instant, sleep_until};

use crate::{
    answers::{Answers, hold},
    client::Held,
    conditional,
    extract::from_query,
    json::{ChangesPage, ChangesQuery, Message, StorageReads},
    observe::Waited,
    pieces::Pieces,
    polls,
    problem::Problem,
    reached::{self, Brought},
    server::App,
    source::{Found, Place, Source},
    tail::{Cursor, Page, Wanted},
    upstream::Asker,
};

/// Entries on a page whose reader did not say.
pub(crate) const USUAL_LIMIT: u32 = 50;
const STORAGE_READS: HeaderName = HeaderName::from_static("x-storage-reads");

/// The changes after a cursor, edits and status changes included; waits for one where that is asked for.
///
/// An answer without messages says that there was nothing new at that moment. While the queue-service cannot be
/// reached, a call that has nothing to tell waits for it as long as it may, and at least 2 s, and is then refused with
/// 503: the cursor stays good. Nothing of this is to be cached.
#[utoipa::path(get, path = "/api/comments/changes", tag = "comments", operation_id = "listChanges",
    params(ChangesQuery),
    responses((status = 200, description = "A page of changes", body = ChangesPage, headers(
        ("X-Storage-Reads" = u64, description = "Storage reads of this call; 0 within the cache")))))]
pub(crate) async fn read(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let query: ChangesQuery = from_query(request.uri())?;
    let limit = query.limit.unwrap_or(USUAL_LIMIT);
    let (parts, _) = request.into_parts();
    let answers = Answers::of(&parts.extensions);
    let source = Source::new(App::clone(&app), Asker::of(&parts, &app)?, answers, &query.domain);
    let brought = Brought::by(parts.uri.query(), &parts.headers);
    drop(parts);
    let page = match query.cursor()? {
        None => newest(&source, limit, &brought).await,
        Some(cursor) => after(&source, cursor, limit, Duration::from_secs(query.wait.into())).await,
    };
    page.inspect_err(|_| app.polls.of_changes.refused.increment(1))
}

/// The newest page, and the cursor behind it. What its reader has written is in it: a gateway that is behind for too long
/// asks the queue-service.
async fn newest(source: &Source, limit: u32, brought: &Brought) -> Result<Response, Problem> {
    let tail = &source.app().tail;
    let wanted = Wanted { domain: source.domain().to_owned(), after: 0, limit };
    let is_behind = match &brought.position {
        Some(position) => !tail.reaches(position, reached::PATIENCE).await,
        None => false,
    };
    let older = match tail.page(&wanted).await? {
        Ok(Page { body, next_cursor, .. }) if !is_behind => {
            let room = source.answers().room(body.len())?;
            source.app().polls.of_changes.newest.increment(1);
            let mut response = page(source, body, next_cursor, false, None, 0);
            hold(&mut response, room);
            return Ok(response);
        }
        Ok(_) => None,
        Err(older) => Some(older),
    };
    let room = source.answers().room_for_page(limit)?;
    let answer = source.list(v1::ListMessagesRequest::from(&wanted)).await?;
    drop(room);
    if let Some(older) = older {
        tail.learn(&wanted, older, &answer);
    }
    tail.reach_cursor(&answer.next_cursor, reached::PATIENCE).await;
    let messages = answer.messages.into_iter().map(|message| Message::from(message).to_json().into());
    let messages = Pieces::array(messages);
    let reads = StorageReads::from(answer.kv_stats).count();
    let room = source.answers().room(messages.len())?;
    source.app().polls.of_changes.newest.increment(1);
    let mut response = page(source, messages, answer.next_cursor, false, None, reads);
    hold(&mut response, room);
    Ok(response)
}

/// What follows a cursor; where that is nothing, waits for it.
async fn after(source: &Source, cursor: Cursor, limit: u32, wait: Duration) -> Result<Response, Problem> {
    let (app, tail) = (source.app(), &source.app().tail);
    let (mut place, began) = (Place::given(cursor), Instant::now());
    let (mut waiting, outcome) = (None, &app.polls.of_changes);
    loop {
        let woken = tail.woken(source.domain());
        let over = began.elapsed() >= wait || tail.is_closed();
        let found = source.read_on(&mut place, limit, limit).await?;
        let next = place.cursor.to_string();
        let told = match found {
            Found::Reset { reason, messages, reads, .. } => {
                Some((&outcome.reset, Pieces::array(messages), false, Some(reason), reads))
            }
            Found::Changes { items, more, reads, .. } if !items.is_empty() || more => {
                let items = Pieces::array(items.iter().map(|told| told.json()));
                Some((&outcome.changes, items, more, None, reads))
            }
            // Up to date, or as good as that: a server that stops sends its clients to another one.
            Found::Changes { reads, .. } if over && (tail.is_current() || tail.is_closed()) => {
                Some((&outcome.nothing, Pieces::array([]), false, None, reads))
            }
            Found::Changes { .. } | Found::Away => None,
        };
        if let Some((outcome, messages, more, reason, reads)) = told {
            let room = source.answers().room(messages.len())?;
            outcome.increment(1);
            let mut response = page(source, messages, next, more, reason, reads);
            hold(&mut response, room);
            if waiting.is_some() {
                response.extensions_mut().insert(Waited(began.elapsed()));
            }
            return Ok(response);
        }
        if over {
            tail.wait_until_live().await?;
            continue;
        }
        if waiting.is_none() {
            let full = |full| Problem::too_many("TOO_MANY_REQUESTS", full);
            let share = app.limits.hold(Held::LongPoll, source.client())?;
            waiting = Some((app.bounds.long_polls.enter(1).map_err(full)?, share));
        }
        tokio::select! {
            () = woken => {}
            () = sleep_until(began + wait) => {}
        }
        app.limits.turn(source.client()).await;
    }
}

fn page(
    source: &Source,
    messages: Pieces,
    next: String,
    more: bool,
    reason: Option<String>,
    reads: u64,
) -> Response {
    let reset = reason.is_some();
    let page = ChangesPage { messages, next, more, reset, reason, server_time: source.server_time() };
    let body = conditional::untagged(HeaderValue::from_static("application/json"), page.into_json());
    let headers =
        [(header::CACHE_CONTROL, HeaderValue::from_static("no-store")), (STORAGE_READS, reads.into())];
    let live = (!source.app().tail.hears()).then_some([(polls::LIVE, polls::said(false))]);
    (headers, live, body).into_response()
}
