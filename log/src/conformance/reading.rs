//! Rules of reading.

use super::{EXTENT, Engine, Story};
use crate::{Kind, Place, ReadError};

/// Some records in several extents, three of each stamp.
fn written<E: Engine>(engine: &mut E) -> Story {
    let mut story = Story::begin(engine);
    for nth in 0..120_usize {
        let body = vec![nth as u8 | 1; nth * 97 % 5000];
        let numbers = (nth % 4) as u32;
        story.append(Kind::Commit, numbers, (nth / 3 * 10) as i64, &[&body, b"second"]);
    }
    assert!(story.log.oldest().is_some(), "there are several extents");
    story
}

/// Whatever is read at once, it is all there, in order, once.
pub fn what_is_appended_is_read_in_order<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let story = written(&mut engine);
    story.check(0);
    let all = story.read(usize::MAX);
    for max_bytes in [0, 1, 5000, 1 << 20] {
        assert_eq!(story.read(max_bytes), all);
    }
    // From each of them on.
    for record in &all {
        assert_eq!(story.log.read(record.place, 0).unwrap(), std::slice::from_ref(record));
    }
}

/// Reading back brings the same.
pub fn it_is_read_backward_as_well<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = written(&mut engine);
    for _ in 0..2 {
        let all = story.read(usize::MAX);
        for max_bytes in [0, 5000, 100_000, usize::MAX] {
            let (mut before, mut pieces) = (story.log.end().place, Vec::new());
            loop {
                let piece = story.log.read_back(before, max_bytes).unwrap();
                let Some(first) = piece.first() else { break };
                before = first.place;
                pieces.push(piece);
            }
            pieces.reverse();
            assert_eq!(pieces.concat(), all, "{max_bytes} bytes at once");
        }
        for (record, next) in all.iter().zip(&all[1..]) {
            let back = story.log.read_back(next.place, 0).unwrap();
            assert_eq!(back.last(), Some(record));
        }
        story = story.reopen(&mut engine);
    }
}

/// Each number is found, and the next one is not there yet.
pub fn a_number_is_found_in_its_record<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = written(&mut engine);
    for _ in 0..2 {
        for record in story.read(usize::MAX) {
            for number in record.first..=record.last() {
                assert_eq!(story.log.find(number).unwrap().as_ref(), Some(&record));
            }
        }
        let end = story.log.end().last;
        assert!(story.log.find(end + 1).unwrap().is_none());
        assert!(story.log.find(u64::MAX).unwrap().is_none());
        story = story.reopen(&mut engine);
    }
}

/// By stamp, the first record after it is found.
pub fn a_stamp_is_found<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = written(&mut engine);
    for _ in 0..2 {
        let all = story.read(usize::MAX);
        for stamp in [i64::MIN, -1, 0, 5, 10, 11, 200, 389, 390, 400, i64::MAX] {
            let expected = all.iter().find(|record| record.stamp > stamp);
            let found = story.log.after_stamp(stamp).unwrap();
            let read = story.log.read(found, 0).unwrap();
            assert_eq!(read.first(), expected, "after {stamp}");
        }
        story = story.reopen(&mut engine);
    }
}

/// A place at which no record begins is told from one that has none yet.
pub fn a_place_between_records_is_refused<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    let place = story.post(100).place;
    story.post(100);
    for wrong in [place.to_u64() + 1, place.to_u64() + 8, u64::MAX - 7] {
        let refused = story.log.read(Place::from_u64(wrong), 1000);
        assert!(matches!(refused, Err(ReadError::NoRecord(_))), "{refused:?}");
        let refused = story.log.read_back(Place::from_u64(wrong), 1000);
        assert!(matches!(refused, Err(ReadError::NoRecord(_))), "{refused:?}");
    }
    assert!(story.log.read(story.log.end().place, 1000).unwrap().is_empty());
    let stored = Place::from_u64(place.to_u64());
    assert_eq!(story.log.read(stored, 0).unwrap()[0].place, place);
}
