//! What operators do with what strangers post, and the log of it.

use repartee_proto::v1;

use crate::{
    extract::{Json, Query},
    json::{ActsPage, ActsQuery, Answer, Done, FailedQuery, HiddenList, MessageRef, StorageReads},
    problem::Problem,
    tail::Shown,
    upstream::Queue,
};

/// Hides a message: to all but operators it looks deleted, and whoever follows is told so. Its text stays stored, and work
/// in it is called off.
///
/// Hiding twice changes nothing. A hidden message cannot be edited or retried; its author can still delete it.
#[utoipa::path(post, path = "/api/admin/hide", tag = "operations", operation_id = "hideMessage",
    request_body = MessageRef,
    security(("token" = [])),
    responses(
        (status = 200, description = "The message as operators see it", body = Done),
        (status = 404, description = "No message has this id"),
        (status = 409, description = "The message is deleted")))]
pub(crate) async fn hide(
    queue: Queue,
    shown: Shown,
    Json(named): Json<MessageRef>,
) -> Result<Answer<Done>, Problem> {
    let request = v1::HideMessageRequest { message_id: named.message_id, reason: named.reason };
    let answer = queue.client()?.hide_message(request).await?.into_inner();
    shown.wait_for(answer.message.as_ref()).await;
    Ok(Answer(answer.message.try_into()?))
}

/// Shows a hidden message again at its place; whoever follows is told all of it. Work that was called off stays so until it
/// is retried.
#[utoipa::path(post, path = "/api/admin/restore", tag = "operations", operation_id = "restoreMessage",
    request_body = MessageRef,
    security(("token" = [])),
    responses(
        (status = 200, description = "The message is shown", body = Done),
        (status = 404, description = "No message has this id"),
        (status = 409, description = "The message is deleted")))]
pub(crate) async fn restore(
    queue: Queue,
    shown: Shown,
    Json(named): Json<MessageRef>,
) -> Result<Answer<Done>, Problem> {
    let request = v1::RestoreMessageRequest { message_id: named.message_id, reason: named.reason };
    let answer = queue.client()?.restore_message(request).await?.into_inner();
    shown.wait_for(answer.message.as_ref()).await;
    Ok(Answer(answer.message.try_into()?))
}

/// The hidden messages with their texts, those that were posted last first.
#[utoipa::path(get, path = "/api/admin/hidden", tag = "operations", operation_id = "listHidden",
    params(FailedQuery),
    security(("token" = [])),
    responses((status = 200, description = "The messages", body = HiddenList, headers(
        ("X-Storage-Reads" = u64, description = "Storage reads of this call")))))]
pub(crate) async fn hidden(
    queue: Queue,
    Query(query): Query<FailedQuery>,
) -> Result<(StorageReads, Answer<HiddenList>), Problem> {
    let answer = queue.client()?.list_hidden(v1::ListHiddenRequest::from(query)).await?.into_inner();
    Ok((answer.kv_stats.into(), Answer(answer.into())))
}

/// What operators did, newest first: who, what, when, on what, and why. Each act that changed something has an entry,
/// stored together with it.
#[utoipa::path(get, path = "/api/admin/acts", tag = "operations", operation_id = "listActs",
    params(ActsQuery),
    security(("token" = [])),
    responses((status = 200, description = "The acts", body = ActsPage)))]
pub(crate) async fn acts(queue: Queue, Query(query): Query<ActsQuery>) -> Result<Answer<ActsPage>, Problem> {
    let answer = queue.client()?.list_acts(v1::ListActsRequest::from(query)).await?.into_inner();
    Ok(Answer(answer.into()))
}
