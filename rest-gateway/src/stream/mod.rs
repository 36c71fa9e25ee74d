//! The feed as Server-Sent Events: `hello`, then every change as `message`, what bots are writing as `draft`; `reset` where
//! the position is lost, `bye` where the server ends the stream.
//!
//! A stream holds where its client stands, and nothing else: what comes next it reads from the tail when the client has
//! taken what came before, so that a slow client is neither skipped nor buffered for.

mod events;
mod follower;
mod reader;

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use futures_util::stream::unfold;
use http::{HeaderName, HeaderValue, header};

use crate::{
    answers::Answers, client::Held, extract::from_query, json::StreamQuery, problem::Problem, server::App,
    source::Source, upstream::Asker,
};
use follower::Follower;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What proxies must not do with it: keep it, or hold parts of it back.
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
];

/// How streams live.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pulse {
    /// How often a stream says that it is alive.
    pub(crate) heartbeat: Duration,
    /// A stream ends by itself after this, or up to three times as long.
    pub(crate) age: Duration,
}

/// The feed as Server-Sent Events, for an `EventSource`.
///
/// `hello` tells where the stream begins: `{epoch,cursor,mode,serverTime}`, the mode being `live`, `resumed` or `reset`.
/// Each `message` is one change, the message as that change left it; its id is the cursor behind it. `reset`,
/// `{reason,cursor}`, says that the position is lost: forget what was shown; the newest page follows as `message` events.
/// `draft`, `{messageId,text,ended}`, is what a bot is writing in answer to a message, in whole; it has no id, is not kept,
/// and is over with its end and with the next change of that message. An id alone says that everything up to there was
/// told; the first one comes behind the drafts that were open when the stream began. `bye`, `{reason,cursor}`, comes before the server
/// ends the stream: connect again, from the last id. A comment comes every 15 s. `upstream`,
/// `{live}`, says that the changes of the queue-service do not come, so that what is shown may be old, and that they come
/// again; meanwhile the stream is open and says nothing else.
#[utoipa::path(get, path = "/api/comments/stream", tag = "comments", operation_id = "streamChanges",
    params(StreamQuery, ("Last-Event-ID" = Option<String>, Header,
        description = "The id of the last event that the client has seen; counts more than `cursor`")),
    responses((status = 200, description = "Events without an end", body = str, content_type = "text/event-stream")))]
pub(crate) async fn open(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let query: StreamQuery = from_query(request.uri())?;
    let last_event_id = request.headers().get(LAST_EVENT_ID).map_or(Ok(""), |id| id.to_str());
    let cursor = query.cursor(last_event_id.unwrap_or("?"))?;
    let (parts, _) = request.into_parts();
    let full = |full| Problem::too_many("TOO_MANY_STREAMS", full);
    let asker = Asker::of(&parts, &app)?;
    let share = app.limits.hold(Held::SseClient, asker.client)?;
    let place = (app.bounds.sse_clients.enter(1).map_err(full)?, share);
    let source = Source::new(app, asker, Answers::of(&parts.extensions), &query.domain);
    let follower = Follower::open(source, cursor, place).await?;
    let events =
        unfold(follower, async |mut follower| Some((Ok::<_, axum::Error>(follower.next().await?), follower)));
    Ok((HEADERS, Body::from_stream(events)).into_response())
}
