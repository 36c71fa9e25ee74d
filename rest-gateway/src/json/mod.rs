//! The JSON shapes of API.md, and their translation from and to the gRPC contract. Nothing here decides anything.

mod answer;
mod changes;
mod edit;
mod history;
mod message;
mod object;
mod outcomes;
mod page;
mod pending;
mod post;
mod stats;
mod steps;

pub(crate) use answer::Answer;
pub(crate) use changes::{ChangesPage, ChangesQuery, StreamQuery};
pub(crate) use edit::EditComment;
pub(crate) use history::{CallSpan, ChartQuery, HistoryPage, HistoryPoint, Now, Theme};
pub(crate) use message::{Message, Said};
pub(crate) use object::Object;
pub(crate) use outcomes::{Claimed, Completed, Done, Failed, Paused, Renewed, Resumed};
pub(crate) use page::{ConversationQuery, FailedQuery, ListQuery, Listing, PendingQuery};
pub(crate) use pending::{FailedList, PendingList, StorageReads};
pub(crate) use post::{NewComment, Posted};
pub(crate) use stats::{Stats, StatsQuery};
pub(crate) use steps::{Claim, ClaimNext, Complete, EntityRef, Fail, MessageRef, Release, Renew};

use crate::problem::Problem;

/// What the contract always sends.
///
/// # Errors
/// 500 where the queue-service broke the contract.
pub(crate) fn present<T>(value: Option<T>, name: &str) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::internal(format!("the queue-service answered without {name}")))
}
