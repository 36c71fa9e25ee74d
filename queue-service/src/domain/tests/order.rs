//! In which order work is handed out.

use super::world::{World, handed_out, lease, question, remark, stream};
use crate::domain::{Address, Editor, NewMessage, QueueRules, Taker};

const MINUTE: i64 = 60_000;

fn urgent(human: &str, priority: u32) -> NewMessage {
    NewMessage { priority, ..question(human, "bot") }
}

/// The authors in the order in which their questions are handed out to one taker that does one after the other.
fn served(world: &mut World) -> Vec<String> {
    let (taker, mut events) = world.join(stream("s", 1));
    let mut authors = Vec::new();
    while let Some((_, leased)) = handed_out(events).pop() {
        authors.push(leased.record.content.username.clone());
        let done = lease(&leased);
        world.begin(0);
        world.decide(&[done.id], None, |queue, at| queue.complete(&done, None, at)).unwrap();
        events = world.end();
    }
    world.part(taker);
    authors
}

#[test]
fn of_the_same_priority_the_oldest_is_first() {
    let mut world = World::new(QueueRules::default());
    for human in ["ann", "bob", "cid"] {
        world.post(question(human, "bot"));
    }
    assert_eq!(served(&mut world), ["ann", "bob", "cid"]);
}

#[test]
fn messages_of_one_commit_are_served_in_their_order() {
    let mut world = World::new(QueueRules::default());
    world.begin(0);
    for human in ["ann", "bob", "cid"] {
        world.decide(&[], None, |queue, at| queue.post(question(human, "bot"), None, at)).unwrap();
    }
    world.end();
    assert_eq!(served(&mut world), ["ann", "bob", "cid"]);
}

#[test]
fn a_higher_priority_is_first() {
    let mut world = World::new(QueueRules::default());
    for (human, priority) in [("ann", 0), ("bob", 99), ("cid", 5)] {
        world.post(urgent(human, priority));
    }
    assert_eq!(served(&mut world), ["bob", "cid", "ann"]);
}

#[test]
fn each_minute_waited_counts_as_one_level() {
    let mut world = World::new(QueueRules::default());
    world.post(urgent("patient", 5));
    world.now += 2 * MINUTE - 1;
    world.post(urgent("urgent", 7));
    world.now += 2;
    world.post(urgent("latecomer", 7));
    assert_eq!(served(&mut world), ["urgent", "patient", "latecomer"]);
}

#[test]
fn with_ageing_nothing_starves_behind_a_stream_of_urgent_messages() {
    let mut world = World::new(QueueRules::default());
    world.post(urgent("patient", 0));
    for n in 0..200 {
        world.now += MINUTE;
        world.post(urgent(&format!("urgent{n}"), 99));
    }
    let place = served(&mut world).iter().position(|human| human == "patient");
    assert_eq!(place, Some(98));
}

#[test]
fn without_ageing_priority_is_strict() {
    let mut world = World::new(QueueRules { aging_ms: 0, ..QueueRules::default() });
    world.post(urgent("patient", 5));
    world.now += 24 * 60 * MINUTE;
    world.post(urgent("urgent", 6));
    world.post(urgent("same", 5));
    assert_eq!(served(&mut world), ["urgent", "patient", "same"]);
}

#[test]
fn a_new_priority_moves_a_message_to_its_new_place() {
    let mut world = World::new(QueueRules::default());
    world.post(urgent("ann", 5));
    let id = world.post(urgent("bob", 5)).content.id;
    let update = crate::domain::Update { priority: Some(9), ..Default::default() };
    world.run(&[id], |queue, at| queue.update(id, update, Editor::Operator, at)).unwrap();
    assert_eq!(served(&mut world), ["bob", "ann"]);
}

#[test]
fn two_quick_questions_of_a_conversation_are_answered_one_after_the_other() {
    let mut world = World::new(QueueRules::default());
    let first = world.post(question("ann", "bot")).content.id;
    let second = world.post(question("ann", "bot")).content.id;
    let other = world.post(question("bob", "bot")).content.id;
    let (_, events) = world.join(stream("s", 10));
    let now: Vec<_> = handed_out(events);
    let ids: Vec<_> = now.iter().map(|(_, leased)| leased.record.content.id).collect();
    assert_eq!(ids, [first, other], "the second question waits for the first answer");

    world.begin(0);
    let done = lease(&now[0].1);
    world.decide(&[first], None, |queue, at| queue.complete(&done, None, at)).unwrap();
    assert_eq!(handed_out(world.end())[0].1.record.content.id, second);
}

#[test]
fn a_question_that_waits_for_its_retry_keeps_its_conversation_in_order() {
    let mut world = World::new(QueueRules::default());
    let first = world.post(question("ann", "bot")).content.id;
    let second = world.post(question("ann", "bot")).content.id;
    let (_, events) = world.join(stream("s", 1));
    let attempt = lease(&handed_out(events)[0].1);
    world.begin(0);
    let failure = crate::domain::Failure { retry_after_ms: Some(5_000), ..super::world::failure("busy") };
    world.decide(&[first], None, |queue, at| queue.fail(&attempt, failure, at)).unwrap();
    assert_eq!(world.end(), [], "the second question does not overtake the first");
    assert_eq!(handed_out(world.pass(5_000))[0].1.record.content.id, first);
    assert_eq!(world.work(second).claims, 0);
}

#[test]
fn a_god_mode_session_does_not_wait_for_the_plain_conversation() {
    let mut world = World::new(QueueRules::default());
    let plain = question("ann", "bot");
    let mut god_mode = plain.clone();
    god_mode.address = plain.address.clone().map(|a| Address { session_id: Some("god".to_owned()), ..a });
    world.post(plain);
    world.post(god_mode);
    let (_, events) = world.join(stream("s", 10));
    assert_eq!(handed_out(events).len(), 2);
}

#[test]
fn with_one_per_conversation_off_questions_are_handed_out_together() {
    let mut world = World::new(QueueRules { one_per_conversation: false, ..QueueRules::default() });
    world.post(question("ann", "bot"));
    world.post(question("ann", "bot"));
    let (_, events) = world.join(stream("s", 10));
    assert_eq!(handed_out(events).len(), 2);
}

#[test]
fn a_claim_by_id_may_overtake_its_conversation() {
    let mut world = World::new(QueueRules::default());
    world.post(question("ann", "bot"));
    let second = world.post(question("ann", "bot")).content.id;
    assert!(world.claim(second, "w").is_ok());
    let (_, events) = world.join(stream("s", 10));
    assert_eq!(events, [], "and the first question waits until it is done");
}

#[test]
fn a_taker_gets_only_the_entities_that_it_answers() {
    let mut world = World::new(QueueRules::default());
    world.post(question("ann", "one"));
    world.post(question("bob", "two"));
    world.post(remark("cid"));
    let (_, events) = world.join(Taker { entities: vec!["two".to_owned()], ..stream("s", 10) });
    let authors: Vec<_> =
        handed_out(events).into_iter().map(|(_, leased)| leased.record.content.username.clone()).collect();
    assert_eq!(authors, ["bob"]);
}

#[test]
fn takers_with_room_are_served_in_turn() {
    let mut world = World::new(QueueRules::default());
    for n in 0..6 {
        world.post(question(&format!("human{n}"), "bot"));
    }
    world.begin(0);
    let ids: Vec<_> = (0..3).map(|n| world.join_group(stream(&format!("s{n}"), 2))).collect();
    let served: Vec<_> = handed_out(world.end()).into_iter().map(|(id, _)| id).collect();
    assert_eq!(served, [ids.clone(), ids].concat());
}
