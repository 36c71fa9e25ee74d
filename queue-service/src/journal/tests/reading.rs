//! What is read back, also after a restart, is what a walk through the whole history finds.

use proptest::prelude::*;

use super::Kept;
use crate::{
    domain::{
        Change, ChangeKind, ConversationId, Millis, Record,
        tests::{
            history::{Act, Commits, history},
            world::is_live,
        },
    },
    journal::Tally,
};

/// A store that was opened again after all this had happened.
fn kept(commits: &Commits) -> Kept {
    let mut kept = Kept::new();
    kept.keep(commits);
    kept.reopen()
}

fn domains() -> [Option<&'static str>; 4] {
    [None, Some("site0"), Some("site1"), Some("nobody was here")]
}

fn is_in(record: &Record, domain: Option<&str>) -> bool {
    domain.is_none_or(|domain| record.content.domain == domain)
}

/// Whole commits, until there are at least `limit` items; and whether more commits have some.
fn page<T: Clone>(commits: &[Vec<T>], limit: usize) -> (Vec<T>, bool) {
    let (mut page, mut rest) = (Vec::new(), commits.iter().filter(|commit| !commit.is_empty()));
    while page.len() < limit {
        let Some(commit) = rest.next() else { return (page, false) };
        page.extend_from_slice(commit);
    }
    (page, rest.next().is_some())
}

/// The changes of each commit as they are read now.
fn changes_as_read(kept: &Kept, keep: impl Fn(&Change) -> bool) -> Vec<Vec<Change>> {
    let lived = &kept.lived;
    let commit = |commit: &Vec<Change>| {
        commit.iter().filter(|change| keep(change)).map(|change| lived.as_read_now(change)).collect()
    };
    lived.commits.iter().map(commit).collect()
}

/// The numbers of the messages of each commit.
fn posts(kept: &Kept, domain: Option<&str>, after: Millis) -> Vec<Vec<u64>> {
    let is_post = |change: &&Change| {
        let content = &change.record.content;
        change.kind == ChangeKind::Posted && is_in(&change.record, domain) && content.timestamp > after
    };
    let commit = |commit: &Vec<Change>| commit.iter().filter(is_post).map(Change::seq).collect();
    kept.lived.commits.iter().map(commit).collect()
}

fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.content.posted).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_finds_the_end_of_the_log_all_live_work_and_every_message(commits in history(24)) {
        let kept = kept(&commits);
        let (world, store, tally) = (&kept.lived.world, &kept.store, Tally::default());
        let queue = &world.queue;
        prop_assert_eq!(store.last(&tally).unwrap(), (queue.last_seq(), queue.last_stamp()));

        let messages = kept.lived.messages();
        let live: Vec<_> = messages.iter().copied().filter(|record| is_live(record)).cloned().collect();
        prop_assert_eq!(store.live(&tally).unwrap(), live);

        for record in messages {
            let found = store.find(record.content.id, &tally).unwrap().unwrap();
            prop_assert_eq!(&found.content, &record.content);
            if !is_live(record) {
                prop_assert_eq!(&found.state, &record.state);
            }
        }
        prop_assert_eq!(store.find(uuid::Uuid::nil(), &tally).unwrap(), None);
    }

    #[test]
    fn the_failed_are_those_that_failed_newest_first(commits in history(24), limit in 1..5usize) {
        let kept = kept(&commits);
        let failed = |record: &&Record| {
            let status = record.state.work.as_ref().map(|work| work.status);
            status == Some(crate::domain::Status::Failed) && !record.state.deleted && !record.state.hidden
        };
        let mut expected: Vec<_> = kept.lived.messages().into_iter().filter(failed).cloned().collect();
        expected.reverse();
        let tally = Tally::default();
        prop_assert_eq!(kept.store.count_failed(&tally).unwrap(), expected.len() as u64);
        prop_assert_eq!(tally.reads(), 1);
        let mut before = u64::MAX;
        for page in expected.chunks(limit) {
            prop_assert_eq!(&kept.store.failed(before, limit, &tally).unwrap()[..], page);
            before = page.last().map_or(0, |record| record.content.posted);
        }
        prop_assert!(kept.store.failed(before, limit, &tally).unwrap().is_empty() || before == u64::MAX);
    }

    #[test]
    fn the_messages_of_a_conversation_are_found_with_one_range_read(commits in history(24), n in 0..50u64) {
        let kept = kept(&commits);
        let before = 1 + n;
        for human in ["human0", "human1", "human2"] {
            let id = ConversationId::of((human, "1"), ("bot", "default"), None);
            let tally = Tally::default();
            let found: Vec<_> = kept.store.conversation(id, before, &tally).map(Result::unwrap).collect();
            prop_assert_eq!(tally.reads(), 1);
            let messages = kept.lived.messages().into_iter().rev();
            let expected: Vec<_> = messages
                .filter(|r| r.content.conversation == Some(id) && r.content.posted < before)
                .map(|record| record.content.posted)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn changes_after_a_number_are_whole_commits_with_what_is_said_now(
        commits in history(24), seq in 0..60u64, limit in 1..10usize,
    ) {
        let kept = kept(&commits);
        for domain in domains() {
            let commits =
                changes_as_read(&kept, |change| change.seq() > seq && is_in(&change.record, domain));
            let (expected, _) = page(&commits, limit);
            let found = kept.store.changes_after(seq, domain, limit, &Tally::default()).unwrap().unwrap();
            prop_assert_eq!(found.changes, expected);
        }
    }

    #[test]
    fn following_changes_page_by_page_misses_nothing(commits in history(24), limit in 1..6usize) {
        let kept = kept(&commits);
        for domain in domains() {
            let (mut seq, mut read) = (0, Vec::new());
            loop {
                let found = kept.store.changes_after(seq, domain, limit, &Tally::default()).unwrap().unwrap();
                seq = found.changes.last().map_or(seq, Change::seq);
                read.extend(found.changes);
                if !found.more {
                    break;
                }
            }
            let all = changes_as_read(&kept, |change| is_in(&change.record, domain));
            prop_assert_eq!(read, all.concat());
        }
    }

    #[test]
    fn posts_after_a_time_are_whole_commits(commits in history(24), limit in 1..6usize) {
        let kept = kept(&commits);
        let stamps = kept.lived.messages().into_iter().map(|record| record.content.timestamp);
        let times: Vec<_> = stamps.flat_map(|stamp| [stamp - 1, stamp]).chain([0, Millis::MAX]).collect();
        for (after, domain) in times.into_iter().flat_map(|after| domains().map(|domain| (after, domain))) {
            let (expected, more) = page(&posts(&kept, domain, after), limit);
            let found = kept.store.posts_after(after, domain, limit, &Tally::default()).unwrap();
            prop_assert_eq!(numbers(&found.records), expected);
            prop_assert_eq!(found.more, more);
        }
    }

    #[test]
    fn posts_before_a_message_go_back_from_there_by_whole_commits(commits in history(24), limit in 1..6usize) {
        let kept = kept(&commits);
        let numbers_of_posts = kept.lived.messages().into_iter().map(|record| record.content.posted);
        let places: Vec<_> = numbers_of_posts.chain([0, u64::MAX]).collect();
        for (before, domain) in places.into_iter().flat_map(|before| domains().map(|domain| (before, domain))) {
            let mut commits = posts(&kept, domain, 0);
            commits.iter_mut().for_each(|commit| commit.retain(|post| *post < before));
            commits.retain(|commit| !commit.is_empty());
            commits.reverse();
            let (mut expected, more) = page(&commits, limit);
            expected.sort_unstable();
            let found = kept.store.posts_before(before, domain, limit, &Tally::default()).unwrap();
            prop_assert_eq!(numbers(&found.records), expected);
            prop_assert!(found.more || !more, "there are older ones");
        }
    }

    #[test]
    fn the_newest_commits_come_back_newest_first_with_what_is_said_now_and_the_state_of_then(
        commits in history(24), stop in 1..8usize,
    ) {
        let kept = kept(&commits);
        let mut expected = kept.lived.commits.clone();
        for change in expected.iter_mut().flatten() {
            let now = kept.lived.world.record(change.record.content.id).clone();
            change.record.content = now.content;
            // What may quote a deleted text is gone with it.
            if now.state.deleted && !change.record.state.deleted && let Some(work) = &mut change.record.state.work {
                work.errors.clear();
            }
            change.request = None;
        }
        expected.retain(|commit| !commit.is_empty());
        expected.reverse();
        expected.truncate(stop);
        let mut taken = Vec::new();
        kept.store
            .newest_commits(&Tally::default(), |commit| {
                taken.push(commit);
                taken.len() < stop
            })
            .unwrap();
        prop_assert_eq!(taken, expected);
    }
}

#[test]
fn finding_a_time_in_a_long_log_takes_a_logarithm_of_reads() {
    let mut kept = Kept::new();
    let commits: Commits = (0..500).map(|_| (10, vec![Act::Say { site: 0, human: 0 }])).collect();
    kept.keep(&commits);
    let after = kept.lived.messages()[498].content.timestamp;
    let tally = Tally::default();
    let found = kept.store.posts_after(after, None, 10, &tally).unwrap();
    assert_eq!(numbers(&found.records), [500]);
    assert!(tally.reads() <= 13, "{} reads", tally.reads());
}

#[test]
fn a_commit_of_thousands_of_messages_survives_a_restart() {
    let mut kept = Kept::new();
    kept.keep(&[(0, vec![Act::Ask { site: 0, human: 0 }; 5_000])]);
    let kept = kept.reopen();
    assert_eq!(kept.store.last(&Tally::default()).unwrap().0, 5_000);
    assert_eq!(kept.store.live(&Tally::default()).unwrap().len(), 5_000);
}

#[test]
fn a_long_conversation_is_found_whole_before_and_after_a_restart() {
    let mut kept = Kept::new();
    let commit = (0, (0..300).map(|n| Act::Ask { site: 0, human: (n % 3) as u8 }).collect::<Vec<_>>());
    kept.keep(&vec![commit; 60]);
    let id = ConversationId::of(("human0", "1"), ("bot", "default"), None);
    let expected: Vec<_> = (0..6_000).rev().map(|n| 3 * n + 1).collect();
    let found = |kept: &Kept| -> Vec<_> {
        kept.store.conversation(id, u64::MAX, &Tally::default()).map(Result::unwrap).collect()
    };
    assert_eq!(found(&kept), expected);
    assert_eq!(found(&kept.reopen()), expected);
}

#[test]
fn requests_are_found_by_key_and_listed_in_pages() {
    use crate::journal::{Commit, Journal as _};
    let mut kept = Kept::new();
    let world = &mut kept.lived.world;
    let keys: Vec<_> = (1..=5).map(|n| crate::domain::RequestKey([n; 16])).collect();
    for key in &keys {
        let request = crate::domain::Request { key: *key, fingerprint: key.0, before: None };
        world.try_post(crate::domain::tests::world::remark("ann"), Some(request)).unwrap();
    }
    let changes = world.log.clone();
    let stored: Vec<_> = changes.iter().filter_map(|change| change.request.clone()).collect();
    let append = |journal: &mut crate::journal::LogJournal, changes, forget| {
        journal
            .append(&Commit { stamp: 1, changes, forget, ..Commit::default() }, &Tally::default())
            .unwrap();
    };
    append(&mut kept.journal, changes, Vec::new());
    let mut kept = kept.reopen();
    let tally = Tally::default();
    assert_eq!(kept.store.find_request(keys[2], &tally).unwrap().as_ref(), Some(&stored[2]));
    assert_eq!(kept.store.requests_after(None, 3, &tally).unwrap(), stored[..3]);
    assert_eq!(kept.store.requests_after(Some(keys[2]), 3, &tally).unwrap(), stored[3..]);
    append(&mut kept.journal, Vec::new(), vec![keys[2]]);
    assert_eq!(kept.store.find_request(keys[2], &tally).unwrap(), None);
    assert_eq!(kept.store.last(&tally).unwrap().0, 5, "forgetting is no change");
}
