//! What is left after the beginning of the log was swept is exactly what the rule says: whole commits from there on, and
//! the messages that are live or were changed since.

use proptest::prelude::*;

use super::Kept;
use crate::{
    domain::{
        Change, ChangeKind, ConversationId, Millis, Record, Status,
        tests::{
            history::{Act, Commits, history},
            world::is_live,
        },
    },
    journal::{
        Beginning, Commit, Journal, Oldest, Sweepable, Tally,
        keys::last_number,
        sled_store::all,
        stored::{StoredRun, decode},
    },
};

/// What happens beside a commit: up to which part of the log is swept with it, how much at most, and whether the process
/// ends after it.
type Sweeps = Vec<(f64, usize, bool)>;

fn sweeps(commits: usize) -> impl Strategy<Value = Sweeps> {
    prop::collection::vec((0.0..1.1, 1..12usize, prop::bool::weighted(0.1)), commits)
}

/// Runs are written as soon as so many messages of conversations are there.
const GATHER: usize = 3;

fn open_again(kept: Kept) -> Kept {
    let kept = kept.reopen();
    kept.store.gathered.write().write_from(GATHER);
    kept
}

/// Lives through commits, with sweeps and restarts between; `look` looks at every step.
fn live(commits: &Commits, sweeps: &Sweeps, mut look: impl FnMut(&Kept)) {
    let mut kept = open_again(Kept::new());
    for (commit, (part, most, killed)) in commits.iter().zip(sweeps) {
        let to = (kept.lived.world.queue.last_seq() as f64 * part) as u64;
        kept.keep_and_sweep(commit, to, *most);
        look(&kept);
        if *killed {
            kept = open_again(kept);
            look(&kept);
        }
    }
}

