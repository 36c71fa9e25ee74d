//! Fair share: the order among authors who have more than one message waiting.

use proptest::prelude::*;

use super::world::{START, World, by, handed_out, lease, question, sender, sender_at, stream};
use crate::domain::{Address, NewMessage, Place, QueueRules, Record, Sender, SenderKey};

const SHARE: i64 = 10_000;
const ADDRESS_SHARE: i64 = 2_000;

/// A question of an author under a name of its own: to write under other names gives no other share.
fn of(author: u8, name: &str) -> NewMessage {
    NewMessage { sender: Some(sender(author)), ..question(name, "bot") }
}

/// A question of an author who is at the address of another.
fn at(author: u8, address: u8, name: &str) -> NewMessage {
    NewMessage { sender: Some(sender_at(author, address)), ..question(name, "bot") }
}

fn flooded(questions: usize) -> World {
    let mut world = World::new(QueueRules::default());
    for n in 0..questions {
        world.post(of(1, &format!("mallory{n}")));
    }
    world
}

/// The names in the order in which one taker that does one after the other is handed their questions.
fn served(world: &mut World) -> Vec<String> {
    let (taker, mut events) = world.join(stream("s", 1));
    let mut names = Vec::new();
    while let Some((_, leased)) = handed_out(events).pop() {
        names.push(leased.record.content.username.clone());
        let done = lease(&leased);
        world.begin(0);
        world.decide(&[done.id], None, |queue, at| queue.complete(&done, None, at)).unwrap();
        events = world.end();
    }
    world.part(taker);
    names
}

fn base(record: &Record) -> i64 {
    record.state.work.as_ref().expect("it is work").base
}

#[test]
fn who_asks_once_after_sixty_questions_of_another_is_among_the_first_few() {
    let mut world = flooded(60);
    world.now += 1_000;
    world.post(of(2, "ann"));
    let names = served(&mut world);
    assert_eq!(names.iter().position(|name| name == "ann"), Some(1));
    assert_eq!(names.len(), 61);
}

#[test]
fn each_further_waiting_message_of_an_author_counts_as_one_share_younger() {
    let mut world = flooded(3);
    let first = base(&world.post(of(2, "ann")));
    let bases: Vec<_> = (0..3).map(|n| base(&world.post(of(2, &format!("ann{n}"))))).collect();
    assert_eq!(bases, [first + SHARE, first + 2 * SHARE, first + 3 * SHARE]);
}

#[test]
fn nothing_of_an_author_starves_behind_a_stream_of_others() {
    let mut world = flooded(60);
    for n in 0..1_000 {
        world.now += 1_000;
        world.post(of(2u8.wrapping_add((n % 250) as u8), &format!("other{n}")));
    }
    let last = served(&mut world).iter().position(|name| name == "mallory59");
    // Its base is 590 s after the first: what was asked later than that stands behind it.
    assert!(last.is_some_and(|last| last < 60 + 600), "{last:?}");
}

#[test]
fn who_has_nothing_waiting_stands_where_they_ask() {
    let mut world = flooded(2);
    served(&mut world);
    let next = world.post(of(1, "mallory"));
    assert_eq!(base(&next), world.now);
}

#[test]
fn a_message_keeps_its_place_over_a_release_a_retry_and_a_restart() {
    let mut world = flooded(3);
    let id = world.post(of(1, "late")).content.id;
    let (before, timestamp) = (world.work(id).base, world.record(id).content.timestamp);
    assert!(before >= timestamp + 3 * SHARE - 10);
    let leased = world.claim(id, "w").unwrap();
    world.release(&lease(&leased)).unwrap();
    assert_eq!(world.work(id).base, before);
    world.run(&[id], |queue, _| queue.cancel(id)).unwrap();
    world.restart();
    world.run(&[id], |queue, at| queue.retry(id, at.now)).unwrap();
    assert_eq!(world.work(id).base, before);
    assert_eq!(base(&world.post(of(1, "later"))), before + SHARE, "the share goes on after a restart");
}

#[test]
fn with_strict_priority_the_share_decides_among_equals() {
    let mut world = World::new(QueueRules { aging_ms: 0, ..QueueRules::default() });
    for n in 0..5 {
        world.post(of(1, &format!("mallory{n}")));
    }
    world.post(of(2, "ann"));
    world.post(NewMessage { priority: 9, ..of(1, "urgent") });
    assert_eq!(served(&mut world)[..3], ["urgent", "mallory0", "ann"]);
}

#[test]
fn without_a_share_or_without_a_sender_the_oldest_is_first() {
    let mut world = World::new(QueueRules { fair_share_ms: 0, ..QueueRules::default() });
    for name in ["mallory", "mallory again"] {
        world.post(of(1, name));
    }
    world.post(of(2, "ann"));
    assert_eq!(served(&mut world), ["mallory", "mallory again", "ann"]);
    let mut world = World::new(QueueRules::default());
    for name in ["one", "two"] {
        world.post(question(name, "bot"));
    }
    world.post(of(2, "ann"));
    assert_eq!(served(&mut world), ["one", "two", "ann"]);
}

#[test]
fn what_is_posted_for_later_shares_among_itself_and_puts_back_nothing_else() {
    let mut world = World::new(QueueRules::default());
    let due = world.now + 3_600_000;
    let later = |name: &str| {
        let plain = of(1, name);
        let address = Address { not_before: Some(due), ..plain.address.clone().expect("it asks a bot") };
        NewMessage { address: Some(address), ..plain }
    };
    let bases: Vec<_> = (0..3).map(|n| base(&world.post(later(&format!("later{n}"))))).collect();
    assert_eq!(bases, [due, due + SHARE, due + 2 * SHARE]);
    let now = world.post(of(1, "now"));
    assert_eq!(base(&now), world.now);
}

