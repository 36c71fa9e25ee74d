//! The writer takes away what is old, and nothing else.

use super::{Bench, Order, ROOM, ROOMY, poll};
use crate::{
    disk::DiskFull,
    domain::{
        Millis, Record, Rejection, Reply, Request, RequestKey,
        tests::world::{by, lease, question, remark},
    },
    journal::{Tally, tests::spoil_commit},
    views::CacheLimits,
    writer::CommandError,
};

const HOUR: Millis = 3_600_000;

impl Bench {
    fn is_stored(&self, record: &Record) -> bool {
        self.store.find(record.content.id, &Tally::default()).unwrap().is_some()
    }

    /// Lets time pass, and the writer do what is due then.
    async fn pass(&self, ms: Millis) {
        self.clock.turn(ms);
        self.settled().await;
    }

    /// Lets time pass until the writer has swept all that it sweeps by itself.
    async fn rest(&self) {
        for _ in 0..100 {
            self.pass(1_000).await;
        }
    }

    async fn say_so_many(&self, count: usize) -> Vec<Record> {
        let posts = (0..count).map(|_| (remark("ann"), None)).collect();
        let posted = self.queue.post("PostMessages", posts).await.unwrap();
        posted.into_iter().map(|posted| posted.unwrap().record).collect()
    }
}

#[tokio::test]
async fn what_is_old_goes_and_what_is_not_stays() {
    let bench = Bench::start_keeping(HOUR, 1);
    let old = bench.say().await;
    bench.pass(HOUR / 2).await;
    let young = bench.say().await;
    let newest = bench.say().await;
    bench.pass(HOUR / 2).await;
    assert!(bench.is_stored(&old), "an hour is not over an hour");
    bench.rest().await;
    assert_eq!([&old, &young, &newest].map(|record| bench.is_stored(record)), [false, true, true]);
}

#[tokio::test]
async fn an_old_row_that_cannot_be_read_stops_the_sweep_and_nothing_else() {
    let bench = Bench::start_keeping(HOUR, 1);
    let old = bench.say().await;
    spoil_commit(bench.dir.path(), &bench.store, old.state.seq);
    bench.say_so_many(2).await;
    bench.pass(2 * HOUR).await;
    bench.rest().await;
    assert!(bench.is_stored(&old));
    let later = bench.say().await;
    assert!(bench.is_stored(&later), "the writer goes on");
}

#[tokio::test]
async fn without_retention_nothing_goes() {
    let bench = Bench::start();
    let old = bench.say_so_many(3).await;
    bench.pass(1_000_000 * HOUR).await;
    bench.rest().await;
    assert!(old.iter().all(|record| bench.is_stored(record)));
    assert_eq!(bench.store.begins().seq, 0);
}

#[tokio::test]
async fn the_cached_newest_stay_however_old_they_are() {
    let bench = Bench::start_keeping(HOUR, 3);
    let mut said = Vec::new();
    for _ in 0..6 {
        said.push(bench.say().await);
    }
    bench.pass(24 * HOUR).await;
    bench.rest().await;
    let stored: Vec<_> = said.iter().map(|record| bench.is_stored(record)).collect();
    assert_eq!(stored, [false, false, false, true, true, true]);
}

#[tokio::test]
async fn work_stays_until_it_is_finished_and_old() {
    let bench = Bench::start_keeping(HOUR, 1);
    let asked = bench.ask("ann").await;
    bench.say_so_many(2).await;
    bench.pass(24 * HOUR).await;
    bench.rest().await;
    assert!(bench.store.begins().seq >= asked.content.posted, "its commit is gone");
    assert!(bench.is_stored(&asked));
    let leased = bench.queue.claim(asked.content.id, by("w")).await.unwrap().accept();
    bench.say().await;
    bench.pass(HOUR / 2).await;
    assert!(bench.is_stored(&asked));
    let again = bench.queue.claim(asked.content.id, by("v")).await.unwrap().accept();
    assert!(bench.queue.renew(vec![lease(&leased)], None).await.unwrap()[0].is_err());
    let reply = Some(Reply { text: "It is not.".to_owned(), eq_score: 0, origin: None });
    let done = bench.queue.complete("CompleteMessage", vec![(lease(&again), reply)]).await.unwrap();
    let reply = done.into_iter().next().unwrap().unwrap().reply.unwrap();
    bench.say_so_many(2).await;
    bench.pass(HOUR / 2).await;
    bench.rest().await;
    assert!(bench.is_stored(&asked), "not an hour has passed since it was finished");
    bench.pass(HOUR).await;
    bench.rest().await;
    assert!(!bench.is_stored(&asked));
    assert!(bench.store.find(reply, &Tally::default()).unwrap().is_none());
}

