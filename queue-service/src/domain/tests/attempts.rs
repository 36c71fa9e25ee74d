//! Attempts that fail or run out: counters, waits, and when a message is given up.

use super::world::{FIRST_WAIT_MS, START, World, failure, lease, question};
use crate::domain::{ChangeKind, Failed, Failure, QueueRules, Status, Work};

fn asked() -> (World, uuid::Uuid) {
    let mut world = World::new(QueueRules::default());
    let id = world.post(question("ann", "bot")).content.id;
    (world, id)
}

fn attempt(world: &mut World, id: uuid::Uuid, failure: Failure) -> Failed {
    let leased = world.claim(id, "w").expect("the message waits");
    world.fail(&lease(&leased), failure).expect("the claim holds it")
}

#[test]
fn a_failure_is_tried_again_after_its_backoff() {
    let (mut world, id) = asked();
    let failed = attempt(&mut world, id, failure("overloaded"));
    assert_eq!(failed.retry_at, Some(START + FIRST_WAIT_MS));
    let work = world.work(id);
    assert_eq!((work.status, work.failures, work.expiries), (Status::Pending, 1, 0));
    assert_eq!(work.not_before, Some(START + FIRST_WAIT_MS));
    assert_eq!(work.errors, ["overloaded"]);
}

#[test]
fn a_worker_may_say_when_to_retry() {
    let (mut world, id) = asked();
    let later = Failure { retry_after_ms: Some(90_000), ..failure("rate limited") };
    assert_eq!(attempt(&mut world, id, later).retry_at, Some(START + 90_000));
    world.pass(89_999);
    assert_eq!(world.queue.lines.first(&[]), None);
    world.pass(1);
    assert_eq!(world.queue.lines.first(&[]), Some(1));
}

#[test]
fn a_message_that_waits_for_its_retry_can_be_claimed_by_id() {
    let (mut world, id) = asked();
    attempt(&mut world, id, Failure { retry_after_ms: Some(90_000), ..failure("rate limited") });
    assert!(world.claim(id, "w").is_ok());
    assert_eq!(world.work(id).not_before, None);
}

#[test]
fn the_fifth_failure_is_the_last() {
    let (mut world, id) = asked();
    for n in 1..5 {
        assert!(attempt(&mut world, id, failure(&format!("error {n}"))).retry_at.is_some());
    }
    let last = attempt(&mut world, id, failure("error 5"));
    assert_eq!(last.retry_at, None);
    let work = world.work(id);
    assert_eq!((work.status, work.claims, work.failures), (Status::Failed, 5, 5));
    assert!(!work.cancelled);
    assert_eq!(work.errors, ["error 1", "error 2", "error 3", "error 4", "error 5"]);
    assert_eq!(world.log.last().map(|change| change.kind), Some(ChangeKind::Failed));
}

#[test]
fn a_hopeless_failure_is_the_last_at_once() {
    let (mut world, id) = asked();
    let hopeless = Failure { retryable: false, retry_after_ms: Some(1), ..failure("no such model") };
    assert_eq!(attempt(&mut world, id, hopeless).retry_at, None);
    assert_eq!(world.work(id).status, Status::Failed);
    assert_eq!(world.queue.next_deadline(), None);
}

#[test]
fn the_third_expiry_is_the_last_if_two_workers_lost_the_message() {
    let (mut world, id) = asked();
    for (expiries, worker) in (1..).zip(["w", "w", "v"]) {
        world.claim(id, worker).unwrap();
        world.pass(10_000);
        assert_eq!(world.work(id).expiries, expiries);
    }
    assert_eq!(world.work(id).status, Status::Failed);
    assert_eq!(world.work(id).errors, ["3 leases ended without a result"]);
    assert_eq!(world.work(id).failures, 0);
}

