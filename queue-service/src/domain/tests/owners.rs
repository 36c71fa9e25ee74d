//! Whose a conversation is: posts with and without a secret, one after the other, at once, repeated, and after a restart.

use super::world::{World, question, remark};
use crate::domain::{Claimant, NewMessage, Posted, QueueRules, Rejection, Request, RequestKey, SenderKey};

const HOME: SenderKey = SenderKey([100; 16]);
const AWAY: SenderKey = SenderKey([101; 16]);

/// Who brings the secret of this number, from an address.
fn with(secret: u8, address: SenderKey) -> Option<Claimant> {
    Some(Claimant { visitor: SenderKey([secret; 16]), has_secret: true, address })
}

/// Who brings none, and for whom the gateway has made the secret of this number.
fn without(secret: u8, address: SenderKey) -> Option<Claimant> {
    Some(Claimant { visitor: SenderKey([secret; 16]), has_secret: false, address })
}

fn asks(claimant: Option<Claimant>) -> NewMessage {
    NewMessage { claimant, ..question("ann", "bot") }
}

/// Whether the post is welcome, and whether its conversation then belongs to the secret.
fn ask(world: &mut World, claimant: Option<Claimant>) -> Option<bool> {
    match world.try_post(asks(claimant), None) {
        Ok(posted) => Some(posted.owns_conversation),
        Err(Rejection::ConversationTaken) => None,
        Err(other) => panic!("{other}"),
    }
}

fn keyed(key: u8) -> Option<Request> {
    Some(Request { key: RequestKey([key; 16]), fingerprint: [0; 16], before: None })
}

#[test]
fn whoever_asks_first_begins_a_conversation() {
    for first in [with(1, HOME), without(1, HOME)] {
        assert_eq!(ask(&mut World::new(QueueRules::default()), first), Some(true));
    }
}

#[test]
fn who_keeps_the_secret_of_a_first_post_goes_on_with_it_and_closes_the_conversation_to_the_address() {
    let mut world = World::new(QueueRules::default());
    assert_eq!(ask(&mut world, without(1, HOME)), Some(true), "the secret 1 is handed out");
    assert_eq!(ask(&mut world, without(2, HOME)), Some(false), "no other is: the first stays what it is");
    assert_eq!(ask(&mut world, with(3, HOME)), Some(false), "who lost the answer and has a secret by now");
    for stranger in [with(3, AWAY), without(3, AWAY)] {
        assert_eq!(ask(&mut world, stranger), None, "an address stands for itself only");
    }
    assert_eq!(ask(&mut world, with(1, AWAY)), Some(true), "the secret is good anywhere");
    for restarted in [false, true] {
        for stranger in [without(2, HOME), with(3, HOME), with(3, AWAY), without(3, AWAY)] {
            assert_eq!(ask(&mut world, stranger), None, "{stranger:?}, restarted: {restarted}");
        }
        assert_eq!(ask(&mut world, with(1, HOME)), Some(true));
        world.restart();
    }
}

#[test]
fn an_address_that_stands_for_a_secret_does_so_after_a_restart_too() {
    let mut world = World::new(QueueRules::default());
    ask(&mut world, without(1, HOME));
    world.restart();
    assert_eq!(ask(&mut world, without(2, HOME)), Some(false));
    assert_eq!(ask(&mut world, without(2, AWAY)), None);
    assert_eq!(ask(&mut world, with(1, AWAY)), Some(true));
}

#[test]
fn of_first_posts_in_one_group_one_begins_the_conversation() {
    let mut world = World::new(QueueRules::default());
    world.begin(0);
    let owned: Vec<_> = (1..=3)
        .map(|secret| world.decide(&[], None, |queue, at| queue.post(asks(without(secret, HOME)), None, at)))
        .map(|posted| posted.expect("the address is the same").owns_conversation)
        .collect();
    world.end();
    assert_eq!(owned, [true, false, false]);
    assert_eq!(ask(&mut world, with(1, AWAY)), Some(true));
}

#[test]
fn a_repeated_post_owns_what_the_first_began_only_with_the_same_secret() {
    let mut world = World::new(QueueRules::default());
    let post = |world: &mut World, claimant| {
        let Posted { replayed, owns_conversation, .. } =
            world.try_post(asks(claimant), keyed(1)).expect("it is the same request");
        (replayed, owns_conversation)
    };
    assert_eq!(post(&mut world, without(1, HOME)), (false, true));
    for restarted in [false, true] {
        assert_eq!(post(&mut world, without(1, HOME)), (true, true), "a gateway repeats its call as it was");
        assert_eq!(
            post(&mut world, without(2, HOME)),
            (true, false),
            "a client's has another secret, {restarted}"
        );
        world.restart();
    }
    assert_eq!(ask(&mut world, without(3, HOME)), Some(false), "it goes on by its address");
    assert_eq!(ask(&mut world, with(4, HOME)), Some(false), "and with a secret that it was given elsewhere");
}

#[test]
fn who_repeats_a_first_post_with_the_secret_of_its_answer_is_answered_as_the_first_time() {
    let mut world = World::new(QueueRules::default());
    // The keys 1 are the same, of the address and of the visitors.
    let with_secret =
        |secret: u8| Some(Request { before: Some(RequestKey([1; 16])), ..keyed(secret).unwrap() });
    let first = world.try_post(asks(without(10, HOME)), keyed(1)).unwrap().record;
    for restarted in [false, true] {
        let again = world.try_post(asks(with(10, AWAY)), with_secret(10)).unwrap();
        assert_eq!((again.replayed, again.owns_conversation), (true, true), "restarted: {restarted}");
        assert_eq!(again.record, first);
        world.restart();
    }
    let other = NewMessage { text: "Another question.".to_owned(), ..asks(with(10, HOME)) };
    let another = Some(Request { fingerprint: [9; 16], ..with_secret(10).unwrap() });
    let neighbour = world.try_post(asks(with(11, HOME)), with_secret(11)).unwrap();
    assert!(!neighbour.replayed, "a neighbour has another secret, and is answered no edit token of hers");
    assert!(!world.try_post(other, another).unwrap().replayed, "another message is no repeat");
}

#[test]
fn a_refused_question_begins_nothing() {
    let mut world = World::new(QueueRules { max_pending: 0, ..QueueRules::default() });
    world.try_post(asks(without(1, HOME)), None).expect_err("the queue is full");
    world.rules.max_pending = 1;
    world.restart();
    assert_eq!(ask(&mut world, with(2, AWAY)), Some(true));
}

#[test]
fn a_remark_and_a_question_of_whoever_claims_nothing_belong_to_nobody() {
    let mut world = World::new(QueueRules::default());
    let said = NewMessage { claimant: without(1, HOME), ..remark("ann") };
    assert!(!world.try_post(said, None).expect("it is welcome").owns_conversation);
    assert_eq!(ask(&mut world, None), Some(false), "a worker's, or conversations are nobody's");
    assert_eq!(ask(&mut world, with(2, AWAY)), Some(true), "so the first visitor in it takes it");
}
