//! Seats: work that goes out, work that comes back, and places that are given up.

use super::{Bench, Order, poll};
use crate::{
    domain::{
        ChangeKind, Event, Leased, Status, Taker,
        tests::world::{START, by, lease, stream},
    },
    writer::{CommandError, OTHERS, Seat},
};

fn waiting() -> Taker {
    Taker {
        by: by("w"),
        entities: Vec::new(),
        max_in_flight: 1,
        until: Some(START + 25_000),
        holds_back: None,
    }
}

async fn work(seat: &mut Seat) -> Leased {
    match seat.next().await {
        Some(Event::Work(_, leased)) => *leased,
        other => panic!("work was to be handed out, not {other:?}"),
    }
}

#[tokio::test]
async fn a_stream_gets_work_until_it_has_enough_and_more_when_it_is_done() {
    let bench = Bench::start();
    let mut seat = bench.queue.join(stream("s", 1), 8).unwrap();
    for human in ["ann", "bob"] {
        bench.ask(human).await;
    }
    let first = work(&mut seat).await;
    bench.settled().await;
    assert!(poll(&mut Box::pin(seat.next())).is_pending(), "its hands are full");
    bench.queue.complete("CompleteMessage", vec![(lease(&first), None)]).await.unwrap();
    assert_eq!(work(&mut seat).await.record.content.username, "bob");
}

#[tokio::test]
async fn a_stream_that_does_not_read_is_ended_and_its_work_goes_to_others_uncounted() {
    let bench = Bench::start();
    let mut slow = bench.queue.join(stream("slow", 9), 1).unwrap();
    for human in ["ann", "bob", "cid"] {
        bench.ask(human).await;
    }
    let mut quick = bench.queue.join(stream("quick", 9), 8).unwrap();
    let mut got = [work(&mut quick).await, work(&mut quick).await];
    got.sort_by_key(|leased| leased.record.content.posted);
    assert_eq!(got.each_ref().map(|leased| leased.record.content.username.as_str()), ["bob", "cid"]);
    for leased in got {
        let work = leased.record.state.work.unwrap();
        assert_eq!((work.failures, work.expiries), (0, 0));
    }
    assert_eq!(work(&mut slow).await.record.content.username, "ann", "what was delivered stays");
    assert_eq!(slow.next().await, None, "and then it ends");
}

#[tokio::test]
async fn dropping_a_seat_gives_its_place_up() {
    let bench = Bench::start();
    let seat = bench.queue.join(stream("s", 1), 8).unwrap();
    assert_eq!(bench.queue.sessions().await.unwrap().len(), 1);
    drop(seat);
    bench.settled().await;
    assert_eq!(bench.queue.sessions().await.unwrap().len(), 0);
    let id = bench.ask("ann").await.content.id;
    assert!(bench.queue.claim(id, by("w")).await.is_ok(), "nobody has it");
}

