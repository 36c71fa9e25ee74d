//! The keys of the one tree.

use crate::domain::{ConversationId, RequestKey, Source};
use sha2::{Digest, Sha256};

/// Every key that is stored. Integers are big-endian, so that the order of the bytes is the order of the numbers.
///
/// | row | key bytes | value |
/// |---|---|---|
/// | `Meta` | `e` | [`super::stored::StoredMeta`] |
/// | `Message` | `m` posted:8 | [`super::stored::StoredMessage`] |
/// | `Run` | `c` conversation:16 last posted:8 | [`super::stored::StoredRun`]: some messages of the conversation |
/// | `RunsUpTo` | `r` | [`super::stored::StoredMark`]: all messages posted up to that number stand in runs |
/// | `Begins` | `t` | [`super::stored::StoredBeginning`]: what was before it was swept |
/// | `Live` | `l` posted:8 | [`super::stored::StoredState`]; while pending or processing |
/// | `Finished` | `s` posted:8 | [`super::stored::StoredState`]; once complete or failed |
/// | `Failed` | `f` posted:8 | empty; while failed |
/// | `Hidden` | `h` posted:8 | empty; while hidden |
/// | `Commit` | `j` last seq:8 | [`super::stored::StoredCommit`]; one a commit |
/// | `Domain` | `d` SHA-256(domain):16 last seq:8 | empty: that commit has changes in that domain |
/// | `Kept` | `b` SHA-256(domain):16 posted:8 | empty: that message of that domain is kept, though the commit that posted it was swept |
/// | `Pause` | `p` SHA-256(entity):16 | [`super::stored::StoredPause`]; while the entity is paused |
/// | `Block` | `x` 0 for an author or 1 for an address, its key:16 | [`super::stored::StoredBlock`]; while blocked |
/// | `Owner` | `o` conversation:16 | [`super::stored::StoredOwner`]: the visitor who began it |
/// | `Act` | `a` number:8 | [`super::stored::StoredAct`]: what an operator did |
/// | `Request` | `k` SHA-256(idempotency key):16 | [`super::stored::StoredRequest`] |
///
/// The rows that every message writes stand in the order of the log: sled then works on pages that it has at hand, and
/// old pages are left alone. An id needs no row ([`crate::domain::Ids`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Meta,
    Message(u64),
    Run(ConversationId, u64),
    RunsUpTo,
    Begins,
    Live(u64),
    Finished(u64),
    Failed(u64),
    Hidden(u64),
    Commit(u64),
    Domain(DomainHash, u64),
    Kept(DomainHash, u64),
    Request(RequestKey),
    Pause(EntityHash),
    Owner(ConversationId),
    Act(u64),
    Block(Source),
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
pub(super) struct DomainHash([u8; 16]);

impl DomainHash {
    pub(super) fn of(domain: &str) -> Self {
        Self(first_half(domain))
    }
}

impl Key {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(25);
        match self {
            Self::Meta => bytes.push(b'e'),
            Self::Message(posted) => number(&mut bytes, b'm', posted),
            Self::Run(conversation, last) => {
                bytes.push(b'c');
                bytes.extend(conversation.0);
                bytes.extend(last.to_be_bytes());
            }
            Self::RunsUpTo => bytes.push(b'r'),
            Self::Begins => bytes.push(b't'),
            Self::Live(posted) => number(&mut bytes, b'l', posted),
            Self::Finished(posted) => number(&mut bytes, b's', posted),
            Self::Failed(posted) => number(&mut bytes, b'f', posted),
            Self::Hidden(posted) => number(&mut bytes, b'h', posted),
            Self::Commit(last) => number(&mut bytes, b'j', last),
            Self::Domain(domain, last) => {
                bytes.push(b'd');
                bytes.extend(domain.0);
                bytes.extend(last.to_be_bytes());
            }
            Self::Kept(domain, posted) => {
                bytes.push(b'b');
                bytes.extend(domain.0);
                bytes.extend(posted.to_be_bytes());
            }
            Self::Request(key) => {
                bytes.push(b'k');
                bytes.extend(key.0);
            }
            Self::Owner(conversation) => {
                bytes.push(b'o');
                bytes.extend(conversation.0);
            }
            Self::Block(Source::Author(key)) => {
                bytes.extend([b'x', 0]);
                bytes.extend(key.0);
            }
            Self::Block(Source::Address(key)) => {
                bytes.extend([b'x', 1]);
                bytes.extend(key.0);
            }
            Self::Act(act) => number(&mut bytes, b'a', act),
            Self::Pause(entity) => {
                bytes.push(b'p');
                bytes.extend(entity.0);
            }
        }
        bytes
    }
}

fn number(bytes: &mut Vec<u8>, row: u8, number: u64) {
    bytes.push(row);
    bytes.extend(number.to_be_bytes());
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
            prop_assert_eq!(Key::Commit(a).to_bytes().cmp(&Key::Commit(b).to_bytes()), a.cmp(&b));
            prop_assert_eq!(Key::Live(a).to_bytes().cmp(&Key::Live(b).to_bytes()), a.cmp(&b));
            let run = |last| Key::Run(ConversationId([7; 16]), last).to_bytes();
            prop_assert_eq!(run(a).cmp(&run(b)), a.cmp(&b));
            prop_assert_eq!(last_number(&run(a)), Some(a));
        }
    }
}
