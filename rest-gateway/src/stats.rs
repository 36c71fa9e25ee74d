//! What the queue-service tells about itself.

use repartee_proto::v1;

use crate::{
    extract::Query,
    json::{Answer, Stats, StatsQuery},
    problem::Problem,
    upstream::Queue,
};

/// Depth and age of the queue, sessions, fill of the cache, and what each call cost in storage. Entities and sessions come
/// by page; all sums are of all of them.
#[utoipa::path(get, path = "/api/stats", tag = "queue", operation_id = "getStats",
    params(StatsQuery),
    security(("token" = [])),
    responses((status = 200, description = "The statistics", body = Stats)))]
pub(crate) async fn read(queue: Queue, Query(query): Query<StatsQuery>) -> Result<Answer<Stats>, Problem> {
    let answer = queue.client()?.get_stats(v1::GetStatsRequest::from(query)).await?.into_inner();
    Ok(Answer(answer.into()))
}
