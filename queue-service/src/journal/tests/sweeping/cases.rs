//! One by one: what goes, what stays, and how much goes in a step.

use super::{Kept, check_anew, check_reading, check_rows, in_parts, keys, open_again};
use crate::{
    domain::{
        Millis,
        tests::{history::Act, world::is_live},
    },
    journal::{Commit, Journal as _, Oldest, Sweepable, Tally},
};

fn say() -> Act {
    Act::Say { site: 0, human: 0 }
}

fn ask() -> Act {
    Act::Ask { site: 0, human: 0 }
}

/// Which messages are left, by the numbers of their posts.
fn remaining(kept: &Kept) -> Vec<u64> {
    let posted = kept.lived.world.log.iter().map(|change| change.record.content.posted);
    let mut posted: Vec<_> = posted.collect();
    posted.sort_unstable();
    posted.dedup();
    posted.retain(|posted| kept.store.message(*posted, &Tally::default()).unwrap().is_some());
    posted
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
    assert_eq!(remaining(&kept), [3, 4]);
    let stamp = kept.lived.world.log[1].record.content.timestamp;
    let begins = kept.store.begins();
    assert_eq!((begins.seq, begins.stamp), (2, stamp));
    assert_eq!(kept.reopen().store.begins(), begins);
}

#[test]
fn a_message_goes_with_its_last_change() {
    for change in [Act::Edit { message: 0, length: 5 }, Act::Delete(0), Act::Hide(0)] {
        let mut kept = Kept::new();
        kept.keep(&[(1, vec![say()]), (1, vec![change])]);
        sweep_all(&mut kept);
        assert_eq!((kept.store.begins().seq, remaining(&kept)), (1, vec![1, 3]));
        sweep_all(&mut kept);
        assert_eq!((kept.store.begins().seq, remaining(&kept)), (2, vec![3, 4]));
    }
}

#[test]
fn work_stays_while_it_is_live_and_goes_with_its_completion() {
    let mut kept = Kept::new();
    kept.keep(&[(1, vec![ask()]), (1, vec![Act::Claim(0)])]);
    sweep_all(&mut kept);
    sweep_all(&mut kept);
    assert_eq!((kept.store.begins().seq, remaining(&kept)), (2, vec![1, 3, 4]));
    let mut kept = kept.reopen();
    let live = kept.store.live(&Tally::default()).unwrap();
    assert_eq!(live.iter().collect::<Vec<_>>(), [kept.lived.messages()[0]]);
    kept.keep(&[(1, vec![Act::Complete(2)])]);
    assert_eq!(remaining(&kept), [1, 3, 4, 5]);
    sweep_all(&mut kept);
    assert_eq!(remaining(&kept), [1, 5, 7], "the completion is the newest commit but one");
    sweep_all(&mut kept);
    assert_eq!(remaining(&kept), [7, 8], "it goes together with its reply");
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
        let old: Vec<_> = remaining(&kept).into_iter().filter(|posted| *posted < 3).collect();
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
        assert!(remaining(&kept).contains(&1));
    }
}

