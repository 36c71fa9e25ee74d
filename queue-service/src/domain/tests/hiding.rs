//! Messages that an operator hides and shows again.

use uuid::Uuid;

use super::world::{World, handed_out, lease, question, remark, stream};
use crate::domain::{ChangeKind, Editor, Event, QueueRules, Record, Rejection, Status, Update};

fn world() -> World {
    World::new(QueueRules::default())
}

fn hide(world: &mut World, id: Uuid) -> Result<Record, Rejection> {
    world.run(&[id], |queue, _| queue.hide(id))
}

fn unhide(world: &mut World, id: Uuid) -> Result<Record, Rejection> {
    world.run(&[id], |queue, _| queue.unhide(id))
}

fn edit(world: &mut World, id: Uuid, editor: Editor) -> Result<Record, Rejection> {
    let update = Update { text: Some("edited".to_owned()), ..Update::default() };
    world.run(&[id], |queue, at| queue.update(id, update, editor, at))
}

#[test]
fn a_hidden_message_keeps_its_text_and_its_place_and_comes_back_with_them() {
    let mut world = world();
    let said = world.post(remark("ann"));
    let id = said.content.id;
    assert!(hide(&mut world, id).unwrap().state.hidden);
    let shown = unhide(&mut world, id).unwrap();
    assert_eq!((&shown.content, shown.state.hidden), (&said.content, false));
    let kinds: Vec<_> = world.log.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Posted, ChangeKind::Hidden, ChangeKind::Restored]);
}

#[test]
fn hiding_twice_and_showing_what_is_not_hidden_change_nothing() {
    let mut world = world();
    let id = world.post(remark("ann")).content.id;
    unhide(&mut world, id).unwrap();
    hide(&mut world, id).unwrap();
    hide(&mut world, id).unwrap();
    assert_eq!(world.log.len(), 2);
}

#[test]
fn work_in_a_hidden_message_is_called_off_its_worker_is_told_and_a_retry_waits_until_it_is_shown() {
    let mut world = world();
    let id = world.post(question("ann", "bot")).content.id;
    let (taker, events) = world.join(stream("s", 1));
    let held = lease(&handed_out(events).remove(0).1);
    world.begin(0);
    world.decide(&[id], None, |queue, _| queue.hide(id)).unwrap();
    assert_eq!(world.end(), [Event::Cancelled(taker, id)]);
    assert_eq!(world.complete(&held, Some("It is not.")), Err(Rejection::Cancelled));
    assert_eq!(world.run(&[id], |queue, at| queue.retry(id, at.now)), Err(Rejection::Hidden(id)));
    unhide(&mut world, id).unwrap();
    assert_eq!(world.work(id).status, Status::Failed, "it stays called off");
    world.part(taker);
    world.run(&[id], |queue, at| queue.retry(id, at.now)).unwrap();
    assert_eq!(world.work(id).status, Status::Pending);
}

#[test]
fn nobody_edits_a_hidden_message_and_its_author_can_still_delete_it() {
    let mut world = world();
    let id = world.post(remark("ann")).content.id;
    hide(&mut world, id).unwrap();
    for editor in [Editor::Author(None), Editor::Operator] {
        assert_eq!(edit(&mut world, id, editor), Err(Rejection::Hidden(id)));
    }
    let gone = world.run(&[id], |queue, _| queue.delete(id)).unwrap();
    assert!(gone.state.deleted && gone.content.text.is_empty());
    assert!(matches!(unhide(&mut world, id), Err(Rejection::WrongStatus(_))), "nothing is left to show");
    assert!(matches!(hide(&mut world, id), Err(Rejection::WrongStatus(_))));
}

#[test]
fn a_message_stays_hidden_over_a_restart() {
    let mut world = world();
    let id = world.post(question("ann", "bot")).content.id;
    hide(&mut world, id).unwrap();
    world.restart();
    assert!(world.record(id).state.hidden);
    assert_eq!(edit(&mut world, id, Editor::Author(None)), Err(Rejection::Hidden(id)));
}