#[tokio::test]
async fn a_finish_long_after_the_last_post_is_kept_as_long_as_any_other() {
    let bench = Bench::start_keeping(HOUR, 1);
    let asked = bench.ask("ann").await;
    bench.say_so_many(2).await;
    bench.pass(10 * HOUR).await;
    bench.queue.cancel(asked.content.id, None).await.unwrap();
    bench.pass(HOUR / 2).await;
    bench.say_so_many(8).await;
    bench.rest().await;
    assert!(bench.store.begins().seq > 0 && bench.is_stored(&asked));
    bench.pass(HOUR / 2).await;
    bench.rest().await;
    assert!(!bench.is_stored(&asked));
}

#[tokio::test]
async fn a_swept_message_is_unknown_to_commands_and_its_idempotency_key_still_answers() {
    let bench = Bench::start_keeping(HOUR, 1);
    let request = || Some(Request { key: RequestKey([1; 16]), fingerprint: [1; 16], before: None });
    let first = bench.try_post(remark("ann"), request()).await.unwrap();
    bench.say_so_many(2).await;
    bench.pass(HOUR).await;
    bench.rest().await;
    assert!(!bench.is_stored(&first.record));
    let id = first.record.content.id;
    for refused in [bench.queue.delete(id, None).await, bench.queue.retry(id, None).await] {
        assert!(
            matches!(refused, Err(CommandError::Rejected(Rejection::NotFound(unknown))) if unknown == id)
        );
    }
    let reply = crate::domain::NewMessage { reply_to: Some(id), ..remark("bob") };
    let refused = bench.try_post(reply, None).await;
    assert!(matches!(refused, Err(CommandError::Rejected(Rejection::Invalid(_)))), "{refused:?}");
    let again = bench.try_post(remark("ann"), request()).await.unwrap();
    assert_eq!((again.replayed, again.record), (true, first.record));
}

#[tokio::test]
async fn what_an_edit_touches_at_the_moment_of_its_sweep_stays() {
    let (bench, mut commits, orders) =
        Bench::start_held_as(ROOM, CacheLimits { messages: 1, ..ROOMY }, Some(HOUR));
    let mut said = Vec::new();
    for _ in 0..3 {
        let mut saying = Box::pin(bench.say());
        assert!(poll(&mut saying).is_pending());
        commits.recv().await.unwrap();
        orders.send(Order::Go).unwrap();
        said.push(saying.await);
    }
    bench.clock.turn(2 * HOUR);
    let update = crate::domain::Update { text: Some("edited".to_owned()), ..Default::default() };
    let mut editing =
        Box::pin(bench.queue.update(said[0].content.id, update, crate::domain::Editor::Author(None), None));
    assert!(poll(&mut editing).is_pending());
    let commit = commits.recv().await.unwrap();
    let sweep = commit.sweep.expect("the first two are old");
    assert_eq!((sweep.begins.seq, sweep.messages), (2, 1));
    orders.send(Order::Go).unwrap();
    editing.await.unwrap();
    assert_eq!([0, 1, 2].map(|n: usize| bench.is_stored(&said[n])), [true, false, true]);
}

