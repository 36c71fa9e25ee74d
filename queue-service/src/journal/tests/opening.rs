//! Opening a data directory: the first time, again, twice at once, and where it is no good.

use std::{collections::BTreeMap, fs, path::Path};

use tempfile::TempDir;

use super::{Kept, open};
use crate::{
    domain::tests::history::Act,
    journal::{Commit, Durability, Journal, OpenError, SledStore, Tally},
};

#[test]
fn a_new_store_is_empty_and_has_a_name() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let tally = Tally::default();
    assert_eq!(store.last(&tally).unwrap(), (0, 0));
    assert!(store.live(&tally).unwrap().is_empty());
    assert_eq!(store.epoch().len(), 16);
}

#[test]
fn the_directory_is_created_with_the_folders_above_it() {
    let dir = TempDir::new().unwrap();
    let deep = dir.path().join("a/b/c");
    SledStore::open(&deep, Durability::Power, &Tally::default()).unwrap();
    assert!(deep.join("db").exists());
}

#[test]
fn the_epoch_stays_and_every_log_has_its_own() {
    let kept = Kept::new();
    let epoch = kept.store.epoch().clone();
    let kept = kept.reopen();
    assert_eq!(*kept.store.epoch(), epoch);
    assert_ne!(*Kept::new().store.epoch(), epoch);
}

#[test]
fn a_second_open_of_the_same_directory_is_refused_as_in_use() {
    let kept = Kept::new();
    let second = SledStore::open(kept.dir.path(), Durability::Process, &Tally::default()).err();
    assert!(matches!(second, Some(OpenError::InUse(_))), "{second:?}");
}

#[test]
fn a_directory_that_is_a_file_is_refused_as_a_directory() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "data of somebody").unwrap();
    let refused = SledStore::open(&file, Durability::Process, &Tally::default()).err();
    assert!(matches!(refused, Some(OpenError::Directory(..))), "{refused:?}");
    assert_eq!(fs::read(&file).unwrap(), b"data of somebody");
}

#[test]
fn with_either_durability_what_was_appended_is_there_after_a_restart() {
    for durability in [Durability::Power, Durability::Process] {
        let dir = TempDir::new().unwrap();
        let mut store = SledStore::open(dir.path(), durability, &Tally::default()).unwrap();
        let mut lived = crate::domain::tests::history::Lived::new(crate::domain::tests::world::ids());
        let changes = lived.live(0, &[Act::Say { site: 0, human: 0 }]).to_vec();
        let stamp = changes[0].record.content.timestamp;
        store.append(&Commit { stamp, changes, ..Commit::default() }, &Tally::default()).unwrap();
        drop(store);
        assert_eq!(open(&dir).last(&Tally::default()).unwrap(), (1, stamp));
    }
}

/// A directory whose store held something and was closed.
fn closed() -> TempDir {
    let mut kept = Kept::new();
    let acts: Vec<_> = (0..20).map(|human| Act::Ask { site: 0, human }).collect();
    kept.keep(&[(0, acts)]);
    let Kept { dir, .. } = kept.reopen();
    drop(open(&dir));
    dir
}

/// The files of a directory and what is in them.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            files.insert(entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
        }
    }
    files
}

#[test]
fn a_damaged_configuration_is_said_to_be_damaged_and_nothing_is_deleted() {
    let dir = closed();
    fs::write(dir.path().join("conf"), "not what it was").unwrap();
    let before = files(dir.path());
    let refused = SledStore::open(dir.path(), Durability::Process, &Tally::default()).err();
    assert!(matches!(refused, Some(OpenError::Damaged(..))), "{refused:?}");
    assert_eq!(files(dir.path()), before);
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_nothing_is_deleted() {
    let dir = closed();
    let raw = sled::Config::new().path(dir.path()).segment_size(8 << 20).open().unwrap();
    raw.insert([b'e'], &[3][..]).unwrap();
    raw.flush().unwrap();
    drop(raw);
    let refused = loop {
        match SledStore::open(dir.path(), Durability::Process, &Tally::default()) {
            Err(OpenError::InUse(_)) => std::thread::yield_now(),
            other => break other.err(),
        }
    };
    let Some(refused @ OpenError::OtherVersion(..)) = refused else { panic!("{refused:?}") };
    assert_eq!(
        repartee_process::error_chain(&refused),
        format!(
            "the store in {} was written by another version of this program, and nothing was changed: a stored row cannot be \
             read: it has format version 3, this program reads 2; start the version that wrote it, or a newer one",
            dir.path().display()
        )
    );
}

#[test]
fn a_damaged_log_is_said_to_be_damaged_and_no_file_is_deleted() {
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.fill(0xab),
        |bytes| bytes.clear(),
        |bytes| bytes[..200].fill(0xcd),
        |bytes| bytes[100..].fill(0),
        |bytes| {
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
            bytes[end / 2..end / 2 + 100].fill(0xef);
        },
    ];
    for damage in damages {
        let dir = closed();
        let log = dir.path().join("db");
        let mut bytes = fs::read(&log).unwrap();
        damage(&mut bytes);
        fs::write(&log, &bytes).unwrap();
        let before = files(dir.path());
        let refused = SledStore::open(dir.path(), Durability::Process, &Tally::default()).err();
        assert!(matches!(refused, Some(OpenError::Damaged(..))), "{refused:?}");
        let after = files(dir.path());
        assert!(before.keys().all(|name| after.contains_key(name)), "every file is still there");
        assert_eq!(after["db"].len(), bytes.len());
    }
}
