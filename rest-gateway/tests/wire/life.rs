//! Starting, coming back, stopping.

use std::time::Duration;

use repartee_process::Ready;
use repartee_proto::v1;
use rest_gateway::run;
use serde_json::json;
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_util::sync::CancellationToken;

use crate::{
    fake::Fake,
    world::{World, serve_queue, settings},
};

#[tokio::test]
async fn the_ready_file_names_the_address_that_serves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ready.json");
    let flags = ["--ready-file", path.to_str().unwrap()];
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(settings("127.0.0.1:9".parse().unwrap(), &flags), stop.clone()));
    let ready = async {
        while !path.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ready).await.unwrap();
    let ready: Ready = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let answer = reqwest::get(format!("http://{}/livez", ready.http.unwrap())).await.unwrap();
    assert_eq!(answer.status(), 200);
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    let mut settings = settings(addr, &[]);
    settings.http_addr = addr;
    let error = run(settings, CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
}

#[tokio::test]
async fn the_gateway_finds_the_queue_service_again() {
    let fake = Fake::default();
    fake.answer(v1::ListMessagesResponse::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let world = World::in_front_of(addr, fake.clone(), CancellationToken::new().drop_guard(), &[]).await;
    world.get("/api/comments").await.problem(503);
    world.get("/readyz").await.problem(503);

    let _queue = serve_queue(fake, TcpListener::bind(addr).await.unwrap());
    let found = async {
        while world.get("/api/comments").await.status != 200 {}
        while world.get("/readyz").await.status != 200 {}
    };
    tokio::time::timeout(Duration::from_secs(10), found).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_died_between_calls_is_503_and_not_a_doubt() {
    let fake = Fake::default();
    fake.answer(v1::ListMessagesResponse::default());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    // A runtime of its own dies with all of its connections, as a process does.
    let process = Runtime::new().unwrap();
    let queue = fake.clone();
    let guard = process
        .spawn(async move { serve_queue(queue, TcpListener::from_std(listener).unwrap()) })
        .await
        .unwrap();
    let world = World::in_front_of(addr, fake, guard, &[]).await;
    assert_eq!(world.get("/api/comments").await.status, 200);
    tokio::task::spawn_blocking(|| process.shutdown_timeout(Duration::from_secs(5))).await.unwrap();
    world.get("/api/comments").await.problem(503);
}

#[tokio::test]
async fn a_gateway_in_front_of_a_serving_queue_service_is_ready() {
    let world = World::start().await;
    assert_eq!(world.get("/readyz").await.status, 200);
    assert_eq!(world.get("/livez").await.text(), "ok\n");
}

#[tokio::test]
async fn calls_are_spread_over_the_connections() {
    let world = World::start_with(&["--queue-connections", "3"]).await;
    for _ in 0..6 {
        world.get("/api/stats").await;
    }
    assert_eq!((world.queue.calls(), world.queue.connections()), (6, 3));
}

#[tokio::test]
async fn calls_that_wait_are_on_a_connection_of_their_own() {
    let world = World::start_with(&["--queue-connections", "1"]).await;
    world.get("/api/stats").await;
    assert_eq!(world.queue.connections(), 1);
    world.post("/api/queue/claim-next", json!({"workerId": "w"})).await;
    assert_eq!((world.queue.calls(), world.queue.connections()), (2, 2));
}
