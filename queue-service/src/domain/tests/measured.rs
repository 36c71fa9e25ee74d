//! What is measured of claims, completions and lost leases.

use uuid::Uuid;

use super::world::{START, World, failure, lease, question};
use crate::domain::{Failure, LeaseLoss, Measured, QueueRules};

fn asked() -> (World, Uuid) {
    let mut world = World::new(QueueRules::default());
    let id = world.post(question("ann", "bot")).content.id;
    world.queue.take_measured();
    (world, id)
}

fn measured(world: &mut World) -> (Vec<i64>, Vec<i64>, Vec<LeaseLoss>) {
    let Measured { waited, worked, lost } = world.queue.take_measured();
    (waited, worked, lost)
}

#[test]
fn a_message_waits_until_its_claim_and_is_worked_on_until_its_completion() {
    let (mut world, id) = asked();
    world.pass(700);
    let leased = world.claim(id, "w").unwrap();
    assert_eq!(measured(&mut world), (vec![700], vec![], vec![]));
    world.pass(2_000);
    world.complete(&lease(&leased), Some("Well.")).unwrap();
    assert_eq!(measured(&mut world), (vec![], vec![2_000], vec![]));
}

#[test]
fn a_message_that_was_put_back_waits_from_then_on() {
    let (mut world, id) = asked();
    let leased = world.claim(id, "w").unwrap();
    world.pass(1_000);
    world.release(&lease(&leased)).unwrap();
    world.pass(300);
    let leased = world.claim(id, "w").unwrap();
    assert_eq!(measured(&mut world), (vec![0, 300], vec![], vec![]), "to give it back is no loss");
    let later = Failure { retry_after_ms: Some(5_000), ..failure("busy") };
    world.fail(&lease(&leased), later).unwrap();
    world.pass(5_200);
    world.claim(id, "w").unwrap();
    assert_eq!(measured(&mut world), (vec![200], vec![], vec![]), "the backoff is no wait for a worker");
}

#[test]
fn a_message_for_later_waits_from_its_time_on() {
    let mut world = World::new(QueueRules::default());
    let mut later = question("ann", "bot");
    later.address.as_mut().unwrap().not_before = Some(START + 60_000);
    let id = world.post(later).content.id;
    world.pass(60_050);
    world.claim(id, "w").unwrap();
    assert_eq!(measured(&mut world).0, [50]);
}

#[test]
fn a_lease_that_ends_is_lost_with_a_reason() {
    let (mut world, id) = asked();
    world.claim(id, "w").unwrap();
    world.pass(10_000);
    assert_eq!(measured(&mut world).2, [LeaseLoss::Expired]);
    let unseen = lease(&world.claim(id, "v").unwrap());
    world.run(&[id], |queue, _| queue.give_back(&unseen)).unwrap();
    assert_eq!(measured(&mut world).2, [LeaseLoss::Undelivered]);
    world.claim(id, "v").unwrap();
    world.run(&[id], |queue, _| queue.cancel(id)).unwrap();
    assert_eq!(measured(&mut world).2, [LeaseLoss::CalledOff]);
    world.run(&[id], |queue, _| queue.delete(id)).unwrap();
    assert_eq!(measured(&mut world).2, [], "nobody held it any more");
}

#[test]
fn a_claim_that_was_renewed_as_long_as_it_may_be_is_lost_for_that() {
    let (mut world, id) = asked();
    let leased = world.claim(id, "w").unwrap();
    for _ in 0..15 * 12 - 1 {
        world.pass(5_000);
        world.renew(&lease(&leased)).unwrap();
    }
    world.pass(5_000);
    assert_eq!(measured(&mut world).2, [LeaseLoss::ClaimLimit]);
}
