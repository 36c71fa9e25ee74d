//! Five ways to follow one feed, at once, while people post, edit and delete, workers work, and processes are killed: the
//! four by cursor see every change once and in order, the poll by timestamp sees every message once and in order. Some
//! read slowly: they go away and come back late, or leave their connection open and read nothing for a while. Where
//! positions are lost, the four by cursor are told so, see the newest page, and every change from there on.
//!
//! The choices come from a seed, which is printed when the test fails: `REPARTEE_SEED=… cargo test -p e2e --test
//! conformance` makes the same choices again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod actor;
mod agree;
mod followers;

use std::{ops::Range, time::Duration};

use e2e::{Browser, Grpc, Metrics, Service, World, platform_post, within_deadline};
use rand::{SeedableRng as _, rngs::StdRng};
use repartee_proto::v1::{Message, NewMessage, list_messages_request::Position};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle, time::interval};

use actor::Actor;
use agree::{agree_from_newest_page, agree_on_all};
use followers::{Follower, Seen, Way};

/// The domain that everybody follows.
const DOMAIN: &str = "conformance.example";
/// Steps of the actor.
const STEPS: u32 = 160;
/// The score of the last message; nobody gives another one as much.
const LAST: i32 = 777_777;
/// So small a tail that whoever is slow falls out of it.
const TAIL: [&str; 4] = ["--tail-messages", "20", "--tail-seed", "10"];

/// Bytes of a long text.
const LONG: Range<usize> = 14_000..16_000;

/// Where the present begins in what a change told.
const PRESENT: usize = 5;

/// Where the services are now, and how far the actor is: what followers go by.
#[derive(Debug, Clone)]
struct Now {
    gateway: String,
    queue: String,
    steps: u32,
    /// True once nothing follows any more.
    over: bool,
}

/// What a change told: first what it will tell for ever, then, from [`PRESENT`] on, what is told in its present form: the
/// text of a message, and whether it is deleted. The words of its last error are told no more once it is, and left out.
fn told(message: &Message) -> Value {
    let bot = message.bot_params.as_ref().map(|bot| {
        let status = bot.status().as_str_name().trim_start_matches("STATUS_").to_lowercase();
        json!([status, bot.priority, bot.attempts, bot.claimed_by])
    });
    json!([message.id, message.seq, message.timestamp, message.eq_score, bot, message.text, message.deleted])
}

/// The same of a message as JSON.
fn told_json(message: &Value) -> Value {
    let bot = &message["botParams"];
    let bot =
        bot.is_object().then(|| json!([bot["status"], bot["priority"], bot["attempts"], bot["claimedBy"]]));
    let deleted = message["deleted"] == true;
    json!([
        message["id"],
        message["seq"],
        message["timestamp"],
        message["eqScore"],
        bot,
        message["text"],
        deleted
    ])
}

