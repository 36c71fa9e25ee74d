//! The work as operators look for it, and the steps that they take on many messages at once.

use repartee_proto::v1::{self, step_outcome::Outcome};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    lenient::or_default,
    message::{Message, Status},
    pending::KvStats,
    present,
    query::limit,
};
use crate::problem::Problem;

/// Which work; a message has to fit every parameter that is given. A text that is empty asks for all.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WorkQuery {
    /// 1 to 1,000; 50 where absent.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Only messages behind the one with this id in the list: `nextBeforeId` of an earlier answer.
    before_id: Option<String>,
    /// Only messages to this entity.
    #[serde(default)]
    #[param(required = false)]
    entity: String,
    /// Only messages with this status; `any` where absent.
    #[serde(default)]
    #[param(required = false, inline)]
    status: WantedStatus,
    /// Only messages that this worker claimed last.
    #[serde(default)]
    #[param(required = false)]
    worker_id: String,
    /// Only messages of this author: 32 hex digits, as lists for operators show them.
    #[serde(default)]
    #[param(required = false)]
    author: String,
    /// Only messages whose last error contains this text, whatever its capitals: at most 200 characters.
    #[serde(default)]
    #[param(required = false)]
    error: String,
}

/// A status, or all.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum WantedStatus {
    /// All of them.
    #[default]
    Any,
    /// What waits for a worker.
    Pending,
    /// What a worker holds.
    Processing,
    /// What is finished.
    Complete,
    /// What was given up or cancelled.
    Failed,
}

/// The work that was looked for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkList {
    /// Newest first.
    messages: Vec<Message>,
    /// Where to go on: `beforeId` of the next page. Null at the end. One call looks at 1,000 messages at the most, so that
    /// a page may be short, even empty, and still have a next one.
    #[schema(required)]
    next_before_id: Option<String>,
    /// What this call cost in storage.
    kv_stats: KvStats,
}

/// One message as its operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Inspected {
    /// The message.
    message: Message,
    /// Its attempts, oldest first: the last 10 that ended, and the one that goes on or that finished the message.
    attempts: Vec<Attempt>,
    /// Its last errors, oldest first, at most 5.
    errors: Vec<String>,
    /// Names the request that posted it: the trace id of its `traceparent`, otherwise its `X-Request-ID`. Null if it had
    /// neither, and on replies.
    #[schema(required)]
    trace_id: Option<String>,
    /// Id of the reply that was stored with its completion.
    #[schema(required)]
    reply_id: Option<String>,
    /// The last 20 messages of its conversation up to it and its reply, oldest first; those that are deleted or hidden are
    /// left out.
    conversation: Vec<Message>,
    /// True if there are older ones in the conversation.
    conversation_more: bool,
    /// True if it was cancelled.
    cancelled: bool,
    /// What this call cost in storage.
    kv_stats: KvStats,
}

/// A claim of a message, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Attempt {
    /// Name of the worker.
    worker_id: String,
    /// When the claim was made, Unix milliseconds.
    began_at: i64,
    /// When it ended, Unix milliseconds; null while the worker holds the message.
    #[schema(required)]
    ended_at: Option<i64>,
    /// How it ended; null while the worker holds the message.
    #[schema(required)]
    end: Option<AttemptEnd>,
    /// The error that it left; null if it left none, or if later ones took its place.
    #[schema(required)]
    error: Option<String>,
}

/// How a claim ended.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum AttemptEnd {
    /// The worker finished the message.
    Completed,
    /// The worker reported a failure.
    Failed,
    /// Its lease ended without a result.
    LeaseLost,
    /// The worker gave the message back.
    Released,
    /// The worker gave it back because of an outage.
    HeldBack,
    /// The worker was gone before it saw the message.
    Undelivered,
    /// Somebody called the work off, or took it away from the worker.
    CalledOff,
}

/// Names messages.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MessageRefs {
    /// Their ids, 1 to 256.
    #[schema(min_items = 1, max_items = 256)]
    pub(crate) message_ids: Vec<String>,
    /// Why, for the log of operators' acts: at most 200 characters.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(max_length = 200, required = false, nullable)]
    pub(crate) reason: String,
}

/// What became of a step on many messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StepOutcomes {
    /// Always true: each message was looked at.
    success: bool,
    /// One outcome a message, in the order of the request.
    outcomes: Vec<StepOutcome>,
}

