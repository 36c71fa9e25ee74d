//! Limits of entities and their pauses.

use std::collections::BTreeMap;

use super::world::{START, World, handed_out, lease, question, stream};
use crate::domain::{EntityLimit, EntityLimits, QueueRules, Rejection, Status};

fn limits(entity: &str, limit: EntityLimit) -> EntityLimits {
    EntityLimits { default: EntityLimit::default(), entities: BTreeMap::from([(entity.to_owned(), limit)]) }
}

fn world(limit: EntityLimit) -> World {
    World::new(QueueRules { entity_limits: limits("bot", limit), ..QueueRules::default() })
}

fn rate(per_minute: u32, burst: u32) -> EntityLimit {
    EntityLimit { per_minute: Some(per_minute), burst: Some(burst), in_flight: None }
}

fn ask(world: &mut World, questions: usize, entity: &str) {
    for n in 0..questions {
        world.post(question(&format!("human{n} of {entity}"), entity));
    }
}

#[test]
fn no_more_messages_a_minute_are_handed_out_than_an_entity_may_have() {
    let mut world = world(rate(6, 2));
    ask(&mut world, 20, "bot");
    let mut in_hand = handed_out(world.join(stream("s", 100)).1);
    assert_eq!(in_hand.len(), 2, "the burst");
    for minute in 0..3 {
        let mut count = 0;
        for _ in 0..60 {
            world.begin(1_000);
            for (_, leased) in in_hand.drain(..) {
                let done = lease(&leased);
                world.decide(&[done.id], None, |queue, at| queue.complete(&done, None, at)).unwrap();
            }
            in_hand = handed_out(world.end());
            count += in_hand.len();
        }
        assert_eq!(count, 6, "in minute {minute}");
    }
}

#[test]
fn the_queue_asks_to_be_looked_at_when_an_entity_has_a_message_again() {
    let mut world = world(rate(7, 1));
    ask(&mut world, 2, "bot");
    assert_eq!(handed_out(world.join(stream("s", 100)).1).len(), 1);
    // 60 s / 7 is 8,571.428 ms.
    let due = START + 8_572;
    assert!(world.queue.next_deadline().is_some_and(|deadline| deadline <= due));
    assert!(handed_out(world.pass(due - 1 - world.now)).is_empty());
    assert_eq!(handed_out(world.pass(1)).len(), 1);
}

#[test]
fn an_entity_at_its_rate_keeps_no_other_waiting() {
    let mut world = world(rate(1, 1));
    ask(&mut world, 5, "bot");
    ask(&mut world, 5, "other");
    assert_eq!(handed_out(world.join(stream("s", 100)).1).len(), 1 + 5);
}

#[test]
fn no_more_are_in_flight_than_an_entity_may_have() {
    let mut world = world(EntityLimit { in_flight: Some(2), ..EntityLimit::default() });
    ask(&mut world, 4, "bot");
    let first = handed_out(world.join(stream("s", 100)).1);
    assert_eq!(first.len(), 2);
    let done = lease(&first[0].1);
    world.begin(0);
    world.decide(&[done.id], None, |queue, at| queue.complete(&done, None, at)).unwrap();
    assert_eq!(handed_out(world.end()).len(), 1, "one ended, one begins");
}

#[test]
fn what_was_in_flight_counts_after_a_restart() {
    let mut world = world(EntityLimit { in_flight: Some(1), ..EntityLimit::default() });
    ask(&mut world, 2, "bot");
    let id = world.store.values().next().map(|record| record.content.id).expect("it was asked");
    world.claim(id, "w").unwrap();
    world.restart();
    assert!(handed_out(world.join(stream("s", 100)).1).is_empty());
}

#[test]
fn a_claim_by_id_is_refused_with_the_limit_and_the_time_to_come_back() {
    let mut world = world(EntityLimit { in_flight: Some(3), ..rate(6, 1) });
    let ids: Vec<_> = (0..2).map(|n| world.post(question(&format!("h{n}"), "bot")).content.id).collect();
    world.claim(ids[0], "w").unwrap();
    let refusal = world.claim(ids[1], "w").unwrap_err();
    let said = refusal.to_string();
    assert!(said.contains("\"bot\" is at its limit of 6 messages a minute"), "{said}");
    let Rejection::EntityLimit { retry_after_ms, .. } = refusal else { panic!("{refusal:?}") };
    world.pass(retry_after_ms - 1);
    assert!(world.claim(ids[1], "w").is_err());
    world.pass(1);
    assert!(world.claim(ids[1], "w").is_ok());
}