#[tokio::test]
async fn dropping_a_seat_is_not_lost_though_the_channel_is_full() {
    let (bench, mut commits, orders) = Bench::start_held(2);
    let seat = bench.queue.join(stream("s", 1), 8).unwrap();
    bench.settled().await;
    let mut saying = Box::pin(bench.say());
    assert!(poll(&mut saying).is_pending());
    commits.recv().await.unwrap();
    let mut filling: Vec<_> = (0..2 + OTHERS).map(|_| Box::pin(bench.queue.sessions())).collect();
    assert!(filling.iter_mut().all(|sessions| poll(sessions).is_pending()));
    assert!(matches!(bench.queue.sessions().await, Err(CommandError::Busy(_))), "it is full");
    drop(seat);
    orders.send(Order::Go).unwrap();
    saying.await;
    for sessions in filling {
        sessions.await.unwrap();
    }
    assert_eq!(bench.queue.sessions().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_session_that_reconnects_gets_back_what_its_dropped_seat_held() {
    let bench = Bench::start();
    let mut seat = bench.queue.join(stream("s", 1), 8).unwrap();
    bench.ask("ann").await;
    let first = work(&mut seat).await;
    drop(seat);
    let mut again = bench.queue.join(stream("s", 1), 8).unwrap();
    let back = work(&mut again).await;
    assert_eq!(back.token, first.token);
    assert!(bench.queue.renew(vec![lease(&back)], None).await.unwrap()[0].is_ok());
}

#[tokio::test]
async fn a_claim_that_waits_gets_one_message() {
    let bench = Bench::start();
    let mut seat = bench.queue.join(waiting(), 1).unwrap();
    bench.ask("ann").await;
    bench.ask("bob").await;
    assert_eq!(work(&mut seat).await.record.content.username, "ann");
    assert_eq!(seat.next().await, None, "it is told nothing more");
}

#[tokio::test]
async fn a_claim_that_waits_in_vain_is_told_so() {
    let bench = Bench::start();
    let mut seat = bench.queue.join(waiting(), 1).unwrap();
    bench.settled().await;
    bench.clock.turn(25_000);
    bench.settled().await;
    assert!(matches!(seat.next().await, Some(Event::Nothing(_))));
}

#[tokio::test]
async fn a_claim_whose_caller_went_away_unseen_is_given_back_at_once() {
    let bench = Bench::start();
    let seat = bench.queue.join(waiting(), 1).unwrap();
    let asked = bench.ask("ann").await;
    bench.settled().await;
    drop(seat);
    let mut next = bench.queue.join(waiting(), 1).unwrap();
    let leased = work(&mut next).await;
    let work = leased.record.state.work.unwrap();
    assert_eq!(leased.record.content.id, asked.content.id);
    assert_eq!((work.status, work.claims, work.expiries), (Status::Processing, 2, 0));
}

#[tokio::test]
async fn a_caller_that_went_away_while_its_claim_was_committed_does_not_keep_the_message() {
    let (bench, mut commits, orders) = Bench::start_held(64);
    let seat = bench.queue.join(waiting(), 1).unwrap();
    bench.settled().await;
    let mut asking = Box::pin(bench.ask("ann"));
    assert!(poll(&mut asking).is_pending());
    assert_eq!(commits.recv().await.unwrap().changes.len(), 2);
    drop(seat);
    orders.send(Order::Go).unwrap();
    asking.await;
    let released = commits.recv().await.unwrap();
    assert_eq!(released.changes[0].kind, ChangeKind::Released);
    orders.send(Order::Go).unwrap();
}

#[tokio::test]
async fn the_stream_that_holds_a_message_is_told_when_it_is_cancelled() {
    let bench = Bench::start();
    let mut seat = bench.queue.join(stream("s", 1), 8).unwrap();
    let id = bench.ask("ann").await.content.id;
    work(&mut seat).await;
    bench.queue.cancel(id, None).await.unwrap();
    assert!(matches!(seat.next().await, Some(Event::Cancelled(_, cancelled)) if cancelled == id));
}

#[tokio::test]
async fn a_claim_by_id_whose_caller_is_gone_is_given_back_and_nothing_is_counted() {
    let (bench, mut commits, orders) = Bench::start_held(64);
    let mut asking = Box::pin(bench.ask("ann"));
    assert!(poll(&mut asking).is_pending());
    commits.recv().await.unwrap();
    orders.send(Order::Go).unwrap();
    let id = asking.await.content.id;
    let mut claiming = Box::pin(bench.queue.claim(id, by("gone")));
    assert!(poll(&mut claiming).is_pending());
    assert_eq!(commits.recv().await.unwrap().changes[0].kind, ChangeKind::Claimed);
    drop(claiming);
    orders.send(Order::Go).unwrap();
    assert_eq!(commits.recv().await.unwrap().changes[0].kind, ChangeKind::Released);
    orders.send(Order::Go).unwrap();

    let mut claiming = Box::pin(bench.queue.claim(id, by("w")));
    assert!(poll(&mut claiming).is_pending());
    commits.recv().await.unwrap();
    orders.send(Order::Go).unwrap();
    let work = claiming.await.unwrap().accept().record.state.work.unwrap();
    assert_eq!((work.failures, work.expiries), (0, 0));
}

#[tokio::test]
async fn a_claim_by_id_that_was_accepted_stays_with_its_caller() {
    let bench = Bench::start();
    let id = bench.ask("ann").await.content.id;
    let leased = bench.queue.claim(id, by("w")).await.unwrap().accept();
    bench.settled().await;
    assert!(bench.queue.claim(id, by("other")).await.is_err());
    bench.queue.release(lease(&leased), None).await.unwrap();
}

#[tokio::test]
async fn what_a_session_works_on_stays_its_own_though_its_new_stream_does_not_take_it() {
    let bench = Bench::start();
    let mut seat = bench.queue.join(stream("s", 2), 8).unwrap();
    for human in ["ann", "bob"] {
        bench.ask(human).await;
    }
    let held = [work(&mut seat).await, work(&mut seat).await];
    let _full = bench.queue.join(stream("s", 2), 1).unwrap();
    bench.settled().await;
    let renewed = bench.queue.renew(held.iter().map(lease).collect(), None).await.unwrap();
    assert!(renewed.iter().all(Result::is_ok), "{renewed:?}");
}
