//! What polls cost: nothing, once the cache has learned where a quiet domain stands.

use super::{ROOMY, numbers};
use crate::{
    domain::{
        QueueRules, Record,
        tests::history::{Act, Commits},
    },
    journal::{Costs, Tally, tests::Kept},
    reads::Reads,
    restore::restore,
    views::CacheLimits,
};
use std::sync::Arc;

/// Readers of a log that was started again after this, with room for so many messages in the cache.
pub(super) fn readers(commits: &Commits, messages: usize) -> (Kept, Reads) {
    let mut kept = Kept::new();
    kept.keep(commits);
    let limits = CacheLimits { messages, ..ROOMY };
    let costs = Costs::default();
    let (_, views) = restore(
        &kept.store,
        QueueRules::default(),
        limits,
        &costs,
        kept.lived.world.moment(),
        Tally::default(),
    )
    .unwrap();
    let reads = Reads { views: Arc::new(views), store: kept.store.clone(), costs, failures: Arc::default() };
    (kept, reads)
}

/// Two messages at site 0, and then so many at site 1 that the cache has forgotten the first two.
fn quiet_and_busy() -> Commits {
    let quiet = (0..2).map(|_| (1_000, vec![Act::Say { site: 0, human: 0 }]));
    let busy = (0..20).map(|_| (1_000, vec![Act::Say { site: 1, human: 0 }]));
    quiet.chain(busy).collect()
}

fn site0() -> Option<String> {
    Some("site0".to_owned())
}

fn stamp(kept: &Kept, at: usize) -> i64 {
    kept.lived.messages()[at].content.timestamp
}

fn present(kept: &Kept, records: &[Arc<Record>]) -> bool {
    records.iter().all(|record| **record == *kept.lived.world.record(record.content.id))
}

#[tokio::test]
async fn the_second_poll_of_a_quiet_domain_reads_nothing() {
    let (kept, reads) = readers(&quiet_and_busy(), 5);
    let seen = stamp(&kept, 1);
    let first = reads.after(site0(), seen, 50).await.unwrap();
    assert!(first.items.is_empty());
    assert!(first.reads > 0, "the cache does not know the domain yet");
    for _ in 0..3 {
        let again = reads.after(site0(), seen, 50).await.unwrap();
        assert_eq!((again.items.len(), again.reads, again.more), (0, 0, false));
    }
}

#[tokio::test]
async fn the_second_poll_of_a_domain_in_which_nobody_ever_wrote_reads_nothing() {
    let (_, reads) = readers(&quiet_and_busy(), 5);
    let nowhere = || Some("nobody was here".to_owned());
    assert!(reads.after(nowhere(), 1, 50).await.unwrap().reads > 0);
    assert_eq!(reads.after(nowhere(), 1, 50).await.unwrap().reads, 0);
    assert!(reads.newest(nowhere(), 50).await.unwrap().items.is_empty());
    assert_eq!(reads.newest(nowhere(), 50).await.unwrap().reads, 0);
}

#[tokio::test]
async fn the_second_look_of_a_watcher_at_a_quiet_domain_reads_nothing() {
    let (_, reads) = readers(&quiet_and_busy(), 5);
    let first = reads.changes("Test", site0(), 2, 50).await.unwrap().unwrap();
    assert!(first.items.is_empty());
    assert_eq!(first.next, 22, "it goes on from the end of the log");
    assert!(first.reads > 0);
    for seq in [2, 22] {
        assert_eq!(reads.changes("Test", site0(), seq, 50).await.unwrap().unwrap().reads, 0);
    }
}

#[tokio::test]
async fn what_comes_after_the_learning_is_seen() {
    let (mut kept, reads) = readers(&quiet_and_busy(), 5);
    let seen = stamp(&kept, 1);
    reads.after(site0(), seen, 50).await.unwrap();
    let before = kept.lived.world.log.len();
    kept.keep(&[(1_000, vec![Act::Say { site: 0, human: 1 }])]);
    reads.views.publish(kept.lived.world.log[before..].to_vec());
    let page = reads.after(site0(), seen, 50).await.unwrap();
    assert_eq!((numbers(&page.items), page.reads), (vec![23], 0));
}

#[tokio::test]
async fn what_is_learned_is_unlearned_once_the_cache_drops_something_of_the_domain() {
    let (mut kept, reads) = readers(&quiet_and_busy(), 5);
    let seen = stamp(&kept, 1);
    reads.after(site0(), seen, 50).await.unwrap();
    let before = kept.lived.world.log.len();
    let mut commits: Commits = vec![(1_000, vec![Act::Say { site: 0, human: 1 }])];
    commits.extend((0..10).map(|_| (1_000, vec![Act::Say { site: 1, human: 0 }])));
    kept.keep(&commits);
    reads.views.publish(kept.lived.world.log[before..].to_vec());
    let page = reads.after(site0(), seen, 50).await.unwrap();
    assert_eq!(numbers(&page.items), [23]);
    assert!(page.reads > 0);
    let last = page.items[0].content.timestamp;
    assert_eq!(reads.after(site0(), last, 50).await.unwrap().reads, 0);
}

