//! What the clock does to commits.

use super::{Bench, ROOM, poll};
use crate::{
    domain::{
        Event, Request, RequestKey, Status,
        tests::world::{START, by, lease, remark, stream},
    },
    journal::{Commit, Journal, JournalError, Tally},
};

/// A journal that keeps nothing.
struct Forgetful;

impl Journal for Forgetful {
    fn append(&mut self, _: &Commit, _: &Tally) -> Result<(), JournalError> {
        Ok(())
    }
}

#[tokio::test]
async fn time_stamps_rise_though_the_clock_stands_still_and_run_at_most_a_second_ahead() {
    let bench = Bench::start_with(ROOM, |_| Forgetful);
    for n in 0..=1_000 {
        assert_eq!(bench.say().await.content.timestamp, START + n);
    }
    assert_eq!(bench.clock.waited_for(), [0; 0], "a second ahead is not too far");
    for n in 1_001..1_010 {
        assert_eq!(bench.say().await.content.timestamp, START + n);
        assert_eq!(bench.clock.waited_for().last(), Some(&(START + n - 1_000)));
    }
}

#[tokio::test]
async fn a_clock_that_is_behind_is_not_waited_for_however_far_it_is() {
    for behind in [2_500, 120_000, 400 * 86_400_000] {
        let bench = Bench::start_with(ROOM, |_| Forgetful);
        let id = bench.ask("ann").await.content.id;
        bench.clock.step(-behind);
        bench.clock.turn(5);
        assert_eq!(bench.say().await.content.timestamp, START + 1);
        bench.queue.claim(id, by("w")).await.unwrap().accept();
        bench.clock.turn(5);
        assert_eq!(bench.say().await.content.timestamp, START + 2);
        assert_eq!(bench.clock.waited_for(), [0; 0]);
    }
}

#[tokio::test]
async fn while_the_clock_is_behind_commits_with_messages_keep_a_millisecond_apart() {
    let bench = Bench::start_with(ROOM, |_| Forgetful);
    bench.say().await;
    bench.clock.step(-2_500);
    for n in 1..=3 {
        assert_eq!(bench.say().await.content.timestamp, START + n);
        assert_eq!(bench.clock.waited_for().last(), Some(&(START + n)));
    }
}

#[tokio::test]
async fn once_the_clock_has_caught_up_time_stamps_are_the_clock_again() {
    let bench = Bench::start_with(ROOM, |_| Forgetful);
    bench.say().await;
    bench.clock.step(-2_500);
    assert_eq!(bench.say().await.content.timestamp, START + 1);
    bench.clock.turn(60_000);
    assert!(bench.say().await.content.timestamp > START + 57_000);
}

#[tokio::test]
async fn after_the_clock_went_on_time_stamps_are_the_clock_again() {
    let bench = Bench::start_with(ROOM, |_| Forgetful);
    bench.say().await;
    bench.clock.turn(60_000);
    assert_eq!(bench.say().await.content.timestamp, START + 60_000);
}

#[tokio::test]
async fn a_lease_ends_by_the_clock_and_its_message_goes_to_the_next_stream() {
    let bench = Bench::start();
    let id = bench.ask("ann").await.content.id;
    let stale = bench.queue.claim(id, by("w")).await.unwrap().accept();
    let mut seat = bench.queue.join(stream("s", 1), 8).unwrap();
    bench.settled().await;
    assert!(poll(&mut Box::pin(seat.next())).is_pending());
    bench.clock.turn(10_000);
    bench.settled().await;
    let Some(Event::Work(_, leased)) = seat.next().await else { panic!("the stream gets the message") };
    assert_eq!(leased.record.content.id, id);
    assert!(bench.queue.release(lease(&stale), None).await.is_err());
    assert_eq!(
        leased.record.state.work.map(|work| (work.status, work.expiries)),
        Some((Status::Processing, 1))
    );
}

#[tokio::test]
async fn idempotency_keys_are_forgotten_after_a_day() {
    let bench = Bench::start();
    let key = RequestKey([1; 16]);
    bench.try_post(remark("ann"), Some(Request { key, fingerprint: [1; 16], before: None })).await.unwrap();
    let known = || bench.store.find_request(key, &Tally::default()).unwrap().is_some();
    bench.clock.turn(24 * 3_600_000 - 1);
    bench.settled().await;
    assert!(known());
    bench.clock.turn(60_000);
    bench.settled().await;
    assert!(!known());
}
