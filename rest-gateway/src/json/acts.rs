//! What operators do all at once, and the log of what they did.

use repartee_proto::v1::{self, act::On, cancel_pending_request::Which};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    lenient::or_default,
    query::{limit, number},
};
use crate::problem::Problem;

/// Cancels what waits: exactly one of `entity`, `author`, `address`, `authorOf` and `addressOf` says whose messages.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CancelPending {
    /// Those for this entity.
    #[schema(example = "fear-and-loathing")]
    entity: Option<String>,
    /// Those of this author: 32 hex digits, as lists for operators show them.
    author: Option<String>,
    /// Those from this address, likewise.
    address: Option<String>,
    /// Those of the author of the message with this id.
    author_of: Option<String>,
    /// Those from the address that the message with this id came from.
    address_of: Option<String>,
    /// True: cancel what workers hold, too.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required = false, nullable)]
    include_processing: bool,
    /// Why, for the log of acts: at most 200 characters.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(max_length = 200, required = false, nullable)]
    reason: String,
}

/// What was cancelled.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CancelledAll {
    /// Always true.
    success: bool,
    /// How many messages were cancelled.
    cancelled: u64,
    /// True if there are more than one call cancels (25,600): call again.
    more: bool,
}

/// Which acts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ActsQuery {
    /// 1 to 1,000; 50 where absent.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Only acts with a smaller number.
    #[serde(default, deserialize_with = "act_number")]
    #[param(minimum = 1)]
    before: Option<u64>,
}

/// What operators did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActsPage {
    /// Newest first.
    acts: Vec<Act>,
    /// True if there are older ones: go on with `before`, the number of the last one.
    more: bool,
}

/// What an operator did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Act {
    /// Rises by 1 with each act.
    number: u64,
    /// When, Unix milliseconds.
    at: i64,
    /// Id of the operator's token.
    token_id: String,
    /// Name of that token; empty if it has none.
    token_name: String,
    /// What was done.
    kind: ActKind,
    /// On which message; null on all others.
    #[schema(required)]
    message_id: Option<String>,
    /// On which entity; null on all others.
    #[schema(required)]
    entity: Option<String>,
    /// On which author; null on all others.
    #[schema(required)]
    author: Option<String>,
    /// On which address; null on all others.
    #[schema(required)]
    address: Option<String>,
    /// How many messages it changed; 0 if it is not about messages.
    count: u64,
    /// What exactly, if the kind does not say it all.
    detail: String,
    /// Why, as the operator said; empty if they said nothing.
    reason: String,
}

/// What an operator did.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ActKind {
    /// Took messages out of the queue.
    Cancel,
    /// Put a failed message back.
    Retry,
    /// Changed text, score, priority or status of a message.
    Edit,
    /// Deleted a message.
    Delete,
    /// Hid a message.
    Hide,
    /// Showed a hidden message again.
    Restore,
    /// Blocked an author or an address.
    Block,
    /// Lifted a block.
    Unblock,
    /// Paused an entity.
    Pause,
    /// Let a paused entity go on.
    Resume,
}

/// The one that is given of some values; none if there is not exactly one.
pub(super) fn exactly_one<T>(given: impl IntoIterator<Item = Option<T>>) -> Option<T> {
    let mut given = given.into_iter().flatten();
    given.next().filter(|_| given.next().is_none())
}

impl TryFrom<CancelPending> for v1::CancelPendingRequest {
    type Error = Problem;

    fn try_from(cancel: CancelPending) -> Result<Self, Problem> {
        let CancelPending { entity, author, address, author_of, address_of, include_processing, reason } =
            cancel;
        let which = exactly_one([
            entity.map(Which::Entity),
            author.map(Which::Author),
            address.map(Which::Address),
            author_of.map(Which::AuthorOf),
            address_of.map(Which::AddressOf),
        ]);
        let which = which.ok_or_else(|| {
            Problem::field(
                "",
                "exactly one of `entity`, `author`, `address`, `authorOf` and `addressOf` must be given",
            )
        })?;
        Ok(Self { which: Some(which), include_processing, reason })
    }
}

impl From<v1::CancelPendingResponse> for CancelledAll {
    fn from(answer: v1::CancelPendingResponse) -> Self {
        Self { success: true, cancelled: answer.cancelled, more: answer.more }
    }
}

impl From<ActsQuery> for v1::ListActsRequest {
    fn from(query: ActsQuery) -> Self {
        Self { limit: query.limit.unwrap_or_default(), before: query.before.unwrap_or_default() }
    }
}

impl From<v1::ListActsResponse> for ActsPage {
    fn from(page: v1::ListActsResponse) -> Self {
        Self { acts: page.acts.into_iter().map(Act::from).collect(), more: page.more }
    }
}

impl From<v1::Act> for Act {
    fn from(act: v1::Act) -> Self {
        let kind = act.kind().into();
        let mut shown = Self {
            number: act.number,
            at: act.at,
            token_id: act.token_id,
            token_name: act.token_name,
            kind,
            message_id: None,
            entity: None,
            author: None,
            address: None,
            count: act.count,
            detail: act.detail,
            reason: act.reason,
        };
        match act.on {
            Some(On::MessageId(id)) => shown.message_id = Some(id),
            Some(On::Entity(entity)) => shown.entity = Some(entity),
            Some(On::Author(author)) => shown.author = Some(author),
            Some(On::Address(address)) => shown.address = Some(address),
            None => {}
        }
        shown
    }
}

impl From<v1::ActKind> for ActKind {
    fn from(kind: v1::ActKind) -> Self {
        match kind {
            // The contract never sends "unspecified".
            v1::ActKind::Cancel | v1::ActKind::Unspecified => Self::Cancel,
            v1::ActKind::Retry => Self::Retry,
            v1::ActKind::Edit => Self::Edit,
            v1::ActKind::Delete => Self::Delete,
            v1::ActKind::Hide => Self::Hide,
            v1::ActKind::Restore => Self::Restore,
            v1::ActKind::Block => Self::Block,
            v1::ActKind::Unblock => Self::Unblock,
            v1::ActKind::Pause => Self::Pause,
            v1::ActKind::Resume => Self::Resume,
        }
    }
}

fn act_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    number(deserializer, 1..=i64::MAX.unsigned_abs(), "the number of an act, a whole number from 1 on")
        .map(Some)
}