#[test]
fn only_commits_of_before_the_time_go_and_the_first_that_stays_is_told() {
    let mut kept = Kept::new();
    kept.keep(&[(1, vec![ask()]), (50, vec![Act::Claim(0)]), (50, vec![say()])]);
    let now = kept.lived.world.now;
    let look = |before, to| {
        let may = Sweepable { to, before, now: Millis::MAX, free: 0, changes: 100, stays: &|_| false };
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
fn a_commit_that_was_made_while_the_clock_was_ahead_is_as_old_as_one_after_it() {
    const YEAR: Millis = 31_536_000_000;
    let mut kept = Kept::new();
    kept.keep(&[(1, vec![say()]), (YEAR, vec![say()]), (1, vec![say()])]);
    let first = kept.lived.messages()[0].content.timestamp;
    let may = Sweepable {
        to: u64::MAX,
        before: first + 1,
        now: first + 10,
        free: 0,
        changes: 100,
        stays: &|_| false,
    };
    let swept = kept.store.sweep(&may, &Tally::default()).unwrap();
    assert_eq!(swept.sweep.map(|sweep| sweep.begins.seq), Some(1));
    assert_eq!(
        swept.oldest,
        Some(Oldest { last: 2, at: first + 10 }),
        "how old it is cannot be told: it is new"
    );

    // The clock is right again.
    for human in 0..5 {
        let changes = kept.lived.live(1, &[Act::Say { site: 0, human }]).to_vec();
        let (stamp, at) = (kept.lived.world.queue.last_stamp(), first + 20);
        let commit = Commit { stamp, at, service_time: at, changes, ..Commit::default() };
        kept.journal.append(&commit, &Tally::default()).unwrap();
    }
    let may = Sweepable { before: first + 20, now: first + 30, ..may };
    let swept = kept.store.sweep(&may, &Tally::default()).unwrap();
    assert_eq!(swept.oldest, Some(Oldest { last: 2, at: first + 20 }), "as old as what came after it");
    let may = Sweepable { before: first + 21, ..may };
    let swept = kept.store.sweep(&may, &Tally::default()).unwrap();
    assert_eq!(swept.sweep.map(|sweep| sweep.begins.seq), Some(7), "the newest stays");
}

#[test]
fn nothing_is_swept_from_an_empty_log() {
    let kept = Kept::new();
    let may = Sweepable {
        to: u64::MAX,
        before: Millis::MAX,
        now: Millis::MAX,
        free: 0,
        changes: 100,
        stays: &|_| false,
    };
    let swept = kept.store.sweep(&may, &Tally::default()).unwrap();
    assert!(swept.sweep.is_none() && swept.oldest.is_none());
}

#[test]
fn a_step_takes_whole_commits_until_there_is_enough() {
    let mut kept = Kept::new();
    kept.keep(&[(1, vec![say(), say()]), (1, vec![say(), say()]), (1, vec![say()])]);
    for (changes, begins) in [(1, 2), (2, 2), (3, 4)] {
        let may = Sweepable {
            to: u64::MAX,
            before: Millis::MAX,
            now: Millis::MAX,
            free: 0,
            changes,
            stays: &|_| false,
        };
        let sweep = kept.store.sweep(&may, &Tally::default()).unwrap().sweep.unwrap();
        assert_eq!((sweep.begins.seq, sweep.messages), (begins, begins));
    }
}

#[test]
fn a_sweep_without_changes_is_a_commit_too_and_no_change() {
    let mut kept = Kept::new();
    kept.keep(&[(1, vec![say()]), (1, vec![say()])]);
    let may = Sweepable {
        to: u64::MAX,
        before: Millis::MAX,
        now: Millis::MAX,
        free: 0,
        changes: 100,
        stays: &|_| false,
    };
    let sweep = kept.store.sweep(&may, &Tally::default()).unwrap().sweep;
    let commit = Commit { sweep, ..Commit::default() };
    kept.journal.append(&commit, &Tally::default()).unwrap();
    let kept = kept.reopen();
    assert_eq!((kept.store.last(&Tally::default()).unwrap().0, remaining(&kept)), (2, vec![2]));
}

#[test]
fn a_long_conversation_leaves_nothing_behind() {
    let mut kept = in_parts();
    for _ in 0..40 {
        kept.keep(&[(1, vec![ask(); 30])]);
        let acts = (0..30).flat_map(|n| [Act::Claim(2 * n), Act::Complete(2 * n)]).collect();
        kept.keep(&[(1, acts)]);
    }
    kept.journal.settle();
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
    assert_eq!(remaining(&kept).len(), live + 2);
}

/// Sweeps by size alone.
fn by_size(free: u64) -> Sweepable<'static> {
    Sweepable { to: u64::MAX, before: Millis::MIN, now: Millis::MAX, free, changes: 100, stays: &|_| false }
}

#[test]
fn whole_commits_go_until_so_many_bytes_are_freed() {
    let mut kept = Kept::new();
    kept.keep(&[(1, vec![say()]), (1, vec![say()]), (1, vec![say()]), (1, vec![say()])]);
    let before = kept.store.data_bytes();
    let sweep = |free| kept.store.sweep(&by_size(free), &Tally::default()).unwrap().sweep;
    assert!(sweep(0).is_none());
    let one = sweep(1).unwrap();
    assert_eq!((one.messages, sweep(one.freed).unwrap().messages), (1, 1));
    assert_eq!(sweep(one.freed + 1).unwrap().messages, 2);
    assert_eq!(sweep(u64::MAX).unwrap().messages, 3, "the newest stays");
    let freed = one.freed;
    kept.journal.append(&Commit { sweep: Some(one), ..Commit::default() }, &Tally::default()).unwrap();
    let after = kept.store.data_bytes();
    assert!(after > before - freed && after < before, "what sweeps is stored as well, and is less");
    assert_eq!(kept.reopen().store.data_bytes(), after, "a sweep without changes is remembered");
}

#[test]
fn what_is_swept_as_a_whole_leaves_the_disk_and_what_stays_is_kept() {
    let mut kept = in_parts();
    kept.keep(&[(1, vec![ask()])]);
    for _ in 0..20 {
        kept.keep(&[(1, vec![say()])]);
    }
    kept.journal.settle();
    let (log, begin) = (kept.store.0.log.clone(), kept.store.0.log.begin());
    assert_eq!(begin.dropped, 0);
    kept.keep_and_sweep(&(1, vec![say()]), 15, usize::MAX);
    assert_eq!(log.begin(), begin, "not before the index does without it");
    kept.journal.settle();
    assert_eq!(log.begin().dropped, 15);
    drop(log);
    let kept = open_again(kept);
    assert_eq!(remaining(&kept), [vec![1], (16..=22).collect()].concat());
    check_reading(&kept);
    check_anew(&kept);
}
