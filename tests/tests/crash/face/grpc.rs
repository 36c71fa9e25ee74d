//! Requests over gRPC.

use std::collections::HashMap;

use e2e::{Grpc, seconds};
use repartee_proto::v1::{
    ClaimMessageRequest, ClaimNextRequest, CompleteMessageRequest, CompleteMessageResponse,
    CompleteMessagesRequest, DeleteMessageRequest, FailMessageRequest, GetConversationRequest, LeaseRef,
    ListFailedRequest, ListMessagesRequest, ListPendingRequest, Message, PostMessageRequest,
    PostMessageResponse, PostMessagesRequest, Rejection, RenewLeasesRequest, Reply, UpdateMessageRequest,
    complete_outcome, list_messages_request::Position, post_outcome, renew_outcome,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    history::{Answer, Completed, Granted, Posted, Refusal},
    request::{Completion, Edit, From, Lease, Pair, Post, Request},
};

/// Most messages on one page.
const LONGEST: u32 = 1_000;

/// Sends a request once.
pub(super) async fn ask(client: &Grpc, request: &Request) -> Result<Answer, Status> {
    match request {
        Request::Post(items) => post(client, items).await,
        Request::Edit(edit) => update(client, edit).await,
        Request::Delete { id, token } => {
            let request = authorized(
                DeleteMessageRequest { message_id: id.clone(), ..Default::default() },
                token.as_deref(),
            );
            shown(client.raw().delete_message(request).await?.into_inner().message)
        }
        Request::Retry(id) => shown(Some(client.retry(id).await?)),
        Request::Cancel(id) => shown(Some(client.cancel(id).await?)),
        Request::Claim { id, worker, seconds: length } => {
            let request = ClaimMessageRequest {
                message_id: id.clone(),
                worker_id: worker.clone(),
                lease: seconds(*length),
            };
            let claimed = client.raw().claim_message(request).await?.into_inner();
            Ok(Answer::Work(Some(granted(claimed.message, claimed.lease)?)))
        }
        Request::ClaimNext { worker, seconds: length, wait } => {
            let request = ClaimNextRequest {
                worker_id: worker.clone(),
                lease: seconds(*length),
                wait: seconds(*wait),
                ..ClaimNextRequest::default()
            };
            let work = client.raw().claim_next(request).await?.into_inner().work;
            Ok(Answer::Work(work.map(|work| granted(work.message, work.lease)).transpose()?))
        }
        Request::Stream { .. } => unreachable!("streams of work are opened by their workers"),
        Request::Renew(lease) => renew(client, lease).await,
        Request::Release(lease) => shown(Some(client.release(named(lease)).await?)),
        Request::Fail { lease, error, retryable } => {
            let (lease, error, retry_after) = (Some(named(lease)), error.clone(), None);
            let request = FailMessageRequest { lease, error, retryable: *retryable, retry_after };
            shown(client.raw().fail_message(request).await?.into_inner().message)
        }
        Request::Complete(items) => complete(client, items).await,
        Request::Get(id) => shown(Some(client.get(id).await?)),
        Request::ListPending | Request::ListFailed | Request::GetConversation(_) => {
            list(client, request).await
        }
        Request::Page { domain, from, limit } => page(client, domain, from, *limit).await,
    }
}

async fn post(client: &Grpc, items: &[Post]) -> Result<Answer, Status> {
    let request = |post: &Post| PostMessageRequest {
        message: Some(post.message.clone()),
        idempotency_key: post.key.clone(),
    };
    if let [post] = items {
        let answer = client.raw().post_message(request(post)).await?.into_inner();
        return Ok(Answer::Posted(vec![Ok(posted(answer)?)]));
    }
    let items = items.iter().map(request).collect();
    let answer = client.raw().post_messages(PostMessagesRequest { items }).await?.into_inner();
    let outcome = |outcome| match outcome {
        Some(post_outcome::Outcome::Posted(answer)) => posted(answer).map(Ok),
        Some(post_outcome::Outcome::Rejection(rejection)) => Ok(Err(refused(&rejection))),
        None => Err(incomplete()),
    };
    let outcomes = answer.outcomes.into_iter().map(|item| outcome(item.outcome));
    Ok(Answer::Posted(outcomes.collect::<Result<_, _>>()?))
}

async fn update(client: &Grpc, edit: &Edit) -> Result<Answer, Status> {
    let request = UpdateMessageRequest {
        message_id: edit.id.clone(),
        text: edit.text.clone(),
        eq_score: Some(edit.mark),
        priority: edit.priority,
        status: edit.status.map(Into::into),
        reason: String::new(),
    };
    let request = authorized(request, edit.token.as_deref());
    shown(client.raw().update_message(request).await?.into_inner().message)
}

async fn renew(client: &Grpc, lease: &Lease) -> Result<Answer, Status> {
    let request = RenewLeasesRequest { leases: vec![named(lease)], lease: None };
    let outcomes = client.raw().renew_leases(request).await?.into_inner().outcomes;
    match outcomes.into_iter().next().and_then(|outcome| outcome.outcome) {
        Some(renew_outcome::Outcome::ExpiresAt(end)) => Ok(Answer::Renewed(end)),
        Some(renew_outcome::Outcome::Rejection(rejection)) => {
            let details = ErrorDetails::with_error_info(rejection.reason, "repartee.v1", HashMap::new());
            Err(Status::with_error_details(rejection.code.into(), rejection.message, details))
        }
        None => Err(incomplete()),
    }
}

