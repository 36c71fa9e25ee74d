//! A block as it is stored.

use prost::Message;

use super::{FormatError, convert::bytes16};
use crate::domain::{Block, SenderKey, Source};

/// Somebody who may not post for a while; who it is, is in the key.
#[derive(Clone, PartialEq, Message)]
pub(in crate::journal) struct StoredBlock {
    #[prost(int64, tag = "1")]
    since: i64,
    #[prost(int64, tag = "2")]
    until: i64,
    #[prost(string, tag = "3")]
    reason: String,
}

impl StoredBlock {
    pub(in crate::journal) fn of(block: &Block) -> Self {
        Self { since: block.since, until: block.until, reason: block.reason.clone() }
    }

    /// The block of a row with this key.
    pub(in crate::journal) fn into_block(self, key: &[u8]) -> Result<Block, FormatError> {
        let who = match key {
            [b'x', 0, author @ ..] => Source::Author(SenderKey(bytes16(author, "author")?)),
            [b'x', 1, address @ ..] => Source::Address(SenderKey(bytes16(address, "address")?)),
            _ => return Err(FormatError::Field("key")),
        };
        Ok(Block { who, since: self.since, until: self.until, reason: self.reason })
    }
}
