//! Rules of one writer and many others.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{EXTENT, Engine, Story};
use crate::{Body, BodyAt, Kind, Record};

/// What was begun and not written to is no part of the log: whoever has read the last record is at the end.
pub fn a_follower_comes_to_the_end_behind_an_empty_extent<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    let last = story.post(100);
    story.writer.seal();
    story.writer.reserve(100).expect("there is space");
    for _ in 0..2 {
        assert!(story.log.end().place <= last.next);
        assert_eq!(story.log.read(last.next, 1_000).expect("it is the end"), []);
        story = story.reopen(&mut engine);
    }
    story.post(100);
    story.check(0);
}

/// So long that only a log that does not wake its readers lets it pass.
const LONG: Duration = Duration::from_secs(60);

/// There is one writer.
pub fn a_second_writer_is_refused<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let story = Story::begin(&mut engine);
    assert!(engine.open().is_none());
    drop(story);
    assert!(engine.open().is_some());
}

/// Who reads keeps reading when the writer is gone.
pub fn readers_outlive_the_writer<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    let place = story.post(10).place;
    let Story { log, writer, .. } = story;
    drop(writer);
    assert_eq!(log.read(place, 0).unwrap().len(), 1);
}

/// Nothing comes, so it ends by itself.
pub fn a_wait_ends_after_its_time<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    let appended = story.post(10);
    let end = story.log.wait(appended.place, LONG);
    assert_eq!(end.place, appended.next, "it was there already");
    assert_eq!(story.log.wait(end.place, Duration::from_millis(1)), end);
}

fn follow(log: &dyn crate::Log, until: u64) -> Vec<Record> {
    let (mut place, mut records) = (log.begin().place, Vec::<Record>::new());
    while records.last().is_none_or(|record| record.last() < until) {
        assert!(log.wait(place, LONG).place > place, "nothing came");
        let more = log.read(place, 10_000).unwrap();
        place = more.last().expect("it is behind this place").next;
        records.extend(more);
    }
    records
}

/// Who waits, reads, and goes on from there, has each record once, in order.
pub fn a_follower_reads_everything_once<E: Engine>() {
    const RECORDS: u64 = 300;
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    let log = story.log.clone();
    let records = thread::scope(|scope| {
        let followers = [(); 2].map(|()| scope.spawn(|| follow(&*log, RECORDS)));
        for nth in 0..RECORDS {
            story.post(nth as usize * 131 % 3000);
        }
        followers.map(|follower| follower.join().expect("it does not fail"))
    });
    for records in records {
        assert_eq!(records, story.read(usize::MAX));
    }
}

/// Whatever is looked for while records are appended and extents begin is whole.
pub fn readers_beside_the_writer_see_whole_records<E: Engine>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    let (log, done) = (story.log.clone(), AtomicBool::new(false));
    thread::scope(|scope| {
        for step in [3, 7] {
            let (log, done) = (&log, &done);
            scope.spawn(move || {
                let mut number = 1;
                while !done.load(Ordering::Acquire) {
                    let end = log.end();
                    number = (number + step) % (end.last + 1);
                    if let Some(found) = (number > 0).then(|| log.find(number).unwrap()) {
                        let found = found.expect("it is before the end");
                        assert!(found.bodies.iter().all(|body| matches!(body, Body::Whole(_))));
                    }
                    let last = log.read_back(end.place, 0).unwrap();
                    assert_eq!(last.last().map_or(0, Record::last), end.last);
                    log.after_stamp(number as i64).unwrap();
                }
            });
        }
        for nth in 0..300 {
            story.post(nth * 131 % 3000);
        }
        done.store(true, Ordering::Release);
    });
    story.check(0);
}

/// A body that is being erased is read as it was or as erased, never as damage, and the writer goes on meanwhile.
pub fn readers_beside_an_eraser_see_whole_or_erased_bodies<E: Engine>() {
    const RECORDS: usize = 60;
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    let body = vec![9; 3000];
    let places: Vec<_> =
        (0..RECORDS).map(|_| story.append(Kind::Commit, 1, 0, &[&body, b"stays"]).place).collect();
    let (log, done) = (story.log.clone(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                for place in &places {
                    let record = &log.read(*place, 0).unwrap()[0];
                    assert_ne!(record.bodies[0], Body::Damaged);
                    assert!(matches!(record.bodies[1], Body::Whole(_)));
                }
            }
        });
        scope.spawn(|| {
            for record in &places {
                log.erase(&[BodyAt { record: *record, body: 0 }]).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        for _ in 0..RECORDS {
            story.append(Kind::Commit, 1, 0, &[b"beside"]);
        }
    });
    let records = story.read(usize::MAX);
    assert_eq!(records.len(), 2 * RECORDS);
    assert!(records[..RECORDS].iter().all(|record| record.bodies[0] == Body::Erased));
    assert!(records[RECORDS..].iter().all(|record| matches!(record.bodies[0], Body::Whole(_))));
}