async fn complete(client: &Grpc, items: &[Completion]) -> Result<Answer, Status> {
    let request = |item: &Completion| CompleteMessageRequest {
        lease: Some(named(&item.lease)),
        reply: item.reply.as_ref().map(|(mark, text)| Reply { text: text.clone(), eq_score: *mark }),
    };
    if let [item] = items {
        let answer = client.raw().complete_message(request(item)).await?.into_inner();
        return Ok(Answer::Completed(vec![Ok(completed(answer))]));
    }
    let items = items.iter().map(request).collect();
    let answer = client.raw().complete_messages(CompleteMessagesRequest { items }).await?.into_inner();
    let outcome = |outcome| match outcome {
        Some(complete_outcome::Outcome::Completed(answer)) => Ok(Ok(completed(answer))),
        Some(complete_outcome::Outcome::Rejection(rejection)) => Ok(Err(refused(&rejection))),
        None => Err(incomplete()),
    };
    let outcomes = answer.outcomes.into_iter().map(|item| outcome(item.outcome));
    Ok(Answer::Completed(outcomes.collect::<Result<_, _>>()?))
}

/// A list, between two looks at the number of the newest change.
async fn list(client: &Grpc, request: &Request) -> Result<Answer, Status> {
    let from = client.stats().await?.tail_seq;
    let messages = match request {
        Request::ListFailed => all_failed(client).await?,
        Request::GetConversation(pair) => conversation(client, pair).await?,
        _ => {
            let request = ListPendingRequest { entity: String::new(), limit: LONGEST };
            client.raw().list_pending(request).await?.into_inner().messages
        }
    };
    Ok(Answer::Listed { from, to: client.stats().await?.tail_seq, messages })
}

async fn all_failed(client: &Grpc) -> Result<Vec<Message>, Status> {
    let (mut all, mut before_id) = (Vec::new(), None);
    loop {
        let request = ListFailedRequest { limit: LONGEST, before_id };
        let page = client.raw().list_failed(request).await?.into_inner().failed;
        let whole = page.len() < LONGEST as usize;
        all.extend(page.into_iter().filter_map(|failed| failed.message));
        if whole {
            return Ok(all);
        }
        before_id = all.last().map(|message| message.id.clone());
    }
}

async fn conversation(client: &Grpc, pair: &Pair) -> Result<Vec<Message>, Status> {
    let ((human_username, human_color), (ai_username, ai_color)) = (pair.human.clone(), pair.ai.clone());
    let request = GetConversationRequest {
        human_username,
        human_color,
        ai_username,
        ai_color,
        session_id: None,
        limit: LONGEST,
    };
    Ok(client.raw().get_conversation(request).await?.into_inner().messages)
}

async fn page(client: &Grpc, domain: &str, from: &From, limit: u32) -> Result<Answer, Status> {
    let position = match from {
        From::Newest => None,
        From::Stamp(after) => Some(Position::After(*after)),
        From::Cursor(cursor) => Some(Position::Cursor(cursor.clone())),
    };
    let request = ListMessagesRequest { domain: domain.to_owned(), position, limit };
    let page = client.raw().list_messages(request).await?.into_inner();
    if page.reset {
        return Err(Status::data_loss(page.reset_reason));
    }
    Ok(Answer::Page { messages: page.messages, next: page.next_cursor, more: page.more })
}

/// A request of an author, or of an operator where there is no token.
fn authorized<T>(request: T, token: Option<&str>) -> tonic::Request<T> {
    let mut request = tonic::Request::new(request);
    if let Some(token) = token {
        let bearer = format!("Bearer {token}").parse().expect("a token is visible ASCII");
        request.metadata_mut().insert("authorization", bearer);
    }
    request
}

fn named(lease: &Lease) -> LeaseRef {
    LeaseRef { message_id: lease.id.clone(), lease_token: lease.token.clone(), worker_id: String::new() }
}

fn posted(answer: PostMessageResponse) -> Result<Posted, Status> {
    let message = answer.message.ok_or_else(incomplete)?;
    Ok(Posted { message, edit_token: answer.edit_token, replayed: answer.replayed })
}

fn completed(answer: CompleteMessageResponse) -> Completed {
    Completed {
        message: answer.message,
        reply_id: answer.reply_id,
        late: answer.late,
        already: answer.already_completed,
    }
}

/// Work that came with a lease.
pub(super) fn granted(
    message: Option<Message>,
    lease: Option<repartee_proto::v1::Lease>,
) -> Result<Box<Granted>, Status> {
    let (message, lease) = (message.ok_or_else(incomplete)?, lease.ok_or_else(incomplete)?);
    Ok(Box::new(Granted { message, token: lease.token, expires_at: lease.expires_at }))
}

fn shown(message: Option<Message>) -> Result<Answer, Status> {
    message.map(|message| Answer::Message(Box::new(message))).ok_or_else(incomplete)
}

fn refused(rejection: &Rejection) -> Refusal {
    Refusal { code: format!("{:?}", Code::from(rejection.code)), reason: rejection.reason.clone() }
}

/// An answer without what every such answer holds. As data loss it is no refusal that anybody expects.
fn incomplete() -> Status {
    Status::data_loss("the answer is not complete")
}
