//! What operators do all at once, and the log of their acts.

use uuid::Uuid;

use super::world::{World, by, deed, handed_out, lease, question, remark, sender, stream};
use crate::domain::{
    Act, ActKind, Cancelled, Deed, Event, NewMessage, QueueRules, Rejection, Selection, Selector, Sender,
    SenderKey, Status, Target,
};

fn world() -> World {
    World::new(QueueRules::default())
}

fn ask(world: &mut World, author: u8, entity: &str) -> Uuid {
    let human = format!("human {}", world.store.len());
    world.post(NewMessage { sender: Some(sender(author)), ..question(&human, entity) }).content.id
}

fn cancel(world: &mut World, which: &Selection, in_work: bool, before: Option<Act>) -> Cancelled {
    let which = which.clone();
    world.begin(0);
    let cancelled = world.decide(&[], None, |queue, at| {
        queue.cancel_all(which, in_work, 3, (before, deed(ActKind::Cancel)), at.wall)
    });
    world.end();
    cancelled
}

#[test]
fn what_waits_of_a_selection_is_cancelled_in_pieces_the_oldest_first_and_nothing_else() {
    let mut world = world();
    let theirs: Vec<_> = (0..4).map(|_| ask(&mut world, 1, "bot")).collect();
    let others = [ask(&mut world, 2, "bot"), ask(&mut world, 1, "other")];
    let which = Selection::Entity("bot".to_owned());
    let first = cancel(&mut world, &which, false, None);
    assert_eq!((first.count, first.more), (3, true));
    assert_eq!(world.work(theirs[3]).status, Status::Pending, "the youngest is left");
    let second = cancel(&mut world, &which, false, first.act);
    assert_eq!((second.count, second.more), (2, false));
    for id in theirs.iter().chain(&others[..1]) {
        assert!(world.work(*id).cancelled);
    }
    assert_eq!(world.work(others[1]).status, Status::Pending);
    assert_eq!(cancel(&mut world, &which, false, None).count, 0, "again: nothing happens");
}

#[test]
fn an_author_and_an_address_are_cancelled_whatever_bot_they_asked() {
    let mut world = world();
    let home = SenderKey([9; 16]);
    let mut post = |author: u8, entity| {
        let from = Sender { author: SenderKey([author; 16]), address: home };
        let human = format!("human {author} {entity}");
        world.post(NewMessage { sender: Some(from), ..question(&human, entity) }).content.id
    };
    let ids = [post(1, "a"), post(1, "b"), post(2, "a")];
    assert_eq!(cancel(&mut world, &Selection::Author(SenderKey([1; 16])), false, None).count, 2);
    assert_eq!(world.work(ids[2]).status, Status::Pending);
    assert_eq!(cancel(&mut world, &Selection::Address(home), false, None).count, 1);
}

#[test]
fn what_workers_hold_is_cancelled_only_if_that_is_asked_and_they_are_told() {
    let mut world = world();
    let id = ask(&mut world, 1, "bot");
    let (taker, events) = world.join(stream("s", 1));
    let held = lease(&handed_out(events).remove(0).1);
    let which = Selection::Entity("bot".to_owned());
    assert_eq!(cancel(&mut world, &which, false, None).count, 0);
    world.begin(0);
    let cancelled = world.decide(&[], None, |queue, at| {
        queue.cancel_all(which, true, 3, (None, deed(ActKind::Cancel)), at.wall)
    });
    assert_eq!(cancelled.count, 1);
    assert_eq!(world.end(), [Event::Cancelled(taker, id)]);
    assert_eq!(world.complete(&held, None), Err(Rejection::Cancelled));
}

