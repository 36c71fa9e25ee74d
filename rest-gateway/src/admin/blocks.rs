//! Who may not post for a while.

use repartee_proto::v1;

use crate::{
    extract::{Json, Query},
    json::{Answer, BlockLifted, BlockRef, BlockSet, BlocksPage, BlocksQuery, NewBlock},
    problem::Problem,
    upstream::Queue,
};

/// Blocks an author or an address for a while: their posts and edits are refused with 403, reason BLOCKED, which says until
/// when. They read on, and can remove what is theirs.
///
/// It holds over restarts and ends by itself. Blocking again sets a new end.
#[utoipa::path(post, path = "/api/admin/block", tag = "operations", operation_id = "blockSender",
    request_body = NewBlock,
    security(("token" = [])),
    responses(
        (status = 200, description = "The block", body = BlockSet),
        (status = 404, description = "No message has the id in `authorOf` or `addressOf`"),
        (status = 429, description = "As many are blocked as may be")))]
pub(crate) async fn block(queue: Queue, Json(block): Json<NewBlock>) -> Result<Answer<BlockSet>, Problem> {
    let request = v1::BlockSenderRequest::try_from(block)?;
    let answer = queue.client()?.block_sender(request).await?.into_inner();
    Ok(Answer(answer.try_into()?))
}

/// Lifts a block before its time. Nothing happens if there is none.
#[utoipa::path(post, path = "/api/admin/unblock", tag = "operations", operation_id = "unblockSender",
    request_body = BlockRef,
    security(("token" = [])),
    responses((status = 200, description = "There is no block", body = BlockLifted)))]
pub(crate) async fn unblock(
    queue: Queue,
    Json(block): Json<BlockRef>,
) -> Result<Answer<BlockLifted>, Problem> {
    let request = v1::UnblockSenderRequest::try_from(block)?;
    let answer = queue.client()?.unblock_sender(request).await?.into_inner();
    Ok(Answer(answer.into()))
}

/// Who is blocked, since when, until when, and why.
#[utoipa::path(get, path = "/api/admin/blocks", tag = "operations", operation_id = "listBlocks",
    params(BlocksQuery),
    security(("token" = [])),
    responses((status = 200, description = "The blocks", body = BlocksPage)))]
pub(crate) async fn blocks(
    queue: Queue,
    Query(query): Query<BlocksQuery>,
) -> Result<Answer<BlocksPage>, Problem> {
    let answer = queue.client()?.list_blocks(v1::ListBlocksRequest::from(query)).await?.into_inner();
    Ok(Answer(answer.into()))
}