/// The keys of one kind of row.
fn keys(kept: &Kept, row: u8) -> Vec<Vec<u8>> {
    let rows = kept.store.range(all(row), &Tally::default());
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
    let commits = kept_commits(kept);
    let lasts: Vec<_> = commits.iter().filter_map(|commit| commit.last().map(Change::seq)).collect();
    assert_eq!(numbers(&keys(kept, b'j')), lasts, "commits");
    let domains = |commit: &&Vec<Change>| {
        let mut domains: Vec<_> = commit.iter().map(|change| &change.record.content.domain).collect();
        domains.sort();
        domains.dedup();
        domains.len()
    };
    assert_eq!(keys(kept, b'd').len(), commits.iter().map(domains).sum::<usize>());

    let messages = kept.lived.messages();
    let posted: Vec<_> = messages.iter().map(|record| record.content.posted).collect();
    assert_eq!(numbers(&keys(kept, b'm')), posted, "messages");
    let live: Vec<_> =
        messages.iter().filter(|record| is_live(record)).map(|record| record.content.posted).collect();
    assert_eq!(numbers(&keys(kept, b'l')), live, "live work");
    let failed = messages.iter().filter(|record| {
        let status = record.state.work.as_ref().map(|work| work.status);
        status == Some(Status::Failed) && !record.state.deleted
    });
    assert_eq!(numbers(&keys(kept, b'f')), failed.map(|record| record.content.posted).collect::<Vec<_>>());
    for row in kept.store.range(all(b'c'), &Tally::default()) {
        let (key, run) = row.unwrap();
        let run = decode::<StoredRun>(&run).unwrap().posted;
        assert_eq!(run.last().copied(), last_number(&key));
        assert!(
            run.last().is_some_and(|last| posted.contains(last)),
            "a run without messages is left: {run:?}"
        );
    }
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

fn check_posts(kept: &Kept) {
    let begins = kept.store.begins();
    let posts: Vec<_> =
        kept_commits(kept).into_iter().flatten().filter(|c| c.kind == ChangeKind::Posted).collect();
    assert!(posts.iter().all(|post| post.record.content.timestamp > begins.stamp));
    let newest = kept.store.newest_posts(None, usize::MAX, &Tally::default()).unwrap().records;
    let of = |posts: &[&Change]| posts.iter().map(|post| post.seq()).collect::<Vec<_>>();
    assert_eq!(newest.iter().map(|record| record.content.posted).collect::<Vec<_>>(), of(&posts));
    for after in posts.iter().map(|post| post.record.content.timestamp).chain([0, begins.stamp, Millis::MAX])
    {
        let found = kept.store.posts_after(after, None, usize::MAX, &Tally::default()).unwrap().records;
        let later: Vec<_> =
            posts.iter().copied().filter(|post| post.record.content.timestamp > after).collect();
        assert_eq!(found.iter().map(|record| record.content.posted).collect::<Vec<_>>(), of(&later));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_is_what_the_rule_says_whatever_happened_and_however_often_it_restarted(
        commits in history(24), sweeps in sweeps(24),
    ) {
        live(&commits, &sweeps, |kept| {
            check_rows(kept);
            check_reading(kept);
            check_posts(kept);
        });
    }
}

fn say() -> Act {
    Act::Say { site: 0, human: 0 }
}

fn ask() -> Act {
    Act::Ask { site: 0, human: 0 }
}

/// Which messages are left, by the numbers of their posts.
fn left(kept: &Kept) -> Vec<u64> {
    numbers(&keys(kept, b'm'))
}

/// Sweeps all that may be swept.
fn sweep_all(kept: &mut Kept) {
    kept.keep_and_sweep(&(0, vec![say()]), u64::MAX, usize::MAX);
}

#[test]
fn a_post_goes_with_its_commit_and_the_newest_commit_stays() {
    let mut kept = Kept::new();
    kept.keep(&[(1, vec![say()]), (1, vec![say()]), (1, vec![say()])]);
    sweep_all(&mut kept);
    assert_eq!(left(&kept), [3, 4]);
    let stamp = kept.lived.world.log[1].record.content.timestamp;
    assert_eq!(kept.store.begins(), Beginning { seq: 2, stamp });
    assert_eq!(kept.reopen().store.begins(), Beginning { seq: 2, stamp });
}

#[test]
fn a_message_goes_with_its_last_change() {
    for change in [Act::Edit { message: 0, length: 5 }, Act::Delete(0)] {
        let mut kept = Kept::new();
        kept.keep(&[(1, vec![say()]), (1, vec![change])]);
        sweep_all(&mut kept);
        assert_eq!((kept.store.begins().seq, left(&kept)), (1, vec![1, 3]));
        sweep_all(&mut kept);
        assert_eq!((kept.store.begins().seq, left(&kept)), (2, vec![3, 4]));
    }
}

#[test]
fn work_stays_while_it_is_live_and_goes_with_its_completion() {
    let mut kept = Kept::new();
    kept.keep(&[(1, vec![ask()]), (1, vec![Act::Claim(0)])]);
    sweep_all(&mut kept);
    sweep_all(&mut kept);
    assert_eq!((kept.store.begins().seq, left(&kept)), (2, vec![1, 3, 4]));
    let mut kept = kept.reopen();
    let live = kept.store.live(&Tally::default()).unwrap();
    assert_eq!(live.iter().collect::<Vec<_>>(), [kept.lived.messages()[0]]);
    kept.keep(&[(1, vec![Act::Complete(2)])]);
    assert_eq!(left(&kept), [1, 3, 4, 5]);
    sweep_all(&mut kept);
    assert_eq!(left(&kept), [1, 5, 7], "the completion is the newest commit but one");
    sweep_all(&mut kept);
    assert_eq!(left(&kept), [7, 8], "it goes together with its reply");
}

#[test]
fn a_failed_message_goes_too_unless_it_is_retried() {
    for (retried, expected) in [(false, vec![]), (true, vec![1])] {
        let mut kept = Kept::new();
        kept.keep(&[(1, vec![ask()]), (1, vec![Act::Cancel(0)]), (1, vec![say()])]);
        if retried {
            kept.keep(&[(1, vec![Act::Retry(1)])]);
        }
        sweep_all(&mut kept);
        sweep_all(&mut kept);
        let old: Vec<_> = left(&kept).into_iter().filter(|posted| *posted < 3).collect();
        assert_eq!(old, expected);
        assert!(keys(&kept, b'f').is_empty());
    }
}

#[test]
fn what_the_same_commit_changes_is_not_swept() {
    let edit = Act::Edit { message: 1, length: 5 };
    let retry = Act::Retry(1);
    for (first, change) in [(vec![say()], edit), (vec![ask(), Act::Cancel(0)], retry)] {
        let mut kept = Kept::new();
        kept.keep(&[(1, first), (1, vec![say()])]);
        kept.keep_and_sweep(&(1, vec![change]), u64::MAX, usize::MAX);
        assert!(kept.store.begins().seq > 0);
        check_rows(&kept);
        check_reading(&kept);
        assert!(left(&kept).contains(&1));
    }
}

#[test]
fn only_commits_of_before_the_time_go_and_the_first_that_stays_is_told() {
    let mut kept = Kept::new();
    kept.keep(&[(1, vec![ask()]), (50, vec![Act::Claim(0)]), (50, vec![say()])]);
    let now = kept.lived.world.now;
    let look = |before, to| {
        let may = Sweepable { to, before, changes: 100, stays: &|_| false };
        let swept = kept.store.sweep(&may, &Tally::default()).unwrap();
        (swept.sweep.map_or(0, |sweep| sweep.begins.seq), swept.oldest)
    };
    assert_eq!(look(now - 100, u64::MAX), (0, Some(Oldest { last: 1, at: now - 100 })));
    assert_eq!(
        look(now - 99, u64::MAX),
        (1, Some(Oldest { last: 2, at: now - 50 })),
        "not as old as its stamp"
    );
    assert_eq!(look(now - 49, 1), (1, Some(Oldest { last: 2, at: now - 50 })));
    assert_eq!(look(Millis::MAX, u64::MAX), (2, Some(Oldest { last: 3, at: now })), "the newest stays");
}

#[test]
fn nothing_is_swept_from_an_empty_log() {
    let kept = Kept::new();
    let may = Sweepable { to: u64::MAX, before: Millis::MAX, changes: 100, stays: &|_| false };
    let swept = kept.store.sweep(&may, &Tally::default()).unwrap();
    assert!(swept.sweep.is_none() && swept.oldest.is_none());
}

#[test]
fn a_step_takes_whole_commits_until_there_is_enough() {
    let mut kept = Kept::new();
    kept.keep(&[(1, vec![say(), say()]), (1, vec![say(), say()]), (1, vec![say()])]);
    for (changes, begins) in [(1, 2), (2, 2), (3, 4)] {
        let may = Sweepable { to: u64::MAX, before: Millis::MAX, changes, stays: &|_| false };
        let sweep = kept.store.sweep(&may, &Tally::default()).unwrap().sweep.unwrap();
        assert_eq!((sweep.begins.seq, sweep.messages), (begins, begins));
    }
}

#[test]
fn a_sweep_without_changes_is_a_commit_too_and_no_change() {
    let mut kept = Kept::new();
    kept.keep(&[(1, vec![say()]), (1, vec![say()])]);
    let may = Sweepable { to: u64::MAX, before: Millis::MAX, changes: 100, stays: &|_| false };
    let sweep = kept.store.sweep(&may, &Tally::default()).unwrap().sweep;
    let commit = Commit { sweep, ..Commit::default() };
    kept.store.append(&commit, &Tally::default()).unwrap();
    let kept = kept.reopen();
    assert_eq!((kept.store.last(&Tally::default()).unwrap().0, left(&kept)), (2, vec![2]));
}

#[test]
fn a_long_conversation_leaves_nothing_behind() {
    let mut kept = open_again(Kept::new());
    kept.store.gathered.write().write_from(100);
    for _ in 0..40 {
        kept.keep(&[(1, vec![ask(); 30])]);
        let acts = (0..30).flat_map(|n| [Act::Claim(2 * n), Act::Complete(2 * n)]).collect();
        kept.keep(&[(1, acts)]);
    }
    assert!(!keys(&kept, b'c').is_empty());
    while kept.store.begins().seq + 200 < kept.lived.world.queue.last_seq() {
        kept.keep_and_sweep(&(1, vec![say()]), u64::MAX, 150);
    }
    for _ in 0..5 {
        sweep_all(&mut kept);
    }
    check_rows(&kept);
    let live = kept.lived.messages().iter().filter(|record| is_live(record)).count();
    assert!(live < 1_200, "most were completed");
    assert_eq!(left(&kept).len(), live + 2);
}

/// Half at one site, half at another.
fn two_sites(commits: usize) -> Commits {
    (0..commits).map(|n| (1, vec![Act::Say { site: (n % 2) as u8, human: 0 }])).collect()
}

/// Sweeps all but the newest commit, one by one, while `look` looks again and again.
fn while_it_is_swept(kept: &Kept, mut look: impl FnMut(u64)) {
    let mut store = kept.store.clone();
    std::thread::scope(|scope| {
        let sweeping = scope.spawn(move || {
            let may = Sweepable { to: u64::MAX, before: Millis::MAX, changes: 1, stays: &|_| false };
            while let Some(sweep) = store.sweep(&may, &Tally::default()).unwrap().sweep {
                let commit = Commit { sweep: Some(sweep), ..Commit::default() };
                store.append(&commit, &Tally::default()).unwrap();
            }
        });
        while !sweeping.is_finished() {
            look(kept.store.begins().seq);
        }
    });
    assert_eq!(kept.store.begins().seq + 1, kept.lived.world.queue.last_seq());
}

#[test]
fn a_page_whose_beginning_is_swept_while_it_is_read_is_whole_or_none() {
    let mut kept = Kept::new();
    kept.keep(&two_sites(400));
    let all = kept.lived.changes();
    while_it_is_swept(&kept, |begins| {
        for domain in [None, Some("site0"), Some("site1")] {
            let is_in = |change: &&Change| domain.is_none_or(|name| change.record.content.domain == name);
            let found = kept.store.changes_after(begins, domain, 20, &Tally::default()).unwrap();
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
    let all = kept.lived.messages();
    let check = |found: Vec<u64>, domain: Option<&str>| {
        let begins = kept.store.begins().seq;
        let (first, last) = (found.first().copied().unwrap_or(0), found.last().copied().unwrap_or(0));
        let kept = all.iter().map(|record| &record.content).filter(|content| content.posted > begins);
        let is_in = |posted: u64| posted >= first && posted <= last;
        let of =
            kept.filter(|content| is_in(content.posted) && domain.is_none_or(|name| content.domain == name));
        let still: Vec<_> = found.iter().copied().filter(|posted| *posted > begins).collect();
        assert_eq!(still, of.map(|content| content.posted).collect::<Vec<_>>());
    };
    while_it_is_swept(&kept, |_| {
        for domain in [None, Some("site0")] {
            let numbers = |records: Vec<Record>| records.iter().map(|record| record.content.posted).collect();
            let page = kept.store.posts_after(1, domain, 20, &Tally::default()).unwrap();
            check(numbers(page.records), domain);
            let newest = kept.store.newest_posts(domain, 1_000, &Tally::default()).unwrap();
            check(numbers(newest.records), domain);
        }
    });
}
