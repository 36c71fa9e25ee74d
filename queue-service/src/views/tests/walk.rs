//! The views under random histories and small caches, against a walk through the whole history.

use std::sync::Arc;

use proptest::prelude::*;

use super::{ROOMY, changes, empty, numbers, posts};
use crate::{
    domain::{
        ChangeKind, Millis, Place, QueueRules, Record, Status,
        tests::{
            history::{Act, Commits, Lived, history},
            world::{ids, is_live},
        },
    },
    journal::{Costs, Tally, tests::Kept},
    restore::restore,
    views::{CacheLimits, Totals, Views},
};

const DOMAINS: [Option<&str>; 4] = [None, Some("site0"), Some("site1"), Some("nobody was here")];

pub(super) fn limits() -> impl Strategy<Value = CacheLimits> {
    prop_oneof![
        1 => Just(ROOMY),
        2 => (1..12usize).prop_map(|messages| CacheLimits { messages, ..ROOMY }),
        2 => (1_000..12_000usize).prop_map(|bytes| CacheLimits { bytes, ..ROOMY }),
    ]
}

/// Lives through commits and publishes each; `look` looks at every step.
pub(super) fn publish(commits: &Commits, limits: CacheLimits, mut look: impl FnMut(&Lived, &Views)) {
    let (mut lived, views) = (Lived::new(ids()), empty(limits));
    for (later, acts) in commits {
        views.publish(lived.live(*later, acts).to_vec());
        look(&lived, &views);
    }
}

/// The first `limit` of these messages, and those that share the last one's time stamp; whether there are more.
fn whole_stamps(posts: &[&Record], limit: usize) -> (Vec<u64>, bool) {
    let mut to = limit.min(posts.len());
    while to > 0 && to < posts.len() && stamp(posts[to]) == stamp(posts[to - 1]) {
        to += 1;
    }
    (posts[..to].iter().map(|record| record.content.posted).collect(), to < posts.len())
}

fn stamp(record: &Record) -> Millis {
    record.content.timestamp
}

/// Every page by time stamp that the cache answers is right; it gives up only where it has dropped something.
fn check_after(lived: &Lived, views: &Views, limit: usize) {
    let times = lived.messages().into_iter().flat_map(|record| [stamp(record) - 1, stamp(record)]);
    for after in times.chain([0, Millis::MAX]) {
        for domain in DOMAINS {
            let all = posts(lived, domain);
            let newer: Vec<_> = all.iter().copied().filter(|record| stamp(record) > after).collect();
            match views.after(domain, after, limit) {
                Ok(page) => {
                    let (expected, more) = whole_stamps(&newer, limit);
                    assert_eq!(
                        (numbers(&page.items), page.more),
                        (expected, more),
                        "{domain:?} after {after}"
                    );
                    for record in &page.items {
                        assert_eq!(**record, *lived.world.record(record.content.id), "as it is now");
                    }
                    assert_eq!(page.tail, lived.world.queue.last_seq());
                }
                Err(before) => {
                    assert!(after < before.floor.stamp);
                    let (all, cached) = (posts(lived, None), views.fill().messages);
                    assert!(cached < all.len(), "nothing was dropped");
                    let first = all[all.len() - cached..].first().map_or(Millis::MAX, |record| stamp(record));
                    assert!(before.floor.stamp <= first, "what is cached is complete from there on");
                }
            }
        }
    }
}

/// Every page by cursor that the cache answers is right.
fn check_changes(lived: &Lived, views: &Views, limit: usize) {
    for (seq, domain) in
        (0..=lived.world.queue.last_seq()).flat_map(|seq| DOMAINS.map(|domain| (seq, domain)))
    {
        let mut newer = changes(lived, domain);
        newer.retain(|change| change.seq() > seq);
        match views.changes(domain, seq, limit) {
            Ok(page) => {
                assert_eq!(page.items[..], newer[..limit.min(newer.len())], "{domain:?} after {seq}");
                assert_eq!((page.more, page.tail), (newer.len() > limit, lived.world.queue.last_seq()));
            }
            Err(before) => {
                assert!(seq < before.floor.seq);
                assert!(views.fill().changes < lived.world.log.len(), "nothing was dropped");
            }
        }
    }
}

/// Every page before a message that the cache answers is right, and begins with a whole time stamp; so is the newest.
fn check_before(lived: &Lived, views: &Views, limit: usize) {
    let numbers_of_posts = lived.messages().into_iter().map(|record| record.content.posted);
    for before in numbers_of_posts.chain([u64::MAX]) {
        for domain in DOMAINS {
            let mut older = posts(lived, domain);
            older.retain(|record| record.content.posted < before);
            older.reverse();
            let (mut expected, more) = whole_stamps(&older, limit);
            expected.reverse();
            match views.before(domain, before, limit) {
                Ok(page) => {
                    assert_eq!(numbers(&page.items), expected, "{limit} of {domain:?} before {before}");
                    assert!(page.more || !more, "there are older ones");
                }
                Err(before) => assert!(before.floor.stamp > 0),
            }
        }
    }
}

