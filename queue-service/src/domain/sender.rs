//! Who stands behind a message: what shares, blocks and cancellations by author or address compare.

use std::fmt;

/// Names an author or an address without telling who that is: a hash with a key that only the service knows. The same
/// author has the same key as long as the service's secret lives; nobody can compute or reverse one without it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SenderKey(pub [u8; 16]);

impl fmt::Debug for SenderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Who sent a message. It is stored with the message and never shown to clients.
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
