//! The work as operators look for it, and the steps that they take on many messages at once.

use repartee_proto::v1;

use crate::{
    extract::{Id, Json, Query},
    json::{Answer, Inspected, MessageRefs, StepOutcomes, StorageReads, WorkList, WorkQuery},
    problem::Problem,
    tail::Shown,
    upstream::Queue,
};

/// The messages that are addressed to bots, newest first, by entity, status, worker, author and the text of their last error.
///
/// One call looks at 1,000 messages at the most, however few of them fit: a page may be short, even empty, and still have a
/// next one.
#[utoipa::path(get, path = "/api/admin/work", tag = "operations", operation_id = "listWork",
    params(WorkQuery),
    security(("token" = [])),
    responses((status = 200, description = "The messages", body = WorkList, headers(
        ("X-Storage-Reads" = u64, description = "Storage reads of this call")))))]
pub(crate) async fn work(
    queue: Queue,
    Query(query): Query<WorkQuery>,
) -> Result<(StorageReads, Answer<WorkList>), Problem> {
    let answer = queue.client()?.list_work(v1::ListWorkRequest::from(query)).await?.into_inner();
    Ok((answer.kv_stats.into(), Answer(answer.into())))
}

/// One message with its conversation, its attempts, its errors, and the name of the request that posted it.
#[utoipa::path(get, path = "/api/admin/work/{id}", tag = "operations", operation_id = "inspectMessage",
    params(("id" = String, Path, description = "Id of the message")),
    security(("token" = [])),
    responses(
        (status = 200, description = "The message", body = Inspected, headers(
            ("X-Storage-Reads" = u64, description = "Storage reads of this call"))),
        (status = 404, description = "No message has this id")))]
pub(crate) async fn inspect(
    queue: Queue,
    Id(message_id): Id,
) -> Result<(StorageReads, Answer<Inspected>), Problem> {
    let answer = queue.client()?.inspect_message(v1::InspectMessageRequest { message_id }).await;
    let answer = answer.map_err(Problem::of_path)?.into_inner();
    Ok((answer.kv_stats.into(), Answer(answer.try_into()?)))
}

/// Puts failed messages back to pending with fresh counters; each has an outcome of its own.
#[utoipa::path(post, path = "/api/queue/retry-messages", tag = "queue", operation_id = "retryMessages",
    request_body = MessageRefs,
    security(("token" = [])),
    responses((status = 200, description = "What became of each", body = StepOutcomes)))]
pub(crate) async fn retry_messages(
    queue: Queue,
    shown: Shown,
    Json(MessageRefs { message_ids, reason }): Json<MessageRefs>,
) -> Result<Answer<StepOutcomes>, Problem> {
    let request = v1::RetryMessagesRequest { message_ids: message_ids.clone(), reason };
    let answer = queue.client()?.retry_messages(request).await?.into_inner();
    told(shown, message_ids, answer.outcomes).await
}

/// Takes messages out of the queue, as `/api/queue/cancel` does; each has an outcome of its own.
#[utoipa::path(post, path = "/api/queue/cancel-messages", tag = "queue", operation_id = "cancelMessages",
    request_body = MessageRefs,
    security(("token" = [])),
    responses((status = 200, description = "What became of each", body = StepOutcomes)))]
pub(crate) async fn cancel_messages(
    queue: Queue,
    shown: Shown,
    Json(MessageRefs { message_ids, reason }): Json<MessageRefs>,
) -> Result<Answer<StepOutcomes>, Problem> {
    let request = v1::CancelMessagesRequest { message_ids: message_ids.clone(), reason };
    let answer = queue.client()?.cancel_messages(request).await?.into_inner();
    told(shown, message_ids, answer.outcomes).await
}

async fn told(
    shown: Shown,
    ids: Vec<String>,
    outcomes: Vec<v1::StepOutcome>,
) -> Result<Answer<StepOutcomes>, Problem> {
    let (outcomes, last) = StepOutcomes::of(ids, outcomes)?;
    if last > 0 {
        shown.wait_for_change(last).await;
    }
    Ok(Answer(outcomes))
}
