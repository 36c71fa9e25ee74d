//! Opening a data directory: the first time, again, twice at once, and where it is no good.

use std::{collections::BTreeMap, fs, path::Path};

use repartee_log::{Draft, FileWriter, Kind, LogWriter as _, Options};
use tempfile::TempDir;

use super::{Kept, open};
use crate::{
    domain::tests::history::Act,
    journal::{self, Commit, Durability, Journal as _, OpenError, Tally},
};

#[test]
fn a_new_store_is_empty_and_has_a_name() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir);
    let (store, tally) = (journal.store(), Tally::default());
    assert_eq!(store.last(&tally).unwrap(), (0, 0));
    assert!(store.live(&tally).unwrap().is_empty());
    assert_eq!(store.epoch().len(), 16);
}

#[test]
fn the_directory_is_created_with_the_folders_above_it() {
    let dir = TempDir::new().unwrap();
    let deep = dir.path().join("a/b/c");
    journal::open(&deep, Durability::Power, &Tally::default()).unwrap();
    assert!(deep.join("log").is_dir() && deep.join("index").is_dir());
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
    let second = journal::open(kept.dir.path(), Durability::Process, &Tally::default()).err();
    assert!(matches!(second, Some(OpenError::InUse(_))), "{second:?}");
}

#[test]
fn a_directory_that_is_a_file_is_refused_as_a_directory() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "data of somebody").unwrap();
    let refused = journal::open(&file, Durability::Process, &Tally::default()).err();
    assert!(matches!(refused, Some(OpenError::Directory(..))), "{refused:?}");
    assert_eq!(fs::read(&file).unwrap(), b"data of somebody");
}

