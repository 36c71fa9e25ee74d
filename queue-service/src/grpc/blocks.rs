//! Who may not post for a while: blocking, lifting, and the list.

use std::time::Duration;

use repartee_process::Span;
use repartee_proto::v1;
use tonic::Status;

use super::{QueueGrpc, acts, caller::Caller, check, service::refused, status};
use crate::{
    domain::{ActKind, Block, Deed, Moment, Rejection, Source, Target},
    writer::Clock as _,
};

/// Blocks on a page whose reader did not say.
const PAGE: u32 = 50;

impl QueueGrpc {
    pub(super) async fn block(
        &self,
        caller: &Caller,
        request: v1::BlockSenderRequest,
    ) -> Result<v1::BlockSenderResponse, Status> {
        use v1::block_sender_request::Who;
        let v1::BlockSenderRequest { who, duration, reason } = request;
        let who = who.map(|who| match who {
            Who::Author(digest) => check::Which::Author(digest),
            Who::Address(digest) => check::Which::Address(digest),
            Who::AuthorOf(id) => check::Which::AuthorOf(id),
            Who::AddressOf(id) => check::Which::AddressOf(id),
        });
        let missing = || Rejection::field("author", "or address, author_of or address_of must be given");
        let who = who.ok_or_else(|| refused(missing()))?;
        let (who, reason) = check::selector(&self.limits, Some(who), reason).map_err(refused)?;
        let span = check::block(&self.limits, duration).map_err(refused)?;
        let deed = acts::deed_on_somebody(caller, ActKind::Block, reason)?;
        let deed =
            Deed { detail: format!("for {}", Span(Duration::from_millis(span.unsigned_abs()))), ..deed };
        let block = self.queue.block(who, span, deed).await.map_err(status::command)?;
        Ok(v1::BlockSenderResponse { block: Some(shown(&block, self.clock.read())) })
    }

    pub(super) async fn unblock(
        &self,
        caller: &Caller,
        request: v1::UnblockSenderRequest,
    ) -> Result<v1::UnblockSenderResponse, Status> {
        use v1::unblock_sender_request::Who;
        let v1::UnblockSenderRequest { who, reason } = request;
        let who = who.map(|who| match who {
            Who::Author(digest) => check::Which::Author(digest),
            Who::Address(digest) => check::Which::Address(digest),
        });
        let (who, reason) = check::source(&self.limits, who, reason).map_err(refused)?;
        let deed = acts::deed(caller, ActKind::Unblock, Target::All(who.into()), reason);
        let was_blocked = self.queue.unblock(who, deed).await.map_err(status::command)?;
        Ok(v1::UnblockSenderResponse { was_blocked })
    }

    pub(super) fn list_of_blocks(
        &self,
        request: v1::ListBlocksRequest,
    ) -> Result<v1::ListBlocksResponse, Status> {
        let v1::ListBlocksRequest { limit, after } = request;
        let (_, limit) = check::page(&self.limits, String::new(), limit, PAGE).map_err(refused)?;
        let after = check::blocks_after(&after).map_err(refused)?;
        let (blocks, more) = self.reads.views.blocks(after, limit);
        let now = self.clock.read();
        let next_after = blocks.last().filter(|_| more).map(|block| match block.who {
            Source::Author(key) => format!("author:{}", key.to_hex()),
            Source::Address(key) => format!("address:{}", key.to_hex()),
        });
        Ok(v1::ListBlocksResponse {
            blocks: blocks.iter().map(|block| shown(block, now)).collect(),
            next_after: next_after.unwrap_or_default(),
        })
    }
}

/// A block as operators see it, who know only the wall clock.
fn shown(block: &Block, Moment { now, wall }: Moment) -> v1::Block {
    use v1::block::Who;
    v1::Block {
        who: Some(match block.who {
            Source::Author(key) => Who::Author(key.to_hex()),
            Source::Address(key) => Who::Address(key.to_hex()),
        }),
        since: block.since,
        until: block.until.saturating_sub(now).saturating_add(wall),
        reason: block.reason.clone(),
    }
}
