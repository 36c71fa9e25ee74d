//! The feed by cursor, as pages: what there is at once, or a wait until there is something.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use repartee_proto::v1;
use tokio::time::{Instant, sleep_until};

use crate::{
    conditional,
    extract::from_query,
    json::{ChangesPage, ChangesQuery, Message, StorageReads},
    observe::Waited,
    problem::Problem,
    server::App,
    source::{Found, Place, Source, server_time},
    tail::{Cursor, Page, Wanted, array},
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
#[utoipa::path(get, path = "/api/comments/changes", tag = "comments",
    params(ChangesQuery),
    responses((status = 200, description = "A page of changes", body = ChangesPage, headers(
        ("X-Storage-Reads" = u64, description = "Storage reads of this call; 0 within the cache")))))]
pub(crate) async fn read(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let query: ChangesQuery = from_query(request.uri())?;
    let limit = query.limit.unwrap_or(USUAL_LIMIT);
    let (parts, _) = request.into_parts();
    let source = Source::new(app, Asker::of(&parts)?, &query.domain);
    drop(parts);
    match query.cursor()? {
        None => newest(&source, limit).await,
        Some(cursor) => after(&source, cursor, limit, Duration::from_secs(query.wait.into())).await,
    }
}

/// The newest page, and the cursor behind it.
async fn newest(source: &Source, limit: u32) -> Result<Response, Problem> {
    let tail = &source.app().tail;
    let wanted = Wanted { domain: source.domain().to_owned(), after: 0, limit };
    let older = match tail.page(&wanted).await? {
        Ok(Page { body, next_cursor, .. }) => return Ok(page(body, next_cursor, false, None, 0)),
        Err(older) => older,
    };
    let answer = source.list(v1::ListMessagesRequest::from(&wanted)).await?;
    tail.learn(&wanted, older, &answer);
    tail.reach_cursor(&answer.next_cursor, source.app().request_timeout).await;
    let messages: Vec<Message> = answer.messages.into_iter().map(Message::from).collect();
    let messages = serde_json::to_vec(&messages).expect("a message is plain values");
    let reads = StorageReads::from(answer.kv_stats).count();
    Ok(page(messages.into(), answer.next_cursor, false, None, reads))
}

/// What follows a cursor; where that is nothing, waits for it.
async fn after(source: &Source, cursor: Cursor, limit: u32, wait: Duration) -> Result<Response, Problem> {
    let (app, tail) = (source.app(), &source.app().tail);
    let (mut place, began) = (Place::given(cursor), Instant::now());
    let mut waiting = None;
    loop {
        let woken = tail.woken(source.domain());
        let over = began.elapsed() >= wait || tail.is_closed();
        let found = source.read_on(&mut place, limit, limit).await?;
        let next = place.cursor.to_string();
        let response = match found {
            Found::Reset { reason, messages, reads } => {
                Some(page(array(&messages), next, false, Some(reason), reads))
            }
            Found::Changes { items, more, reads } if !items.is_empty() || more => {
                let messages: Vec<Bytes> = items.iter().map(|told| told.json()).collect();
                Some(page(array(&messages), next, more, None, reads))
            }
            // Up to date, or as good as that: a server that stops sends its clients to another one.
            Found::Changes { reads, .. } if over && (tail.is_current() || tail.is_closed()) => {
                Some(page(array(&[]), next, false, None, reads))
            }
            Found::Changes { .. } | Found::Away => None,
        };
        if let Some(mut response) = response {
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
            waiting = Some(app.bounds.long_polls.enter(1).map_err(full)?);
        }
        tokio::select! {
            () = woken => {}
            () = sleep_until(began + wait) => {}
        }
    }
}

fn page(messages: Bytes, next: String, more: bool, reason: Option<String>, reads: u64) -> Response {
    let reset = reason.is_some();
    let page = ChangesPage { messages, next, more, reset, reason, server_time: server_time() };
    let body = conditional::untagged(HeaderValue::from_static("application/json"), page.to_json());
    let headers =
        [(header::CACHE_CONTROL, HeaderValue::from_static("no-store")), (STORAGE_READS, reads.into())];
    (headers, body).into_response()
}
