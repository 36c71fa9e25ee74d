//! The room before the writer: what waits is bounded, in number and in bytes, and what was refused is not done.

use super::{Bench, Order, ROOM, poll};
use crate::{
    domain::{Editor, Failure, LeaseRef, NewMessage, OwnName, Proof, Reply, Update, tests::world::remark},
    writer::{CommandError, GROUP_BYTES, GROUP_ITEMS, Room, room::Waiting},
};

/// A remark of so many bytes.
fn said(bytes: usize) -> NewMessage {
    NewMessage { text: "x".repeat(bytes), ..remark("ann") }
}

/// What is refused, by its bound.
fn full<T>(outcome: Result<T, CommandError>) -> &'static str {
    match outcome {
        Err(CommandError::Busy(full)) => full.name,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("there was room"),
    }
}

#[tokio::test]
async fn commands_that_wait_hold_so_many_bytes_and_no_more() {
    let (bench, mut commits, orders) = Bench::start_held_with(Room { bytes: 20_000, ..ROOM });
    let mut first = Box::pin(bench.post(said(15_000)));
    assert!(poll(&mut first).is_pending());
    commits.recv().await.unwrap();

    let mut second = Box::pin(bench.post(said(15_000)));
    assert!(poll(&mut second).is_pending(), "what is being committed waits no more");
    assert_eq!(full(bench.try_post(said(15_000), None).await), "command_bytes");
    let [commands, bytes] = bench.queue.waiting();
    assert_eq!((commands.held, commands.limit, bytes.limit), (1, 64, 20_000));
    assert!((15_000..20_000).contains(&bytes.held), "{bytes:?}");
    let mut small = Box::pin(bench.post(said(1_000)));
    assert!(poll(&mut small).is_pending(), "there is room for a small one");

    orders.send(Order::Go).unwrap();
    orders.send(Order::Go).unwrap();
    for post in [first, second, small] {
        post.await;
    }
    assert_eq!(bench.queue.waiting().map(|fill| fill.held), [0, 0]);
    assert_eq!(bench.tail(), 3, "the refused one was not stored");
}

#[tokio::test]
async fn every_text_counts_where_it_waits() {
    let (bench, mut commits, orders) = Bench::start_held_with(Room { bytes: 20_000, ..ROOM });
    let id = uuid::Uuid::from_u128(7);
    let lease = LeaseRef { id, proof: Proof::Worker(OwnName::of_nobody("w".repeat(10))) };
    let mut first = Box::pin(bench.say());
    assert!(poll(&mut first).is_pending());
    commits.recv().await.unwrap();
    let long = "x".repeat(12_000);
    let mut edit = Box::pin(bench.queue.update(
        id,
        Update { text: Some(long.clone()), ..Update::default() },
        Editor::Author(None),
        None,
    ));
    assert!(poll(&mut edit).is_pending());
    assert_eq!(full(bench.try_post(said(12_000), None).await), "command_bytes");
    let reply = Some(Reply { text: long.clone(), eq_score: 0, origin: None });
    assert_eq!(
        full(bench.queue.complete("CompleteMessage", vec![(lease.clone(), reply)]).await),
        "command_bytes"
    );
    let failure = Failure { error: long, retryable: true, retry_after_ms: None };
    assert_eq!(full(bench.queue.fail(lease.clone(), failure).await), "command_bytes");
    assert_eq!(full(bench.queue.renew(vec![lease; 200], None).await), "command_bytes");
    orders.send(Order::Go).unwrap();
    first.await;
    assert!(edit.await.is_err(), "there is no such message");
}

#[test]
fn a_command_larger_than_all_the_room_gets_in_where_nothing_waits() {
    let waiting = Waiting::new(Room { commands: 8, bytes: 10_000 });
    let small = waiting.enter(100).unwrap();
    assert_eq!(waiting.enter(1_000_000).unwrap_err().name, "command_bytes");
    drop(small);
    let large = waiting.enter(1_000_000).unwrap();
    assert_eq!(waiting.enter(0).unwrap_err().name, "command_bytes");
    assert_eq!(waiting.fill().map(|fill| fill.held), [1, 10_000], "a refused one holds nothing");
    drop(large);
    assert_eq!(waiting.fill().map(|fill| fill.held), [0, 0]);
}

#[tokio::test]
async fn what_waits_is_committed_in_groups_of_bounded_size() {
    let (bench, mut commits, orders) = Bench::start_held_with(Room { commands: 1_000, bytes: 100_000_000 });
    let mut posts = vec![Box::pin(bench.post(said(1)))];
    assert!(poll(&mut posts[0]).is_pending());
    commits.recv().await.unwrap();
    let many = (0..GROUP_ITEMS + 10).map(|_| said(1)).chain((0..10).map(|_| said(GROUP_BYTES / 4)));
    for new in many {
        let mut post = Box::pin(bench.post(new));
        assert!(poll(&mut post).is_pending());
        posts.push(post);
    }
    let mut groups = Vec::new();
    while groups.iter().sum::<usize>() + 1 < posts.len() {
        orders.send(Order::Go).unwrap();
        groups.push(commits.recv().await.unwrap().changes.len());
    }
    orders.send(Order::Go).unwrap();
    assert_eq!(groups, [GROUP_ITEMS, 10 + 4, 4, 2], "as many as there may be, then as large as there may be");
    for post in posts {
        post.await;
    }
}
