//! What authors and operators do: edits, steps along the lifecycle, cancel, retry, delete.

use uuid::Uuid;

use super::world::{World, failure, handed_out, lease, question, remark, stream};
use crate::domain::{ChangeKind, Editor, Event, Failure, QueueRules, Record, Rejection, Status, Update};

fn asked() -> (World, Uuid) {
    let mut world = World::new(QueueRules::default());
    let id = world.post(question("ann", "bot")).content.id;
    (world, id)
}

/// A world with a message that stands there.
fn at(status: Status) -> (World, Uuid) {
    let (mut world, id) = asked();
    if status != Status::Pending {
        let leased = world.claim(id, "w").unwrap();
        match status {
            Status::Pending | Status::Processing => {}
            Status::Complete => drop(world.complete(&lease(&leased), None)),
            Status::Failed => {
                drop(world.fail(&lease(&leased), Failure { retryable: false, ..failure("no such model") }));
            }
        }
    }
    assert_eq!(world.work(id).status, status);
    (world, id)
}

fn update(world: &mut World, id: Uuid, update: Update) -> Result<Record, Rejection> {
    world.run(&[id], |queue, at| queue.update(id, update, Editor::Operator, at))
}

fn to(status: Status) -> Update {
    Update { status: Some(status), ..Update::default() }
}

const ALL: [Status; 4] = [Status::Pending, Status::Processing, Status::Complete, Status::Failed];

#[test]
fn a_status_moves_along_the_lifecycle_and_no_other_way() {
    let steps = [
        (Status::Pending, Status::Processing),
        (Status::Processing, Status::Complete),
        (Status::Processing, Status::Pending),
        (Status::Failed, Status::Pending),
        (Status::Pending, Status::Failed),
        (Status::Processing, Status::Failed),
    ];
    for (from, next) in ALL.into_iter().flat_map(|from| ALL.map(|next| (from, next))) {
        let (mut world, id) = at(from);
        let changes = world.log.len();
        let moved = update(&mut world, id, to(next));
        let allowed = from == next || steps.contains(&(from, next));
        assert_eq!(moved.is_ok(), allowed, "{from} → {next}");
        assert_eq!(world.work(id).status, if allowed { next } else { from });
        assert_eq!(world.log.len() - changes, usize::from(allowed && from != next), "{from} → {next}");
    }
}

#[test]
fn a_refused_step_names_both_states() {
    let (mut world, id) = at(Status::Complete);
    let refusal = update(&mut world, id, to(Status::Pending)).unwrap_err().to_string();
    assert!(refusal.starts_with("Message status is complete; it cannot become pending"), "{refusal}");
}

#[test]
fn a_refused_step_takes_the_other_fields_with_it() {
    let (mut world, id) = at(Status::Complete);
    let both = Update { text: Some("new".to_owned()), ..to(Status::Pending) };
    assert!(update(&mut world, id, both).is_err());
    assert_eq!(world.record(id).content.text, "Why is space black?");
}

#[test]
fn a_message_that_is_no_work_has_no_status_and_no_priority() {
    let mut world = World::new(QueueRules::default());
    let id = world.post(remark("ann")).content.id;
    assert!(matches!(update(&mut world, id, to(Status::Complete)), Err(Rejection::WrongStatus(_))));
    let urgent = Update { priority: Some(9), ..Update::default() };
    assert!(matches!(update(&mut world, id, urgent), Err(Rejection::WrongStatus(_))));
}

#[test]
fn a_priority_can_be_changed_only_while_the_message_waits() {
    for status in ALL {
        let (mut world, id) = at(status);
        let urgent = update(&mut world, id, Update { priority: Some(9), ..Update::default() });
        assert_eq!(urgent.is_ok(), status == Status::Pending);
    }
}

