//! Five ways to follow one feed, at once, while people post, edit and delete, workers work, and processes are killed: the
//! four by cursor see every change once and in order, the poll by timestamp sees every message once and in order.
//!
//! The choices come from a seed, which is printed when the test fails: `REPARTEE_SEED=… cargo test -p e2e --test
//! conformance` makes the same choices again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod actor;
mod followers;

use std::{collections::BTreeMap, sync::Arc};

use e2e::{Service, World, within_deadline};
use rand::{SeedableRng as _, rngs::StdRng};
use repartee_proto::v1::{ListMessagesRequest, Message, list_messages_request::Position};
use serde_json::{Value, json};
use tokio::sync::watch;

use actor::Actor;
use followers::{Follower, Way};

/// The domain that everybody follows.
const DOMAIN: &str = "conformance.example";
/// Steps of the actor.
const STEPS: u32 = 160;
/// The score of the last message; nobody gives another one as much.
const LAST: i32 = 777_777;
/// So small a tail that whoever is slow falls out of it.
const TAIL: [&str; 4] = ["--tail-messages", "20", "--tail-seed", "10"];

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

fn lasting(told: &Value) -> &[Value] {
    &told.as_array().unwrap()[..PRESENT]
}

/// How each message is in the end: as its last change told it.
fn present(changes: &[Value]) -> BTreeMap<&str, &[Value]> {
    changes.iter().map(|told| (told[0].as_str().unwrap(), &told.as_array().unwrap()[PRESENT..])).collect()
}

/// All changes after `cursor`, read from the queue-service when everything is over.
async fn reference(queue: &Service, cursor: &str) -> Vec<Message> {
    let (client, mut cursor, mut changes) = (queue.grpc().await, cursor.to_owned(), Vec::new());
    loop {
        let position = Some(Position::Cursor(cursor));
        let request = ListMessagesRequest { domain: DOMAIN.to_owned(), position, limit: 1_000 };
        let page = client.raw().list_messages(request).await.unwrap().into_inner();
        assert!(!page.reset, "{}", page.reset_reason);
        changes.extend(page.messages);
        if !page.more {
            return changes;
        }
        cursor = page.next_cursor;
    }
}

#[tokio::test]
async fn five_ways_to_follow_the_feed_agree_through_kills_and_slow_readers() {
    let seed = std::env::var("REPARTEE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random::<u64>);
    // A panic anywhere below shows what was printed.
    println!("REPARTEE_SEED={seed}");
    let mut world = World::with(&[], &TAIL).await;
    let begin =
        world.browser().get("/api/comments/changes").await.ok(200)["next"].as_str().unwrap().to_owned();
    let now = Now { gateway: gateway(&world), queue: world.queue.grpc_url(), steps: 0, over: false };
    let (place, _) = watch::channel(now);
    let place = Arc::new(place);

    let ways = [Way::Poll, Way::Changes, Way::LongPoll, Way::Stream, Way::SlowStream, Way::Watch];
    let followers = ways.map(|way| {
        let follower =
            Follower::new(way, &begin, place.subscribe(), StdRng::seed_from_u64(seed ^ way as u64));
        (way, tokio::spawn(follower.run()))
    });
    let mut actor = Actor::new(StdRng::seed_from_u64(seed), world.queue.grpc().await);
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
        place.send_modify(|now| (now.gateway, now.steps) = (gateway(&world), step));
    }
    actor.post_last().await;
    place.send_modify(|now| now.over = true);

    let changes = reference(&world.queue, &begin).await;
    let expected: Vec<Value> = changes.iter().map(told).collect();
    assert!(changes.len() > 50, "only {} changes, seed {seed}", changes.len());
    let posted: Vec<String> = actor.posted(&changes);
    for (way, follower) in followers {
        let seen = within_deadline(&format!("{way:?}, seed {seed}"), follower).await.unwrap();
        if way == Way::Poll {
            let ids: Vec<&str> = seen.iter().map(|told| told[0].as_str().unwrap()).collect();
            assert_eq!(ids, posted, "{way:?}, seed {seed}");
        } else {
            let differ =
                seen.iter().zip(&expected).position(|(seen, expected)| lasting(seen) != lasting(expected));
            let at = differ.unwrap_or(seen.len().min(expected.len()));
            let [seen_there, expected_there] = [&seen, &expected].map(|told| told.get(at).map(lasting));
            assert_eq!((at, seen_there), (at, expected_there), "{way:?}, seed {seed}");
            assert_eq!(present(&seen), present(&expected), "{way:?}, seed {seed}");
        }
    }
}

fn gateway(world: &World) -> String {
    format!("http://{}", world.gateway.http_addr())
}
