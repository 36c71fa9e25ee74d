//! What is left after the beginning of the log was swept is exactly what the rule says: whole commits from there on, and
//! the messages that are live or were changed since.

mod beside;
mod cases;

use proptest::prelude::*;

use super::Kept;
use crate::{
    domain::{
        Change, ChangeKind, ConversationId, Millis, Status,
        tests::{
            history::{Commits, history},
            world::is_live,
        },
    },
    journal::{
        Parts, Posts, Tally,
        index::all,
        keys::{DomainHash, List, last_number},
        stored::{StoredRun, decode},
    },
};

/// What happens beside a commit: up to which part of the log is swept with it, how much at most, and whether the process
/// ends after it.
type Sweeps = Vec<(f64, usize, bool)>;

fn sweeps(commits: usize) -> impl Strategy<Value = Sweeps> {
    prop::collection::vec((0.0..1.1, 1..12usize, prop::bool::weighted(0.1)), commits)
}

/// A new store whose log ends a part with each commit, so that each is dropped once it is swept.
fn in_parts() -> Kept {
    let mut kept = Kept::new();
    kept.journal.set_parts(Parts { every_ms: None, bytes: Some(1) });
    kept
}

fn open_again(kept: Kept) -> Kept {
    let mut kept = kept.reopen();
    kept.journal.set_parts(Parts { every_ms: None, bytes: Some(1) });
    kept
}

/// Lives through commits, with sweeps and restarts between; `look` looks at every step.
fn live(commits: &Commits, sweeps: &Sweeps, mut look: impl FnMut(&Kept)) {
    let mut kept = in_parts();
    for (nth, (commit, (part, most, killed))) in commits.iter().zip(sweeps).enumerate() {
        let to = (kept.lived.world.queue.last_seq() as f64 * part) as u64;
        kept.keep_and_sweep(commit, to, *most);
        look(&kept);
        if nth % 3 == 2 {
            kept.journal.settle();
            look(&kept);
        }
        if *killed {
            kept = open_again(kept);
            look(&kept);
        }
    }
}

/// The keys of one kind of row.
fn keys(kept: &Kept, row: u8) -> Vec<Vec<u8>> {
    let rows = kept.store.0.index.range(all(row), &Tally::default());
    rows.map(|row| row.unwrap().0.to_vec()).collect()
}

fn numbers(keys: &[Vec<u8>]) -> Vec<u64> {
    keys.iter().filter_map(|key| last_number(key)).collect()
}

/// The commits that are kept.
fn kept_commits(kept: &Kept) -> Vec<&Vec<Change>> {
    let begins = kept.store.begins().seq;
    let last = |commit: &&Vec<Change>| commit.last().is_some_and(|change| change.seq() > begins);
    kept.lived.commits.iter().filter(last).collect()
}

fn check_rows(kept: &Kept) {
    for site in ["site0", "site1"] {
        let list = List::Domain(DomainHash::of(site));
        let begins = kept.store.begins().seq;
        let listed = kept.store.0.index.numbers_from(list, begins + 1, &Tally::default());
        let is_of_site =
            |commit: &&Vec<Change>| commit.iter().any(|change| change.record.content.domain == site);
        let commits = kept_commits(kept).into_iter().filter(is_of_site);
        let lasts: Vec<_> = commits.filter_map(|commit| commit.last().map(Change::seq)).collect();
        assert_eq!(listed.map(Result::unwrap).collect::<Vec<_>>(), lasts, "commits of {site}");
    }
    let messages = kept.lived.messages();
    let posted: Vec<_> = messages.iter().map(|record| record.content.posted).collect();
    let live: Vec<_> =
        messages.iter().filter(|record| is_live(record)).map(|record| record.content.posted).collect();
    assert_eq!(numbers(&keys(kept, b'l')), live, "live work");
    let finished = messages.iter().filter(|record| record.state.work.is_some() && !is_live(record));
    let finished: Vec<_> = finished.map(|record| record.content.posted).collect();
    assert_eq!(numbers(&keys(kept, b's')), finished, "finished work");
    let failed = messages.iter().filter(|record| {
        let status = record.state.work.as_ref().map(|work| work.status);
        status == Some(Status::Failed) && !record.state.deleted && !record.state.hidden
    });
    assert_eq!(numbers(&keys(kept, b'f')), failed.map(|record| record.content.posted).collect::<Vec<_>>());
    let hidden = messages.iter().filter(|record| record.state.hidden && !record.state.deleted);
    assert_eq!(numbers(&keys(kept, b'h')), hidden.map(|record| record.content.posted).collect::<Vec<_>>());
    for row in kept.store.0.index.range(all(b'c'), &Tally::default()) {
        let (key, run) = row.unwrap();
        let run = decode::<StoredRun>(&run).unwrap().numbers;
        assert_eq!(run.last().copied(), last_number(&key));
        assert!(
            run.last().is_some_and(|last| posted.contains(last)),
            "a run without messages is left: {run:?}"
        );
    }
}

/// What is noted is what is there, and what is swept as a whole is dropped.
fn check_size(kept: &Kept) {
    let log = &kept.store.0.log;
    let (mut place, mut bytes) = (kept.store.begins().place.max(log.begin().place), 0);
    loop {
        let records = log.read(place, 1 << 20).unwrap();
        let Some(last) = records.last() else { break };
        place = last.next;
        bytes += records.iter().map(|record| record.next.to_u64() - record.place.to_u64()).sum::<u64>();
    }
    assert_eq!(kept.store.data_bytes(), bytes);
}