#[test]
fn what_one_worker_loses_again_and_again_is_not_given_up() {
    let (mut world, id) = asked();
    for expiries in 1..=30 {
        // Past its pauses too.
        world.pass(600_000);
        world.claim(id, "w").unwrap();
        world.pass(10_000);
        let work = world.work(id);
        assert_eq!((work.status, work.expiries, work.attempts()), (Status::Pending, expiries, 1));
    }
    world.claim(id, "v").unwrap();
    world.pass(10_000);
    assert_eq!(world.work(id).errors, ["31 leases ended without a result"], "another one lost it too");
}

#[test]
fn an_expired_message_waits_again_at_once() {
    let (mut world, id) = asked();
    world.claim(id, "w").unwrap();
    world.pass(10_000);
    assert_eq!((world.work(id).status, world.work(id).not_before), (Status::Pending, None));
    assert_eq!(world.queue.lines.first(&[]), Some(1));
}

#[test]
fn failures_and_expiries_are_counted_apart() {
    let (mut world, id) = asked();
    for _ in 0..2 {
        world.claim(id, "w").unwrap();
        world.pass(10_000);
    }
    for _ in 0..4 {
        attempt(&mut world, id, failure("overloaded"));
    }
    let work = world.work(id);
    assert_eq!((work.status, work.failures, work.expiries), (Status::Pending, 4, 2));
}

#[test]
fn at_most_five_errors_are_kept_the_last_ones() {
    let mut world = World::new(QueueRules { max_failures: 7, ..QueueRules::default() });
    let id = world.post(question("ann", "bot")).content.id;
    for n in 1..=7 {
        attempt(&mut world, id, failure(&format!("error {n}")));
    }
    assert_eq!(world.work(id).errors.len(), Work::ERRORS_KEPT);
    assert_eq!(world.work(id).errors[0], "error 3");
}

#[test]
fn a_retry_by_an_operator_starts_with_fresh_counters_and_keeps_the_errors() {
    let (mut world, id) = asked();
    attempt(&mut world, id, Failure { retryable: false, ..failure("no such model") });
    world.run(&[id], |queue, at| queue.retry(id, at.now)).unwrap();
    let work = world.work(id);
    assert_eq!((work.status, work.claims, work.failures, work.expiries), (Status::Pending, 1, 0, 0));
    assert_eq!(work.errors, ["no such model"]);
    for _ in 0..4 {
        assert!(attempt(&mut world, id, failure("overloaded")).retry_at.is_some());
    }
}

#[test]
fn counters_survive_a_restart() {
    let (mut world, id) = asked();
    attempt(&mut world, id, failure("overloaded"));
    world.claim(id, "w").unwrap();
    world.pass(10_000);
    world.restart();
    for worker in ["v", "w"] {
        world.claim(id, worker).unwrap();
        world.pass(10_000);
    }
    let work = world.work(id);
    assert_eq!((work.status, work.claims, work.failures, work.expiries), (Status::Failed, 4, 1, 3));
}

#[test]
fn a_wait_for_a_retry_survives_a_restart() {
    let (mut world, id) = asked();
    attempt(&mut world, id, Failure { retry_after_ms: Some(90_000), ..failure("rate limited") });
    world.restart();
    assert_eq!(world.queue.lines.first(&[]), None);
    assert_eq!(world.queue.next_deadline(), Some(START + 90_000));
    world.pass(90_000);
    assert_eq!(world.queue.lines.first(&[]), Some(1));
}

#[test]
fn a_message_that_every_worker_gives_back_is_given_up_after_its_last_attempt() {
    let mut world = World::new(QueueRules { max_attempts: 3, ..QueueRules::default() });
    let id = world.post(question("ann", "bot")).content.id;
    for worker in ["one", "two"] {
        let leased = world.claim(id, worker).unwrap();
        assert!(world.release(&lease(&leased)).is_ok());
        assert_eq!(world.work(id).status, Status::Pending);
    }
    let leased = world.claim(id, "one").unwrap();
    world.release(&lease(&leased)).unwrap();
    let work = world.work(id);
    assert_eq!((work.status, work.cancelled), (Status::Failed, false));
    assert_eq!(work.errors, ["given up after 3 attempts"]);
    assert_eq!(world.log.last().map(|change| change.kind), Some(ChangeKind::Failed));
}

