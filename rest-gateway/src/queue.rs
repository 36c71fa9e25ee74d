//! The queue as workers and operators use it: what waits, the steps of a claim, and what was given up.

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use repartee_proto::v1;

use crate::{
    extract::{Json, Query},
    json::{
        Answer, CancelPending, CancelledAll, Claim, ClaimNext, Claimed, Complete, Completed, Done, EntityRef,
        Fail, Failed, FailedList, FailedQuery, MessageRef, Paused, PendingList, PendingQuery, Release, Renew,
        Renewed, Resumed, StorageReads,
    },
    problem::Problem,
    server::App,
    tail::Shown,
    upstream::Queue,
};

/// The pending work in the order in which it is handed out.
#[utoipa::path(get, path = "/api/queue/pending", tag = "queue", operation_id = "listPending",
    params(PendingQuery),
    security(("token" = [])),
    responses((status = 200, description = "The work", body = PendingList, headers(
        ("X-Storage-Reads" = u64, description = "Storage reads of this call: 0")))))]
pub(crate) async fn pending(
    queue: Queue,
    Query(query): Query<PendingQuery>,
) -> Result<(StorageReads, Answer<PendingList>), Problem> {
    let answer = queue.client()?.list_pending(v1::ListPendingRequest::from(query)).await?.into_inner();
    Ok((answer.kv_stats.into(), Answer(answer.into())))
}

/// Claims one message.
#[utoipa::path(post, path = "/api/queue/claim", tag = "queue", operation_id = "claimMessage",
    request_body = Claim,
    security(("token" = [])),
    responses(
        (status = 200, description = "The message is the worker's until the lease ends", body = Claimed),
        (status = 404, description = "No message has this id"),
        (status = 409, description = "The message is not pending, was posted for later and is not due, or its entity is paused"),
        (status = 429, description = "The entity of the message is at its limits")))]
pub(crate) async fn claim(
    queue: Queue,
    shown: Shown,
    Json(claim): Json<Claim>,
) -> Result<Answer<Claimed>, Problem> {
    let answer = queue.claim(v1::ClaimMessageRequest::from(claim)).await?;
    shown.wait_for(answer.message.as_ref()).await;
    Ok(Answer(answer.try_into()?))
}

/// Claims the first message that fits, or waits for one.
#[utoipa::path(post, path = "/api/queue/claim-next", tag = "queue", operation_id = "claimNext",
    request_body = ClaimNext,
    security(("token" = [])),
    responses(
        (status = 200, description = "The message is the worker's until the lease ends", body = Claimed),
        (status = 204, description = "Nothing is pending; ask again")))]
pub(crate) async fn claim_next(
    queue: Queue,
    shown: Shown,
    State(app): State<App>,
    Json(claim): Json<ClaimNext>,
) -> Result<Response, Problem> {
    let wait = Duration::from_secs(claim.wait.into());
    let request = v1::ClaimNextRequest::from(claim);
    let work = if wait.is_zero() {
        queue.claim_next(request).await?.work
    } else {
        let mut client = queue.client_that_waits(wait)?;
        tokio::select! {
            biased;
            answer = client.claim_next(request) => answer?.into_inner().work,
            () = app.stopping.cancelled() => None,
        }
    };
    shown.wait_for(work.as_ref().and_then(|work| work.message.as_ref())).await;
    let claimed = work.map(Claimed::try_from).transpose()?;
    Ok(claimed
        .map_or_else(|| StatusCode::NO_CONTENT.into_response(), |claimed| Answer(claimed).into_response()))
}

/// Extends a lease.
#[utoipa::path(post, path = "/api/queue/renew", tag = "queue", operation_id = "renewLease",
    request_body = Renew,
    security(("token" = [])),
    responses(
        (status = 200, description = "The lease has a new end", body = Renewed),
        (status = 404, description = "No message has this id"),
        (status = 409, description = "The lease is lost; stop working on the message")))]
