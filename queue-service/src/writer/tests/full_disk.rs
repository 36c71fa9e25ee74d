//! What the writer does while there is no room on the disk, and once there is again.

use super::{Bench, Order, RESERVE, poll};
use crate::{
    disk::{DiskFull, Stored},
    domain::{
        ChangeKind, Editor, Event, Failure, Reply, Status, Taker, Update,
        tests::world::{START, by, lease, remark, stream},
    },
    writer::CommandError,
};

impl Bench {
    fn fill_the_disk(&self) {
        self.disk.note(RESERVE / 4 - 1);
    }

    fn fill_the_disk_a_little(&self) {
        self.disk.note(RESERVE / 4);
    }

    fn make_room(&self) {
        self.disk.note(RESERVE);
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(outcome: Result<T, CommandError>) {
    assert!(matches!(outcome, Err(CommandError::DiskFull(_))), "{outcome:?}");
}

#[tokio::test]
async fn below_the_reserve_new_texts_are_refused_and_what_was_taken_in_is_worked_on() {
    let bench = Bench::start();
    let (said, asked) = (bench.say().await.content.id, bench.ask("ann").await.content.id);
    bench.fill_the_disk_a_little();
    let queue = &bench.queue;
    let full = DiskFull::Disk { free: RESERVE / 4, least: RESERVE, what: Stored::NewText };
    let outcome = bench.try_post(remark("cid"), None).await;
    assert!(matches!(outcome, Err(CommandError::DiskFull(seen)) if seen == full), "{outcome:?}");
    let text = Update { text: Some("Another.".to_owned()), ..Update::default() };
    refused(queue.update(said, text, Editor::Author(None), None).await);
    let score = Update { eq_score: Some(1), ..Update::default() };
    queue.update(said, score, Editor::Operator, None).await.unwrap();
    let held = queue.claim(asked, by("w")).await.unwrap().accept();
    let answer = Reply { text: "It is not.".to_owned(), eq_score: 0, origin: None };
    let done = queue.complete("CompleteMessage", vec![(lease(&held), Some(answer))]).await.unwrap();
    assert!(done[0].is_ok());
    queue.delete(said, None).await.unwrap();
}

#[tokio::test]
async fn everything_that_stores_is_refused_and_changes_nothing() {
    let bench = Bench::start();
    let said = bench.say().await.content.id;
    let asked = bench.ask("ann").await.content.id;
    let held = bench.queue.claim(bench.ask("bob").await.content.id, by("w")).await.unwrap().accept();
    let (queue, tail) = (&bench.queue, bench.tail());
    let waiting = Taker {
        by: by("w"),
        entities: Vec::new(),
        max_in_flight: 1,
        until: Some(START + 25_000),
        holds_back: None,
    };
    let failure = || Failure { error: "no".to_owned(), retryable: true, retry_after_ms: None };
    let answer = Reply { text: "It is not.".to_owned(), eq_score: 0, origin: None };
    let edit = Update { text: Some("Another.".to_owned()), ..Update::default() };
    bench.fill_the_disk();

    refused(bench.try_post(remark("cid"), None).await);
    refused(queue.update(said, edit, Editor::Author(None), None).await);
    refused(queue.delete(said, None).await);
    refused(queue.claim(asked, by("w")).await);
    refused(queue.join(waiting, 1).map(|_| ()));
    refused(queue.release(lease(&held), None).await);
    refused(queue.complete("CompleteMessage", vec![(lease(&held), Some(answer))]).await);
    refused(queue.fail(lease(&held), failure()).await);
    refused(queue.retry(asked, None).await);
    refused(queue.cancel(asked, None).await);
    bench.settled().await;
    assert_eq!(bench.tail(), tail);

    bench.make_room();
    queue.fail(lease(&held), failure()).await.unwrap();
    bench.say().await;
}

#[tokio::test]
async fn renewing_and_looking_go_on() {
    let bench = Bench::start();
    let held = bench.queue.claim(bench.ask("ann").await.content.id, by("w")).await.unwrap().accept();
    bench.fill_the_disk();
    assert!(bench.queue.renew(vec![lease(&held)], None).await.unwrap()[0].is_ok());
    assert_eq!(bench.queue.sessions().await.unwrap()[0].leases, 1);
    assert_eq!(bench.views.pending(&[], 10, i64::MAX).len(), 0);
    assert!(bench.shown(&held.record).is_some());
}

#[tokio::test]
async fn a_stream_may_come_and_gets_its_work_once_there_is_room() {
    let bench = Bench::start();
    let asked = bench.ask("ann").await.content.id;
    bench.fill_the_disk();
    let mut seat = bench.queue.join(stream("s", 1), 8).unwrap();
    bench.settled().await;
    assert!(poll(&mut Box::pin(seat.next())).is_pending());
    assert_eq!(bench.tail(), 1, "a claim is stored, so nobody claims");
    bench.make_room();
    let Some(Event::Work(_, leased)) = seat.next().await else { panic!("the stream gets the message") };
    assert_eq!(leased.record.content.id, asked);
}

#[tokio::test]
async fn a_lease_that_ends_meanwhile_still_counts_and_ends_once_there_is_room() {
    let bench = Bench::start();
    let first = bench.queue.claim(bench.ask("ann").await.content.id, by("w")).await.unwrap().accept();
    bench.fill_the_disk();
    bench.clock.turn(60_000);
    bench.settled().await;
    let status = |bench: &Bench| bench.shown(&first.record).unwrap().state.work.unwrap().status;
    assert_eq!(status(&bench), Status::Processing);
    bench.make_room();
    bench.say().await;
    assert_eq!(status(&bench), Status::Pending);
    let late = bench.queue.complete("CompleteMessage", vec![(lease(&first), None)]).await.unwrap();
    assert!(late[0].as_ref().unwrap().late, "nobody has overtaken it");
}

#[tokio::test]
async fn a_claim_that_waits_already_is_sent_away_in_time() {
    let bench = Bench::start();
    let waiting = Taker {
        by: by("w"),
        entities: Vec::new(),
        max_in_flight: 1,
        until: Some(START + 25_000),
        holds_back: None,
    };
    let mut seat = bench.queue.join(waiting, 1).unwrap();
    bench.settled().await;
    bench.fill_the_disk();
    bench.clock.turn(25_000);
    bench.settled().await;
    assert!(matches!(seat.next().await, Some(Event::Nothing(_))));
}

#[tokio::test]
async fn what_a_stream_did_not_read_is_given_back_once_there_is_room() {
    let (bench, mut commits, orders) = Bench::start_held(64);
    let _slow = bench.queue.join(stream("slow", 9), 1).unwrap();
    for human in ["ann", "bob"] {
        let mut asking = Box::pin(bench.ask(human));
        assert!(poll(&mut asking).is_pending());
        assert_eq!(commits.recv().await.unwrap().changes.len(), 2, "asked and claimed");
        if human == "bob" {
            bench.fill_the_disk();
        }
        orders.send(Order::Go).unwrap();
        asking.await;
    }
    bench.settled().await;
    assert!(commits.try_recv().is_err(), "what does not fit into the stream stays claimed");
    bench.make_room();
    let kinds: Vec<_> = commits.recv().await.unwrap().changes.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Released]);
    orders.send(Order::Go).unwrap();
}
