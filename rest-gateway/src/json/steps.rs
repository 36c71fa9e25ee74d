//! The steps of a worker and of an operator as they come in: claim, renew, release, complete, fail, retry, cancel.

use std::time::Duration;

use repartee_proto::v1;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    lenient::{or_default, whole, whole_or_zero},
    object::Object,
};
use crate::problem::Problem;

/// Claims one message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Claim {
    /// Id of the message.
    message_id: String,
    /// Name of the worker, 1 to 64 characters.
    worker_id: String,
    /// Length of the lease in seconds, 5 to 600, from the start. If absent, it is 10 until the first renew and 30 then.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 5, maximum = 600)]
    lease_seconds: Option<u32>,
}

/// Claims the first message that fits.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ClaimNext {
    /// Name of the worker, 1 to 64 characters.
    worker_id: String,
    /// The entities that the worker answers, at most 100; all where absent.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(max_items = 100, nullable)]
    entities: Vec<String>,
    /// How long to wait where nothing is pending, in seconds, at most 25.
    #[serde(default, deserialize_with = "whole_or_zero")]
    #[schema(maximum = 25, nullable)]
    pub(crate) wait: u32,
    /// Length of the lease in seconds, 5 to 600, from the start. If absent, it is 10 until the first renew and 30 then.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 5, maximum = 600)]
    lease_seconds: Option<u32>,
    /// This many of the last messages of its conversation before it, at most 100.
    #[serde(default, deserialize_with = "whole_or_zero")]
    #[schema(maximum = 100, nullable)]
    context_limit: u32,
}

/// Extends a lease.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Renew {
    /// Id of the message.
    message_id: String,
    /// Token of the lease.
    lease_token: Option<String>,
    /// In place of the token: the worker of the claim, under the Authorization that claimed it.
    worker_id: Option<String>,
    /// New length in seconds, 5 to 600; as long as before where absent.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 5, maximum = 600)]
    lease_seconds: Option<u32>,
}

/// Gives a message back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Release {
    /// Id of the message.
    message_id: String,
    /// Token of the lease.
    lease_token: Option<String>,
    /// In place of the token: the worker of the claim, under the Authorization that claimed it.
    worker_id: Option<String>,
}

/// Finishes a message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Complete {
    /// Id of the message.
    message_id: String,
    /// Token of the lease.
    lease_token: Option<String>,
    /// In place of the token: the worker of the claim, under the Authorization that claimed it.
    worker_id: Option<String>,
    /// The answer, stored in the same commit.
    #[schema(value_type = Option<NewReply>)]
    reply: Option<Object<NewReply>>,
}

/// A bot's answer.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewReply {
    /// What the bot says, 1 to 16,384 bytes.
    text: String,
    /// A score that the site keeps with the reply.
    #[serde(default, deserialize_with = "whole_or_zero")]
    #[schema(nullable)]
    eq_score: i32,
}

/// Reports a failed attempt.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Fail {
    /// Id of the message.
    message_id: String,
    /// Token of the lease.
    lease_token: Option<String>,
    /// In place of the token: the worker of the claim, under the Authorization that claimed it.
    worker_id: Option<String>,
    /// Why, 1 to 1,024 bytes; readers see it.
    error: String,
    /// False: give up at once.
    #[serde(default)]
    #[schema(default = true)]
    retryable: Option<bool>,
    /// Not to be tried again before this many milliseconds, at most 24 h; the backoff decides where absent.
    #[serde(default, deserialize_with = "whole")]
    #[schema(maximum = 86_400_000)]
    retry_after_ms: Option<u64>,
}

/// Names a message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MessageRef {
    /// Id of the message.
    pub(crate) message_id: String,
    /// Why, for the log of operators' acts: at most 200 characters.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(max_length = 200, required = false, nullable)]
    pub(crate) reason: String,
}

/// Names an entity.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EntityRef {
    /// The entity, 1 to 64 characters.
    #[schema(example = "fear-and-loathing")]
    pub(crate) entity: String,
    /// Why, for the log of operators' acts: at most 200 characters.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(max_length = 200, required = false, nullable)]
    pub(crate) reason: String,
}

fn seconds(seconds: u32) -> prost_types::Duration {
    prost_types::Duration { seconds: seconds.into(), nanos: 0 }
}

fn lease_ref(message_id: String, token: Option<String>, worker: Option<String>) -> v1::LeaseRef {
    v1::LeaseRef { message_id, lease_token: token.unwrap_or_default(), worker_id: worker.unwrap_or_default() }
}

impl From<Claim> for v1::ClaimMessageRequest {
    fn from(claim: Claim) -> Self {
        Self {
            message_id: claim.message_id,
            worker_id: claim.worker_id,
            lease: claim.lease_seconds.map(seconds),
        }
    }
}

impl From<ClaimNext> for v1::ClaimNextRequest {
    fn from(claim: ClaimNext) -> Self {
        Self {
            worker_id: claim.worker_id,
            entities: claim.entities,
            wait: (claim.wait > 0).then(|| seconds(claim.wait)),
            lease: claim.lease_seconds.map(seconds),
            context_limit: claim.context_limit,
        }
    }
}

impl From<Renew> for v1::RenewLeasesRequest {
    fn from(renew: Renew) -> Self {
        Self {
            leases: vec![lease_ref(renew.message_id, renew.lease_token, renew.worker_id)],
            lease: renew.lease_seconds.map(seconds),
        }
    }
}

impl From<Release> for v1::ReleaseMessageRequest {
    fn from(release: Release) -> Self {
        Self {
            lease: Some(lease_ref(release.message_id, release.lease_token, release.worker_id)),
            holds_back: None,
        }
    }
}

impl From<Complete> for v1::CompleteMessageRequest {
    fn from(complete: Complete) -> Self {
        Self {
            lease: Some(lease_ref(complete.message_id, complete.lease_token, complete.worker_id)),
            reply: complete
                .reply
                .map(|Object(reply)| v1::Reply { text: reply.text, eq_score: reply.eq_score }),
        }
    }
}

impl TryFrom<Fail> for v1::FailMessageRequest {
    type Error = Problem;

    fn try_from(fail: Fail) -> Result<Self, Problem> {
        let retry_after = fail.retry_after_ms.map(|ms| Duration::from_millis(ms).try_into()).transpose();
        Ok(Self {
            lease: Some(lease_ref(fail.message_id, fail.lease_token, fail.worker_id)),
            error: fail.error,
            retryable: fail.retryable.unwrap_or(true),
            retry_after: retry_after.map_err(|_| Problem::field("/retryAfterMs", "is longer than 24 h"))?,
        })
    }
}
