//! Tests of the codec, of random records.

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::{Body, Check, Draft, Framed, Kind, Place, Record, Standing, body_range, frame, parse};

const SALT: u32 = 0x5eed_1e55;

#[derive(Debug, Clone)]
struct Sample {
    kept: bool,
    numbers: u32,
    stamp: i64,
    head: Vec<u8>,
    bodies: Vec<Vec<u8>>,
    first: u64,
    before: u32,
}

fn samples() -> impl Strategy<Value = Sample> {
    // Zeros are what is easiest to mistake for something else.
    let bytes = || prop_oneof![vec(any::<u8>(), 0..200), vec(Just(0), 0..200)];
    let numbered = (any::<bool>(), 0..300u32, any::<i64>(), 1..u64::MAX / 2, any::<u32>());
    (numbered, bytes(), vec(bytes(), 0..5)).prop_map(
        |((kept, numbers, stamp, first, before), head, bodies)| Sample {
            kept,
            numbers: if kept { 0 } else { numbers },
            stamp,
            head,
            bodies,
            first,
            before,
        },
    )
}

impl Sample {
    fn draft(&self) -> Draft {
        let kind = if self.kept { Kind::Kept } else { Kind::Commit };
        let mut draft = Draft::new(kind, self.numbers, self.stamp);
        draft.head().extend_from_slice(&self.head);
        for body in &self.bodies {
            draft.add_body(|buffer| buffer.extend_from_slice(body));
        }
        draft
    }

    fn encode(&self) -> (Vec<u8>, Check) {
        let draft = self.draft();
        // The buffer was used before.
        let mut bytes = vec![0xaa; draft.encoded_len()];
        let standing = Standing { salt: SALT, first: self.first, before: Check(self.before) };
        let check = draft.encode(standing, &mut bytes);
        (bytes, check)
    }
}

fn read(bytes: Vec<u8>) -> Record {
    let next = Place::new(3, 4096 + bytes.len() as u32);
    parse(&Bytes::from(bytes), Place::new(3, 4096), next)
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_made(sample in samples()) {
        let (bytes, check) = sample.encode();
        prop_assert_eq!(frame(&bytes, SALT), Framed::Record(bytes.len()));
        let record = read(bytes);
        prop_assert_eq!(record.kind == Kind::Kept, sample.kept);
        prop_assert_eq!((record.first, record.numbers, record.stamp), (sample.first, sample.numbers, sample.stamp));
        prop_assert_eq!((record.before, record.check), (Check(sample.before), check));
        prop_assert_eq!(&record.head[..], &sample.head[..]);
        let bodies: Vec<_> = sample.bodies.iter().map(|body| Body::Whole(Bytes::copy_from_slice(body))).collect();
        prop_assert_eq!(record.bodies, bodies);
    }

    #[test]
    fn one_flipped_bit_is_noticed_wherever_it_is(sample in samples(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let (mut bytes, _) = sample.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let framed = frame(&bytes, SALT);
        prop_assume!(framed == Framed::Record(bytes.len()));
        // Of a body without a byte that is not zero, the flag before it is all that tells it from an erased one.
        let is_noticed = read(bytes).bodies.iter().any(|body| matches!(body, Body::Damaged | Body::Erased));
        prop_assert!(is_noticed, "byte {at} is in no body, and nobody noticed");
    }

    #[test]
    fn a_record_that_is_cut_off_is_short(sample in samples(), to in any::<prop::sample::Index>()) {
        let (bytes, _) = sample.encode();
        let framed = frame(&bytes[..to.index(bytes.len())], SALT);
        prop_assert!(matches!(framed, Framed::Short(needed) if needed <= bytes.len()));
    }

    #[test]
    fn an_erased_body_leaves_the_record_whole(sample in samples(), which in any::<prop::sample::Index>()) {
        prop_assume!(!sample.bodies.is_empty());
        let which = which.index(sample.bodies.len());
        let (mut bytes, _) = sample.encode();
        let mut expected = read(bytes.clone());
        let range = body_range(&bytes, which as u32).unwrap();
        prop_assert_eq!(range.len(), sample.bodies[which].len() + 1);
        bytes[range].fill(0);
        prop_assert_eq!(frame(&bytes, SALT), Framed::Record(bytes.len()));
        expected.bodies[which] = Body::Erased;
        prop_assert_eq!(read(bytes), expected);
    }

    #[test]
    fn any_bytes_are_looked_at_without_a_panic(bytes in vec(any::<u8>(), 0..300)) {
        let mut ours = bytes.clone();
        if ours.len() >= 12 {
            ours[8..12].copy_from_slice(&SALT.to_le_bytes());
        }
        for bytes in [bytes, ours] {
            prop_assert!(!matches!(frame(&bytes, SALT), Framed::Record(_)));
        }
    }
}

#[test]
fn a_record_of_another_life_of_its_blocks_is_none() {
    let mut draft = Draft::new(Kind::Commit, 1, 7);
    draft.head().extend_from_slice(b"head");
    let mut bytes = vec![0; draft.encoded_len()];
    draft.encode(Standing { salt: SALT, first: 1, before: Check(0) }, &mut bytes);
    assert_eq!(frame(&bytes, SALT + 1), Framed::Broken);
}

#[test]
fn a_draft_that_was_cleared_is_as_new() {
    let mut draft = Draft::new(Kind::Kept, 0, 9);
    draft.head().push(1);
    assert_eq!(draft.add_body(|buffer| buffer.push(2)), 0);
    assert_eq!(draft.add_body(|_| {}), 1);
    draft.clear();
    assert_eq!(draft.encoded_len(), Draft::default().encoded_len());
    assert_eq!(draft.add_body(|_| {}), 0);
}

#[test]
fn a_record_knows_its_numbers() {
    let sample =
        Sample { kept: false, numbers: 3, stamp: 0, head: vec![], bodies: vec![], first: 7, before: 0 };
    let record = read(sample.encode().0);
    assert_eq!(record.last(), 9);
    assert_eq!([6, 7, 9, 10].map(|number| record.has(number)), [false, true, true, false]);
    let record = read(Sample { numbers: 0, ..sample }.encode().0);
    assert_eq!(record.last(), 6);
    assert!(!record.has(7));
}
