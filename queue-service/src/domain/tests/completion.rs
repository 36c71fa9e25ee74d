//! The `complete` table of the wire contract, row by row, and what a lost lease may do.

use uuid::Uuid;

use super::world::{World, by, by_name, failure, held, lease, question, remark};
use crate::domain::{
    Author, ChangeKind, Completed, Editor, Leased, QueueRules, Rejection, Status, Token, Update,
};

/// A world with one question, claimed.
fn claimed() -> (World, Uuid, Leased) {
    let mut world = World::new(QueueRules::default());
    let id = world.post(question("ann", "bot")).content.id;
    let leased = world.claim(id, "w1").unwrap();
    (world, id, leased)
}

/// The same after its lease ended.
fn lapsed() -> (World, Uuid, Leased) {
    let (mut world, id, leased) = claimed();
    world.pass(10_000);
    assert_eq!(world.work(id).status, Status::Pending);
    (world, id, leased)
}

fn completed(outcome: Result<Completed, Rejection>) -> (Option<Uuid>, bool, bool) {
    let Completed { reply, late, already_completed, .. } = outcome.expect("the completion is accepted");
    (reply, late, already_completed)
}

#[test]
fn the_current_token_completes() {
    let (mut world, id, leased) = claimed();
    let (reply, late, again) = completed(world.complete(&lease(&leased), Some("It is not.")));
    assert_eq!((late, again), (false, false));
    assert_eq!(world.work(id).status, Status::Complete);
    assert_eq!(world.work(id).reply, reply);
    assert_eq!(world.work(id).completed_at, Some(world.now));
}

#[test]
fn the_reply_is_by_the_ai_that_was_asked_and_in_the_same_conversation_and_domain() {
    let (mut world, id, leased) = claimed();
    let reply = world.complete(&lease(&leased), Some("It is not.")).unwrap().reply.unwrap();
    let (asked, answer) = (world.record(id).content.clone(), world.record(reply).content.clone());
    assert_eq!(
        (answer.author, answer.username.as_str(), answer.color.as_str()),
        (Author::Ai, "bot", "default")
    );
    assert_eq!((answer.reply_to, answer.conversation), (Some(id), asked.conversation));
    assert_eq!(answer.domain, asked.domain);
    assert_eq!(world.record(reply).state.work, None, "an answer is no work");
    assert!(answer.timestamp > asked.timestamp);
}

#[test]
fn the_reply_comes_before_the_completion_in_the_log() {
    let (mut world, _, leased) = claimed();
    world.complete(&lease(&leased), Some("It is not.")).unwrap();
    let kinds: Vec<_> = world.log.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Posted, ChangeKind::Claimed, ChangeKind::Posted, ChangeKind::Completed]);
}

#[test]
fn a_late_completion_that_nobody_overtook_is_accepted_as_late() {
    let (mut world, id, leased) = lapsed();
    let (reply, late, again) = completed(world.complete(&lease(&leased), Some("Late, but here.")));
    assert!(reply.is_some());
    assert_eq!((late, again), (true, false));
    assert_eq!(world.work(id).status, Status::Complete);
}

#[test]
fn the_same_token_again_gets_the_same_reply_and_stores_nothing() {
    let (mut world, _, leased) = claimed();
    let first = world.complete(&lease(&leased), Some("Once.")).unwrap();
    let changes = world.log.len();
    let (reply, late, again) = completed(world.complete(&lease(&leased), Some("Twice.")));
    assert_eq!((reply, late, again), (first.reply, false, true));
    assert_eq!(world.log.len(), changes);
}

#[test]
fn a_repeated_late_completion_is_already_completed_too() {
    let (mut world, _, leased) = lapsed();
    let first = world.complete(&lease(&leased), Some("Late.")).unwrap();
    assert_eq!(completed(world.complete(&lease(&leased), None)), (first.reply, false, true));
}

#[test]
fn a_worker_whose_message_another_claim_holds_has_lost_its_lease() {
    let (mut world, id, stale) = lapsed();
    world.claim(id, "w2").unwrap();
    let stale = lease(&stale);
    assert!(matches!(world.complete(&stale, Some("Stale.")), Err(Rejection::LeaseLost(_))));
    assert!(matches!(world.renew(&stale), Err(Rejection::LeaseLost(_))));
    assert!(matches!(world.release(&stale), Err(Rejection::LeaseLost(_))));
    assert!(matches!(world.fail(&stale, failure("stale")), Err(Rejection::LeaseLost(_))));
}

#[test]
fn a_message_completed_under_another_token_is_already_completed() {
    let (mut world, id, stale) = lapsed();
    let current = world.claim(id, "w2").unwrap();
    world.complete(&lease(&current), None).unwrap();
    assert_eq!(world.complete(&lease(&stale), None), Err(Rejection::AlreadyCompleted));
}

#[test]
fn a_cancelled_message_says_that_it_was_cancelled() {
    let (mut world, id, leased) = claimed();
    world.run(&[id], |queue, _| queue.cancel(id)).unwrap();
    assert_eq!(world.complete(&lease(&leased), None), Err(Rejection::Cancelled));
}

#[test]
fn a_failed_message_says_that_it_failed() {
    let (mut world, _, leased) = claimed();
    let hopeless = crate::domain::Failure { retryable: false, ..failure("no such model") };
    world.fail(&lease(&leased), hopeless).unwrap();
    assert_eq!(world.complete(&lease(&leased), None), Err(Rejection::Failed));
}

