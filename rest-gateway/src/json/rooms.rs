//! The rooms.

use repartee_proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::query::limit;

/// Rooms on a page whose reader did not say.
const USUAL_LIMIT: u32 = 50;

/// Which rooms.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RoomsQuery {
    /// 1 to 1,000; 50 where absent. A page ends at 1 MiB, too.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before; the first page where absent.
    #[serde(default)]
    #[param(required = false)]
    cursor: String,
    /// What a write has reached (`X-Reached` in its answer): the page shows it.
    #[expect(dead_code, reason = "it says which page is late enough, not which rooms; see reached.rs")]
    reached: Option<String>,
}

/// A page of the rooms.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoomsPage {
    /// The one that was spoken in last comes first.
    rooms: Vec<Room>,
    /// True where there are more.
    more: bool,
    /// Where the next page goes on; null at the end.
    #[schema(required)]
    next: Option<String>,
    /// True where the cursor was lost: this is the first page.
    reset: bool,
}

/// A domain in which somebody has spoken.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Room {
    /// The domain.
    #[schema(example = "lobby")]
    domain: String,
    /// When its newest message was posted that is neither deleted nor hidden, Unix milliseconds.
    #[schema(example = 1_762_025_642_726_i64)]
    last_activity: i64,
}

impl From<RoomsQuery> for v1::ListRoomsRequest {
    fn from(query: RoomsQuery) -> Self {
        Self { limit: query.limit.unwrap_or(USUAL_LIMIT), cursor: query.cursor }
    }
}

impl From<v1::ListRoomsResponse> for RoomsPage {
    fn from(page: v1::ListRoomsResponse) -> Self {
        let room = |room: v1::Room| Room { domain: room.domain, last_activity: room.last_activity };
        Self {
            rooms: page.rooms.into_iter().map(room).collect(),
            more: page.more,
            next: Some(page.next_cursor).filter(|next| !next.is_empty()),
            reset: page.reset,
        }
    }
}
