//! The rooms: in which domains people speak, and where somebody spoke last.
//!
//! The queue-service has them in memory. A client that has what it showed after the last change of all gets 304 without a
//! call.

use axum::{
    extract::{FromRequestParts as _, Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use repartee_proto::v1;

use crate::{
    answers::{Answers, hold},
    conditional,
    extract::from_query,
    json::{RoomsPage, RoomsQuery, StorageReads},
    polls,
    problem::Problem,
    reached::Brought,
    server::App,
    upstream::Queue,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const STORAGE_READS: HeaderName = HeaderName::from_static("x-storage-reads");
/// Why there is no list.
const NOT_LISTED: &str = "ROOMS_NOT_LISTED";
/// What a room takes in most answers, in bytes, before it is known.
const USUAL_ROOM: usize = 256;

/// The rooms: domains with a message that can be seen among the newest, those that the server has in memory, and when that
/// was posted; the one that was spoken in last comes first. What is deleted or hidden does not count.
///
/// A room in which somebody speaks between two pages moves to the front: whoever pages on sees it when they begin again. Off
/// unless the server is started with `--list-rooms`.
#[utoipa::path(get, path = "/api/rooms", tag = "comments", operation_id = "listRooms",
    params(RoomsQuery, ("If-None-Match" = Option<String>, Header, description = "Tags of answers that the client has")),
    responses(
        (status = 200, description = "A page of the list", body = RoomsPage, headers(
            ("ETag" = String, description = "Tag for If-None-Match; it names the last change of all"),
            ("X-More" = bool, description = "The same as `more`"),
            ("X-Storage-Reads" = u64, description = "Storage reads of this call: 0"))),
        (status = 304, description = "Nothing has changed since the client had this page"),
        (status = 404, description = "This server does not list its rooms (ROOMS_NOT_LISTED)")))]
pub(crate) async fn list(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    if !app.lists_rooms {
        let detail = "this server does not list its rooms: it has to be started with --list-rooms";
        return Err(Problem { reason: Some(NOT_LISTED.to_owned()), ..Problem::not_found(detail) });
    }
    let wanted = v1::ListRoomsRequest::from(from_query::<RoomsQuery>(request.uri())?);
    let (mut parts, _) = request.into_parts();
    let brought = Brought::by(parts.uri.query(), &parts.headers);
    if let Some(response) = unchanged(&app, &parts.headers, &brought) {
        return Ok(response);
    }
    let answers = Answers::of(&parts.extensions);
    let queue = Queue::from_request_parts(&mut parts, &app).await?;
    let room = answers.room(wanted.limit as usize * USUAL_ROOM)?;
    let page = queue.client()?.list_rooms(wanted).await?.into_inner();
    drop(room);
    answer(&parts.headers, &answers, &brought, page)
}

/// 304 where nothing at all has changed since the client had its page.
fn unchanged(app: &App, asked: &HeaderMap, brought: &Brought) -> Option<Response> {
    // While no changes come, nobody here knows whether something has changed.
    if !asked.contains_key(header::IF_NONE_MATCH) || !app.tail.hears() {
        return None;
    }
    // This gateway may be behind what its client has written through another one.
    if brought.position.as_ref().is_some_and(|position| !app.tail.has_reached(position)) {
        return None;
    }
    let (tag, _) = app.tail.tag("")?;
    conditional::names(asked, &tag).then(|| {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        response.headers_mut().insert(header::ETAG, conditional::header(tag));
        brought.mark(response.headers_mut());
        response.headers_mut().insert(STORAGE_READS, 0.into());
        response
    })
}

/// A page as an answer. A reset is for one reader only: it is neither cached nor tagged.
fn answer(
    asked: &HeaderMap,
    answers: &Answers,
    brought: &Brought,
    page: v1::ListRoomsResponse,
) -> Result<Response, Problem> {
    let tag = crate::tail::tag_at(&page.as_of).filter(|_| !page.reset);
    let (more, reads) = (page.more, StorageReads::from(page.kv_stats).count());
    let body = serde_json::to_vec(&RoomsPage::from(page)).expect("a room is plain values");
    let room = answers.room(body.len())?;
    let mut response = match tag {
        Some(tag) => conditional::respond_as(asked, tag, JSON, body),
        None => conditional::untagged(JSON, body),
    };
    let is_tagged = response.headers().contains_key(header::ETAG);
    let headers = response.headers_mut();
    brought.mark(headers);
    if !is_tagged {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.insert(polls::MORE, polls::said(more));
    headers.insert(STORAGE_READS, reads.into());
    hold(&mut response, room);
    Ok(response)
}
