//! The high-water mark: when it moves, and which logs it refuses.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;

use super::open;
use crate::{
    domain::tests::history::{Act, Lived},
    journal::{Commit, Durability, HighWater, Journal, JournalError, Marked, OpenError, SledStore, Tally},
};

/// A log with its mark, and what is written to it.
struct Kept {
    lived: Lived,
    journal: Marked<SledStore>,
    dir: TempDir,
}

impl Kept {
    fn new(durability: Durability) -> Self {
        let dir = TempDir::new().unwrap();
        let mut store = open(&dir);
        let lived = Lived::new(store.ids().clone());
        let mark = HighWater::open(dir.path(), &mut store, &Tally::default()).unwrap();
        let journal = Marked::new(store, mark, dir.path(), durability).unwrap();
        Self { lived, journal, dir }
    }

    fn say(&mut self) {
        let changes = self.lived.live(1, &[Act::Say { site: 0, human: 0 }]).to_vec();
        let commit = Commit { stamp: self.lived.world.queue.last_stamp(), changes, ..Commit::default() };
        self.journal.append(&commit, &Tally::default()).unwrap();
    }

    fn mark(&self) -> String {
        fs::read_to_string(file(self.dir.path())).unwrap()
    }

    /// Ends in order, after so many posts.
    fn closed(durability: Durability, posts: usize) -> TempDir {
        let mut kept = Self::new(durability);
        (0..posts).for_each(|_| kept.say());
        kept.dir
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("high-water")
}

/// What is said against the log, and how the log is named where nothing is.
fn judged(dir: &TempDir) -> Result<Arc<str>, String> {
    let mut store = open(dir);
    match HighWater::open(dir.path(), &mut store, &Tally::default()) {
        Ok(_) => Ok(Arc::clone(store.epoch())),
        Err(OpenError::Damaged(_, cause)) => Err(cause.to_string()),
        Err(other) => panic!("{other}"),
    }
}

/// Sets the mark elsewhere: above the log, it is as if the end of the log had been lost.
fn mark_at(dir: &TempDir, mark: &str, seq: u64) {
    let epoch = &mark[..16];
    let said = format!("{epoch} {seq:020}");
    fs::write(file(dir.path()), format!("{said} {:08x}\n", crc32fast::hash(said.as_bytes()))).unwrap();
}

#[test]
fn with_power_durability_every_commit_is_marked() {
    let mut kept = Kept::new(Durability::Power);
    for seq in 1..=3_u64 {
        kept.say();
        assert!(kept.mark().contains(&format!(" {seq:020} ")), "{}", kept.mark());
    }
}

#[test]
fn with_process_durability_the_mark_may_stay_behind_until_a_clean_stop() {
    let mut kept = Kept::new(Durability::Process);
    (0..3).for_each(|_| kept.say());
    let Kept { journal, dir, .. } = kept;
    drop(journal);
    let mark = fs::read_to_string(file(dir.path())).unwrap();
    assert!(mark.contains(&format!(" {:020} ", 3)), "{mark}");
}

#[test]
fn a_log_that_reaches_its_mark_goes_on_under_its_name() {
    let dir = Kept::closed(Durability::Power, 3);
    let name = judged(&dir).unwrap();
    assert_eq!(judged(&dir).unwrap(), name);
}

#[test]
fn a_log_that_goes_beyond_its_mark_is_whole_for_a_kill_may_come_between_the_two() {
    let dir = Kept::closed(Durability::Power, 3);
    let mark = fs::read_to_string(file(dir.path())).unwrap();
    mark_at(&dir, &mark, 2);
    judged(&dir).unwrap();
    assert_eq!(fs::read_to_string(file(dir.path())).unwrap(), mark, "readers see all of it now");
}

#[test]
fn a_log_that_ends_before_its_mark_is_refused_again_and_again_and_nothing_is_changed() {
    let dir = Kept::closed(Durability::Power, 3);
    let mark = fs::read_to_string(file(dir.path())).unwrap();
    mark_at(&dir, &mark, 7);
    for _ in 0..2 {
        let said = judged(&dir).unwrap_err();
        assert!(said.contains("ends with change 3, but change 7 was acknowledged"), "{said}");
        assert!(said.contains("remove the file high-water"), "{said}");
    }
}

#[test]
fn an_empty_log_where_there_was_one_is_refused() {
    let old = Kept::closed(Durability::Power, 3);
    let new = TempDir::new().unwrap();
    fs::copy(file(old.path()), file(new.path())).unwrap();
    let said = judged(&new).unwrap_err();
    assert!(said.contains("it was lost or replaced"), "{said}");
}

#[test]
fn a_log_whose_mark_was_removed_goes_on_under_a_new_name() {
    let dir = Kept::closed(Durability::Power, 3);
    let name = judged(&dir).unwrap();
    fs::remove_file(file(dir.path())).unwrap();
    let renamed = judged(&dir).unwrap();
    assert_ne!(renamed, name);
    assert_eq!(judged(&dir).unwrap(), renamed, "and keeps it");
}

#[test]
fn a_damaged_mark_is_refused() {
    let dir = Kept::closed(Durability::Power, 3);
    let whole = fs::read(file(dir.path())).unwrap();
    for bit in (0..whole.len() * 8).step_by(7) {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(file(dir.path()), flipped).unwrap();
        let said = judged(&dir).unwrap_err();
        assert!(said.contains("its file high-water is damaged"), "{said}");
    }
    for length in [0, 16, whole.len() - 1] {
        fs::write(file(dir.path()), &whole[..length]).unwrap();
        assert!(judged(&dir).unwrap_err().contains("its file high-water is damaged"));
    }
}

/// A journal that fails.
struct Failing;

impl Journal for Failing {
    fn append(&mut self, _: &Commit, _: &Tally) -> Result<(), JournalError> {
        Err(JournalError::Sync(Arc::new(std::io::Error::other("no space left on device"))))
    }
}

#[test]
fn a_commit_that_failed_is_not_marked() {
    let Kept { mut lived, journal, dir } = Kept::new(Durability::Power);
    drop(journal);
    let mut store = open(&dir);
    let mark = HighWater::open(dir.path(), &mut store, &Tally::default()).unwrap();
    let mut failing = Marked::new(Failing, mark, dir.path(), Durability::Power).unwrap();
    let changes = lived.live(1, &[Act::Say { site: 0, human: 0 }]).to_vec();
    let commit = Commit { stamp: 1, changes, ..Commit::default() };
    failing.append(&commit, &Tally::default()).unwrap_err();
    drop(failing);
    let mark = fs::read_to_string(file(dir.path())).unwrap();
    assert!(mark.contains(&format!(" {:020} ", 0)), "{mark}");
}
