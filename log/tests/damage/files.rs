//! Segments and other files that are missing, of elsewhere, or not what they should be.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

use repartee_log::{FileWriter, MarkFault, OpenError, Options, ReadError, verify};

use super::{Closed, RECORDS, is_damage_at};

#[test]
fn a_damaged_record_of_an_older_segment_is_said_to_be_when_it_is_read() {
    let closed = Closed::new();
    closed.flip(3, 70);
    let log = closed.open();
    let read = log.read(closed.appended[3].place, 0);
    assert!(matches!(&read, Err(ReadError::Damaged(damage)) if damage.file == "0000000000.log"), "{read:?}");
    assert!(matches!(log.find(4), Err(ReadError::Damaged(_))));
    assert!(matches!(verify(&*log, |_| {}), Err(ReadError::Damaged(_))));
    // The others are there.
    assert!(log.find(3).unwrap().is_some());
    assert!(log.find(50).unwrap().is_some());
}

#[test]
fn a_missing_segment_is_named() {
    let closed = Closed::new();
    let newest = closed.appended[closed.last()].place.to_u64() >> 32;
    assert!(newest > 2);
    for missing in [0, 1, newest - 1] {
        let aside = closed.dir.path().join("aside");
        fs::rename(closed.path(missing), &aside).unwrap();
        let refused = closed.refused();
        let name = format!("{missing:010}.log");
        assert!(matches!(&refused, OpenError::Missing(file) if *file == name), "{refused}");
        fs::rename(aside, closed.path(missing)).unwrap();
    }
    fs::remove_file(closed.path(newest)).unwrap();
    let refused = closed.refused();
    assert!(
        matches!(refused, OpenError::Unacknowledged(MarkFault::End { acknowledged: 60, .. })),
        "{refused}"
    );
    for segment in 0..newest {
        fs::remove_file(closed.path(segment)).unwrap();
    }
    assert!(matches!(closed.refused(), OpenError::Missing(_)));
}

#[test]
fn swapped_segments_and_those_of_another_log_are_refused() {
    let (closed, other) = (Closed::new(), Closed::new());
    let aside = closed.dir.path().join("aside");
    fs::rename(closed.path(0), &aside).unwrap();
    fs::rename(closed.path(1), closed.path(0)).unwrap();
    fs::rename(&aside, closed.path(1)).unwrap();
    is_damage_at(&closed.refused(), &closed.path(0), 0);

    let closed = Closed::new();
    fs::copy(other.path(1), closed.path(1)).unwrap();
    is_damage_at(&closed.refused(), &closed.path(1), 0);
}

#[test]
fn a_header_that_is_damaged_or_of_another_version_is_refused() {
    for (at, byte) in [(0, 0), (9, 0xff), (60, 1)] {
        let closed = Closed::new();
        File::options().write(true).open(closed.path(1)).unwrap().write_all_at(&[byte], at).unwrap();
        is_damage_at(&closed.refused(), &closed.path(1), 0);
    }
    let closed = Closed::new();
    File::options().write(true).open(closed.path(1)).unwrap().write_all_at(b"07", 6).unwrap();
    let refused = closed.refused();
    assert!(matches!(&refused, OpenError::Version { found, known: "01" } if found == "07"), "{refused}");
}

#[test]
fn a_full_segment_that_was_cut_off_is_refused() {
    let closed = Closed::new();
    let length = fs::metadata(closed.path(1)).unwrap().len();
    File::options().write(true).open(closed.path(1)).unwrap().set_len(length - 4096).unwrap();
    is_damage_at(&closed.refused(), &closed.path(1), length - 4096);
}

#[test]
fn sparse_indexes_are_made_anew_where_they_are_missing_or_damaged() {
    let closed = Closed::new();
    fs::remove_file(closed.folder().join("0000000000.idx")).unwrap();
    fs::write(closed.folder().join("0000000001.idx"), b"damaged").unwrap();
    let log = closed.open();
    for number in 1..=u64::from(RECORDS) {
        assert!(log.find(number).unwrap().is_some_and(|record| record.has(number)));
    }
}

#[test]
fn what_a_kill_leaves_of_a_file_to_be_is_removed_or_written_over() {
    let mut closed = Closed::new();
    for draft in ["next.tmp", "high-water.tmp"] {
        fs::write(closed.folder().join(draft), vec![7; 100_000]).unwrap();
    }
    closed.write(30, 2);
    assert_eq!(verify(&*closed.open(), |_| {}).unwrap().records, u64::from(RECORDS) + 30);
}

#[test]
fn a_segment_that_was_dropped_and_is_still_there_is_removed() {
    let closed = Closed::new();
    let (path, bytes) = (closed.path(0), fs::read(closed.path(0)).unwrap());
    let log = closed.open();
    let begin = log.drop_before(log.oldest().unwrap().end).unwrap();
    assert!(!path.exists());
    drop(log);
    fs::write(&path, bytes).unwrap();
    assert_eq!(closed.open().begin(), begin);
    assert!(!path.exists());
}

#[test]
fn a_link_is_not_followed() {
    let closed = Closed::new();
    let aside = closed.dir.path().join("aside");
    fs::rename(closed.path(1), &aside).unwrap();
    std::os::unix::fs::symlink(&aside, closed.path(1)).unwrap();
    assert!(matches!(closed.refused(), OpenError::Io(..)));
}

#[test]
fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let closed = Closed::new();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(closed.folder()), 0o700);
    for (name, _) in closed.snapshot() {
        assert_eq!(mode(&closed.folder().join(&name)), 0o600, "{}", name.display());
    }
}

#[test]
fn a_segment_size_that_makes_no_sense_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for segment_bytes in [0, 4096, (16 << 10) + 1, 2 << 30] {
        let refused = FileWriter::open(&Options { segment_bytes, ..Options::new(dir.path()) }).unwrap_err();
        assert!(refused.to_string().contains(&format!("segment_bytes is {segment_bytes}")), "{refused}");
    }
}