/// What waits, in the order in which it is handed out, is there however small the cache is.
fn check_pending(lived: &Lived, views: &Views) {
    let (now, aging) = (lived.world.now, QueueRules::default().aging_ms);
    let work = |record: &Record| record.state.work.clone().filter(|_| is_live(record));
    let with = |status| {
        let messages = lived.messages().into_iter();
        messages.filter(move |record| work(record).is_some_and(|work| work.status == status))
    };
    let due =
        |record: &&Record| work(record).is_some_and(|work| work.not_before.is_none_or(|due| due <= now));
    let mut waiting: Vec<_> = with(Status::Pending).filter(due).collect();
    waiting.sort_by_key(|record| work(record).map(|work| Place::of(record, &work, aging)));
    let expected: Vec<_> = waiting.iter().map(|record| record.content.posted).collect();
    assert_eq!(numbers(&views.pending(&[], usize::MAX, now)), expected);
    assert_eq!(numbers(&views.pending(&["bot".to_owned()], 2, now)), expected[..2.min(expected.len())]);
    assert!(views.pending(&["nobody".to_owned()], 2, now).is_empty());

    let all = with(Status::Pending).count() as u64;
    let oldest = with(Status::Pending).map(stamp).min();
    assert_eq!(views.depth(&[]), (all, oldest));
    assert_eq!(views.depth(&["nobody".to_owned()]), (0, None));
    let processing = with(Status::Processing).count() as u64;
    let bytes = lived.messages().into_iter().filter(|record| is_live(record)).map(Record::unfinished_bytes);
    let expected_totals = Totals {
        entities: u64::from(all + processing > 0),
        pending: all,
        delayed: all - expected.len() as u64,
        processing,
        fullest: all,
        oldest,
        bytes: bytes.sum::<usize>() as u64,
    };
    assert_eq!(views.totals(now), expected_totals);
    match &views.depths("", |depths| depths.collect::<Vec<_>>())[..] {
        [] => assert_eq!(all + processing, 0),
        [bot] => {
            assert_eq!((bot.pending, bot.processing, bot.oldest), (all, processing, oldest));
            assert!(views.depths("bot", |depths| depths.next().is_none()), "it is the last one");
        }
        more => panic!("one entity is asked in this history, not {more:?}"),
    }
}

/// Live work and cached messages are found by id as they are now; so are those with a change that is kept, if at all.
fn check_messages(lived: &Lived, views: &Views) {
    let mut messages = lived.messages();
    let dropped = messages.len() - views.fill().messages;
    for (place, record) in messages.drain(..).enumerate() {
        let kept = place >= dropped || is_live(record);
        let found = views.posted(record.content.posted);
        let has_change = record.state.seq + views.fill().changes as u64 > lived.world.queue.last_seq();
        let expected = (kept || has_change).then_some(record);
        assert_eq!(found.as_deref(), expected, "message {place} of {dropped} dropped");
    }
}

