//! What is remembered of the claims of a message that ended.

use uuid::Uuid;

use super::world::{START, World, failure, lease, question};
use crate::domain::{AttemptEnd, Editor, Failure, QueueRules, Status, Update, Work};

fn asked() -> (World, Uuid) {
    let mut world = World::new(QueueRules::default());
    let id = world.post(question("ann", "bot")).content.id;
    (world, id)
}

/// Worker, how it ended and with which error, of all attempts that are shown.
fn told(world: &World, id: Uuid) -> Vec<(String, Option<AttemptEnd>, Option<String>)> {
    let shown = world.work(id).shown_attempts().into_iter();
    shown.map(|attempt| (attempt.worker, attempt.ended.map(|(_, end)| end), attempt.error)).collect()
}

fn ended(worker: &str, end: AttemptEnd) -> (String, Option<AttemptEnd>, Option<String>) {
    (worker.to_owned(), Some(end), None)
}

#[test]
fn each_attempt_is_told_with_its_worker_its_end_and_its_error() {
    let (mut world, id) = asked();
    assert_eq!(told(&world, id), []);
    let failed = world.claim(id, "one").unwrap();
    world.fail(&lease(&failed), failure("overloaded")).unwrap();
    world.claim(id, "two").unwrap();
    world.pass(10_000);
    let released = world.claim(id, "three").unwrap();
    world.release(&lease(&released)).unwrap();
    let unseen = lease(&world.claim(id, "four").unwrap());
    world.run(&[id], |queue, _| queue.give_back(&unseen)).unwrap();
    let away = lease(&world.claim(id, "five").unwrap());
    world.run(&[id], |queue, at| queue.hold_back(&away, "no model".to_owned(), at.now)).unwrap();
    world.claim(id, "six").unwrap();
    let mut expected = vec![
        ("one".to_owned(), Some(AttemptEnd::Failed), Some("overloaded".to_owned())),
        ended("two", AttemptEnd::LeaseLost),
        ended("three", AttemptEnd::Released),
        ended("four", AttemptEnd::Undelivered),
        ended("five", AttemptEnd::HeldBack),
        ("six".to_owned(), None, None),
    ];
    assert_eq!(told(&world, id), expected);
    world.run(&[id], |queue, _| queue.cancel(id)).unwrap();
    expected[5].1 = Some(AttemptEnd::CalledOff);
    assert_eq!(told(&world, id), expected);
    world.run(&[id], |queue, at| queue.retry(id, at.now)).unwrap();
    let last = world.claim(id, "seven").unwrap();
    world.complete(&lease(&last), None).unwrap();
    expected.push(ended("seven", AttemptEnd::Completed));
    assert_eq!(told(&world, id), expected, "a retry forgets none");
}

#[test]
fn an_attempt_says_when_it_began_and_ended() {
    let (mut world, id) = asked();
    let failed = world.claim(id, "w").unwrap();
    world.pass(2_000);
    world.fail(&lease(&failed), failure("overloaded")).unwrap();
    let attempt = world.work(id).shown_attempts().remove(0);
    assert_eq!((attempt.began, attempt.ended.unwrap().0), (START, START + 2_000));
}

#[test]
fn a_late_answer_is_the_end_of_the_attempt_whose_lease_was_lost() {
    let (mut world, id) = asked();
    let late = world.claim(id, "w").unwrap();
    world.pass(10_000);
    assert_eq!(told(&world, id), [ended("w", AttemptEnd::LeaseLost)]);
    assert!(world.complete(&lease(&late), None).unwrap().late);
    assert_eq!(told(&world, id), [ended("w", AttemptEnd::Completed)]);
}

#[test]
fn work_that_an_operator_takes_away_is_told_as_called_off() {
    let (mut world, id) = asked();
    let step = |status| Update { status: Some(status), ..Update::default() };
    for status in [Status::Pending, Status::Complete] {
        world.claim(id, "w").unwrap();
        world.run(&[id], |queue, at| queue.update(id, step(status), Editor::Operator, at)).unwrap();
    }
    assert_eq!(told(&world, id), [ended("w", AttemptEnd::CalledOff), ended("w", AttemptEnd::CalledOff)]);
}

#[test]
fn so_many_attempts_are_kept_and_an_error_that_left_is_not_told_as_another() {
    let (mut world, id) = asked();
    for round in 0..3 {
        for n in 1..=5 {
            let claimed = world.claim(id, "w").unwrap();
            world.fail(&lease(&claimed), failure(&format!("error {round} {n}"))).unwrap();
        }
        world.run(&[id], |queue, at| queue.retry(id, at.now)).unwrap();
    }
    let errors: Vec<_> = told(&world, id).into_iter().map(|(.., error)| error).collect();
    assert_eq!(errors.len(), Work::ATTEMPTS_KEPT);
    let kept = (1..=5).map(|n| Some(format!("error 2 {n}")));
    assert_eq!(errors, std::iter::repeat_n(None, 5).chain(kept).collect::<Vec<_>>());
}

#[test]
fn a_deleted_message_tells_no_error_of_an_attempt() {
    let (mut world, id) = asked();
    let claimed = world.claim(id, "w").unwrap();
    let error = Failure { retry_after_ms: Some(0), ..failure("it quotes you") };
    world.fail(&lease(&claimed), error).unwrap();
    world.run(&[id], |queue, _| queue.delete(id)).unwrap();
    assert_eq!(told(&world, id), [ended("w", AttemptEnd::Failed)]);
    assert_eq!(world.work(id).errors, ["cancelled"]);
}
