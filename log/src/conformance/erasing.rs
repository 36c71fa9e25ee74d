//! Rules of erasing bodies and of dropping the beginning.

use super::{EXTENT, Engine, Story};
use crate::{Body, BodyAt, EraseError, Kind, ReadError};

/// Bodies of this record and that.
const TEXTS: [&[u8]; 3] = [b"first", &[7; 5000], b"third"];

/// What was erased is gone, for present readers and after a restart; its neighbours and its head are whole.
pub fn an_erased_body_is_gone_and_nothing_else<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    for _ in 0..40 {
        story.append(Kind::Commit, 3, 0, &TEXTS);
    }
    let mut expected = story.read(usize::MAX);
    let mut erased = Vec::new();
    for (nth, record) in expected.iter_mut().enumerate().take(39).step_by(2) {
        let body = nth % 3;
        erased.push(BodyAt { record: record.place, body: body as u32 });
        record.bodies[body] = Body::Erased;
    }
    erased.reverse();
    story.log.erase(&erased).unwrap();
    assert_eq!(story.read(usize::MAX), expected);
    let story = story.reopen(&mut engine);
    assert_eq!(story.read(usize::MAX), expected);
    let verified = crate::verify(&*story.log, |_| {}).unwrap();
    assert_eq!((verified.records, verified.erased, verified.bodies, verified.damaged), (40, 20, 100, 0));
}

/// To erase what is erased is no error, nor twice in one call.
pub fn erasing_again_changes_nothing<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    let record = story.append(Kind::Commit, 1, 0, &TEXTS).place;
    story.post(10);
    let second = BodyAt { record, body: 1 };
    story.log.erase(&[second, second]).unwrap();
    let before = story.read(usize::MAX);
    story.log.erase(&[second]).unwrap();
    assert_eq!(story.read(usize::MAX), before);
    story.log.erase(&[]).unwrap();
}

/// A body that no record has is an error, and nothing is erased.
pub fn a_body_that_is_not_there_is_refused<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    let appended = story.append(Kind::Commit, 1, 0, &TEXTS);
    let there = BodyAt { record: appended.place, body: 0 };
    for wrong in [BodyAt { body: 3, ..there }, BodyAt { record: appended.next, body: 0 }] {
        let refused = story.log.erase(&[there, wrong]);
        assert!(
            matches!(refused, Err(EraseError::NoBody { .. } | EraseError::Read(ReadError::NoRecord(_)))),
            "{refused:?}"
        );
    }
    story.check(0);
}

/// The body of the last record, whose block is still written to, and what is appended afterwards.
pub fn the_last_record_can_be_erased_too<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    let mut expected = Vec::new();
    for nth in 0..20_usize {
        let body = vec![1; nth * 700];
        let record = story.append(Kind::Commit, 1, 0, &[b"stays", &body, b"stays"]).place;
        story.log.erase(&[BodyAt { record, body: 1 }]).unwrap();
        expected.extend(story.log.read(record, 0).unwrap());
        assert_eq!(expected.last().map(|record| &record.bodies[1]), Some(&Body::Erased));
        assert!(matches!(expected[nth].bodies[2], Body::Whole(_)));
    }
    assert_eq!(story.read(usize::MAX), expected);
    assert_eq!(story.reopen(&mut engine).read(usize::MAX), expected);
}

fn several_extents<E: Engine>(engine: &mut E) -> Story {
    let mut story = Story::begin(engine);
    for _ in 0..40 {
        story.post(EXTENT / 8);
    }
    story
}

/// One extent after another is dropped; what is left is read as before, also after a restart.
pub fn the_beginning_is_dropped_in_whole_extents<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = several_extents(&mut engine);
    let mut dropped = 0;
    for _ in 0..3 {
        let oldest = story.log.oldest().expect("there are more");
        assert_eq!(oldest.begin, story.log.begin().place);
        assert!(oldest.bytes > 0);
        let (before, stored) = (story.read(usize::MAX), story.log.bytes());
        // Not before its end.
        assert_eq!(story.log.drop_before(before[1].place).unwrap().place, oldest.begin);
        let begin = story.log.drop_before(oldest.end).unwrap();
        dropped = story.told.iter().position(|(appended, ..)| appended.place == oldest.end).unwrap();
        let last = &before[before.iter().position(|record| record.place == oldest.end).unwrap() - 1];
        assert_eq!((begin.place, begin.dropped), (oldest.end, oldest.last));
        assert_eq!((begin.stamp, begin.check), (last.stamp, last.check));
        assert_eq!((oldest.stamp, oldest.last), (last.stamp, last.last()));
        assert_eq!(story.log.begin(), begin);
        assert!(story.log.bytes() < stored);
        story.check(dropped);
        story = story.reopen(&mut engine);
        assert_eq!(story.log.begin(), begin);
        story.check(dropped);
    }
    story.post(10);
    story.check(dropped);
}

/// Who asks for what was dropped is told where the log begins.
pub fn what_was_dropped_is_said_to_be<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let story = several_extents(&mut engine);
    let oldest = story.log.oldest().unwrap();
    let begin = story.log.drop_before(oldest.end).unwrap();
    let told = |result: Result<(), ReadError>| {
        assert!(matches!(result, Err(ReadError::Dropped(told)) if told == begin), "{result:?}");
    };
    told(story.log.read(oldest.begin, 1000).map(drop));
    told(story.log.read_back(oldest.begin, 1000).map(drop));
    told(story.log.find(1).map(drop));
    told(story.log.find(oldest.last).map(drop));
    assert!(story.log.find(oldest.last + 1).unwrap().is_some());
    // Backward it ends at the beginning.
    assert!(story.log.read_back(begin.place, 1000).unwrap().is_empty());
    assert_eq!(story.log.after_stamp(i64::MIN).unwrap(), begin.place);
    // And there is nothing left to be erased.
    story.log.erase(&[BodyAt { record: oldest.begin, body: 0 }]).unwrap();
}

/// However far one asks to drop, the extent that is written to stays.
pub fn the_extent_that_is_written_to_stays<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = several_extents(&mut engine);
    let begin = story.log.drop_before(story.log.end().place).unwrap();
    assert!(begin.dropped < story.log.end().last);
    assert!(story.log.oldest().is_none());
    story.post(10);
    let left = story.told.iter().position(|(appended, ..)| appended.place == begin.place).unwrap();
    story.check(left);
}

/// An extent that was sealed is followed by another, however small it is.
pub fn a_sealed_extent_can_be_dropped<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    // Nothing to be sealed yet.
    story.writer.seal();
    let first = story.post(10);
    story.writer.seal();
    story.writer.seal();
    assert_eq!(story.log.end().place, first.next);
    assert!(story.log.oldest().is_none());
    let second = story.post(10);
    assert_eq!(story.log.read(first.next, 0).unwrap()[0].place, second.place);
    let oldest = story.log.oldest().unwrap();
    assert_eq!((oldest.begin, oldest.end, oldest.last), (first.place, second.place, first.first));
    story.log.drop_before(second.place).unwrap();
    story.check(1);
    let mut story = story.reopen(&mut engine);
    // What was sealed and not written to since is as it was.
    story.writer.seal();
    let mut story = story.reopen(&mut engine);
    story.post(10);
    story.check(1);
}
