//! Who may not post for a while.

use repartee_process::Span;
use repartee_proto::v1;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, Unexpected},
};
use utoipa::{IntoParams, ToSchema};

use super::{acts::exactly_one, lenient::or_default, present, query::limit};
use crate::problem::Problem;

/// Blocks somebody: exactly one of `author`, `address`, `authorOf` and `addressOf` says whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewBlock {
    /// This author: 32 hex digits, as lists for operators show them.
    author: Option<String>,
    /// This address, likewise.
    address: Option<String>,
    /// The author of the message with this id. Whoever posted it without a secret is known by their address: then all are
    /// meant who post from there without one.
    author_of: Option<String>,
    /// The address that the message with this id came from.
    address_of: Option<String>,
    /// How long, 1s to 365d.
    #[serde(rename = "for", deserialize_with = "span")]
    #[schema(value_type = String, example = "2h")]
    span: Span,
    /// Why, for operators: at most 200 characters.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(max_length = 200, required = false, nullable)]
    reason: String,
}

/// Lifts a block: exactly one of `author` and `address` says whose.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BlockRef {
    /// Of this author.
    author: Option<String>,
    /// Of this address.
    address: Option<String>,
    /// Why, for the log of operators' acts: at most 200 characters.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(max_length = 200, required = false, nullable)]
    reason: String,
}

/// Which blocks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BlocksQuery {
    /// 1 to 1,000; 50 where absent.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Only blocks behind this position: `nextAfter` of an earlier answer.
    #[serde(default)]
    #[param(required = false)]
    after: String,
}

/// Who is blocked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlocksPage {
    /// In the order of what stands for whom.
    blocks: Vec<Block>,
    /// Where to go on; null at the end.
    #[schema(required)]
    next_after: Option<String>,
}

/// Somebody is blocked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlockSet {
    /// Always true.
    success: bool,
    /// The block.
    block: Block,
}

/// A block was lifted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlockLifted {
    /// Always true.
    success: bool,
    /// True if there was one.
    was_blocked: bool,
}

/// Somebody who may not post for a while.
#[derive(Debug, Serialize, ToSchema)]
struct Block {
    /// The author; null if it is an address.
    #[schema(required)]
    author: Option<String>,
    /// The address; null if it is an author.
    #[schema(required)]
    address: Option<String>,
    /// Since when, Unix milliseconds.
    since: i64,
    /// When it ends, Unix milliseconds.
    until: i64,
    /// Why, as the operator said; empty if they said nothing.
    reason: String,
}

impl TryFrom<NewBlock> for v1::BlockSenderRequest {
    type Error = Problem;

    fn try_from(block: NewBlock) -> Result<Self, Problem> {
        use v1::block_sender_request::Who;
        let NewBlock { author, address, author_of, address_of, span, reason } = block;
        let who = exactly_one([
            author.map(Who::Author),
            address.map(Who::Address),
            author_of.map(Who::AuthorOf),
            address_of.map(Who::AddressOf),
        ]);
        let one_of = "exactly one of `author`, `address`, `authorOf` and `addressOf` must be given";
        let who = who.ok_or_else(|| Problem::field("", one_of))?;
        let span = span.0.try_into().map_err(|_| Problem::field("/for", "is longer than 365d"))?;
        Ok(Self { who: Some(who), duration: Some(span), reason })
    }
}

impl TryFrom<BlockRef> for v1::UnblockSenderRequest {
    type Error = Problem;

    fn try_from(block: BlockRef) -> Result<Self, Problem> {
        use v1::unblock_sender_request::Who;
        let BlockRef { author, address, reason } = block;
        let who = exactly_one([author.map(Who::Author), address.map(Who::Address)]);
        let one_of = "exactly one of `author` and `address` must be given";
        Ok(Self { who: Some(who.ok_or_else(|| Problem::field("", one_of))?), reason })
    }
}

impl TryFrom<v1::BlockSenderResponse> for BlockSet {
    type Error = Problem;

    fn try_from(answer: v1::BlockSenderResponse) -> Result<Self, Problem> {
        Ok(Self { success: true, block: present(answer.block, "the block")?.into() })
    }
}

impl From<v1::UnblockSenderResponse> for BlockLifted {
    fn from(answer: v1::UnblockSenderResponse) -> Self {
        Self { success: true, was_blocked: answer.was_blocked }
    }
}

impl From<BlocksQuery> for v1::ListBlocksRequest {
    fn from(query: BlocksQuery) -> Self {
        Self { limit: query.limit.unwrap_or_default(), after: query.after }
    }
}

impl From<v1::ListBlocksResponse> for BlocksPage {
    fn from(page: v1::ListBlocksResponse) -> Self {
        Self {
            blocks: page.blocks.into_iter().map(Block::from).collect(),
            next_after: Some(page.next_after).filter(|after| !after.is_empty()),
        }
    }
}

impl From<v1::Block> for Block {
    fn from(block: v1::Block) -> Self {
        use v1::block::Who;
        let (author, address) = match block.who {
            Some(Who::Author(author)) => (Some(author), None),
            Some(Who::Address(address)) => (None, Some(address)),
            None => (None, None),
        };
        Self { author, address, since: block.since, until: block.until, reason: block.reason }
    }
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &"a span such as 2h or 30d"))
}
