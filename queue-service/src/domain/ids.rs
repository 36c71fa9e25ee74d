//! The ids that clients see: the number of the post, sealed, so that an id needs no row of its own in storage.

use std::fmt;

use aes::{
    Aes128,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use uuid::Uuid;

/// Makes the ids of one log: each is a UUID of version 4 that looks random to everybody without the key, and tells
/// neither a time nor how many messages there are.
///
/// It is format-preserving encryption by cycle walking (Black and Rogaway, 2002): the number stands in a block that is
/// shaped like a UUID of version 4, and AES is applied until the block has that shape again, 64 times on average. A
/// guessed id opens to no number, so asking for it costs no look into the storage.
#[derive(Clone)]
pub struct Ids(Aes128);

impl Ids {
    /// Ids under a key. Another key gives the same messages other ids.
    pub fn new(key: [u8; 16]) -> Self {
        Self(Aes128::new(&key.into()))
    }

    /// The id of the message that was posted under this number.
    pub fn seal(&self, posted: u64) -> Uuid {
        let mut block = plain(posted);
        loop {
            let mut bytes = block.into();
            self.0.encrypt_block(&mut bytes);
            block = bytes.into();
            if is_random_uuid(&block) {
                return Uuid::from_bytes(block);
            }
        }
    }

    /// The number in an id; `None` for an id that is not of this log.
    pub fn open(&self, id: Uuid) -> Option<u64> {
        let mut block = id.into_bytes();
        // Of any other shape it was never sealed, and need not walk back to one that was.
        if !is_random_uuid(&block) {
            return None;
        }
        loop {
            let mut bytes = block.into();
            self.0.decrypt_block(&mut bytes);
            block = bytes.into();
            if is_random_uuid(&block) {
                let posted = number(&block);
                return (plain(posted) == block).then_some(posted);
            }
        }
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids(***)")
    }
}

/// The block of a number: where a UUID of version 4 has random bits, the low 56 bits of the number and zeros.
fn plain(posted: u64) -> [u8; 16] {
    let mut block = [0; 16];
    block[6] = 0x40;
    block[8] = 0x80;
    block[9..].copy_from_slice(&posted.to_be_bytes()[1..]);
    block
}

fn number(block: &[u8; 16]) -> u64 {
    let mut bytes = [0; 8];
    bytes[1..].copy_from_slice(&block[9..]);
    u64::from_be_bytes(bytes)
}

fn is_random_uuid(block: &[u8; 16]) -> bool {
    block[6] & 0xf0 == 0x40 && block[8] & 0xc0 == 0x80
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_opens_to_its_number(key: [u8; 16], posted in 0..1u64 << 56) {
            let ids = Ids::new(key);
            prop_assert_eq!(ids.open(ids.seal(posted)), Some(posted));
        }

        #[test]
        fn an_id_is_a_random_uuid_by_its_shape(key: [u8; 16], posted in 0..1u64 << 56) {
            let id = Ids::new(key).seal(posted);
            prop_assert_eq!(id.get_version(), Some(uuid::Version::Random));
            prop_assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        }

        #[test]
        fn a_guessed_id_opens_to_nothing(key: [u8; 16], guess: u128) {
            let guess = uuid::Builder::from_random_bytes(guess.to_be_bytes()).into_uuid();
            prop_assert_eq!(Ids::new(key).open(guess), None);
        }

        #[test]
        fn a_uuid_of_another_kind_opens_to_nothing(key: [u8; 16], bytes: [u8; 16]) {
            prop_assume!(!is_random_uuid(&bytes));
            prop_assert_eq!(Ids::new(key).open(Uuid::from_bytes(bytes)), None);
        }

        #[test]
        fn an_id_of_another_log_opens_to_nothing(one: [u8; 16], other: [u8; 16], posted: u32) {
            prop_assume!(one != other);
            let id = Ids::new(one).seal(u64::from(posted));
            prop_assert_eq!(Ids::new(other).open(id), None);
        }
    }

    #[test]
    fn ids_of_neighbours_have_nothing_in_common() {
        let ids = Ids::new([7; 16]);
        let differing = |posted| (ids.seal(posted).as_u128() ^ ids.seal(posted + 1).as_u128()).count_ones();
        let mean = (1..=1_000).map(differing).sum::<u32>() as f64 / 1_000.0;
        // Half of the 122 free bits.
        assert!((mean - 61.0).abs() < 2.0, "{mean} bits differ");
    }
}
