//! Readers of a log whose beginning is swept as the writer does it: behind the cache.

use std::sync::Arc;

use proptest::prelude::*;

use super::{ROOMY, numbers, walk::limits};
use crate::{
    domain::{
        Change, ChangeKind, Moment, QueueRules,
        tests::{
            history::{Act, Commits, history},
            world::is_live,
        },
    },
    journal::{Costs, Tally, tests::Kept},
    reads::{Lost, Reads},
    restore::restore,
    views::CacheLimits,
};

/// The readers of what is kept, as after a start.
fn readers(kept: &Kept, limits: CacheLimits) -> Reads {
    let (costs, now) = (Costs::default(), kept.lived.world.now);
    let (_, views) =
        restore(&kept.store, QueueRules::default(), limits, &costs, Moment::of(now), Tally::default())
            .unwrap();
    Reads { views: Arc::new(views), store: kept.store.clone(), costs, failures: Arc::default() }
}

/// Lives through a commit, with a sweep of so many changes behind the cache.
fn live(kept: &mut Kept, reads: &Reads, commit: &(i64, Vec<Act>), most: usize) {
    let last = kept.lived.world.queue.last_seq();
    kept.keep_and_sweep(commit, reads.views.evicted_to().min(last), most);
    reads.views.publish(kept.lived.commits.last().cloned().unwrap_or_default());
}

fn kept_changes(kept: &Kept) -> Vec<&Change> {
    let begins = kept.store.begins().seq;
    kept.lived.world.log.iter().filter(|change| change.seq() > begins).collect()
}

/// Live work and everything cached is there, in the storage too.
fn check_cached(kept: &Kept, reads: &Reads) {
    let store = &kept.lived.world.store;
    let posts: Vec<_> =
        kept.lived.world.log.iter().filter(|change| change.kind == ChangeKind::Posted).collect();
    for post in posts.iter().rev().take(reads.views.fill().messages) {
        assert!(store.contains_key(&post.record.content.id), "{} is cached", post.seq());
    }
    for record in store.values() {
        assert!(kept.store.find(record.content.id, &Tally::default()).unwrap().is_some());
        if is_live(record) {
            assert_eq!(reads.views.posted(record.content.posted).as_deref(), Some(record));
        }
    }
}

/// Whoever follows the feed from its beginning sees all of it; whoever comes from before it is told.
async fn check_feed(kept: &Kept, reads: &Reads, limit: usize) {
    let begins = kept.store.begins();
    let (mut seq, mut seen) = (begins.seq, Vec::new());
    loop {
        let page = reads.changes("Test", None, seq, limit).await.unwrap().unwrap();
        seen.extend(page.items.iter().map(|change| change.seq()));
        seq = page.next;
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, kept_changes(kept).into_iter().map(Change::seq).collect::<Vec<_>>());
    assert!(reads.position(&reads.cursor(begins.seq)).is_ok());
    if let Some(before) = begins.seq.checked_sub(1) {
        assert!(reads.changes("Test", None, before, limit).await.unwrap().is_err());
        let Err(Lost(reason)) = reads.position(&reads.cursor(before)) else { panic!("{before} is swept") };
        assert!(reason.contains("retention"), "{reason}");
    }
}

/// Whoever polls by time stamp sees every message that is kept, though the commit that posted it may be swept.
async fn check_polls(kept: &Kept, reads: &Reads, limit: usize) {
    let (mut after, mut seen) = (1, Vec::new());
    loop {
        let page = reads.after(None, after, limit).await.unwrap();
        seen.extend(numbers(&page.items));
        after = page.items.last().map_or(after, |record| record.content.timestamp);
        if !page.more {
            break;
        }
    }
    let posts: Vec<_> = kept.lived.messages().iter().map(|record| record.content.posted).collect();
    assert_eq!(seen, posts);
    assert_eq!(numbers(&reads.newest(None, 1_000).await.unwrap().items), posts);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_live_or_cached_is_never_swept_and_from_the_beginning_on_nothing_is_missed(
        commits in history(20), limits in limits(), most in 1..12usize, limit in 1..6usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut kept = Kept::new();
            let mut reads = readers(&kept, limits);
            for (n, commit) in commits.iter().enumerate() {
                live(&mut kept, &reads, commit, most);
                if n % 8 == 7 {
                    drop(reads);
                    kept = kept.reopen();
                    reads = readers(&kept, limits);
                }
                check_cached(&kept, &reads);
                check_feed(&kept, &reads, limit).await;
                check_polls(&kept, &reads, limit).await;
            }
        });
    }
}

