//! The first block of a segment, and the names of its files.

use super::blocks::BLOCK;
use crate::{
    engine::Epoch,
    error::{Damage, OpenError},
    record::{Check, u32_at, u64_at},
};

/// Bytes of a segment before its first record.
pub(super) const HEADER_BYTES: u64 = BLOCK as u64;

const MAGIC: &[u8; 6] = b"RPTLOG";
/// The format that this program writes and reads.
const VERSION: &str = "01";
/// Bytes that the checksum stands for.
const CHECKED: usize = 80;

/// What a segment says of itself and of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Which segment of the log it is, from 0, without a gap.
    pub(super) ordinal: u32,
    /// In every record of it, and random: what an earlier life of the blocks left behind is not taken for one.
    pub(super) salt: u32,
    /// The name of the log.
    pub(super) epoch: Epoch,
    /// The name of the log while the segment before was written; another one if the log was adopted in between.
    pub(super) epoch_before: Epoch,
    pub(super) key: [u8; 16],
    /// The number that its first record with numbers has.
    pub(super) first: u64,
    /// Check and stamp of the last record before.
    pub(super) before: Check,
    pub(super) stamp_before: i64,
    /// Where the segment before ends, and its salt; 0 in the first one.
    pub(super) end_before: u32,
    pub(super) salt_before: u32,
}

/// Name of the file of a segment.
pub(super) fn file_name(ordinal: u32) -> String {
    format!("{ordinal:010}.log")
}

/// Name of the sparse index of a segment that is full.
pub(super) fn index_name(ordinal: u32) -> String {
    format!("{ordinal:010}.idx")
}

/// Which segment a file is of, if it is one.
pub(super) fn ordinal_of(name: &str) -> Option<u32> {
    let ordinal = name.strip_suffix(".log")?.parse().ok()?;
    (file_name(ordinal) == name).then_some(ordinal)
}

impl Header {
    /// Writes it over the beginning of a block of zeros.
    pub(super) fn encode(&self, block: &mut [u8]) {
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(6, VERSION.as_bytes());
        put(8, &self.salt.to_le_bytes());
        put(12, &self.before.0.to_le_bytes());
        put(16, &self.first.to_le_bytes());
        put(24, &self.epoch.0.to_le_bytes());
        put(32, &self.key);
        put(48, &self.epoch_before.0.to_le_bytes());
        put(56, &u64::from(self.ordinal).to_le_bytes());
        put(64, &self.stamp_before.to_le_bytes());
        put(72, &self.end_before.to_le_bytes());
        put(76, &self.salt_before.to_le_bytes());
        let checksum = crc32fast::hash(&block[..CHECKED]);
        block[CHECKED..CHECKED + 4].copy_from_slice(&checksum.to_le_bytes());
    }

    /// Reads the header of the segment with this number.
    pub(super) fn decode(ordinal: u32, block: &[u8]) -> Result<Self, OpenError> {
        let damage = |what| Damage { file: file_name(ordinal), offset: 0, what };
        if block.len() < BLOCK || block[..6] != MAGIC[..] {
            return Err(damage("it does not begin as a part of a log does").into());
        }
        if crc32fast::hash(&block[..CHECKED]) != u32_at(block, CHECKED) {
            // Of a newer format not even the place of the checksum is known.
            return match str::from_utf8(&block[6..8]) {
                Ok(found) if found > VERSION && found.bytes().all(|digit| digit.is_ascii_digit()) => {
                    Err(OpenError::Version { found: found.to_owned(), known: VERSION })
                }
                Ok(_) | Err(_) => Err(damage("its header does not match its checksum").into()),
            };
        }
        if block[6..8] != *VERSION.as_bytes() {
            let found = String::from_utf8_lossy(&block[6..8]).into_owned();
            return Err(OpenError::Version { found, known: VERSION });
        }
        if u64_at(block, 56) != u64::from(ordinal) {
            return Err(damage("it is another part of a log than its name says").into());
        }
        Ok(Self {
            ordinal,
            salt: u32_at(block, 8),
            epoch: Epoch(u64_at(block, 24)),
            epoch_before: Epoch(u64_at(block, 48)),
            key: block[32..48].try_into().expect("sixteen bytes"),
            first: u64_at(block, 16),
            before: Check(u32_at(block, 12)),
            stamp_before: u64_at(block, 64).cast_signed(),
            end_before: u32_at(block, 72),
            salt_before: u32_at(block, 76),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            ordinal: 7,
            salt: 1,
            epoch: Epoch(2),
            epoch_before: Epoch(3),
            key: [4; 16],
            first: 5,
            before: Check(6),
            stamp_before: -7,
            end_before: 8192,
            salt_before: 9,
        }
    }

    fn block() -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        header().encode(&mut block);
        block
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        assert_eq!(Header::decode(7, &block()).unwrap(), header());
    }

    #[test]
    fn a_flipped_bit_in_a_header_is_damage_or_another_version() {
        for at in 0..CHECKED + 4 {
            let mut block = block();
            block[at] ^= 1;
            let refused = Header::decode(7, &block).unwrap_err();
            let expected = matches!(refused, OpenError::Damaged(_))
                || ((6..8).contains(&at) && matches!(refused, OpenError::Version { .. }));
            assert!(expected, "byte {at}: {refused}");
        }
    }

    #[test]
    fn a_segment_under_the_name_of_another_is_damage() {
        let refused = Header::decode(8, &block()).unwrap_err();
        assert!(refused.to_string().contains("0000000008.log, byte 0"), "{refused}");
    }

    #[test]
    fn a_newer_format_is_named() {
        let mut block = block();
        block[6..8].copy_from_slice(b"02");
        let refused = Header::decode(7, &block).unwrap_err();
        assert!(matches!(&refused, OpenError::Version { found, known: "01" } if found == "02"), "{refused}");
    }

    #[test]
    fn only_names_that_a_segment_has_are_names_of_segments() {
        assert_eq!(ordinal_of(&file_name(12)), Some(12));
        assert_eq!(ordinal_of(&file_name(u32::MAX)), Some(u32::MAX));
        for other in ["12.log", "+000000012.log", "0000000012.idx", "next.tmp", "9999999999.log"] {
            assert_eq!(ordinal_of(other), None, "{other}");
        }
    }
}