#[tokio::test]
async fn while_messages_come_twice_as_many_old_ones_go() {
    let bench = Bench::start_keeping(HOUR, 1);
    for _ in 0..20 {
        bench.say_so_many(100).await;
    }
    bench.pass(HOUR + 1_000).await;
    let mut before = bench.store.begins().seq;
    assert_eq!(before, 200, "what time alone allows");
    for _ in 0..5 {
        bench.say_so_many(100).await;
        let now = bench.store.begins().seq;
        assert_eq!(now - before, 200);
        before = now;
    }
}

#[tokio::test]
async fn while_nothing_comes_old_ones_go_by_and_by() {
    let bench = Bench::start_keeping(HOUR, 1);
    for _ in 0..20 {
        bench.say_so_many(100).await;
    }
    bench.pass(HOUR + 1_000).await;
    assert_eq!(bench.store.begins().seq, 200);
    bench.settled().await;
    assert_eq!(bench.store.begins().seq, 200, "no time has passed");
    for step in 2..=5 {
        bench.pass(200).await;
        assert_eq!(bench.store.begins().seq, step * 200);
    }
    bench.rest().await;
    assert_eq!(bench.store.begins().seq, 1_900, "the newest commit stays");
}

/// Far more than some posts take, far less than all of them.
const MOST: u64 = 64 * 1024;

impl Bench {
    fn data_bytes(&self) -> u64 {
        self.store.data_bytes()
    }
}

#[tokio::test]
async fn what_is_stored_stays_below_its_limit_however_young_it_is() {
    let bench = Bench::start_holding(MOST, 1);
    let first = bench.say().await;
    for _ in 0..200 {
        bench.say_so_many(10).await;
        assert!(bench.data_bytes() < MOST, "{}", bench.data_bytes());
    }
    assert!(!bench.is_stored(&first));
    assert!(bench.data_bytes() > MOST / 2, "no more goes than has to: {}", bench.data_bytes());
    let last = bench.say().await;
    assert!(bench.is_stored(&last));
}

#[tokio::test]
async fn below_the_limit_nothing_goes_and_the_cached_newest_and_work_stay_above_it() {
    let bench = Bench::start_holding(MOST, 50);
    let (first, asked) = (bench.say().await, bench.ask("ann").await);
    bench.rest().await;
    assert!(bench.is_stored(&first));
    let mut newest = Vec::new();
    while bench.store.begins().seq < asked.state.seq {
        newest = bench.say_so_many(25).await;
    }
    assert!(!bench.is_stored(&first));
    assert!(bench.is_stored(&asked) && newest.iter().all(|record| bench.is_stored(record)));
}

#[tokio::test]
async fn where_nothing_may_go_new_texts_are_refused_and_what_was_taken_in_goes_on_until_there_is_room() {
    let bench = Bench::start_holding(MOST, 1);
    let mut asked = Vec::new();
    let refusal = loop {
        let text = "Why? ".repeat(200);
        let ask = crate::domain::NewMessage { text, ..question(&format!("human {}", asked.len()), "bot") };
        match bench.try_post(ask, None).await {
            Ok(posted) => asked.push(posted.record),
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, CommandError::DiskFull(DiskFull::Data { most: MOST })), "{refusal:?}");
    assert!(asked.len() > 40, "{}", asked.len());
    assert!(refusal.to_string().contains("65536 bytes"), "{refusal}");
    bench.rest().await;
    assert!(matches!(bench.try_post(remark("ann"), None).await, Err(CommandError::DiskFull(_))));
    let (last, others) = asked.split_last().unwrap();
    for record in others {
        let leased = bench.queue.claim(record.content.id, by("w")).await.unwrap().accept();
        let done = bench.queue.complete("CompleteMessage", vec![(lease(&leased), None)]).await.unwrap();
        assert!(done[0].is_ok());
    }
    bench.queue.delete(last.content.id, None).await.unwrap();
    bench.rest().await;
    assert!(bench.data_bytes() < MOST, "{}", bench.data_bytes());
    // Each is stored, and what is finished goes for it.
    while bench.is_stored(&asked[0]) {
        bench.say().await;
    }
}
