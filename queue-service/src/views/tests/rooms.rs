//! The list of rooms, against all messages that there are.

use proptest::prelude::*;

use super::{
    ROOMY,
    polls::readers,
    walk::{limits, publish},
};
use crate::{
    domain::tests::history::{Act, Commits, Lived, history},
    views::{CacheLimits, Views},
};

/// The rooms of the newest `cached` messages: the domain, and the number of the newest that can be seen.
fn expected(lived: &Lived, cached: usize) -> Vec<(String, u64)> {
    let messages = lived.messages();
    let newest = messages.iter().rev().take(cached);
    let mut rooms: Vec<(String, u64)> = Vec::new();
    for record in newest.filter(|record| !record.state.deleted && !record.state.hidden) {
        if rooms.iter().all(|(domain, _)| *domain != record.content.domain) {
            rooms.push((record.content.domain.clone(), record.content.posted));
        }
    }
    rooms
}

fn listed(views: &Views, before: u64, limit: usize) -> (Vec<(String, u64)>, bool) {
    let page = views.rooms(before, limit).expect("rooms are listed");
    (page.items.iter().map(|room| (room.domain.to_string(), room.posted)).collect(), page.more)
}

/// All pages of `limit` rooms one after the other.
fn paged(views: &Views, limit: usize) -> Vec<(String, u64)> {
    let (mut all, mut before) = (Vec::new(), u64::MAX);
    loop {
        let (page, more) = listed(views, before, limit);
        assert!(page.len() == limit || !more, "a page is full if there are more");
        all.extend(page);
        if !more {
            return all;
        }
        before = all.last().expect("there are more behind something").1;
    }
}

proptest! {
    #[test]
    fn rooms_are_those_of_the_cached_messages_that_can_be_seen(commits in history(30), limits in limits()) {
        publish(&commits, limits, |lived, views| {
            let expected = expected(lived, views.fill().messages);
            for limit in [1, 2, 50] {
                assert_eq!(paged(views, limit), expected);
            }
        });
    }

    #[test]
    fn a_start_finds_the_rooms_again(commits in history(30), messages in 1..20usize) {
        let (kept, reads) = readers(&commits, messages);
        prop_assert_eq!(paged(&reads.views, 2), expected(&kept.lived, reads.views.fill().messages));
    }
}

#[test]
fn the_time_of_a_room_is_that_of_its_newest_message_that_can_be_seen() {
    let commits: Commits = vec![
        (1_000, vec![Act::Say { site: 0, human: 0 }]),
        (1_000, vec![Act::Say { site: 1, human: 0 }]),
        (1_000, vec![Act::Say { site: 0, human: 1 }]),
        (1_000, vec![Act::Delete(2)]),
    ];
    publish(&commits, ROOMY, |lived, views| {
        for room in views.rooms(u64::MAX, 50).unwrap().items {
            let messages = lived.messages();
            let newest = messages.iter().find(|record| record.content.posted == room.posted).unwrap();
            assert_eq!(
                (&*room.domain, room.stamp),
                (newest.content.domain.as_str(), newest.content.timestamp)
            );
        }
    });
}

#[test]
fn rooms_are_not_listed_unless_that_is_asked_for() {
    publish(
        &vec![(0, vec![Act::Say { site: 0, human: 0 }])],
        CacheLimits { list_rooms: false, ..ROOMY },
        |_, views| {
            assert!(views.rooms(u64::MAX, 50).is_none());
        },
    );
}
