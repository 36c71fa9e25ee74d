//! Authors and addresses that may not post for a while.

use uuid::Uuid;

use super::world::{World, deed, question, remark, sender};
use crate::domain::{
    ActKind, Block, Deed, Editor, NewMessage, QueueRules, Record, Rejection, Request, RequestKey, Sender,
    SenderKey, Source, Target, Update,
};

const HOUR: i64 = 3_600_000;

/// Three people; two of them live in one house.
const ANN: Sender = Sender { author: SenderKey([1; 16]), address: SenderKey([9; 16]) };
const BEA: Sender = Sender { author: SenderKey([2; 16]), address: SenderKey([9; 16]) };
const CARL: Sender = Sender { author: SenderKey([3; 16]), address: SenderKey([8; 16]) };

fn world() -> World {
    World::new(QueueRules::default())
}

fn block(world: &mut World, who: Source, span: i64) -> Result<Block, Rejection> {
    world.run(&[], |queue, at| queue.block(who, span, "spam".to_owned(), at))
}

fn says(world: &mut World, sender: Sender) -> Result<Record, Rejection> {
    let said = NewMessage { sender: Some(sender), ..remark("somebody") };
    world.try_post(said, None).map(|posted| posted.record)
}

fn edits(world: &mut World, id: Uuid, editor: Editor) -> Result<Record, Rejection> {
    let text = Some(format!("edited {}", world.log.len()));
    let update = Update { text, ..Update::default() };
    world.run(&[id], |queue, at| queue.update(id, update, editor, at))
}

#[test]
fn a_blocked_author_posts_from_nowhere_and_their_neighbours_do() {
    let mut world = world();
    let until = block(&mut world, Source::Author(ANN.author), HOUR).unwrap().until;
    let refused = Rejection::Blocked { until };
    assert_eq!(says(&mut world, ANN), Err(refused.clone()));
    assert_eq!(says(&mut world, Sender { address: CARL.address, ..ANN }), Err(refused.clone()));
    let asked = NewMessage { sender: Some(ANN), ..question("ann", "bot") };
    assert_eq!(world.try_post(asked, None).map(drop), Err(refused));
    assert!(says(&mut world, BEA).is_ok() && says(&mut world, CARL).is_ok());
    assert!(world.try_post(remark("a worker"), None).is_ok(), "those without a sender are never blocked");
}

#[test]
fn nobody_posts_from_a_blocked_address_and_whoever_moves_does() {
    let mut world = world();
    block(&mut world, Source::Address(ANN.address), HOUR).unwrap();
    assert!(says(&mut world, ANN).is_err() && says(&mut world, BEA).is_err());
    assert!(says(&mut world, Sender { address: CARL.address, ..ANN }).is_ok());
}

#[test]
fn a_refusal_says_until_when_and_that_reading_goes_on() {
    let mut world = world();
    block(&mut world, Source::Author(ANN.author), HOUR).unwrap();
    let told = says(&mut world, ANN).unwrap_err().to_string();
    // The world began at 2025-11-01T12:26:40Z.
    assert!(told.contains("until 2025-11-01T13:26:40Z") && told.contains("read on"), "{told}");
}

#[test]
fn blocked_authors_edit_nothing_whatever_secret_they_bring_and_can_remove_what_is_theirs() {
    let mut world = world();
    let id = says(&mut world, ANN).unwrap().content.id;
    assert!(edits(&mut world, id, Editor::Author(Some(ANN))).is_ok());
    block(&mut world, Source::Author(ANN.author), HOUR).unwrap();
    for editor in [Some(ANN), Some(CARL), None] {
        let refused = edits(&mut world, id, Editor::Author(editor));
        assert!(matches!(refused, Err(Rejection::Blocked { .. })), "{refused:?}");
    }
    assert!(edits(&mut world, id, Editor::Operator).is_ok());
    assert!(world.run(&[id], |queue, _| queue.delete(id)).is_ok());
}

