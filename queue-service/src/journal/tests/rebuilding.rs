//! The index is derived: whatever becomes of it, what is read is the same.

use std::fs;

use proptest::prelude::*;

use super::{Kept, open};
use crate::{
    domain::{
        Change, ConversationId, Record, Status,
        tests::{
            history::{Commits, history},
            world::is_live,
        },
    },
    journal::{self, Durability, Tally},
};

/// What becomes of the index after a commit.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Nothing,
    /// It is written, whole.
    Settled,
    /// The process ends in order.
    Stopped,
    /// The process is killed: what was not written is lost.
    Killed,
    /// It is killed after the rows were written and before the checkpoint was.
    KilledHalfway,
    /// It is lost as a whole.
    Lost,
    /// Its files are damaged.
    Damaged,
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Nothing),
        2 => Just(Fate::Settled),
        1 => Just(Fate::Stopped),
        1 => Just(Fate::Killed),
        1 => Just(Fate::KilledHalfway),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Damaged),
    ]
}

fn meet(mut kept: Kept, fate: Fate) -> Kept {
    match fate {
        Fate::Nothing => return kept,
        Fate::Settled => {
            kept.journal.settle();
            return kept;
        }
        Fate::Stopped => {}
        Fate::Killed => kept.journal.stop_settling(),
        Fate::KilledHalfway => {
            kept.journal.stop_settling();
            kept.store.0.settle_without_checkpoint().unwrap();
        }
        Fate::Lost | Fate::Damaged => kept.journal.stop_settling(),
    }
    let Kept { lived, journal, store, dir } = kept;
    drop((journal, store));
    let index = dir.path().join("index");
    match fate {
        Fate::Lost => fs::remove_dir_all(&index).unwrap(),
        Fate::Damaged => {
            // sled gives its files back a moment after the last handle is gone.
            drop(open(&dir));
            fs::write(index.join("conf"), "not what it was").unwrap();
        }
        _ => {}
    }
    let journal = open(&dir);
    let store = journal.store().clone();
    Kept { lived, journal, store, dir }
}

/// Everything that can be asked for is answered as a walk through the whole history answers it.
fn check(kept: &Kept) {
    let (store, tally, queue) = (&kept.store, Tally::default(), &kept.lived.world.queue);
    assert_eq!(store.last(&tally).unwrap(), (queue.last_seq(), queue.last_stamp()));
    let messages = kept.lived.messages();
    let live: Vec<_> = messages.iter().copied().filter(|record| is_live(record)).cloned().collect();
    assert_eq!(store.live(&tally).unwrap(), live);
    for record in &messages {
        let found = store.find(record.content.id, &tally).unwrap().unwrap();
        assert_eq!(&found.content, &record.content);
        if !is_live(record) {
            assert_eq!(&found.state, &record.state);
        }
    }
    let is_failed = |record: &&Record| {
        let status = record.state.work.as_ref().map(|work| work.status);
        status == Some(Status::Failed) && !record.state.deleted && !record.state.hidden
    };
    let mut failed: Vec<_> = messages.iter().copied().filter(is_failed).cloned().collect();
    failed.reverse();
    assert_eq!(store.failed(u64::MAX, usize::MAX, &tally).unwrap(), failed);
    for human in ["human0", "human1", "human2"] {
        let id = ConversationId::of((human, "1"), ("bot", "default"), None);
        let found: Vec<_> = store.conversation(id, u64::MAX, &tally).map(Result::unwrap).collect();
        let of = messages.iter().rev().filter(|record| record.content.conversation == Some(id));
        assert_eq!(found, of.map(|record| record.content.posted).collect::<Vec<_>>(), "{human}");
    }
    for domain in [None, Some("site0"), Some("site1")] {
        let is_in = |change: &Change| domain.is_none_or(|name| change.record.content.domain == name);
        let changes: Vec<_> = kept.lived.changes().into_iter().filter(is_in).collect();
        let found = store.changes_after(0, domain, usize::MAX, &tally).unwrap().unwrap();
        assert_eq!(found.changes, changes);
        let posted: Vec<_> =
            messages.iter().filter(|record| domain.is_none_or(|of| record.content.domain == of)).collect();
        let found = store.posts_before(u64::MAX, domain, usize::MAX, &tally).unwrap().records;
        assert_eq!(
            found.iter().map(|record| record.content.posted).collect::<Vec<_>>(),
            posted.iter().map(|record| record.content.posted).collect::<Vec<_>>()
        );
    }
    assert_eq!(store.check_index(&tally).unwrap().map(|_| ()), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_read_is_the_same_whatever_becomes_of_the_index(
        commits in history(16), fates in prop::collection::vec(fates(), 16),
    ) {
        let mut kept = Kept::new();
        for (commit, fate) in commits.iter().zip(fates) {
            kept.keep(std::slice::from_ref(commit));
            check(&kept);
            kept = meet(kept, fate);
            check(&kept);
        }
    }
}

#[test]
fn an_index_that_is_made_anew_on_demand_is_the_same_and_tells_how_far_it_is() {
    let mut kept = Kept::new();
    let commits: Commits = (0..200)
        .map(|n| (1, vec![crate::domain::tests::history::Act::Ask { site: n % 2, human: n % 3 }]))
        .collect();
    kept.keep(&commits);
    let Kept { lived, journal, store, dir } = kept.reopen();
    drop((journal, store));
    let mut told = Vec::new();
    let journal = loop {
        match journal::rebuild_index(dir.path(), Durability::Process, &mut |done, total| {
            told.push((done, total))
        }) {
            Err(journal::OpenError::InUse(_)) => std::thread::yield_now(),
            rebuilt => break rebuilt.unwrap(),
        }
    };
    let store = journal.store().clone();
    assert!(told.iter().all(|(done, total)| done <= total) && !told.is_empty());
    check(&Kept { lived, journal, store, dir });
}