pub(crate) async fn renew(queue: Queue, Json(renew): Json<Renew>) -> Result<Answer<Renewed>, Problem> {
    let answer = queue.renew(v1::RenewLeasesRequest::from(renew)).await?;
    Ok(Answer(answer.try_into()?))
}

/// Gives a message back. No failure is counted, but the attempt is: after 20 of them the message is given up.
#[utoipa::path(post, path = "/api/queue/release", tag = "queue", operation_id = "releaseMessage",
    request_body = Release,
    security(("token" = [])),
    responses(
        (status = 200, description = "The message is pending again, or failed after its last attempt", body = Done),
        (status = 404, description = "No message has this id"),
        (status = 409, description = "The lease is lost")))]
pub(crate) async fn release(
    queue: Queue,
    shown: Shown,
    Json(release): Json<Release>,
) -> Result<Answer<Done>, Problem> {
    let answer = queue.release(v1::ReleaseMessageRequest::from(release)).await?;
    shown.wait_for(answer.message.as_ref()).await;
    Ok(Answer(answer.message.try_into()?))
}

/// Finishes a message, with the reply in the same commit. Repeating it answers the same.
#[utoipa::path(post, path = "/api/queue/complete", tag = "queue", operation_id = "completeMessage",
    request_body = Complete,
    security(("token" = [])),
    responses(
        (status = 200, description = "The message is complete, and the reply stored", body = Completed),
        (status = 404, description = "No message has this id"),
        (status = 409, description = "The message is another claim's, or finished by it")))]
pub(crate) async fn complete(
    queue: Queue,
    shown: Shown,
    Json(complete): Json<Complete>,
) -> Result<Answer<Completed>, Problem> {
    let answer = queue.complete(v1::CompleteMessageRequest::from(complete)).await?;
    shown.wait_for(answer.message.as_ref()).await;
    Ok(Answer(answer.into()))
}

/// Reports a failed attempt: the message is retried after a backoff, or given up.
#[utoipa::path(post, path = "/api/queue/fail", tag = "queue", operation_id = "failMessage",
    request_body = Fail,
    security(("token" = [])),
    responses(
        (status = 200, description = "The failure is counted", body = Failed),
        (status = 404, description = "No message has this id"),
        (status = 409, description = "The lease is lost")))]
pub(crate) async fn fail(
    queue: Queue,
    shown: Shown,
    Json(fail): Json<Fail>,
) -> Result<Answer<Failed>, Problem> {
    let answer = queue.fail(v1::FailMessageRequest::try_from(fail)?).await?;
    shown.wait_for(answer.message.as_ref()).await;
    Ok(Answer(answer.try_into()?))
}

/// The failed messages, newest first.
#[utoipa::path(get, path = "/api/queue/failed", tag = "queue", operation_id = "listFailed",
    params(FailedQuery),
    security(("token" = [])),
    responses((status = 200, description = "The messages and their errors", body = FailedList, headers(
        ("X-Storage-Reads" = u64, description = "Storage reads of this call")))))]
pub(crate) async fn failed(
    queue: Queue,
    Query(query): Query<FailedQuery>,
) -> Result<(StorageReads, Answer<FailedList>), Problem> {
    let answer = queue.client()?.list_failed(v1::ListFailedRequest::from(query)).await?.into_inner();
    Ok((answer.kv_stats.into(), Answer(answer.into())))
}

/// Puts a failed message back to pending with fresh counters.
#[utoipa::path(post, path = "/api/queue/retry", tag = "queue", operation_id = "retryMessage",
    request_body = MessageRef,
    security(("token" = [])),
    responses(
        (status = 200, description = "The message is pending again", body = Done),
        (status = 404, description = "No message has this id"),
        (status = 409, description = "The message is not failed")))]
