//! Readers beside a sweep: what they get is whole, or they are told.

use super::Kept;
use crate::{
    domain::{
        Change, Millis, Record,
        tests::history::{Act, Commits},
    },
    journal::{Commit, Journal as _, Store, Sweepable, Tally},
};

/// Half at one site, half at another.
fn two_sites(commits: usize) -> Commits {
    (0..commits).map(|n| (1, vec![Act::Say { site: (n % 2) as u8, human: 0 }])).collect()
}

/// Sweeps all but the newest commit, one by one, while `look` looks again and again.
fn while_it_is_swept(kept: &mut Kept, stays: bool, mut look: impl FnMut(&Store, u64)) {
    let store = kept.store.clone();
    let journal = &mut kept.journal;
    std::thread::scope(|scope| {
        let sweeping = scope.spawn(move || {
            let may = Sweepable {
                to: u64::MAX,
                before: Millis::MAX,
                now: Millis::MAX,
                free: 0,
                changes: 1,
                stays: &|_| stays,
            };
            while let Some(sweep) = journal.store().sweep(&may, &Tally::default()).unwrap().sweep {
                let commit = Commit { sweep: Some(sweep), ..Commit::default() };
                journal.append(&commit, &Tally::default()).unwrap();
            }
        });
        while !sweeping.is_finished() {
            look(&store, store.begins().seq);
        }
    });
    assert_eq!(kept.store.begins().seq + 1, kept.lived.world.queue.last_seq());
}

#[test]
fn a_page_whose_beginning_is_swept_while_it_is_read_is_whole_or_none() {
    let mut kept = Kept::new();
    kept.keep(&two_sites(400));
    let all = kept.lived.changes();
    while_it_is_swept(&mut kept, false, |store, begins| {
        for domain in [None, Some("site0"), Some("site1")] {
            let is_in = |change: &&Change| domain.is_none_or(|name| change.record.content.domain == name);
            let found = store.changes_after(begins, domain, 20, &Tally::default()).unwrap();
            if let Some(found) = found {
                let expected = all.iter().filter(|change| change.seq() > begins).filter(is_in).take(20);
                assert_eq!(found.changes, expected.cloned().collect::<Vec<_>>(), "after {begins}");
            }
        }
    });
}

#[test]
fn a_page_by_time_that_is_swept_while_it_is_read_misses_nothing_that_is_kept() {
    let mut kept = Kept::new();
    kept.keep(&two_sites(400));
    let all: Vec<_> = kept.lived.messages().into_iter().cloned().collect();
    let check = |store: &Store, found: Vec<u64>, domain: Option<&str>| {
        let begins = store.begins().seq;
        let (first, last) = (found.first().copied().unwrap_or(0), found.last().copied().unwrap_or(0));
        let kept = all.iter().map(|record| &record.content).filter(|content| content.posted > begins);
        let is_in = |posted: u64| posted >= first && posted <= last;
        let of =
            kept.filter(|content| is_in(content.posted) && domain.is_none_or(|name| content.domain == name));
        let still: Vec<_> = found.iter().copied().filter(|posted| *posted > begins).collect();
        assert_eq!(still, of.map(|content| content.posted).collect::<Vec<_>>());
    };
    while_it_is_swept(&mut kept, false, |store, _| {
        for domain in [None, Some("site0")] {
            let numbers = |records: Vec<Record>| records.iter().map(|record| record.content.posted).collect();
            let page = store.posts_after(1, domain, 20, &Tally::default()).unwrap();
            check(store, numbers(page.records), domain);
            let newest = store.posts_before(u64::MAX, domain, 1_000, &Tally::default()).unwrap();
            check(store, numbers(newest.records), domain);
        }
    });
}

#[test]
fn what_stays_is_found_at_every_moment_while_what_was_before_it_is_swept() {
    let mut kept = Kept::new();
    let asks: Commits = (0..300).map(|human| (1, vec![Act::Ask { site: 0, human: human as u8 }])).collect();
    kept.keep(&asks);
    let messages: Vec<_> = kept.lived.messages().into_iter().cloned().collect();
    let mut nth = 0;
    while_it_is_swept(&mut kept, true, |store, begins| {
        for _ in 0..20 {
            nth = (nth + 7) % messages.len();
            let found = store.find(messages[nth].content.id, &Tally::default()).unwrap();
            assert_eq!(found.as_ref(), Some(&messages[nth]), "message {nth}");
        }
        // It may be told that it is too late, and is never told that something is damaged.
        let changes = store.changes_after(begins, Some("site0"), 20, &Tally::default()).unwrap();
        assert!(changes.is_none_or(|found| found.changes.len() <= 20));
    });
    assert_eq!(kept.store.live(&Tally::default()).unwrap(), messages);
}