#[test]
fn an_edit_in_the_middle_of_the_work_leaves_the_lease_as_it_is() {
    let (mut world, id) = asked();
    let leased = world.claim(id, "w").unwrap();
    world.renew(&lease(&leased)).unwrap();
    let ends = world.lease_end(id);
    update(&mut world, id, Update { text: Some("Why is it blue?".to_owned()), ..Update::default() }).unwrap();
    assert_eq!(world.lease_end(id), ends);
    assert_eq!(world.log.last().map(|change| change.kind), Some(ChangeKind::Edited));
    assert!(world.complete(&lease(&leased), None).is_ok());
    assert_eq!(world.record(id).content.text, "Why is it blue?");
}

#[test]
fn an_edit_that_changes_nothing_is_no_change() {
    let (mut world, id) = asked();
    let same =
        Update { text: Some("Why is space black?".to_owned()), eq_score: Some(0), ..Update::default() };
    assert!(update(&mut world, id, same).is_ok());
    assert_eq!(world.log.len(), 1);
}

#[test]
fn a_finished_message_can_still_be_edited() {
    let (mut world, id) = at(Status::Complete);
    let scored = update(&mut world, id, Update { eq_score: Some(-3), ..Update::default() }).unwrap();
    assert_eq!(scored.state.eq_score, -3);
    assert_eq!(world.work(id).status, Status::Complete);
}

#[test]
fn the_holder_is_told_when_somebody_else_ends_its_work() {
    let ends: [fn(&mut World, Uuid); 4] =
        [
            |world, id| drop(world.decide(&[id], None, |queue, _| queue.cancel(id))),
            |world, id| drop(world.decide(&[id], None, |queue, _| queue.delete(id))),
            |world, id| {
                drop(world.decide(&[id], None, |queue, at| {
                    queue.update(id, to(Status::Complete), Editor::Operator, at)
                }))
            },
            |world, id| {
                drop(world.decide(&[id], None, |queue, at| {
                    queue.update(id, to(Status::Failed), Editor::Operator, at)
                }))
            },
        ];
    for end in ends {
        let (mut world, id) = asked();
        let (taker, _) = world.join(stream("s", 1));
        world.begin(0);
        end(&mut world, id);
        assert_eq!(world.end(), [Event::Cancelled(taker, id)]);
    }
}

#[test]
fn a_cancelled_message_is_failed_and_says_cancelled() {
    for status in [Status::Pending, Status::Processing, Status::Failed] {
        let (mut world, id) = at(status);
        world.run(&[id], |queue, _| queue.cancel(id)).unwrap();
        let work = world.work(id);
        assert_eq!((work.status, work.cancelled), (Status::Failed, true));
        assert_eq!(work.errors.last().map(String::as_str), Some("cancelled"));
        assert_eq!(world.log.last().map(|change| change.kind), Some(ChangeKind::Cancelled));
        assert_eq!(world.queue.next_deadline(), None);
    }
}

#[test]
fn cancelling_twice_changes_nothing_and_what_is_complete_cannot_be_cancelled() {
    for status in [Status::Pending, Status::Failed] {
        let (mut world, id) = at(status);
        world.run(&[id], |queue, _| queue.cancel(id)).unwrap();
        let changes = world.log.len();
        assert!(world.run(&[id], |queue, _| queue.cancel(id)).is_ok());
        assert_eq!(world.log.len(), changes);
    }
    let (mut world, id) = at(Status::Complete);
    assert_eq!(world.run(&[id], |queue, _| queue.cancel(id)), Err(Rejection::AlreadyCompleted));
}

#[test]
fn a_failed_message_that_is_cancelled_keeps_its_errors_and_refuses_a_late_finish_as_cancelled() {
    let (mut world, id) = asked();
    let leased = world.claim(id, "w").unwrap();
    world.fail(&lease(&leased), Failure { retryable: false, ..failure("no such model") }).unwrap();
    assert_eq!(world.complete(&lease(&leased), None), Err(Rejection::Failed));
    world.run(&[id], |queue, _| queue.cancel(id)).unwrap();
    assert_eq!(world.work(id).errors, ["no such model", "cancelled"]);
    assert_eq!(world.work(id).failures, 1);
    assert_eq!(world.complete(&lease(&leased), None), Err(Rejection::Cancelled));
}