#[tokio::test]
async fn polls_of_what_is_cached_read_nothing_at_all() {
    let (kept, reads) = readers(&quiet_and_busy(), 1_000);
    for domain in [None, site0(), Some("site1".to_owned()), Some("nobody was here".to_owned())] {
        for after in [1, stamp(&kept, 0), stamp(&kept, 21)] {
            assert_eq!(reads.after(domain.clone(), after, 50).await.unwrap().reads, 0);
        }
        assert_eq!(reads.newest(domain.clone(), 50).await.unwrap().reads, 0);
        assert_eq!(reads.changes("Test", domain, 0, 50).await.unwrap().unwrap().reads, 0);
    }
}

#[tokio::test]
async fn a_page_from_before_the_cache_comes_from_the_storage_and_shows_what_is_now() {
    let commits: Commits = vec![
        (1_000, vec![Act::Ask { site: 0, human: 0 }]),
        (1_000, vec![Act::Ask { site: 0, human: 1 }]),
        (1_000, vec![Act::Claim(0)]),
        (1_000, vec![Act::Say { site: 1, human: 0 }; 20]),
        (1_000, vec![Act::Edit { message: 21, length: 9 }]),
    ];
    let (kept, reads) = readers(&commits, 5);
    let page = reads.after(site0(), 1, 50).await.unwrap();
    assert_eq!(numbers(&page.items), [1, 2]);
    assert!(present(&kept, &page.items));
    assert!(page.reads > 0);
    let newest = reads.newest(None, 21).await.unwrap();
    assert!(present(&kept, &newest.items));
    assert_eq!(newest.items.len(), 21);
}

#[tokio::test]
async fn going_back_crosses_from_the_cache_into_the_storage_without_a_gap() {
    let (kept, reads) = readers(&quiet_and_busy(), 5);
    for limit in [1, 3, 50] {
        let (mut before, mut seen) = (u64::MAX, Vec::new());
        loop {
            let page = reads.before(None, before, limit).await.unwrap();
            assert!(present(&kept, &page.items));
            let Some(oldest) = page.items.first() else { break };
            before = oldest.content.posted;
            seen.splice(0..0, numbers(&page.items));
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, numbers(&reads.after(None, 0, 1_000).await.unwrap().items), "{limit} at a time");
    }
}

#[tokio::test]
async fn following_the_feed_from_the_beginning_crosses_from_storage_into_the_cache_without_a_gap() {
    let (kept, reads) = readers(&quiet_and_busy(), 5);
    for limit in [1, 3, 50] {
        let (mut seq, mut seen) = (0, Vec::new());
        loop {
            let page = reads.changes("Test", None, seq, limit).await.unwrap().unwrap();
            seen.extend(page.items.iter().map(|change| change.seq()));
            seq = page.next;
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, (1..=22).collect::<Vec<_>>());
        assert_eq!(seq, kept.lived.world.queue.last_seq());
    }
}

#[tokio::test]
async fn starting_reads_what_is_live_and_cached_and_no_history() {
    let busy: Commits = (0..200).map(|_| (1_000, vec![Act::Say { site: 0, human: 0 }])).collect();
    let (_, reads) = readers(&busy, 5);
    let costs = reads.costs.by_call();
    let (_, start) = costs.iter().find(|(call, _)| *call == "Start").unwrap();
    // One range each for live work, pauses, acts and blocks; the newest commits and their messages.
    assert!(start.reads <= 12, "{} reads", start.reads);
}

#[tokio::test]
async fn starting_reads_no_more_than_the_byte_budget_of_the_cache_holds() {
    let mut kept = Kept::new();
    kept.keep(&(0..200).map(|_| (1_000, vec![Act::Say { site: 0, human: 0 }])).collect::<Vec<_>>());
    let (limits, costs) = (CacheLimits { bytes: 10_000, ..ROOMY }, Costs::default());
    restore(&kept.store, QueueRules::default(), limits, &costs, kept.lived.world.moment(), Tally::default())
        .unwrap();
    let (_, start) = costs.by_call()[0];
    assert!(start.reads <= 20, "{} reads", start.reads);
}

#[tokio::test]
async fn a_conversation_costs_one_range_read_and_shows_what_is_now() {
    let commits: Commits = vec![
        (0, vec![Act::Ask { site: 0, human: 0 }]),
        (0, vec![Act::Claim(0)]),
        (0, vec![Act::Ask { site: 0, human: 1 }]),
    ];
    let (kept, reads) = readers(&commits, 5);
    let id = crate::domain::ConversationId::of(("human0", "1"), ("bot", "default"), None);
    let (records, _, cost) = reads.conversation("Test", id, u64::MAX, 10).await.unwrap();
    assert_eq!((numbers(&records), cost), (vec![1], 1));
    assert!(present(&kept, &records), "also the claim, which is not in the message's row");
}

#[tokio::test]
async fn a_conversation_is_not_searched_behind_a_thousand_deleted_messages() {
    let ask = || Act::Ask { site: 0, human: 0 };
    let id = crate::domain::ConversationId::of(("human0", "1"), ("bot", "default"), None);
    for (deleted, found) in [(999, vec![1]), (1_000, vec![])] {
        let mut commits: Commits = vec![(0, vec![ask()])];
        commits.extend((0..deleted).map(|_| (0, vec![ask(), Act::Delete(0)])));
        let (_kept, reads) = readers(&commits, 5);
        let (records, _, cost) = reads.conversation("Test", id, u64::MAX, 10).await.unwrap();
        assert_eq!(numbers(&records), found, "behind {deleted} deleted ones");
        assert!(cost <= 2 * 1_000 + 10, "{cost} reads");
    }
}