#[test]
fn new_limits_apply_at_once_and_begin_with_full_buckets() {
    let mut world = world(rate(1, 1));
    ask(&mut world, 5, "bot");
    assert_eq!(handed_out(world.join(stream("s", 100)).1).len(), 1);
    world.begin(0);
    world.queue.set_entity_limits(limits("bot", rate(1, 2)));
    assert_eq!(handed_out(world.end()).len(), 2);
    world.begin(0);
    world
        .queue
        .set_entity_limits(limits("bot", EntityLimit { in_flight: Some(3), ..EntityLimit::default() }));
    assert_eq!(handed_out(world.end()).len(), 0, "three are in flight");
    world.begin(0);
    world.queue.set_entity_limits(EntityLimits::default());
    assert_eq!(handed_out(world.end()).len(), 2);
}

#[test]
fn an_entity_that_has_been_quiet_is_forgotten() {
    let default = EntityLimits { default: rate(60, 5), entities: BTreeMap::new() };
    let mut world = World::new(QueueRules { entity_limits: default, ..QueueRules::default() });
    for n in 0..50 {
        world.post(question("ann", &format!("bot{n}")));
    }
    world.join(stream("s", 100));
    assert!(format!("{:?}", world.queue.throttle).contains("bot49"));
    for id in world.store.keys().copied().collect::<Vec<_>>() {
        world.begin(0);
        world.decide(&[id], None, |queue, _| queue.cancel(id)).unwrap();
        world.end();
    }
    world.pass(60_000);
    assert!(!format!("{:?}", world.queue.throttle).contains("bot49"));
}

#[test]
fn a_paused_entity_is_asked_and_answers_nothing_until_it_goes_on() {
    let mut world = World::new(QueueRules::default());
    world.run(&[], |queue, at| queue.pause("bot", at.now)).unwrap();
    let id = world.post(question("ann", "bot")).content.id;
    world.post(question("bob", "other"));
    assert_eq!(handed_out(world.join(stream("s", 100)).1).len(), 1, "the other's");
    assert_eq!(world.claim(id, "w"), Err(Rejection::EntityPaused("bot".to_owned())));
    world.begin(0);
    assert!(world.decide(&[], None, |queue, _| queue.resume("bot")));
    assert_eq!(handed_out(world.end()).len(), 1);
    assert!(!world.run(&[], |queue, _| queue.resume("bot")), "it goes on already");
}

#[test]
fn a_pause_lasts_over_a_restart_and_keeps_its_beginning() {
    let mut world = World::new(QueueRules::default());
    let since = world.run(&[], |queue, at| queue.pause("bot", at.now)).unwrap();
    world.pass(5_000);
    assert_eq!(world.run(&[], |queue, at| queue.pause("bot", at.now)), Ok(since));
    world.restart();
    ask(&mut world, 1, "bot");
    assert!(handed_out(world.join(stream("s", 100)).1).is_empty());
    assert_eq!(world.run(&[], |queue, at| queue.pause("bot", at.now)), Ok(since));
}

#[test]
fn work_that_is_held_when_its_entity_is_paused_is_finished() {
    let mut world = World::new(QueueRules::default());
    let id = world.post(question("ann", "bot")).content.id;
    let leased = world.claim(id, "w").unwrap();
    world.run(&[], |queue, at| queue.pause("bot", at.now)).unwrap();
    assert!(world.renew(&lease(&leased)).is_ok());
    assert!(world.complete(&lease(&leased), Some("Done.")).is_ok());
    assert_eq!(world.work(id).status, Status::Complete);
}

#[test]
fn only_so_many_entities_are_paused() {
    let mut world = World::new(QueueRules::default());
    for n in 0..1_000 {
        world.run(&[], |queue, at| queue.pause(&format!("bot{n}"), at.now)).unwrap();
    }
    let refused = world.run(&[], |queue, at| queue.pause("one more", at.now));
    assert_eq!(refused, Err(Rejection::TooManyPaused { limit: 1_000 }));
    assert!(world.run(&[], |queue, at| queue.pause("bot7", at.now)).is_ok());
}
