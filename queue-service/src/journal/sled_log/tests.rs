//! What is checked against what sled itself writes, with small segments, so that there are many.

use std::{
    fs::{self, File},
    path::Path,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tempfile::TempDir;

use super::{Log, LogError, Lsn, check, remove_drafts, snapshot};

/// Values of more than a quarter of it would go to files of their own.
const SEGMENT: usize = 16 * 1024;

fn open(folder: &Path) -> sled::Db {
    loop {
        match sled::Config::new().path(folder).segment_size(SEGMENT).cache_capacity(1 << 20).open() {
            // sled gives its lock back a moment after the last handle is gone.
            Err(sled::Error::Io(_)) => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

/// Rows that are written once, and rows that are written again and again, so that segments are freed and reused.
fn write(folder: &Path, rounds: std::ops::Range<u64>) {
    let db = open(folder);
    for round in rounds {
        let mut batch = sled::Batch::default();
        batch.insert([b"once", &round.to_be_bytes()[..]].concat(), vec![1; 200]);
        for row in 0..4 {
            batch.insert(
                [b"often", &(round * row % 50).to_be_bytes()[..]].concat(),
                round.to_be_bytes().repeat(20),
            );
        }
        db.apply_batch(batch).unwrap();
        db.flush().unwrap();
    }
    drop(db);
    // sled's threads may write until they give the lock back.
    File::open(folder.join("db")).unwrap().lock().unwrap();
}

/// A log of some segments, as a killed process leaves it: with no snapshot of what it wrote last.
fn written() -> TempDir {
    let dir = TempDir::new().unwrap();
    write(dir.path(), 0..400);
    dir
}

fn survey(folder: &Path) -> Log {
    Log::survey(File::open(folder.join("db")).unwrap(), SEGMENT, snapshot(folder).unwrap()).unwrap()
}

/// Where the segments that sled will read are in the file, the oldest first.
fn segments(folder: &Path) -> Vec<usize> {
    survey(folder).segments.values().map(|offset| usize::try_from(*offset).unwrap()).collect()
}

/// All rows, where sled opens the log and can read them.
fn rows(folder: &Path) -> Option<Vec<(sled::IVec, sled::IVec)>> {
    std::panic::catch_unwind(|| open(folder).iter().collect::<Result<Vec<_>, _>>().ok()).ok().flatten()
}

fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    fs::create_dir(to.path().join("blobs")).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

fn change(folder: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let log = folder.join("db");
    let mut bytes = fs::read(&log).unwrap();
    change(&mut bytes);
    fs::write(log, bytes).unwrap();
}

#[test]
fn a_folder_without_a_log_is_no_damage() {
    check(TempDir::new().unwrap().path(), SEGMENT, true).unwrap();
}

#[test]
fn a_log_is_whole_as_sled_leaves_it_over_many_restarts() {
    let dir = TempDir::new().unwrap();
    for life in 0..8 {
        write(dir.path(), life * 150..(life + 1) * 150);
        check(dir.path(), SEGMENT, true).unwrap();
    }
    assert!(snapshot(dir.path()).unwrap() > SEGMENT as i64, "there is more than one segment, and a snapshot");
}

#[test]
fn a_write_that_was_cut_off_at_the_end_is_no_damage() {
    let dir = written();
    let newest = *segments(dir.path()).last().unwrap();
    change(dir.path(), |bytes| {
        let end = bytes.len().min(newest + SEGMENT);
        let written = bytes[newest..end].iter().rposition(|byte| *byte != 0).unwrap();
        bytes[newest + written - 10..end].fill(0);
    });
    check(dir.path(), SEGMENT, true).unwrap();
}

#[test]
fn every_flipped_bit_is_noticed_or_harmless_or_at_the_very_end() {
    let mut random = StdRng::seed_from_u64(14);
    let twice = written();
    write(twice.path(), 400..700);
    for dir in [written(), twice] {
        let whole = rows(copy(dir.path()).path()).unwrap();
        let last = |rows: &[(sled::IVec, sled::IVec)]| {
            rows.iter().rev().find(|(key, _)| key.starts_with(b"once")).map(|(key, _)| key.clone())
        };
        let (mut refused, length) = (0, fs::metadata(dir.path().join("db")).unwrap().len());
        for _ in 0..60 {
            let damaged = copy(dir.path());
            let at = random.random_range(0..usize::try_from(length).unwrap());
            change(damaged.path(), |bytes| bytes[at] ^= 1 << random.random_range(0..8));
            if check(damaged.path(), SEGMENT, true).is_err() {
                refused += 1;
            } else if let Some(rows) = rows(damaged.path()) {
                assert!(rows == whole || last(&rows) < last(&whole), "a bit at {at} changed what is read");
            }
        }
        assert!(refused > 10, "{refused}");
    }
}

#[test]
fn damage_is_told_by_its_place() {
    let dir = written();
    let oldest = segments(dir.path())[0];
    let damage = |at: usize| {
        let damaged = copy(dir.path());
        change(damaged.path(), |bytes| bytes[at] ^= 1);
        check(damaged.path(), SEGMENT, true).unwrap_err()
    };
    let header = damage(oldest + 5);
    assert!(matches!(header, LogError::Header(place) if place == oldest as u64), "{header}");
    let first = damage(oldest + 25);
    assert!(matches!(first, LogError::Entry(place) if place == oldest as u64 + 20), "{first}");
}

#[test]
fn a_log_without_the_segment_before_the_newest_is_damaged() {
    let dir = written();
    let before = segments(dir.path()).into_iter().nth_back(1).unwrap();
    change(dir.path(), |bytes| bytes[before..before + SEGMENT].fill(0));
    let error = check(dir.path(), SEGMENT, true).unwrap_err();
    assert!(matches!(error, LogError::Missing), "{error}");
}

#[test]
fn where_the_end_was_not_synced_only_what_is_older_has_to_be_whole() {
    let dir = written();
    let torn = |place: usize| {
        let damaged = copy(dir.path());
        change(damaged.path(), |bytes| bytes[place + 25] ^= 1);
        [true, false].map(|synced| check(damaged.path(), SEGMENT, synced).is_err())
    };
    let log = survey(dir.path());
    let young = |lsn: Lsn| lsn > log.complete - 8 * SEGMENT as Lsn;
    let (older, newer): (Vec<_>, Vec<_>) = log.segments.iter().partition(|(lsn, _)| !young(**lsn));
    assert_eq!(torn(usize::try_from(*older[0].1).unwrap()), [true, true]);
    assert_eq!(torn(usize::try_from(*newer[0].1).unwrap()), [true, false]);
}

#[test]
fn a_snapshot_that_was_never_finished_is_removed_before_sled_takes_it_for_damage() {
    let dir = written();
    write(dir.path(), 400..401);
    let whole = rows(copy(dir.path()).path()).unwrap();
    let draft = dir.path().join(format!("snap.{:016X}.generating", snapshot(dir.path()).unwrap() + 1_000));
    fs::write(&draft, "half").unwrap();
    assert!(rows(copy(dir.path()).path()).is_none(), "sled refuses it");
    remove_drafts(dir.path()).unwrap();
    assert!(!draft.exists());
    assert_eq!(rows(dir.path()).unwrap(), whole);
}