fn check_bounds(views: &Views) {
    let fill = views.fill();
    assert!(fill.messages <= fill.limits.messages, "{fill:?}");
    assert!(fill.changes <= fill.limits.changes(), "{fill:?}");
    assert!(fill.bytes <= fill.limits.bytes, "{fill:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_page_is_what_a_walk_through_the_history_finds(
        commits in history(16), limits in limits(), limit in 1..6usize,
    ) {
        publish(&commits, limits, |lived, views| {
            check_after(lived, views, limit);
            check_changes(lived, views, limit);
            check_before(lived, views, limit);
        });
    }

    #[test]
    fn live_work_is_all_there_and_the_cache_keeps_its_bounds(commits in history(40), limits in limits()) {
        publish(&commits, limits, |lived, views| {
            check_pending(lived, views);
            check_messages(lived, views);
            check_bounds(views);
        });
    }

    #[test]
    fn changes_are_counted_by_kind(commits in history(16)) {
        publish(&commits, ROOMY, |lived, views| {
            for (kind, count) in views.counts() {
                let happened = lived.world.log.iter().filter(|change| change.kind == kind).count();
                assert_eq!(count, happened as u64, "{kind:?}");
            }
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_a_restart_the_views_are_right_again(
        commits in history(24), limits in limits(), limit in 1..6usize, more in history(6),
    ) {
        let mut kept = Kept::new();
        kept.keep(&commits);
        let mut kept = kept.reopen();
        let rules = QueueRules::default();
        let (_, views) = restore(&kept.store, rules, limits, &Costs::default(), kept.lived.world.moment(), Tally::default()).unwrap();
        for step in more.iter().map(Some).chain([None]) {
            check_after(&kept.lived, &views, limit);
            check_changes(&kept.lived, &views, limit);
            check_before(&kept.lived, &views, limit);
            check_pending(&kept.lived, &views);
            check_messages(&kept.lived, &views);
            check_bounds(&views);
            if let Some((later, acts)) = step {
                views.publish(kept.lived.live(*later, acts).to_vec());
            }
        }
    }
}

#[test]
fn a_full_cache_drops_the_oldest_messages_and_says_from_where_on_it_is_complete() {
    let commits: Commits = (0..10).map(|_| (1_000, vec![Act::Say { site: 0, human: 0 }])).collect();
    publish(&commits, CacheLimits { messages: 3, ..ROOMY }, |lived, views| {
        let total = lived.messages().len();
        assert_eq!(views.fill().messages, total.min(3));
        if total > 3 {
            let floor = stamp(lived.messages()[total - 4]);
            assert!(views.after(None, floor, 10).is_ok());
            assert_eq!(views.after(None, floor - 1, 10).unwrap_err().floor.stamp, floor);
            assert!(views.changes(None, total as u64 - 3, 10).is_ok());
            assert!(views.changes(None, total as u64 - 4, 10).is_err());
        }
    });
}

#[test]
fn a_page_is_longer_than_its_limit_by_those_that_share_the_last_time_stamp() {
    let commits: Commits =
        vec![(0, vec![Act::Say { site: 0, human: 0 }; 4]), (5, vec![Act::Say { site: 0, human: 0 }])];
    publish(&commits, ROOMY, |lived, views| {
        let page = views.after(None, 0, 2).unwrap();
        assert_eq!(numbers(&page.items), [1, 2, 3, 4]);
        assert_eq!(page.more, lived.messages().len() == 5);
    });
}

#[test]
fn a_message_that_is_claimed_again_and_again_does_not_fill_the_cache() {
    let mut commits: Commits = vec![(0, vec![Act::Ask { site: 0, human: 0 }])];
    commits.extend((0..2).flat_map(|_| [(0, vec![Act::Claim(0)]), (10_000, vec![])]));
    commits.extend((0..50).map(|length| (0, vec![Act::Edit { message: 0, length: length + 1 }])));
    publish(&commits, CacheLimits { bytes: 3_000, ..ROOMY }, |lived, views| {
        check_bounds(views);
        check_messages(lived, views);
    });
}

#[test]
fn an_edit_and_a_deletion_reach_back_into_the_feed() {
    let edit = Act::Edit { message: 0, length: 3 };
    let commits: Commits =
        [Act::Ask { site: 0, human: 0 }, edit, Act::Delete(0)].map(|act| (1, vec![act])).into();
    publish(&commits, ROOMY, |lived, views| {
        let now = lived.messages()[0].content.text.clone();
        for domain in [None, Some("site0")] {
            for change in views.changes(domain, 0, 10).unwrap().items {
                assert_eq!(change.record.content.text, now);
            }
        }
    });
}

/// An edit costs the same, however many there were: no change is rewritten for it, and no earlier text is kept.
#[test]
fn of_a_message_that_is_edited_again_and_again_one_text_is_kept() {
    const EDITS: usize = 2_000;
    let mut commits: Commits =
        vec![(0, vec![Act::Say { site: 0, human: 0 }, Act::Ask { site: 0, human: 1 }])];
    commits.extend((0..EDITS).map(|n| (0, vec![Act::Edit { message: 1, length: n % 50 + 1 }])));
    let (mut lived, views) = (Lived::new(ids()), empty(ROOMY));
    let mut texts = Vec::new();
    let mut per_edit = Vec::new();
    for (later, acts) in &commits {
        let before = views.fill().bytes;
        let changes = lived.live(*later, acts).to_vec();
        texts.extend(changes.last().map(|change| Arc::downgrade(&change.record.content)));
        lived.world.log.clear();
        lived.commits.clear();
        views.publish(changes);
        per_edit.push(views.fill().bytes.abs_diff(before));
    }
    let kept = texts.iter().filter(|text| text.strong_count() > 0).count();
    assert!(kept <= 2, "{kept} texts of {EDITS} edits are kept");
    assert!(per_edit[1..].iter().all(|bytes| *bytes <= 500), "{:?}", per_edit.iter().max());
}

#[test]
fn a_subscriber_learns_of_every_commit() {
    let (mut lived, views) = (Lived::new(ids()), empty(ROOMY));
    let mut tail = views.subscribe();
    assert!(!tail.has_changed().unwrap());
    views.publish(lived.live(0, &[Act::Say { site: 0, human: 0 }]).to_vec());
    assert_eq!(*tail.borrow_and_update(), 1);
    views.publish(Vec::new());
    assert!(!tail.has_changed().unwrap(), "a commit without changes is no news");
    assert_eq!(views.counts(), [(ChangeKind::Posted, 1)]);
}
