//! Requests whose clients go away, many at once, end nobody else's: no connection that is shared is ended by them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use e2e::{Browser, DOMAIN, Frames, Grpc, WORKER, World, platform_post, question, within_deadline};
use futures_util::{FutureExt as _, future::join_all};
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// Requests that are cut off at once.
const BURST: u32 = 150;
const BURSTS: u32 = 12;

fn post(text: &str) -> Value {
    json!({"domain": DOMAIN, "username": "Human", "text": text})
}

/// Sends whole requests over HTTP/1, all in one moment, and closes their connections.
async fn cut_off(gateway: SocketAddr, path: &str, bodies: Vec<Value>) {
    let connections =
        join_all(bodies.iter().map(|_| async { TcpStream::connect(gateway).await.unwrap() })).await;
    for (connection, body) in connections.into_iter().zip(bodies) {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {WORKER}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        connection.writable().await.unwrap();
        connection.try_write(format!("{head}{body}").as_bytes()).unwrap();
    }
}

/// Asks for a message over HTTP/2, so many times, and resets each stream at once. A server may end such a connection.
async fn reset_streams(gateway: SocketAddr, id: &str) {
    let mut frames = Frames::connect(gateway, 65_535).await.unwrap();
    for stream in (0..BURST).map(|number| 2 * number + 1) {
        let path = format!("/api/comments/{id}");
        if frames.get(stream, &path).await.is_err() || frames.reset(stream).await.is_err() {
            return;
        }
    }
}

/// Posts and reads until it is told to stop; hands out the texts that were acknowledged.
async fn goes_on(name: &str, browser: Browser, id: &str, stop: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let text = format!("{name} {}", acknowledged.len());
        browser.comment(&post(&text)).await;
        acknowledged.push(text);
        browser.get(&format!("/api/comments/{id}")).await.ok(200);
        browser.get(&format!("/api/comments?domain={DOMAIN}")).await.ok(200);
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bursts_of_requests_that_are_cut_off_end_nobody_elses_and_store_nothing_twice() {
    let world = World::start().await;
    let (browser, gateway) = (world.browser(), world.gateway.http_addr());
    let posted = browser.comment(&post("The first.")).await;
    let id = posted["id"].as_str().unwrap();
    let stop = AtomicBool::new(false);
    let bursts = async {
        for burst in 0..BURSTS {
            let cut = (0..BURST).map(|number| post(&format!("cut {burst} {number}"))).collect();
            tokio::join!(cut_off(gateway, "/api/comments", cut), reset_streams(gateway, id));
        }
        stop.store(true, Ordering::Relaxed);
    };
    let others = ["a", "b", "c"].map(|name| goes_on(name, world.browser(), id, &stop));
    let (acknowledged, ()) = tokio::join!(join_all(others), bursts);
    let stored = world.grpc().await.all().await.unwrap();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    stored.iter().for_each(|message| *counts.entry(&message.text).or_default() += 1);
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    for text in acknowledged.iter().flatten() {
        assert!(counts.contains_key(text.as_str()), "{text} was acknowledged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_that_are_cut_off_end_no_other_wait() {
    let world = World::start().await;
    let gateway = world.gateway.http_addr();
    let wait = |entity: &str| json!({"workerId": "worker 1", "entities": [entity], "wait": 20});
    let browser = world.browser();
    let body = wait("asked");
    let waiting = browser.post("/api/queue/claim-next", &body);
    let cutting = async {
        for _ in 0..BURSTS {
            let waits = (0..BURST).map(|_| wait("nobody")).collect();
            cut_off(gateway, "/api/queue/claim-next", waits).await;
        }
        world.grpc().await.post(question("asked", "Well?")).await.unwrap();
    };
    let both = Box::pin(async { tokio::join!(waiting, cutting) });
    let (claimed, ()) = within_deadline("the work", both).await;
    assert_eq!(claimed.ok(200)["message"]["text"], "Well?");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_cancels_thousands_of_calls_ends_nobody_elses() {
    let world = World::start().await;
    let worker = world.queue.grpc_with(Some(WORKER)).await;
    let other = world.queue.grpc_with(Some(WORKER)).await;
    let posted = world.browser().comment(&post("The first.")).await;
    let id = posted["id"].as_str().unwrap();
    let stop = AtomicBool::new(false);
    let cancelling = async {
        for _ in 0..20 {
            join_all((0..BURST).map(|_| cancelled(&worker))).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    let waiting = async {
        while !stop.load(Ordering::Relaxed) {
            assert!(other.claim_next("worker 2", &["nobody"], 0).await.unwrap().is_none());
        }
    };
    tokio::join!(cancelling, waiting, goes_on("a", world.browser(), id, &stop));
    // Not even its own connection is ended.
    worker.post(platform_post("worker", "Still here.")).await.unwrap();
}

/// Asks for work and gives up, now or a little later.
async fn cancelled(worker: &Grpc) {
    let mut call = Box::pin(worker.claim_next("worker 1", &["nobody"], 20));
    for _ in 0..3 {
        let _ = (&mut call).now_or_never();
        tokio::task::yield_now().await;
    }
}