#[test]
fn cancelling_a_deleted_message_leaves_the_tombstone_as_it_is() {
    for status in [Status::Pending, Status::Processing, Status::Failed] {
        let (mut world, id) = at(status);
        let tombstone = world.run(&[id], |queue, _| queue.delete(id)).unwrap();
        let changes = world.log.len();
        assert_eq!(world.run(&[id], |queue, _| queue.cancel(id)), Ok(tombstone), "{status}");
        assert_eq!(world.log.len(), changes);
    }
}

#[test]
fn a_cancelled_message_can_be_retried() {
    for status in [Status::Pending, Status::Failed] {
        let (mut world, id) = at(status);
        world.run(&[id], |queue, _| queue.cancel(id)).unwrap();
        world.run(&[id], |queue, at| queue.retry(id, at.now)).unwrap();
        assert_eq!((world.work(id).status, world.work(id).cancelled), (Status::Pending, false));
        let (_, events) = world.join(stream("s", 1));
        assert_eq!(handed_out(events).len(), 1);
    }
}

#[test]
fn only_failed_messages_are_put_back_by_a_retry() {
    let (mut world, id) = at(Status::Pending);
    assert!(world.run(&[id], |queue, at| queue.retry(id, at.now)).is_ok());
    assert_eq!(world.log.len(), 1, "a message that waits already is left as it is");
    let (mut world, id) = at(Status::Processing);
    assert!(matches!(world.run(&[id], |queue, at| queue.retry(id, at.now)), Err(Rejection::WrongStatus(_))));
    let (mut world, id) = at(Status::Complete);
    assert_eq!(world.run(&[id], |queue, at| queue.retry(id, at.now)), Err(Rejection::AlreadyCompleted));
}

/// A world where one message may wait, one does, and another one stands there.
fn full(status: Status) -> (World, Uuid, Uuid) {
    let rules = QueueRules { max_pending: 1, ..QueueRules::default() };
    let mut world = World::new(rules);
    let other = world.post(question("ann", "bot")).content.id;
    let leased = world.claim(other, "w").unwrap();
    if status == Status::Failed {
        world.fail(&lease(&leased), Failure { retryable: false, ..failure("no such model") }).unwrap();
    }
    let waits = world.post(question("bob", "bot")).content.id;
    (world, waits, other)
}

#[test]
fn a_retry_needs_room_as_a_new_message_does() {
    let (mut world, waits, failed) = full(Status::Failed);
    let changes = world.log.len();
    let refused = Rejection::QueueFull { waiting: 1, limit: 1, of: None, retry_after_ms: 1_000 };
    assert_eq!(world.run(&[failed], |queue, at| queue.retry(failed, at.now)), Err(refused.clone()));
    let edit = Update { text: Some("Again?".to_owned()), ..to(Status::Pending) };
    assert_eq!(update(&mut world, failed, edit), Err(refused));
    assert_eq!(world.log.len(), changes, "nothing was changed, not even the text");
    assert!(world.run(&[waits], |queue, at| queue.retry(waits, at.now)).is_ok(), "it waits already");
    world.claim(waits, "w").unwrap();
    world.run(&[failed], |queue, at| queue.retry(failed, at.now)).unwrap();
    assert_eq!(world.work(failed).status, Status::Pending);
}

#[test]
fn what_was_not_given_up_goes_back_to_pending_however_many_wait() {
    let (mut world, _, held) = full(Status::Processing);
    world.pass(10_000);
    assert_eq!(world.work(held).status, Status::Pending, "its lease ran out");
    let (mut world, _, held) = full(Status::Processing);
    update(&mut world, held, to(Status::Pending)).unwrap();
    let leased = world.claim(held, "w").unwrap();
    assert!(world.fail(&lease(&leased), failure("overloaded")).unwrap().retry_at.is_some());
}

