//! The keys of the index.

use sha2::{Digest, Sha256};

use crate::domain::{ConversationId, RequestKey, Source};

/// Every key of the index. Integers are big-endian, so that the order of the bytes is the order of the numbers.
///
/// | row | key bytes | value |
/// |---|---|---|
/// | `Checkpoint` | `!` | [`super::stored::StoredCheckpoint`]: up to where the log stands in the index |
/// | `Begins` | `t` | [`super::stored::StoredBeginning`]: what was before it was swept |
/// | `Content` | `m` posted:8 | [`super::stored::Pointer`] to the content of a message, if it is not in the record of its post |
/// | `Live` | `l` posted:8 | [`super::stored::Pointer`] to the present state; while pending or processing |
/// | `Finished` | `s` posted:8 | the same once complete or failed |
/// | `Failed` | `f` posted:8 | empty; while failed |
/// | `Hidden` | `h` posted:8 | empty; while hidden |
/// | `Errors` | `q` posted:8 | [`super::stored::StoredPointers`] to all errors of attempts, to be erased with the message |
/// | `Kept` | `b` SHA-256(domain):16 posted:8 | empty: that message of that domain is kept, though the commit that posted it was swept |
/// | `Domain` | `d` SHA-256(domain):16 last seq:8 | [`super::stored::StoredRun`]: commits with changes in that domain, by their last numbers |
/// | `Conversation` | `c` conversation:16 last posted:8 | [`super::stored::StoredRun`]: messages of the conversation |
/// | `Pause` | `p` SHA-256(entity):16 | [`super::stored::StoredPause`]; while the entity is paused |
/// | `Block` | `x` 0 for an author or 1 for an address, its key:16 | [`super::stored::StoredBlock`]; while blocked |
/// | `Owner` | `o` conversation:16 | [`super::stored::StoredOwner`]: the visitor who began it |
/// | `Act` | `a` number:8 | [`super::stored::StoredAct`]: what an operator did |
/// | `Request` | `k` SHA-256(idempotency key):16 | [`super::stored::StoredRequest`] |
///
/// No row holds a text of a message. An id needs no row ([`crate::domain::Ids`]), and neither does a message that is as it was
/// posted: it stands in the log under its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Checkpoint,
    Begins,
    Content(u64),
    Live(u64),
    Finished(u64),
    Failed(u64),
    Hidden(u64),
    Errors(u64),
    Kept(DomainHash, u64),
    Request(RequestKey),
    Pause(EntityHash),
    Owner(ConversationId),
    Act(u64),
    Block(Source),
}

/// A list of rising numbers, which stands in the index as runs: each is a row whose key ends with its last number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum List {
    /// The commits with changes in a domain.
    Domain(DomainHash),
    /// The messages of a conversation.
    Conversation(ConversationId),
}

/// First 128 bits of SHA-256 of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntityHash([u8; 16]);

impl EntityHash {
    pub(super) fn of(entity: &str) -> Self {
        Self(first_half(entity))
    }
}

/// First 128 bits of SHA-256.
fn first_half(text: &str) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&Sha256::digest(text)[..16]);
    hash
}

/// First 128 bits of SHA-256 of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DomainHash(pub(super) [u8; 16]);

impl DomainHash {
    pub(super) fn of(domain: &str) -> Self {
        Self(first_half(domain))
    }
}

impl Key {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Checkpoint => vec![b'!'],
            Self::Begins => vec![b't'],
            Self::Content(posted) => numbered(b'm', posted),
            Self::Live(posted) => numbered(b'l', posted),
            Self::Finished(posted) => numbered(b's', posted),
            Self::Failed(posted) => numbered(b'f', posted),
            Self::Hidden(posted) => numbered(b'h', posted),
            Self::Errors(posted) => numbered(b'q', posted),
            Self::Kept(domain, posted) => [&[b'b'][..], &domain.0, &posted.to_be_bytes()].concat(),
            Self::Request(key) => [&[b'k'][..], &key.0].concat(),
            Self::Owner(conversation) => [&[b'o'][..], &conversation.0].concat(),
            Self::Block(Source::Author(key)) => [&[b'x', 0][..], &key.0].concat(),
            Self::Block(Source::Address(key)) => [&[b'x', 1][..], &key.0].concat(),
            Self::Act(act) => numbered(b'a', act),
            Self::Pause(entity) => [&[b'p'][..], &entity.0].concat(),
        }
    }
}

impl List {
    /// The key of the run that ends with this number.
    pub(super) fn run(self, last: u64) -> Vec<u8> {
        [&self.prefix()[..], &last.to_be_bytes()].concat()
    }

    /// What all its keys begin with.
    pub(super) fn prefix(self) -> [u8; 17] {
        let (row, name) = match self {
            Self::Domain(domain) => (b'd', domain.0),
            Self::Conversation(conversation) => (b'c', conversation.0),
        };
        let mut prefix = [row; 17];
        prefix[1..].copy_from_slice(&name);
        prefix
    }
}

fn numbered(row: u8, number: u64) -> Vec<u8> {
    [&[row][..], &number.to_be_bytes()].concat()
}

/// The number at the end of a key that has one.
pub(super) fn last_number(key: &[u8]) -> Option<u64> {
    let at = key.len().checked_sub(8)?;
    Some(u64::from_be_bytes(key[at..].try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_of_one_row_stand_in_the_order_of_their_numbers(a: u64, b: u64) {
            prop_assert_eq!(Key::Content(a).to_bytes().cmp(&Key::Content(b).to_bytes()), a.cmp(&b));
            prop_assert_eq!(Key::Live(a).to_bytes().cmp(&Key::Live(b).to_bytes()), a.cmp(&b));
            let run = |last| List::Conversation(ConversationId([7; 16])).run(last);
            prop_assert_eq!(run(a).cmp(&run(b)), a.cmp(&b));
            prop_assert_eq!(last_number(&run(a)), Some(a));
        }
    }
}