/// What became of one of them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StepOutcome {
    /// Id of the message.
    message_id: String,
    /// True if the step was taken, or had been taken before. False: this message was not changed.
    success: bool,
    /// Where the message stands after it; absent if it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    status: Option<Status>,
    /// Why it was refused; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    error: Option<String>,
    /// The refusal in a word, as problems have it, such as ALREADY_COMPLETED; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    reason: Option<String>,
}

impl From<WorkQuery> for v1::ListWorkRequest {
    fn from(query: WorkQuery) -> Self {
        let WorkQuery { limit, before_id, entity, status, worker_id, author, error } = query;
        let status = v1::Status::from(status).into();
        Self { limit: limit.unwrap_or_default(), before_id, entity, status, worker_id, author, error }
    }
}

impl From<WantedStatus> for v1::Status {
    fn from(status: WantedStatus) -> Self {
        match status {
            WantedStatus::Any => Self::Unspecified,
            WantedStatus::Pending => Self::Pending,
            WantedStatus::Processing => Self::Processing,
            WantedStatus::Complete => Self::Complete,
            WantedStatus::Failed => Self::Failed,
        }
    }
}

impl From<v1::ListWorkResponse> for WorkList {
    fn from(list: v1::ListWorkResponse) -> Self {
        Self {
            messages: list.messages.into_iter().map(Message::from).collect(),
            next_before_id: Some(list.next_before_id).filter(|id| !id.is_empty()),
            kv_stats: list.kv_stats.into(),
        }
    }
}

impl TryFrom<v1::InspectMessageResponse> for Inspected {
    type Error = Problem;

    fn try_from(answer: v1::InspectMessageResponse) -> Result<Self, Problem> {
        Ok(Self {
            message: present(answer.message, "the message")?.into(),
            attempts: answer.attempts.into_iter().map(Attempt::from).collect(),
            errors: answer.errors,
            trace_id: answer.trace_id,
            reply_id: answer.reply_id,
            conversation: answer.conversation.into_iter().map(Message::from).collect(),
            conversation_more: answer.conversation_more,
            cancelled: answer.cancelled,
            kv_stats: answer.kv_stats.into(),
        })
    }
}

impl From<v1::Attempt> for Attempt {
    fn from(attempt: v1::Attempt) -> Self {
        let end = match attempt.end() {
            v1::AttemptEnd::Unspecified => None,
            v1::AttemptEnd::Completed => Some(AttemptEnd::Completed),
            v1::AttemptEnd::Failed => Some(AttemptEnd::Failed),
            v1::AttemptEnd::LeaseLost => Some(AttemptEnd::LeaseLost),
            v1::AttemptEnd::Released => Some(AttemptEnd::Released),
            v1::AttemptEnd::HeldBack => Some(AttemptEnd::HeldBack),
            v1::AttemptEnd::Undelivered => Some(AttemptEnd::Undelivered),
            v1::AttemptEnd::CalledOff => Some(AttemptEnd::CalledOff),
        };
        let v1::Attempt { worker_id, began_at, ended_at, error, .. } = attempt;
        Self { worker_id, began_at, ended_at, end, error }
    }
}

impl StepOutcomes {
    /// The outcomes for these messages, and the number of the last change among them; 0 if there is none.
    ///
    /// # Errors
    /// 500 if the queue-service broke the contract.
    pub(crate) fn of(ids: Vec<String>, outcomes: Vec<v1::StepOutcome>) -> Result<(Self, u64), Problem> {
        let mut last = 0;
        let mut outcome = |(message_id, outcome): (String, v1::StepOutcome)| {
            let (mut status, mut error, mut reason) = (None, None, None);
            match present(outcome.outcome, "the outcome")? {
                Outcome::Taken(taken) => {
                    last = last.max(taken.seq);
                    status = Some(taken.status().into());
                }
                Outcome::Rejection(rejection) => {
                    error = Some(rejection.message);
                    reason = Some(rejection.reason).filter(|reason| !reason.is_empty());
                }
            }
            Ok(StepOutcome { message_id, success: error.is_none(), status, error, reason })
        };
        let outcomes = ids.into_iter().zip(outcomes).map(&mut outcome).collect::<Result<_, Problem>>()?;
        Ok((Self { success: true, outcomes }, last))
    }
}
