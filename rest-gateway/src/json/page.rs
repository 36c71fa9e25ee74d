//! The query parameters of what reads.

use repartee_proto::v1;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected},
};
use utoipa::IntoParams;

use crate::{problem::Problem, tail::Wanted};

/// The most entries that one page may ask for.
const MAX_LIMIT: u32 = 1_000;
/// Messages on a page of the feed whose reader did not say.
const USUAL_LIMIT: u32 = 50;

/// Which part of the feed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only this domain; all domains where absent.
    #[serde(default)]
    #[param(required = false)]
    domain: String,
    /// Only messages with a greater timestamp, Unix milliseconds; the newest page where absent or 0.
    #[serde(default, deserialize_with = "timestamp")]
    #[param(minimum = 0)]
    after: Option<i64>,
    /// The same as `after`.
    #[serde(default, deserialize_with = "timestamp")]
    #[param(minimum = 0)]
    since: Option<i64>,
    /// 1 to 1,000; 50 where absent. A page is longer by the messages that share its last timestamp.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Which conversation.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ConversationQuery {
    /// The human.
    human_username: String,
    /// The human's color.
    human_color: String,
    /// The AI.
    ai_username: String,
    /// The AI's color.
    ai_color: String,
    /// The God Mode session; the plain conversation where absent.
    session_id: Option<String>,
    /// 1 to 1,000; 100 where absent.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Which pending work.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PendingQuery {
    /// Only this entity; all where absent.
    #[serde(default)]
    #[param(required = false)]
    entity: String,
    /// 1 to 1,000; 50 where absent.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Which failed messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FailedQuery {
    /// 1 to 1,000; 50 where absent.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Only messages behind the one with this id in the list.
    before_id: Option<String>,
}

impl TryFrom<ListQuery> for Wanted {
    type Error = Problem;

    fn try_from(query: ListQuery) -> Result<Self, Problem> {
        let after = match (query.after, query.since) {
            (Some(after), Some(since)) if after != since => {
                let detail =
                    format!("query parameter: {since} differs from `after`, {after}; give one of them");
                return Err(Problem::field("/since", detail));
            }
            (after, since) => after.or(since).unwrap_or_default(),
        };
        Ok(Self { domain: query.domain, after, limit: query.limit.unwrap_or(USUAL_LIMIT) })
    }
}

impl From<&Wanted> for v1::ListMessagesRequest {
    fn from(wanted: &Wanted) -> Self {
        let after = Some(wanted.after).filter(|after| *after > 0);
        Self {
            domain: wanted.domain.clone(),
            limit: wanted.limit,
            position: after.map(v1::list_messages_request::Position::After),
        }
    }
}

impl From<ConversationQuery> for v1::GetConversationRequest {
    fn from(query: ConversationQuery) -> Self {
        Self {
            human_username: query.human_username,
            human_color: query.human_color,
            ai_username: query.ai_username,
            ai_color: query.ai_color,
            session_id: query.session_id,
            limit: query.limit.unwrap_or_default(),
        }
    }
}

impl From<PendingQuery> for v1::ListPendingRequest {
    fn from(query: PendingQuery) -> Self {
        Self { entity: query.entity, limit: query.limit.unwrap_or_default() }
    }
}

impl From<FailedQuery> for v1::ListFailedRequest {
    fn from(query: FailedQuery) -> Self {
        Self { limit: query.limit.unwrap_or_default(), before_id: query.before_id }
    }
}

/// A `limit` as text. The contract takes 0 for "the default"; a client that writes 0 means something else.
fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit
        .map(Some)
        .ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &"a whole number from 1 to 1000"))
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let timestamp = text.parse().ok().filter(|timestamp| *timestamp >= 0);
    timestamp.map(Some).ok_or_else(|| {
        D::Error::invalid_value(Unexpected::Str(&text), &"Unix milliseconds, a whole number from 0 on")
    })
}
