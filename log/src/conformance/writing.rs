//! Rules of appending.

use super::{EXTENT, Engine, Story};
use crate::{AppendError, Begin, Check, Draft, End, Kind};

/// A new log has no records and no numbers.
pub fn a_new_log_is_empty<E: Engine>() {
    let story = Story::begin(&mut E::new(EXTENT));
    let Begin { place, dropped, stamp, check } = story.log.begin();
    assert_eq!((dropped, stamp, check), (0, i64::MIN, Check::default()));
    assert_eq!(story.log.end(), End { place, last: 0, stamp, check });
    assert!(story.read(1000).is_empty());
    assert!(story.log.find(1).unwrap().is_none());
    assert!(story.log.oldest().is_none());
    assert!(story.log.shortage().is_none());
}

/// Numbers go on with each record by as many as it takes, none included.
pub fn numbers_have_no_gap<E: Engine>() {
    let mut story = Story::begin(&mut E::new(EXTENT));
    let mut next = 1;
    for numbers in [1, 3, 0, 256, 0, 1] {
        assert_eq!(story.append(Kind::Commit, numbers, 5, &[]).first, next);
        next += u64::from(numbers);
        assert_eq!(story.log.end().last, next - 1);
    }
    story.check(0);
}

/// Several records may have one stamp. An older one is refused, and nothing is written.
pub fn stamps_may_be_shared_and_never_fall<E: Engine>() {
    let mut story = Story::begin(&mut E::new(EXTENT));
    for stamp in [-7, -7, 0, 0, 0, 9] {
        story.append(Kind::Commit, 1, stamp, &[b"x"]);
    }
    let refused = story.writer.append(&Draft::new(Kind::Commit, 1, 8));
    assert!(matches!(refused, Err(AppendError::Stamp { stamp: 8, last: 9 })));
    story.append(Kind::Commit, 1, 9, &[b"y"]);
    story.check(0);
}

/// A kept record is a record like others, but takes no number.
pub fn kept_records_take_no_number<E: Engine>() {
    let mut story = Story::begin(&mut E::new(EXTENT));
    story.post(10);
    story.append(Kind::Kept, 0, 1, &[b"kept"]);
    let refused = story.writer.append(&Draft::new(Kind::Kept, 2, 1));
    assert!(matches!(refused, Err(AppendError::Numbered(2))));
    assert_eq!(story.post(10).first, 2);
    story.check(0);
}

/// What does not fit into an extent is refused before anything is written, and the log goes on.
pub fn a_record_that_is_too_large_is_refused<E: Engine>() {
    let mut story = Story::begin(&mut E::new(EXTENT));
    story.post(10);
    let mut draft = Draft::new(Kind::Commit, 1, 1);
    draft.add_body(|buffer| buffer.resize(buffer.len() + 2 * EXTENT, 1));
    let refused = story.writer.append(&draft);
    assert!(
        matches!(refused, Err(AppendError::TooLarge { bytes, limit }) if bytes > limit && limit <= EXTENT)
    );
    assert!(matches!(story.writer.reserve(2 * EXTENT), Err(AppendError::TooLarge { .. })));
    story.writer.reserve(EXTENT / 2).unwrap();
    assert_eq!(story.post(EXTENT / 2).first, 2);
    story.check(0);
}

/// Empty heads and bodies, zeros, and lengths around sectors, blocks and extents.
pub fn records_of_any_shape_come_back<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    story.append(Kind::Commit, 0, 0, &[]);
    story.append(Kind::Commit, 1, 0, &[b"", b"\0", b"\0\0\0\0\0\0\0\0\0", b"x"]);
    for near in [512, 4096, 8192, EXTENT / 2] {
        for bytes in near - 70..near + 10 {
            let body = vec![(bytes % 255 + 1) as u8; bytes];
            story.append(Kind::Commit, 1, 0, &[&body[..bytes / 3], &body]);
        }
    }
    story.check(0);
    story.reopen(&mut engine).check(0);
}

/// The check of a record depends on all that was before it.
pub fn records_are_chained<E: Engine>() {
    let checks = |first: &[u8]| {
        let mut story = Story::begin(&mut E::new(EXTENT));
        let appended = [
            story.append(Kind::Commit, 1, 1, &[first]),
            story.append(Kind::Commit, 1, 1, &[b"the same"]),
            story.append(Kind::Commit, 1, 1, &[b"the same"]),
        ];
        assert_eq!(story.log.end().check, appended[2].check);
        let records = story.read(1 << 20);
        assert_eq!(records[0].before, Check::default());
        assert_eq!([records[1].before, records[2].before], [appended[0].check, appended[1].check]);
        appended.map(|appended| appended.check)
    };
    let (one, other) = (checks(b"one"), checks(b"other"));
    for (one, other) in one.iter().zip(other) {
        assert_ne!(*one, other);
    }
}

/// A log that is opened again has its name, its key, its records, and goes on.
pub fn a_log_that_is_opened_again_goes_on<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    let (epoch, key) = (story.log.epoch(), story.log.key());
    for round in 0..4 {
        for bytes in [10, 3000, 20_000, 5] {
            story.post(bytes);
        }
        let (begin, end) = (story.log.begin(), story.log.end());
        story = story.reopen(&mut engine);
        assert_eq!((story.log.epoch(), story.log.key()), (epoch, key));
        assert_eq!((story.log.begin(), story.log.end()), (begin, end), "round {round}");
        story.check(0);
    }
    let mut other = E::new(EXTENT);
    let other = Story::begin(&mut other);
    assert_ne!((other.log.epoch(), other.log.key()), (epoch, key));
}
