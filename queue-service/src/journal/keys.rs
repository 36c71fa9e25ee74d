//! The keys of the one tree.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::{ConversationId, RequestKey};

/// Every key that is stored. Integers are big-endian, so that the order of the bytes is the order of the numbers.
///
/// | row | key bytes | value |
/// |---|---|---|
/// | `Meta` | `e` | [`super::stored::StoredMeta`] |
/// | `Message` | `m` conversation:16 posted:8 | [`super::stored::StoredMessage`]; a conversation is one range |
/// | `Id` | `i` uuid:16 | conversation:16 posted:8: where the message stands |
/// | `Live` | `l` posted:8 | [`super::stored::StoredLive`]; while pending or processing |
/// | `Failed` | `f` posted:8 | conversation:16; while failed |
/// | `Commit` | `j` last seq:8 | [`super::stored::StoredCommit`]; one a commit |
/// | `Domain` | `d` SHA-256(domain):16 last seq:8 | empty: that commit has changes in that domain |
/// | `Request` | `k` SHA-256(idempotency key):16 | [`super::stored::StoredRequest`] |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Meta,
    Message(Place),
    Id(Uuid),
    Live(u64),
    Failed(u64),
    Commit(u64),
    Domain(DomainHash, u64),
    Request(RequestKey),
}

/// Where a message row stands. Platform posts have no conversation and share sixteen zero bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) conversation: [u8; 16],
    pub(super) posted: u64,
}

/// First 128 bits of SHA-256 of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DomainHash([u8; 16]);

impl DomainHash {
    pub(super) fn of(domain: &str) -> Self {
        let mut hash = [0; 16];
        hash.copy_from_slice(&Sha256::digest(domain)[..16]);
        Self(hash)
    }
}

impl Place {
    pub(super) fn new(conversation: Option<ConversationId>, posted: u64) -> Self {
        Self { conversation: conversation.map_or([0; 16], |conversation| conversation.0), posted }
    }

    pub(super) fn conversation(&self) -> Option<ConversationId> {
        (self.conversation != [0; 16]).then_some(ConversationId(self.conversation))
    }

    pub(super) fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&self.conversation);
        bytes[16..].copy_from_slice(&self.posted.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (conversation, posted) = bytes.split_at_checked(16)?;
        Some(Self {
            conversation: conversation.try_into().ok()?,
            posted: u64::from_be_bytes(posted.try_into().ok()?),
        })
    }
}

impl Key {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(25);
        match self {
            Self::Meta => bytes.push(b'e'),
            Self::Message(place) => {
                bytes.push(b'm');
                bytes.extend(place.to_bytes());
            }
            Self::Id(id) => {
                bytes.push(b'i');
                bytes.extend(id.as_bytes());
            }
            Self::Live(posted) => number(&mut bytes, b'l', posted),
            Self::Failed(posted) => number(&mut bytes, b'f', posted),
            Self::Commit(last) => number(&mut bytes, b'j', last),
            Self::Domain(domain, last) => {
                bytes.push(b'd');
                bytes.extend(domain.0);
                bytes.extend(last.to_be_bytes());
            }
            Self::Request(key) => {
                bytes.push(b'k');
                bytes.extend(key.0);
            }
        }
        bytes
    }
}

fn number(bytes: &mut Vec<u8>, row: u8, number: u64) {
    bytes.push(row);
    bytes.extend(number.to_be_bytes());
}

/// The number at the end of a `Live`, `Failed`, `Commit` or `Domain` key.
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
        fn a_place_survives_its_bytes(conversation: [u8; 16], posted: u64) {
            let place = Place { conversation, posted };
            prop_assert_eq!(Place::from_bytes(&place.to_bytes()), Some(place));
            prop_assert_eq!(last_number(&Key::Message(place).to_bytes()), Some(posted));
        }

        #[test]
        fn keys_of_one_row_stand_in_the_order_of_their_numbers(a: u64, b: u64) {
            prop_assert_eq!(Key::Commit(a).to_bytes().cmp(&Key::Commit(b).to_bytes()), a.cmp(&b));
            prop_assert_eq!(Key::Live(a).to_bytes().cmp(&Key::Live(b).to_bytes()), a.cmp(&b));
        }
    }
}