/// The index is what a walk through the whole log would make of it.
fn check_anew(kept: &Kept) {
    assert_eq!(kept.store.check_index(&Tally::default()).unwrap().map(|_| ()), Ok(()));
}

fn check_reading(kept: &Kept) {
    let (store, tally, begins) = (&kept.store, Tally::default(), kept.store.begins());
    let messages = kept.lived.messages();
    let (queue, log) = (&kept.lived.world.queue, &kept.lived.world.log);
    assert_eq!(store.last(&tally).unwrap(), (queue.last_seq(), queue.last_stamp()));
    let live: Vec<_> = messages.iter().copied().filter(|record| is_live(record)).cloned().collect();
    assert_eq!(store.live(&tally).unwrap(), live);
    for change in log.iter().filter(|change| change.kind == ChangeKind::Posted) {
        let id = change.record.content.id;
        let found = store.find(id, &tally).unwrap();
        assert_eq!(
            found.map(|record| record.content),
            kept.lived.world.store.get(&id).map(|r| r.content.clone())
        );
    }
    for human in ["human0", "human1", "human2"] {
        let id = ConversationId::of((human, "1"), ("bot", "default"), None);
        let of = messages.iter().filter(|record| record.content.conversation == Some(id));
        let found = store.conversation(id, u64::MAX, &tally).map(Result::unwrap);
        let mut found: Vec<_> = found.filter(|p| store.message(*p, &tally).unwrap().is_some()).collect();
        found.reverse();
        assert_eq!(found, of.map(|record| record.content.posted).collect::<Vec<_>>(), "{human}");
    }
    for seq in 0..=queue.last_seq() {
        let found = store.changes_after(seq, None, usize::MAX, &tally).unwrap();
        let later = log.iter().filter(|change| change.seq() > seq);
        let expected =
            (seq >= begins.seq).then(|| later.map(|c| kept.lived.as_read_now(c)).collect::<Vec<_>>());
        assert_eq!(found.map(|found| found.changes), expected, "changes after {seq}, {begins:?}");
    }
    let site = store.changes_after(begins.seq, Some("site0"), usize::MAX, &tally).unwrap().unwrap();
    let later = log.iter().filter(|c| c.seq() > begins.seq && c.record.content.domain == "site0");
    assert_eq!(site.changes, later.map(|change| kept.lived.as_read_now(change)).collect::<Vec<_>>());
}

/// Lists are made of the messages that are kept, page by page and in either direction, of all and of one domain.
fn check_posts(kept: &Kept) {
    for domain in [None, Some("site0"), Some("site1"), Some("nowhere")] {
        let messages = kept.lived.messages();
        let of = messages.into_iter().filter(|record| domain.is_none_or(|of| *record.content.domain == *of));
        let posts: Vec<_> = of.map(|record| (record.content.posted, record.content.timestamp)).collect();
        for limit in [1, 3, usize::MAX] {
            check_forward(kept, domain, limit, &posts);
            check_backward(kept, domain, limit, &posts);
        }
    }
}

type Post = (u64, Millis);

fn seen(posts: &Posts) -> Vec<Post> {
    posts.records.iter().map(|record| (record.content.posted, record.content.timestamp)).collect()
}

fn check_forward(kept: &Kept, domain: Option<&str>, limit: usize, posts: &[Post]) {
    let starts = posts.iter().map(|(_, stamp)| *stamp).chain([0, kept.store.begins().stamp, Millis::MAX]);
    for start in starts {
        let later: Vec<_> = posts.iter().copied().filter(|(_, stamp)| *stamp > start).collect();
        let (mut after, mut read) = (start, Vec::new());
        loop {
            let page = kept.store.posts_after(after, domain, limit, &Tally::default()).unwrap();
            read.extend(seen(&page));
            assert!(!page.more || page.records.len() >= limit, "a page is full, or the last");
            match page.records.last() {
                Some(last) if page.more => after = last.content.timestamp,
                _ => break,
            }
        }
        assert_eq!(read, later, "after {start} in {domain:?} by {limit}");
    }
}

fn check_backward(kept: &Kept, domain: Option<&str>, limit: usize, posts: &[Post]) {
    let (mut before, mut read) = (u64::MAX, Vec::new());
    loop {
        let page = kept.store.posts_before(before, domain, limit, &Tally::default()).unwrap();
        assert!(!page.more || page.records.len() >= limit, "a page is full, or the last");
        read.splice(0..0, seen(&page));
        match page.records.first() {
            Some(first) if page.more => before = first.content.posted,
            _ => break,
        }
    }
    assert_eq!(read, posts, "back in {domain:?} by {limit}");
}

/// The index by domain has the messages that are kept though their commits were swept, and no others; a log from before there
/// was one gets it at its start.
fn check_index(kept: &Kept) {
    let begins = kept.store.begins().seq;
    let messages = kept.lived.messages();
    let old = messages.iter().map(|record| record.content.posted).filter(|posted| *posted <= begins);
    let mut indexed = numbers(&keys(kept, b'b'));
    indexed.sort_unstable();
    assert_eq!(indexed, old.collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_is_what_the_rule_says_whatever_happened_and_however_often_it_restarted(
        commits in history(24), sweeps in sweeps(24),
    ) {
        live(&commits, &sweeps, |kept| {
            check_size(kept);
            check_anew(kept);
            check_rows(kept);
            check_reading(kept);
            check_posts(kept);
            check_index(kept);
        });
    }
}