#[test]
fn a_deletion_leaves_a_tombstone_without_text_and_calls_off_the_work() {
    for status in [Status::Pending, Status::Processing] {
        let (mut world, id) = at(status);
        let tombstone = world.run(&[id], |queue, _| queue.delete(id)).unwrap();
        assert!(tombstone.state.deleted);
        assert_eq!(tombstone.content.text, "");
        assert_eq!((world.work(id).status, world.work(id).cancelled), (Status::Failed, true));
        let (_, events) = world.join(stream("s", 1));
        assert_eq!(events, [], "nobody is asked any more");
    }
}

#[test]
fn a_deletion_leaves_what_was_finished_finished_and_forgets_errors_that_may_quote_the_text() {
    let (mut world, id) = at(Status::Complete);
    world.run(&[id], |queue, _| queue.delete(id)).unwrap();
    assert_eq!(world.work(id).status, Status::Complete);
    let (mut world, id) = at(Status::Failed);
    world.run(&[id], |queue, _| queue.delete(id)).unwrap();
    assert_eq!(world.work(id).errors, [""; 0]);
}

#[test]
fn deleting_twice_changes_nothing() {
    let (mut world, id) = asked();
    world.run(&[id], |queue, _| queue.delete(id)).unwrap();
    let changes = world.log.len();
    assert!(world.run(&[id], |queue, _| queue.delete(id)).is_ok_and(|record| record.state.deleted));
    assert_eq!(world.log.len(), changes);
}

#[test]
fn a_tombstone_can_be_neither_edited_nor_retried() {
    let (mut world, id) = asked();
    world.run(&[id], |queue, _| queue.delete(id)).unwrap();
    let edit = Update { text: Some("back".to_owned()), ..Update::default() };
    assert!(matches!(update(&mut world, id, edit), Err(Rejection::WrongStatus(_))));
    assert_eq!(world.run(&[id], |queue, at| queue.retry(id, at.now)), Err(Rejection::Cancelled));
}

#[test]
fn what_does_not_exist_is_not_found() {
    let (mut world, _) = asked();
    let id = Uuid::from_u128(7);
    let unknown = Rejection::NotFound(id);
    assert_eq!(update(&mut world, id, to(Status::Complete)), Err(unknown.clone()));
    assert_eq!(world.run(&[id], |queue, _| queue.delete(id)), Err(unknown.clone()));
    assert_eq!(world.run(&[id], |queue, at| queue.retry(id, at.now)), Err(unknown.clone()));
    assert_eq!(world.run(&[id], |queue, _| queue.cancel(id)), Err(unknown));
    assert!(world.claim(id, "w").is_err());
}

#[test]
fn a_message_has_so_many_edits_and_operators_may_go_on() {
    let mut world = World::new(QueueRules { max_edits: 2, ..QueueRules::default() });
    let id = world.post(remark("ann")).content.id;
    let edit = |world: &mut World, text: &str, editor| {
        let update = Update { text: Some(text.to_owned()), ..Update::default() };
        world.run(&[id], |queue, at| queue.update(id, update, editor, at))
    };
    edit(&mut world, "one", Editor::Author(None)).unwrap();
    edit(&mut world, "one", Editor::Author(None)).unwrap();
    edit(&mut world, "two", Editor::Author(None)).unwrap();
    let changes = world.log.len();
    assert_eq!(edit(&mut world, "three", Editor::Author(None)), Err(Rejection::TooManyEdits { limit: 2 }));
    assert_eq!(edit(&mut world, "two", Editor::Author(None)).map(|record| record.state.edits), Ok(2));
    assert_eq!(world.log.len(), changes, "neither changed anything");
    assert_eq!(edit(&mut world, "three", Editor::Operator).map(|record| record.state.edits), Ok(2));
    assert_eq!(edit(&mut world, "four", Editor::Author(None)), Err(Rejection::TooManyEdits { limit: 2 }));
}
