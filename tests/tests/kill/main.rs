//! The queue-service is killed with SIGKILL thirty times, each time at a random moment under load. After every restart
//! everything that it had acknowledged is there, once, in order; and in the end every question is answered.
//!
//! The clients keep the history: what was acknowledged must be in the log; a call that was cut off may or may not be in it.

use std::{env, sync::Arc, time::Duration};

use e2e::{Grpc, Service, watch_live, within_deadline};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

mod clients;
mod history;
mod link;
mod log;

use clients::{Cast, claim_and_complete, follow, post, stream_and_complete};
use history::History;
use link::Life;
use log::Log;

const KILLS: u32 = 30;
const POSTERS: u64 = 4;
const CLAIMERS: u64 = 2;
const STREAMERS: u64 = 2;

/// How long a life under load lasts at the most. Every length occurs, a life shorter than the first commit too.
const LONGEST_LIFE: Duration = Duration::from_millis(300);

/// The seed of this run: a new one, or `REPARTEE_TEST_SEED` to repeat a run's choices.
fn seed() -> u64 {
    env::var("REPARTEE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random)
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_kills_at_random_moments_lose_nothing_and_double_nothing() {
    let seed = seed();
    println!("REPARTEE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut queue = Service::queue_service(&[]).await;
    let mut log = Log::from(queue.grpc().await.watch(watch_live()).await.unwrap().hello);
    let history = Arc::new(History::default());
    let (lives, life) = watch::channel(Life { number: 1, url: queue.grpc_url() });
    let cast =
        Cast { life, history: history.clone(), enough: CancellationToken::new(), origin: log.cursor() };
    let mut posters = JoinSet::new();
    (0..POSTERS).for_each(|number| drop(posters.spawn(post(cast.clone(), number, seed ^ number))));
    let over = CancellationToken::new();
    let mut others = JoinSet::new();
    (0..CLAIMERS)
        .for_each(|number| drop(others.spawn(claim_and_complete(cast.clone(), over.clone(), number))));
    (0..STREAMERS)
        .for_each(|number| drop(others.spawn(stream_and_complete(cast.clone(), over.clone(), number))));
    let watcher = tokio::spawn(follow(cast.clone(), over.clone()));

    for number in 2..=KILLS + 1 {
        load_for_a_random_while(&history, &mut random, &mut posters, &mut others).await;
        queue.kill().await;
        if random.random_ratio(1, 5) {
            interrupt_a_start(&mut queue, &mut random).await;
        }
        queue.start_again().await;
        check(&queue.grpc().await, &mut log, &history, &mut random).await;
        lives.send(Life { number, url: queue.grpc_url() }).expect("the clients wait for the next life");
    }

    cast.enough.cancel();
    within_deadline("the last posts", posters.join_all()).await;
    let client = queue.grpc().await;
    log.follow_until_all_is_answered(&client).await;
    over.cancel();
    within_deadline("the workers to end", others.join_all()).await;
    let watched = within_deadline("the watcher to end", watcher).await.unwrap();

    check(&client, &mut log, &history, &mut random).await;
    let mut reread = Log::from(log.hello().clone());
    reread.read_on(&client).await;
    assert!(reread == log, "the log reads the same from its beginning as it did along the way");
    history.check(&reread);
    log.assert_begins_with(&watched);
    println!("{KILLS} kills, {} changes, {} facts acknowledged", log.len(), history.len());
}

/// Lets the clients work: until the service has acknowledged something in this life, and a random while longer.
async fn load_for_a_random_while(
    history: &History,
    random: &mut StdRng,
    posters: &mut JoinSet<()>,
    others: &mut JoinSet<()>,
) {
    tokio::select! {
        () = within_deadline("an acknowledged call", history.grown()) => {}
        failed = posters.join_next() => panic!("a poster ended: {failed:?}"),
        failed = others.join_next() => panic!("a worker ended: {failed:?}"),
    }
    // The one wait for the clock: the moment of a kill is to depend on nothing.
    tokio::time::sleep(random.random_range(Duration::ZERO..LONGEST_LIFE)).await;
}

/// Kills the next start too, anywhere between its first instruction and its first served call.
async fn interrupt_a_start(queue: &mut Service, random: &mut StdRng) {
    queue.spawn_again();
    tokio::time::sleep(random.random_range(Duration::ZERO..LONGEST_LIFE)).await;
    queue.kill().await;
}

/// Checks what stands in the log now against itself and against what the clients were told.
async fn check(client: &Grpc, log: &mut Log, history: &History, random: &mut StdRng) {
    log.read_on(client).await;
    log.check();
    history.check(log);
    history.assert_a_key_still_works(client, random).await;
}
