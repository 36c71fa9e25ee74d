//! Records and bodies that are not what was written.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

use repartee_log::{Body, BodyAt, Draft, Durability, FileWriter, Kind, LogWriter as _, Options, verify};

use super::{Closed, LENGTH, RECORDS, draft, ends_early, is_damage_at};

/// Places in a record: length, checksum, salt, first number, stamp, chain, table, head, first body, second body, end.
const EVERYWHERE: [u64; 11] = [0, 5, 9, 17, 33, 41, 50, 70, 500, 2100, 2167];

#[test]
fn a_last_record_that_was_not_acknowledged_and_is_torn_is_cut_off() {
    let mut whole = Closed::new();
    whole.forget_the_last_answer();
    let all = whole.appended.len() as u64;
    for at in EVERYWHERE {
        for damage in [
            (|closed, at| closed.flip(closed.last(), at)) as fn(&Closed, u64),
            |closed, at| {
                let (path, range) = closed.bytes_of(closed.last());
                File::options().write(true).open(path).unwrap().set_len(range.start + at).unwrap();
            },
            // Zeros from there on, or only there.
            |closed, at| closed.overwrite(closed.last(), at, &vec![0; LENGTH - at as usize]),
            |closed, at| closed.overwrite(closed.last(), at, &[0]),
        ] {
            let mut closed = whole.copied();
            damage(&closed, at);
            let is_changed = closed.snapshot() != whole.snapshot();
            let log = closed.open();
            let last = log.end().last;
            assert_eq!(last, all - u64::from(is_changed), "byte {at}");
            assert_eq!(verify(&*log, |_| {}).unwrap().damaged, 0);
            drop(log);
            closed.write(1, 3);
            let verified = verify(&*closed.open(), |_| {}).unwrap();
            assert_eq!((verified.records, verified.damaged), (last + 1, 0));
        }
    }
}

#[test]
fn a_last_record_that_was_acknowledged_and_is_damaged_is_refused() {
    let whole = Closed::new();
    for at in [5, 9, 17, 70] {
        let closed = whole.copied();
        closed.flip(closed.last(), at);
        ends_early(&closed.refused(), &closed);
        let (path, range) = closed.bytes_of(closed.last());
        File::options().write(true).open(path).unwrap().set_len(range.start + at).unwrap();
        ends_early(&closed.refused(), &closed);
    }
}

#[test]
fn a_damaged_record_that_others_follow_is_refused_with_its_place() {
    let whole = Closed::new();
    for at in [0, 5, 9, 17, 33, 41, 50, 70, 2167] {
        let closed = whole.copied();
        let nth = closed.last() - 2;
        closed.flip(nth, at);
        let (path, range) = closed.bytes_of(nth);
        is_damage_at(&closed.refused(), &path, range.start);
    }
}

#[test]
fn a_damaged_body_that_was_acknowledged_is_shown_as_damaged() {
    let closed = Closed::new();
    let nth = closed.last() - 2;
    closed.flip(nth, 500);
    let log = closed.open();
    let record = &log.read(closed.appended[nth].place, 0).unwrap()[0];
    assert_eq!(record.bodies[0], Body::Damaged);
    assert!(matches!(record.bodies[1], Body::Whole(_)));
    let verified = verify(&*log, |_| {}).unwrap();
    assert_eq!((verified.damaged, verified.first_damaged), (1, Some(record.place)));
}

#[test]
fn a_body_that_was_torn_while_it_was_erased_can_be_erased_again() {
    // In the last record, and in one that others follow.
    for behind in [0, 2] {
        let mut closed = Closed::new();
        let nth = closed.last() - behind;
        closed.overwrite(nth, 600, &[0; 512]);
        let log = closed.open();
        let at = BodyAt { record: closed.appended[nth].place, body: 0 };
        assert_eq!(log.read(at.record, 0).unwrap()[0].bodies[0], Body::Damaged);
        log.erase(&[at]).unwrap();
        assert_eq!(log.read(at.record, 0).unwrap()[0].bodies[0], Body::Erased);
        drop(log);
        closed.write(2, 3);
        let verified = verify(&*closed.open(), |_| {}).unwrap();
        assert_eq!((verified.damaged, verified.erased), (0, 1));
    }
}

#[test]
fn an_erased_text_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    for durability in [Durability::Power, Durability::Process] {
        let folder = dir.path().join(format!("{durability:?}"));
        let mut writer =
            FileWriter::open(&Options { durability, segment_bytes: 32 << 10, ..Options::new(&folder) })
                .unwrap();
        let mut secret = Draft::new(Kind::Commit, 1, 7);
        secret.add_body(|buffer| buffer.extend_from_slice(b"nobody shall read this"));
        let contains = |folder: &Path| {
            let files = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
            files.into_iter().any(|bytes| bytes.windows(22).any(|text| text == b"nobody shall read this"))
        };
        // In a full segment, in the block that is written to, and between.
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(writer.append(&secret).unwrap().place);
            for _ in 0..20 {
                writer.append(&draft(1)).unwrap();
            }
        }
        places.push(writer.append(&secret).unwrap().place);
        assert!(contains(&folder));
        let bodies: Vec<_> = places.into_iter().map(|record| BodyAt { record, body: 0 }).collect();
        writer.log().erase(&bodies).unwrap();
        assert!(!contains(&folder));
        writer.append(&draft(1)).unwrap();
        assert!(!contains(&folder), "the next record brings it back");
    }
}

#[test]
fn garbage_behind_the_end_is_blanked() {
    let mut closed = Closed::new();
    let (path, range) = closed.bytes_of(closed.last());
    let garbage: Vec<u8> = (0..9000_u32).map(|nth| ((nth * 7919) >> 3) as u8).collect();
    File::options().write(true).open(&path).unwrap().write_all_at(&garbage, range.end).unwrap();
    assert_eq!(closed.open().end().last, u64::from(RECORDS));
    assert!(fs::read(path).unwrap()[range.end as usize..].iter().all(|byte| *byte == 0));
    closed.write(3, 3);
    assert_eq!(verify(&*closed.open(), |_| {}).unwrap().records, u64::from(RECORDS) + 3);
}