/// The seed of all choices.
#[expect(clippy::print_stdout, reason = "a test that fails shows what was printed")]
fn seed() -> u64 {
    let seed = std::env::var("REPARTEE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random::<u64>);
    println!("REPARTEE_SEED={seed}");
    seed
}

/// Everybody who follows, and where they are told what is going on.
struct Crowd {
    place: watch::Sender<Now>,
    followers: Vec<(Way, JoinHandle<Seen>)>,
}

impl Crowd {
    /// All ways, from this cursor on. Who stalls does so for so many steps.
    fn begin(seed: u64, cursor: &str, world: &World, pause: &Range<u32>) -> Self {
        let (gateway, queue) = (gateway(world), world.queue.grpc_url());
        let (place, now) = watch::channel(Now { gateway, queue, steps: 0, over: false });
        let follow = |way| {
            let rng = StdRng::seed_from_u64(seed ^ way as u64);
            let follower = Follower::new(way, cursor, now.clone(), pause.clone(), rng);
            (way, tokio::spawn(follower.run()))
        };
        Self { place, followers: Way::ALL.map(follow).into() }
    }

    fn step(&self, gateway: String, step: u32) {
        self.place.send_modify(|now| (now.gateway, now.steps) = (gateway, step));
    }

    /// Everything is over: what each has seen.
    async fn end(self) -> Vec<(Way, Seen)> {
        self.place.send_modify(|now| now.over = true);
        let mut seen = Vec::new();
        for (way, follower) in self.followers {
            seen.push((way, within_deadline(&format!("{way:?}"), follower).await.unwrap()));
        }
        seen
    }
}

/// The position behind everything that there is.
async fn newest_cursor(world: &World) -> String {
    let page = world.browser().get("/api/comments/changes").await.ok(200);
    page["next"].as_str().unwrap().to_owned()
}

fn gateway(world: &World) -> String {
    format!("http://{}", world.gateway.http_addr())
}

#[tokio::test]
async fn five_ways_to_follow_the_feed_agree_through_kills_and_slow_readers() {
    let seed = seed();
    let mut world = World::with(&[], &TAIL).await;
    let begin = newest_cursor(&world).await;
    let crowd = Crowd::begin(seed, &begin, &world, &(1..30));
    let mut actor = Actor::new(StdRng::seed_from_u64(seed), world.queue.grpc().await, 0..2_000);
    for step in 1..=STEPS {
        match step {
            40 | 120 => {
                world.queue.kill().await;
                world.queue.start_again_in_place().await;
                actor.queue = world.queue.grpc().await;
            }
            80 | 140 => {
                world.gateway.kill().await;
                world.gateway.start_again().await;
            }
            _ => actor.step().await,
        }
        crowd.step(gateway(&world), step);
    }
    actor.post_last().await;
    agree_on_all(&world.queue, &begin, crowd.end().await).await;
}

#[tokio::test]
async fn who_leaves_a_connection_unread_for_long_gets_every_change_later() {
    let seed = seed();
    let world = World::with(&[], &TAIL).await;
    let begin = newest_cursor(&world).await;
    let crowd = Crowd::begin(seed, &begin, &world, &(60..70));
    let mut actor = Actor::new(StdRng::seed_from_u64(seed), world.queue.grpc().await, LONG);
    // Megabytes: more than the connections and the tail hold for those who do not read.
    for step in 1..=STEPS / 2 {
        actor.step().await;
        actor.post_many().await;
        crowd.step(gateway(&world), step);
    }
    actor.post_last().await;
    agree_on_all(&world.queue, &begin, crowd.end().await).await;
}

#[tokio::test]
async fn who_leaves_a_connection_unread_until_it_is_ended_goes_on_by_cursor() {
    let seed = seed();
    let world =
        World::with(&["--stream-patience", "1s"], &[&TAIL[..], &["--idle-timeout", "1s"]].concat()).await;
    let begin = newest_cursor(&world).await;
    let until_it_is_over = 1_000_000..1_000_001;
    let crowd = Crowd::begin(seed, &begin, &world, &until_it_is_over);
    let mut actor = Actor::new(StdRng::seed_from_u64(seed), world.queue.grpc().await, LONG);
    let operator = Browser::new(&world.queue.grpc_url());
    let ended = async {
        while Metrics::of(&operator).await.refused("stream_events") < 1.0 {
            actor.step().await;
            actor.post_many().await;
        }
    };
    within_deadline("the end of a watch that is not read", ended).await;
    actor.post_last().await;
    agree_on_all(&world.queue, &begin, crowd.end().await).await;
}

#[tokio::test]
async fn where_the_log_is_replaced_all_ways_by_cursor_begin_again_with_the_newest_page() {
    let seed = seed();
    let mut world = World::with(&[], &TAIL).await;
    let begin = newest_cursor(&world).await;
    let crowd = Crowd::begin(seed, &begin, &world, &(1..30));
    let mut actor = Actor::new(StdRng::seed_from_u64(seed), world.queue.grpc().await, 0..2_000);
    for step in 1..=STEPS {
        if step == STEPS / 2 {
            world.queue.kill().await;
            std::fs::remove_dir_all(world.queue.data_dir()).unwrap();
            world.queue.start_again_in_place().await;
            actor.queue = world.queue.grpc().await;
        }
        actor.step().await;
        crowd.step(gateway(&world), step);
    }
    actor.post_last().await;
    agree_from_newest_page(&world.queue, crowd.end().await).await;
}

/// Everybody begins with a cursor that is lost.
async fn agree_from_a_lost_cursor(seed: u64, world: &World, lost: &str) {
    let crowd = Crowd::begin(seed, lost, world, &(1..30));
    let mut actor = Actor::new(StdRng::seed_from_u64(seed), world.queue.grpc().await, 0..2_000);
    for step in 1..=STEPS / 2 {
        actor.step().await;
        crowd.step(gateway(world), step);
    }
    actor.post_last().await;
    agree_from_newest_page(&world.queue, crowd.end().await).await;
}

/// What was said before anybody came.
async fn say(queue: &Grpc, text: &str) {
    let post = NewMessage { domain: DOMAIN.to_owned(), ..platform_post("Bob", text) };
    queue.post(post).await.unwrap();
}

#[tokio::test]
async fn a_cursor_of_another_epoch_is_lost_for_all_ways_alike() {
    let world = World::with(&[], &TAIL).await;
    let queue = world.queue.grpc().await;
    for number in 0..60 {
        say(&queue, &format!("Before {number}.")).await;
    }
    let elsewhere = Service::queue_service(&[]).await;
    let other = elsewhere.grpc().await;
    say(&other, "Elsewhere.").await;
    let lost = other.list(None, 1).await.unwrap().next_cursor;
    agree_from_a_lost_cursor(seed(), &world, &lost).await;
}

#[tokio::test]
async fn a_cursor_that_retention_has_swept_is_lost_for_all_ways_alike() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut queue =
        Service::queue_service_on(folder.path(), &["--retention", "1s", "--cache-messages", "1"]).await;
    let client = queue.grpc().await;
    let swept = client.list(None, 1).await.unwrap().next_cursor;
    // Asked for again and again, while more is said: nobody is told when it is gone.
    let mut again = interval(Duration::from_millis(20));
    let gone = async {
        loop {
            say(&client, "Before.").await;
            let page = client.list(Some(Position::Cursor(swept.clone())), 1).await.unwrap();
            if page.reset {
                return;
            }
            again.tick().await;
        }
    };
    within_deadline("the cursor to be swept", gone).await;
    queue.kill().await;
    // What is left stays from now on, so that it can be compared.
    let queue = Service::queue_service_on(folder.path(), &[]).await;
    let gateway = Service::gateway(&queue.grpc_url(), &TAIL).await;
    agree_from_a_lost_cursor(seed(), &World { gateway, queue }, &swept).await;
}
