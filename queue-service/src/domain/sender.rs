//! Who stands behind a message: what shares, blocks and cancellations by author or address compare.

use std::fmt;

/// Names an author or an address without telling who that is: a hash with a key that only the service knows. The same
/// author has the same key as long as the service's secret lives; nobody can compute or reverse one without it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SenderKey(pub [u8; 16]);

impl SenderKey {
    /// The form in which operators see it: 32 hex digits.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// Reads that form; `None` if it is not 32 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut key = [0; 16];
        hex::decode_to_slice(text, &mut key).ok()?;
        Some(Self(key))
    }
}

impl fmt::Debug for SenderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Whom an operator names: somebody, or wherever they post from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Somebody, whatever names they type.
    Author(SenderKey),
    /// Everybody at an address.
    Address(SenderKey),
}

/// Who sent a message. It is stored with the message and shown to operators only.
///
/// A message without a sender came from a caller who has none (a worker or an operator, or a reply that a completion
/// stored); it has no share of its own and is never blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sender {
    /// The visitor's secret if there is one, else the address: one person, whatever names they type.
    pub author: SenderKey,
    /// The client's address: an IPv4 address in whole, of IPv6 the first 64 bits, since a household gets as many.
    pub address: SenderKey,
}
