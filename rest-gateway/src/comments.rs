//! Comments: the feed by timestamp, and single messages.

use axum::{
    Json as Answer,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header};
use repartee_proto::v1;

use crate::{
    conditional,
    extract::{Id, IdempotencyKey, Json, Query},
    json::{EditComment, ListQuery, Message, NewComment, Posted, StorageReads, present},
    problem::Problem,
    upstream::Queue,
};

/// Shared caches may answer the polls of many browsers from one request a second.
const POLLED: &str = "public, max-age=0, s-maxage=1, stale-while-revalidate=5";

/// The messages after a timestamp, oldest first; without one, the newest page.
#[utoipa::path(get, path = "/api/comments", tag = "comments",
    params(ListQuery, ("If-None-Match" = Option<String>, Header, description = "Tags of answers that the client has")),
    responses(
        (status = 200, description = "A page of the feed", body = Vec<Message>, headers(
            ("ETag" = String, description = "Tag for If-None-Match"),
            ("X-Next-Cursor" = String, description = "The position behind this page"),
            ("X-More" = bool, description = "True where more can be read at once"),
            ("X-Storage-Reads" = u64, description = "Storage reads of this call; 0 within the cache"))),
        (status = 304, description = "The client has this page already")))]
pub(crate) async fn list(
    queue: Queue,
    asked: HeaderMap,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let page = queue.client().list_messages(v1::ListMessagesRequest::try_from(query)?).await?.into_inner();
    Ok(feed_page(&asked, page))
}

/// A page as an answer. A reset is for one reader only: it is neither cached nor tagged.
fn feed_page(asked: &HeaderMap, page: v1::ListMessagesResponse) -> Response {
    let messages: Vec<Message> = page.messages.into_iter().map(Message::from).collect();
    let position = [("x-next-cursor", page.next_cursor), ("x-more", page.more.to_string())];
    let reads = StorageReads::from(page.kv_stats);
    if page.reset {
        return (position, reads, Answer(messages)).into_response();
    }
    let body = serde_json::to_vec(&messages).expect("a message is plain values");
    let answer = conditional::respond(asked, "application/json", body);
    ([(header::CACHE_CONTROL, POLLED)], position, reads, answer).into_response()
}

/// Stores a message.
#[utoipa::path(post, path = "/api/comments", tag = "comments",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "1 to 255 characters. The same key and message within 24 h answer what the first request did")),
    request_body = NewComment,
    responses(
        (status = 201, description = "The message is stored, on disk", body = Posted, headers(
            ("Location" = String, description = "Path of the message"),
            ("Idempotent-Replayed" = bool, description = "true, and present, where an earlier request stored it"))),
        (status = 422, description = "The key stands for another message; take a new key")))]
pub(crate) async fn post(
    queue: Queue,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Json(comment): Json<NewComment>,
) -> Result<Response, Problem> {
    let request = v1::PostMessageRequest { message: Some(comment.into()), idempotency_key };
    let answer = queue.client().post_message(request).await?.into_inner();
    let replayed = answer.replayed.then_some([("idempotent-replayed", "true")]);
    let posted = Posted::try_from(answer)?;
    let location = [(header::LOCATION, format!("/api/comments/{}", posted.id))];
    Ok((StatusCode::CREATED, location, replayed, Answer(posted)).into_response())
}

/// Reads one message.
#[utoipa::path(get, path = "/api/comments/{id}", tag = "comments",
    params(("id" = String, Path, description = "Id of the message")),
    responses(
        (status = 200, description = "The message", body = Message, headers(
            ("X-Storage-Reads" = u64, description = "Storage reads of this call; 0 where it is cached"))),
        (status = 404, description = "No message has this id")))]
pub(crate) async fn read(
    queue: Queue,
    Id(message_id): Id,
) -> Result<(StorageReads, Answer<Message>), Problem> {
    let answer = queue.client().get_message(v1::GetMessageRequest { message_id }).await;
    let answer = answer.map_err(Problem::of_path)?.into_inner();
    let message = present(answer.message, "the message")?;
    Ok((answer.kv_stats.into(), Answer(message.into())))
}

/// Changes text, score, priority or status.
#[utoipa::path(patch, path = "/api/comments/{id}", tag = "comments",
    params(("id" = String, Path, description = "Id of the message")),
    request_body = EditComment,
    security((), ("token" = [])),
    responses(
        (status = 200, description = "The message after the change", body = Message),
        (status = 404, description = "No message has this id"),
        (status = 409, description = "The status allows no such step")))]
pub(crate) async fn edit(
    queue: Queue,
    Id(id): Id,
    Json(edit): Json<EditComment>,
) -> Result<Answer<Message>, Problem> {
    let answer = queue.client().update_message(edit.of(id)?).await;
    let answer = answer.map_err(Problem::of_path)?.into_inner();
    Ok(Answer(present(answer.message, "the message")?.into()))
}

/// Removes the text of a message and leaves a tombstone in the feed.
#[utoipa::path(delete, path = "/api/comments/{id}", tag = "comments",
    params(("id" = String, Path, description = "Id of the message")),
    security((), ("token" = [])),
    responses(
        (status = 200, description = "The tombstone", body = Message),
        (status = 404, description = "No message has this id")))]
pub(crate) async fn delete(queue: Queue, Id(message_id): Id) -> Result<Answer<Message>, Problem> {
    let answer = queue.client().delete_message(v1::DeleteMessageRequest { message_id }).await;
    let answer = answer.map_err(Problem::of_path)?.into_inner();
    Ok(Answer(present(answer.message, "the tombstone")?.into()))
}