#[test]
fn a_message_names_its_author_and_its_address_and_one_without_a_sender_names_nobody() {
    let mut world = world();
    let (asked, said) = (ask(&mut world, 4, "bot"), world.post(remark("bot")).content.id);
    let mut select = |selector: Selector| {
        let ids = Vec::from_iter(selector.message());
        world.run(&ids, |queue, _| queue.select(&selector))
    };
    assert_eq!(select(Selector::AuthorOf(asked)), Ok(Selection::Author(sender(4).author)));
    assert_eq!(select(Selector::AddressOf(asked)), Ok(Selection::Address(sender(4).address)));
    let refused = select(Selector::AuthorOf(said)).unwrap_err().to_string();
    assert!(refused.starts_with("author_of: must be a message of a visitor"), "{refused}");
    let unknown = Uuid::from_u128(7);
    assert_eq!(select(Selector::AddressOf(unknown)), Err(Rejection::NotFound(unknown)));
}

/// Cancels one message as an operator.
fn act(world: &mut World, id: Uuid) -> Result<(), Rejection> {
    let deed = Deed { on: Target::Message(id), ..deed(ActKind::Cancel) };
    world.run(&[id], |queue, at| queue.acting(Some(deed), at, |queue, _| queue.cancel(id).map(drop)))
}

#[test]
fn an_act_that_changes_something_is_entered_and_one_that_changes_nothing_is_not() {
    let mut world = world();
    let id = ask(&mut world, 1, "bot");
    act(&mut world, id).unwrap();
    act(&mut world, id).unwrap();
    let said = world.post(remark("ann")).content.id;
    assert!(act(&mut world, said).is_err(), "it is no work");
    let acts: Vec<_> = world.acts.values().cloned().collect();
    let deed = Deed { on: Target::Message(id), ..deed(ActKind::Cancel) };
    assert_eq!(acts, [Act { number: 1, at: world.now, deed, count: 1 }]);
}

#[test]
fn an_author_who_cancels_their_own_message_is_no_operator() {
    let mut world = world();
    let id = ask(&mut world, 1, "bot");
    world.run(&[id], |queue, at| queue.acting(None, at, |queue, _| queue.cancel(id))).unwrap();
    assert!(world.work(id).cancelled && world.acts.is_empty());
}

#[test]
fn a_cancellation_in_pieces_is_one_act_that_counts_all_of_them() {
    let mut world = world();
    for _ in 0..5 {
        ask(&mut world, 1, "bot");
    }
    let which = Selection::Author(sender(1).author);
    let first = cancel(&mut world, &which, false, None);
    assert_eq!(world.acts[&1].count, 3);
    cancel(&mut world, &which, false, first.act);
    assert_eq!((world.acts.len(), world.acts[&1].count), (1, 5));
    assert_eq!(world.acts[&1].deed.on, Target::All(which));
}

#[test]
fn the_newest_acts_are_kept_and_numbers_go_on_after_a_restart() {
    let mut world = World::new(QueueRules { max_acts: 3, ..QueueRules::default() });
    let next = |world: &mut World| {
        let id = ask(world, 1, "bot");
        act(world, id).unwrap();
        world.acts.keys().copied().collect::<Vec<_>>()
    };
    let kept: Vec<_> = (0..5).map(|_| next(&mut world)).collect();
    assert_eq!(kept[4], [3, 4, 5]);
    world.restart();
    assert_eq!(next(&mut world), [4, 5, 6]);
    // Fewer are to be kept from now on.
    world.rules.max_acts = 1;
    world.restart();
    assert_eq!(next(&mut world), [7]);
}

#[test]
fn the_index_of_what_is_unfinished_is_empty_once_nothing_is() {
    let mut world = world();
    let ids: Vec<_> = (0..3).map(|n| ask(&mut world, n, "bot")).collect();
    let held = lease(&world.claim(ids[0], "w").unwrap());
    world.release(&held).unwrap();
    let held = lease(&world.run(&[ids[0]], |queue, at| queue.claim(ids[0], &by("w"), at)).unwrap());
    world.complete(&held, None).unwrap();
    world.run(&[ids[1]], |queue, _| queue.delete(ids[1])).unwrap();
    world.run(&[ids[2]], |queue, _| queue.cancel(ids[2])).unwrap();
    assert!(world.queue.selections.is_empty());
}