/// Twenty posts behind a cache of five, the first ten swept.
fn half_swept() -> (Kept, Reads) {
    let mut kept = Kept::new();
    let posts: Commits = (0..20).map(|_| (1_000, vec![Act::Say { site: 0, human: 0 }])).collect();
    kept.keep(&posts);
    let reads = readers(&kept, CacheLimits { messages: 5, ..ROOMY });
    for _ in 0..10 {
        let to = reads.views.evicted_to();
        kept.keep_and_sweep(&(0, vec![]), to, 1);
    }
    (kept, reads)
}

#[tokio::test]
async fn a_follower_whose_next_page_is_swept_between_two_pages_is_told() {
    let (mut kept, reads) = half_swept();
    let first = reads.changes("Test", None, 10, 2).await.unwrap().unwrap();
    assert_eq!((first.items.len(), first.next, first.more), (2, 12, true));
    for _ in 0..3 {
        kept.keep_and_sweep(&(0, vec![]), reads.views.evicted_to(), 1);
    }
    assert_eq!(kept.store.begins().seq, 13);
    assert!(reads.changes("Test", None, first.next, 2).await.unwrap().is_err());
    let site = Some("site0".to_owned());
    assert!(reads.changes("Test", site, first.next, 2).await.unwrap().is_err());
}

#[tokio::test]
async fn a_poll_from_before_the_beginning_begins_with_the_oldest_that_is_kept() {
    let (kept, reads) = half_swept();
    let page = reads.after(None, kept.lived.world.log[0].record.content.timestamp, 3).await.unwrap();
    assert_eq!((numbers(&page.items), page.more), (vec![11, 12, 13], true));
}

#[tokio::test]
async fn a_swept_message_is_nowhere() {
    let (kept, reads) = half_swept();
    let id = |posted: usize| kept.lived.world.log[posted - 1].record.content.id;
    assert_eq!(reads.message(id(10)).await.unwrap().0, None);
    assert!(reads.message(id(11)).await.unwrap().0.is_some());
}

#[tokio::test]
async fn the_list_of_failed_messages_goes_on_behind_one_that_is_swept() {
    let mut kept = Kept::new();
    let fail = || (1_000, vec![Act::Ask { site: 0, human: 0 }, Act::Cancel(0)]);
    kept.keep(&[fail(), fail(), fail()]);
    let second = kept.lived.messages()[1].content.id;
    kept.keep(&[
        (1_000, vec![Act::Edit { message: 2, length: 5 }]),
        (0, vec![Act::Say { site: 0, human: 0 }]),
    ]);
    for _ in 0..2 {
        kept.keep_and_sweep(&(0, vec![]), u64::MAX, 1);
    }
    assert!(kept.store.find(second, &Tally::default()).unwrap().is_none());
    let reads = readers(&kept, CacheLimits { messages: 1, ..ROOMY });
    let (failed, ..) = reads.failed(reads.number(second).unwrap(), 10).await.unwrap();
    let failed: Vec<_> = failed.iter().map(|record| record.content.posted).collect();
    assert_eq!(failed, [1], "it was edited later, so it is kept longer");
    assert_eq!(reads.number(uuid::Uuid::from_u128(7)), None);
}

#[tokio::test]
async fn after_a_restart_polls_of_a_log_that_is_cached_from_its_beginning_on_read_nothing() {
    let (mut kept, reads) = half_swept();
    for _ in 0..10 {
        kept.keep_and_sweep(&(0, vec![]), reads.views.evicted_to(), 1);
    }
    drop(reads);
    let kept = kept.reopen();
    let reads = readers(&kept, ROOMY);
    for domain in [None, Some("site0".to_owned()), Some("nobody was here".to_owned())] {
        assert_eq!(reads.newest(domain.clone(), 50).await.unwrap().reads, 0);
        assert_eq!(reads.after(domain, 1, 50).await.unwrap().reads, 0);
    }
}
