//! The JSON shapes of API.md, and their translation from and to the gRPC contract. Nothing here decides anything.

mod acts;
mod answer;
mod blocks;
mod changes;
mod edit;
mod history;
mod lenient;
mod message;
mod object;
mod outcomes;
mod page;
mod pending;
mod post;
mod query;
mod rooms;
mod stats;
mod steps;
mod work;

pub(crate) use acts::{ActsPage, ActsQuery, CancelPending, CancelledAll};
pub(crate) use answer::Answer;
pub(crate) use blocks::{BlockLifted, BlockRef, BlockSet, BlocksPage, BlocksQuery, NewBlock};
pub(crate) use changes::{ChangesPage, ChangesQuery, StreamQuery};
pub(crate) use edit::{EditComment, RemovalQuery};
pub(crate) use history::{CallSpan, ChartQuery, HistoryPage, HistoryPoint, HistoryQuery, Now, Span, Theme};
pub(crate) use message::{Message, Said};
pub(crate) use object::Object;
pub(crate) use outcomes::{Claimed, Completed, Done, Failed, Paused, Renewed, Resumed};
pub(crate) use page::{ConversationQuery, FailedQuery, ListQuery, Listing, PendingQuery};
pub(crate) use pending::{FailedList, HiddenList, PendingList, StorageReads};
pub(crate) use post::{NewComment, Posted};
pub(crate) use rooms::{RoomsPage, RoomsQuery};
pub(crate) use stats::{Stats, StatsQuery};
pub(crate) use steps::{Claim, ClaimNext, Complete, EntityRef, Fail, MessageRef, Release, Renew};
pub(crate) use work::{Inspected, MessageRefs, StepOutcomes, WorkList, WorkQuery};

use crate::problem::Problem;

/// What the contract always sends.
///
/// # Errors
/// 500 where the queue-service broke the contract.
pub(crate) fn present<T>(value: Option<T>, name: &str) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::internal(format!("the queue-service answered without {name}")))
}