pub(crate) async fn retry(
    queue: Queue,
    shown: Shown,
    Json(named): Json<MessageRef>,
) -> Result<Answer<Done>, Problem> {
    let request = v1::RetryMessageRequest { message_id: named.message_id, reason: named.reason };
    let answer = queue.client()?.retry_message(request).await?.into_inner();
    shown.wait_for(answer.message.as_ref()).await;
    Ok(Answer(answer.message.try_into()?))
}

/// Takes a message out of the queue; it is kept as failed. One that has failed stays so and is marked as cancelled.
/// Nothing happens to a message that was cancelled or deleted already.
#[utoipa::path(post, path = "/api/queue/cancel", tag = "queue", operation_id = "cancelMessage",
    request_body = MessageRef,
    security(("token" = [])),
    responses(
        (status = 200, description = "The message is failed with the error \"cancelled\"", body = Done),
        (status = 404, description = "No message has this id"),
        (status = 409, description = "The message is complete, or addressed to no bot")))]
pub(crate) async fn cancel(
    queue: Queue,
    shown: Shown,
    Json(named): Json<MessageRef>,
) -> Result<Answer<Done>, Problem> {
    let request = v1::CancelMessageRequest { message_id: named.message_id, reason: named.reason };
    let answer = queue.client()?.cancel_message(request).await?.into_inner();
    shown.wait_for(answer.message.as_ref()).await;
    Ok(Answer(answer.message.try_into()?))
}

/// Cancels all that waits for an entity, of an author or from an address, the oldest first.
///
/// What a worker takes meanwhile is in work. One call cancels at most 25,600 messages; nothing happens if there are none.
#[utoipa::path(post, path = "/api/queue/cancel-pending", tag = "queue", operation_id = "cancelPending",
    request_body = CancelPending,
    security(("token" = [])),
    responses(
        (status = 200, description = "How many messages were cancelled", body = CancelledAll),
        (status = 404, description = "No message has the id in `authorOf` or `addressOf`")))]
pub(crate) async fn cancel_pending(
    queue: Queue,
    shown: Shown,
    Json(cancel): Json<CancelPending>,
) -> Result<Answer<CancelledAll>, Problem> {
    let request = v1::CancelPendingRequest::try_from(cancel)?;
    let answer = queue.client()?.cancel_pending(request).await?.into_inner();
    if answer.cancelled > 0 {
        shown.wait_for_change(answer.seq).await;
    }
    Ok(Answer(answer.into()))
}

/// Pauses an entity: its messages are posted as ever and wait, also over restarts. Pausing twice changes nothing.
#[utoipa::path(post, path = "/api/queue/pause", tag = "queue", operation_id = "pauseEntity",
    request_body = EntityRef,
    security(("token" = [])),
    responses(
        (status = 200, description = "Nothing of the entity is handed out", body = Paused),
        (status = 429, description = "1,000 entities are paused already")))]
pub(crate) async fn pause(queue: Queue, Json(named): Json<EntityRef>) -> Result<Answer<Paused>, Problem> {
    let request = v1::PauseEntityRequest { entity: named.entity.clone(), reason: named.reason };
    let answer = queue.client()?.pause_entity(request).await?.into_inner();
    Ok(Answer(Paused::since(named.entity, answer.paused_since)))
}

/// Lets a paused entity go on. Nothing happens to one that is not paused.
#[utoipa::path(post, path = "/api/queue/resume", tag = "queue", operation_id = "resumeEntity",
    request_body = EntityRef,
    security(("token" = [])),
    responses((status = 200, description = "The entity's messages are handed out", body = Resumed)))]
pub(crate) async fn resume(queue: Queue, Json(named): Json<EntityRef>) -> Result<Answer<Resumed>, Problem> {
    let request = v1::ResumeEntityRequest { entity: named.entity.clone(), reason: named.reason };
    let answer = queue.client()?.resume_entity(request).await?.into_inner();
    Ok(Answer(Resumed::of(named.entity, answer.was_paused)))
}
