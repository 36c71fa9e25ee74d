//! Claims, leases and completions: held by one, answered once.

use repartee_proto::v1::{ChangeKind, Status};

use super::story::Story;
use crate::{
    history::{Answer, Completed, Granted},
    request::Request,
};

/// Lets a lease run out.
fn expires(story: &mut Story, id: &str) {
    story.wait(6_000);
    story.goes_back(id, ChangeKind::Expired);
}

#[test]
fn every_way_in_which_a_claim_may_end_is_allowed() {
    let mut story = Story::new();
    let id = story.posts();
    let lease = story.claims(&id);
    let message = story.goes_back(&id, ChangeKind::Released);
    story.answered(Request::Release(lease), Answer::Message(Box::new(message)));
    let lease = story.claims(&id);
    story.goes_back(&id, ChangeKind::RetryScheduled);
    let retryable = true;
    story.lost(Request::Fail { lease, error: "no".to_owned(), retryable });
    let lease = story.claims(&id);
    expires(&mut story, &id);
    let last = story.claims(&id);
    story.refused(Request::Complete(vec![story_completion(&lease)]), "LEASE_LOST");
    expires(&mut story, &id);
    story.completes(&last);
    story.posts();
    story.assert_sound();
}

fn story_completion(lease: &crate::request::Lease) -> crate::request::Completion {
    crate::request::Completion { lease: lease.clone(), reply: None }
}

#[test]
fn two_leases_at_once_are_told_by_the_log() {
    let mut story = Story::new();
    let id = story.posts();
    story.claims(&id);
    story.claims(&id);
    story.assert_told("change 3 of m1 after change 2: it was claimed while another claim held it");
}

#[test]
fn two_leases_at_once_are_told_by_the_answers() {
    let mut story = Story::new();
    let id = story.posts();
    story.claims(&id);
    story.goes_back(&id, ChangeKind::Expired);
    story.claims(&id);
    story.assert_told(
        "two leases at once on m1: worker 3 claimed it at 1000070, and worker 2 held it until 1005040",
    );
}

#[test]
fn a_lease_outlives_a_kill() {
    let mut story = Story::new();
    let id = story.posts();
    story.claims(&id);
    story.log.ends_of_lives.push(story.log.last());
    story.goes_back(&id, ChangeKind::Expired);
    story.claims(&id);
    story.assert_told("two leases at once on m1");
}

#[test]
fn a_renewed_lease_is_held_until_its_new_end() {
    let mut story = Story::new();
    let id = story.posts();
    let lease = story.claims(&id);
    let end = story.now().wall + 9_000;
    story.answered(Request::Renew(lease), Answer::Renewed(end));
    expires(&mut story, &id);
    story.claims(&id);
    story.assert_told("two leases at once on m1: worker 3 claimed it");
}

#[test]
fn a_claim_that_is_told_to_two_workers_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    let lease = story.claims(&id);
    let granted = Granted { message: story.message(&id), token: lease.token, expires_at: 1_005_000 };
    let request = Request::Claim { id, worker: "another".to_owned(), seconds: 5 };
    story.answered(request, Answer::Work(Some(Box::new(granted))));
    story.assert_told("the claim of m1 for another by ann (7 to 8) was given m1, which worker 2 holds");
}

#[test]
fn a_lease_that_ends_early_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    story.claims(&id);
    story.goes_back(&id, ChangeKind::Expired);
    story.posts();
    story.assert_told(
        "the lease of worker 2 on m1 was to last until 1005040, it expired in change 3, before 1000070",
    );
}

#[test]
fn work_that_a_worker_was_given_does_not_go_back_by_itself() {
    let mut story = Story::new();
    let id = story.posts();
    story.claims(&id);
    story.goes_back(&id, ChangeKind::Released);
    story.assert_told("change 3 (Released of m1) ends claim 2, and its worker asked for no such thing");
}

#[test]
fn work_that_never_reached_its_worker_goes_back_by_itself() {
    let mut story = Story::new();
    let id = story.posts();
    story.claims(&id);
    story.goes_back(&id, ChangeKind::Released);
    let call = story.history.calls.last_mut().unwrap();
    call.outcome = crate::history::Outcome::Lost("cut off".to_owned());
    story.assert_sound();
}

#[test]
fn a_claim_for_a_worker_that_was_given_nothing_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    story.claims(&id);
    story.history.calls.last_mut().unwrap().outcome = crate::history::Outcome::Answered(Answer::Work(None));
    story.assert_told(r#"change 2 (Claimed of m1) is for the worker "worker 2", who was not given it"#);
}

#[test]
fn a_double_reply_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    let lease = story.claims(&id);
    story.completes(&lease);
    story.completes(&lease);
    story.assert_told("m1 has two replies, in change 3 and in change 5");
    story.assert_told("change 6 of m1 after change 4: it was completed twice");
}

#[test]
fn a_repeated_completion_with_another_reply_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    let lease = story.claims(&id);
    let (done, _) = story.completes(&lease);
    let message = Some(story.message(&id));
    let again = Completed { message, reply_id: Some("other".to_owned()), late: false, already: true };
    story.answered(Request::Complete(vec![done]), Answer::Completed(vec![Ok(again)]));
    story.assert_told(r#"was told of the reply Some("other") to m1, the log has Some("r3")"#);
}

#[test]
fn a_lost_completion_is_told_though_its_answer_showed_no_message() {
    let mut story = Story::new();
    let id = story.posts();
    let lease = story.claims(&id);
    let done = story_completion(&lease);
    let answer = Completed { message: None, reply_id: None, late: false, already: false };
    story.answered(Request::Complete(vec![done]), Answer::Completed(vec![Ok(answer)]));
    story.assert_told(
        r#"lost: the completion of ["m1"] by ann (7 to 8) was acknowledged, and m1 is not complete"#,
    );
}

#[test]
fn a_reply_without_its_completion_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    let lease = story.claims(&id);
    let done = story.completion(&lease);
    story.completed(&done, 1_000_090);
    story.lost(Request::Complete(vec![done]));
    story.log.changes.pop();
    story.assert_told("torn: the reply in change 3 has no completion of m1");
}

#[test]
fn a_torn_batch_of_completions_is_told() {
    let mut story = Story::new();
    let ids = story.posts_together(2);
    let done: Vec<_> = ids
        .iter()
        .map(|id| {
            let lease = story.claims(id);
            story.completion(&lease)
        })
        .collect();
    let stamp = story.now().wall;
    story.completed(&done[0], stamp);
    story.lost(Request::Complete(done));
    story.assert_told("is in the log from change 5 on, without m2, which was still its worker's");
}

#[test]
fn a_completion_that_is_refused_without_a_cause_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    let lease = story.claims(&id);
    story.refused(Request::Complete(vec![story_completion(&lease)]), "LEASE_LOST");
    story.assert_told("was refused (FailedPrecondition LEASE_LOST), and its lease on m1 was not lost");
}

#[test]
fn a_step_that_does_not_lead_on_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    story.becomes(&id, ChangeKind::Completed, |_, bot| bot.status = Status::Complete.into());
    story.assert_told("change 2 of m1 after change 1: Completed leads from Some(Pending) to Some(Complete)");
}

#[test]
fn a_change_after_the_deletion_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    story.becomes(&id, ChangeKind::Deleted, |message, bot| {
        bot.status = Status::Failed.into();
        message.deleted = true;
        message.text.clear();
    });
    story.edits(&id);
    story.assert_told("change 3 of m1 after change 2: Edited after its deletion");
}