#[test]
fn nobody_edits_from_a_blocked_address() {
    let mut world = world();
    let id = says(&mut world, CARL).unwrap().content.id;
    block(&mut world, Source::Address(ANN.address), HOUR).unwrap();
    let moved = Sender { address: ANN.address, ..CARL };
    assert!(matches!(edits(&mut world, id, Editor::Author(Some(moved))), Err(Rejection::Blocked { .. })));
    assert!(edits(&mut world, id, Editor::Author(Some(CARL))).is_ok());
}

#[test]
fn a_block_ends_by_itself_at_its_time_and_is_forgotten() {
    let mut world = world();
    block(&mut world, Source::Author(ANN.author), HOUR).unwrap();
    assert_eq!(world.queue.next_deadline(), Some(world.now + HOUR));
    world.pass(HOUR - 1);
    assert!(says(&mut world, ANN).is_err());
    world.pass(1);
    assert!(says(&mut world, ANN).is_ok());
    assert!(world.blocks.is_empty() && world.queue.next_deadline().is_none());
}

#[test]
fn a_block_is_set_anew_and_lifted() {
    let mut world = world();
    let who = Source::Author(ANN.author);
    block(&mut world, who, HOUR).unwrap();
    block(&mut world, who, 1_000).unwrap();
    assert_eq!(world.blocks[&who].until, world.now + 1_000, "the last word counts");
    assert!(world.run(&[], |queue, _| queue.unblock(who)));
    assert!(!world.run(&[], |queue, _| queue.unblock(who)), "there is none any more");
    assert!(says(&mut world, ANN).is_ok());
}

#[test]
fn a_block_holds_over_a_restart_and_ends_at_the_same_time() {
    let mut world = world();
    block(&mut world, Source::Address(ANN.address), HOUR).unwrap();
    world.pass(HOUR / 2);
    world.restart();
    assert!(says(&mut world, ANN).is_err());
    world.pass(HOUR / 2);
    assert!(says(&mut world, ANN).is_ok());
}

#[test]
fn no_more_are_blocked_than_may_be_and_the_next_is_refused_by_its_limit() {
    let mut world = World::new(QueueRules { max_blocks: 1, ..QueueRules::default() });
    block(&mut world, Source::Author(ANN.author), HOUR).unwrap();
    let full = block(&mut world, Source::Author(BEA.author), HOUR).unwrap_err();
    assert_eq!(full, Rejection::TooManyBlocks { limit: 1 });
    assert!(full.to_string().contains("--max-blocks"), "{full}");
    assert!(block(&mut world, Source::Author(ANN.author), 2 * HOUR).is_ok(), "who is blocked already");
    world.pass(2 * HOUR);
    assert!(block(&mut world, Source::Author(BEA.author), HOUR).is_ok());
}

#[test]
fn what_was_posted_before_the_block_is_answered_again_under_its_key() {
    let mut world = world();
    let request = Request { key: RequestKey([1; 16]), fingerprint: [1; 16], before: None };
    let new = NewMessage { sender: Some(sender(1)), ..remark("ann") };
    world.try_post(new.clone(), Some(request.clone())).unwrap();
    block(&mut world, Source::Author(sender(1).author), HOUR).unwrap();
    assert!(world.try_post(new, Some(request)).unwrap().replayed);
}

#[test]
fn blocking_and_lifting_are_acts() {
    let mut world = world();
    let who = Source::Author(ANN.author);
    let act = |world: &mut World, kind| {
        world.run(&[], |queue, at| {
            let deed = Deed { on: Target::All(who.into()), ..deed(kind) };
            queue.acting(Some(deed), at, |queue, at| match kind {
                ActKind::Block => queue.block(who, HOUR, String::new(), at).map(drop),
                _ => {
                    queue.unblock(who);
                    Ok(())
                }
            })
        })
    };
    act(&mut world, ActKind::Block).unwrap();
    act(&mut world, ActKind::Unblock).unwrap();
    act(&mut world, ActKind::Unblock).unwrap();
    let kinds: Vec<_> = world.acts.values().map(|act| (act.deed.kind, act.count)).collect();
    assert_eq!(kinds, [(ActKind::Block, 0), (ActKind::Unblock, 0)]);
}