#[test]
fn an_unknown_message_is_not_found() {
    let (mut world, _, leased) = claimed();
    let nobody = Uuid::from_u128(7);
    assert_eq!(world.complete(&held(nobody, leased.token), None), Err(Rejection::NotFound(nobody)));
}

#[test]
fn a_message_that_is_no_work_cannot_be_completed() {
    let (mut world, _, leased) = claimed();
    let id = world.post(remark("ann")).content.id;
    assert!(matches!(world.complete(&held(id, leased.token), None), Err(Rejection::WrongStatus(_))));
}

#[test]
fn a_token_that_nobody_was_given_completes_nothing() {
    let (mut world, id, _) = claimed();
    let guess = held(id, Token([7; 16]));
    assert!(matches!(world.complete(&guess, None), Err(Rejection::LeaseLost(_))));
    assert_eq!(world.work(id).status, Status::Processing);
}

#[test]
fn without_a_token_the_worker_id_of_the_live_claim_is_accepted() {
    let (mut world, id, _) = claimed();
    let named = |worker: &str| by_name(id, None, worker);
    assert!(matches!(world.complete(&named("w2"), None), Err(Rejection::LeaseLost(_))));
    assert_eq!(completed(world.complete(&named("w1"), None)), (None, false, false));
    assert_eq!(completed(world.complete(&named("w1"), None)), (None, false, true));
    assert_eq!(world.complete(&named("w2"), None), Err(Rejection::AlreadyCompleted));
}

#[test]
fn a_worker_id_names_only_the_claims_that_were_made_under_the_same_token() {
    let mut world = World::new(QueueRules::default());
    let id = world.post(question("ann", "bot")).content.id;
    world.begin(0);
    let claim = by("w1").under(Some("token 1"));
    let leased = world.decide(&[id], None, |queue, at| queue.claim(id, &claim, at)).unwrap();
    world.end();
    for stranger in [by_name(id, Some("token 2"), "w1"), by_name(id, None, "w1")] {
        assert!(matches!(world.renew(&stranger), Err(Rejection::LeaseLost(_))));
        assert!(matches!(world.release(&stranger), Err(Rejection::LeaseLost(_))));
        assert!(matches!(world.fail(&stranger, failure("no")), Err(Rejection::LeaseLost(_))));
        assert!(matches!(world.complete(&stranger, Some("Mine.")), Err(Rejection::LeaseLost(_))));
        assert!(stranger.held_on(&leased.record).is_err());
    }
    let own = by_name(id, Some("token 1"), "w1");
    assert_eq!(own.held_on(&leased.record), Ok(()));
    assert!(world.renew(&own).is_ok());
    assert!(!completed(world.complete(&own, None)).2);
}

#[test]
fn a_claim_that_was_given_back_completes_nothing() {
    let (mut world, _, leased) = claimed();
    world.release(&lease(&leased)).unwrap();
    assert!(matches!(world.complete(&lease(&leased), None), Err(Rejection::LeaseLost(_))));
}

#[test]
fn a_lapsed_lease_can_be_neither_renewed_nor_released_nor_failed() {
    let (mut world, _, leased) = lapsed();
    let late = lease(&leased);
    assert!(matches!(world.renew(&late), Err(Rejection::LeaseLost(_))));
    assert!(matches!(world.release(&late), Err(Rejection::LeaseLost(_))));
    assert!(matches!(world.fail(&late, failure("late")), Err(Rejection::LeaseLost(_))));
}

#[test]
fn of_two_claims_the_second_is_refused() {
    let (mut world, id, _) = claimed();
    assert_eq!(world.claim(id, "w2").unwrap_err().to_string(), "Message status is processing, not pending");
}

#[test]
fn of_two_claims_in_one_group_the_second_is_refused() {
    let mut world = World::new(QueueRules::default());
    let id = world.post(question("ann", "bot")).content.id;
    world.begin(0);
    let first = world.decide(&[id], None, |queue, at| queue.claim(id, &by("w1"), at));
    let second = world.decide(&[id], None, |queue, at| queue.claim(id, &by("w2"), at));
    assert!(first.is_ok());
    assert_eq!(second, Err(Rejection::NotPending(Status::Processing)));
}

#[test]
fn an_answer_to_what_an_operator_completed_is_refused_and_not_dropped() {
    let (mut world, id, leased) = claimed();
    let done = Update { status: Some(Status::Complete), ..Update::default() };
    world.begin(0);
    world.decide(&[id], None, |queue, at| queue.update(id, done, Editor::Operator, at)).unwrap();
    world.end();
    let changes = world.log.len();
    for lease in [lease(&leased), by_name(id, None, "w1")] {
        for reply in [Some("An answer."), None] {
            assert_eq!(world.complete(&lease, reply), Err(Rejection::AlreadyCompleted));
        }
    }
    assert_eq!(world.log.len(), changes);
}

#[test]
fn a_claim_that_finished_without_a_reply_cannot_add_one() {
    let (mut world, _, leased) = claimed();
    world.complete(&lease(&leased), None).unwrap();
    assert_eq!(world.complete(&lease(&leased), Some("After all.")), Err(Rejection::AlreadyCompleted));
    assert_eq!(completed(world.complete(&lease(&leased), None)), (None, false, true), "the repeat is one");
}