/// Two workers in turn.
fn by_turns(claims: u32) -> &'static str {
    if claims.is_multiple_of(2) { "one" } else { "two" }
}

#[test]
fn what_is_given_back_in_an_outage_counts_as_no_attempt_within_a_bound() {
    let mut world = World::new(QueueRules { max_attempts: 2, ..QueueRules::default() });
    let id = world.post(question("ann", "bot")).content.id;
    for claims in 1..=10 {
        let leased = world.claim(id, by_turns(claims)).unwrap();
        world.run(&[id], |queue, at| queue.hold_back(&lease(&leased), "out".to_owned(), at.now)).unwrap();
        let work = world.work(id);
        assert_eq!((work.status, work.claims, work.attempts()), (Status::Pending, claims, 0));
    }
    for (claims, status) in [(11, Status::Pending), (12, Status::Failed)] {
        let leased = world.claim(id, by_turns(claims)).unwrap();
        world.run(&[id], |queue, at| queue.hold_back(&lease(&leased), "out".to_owned(), at.now)).unwrap();
        assert_eq!(world.work(id).status, status);
    }
}

#[test]
fn after_an_operators_retry_an_outage_costs_no_attempt_again() {
    let mut world = World::new(QueueRules { max_attempts: 2, ..QueueRules::default() });
    let id = world.post(question("ann", "bot")).content.id;
    let outage = |world: &mut World, claims| {
        let leased = world.claim(id, by_turns(claims)).unwrap();
        world.run(&[id], |queue, at| queue.hold_back(&lease(&leased), "out".to_owned(), at.now)).unwrap();
    };
    for claims in 1..=12 {
        outage(&mut world, claims);
    }
    assert_eq!(world.work(id).status, Status::Failed, "the bound is reached");
    world.run(&[id], |queue, at| queue.retry(id, at.now)).unwrap();
    for claims in 1..=10 {
        outage(&mut world, claims);
        assert_eq!((world.work(id).status, world.work(id).attempts()), (Status::Pending, 0));
    }
}

#[test]
fn failures_ended_leases_and_releases_count_together_as_attempts() {
    let mut world = World::new(QueueRules { max_attempts: 3, ..QueueRules::default() });
    let id = world.post(question("ann", "bot")).content.id;
    attempt(&mut world, id, failure("overloaded"));
    world.claim(id, "w").unwrap();
    world.pass(10_000);
    let last = attempt(&mut world, id, failure("overloaded again"));
    assert_eq!(last.retry_at, None);
    let work = world.work(id);
    assert_eq!((work.status, work.failures, work.expiries), (Status::Failed, 2, 1));
    assert_eq!(work.errors, ["overloaded", "overloaded again", "given up after 3 attempts"]);
}

#[test]
fn an_operators_retry_starts_the_count_of_attempts_again() {
    let mut world = World::new(QueueRules { max_attempts: 1, ..QueueRules::default() });
    let id = world.post(question("ann", "bot")).content.id;
    for round in 1..=3 {
        let leased = world.claim(id, "w").unwrap();
        world.release(&lease(&leased)).unwrap();
        assert_eq!((world.work(id).status, world.work(id).claims), (Status::Failed, round));
        world.run(&[id], |queue, at| queue.retry(id, at.now)).unwrap();
        assert_eq!(world.work(id).attempts(), 0);
    }
    world.restart();
    let leased = world.claim(id, "w").unwrap();
    assert!(world.complete(&lease(&leased), None).is_ok());
}

#[test]
fn a_claim_that_no_worker_saw_is_no_attempt() {
    let mut world = World::new(QueueRules { max_attempts: 2, ..QueueRules::default() });
    let id = world.post(question("ann", "bot")).content.id;
    for _ in 0..10 {
        let unseen = lease(&world.claim(id, "w").unwrap());
        world.run(&[id], |queue, _| queue.give_back(&unseen)).unwrap();
    }
    assert_eq!((world.work(id).claims, world.work(id).attempts()), (10, 0));
    assert_eq!(world.work(id).status, Status::Pending);
}
