//! What the queue-service tells about itself.

use repartee_proto::v1;

use crate::{
    admin::Operator,
    json::{Answer, Stats},
    problem::Problem,
};

/// Depth and age of the queue, sessions, fill of the cache, and what each call cost in storage.
#[utoipa::path(get, path = "/api/stats", tag = "queue",
    security((), ("token" = [])),
    responses((status = 200, description = "The statistics", body = Stats)))]
pub(crate) async fn read(operator: Operator) -> Result<Answer<Stats>, Problem> {
    let answer = operator.queue().client().get_stats(v1::GetStatsRequest::default()).await?.into_inner();
    Ok(Answer(answer.into()))
}