#[test]
fn with_either_durability_what_was_appended_is_there_after_a_restart() {
    for durability in [Durability::Power, Durability::Process] {
        let dir = TempDir::new().unwrap();
        let mut journal = journal::open(dir.path(), durability, &Tally::default()).unwrap();
        let mut lived = crate::domain::tests::history::Lived::new(crate::domain::tests::world::ids());
        let changes = lived.live(0, &[Act::Say { site: 0, human: 0 }]).to_vec();
        let stamp = changes[0].record.content.timestamp;
        journal.append(&Commit { stamp, changes, ..Commit::default() }, &Tally::default()).unwrap();
        drop(journal);
        assert_eq!(open(&dir).store().last(&Tally::default()).unwrap(), (1, stamp));
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

/// The files of a folder and what is in them.
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

/// Why a directory is not opened.
fn refused(dir: &TempDir) -> OpenError {
    loop {
        match journal::open(dir.path(), Durability::Process, &Tally::default()) {
            Err(OpenError::InUse(_)) => std::thread::yield_now(),
            opened => return opened.map(drop).unwrap_err(),
        }
    }
}

#[test]
fn the_store_of_a_version_before_there_was_a_log_is_refused_by_name_and_left_as_it_is() {
    let dir = TempDir::new().unwrap();
    for file in ["db", "conf", "high-water"] {
        fs::write(dir.path().join(file), "of an older version").unwrap();
    }
    let before = files(dir.path());
    let refused = refused(&dir);
    assert!(matches!(refused, OpenError::Before(_)), "{refused}");
    assert!(refused.to_string().contains("Choose another --data-dir"), "{refused}");
    assert_eq!(files(dir.path()), before);
    assert!(!dir.path().join("log").exists());
}

#[test]
fn a_log_of_a_newer_version_is_refused_and_nothing_is_changed() {
    let dir = TempDir::new().unwrap();
    let mut writer = FileWriter::open(&Options::new(dir.path().join("log"))).unwrap();
    let mut draft = Draft::new(Kind::Commit, 1, 5);
    draft.head().push(4);
    writer.append(&draft).unwrap();
    drop(writer);
    let before = files(&dir.path().join("log"));
    let refused = refused(&dir);
    assert!(matches!(refused, OpenError::OtherVersion(..)), "{refused}");
    assert_eq!(
        repartee_process::error_chain(&refused),
        format!(
            "the store in {} was written by another version of this program, and nothing was changed: something stored cannot \
             be read: it has format version 4, this program reads 3; start the version that wrote it, or a newer one",
            dir.path().display()
        )
    );
    let after = files(&dir.path().join("log"));
    assert_eq!(after["0000000000.log"], before["0000000000.log"]);
    assert!(!dir.path().join("index").exists());
}

#[test]
fn a_damaged_log_is_said_to_be_damaged_and_no_file_is_changed() {
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.fill(0xab),
        |bytes| bytes.clear(),
        |bytes| bytes[..200].fill(0xcd),
        |bytes| bytes[4_100..4_200].fill(0xef),
    ];
    for damage in damages {
        let dir = closed();
        let log = dir.path().join("log/0000000000.log");
        let mut bytes = fs::read(&log).unwrap();
        damage(&mut bytes);
        fs::write(&log, &bytes).unwrap();
        let before = files(&dir.path().join("log"));
        let refused = refused(&dir);
        assert!(matches!(refused, OpenError::Damaged(..) | OpenError::Unacknowledged(..)), "{refused:?}");
        assert_eq!(files(&dir.path().join("log")), before);
    }
}

#[test]
fn a_log_that_ends_before_what_was_acknowledged_is_refused_until_it_is_adopted() {
    let mut kept = Kept::new();
    kept.keep(&[(0, vec![Act::Say { site: 0, human: 0 }])]);
    let kept = kept.reopen();
    let (dir, epoch) = (kept.dir.path().to_owned(), kept.store.epoch().clone());
    let older = files(&dir.join("log"));
    let mut kept = kept;
    kept.keep(&[(1, vec![Act::Say { site: 0, human: 1 }])]);
    let Kept { dir, journal, store, .. } = kept;
    drop((journal, store));
    let log = |name: &str| dir.path().join("log").join(name);
    fs::write(log("0000000000.log"), &older["0000000000.log"]).unwrap();
    for _ in 0..2 {
        let refused = refused(&dir);
        let OpenError::Unacknowledged(_, why) = &refused else { panic!("{refused:?}") };
        assert!(why.to_string().contains("ends with number 1, but number 2 was acknowledged"), "{why}");
        assert!(refused.to_string().contains("--adopt"), "{refused}");
    }
    let (adopted, before) = journal::adopt(dir.path(), Durability::Process, &mut |_, _| {}).unwrap();
    assert_eq!(*before, *epoch);
    let renamed = adopted.store().epoch().clone();
    assert_ne!(renamed, epoch, "whoever read what is gone begins anew");
    assert_eq!(adopted.store().last(&Tally::default()).unwrap().0, 1);
    drop(adopted);
    assert_eq!(*open(&dir).store().epoch(), renamed, "and it keeps that name");
}

#[test]
fn an_index_of_another_way_that_the_log_went_is_made_anew() {
    let mut kept = Kept::new();
    kept.keep(&[(0, vec![Act::Ask { site: 0, human: 0 }])]);
    let mut kept = kept.reopen();
    let older = files(&kept.dir.path().join("log"));
    kept.keep(&[(1, vec![Act::Say { site: 0, human: 1 }, Act::Cancel(1)])]);
    let Kept { dir, journal, store, .. } = kept;
    drop((journal, store));
    for (name, bytes) in older {
        fs::write(dir.path().join("log").join(name), bytes).unwrap();
    }
    let journal = open(&dir);
    let (store, tally) = (journal.store(), Tally::default());
    assert_eq!(store.last(&tally).unwrap().0, 1);
    assert_eq!(store.live(&tally).unwrap().len(), 1, "the index does not say that it was cancelled");
    assert_eq!(store.count_failed(&tally).unwrap(), 0);
}
