//! Logs that are not what the mark says was acknowledged, and what is adopted.

use std::fs::{self, File};

use repartee_log::{FileWriter, LogWriter as _, MarkFault, OpenError, verify};

use super::{Closed, LENGTH, RECORDS, ends_early};

#[test]
fn a_log_that_is_cut_off_between_two_records_is_refused() {
    let closed = Closed::new();
    let (path, range) = closed.bytes_of(closed.last());
    File::options().write(true).open(path).unwrap().set_len(range.start).unwrap();
    ends_early(&closed.refused(), &closed);
}

#[test]
fn a_log_without_its_mark_or_with_a_damaged_one_is_refused_and_can_be_adopted() {
    let closed = Closed::new();
    fs::write(closed.folder().join("high-water"), b"what is this").unwrap();
    assert!(matches!(closed.refused(), OpenError::Unacknowledged(MarkFault::Damaged)));
    fs::remove_file(closed.folder().join("high-water")).unwrap();
    assert!(matches!(closed.refused(), OpenError::Unacknowledged(MarkFault::Absent)));
    let adopted = FileWriter::adopt(&closed.options).unwrap();
    let log = adopted.writer.log();
    assert_ne!(log.epoch(), adopted.before);
    assert!(!adopted.is_cut);
    assert_eq!(verify(&*log, |_| {}).unwrap().records, u64::from(RECORDS));
    // The segment that was begun with the new name is empty, so who has read the last record has read all.
    assert_eq!(log.end().place, closed.appended[closed.last()].next);
}

#[test]
fn an_older_copy_is_refused_and_goes_on_under_a_new_name_once_it_is_adopted() {
    let mut closed = Closed::new();
    let copy = closed.copy("copy");
    // Of the copy, the segments alone: the mark stays what it is.
    fs::remove_file(copy.join("high-water")).unwrap();
    closed.write(10, 2);
    let log = closed.open();
    let (epoch, key) = (log.epoch(), log.key());
    drop(log);
    fs::copy(closed.folder().join("high-water"), copy.join("high-water")).unwrap();
    closed.put_back(&copy);
    let refused = closed.refused();
    assert!(
        matches!(refused, OpenError::Unacknowledged(MarkFault::End { last: 60, acknowledged: 70 })),
        "{refused}"
    );
    assert!(refused.to_string().contains("adopt"), "{refused}");

    let adopted = FileWriter::adopt(&closed.options).unwrap();
    assert_eq!(adopted.before, epoch);
    let log = adopted.writer.log();
    assert_ne!(log.epoch(), epoch);
    assert_eq!((log.key(), log.end().last), (key, 60));
    let epoch = log.epoch();
    drop((adopted, log));
    closed.appended.truncate(60);
    closed.write(5, 3);
    let log = closed.open();
    assert_eq!(log.epoch(), epoch);
    assert_eq!(verify(&*log, |_| {}).unwrap().records, 65);
}

#[test]
fn a_copy_that_went_another_way_is_told_by_the_mark_or_by_its_checks() {
    let mut closed = Closed::new();
    let copy = closed.copy("copy");
    closed.write(10, 2);
    let one = closed.open().find(65).unwrap().unwrap();
    let mark = fs::read(closed.folder().join("high-water")).unwrap();
    closed.put_back(&copy);
    closed.appended.truncate(60);
    closed.write(10, 3);
    // A cursor with the number alone would go on here; with the check it cannot.
    let other = closed.open().find(65).unwrap().unwrap();
    assert_eq!(one.first, other.first);
    assert_ne!(one.check, other.check);
    // And where the mark of the first way is still there, the second is refused.
    fs::write(closed.folder().join("high-water"), mark).unwrap();
    let refused = closed.refused();
    assert!(
        matches!(
            refused,
            OpenError::Unacknowledged(MarkFault::Diverged(70) | MarkFault::End { acknowledged: 70, .. })
        ),
        "{refused}"
    );
}

#[test]
fn a_log_of_another_name_is_refused() {
    let (closed, other) = (Closed::new(), Closed::new());
    fs::copy(other.folder().join("high-water"), closed.folder().join("high-water")).unwrap();
    assert!(matches!(closed.refused(), OpenError::Unacknowledged(MarkFault::Other { .. })));
}

#[test]
fn a_copy_that_was_taken_while_the_log_was_written_to_is_adopted_up_to_its_break() {
    let closed = Closed::new();
    // The copy has an old block and then newer ones.
    let nth = closed.last() - 2;
    closed.overwrite(nth, 0, &[0; LENGTH]);
    fs::remove_file(closed.folder().join("high-water")).unwrap();
    assert!(matches!(closed.refused(), OpenError::Damaged(_)));
    let adopted = FileWriter::adopt(&closed.options).unwrap();
    assert_eq!((adopted.is_cut, adopted.cut_records), (true, 2));
    assert_eq!(adopted.writer.log().end().last, nth as u64);
    verify(&*adopted.writer.log(), |_| {}).unwrap();
}
