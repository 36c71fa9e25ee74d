//! Comments: the feed by timestamp, and single messages.

use std::time::Instant;

use axum::{
    extract::{self, State},
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};
use repartee_proto::v1;

use crate::{
    client::Client,
    extract::{Id, IdempotencyKey, Json, Query, from_query},
    json::{
        Answer, EditComment, ListQuery, Listing, Message, NewComment, Posted, RemovalQuery, StorageReads,
        present,
    },
    polls,
    problem::Problem,
    server::App,
    tail::Shown,
    upstream::Queue,
    visitor::Visitor,
};

/// The messages after a timestamp, or the newest of those before a message; without either, the newest page. Oldest first.
#[utoipa::path(get, path = "/api/comments", tag = "comments", operation_id = "listComments",
    params(ListQuery, ("If-None-Match" = Option<String>, Header, description = "Tags of answers that the client has")),
    responses(
        (status = 200, description = "A page of the feed", body = Vec<Message>, headers(
            ("ETag" = String, description = "Tag for If-None-Match; it names the last change of the domain"),
            ("X-Next-Cursor" = String, description = "The position behind this page; absent with `beforeId`, and if retention has removed changes after the page: go on with `after`"),
            ("X-More" = bool, description = "True where more can be read at once; with `beforeId`, where there may be older messages"),
            ("X-Live" = bool, description = "`false`, and present, while the changes of the queue-service do not come: the page may be old"),
            ("X-Storage-Reads" = u64, description = "Storage reads of this call; 0 within the cache"))),
        (status = 304, description = "The client has this page already")))]
pub(crate) async fn list(State(app): State<App>, request: extract::Request) -> Result<Response, Problem> {
    match Listing::try_from(from_query::<ListQuery>(request.uri())?)? {
        Listing::Feed(wanted) => polls::answer(&app, request, &wanted).await,
        Listing::Back(wanted) => polls::back(&app, request, wanted).await,
    }
}

/// Stores a message.
#[utoipa::path(post, path = "/api/comments", tag = "comments", operation_id = "postComment",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "1 to 255 characters. The same key and message within 24 h answer what the first request did"),
        ("X-Visitor" = Option<String>, Header,
        description = "The visitor's secret, 32 to 128 letters, digits, - or _; in place of the cookie")),
    request_body = NewComment,
    security((), ("token" = [])),
    responses(
        (status = 201, description = "The message is stored, on disk", body = Posted, headers(
            ("Location" = String, description = "Reference to the message, relative to this path"),
            ("X-Reached" = String, description = "What the write has reached, in every answer of a write; also as a cookie of 10 s. A list that is asked for with it, as the parameter `reached`, shows the write"),
            ("X-Visitor" = String, description = "The secret of a visitor who brought none and began a conversation; also as a cookie"),
            ("Idempotent-Replayed" = bool, description = "true, and present, where an earlier request stored it"))),
        (status = 409, description = "The conversation belongs to another visitor; choose another color (CONVERSATION_TAKEN)"),
        (status = 422, description = "The key stands for another message; take a new key")))]
pub(crate) async fn post(
    State(app): State<App>,
    client: Client,
    queue: Queue,
    visitor: Visitor,
    shown: Shown,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    Json(comment): Json<NewComment>,
) -> Result<Response, Problem> {
    let began = Instant::now();
    let message = v1::NewMessage::from(comment);
    app.limits.post(client, &message)?;
    let request = v1::PostMessageRequest { message: Some(message), idempotency_key };
    let answer = queue.with_visitor(&visitor).post(request).await?;
    shown.wait_for(answer.message.as_ref()).await;
    app.admin.posted(began);
    let replayed = answer.replayed.then_some([("idempotent-replayed", "true")]);
    // Any other secret opens nothing, and would take the place of the one that the visitor has been given before.
    let visitor = answer.owns_conversation.then_some(visitor);
    let posted = Posted::try_from(answer)?;
    // Relative to this path, so that it holds below the path of a proxy too.
    let location = [(header::LOCATION, format!("comments/{}", posted.id))];
    Ok((StatusCode::CREATED, location, replayed, visitor, Answer(posted)).into_response())
}

/// Reads one message.
#[utoipa::path(get, path = "/api/comments/{id}", tag = "comments", operation_id = "getComment",
    params(("id" = String, Path, description = "Id of the message")),
    responses(
        (status = 200, description = "The message", body = Message, headers(
            ("X-Storage-Reads" = u64, description = "Storage reads of this call; 0 where it is cached"))),
        (status = 404, description = "No message has this id")))]
pub(crate) async fn read(
    queue: Queue,
    Id(message_id): Id,
) -> Result<(StorageReads, Answer<Message>), Problem> {
    let answer = queue.client()?.get_message(v1::GetMessageRequest { message_id }).await;
    let answer = answer.map_err(Problem::of_path)?.into_inner();
    let message = present(answer.message, "the message")?;
    Ok((answer.kv_stats.into(), Answer(message.into())))
}

/// Changes a message: its author the text, with its edit token; an operator score, priority and status as well.
#[utoipa::path(patch, path = "/api/comments/{id}", tag = "comments", operation_id = "updateComment",
    params(("id" = String, Path, description = "Id of the message")),
    request_body = EditComment,
    security(("token" = [])),
    responses(
        (status = 200, description = "The message after the change", body = Message),
        (status = 404, description = "No message has this id"),
        (status = 409, description = "The status allows no such step")))]
pub(crate) async fn edit(
    State(app): State<App>,
    client: Client,
    queue: Queue,
    shown: Shown,
    Id(id): Id,
    Json(edit): Json<EditComment>,
) -> Result<Answer<Message>, Problem> {
    let request = edit.of(id)?;
    app.limits.edit(client, request.text.as_deref())?;
    let answer = queue.client()?.update_message(request).await;
    let answer = answer.map_err(Problem::of_path)?.into_inner();
    shown.wait_for(answer.message.as_ref()).await;
    Ok(Answer(present(answer.message, "the message")?.into()))
}

/// Removes the text of a message and leaves a tombstone in the feed.
#[utoipa::path(delete, path = "/api/comments/{id}", tag = "comments", operation_id = "deleteComment",
    params(("id" = String, Path, description = "Id of the message"), RemovalQuery),
    security(("token" = [])),
    responses(
        (status = 200, description = "The tombstone", body = Message),
        (status = 404, description = "No message has this id")))]
pub(crate) async fn delete(
    queue: Queue,
    shown: Shown,
    Id(message_id): Id,
    Query(RemovalQuery { reason }): Query<RemovalQuery>,
) -> Result<Answer<Message>, Problem> {
    let answer = queue.client()?.delete_message(v1::DeleteMessageRequest { message_id, reason }).await;
    let answer = answer.map_err(Problem::of_path)?.into_inner();
    shown.wait_for(answer.message.as_ref()).await;
    Ok(Answer(present(answer.message, "the tombstone")?.into()))
}