#[test]
fn an_author_is_forgotten_with_the_last_message_that_waits() {
    let mut world = flooded(5);
    assert!(!world.queue.shares.is_empty());
    served(&mut world);
    assert!(world.queue.shares.is_empty());
    let id = world.post(of(1, "mallory")).content.id;
    world.run(&[id], |queue, at| queue.claim(id, &by("w"), at)).unwrap();
    assert!(world.queue.shares.is_empty(), "what is worked on waits for nothing");
}

#[test]
fn who_is_somebody_else_with_each_question_is_at_one_address_all_the_same() {
    let mut world = World::new(QueueRules::default());
    let bases: Vec<_> = (0..60).map(|n| base(&world.post(at(n, 200, &format!("mallory{n}"))))).collect();
    let apart: Vec<_> = bases.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(apart, [ADDRESS_SHARE; 59]);
    world.now += 1_000;
    world.post(of(100, "ann"));
    let names = served(&mut world);
    assert_eq!(names.iter().position(|name| name == "ann"), Some(1));
}

#[test]
fn a_household_is_served_beside_somebody_in_it_who_floods() {
    let mut world = World::new(QueueRules::default());
    for n in 0..60 {
        world.post(at(1, 200, &format!("mallory{n}")));
    }
    let start = world.now;
    let bases: Vec<_> = (2..6).map(|author| base(&world.post(at(author, 200, "sister"))) - start).collect();
    assert_eq!(bases, [2_000, 4_000, 6_000, 8_000], "the places between those of one author are free");
    assert_eq!(base(&world.post(at(6, 200, "cousin"))) - start, 12_000);
}

#[test]
fn a_place_that_was_left_is_taken_by_the_next_of_its_address() {
    let mut world = World::new(QueueRules::default());
    let start = world.now;
    let ids: Vec<_> = (0..4).map(|n| world.post(at(n, 200, &format!("a{n}"))).content.id).collect();
    world.run(&[ids[1]], |queue, _| queue.cancel(ids[1])).unwrap();
    assert_eq!(base(&world.post(at(9, 200, "next"))) - start, ADDRESS_SHARE);
    world.restart();
    assert_eq!(base(&world.post(at(10, 200, "last"))) - start, 4 * ADDRESS_SHARE, "after a restart too");
}

#[test]
fn what_an_address_asks_for_later_shares_with_what_is_due_then() {
    let mut world = World::new(QueueRules::default());
    let due = world.now + 3_600_000;
    let later = |author: u8| {
        let plain = at(author, 200, &format!("later{author}"));
        let address = Address { not_before: Some(due), ..plain.address.clone().expect("it asks a bot") };
        NewMessage { address: Some(address), ..plain }
    };
    let bases: Vec<_> = (0..3).map(|author| base(&world.post(later(author))) - due).collect();
    assert_eq!(bases, [0, ADDRESS_SHARE, 2 * ADDRESS_SHARE]);
    assert_eq!(base(&world.post(at(9, 200, "now"))), world.now, "and puts back nothing of today");
}

#[test]
fn very_many_of_one_address_stand_as_far_back_as_in_one_row() {
    let mut world = World::new(QueueRules::default());
    let start = world.now;
    for n in 0..200u16 {
        let mut author = [0; 16];
        author[..2].copy_from_slice(&n.to_be_bytes());
        let sender = Sender { author: SenderKey(author), ..sender_at(0, 200) };
        let asked = NewMessage { sender: Some(sender), ..question(&format!("mallory{n}"), "bot") };
        assert_eq!(base(&world.post(asked)) - start, i64::from(n) * ADDRESS_SHARE);
    }
}

#[test]
fn addresses_count_only_where_a_share_does() {
    for rules in [
        QueueRules { address_share_ms: 0, ..QueueRules::default() },
        QueueRules { fair_share_ms: 0, ..QueueRules::default() },
    ] {
        let mut world = World::new(rules);
        let bases = (0..3).map(|author| base(&world.post(at(author, 200, "somebody"))));
        assert_eq!(bases.collect::<Vec<_>>(), [START; 3]);
    }
}

proptest! {
    /// However many somebody asks, and whoever they pretend to be: whoever asks first from an address waits for no more than
    /// one of each other address.
    #[test]
    fn a_first_question_has_at_most_one_of_each_other_address_before_it(
        floods in prop::collection::vec((0..4u8, prop::collection::vec(0..50u8, 1..20)), 1..6),
    ) {
        let mut world = World::new(QueueRules::default());
        for (address, authors) in &floods {
            for (n, author) in authors.iter().enumerate() {
                world.post(at(*author, *address, &format!("a{author}x{n}")));
            }
        }
        let hers = world.post(of(99, "ann"));
        let place = |record: &Record| Place::of(record, record.state.work.as_ref().expect("work"), 60_000);
        let before = world.store.values().filter(|record| place(record) < place(&hers)).count();
        prop_assert!(before <= floods.len().min(4), "{before}");
    }

    /// No two messages of an author that wait stand closer than a share, and none of an address closer than its share.
    #[test]
    fn what_waits_of_one_address_stands_apart(posts in prop::collection::vec((0..6u8, 0..3_000i64), 1..60)) {
        let mut world = World::new(QueueRules::default());
        let mut bases = Vec::new();
        for (author, later) in posts {
            world.now += later;
            bases.push((author, base(&world.post(at(author, 200, &format!("a{author}"))))));
        }
        for (n, (author, base)) in bases.iter().enumerate() {
            for (other, its) in &bases[..n] {
                let least = if author == other { SHARE } else { ADDRESS_SHARE };
                prop_assert!((base - its).abs() >= least, "{author} at {base}, {other} at {its}");
            }
        }
    }
}
