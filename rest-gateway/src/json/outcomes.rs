//! What the steps of a worker and of an operator answer.

use repartee_proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use super::{message::Message, present};
use crate::problem::Problem;

/// A claim that was granted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Claimed {
    /// Always true.
    success: bool,
    /// The message, now processing.
    message: Message,
    /// The lease.
    lease: Lease,
    /// The last messages of its conversation before it, oldest first; only where they were asked for by claim-next.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Vec<Message>>,
}

/// The right to work on one message until a deadline.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Lease {
    /// Every later step needs it; a secret.
    token: String,
    /// When it ends unless it is renewed, Unix milliseconds.
    expires_at: i64,
}

/// A lease that was extended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Renewed {
    /// Always true.
    success: bool,
    /// When it ends now, Unix milliseconds.
    expires_at: i64,
}

/// A message that was finished.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Completed {
    /// Always true.
    success: bool,
    /// Id of the stored reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_id: Option<String>,
    /// True, and present, where the lease had ended but nobody had claimed the message since.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    late: bool,
    /// True, and present, where this claim had completed the message before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    already_completed: bool,
}

/// An attempt that failed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failed {
    /// Always true: the report was taken.
    success: bool,
    /// The message: pending again, or failed.
    message: Message,
    /// When it is tried again, Unix milliseconds; null where it is not.
    #[schema(required)]
    retry_at: Option<i64>,
}

/// A step that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Done {
    /// Always true.
    success: bool,
    /// The message after it.
    message: Message,
}

/// An entity is paused.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Paused {
    /// Always true.
    success: bool,
    /// The entity.
    entity: String,
    /// Since when it is paused, Unix milliseconds.
    paused_since: i64,
}

impl Paused {
    pub(crate) fn since(entity: String, paused_since: i64) -> Self {
        Self { success: true, entity, paused_since }
    }
}

/// An entity goes on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resumed {
    /// Always true.
    success: bool,
    /// The entity.
    entity: String,
    /// True if it was paused.
    was_paused: bool,
}

impl Resumed {
    pub(crate) fn of(entity: String, was_paused: bool) -> Self {
        Self { success: true, entity, was_paused }
    }
}

impl TryFrom<v1::ClaimMessageResponse> for Claimed {
    type Error = Problem;

    fn try_from(claimed: v1::ClaimMessageResponse) -> Result<Self, Problem> {
        Ok(Self {
            success: true,
            message: present(claimed.message, "the message")?.into(),
            lease: present(claimed.lease, "the lease")?.into(),
            context: None,
        })
    }
}

impl TryFrom<v1::Work> for Claimed {
    type Error = Problem;

    fn try_from(work: v1::Work) -> Result<Self, Problem> {
        Ok(Self {
            success: true,
            message: present(work.message, "the message")?.into(),
            lease: present(work.lease, "the lease")?.into(),
            context: Some(work.context.into_iter().map(Message::from).collect()),
        })
    }
}

impl From<v1::Lease> for Lease {
    fn from(lease: v1::Lease) -> Self {
        Self { token: lease.token, expires_at: lease.expires_at }
    }
}

impl TryFrom<v1::RenewLeasesResponse> for Renewed {
    type Error = Problem;

    fn try_from(renewed: v1::RenewLeasesResponse) -> Result<Self, Problem> {
        use v1::renew_outcome::Outcome;
        let outcome = renewed.outcomes.into_iter().next().and_then(|item| item.outcome);
        match present(outcome, "the outcome")? {
            Outcome::ExpiresAt(expires_at) => Ok(Self { success: true, expires_at }),
            Outcome::Rejection(rejection) => Err(rejection.into()),
        }
    }
}

impl From<v1::CompleteMessageResponse> for Completed {
    fn from(completed: v1::CompleteMessageResponse) -> Self {
        Self {
            success: true,
            reply_id: completed.reply_id,
            late: completed.late,
            already_completed: completed.already_completed,
        }
    }
}

impl TryFrom<v1::FailMessageResponse> for Failed {
    type Error = Problem;

    fn try_from(failed: v1::FailMessageResponse) -> Result<Self, Problem> {
        let message = present(failed.message, "the message")?.into();
        Ok(Self { success: true, message, retry_at: failed.retry_at })
    }
}

impl TryFrom<Option<v1::Message>> for Done {
    type Error = Problem;

    fn try_from(message: Option<v1::Message>) -> Result<Self, Problem> {
        Ok(Self { success: true, message: present(message, "the message")?.into() })
    }
}
