//! What operators may say about an entity: how much of it is handed out, and that nothing is for now.

use std::{fs, path::Path};

use e2e::{
    Answer, Grpc, Metrics, Process, Service, World, held, offers, precondition, question, refused, reply,
    work,
};
use repartee_proto::v1::{PauseEntityRequest, ResumeEntityRequest};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;

/// A file with these limits.
fn limits(folder: &Path, text: &str) -> String {
    // Whole at once: it is read while it is written.
    let (draft, path) = (folder.join("draft"), folder.join("limits.toml"));
    fs::write(&draft, text).and_then(|()| fs::rename(draft, &path)).expect("the folder can be written to");
    path.to_str().expect("the path is UTF-8").to_owned()
}

async fn pause(client: &Grpc, entity: &str) {
    let request = PauseEntityRequest { entity: entity.to_owned(), reason: String::new() };
    client.raw().pause_entity(request).await.expect("an operator may");
}

async fn resume(client: &Grpc, entity: &str) -> bool {
    let request = ResumeEntityRequest { entity: entity.to_owned(), reason: String::new() };
    client.raw().resume_entity(request).await.expect("an operator may").into_inner().was_paused
}

async fn ask(client: &Grpc, entity: &str) -> String {
    client.post(question(entity, "Hello?")).await.expect("a post is accepted").id
}

/// What `/api/stats` tells of an entity.
async fn stats_of(world: &World, entity: &str) -> Value {
    let stats = Answer::to(world.browser().request(Method::GET, "/api/stats")).await.ok(200);
    let entities = stats["entities"].as_array().expect("a list").clone();
    entities.into_iter().find(|one| one["entity"] == entity).unwrap_or(Value::Null)
}

#[tokio::test]
async fn no_more_of_an_entity_is_in_flight_than_its_limit_says_in_every_way() {
    let folder = tempfile::tempdir().unwrap();
    let file = limits(folder.path(), "[entities.echo]\nin_flight = 2\n");
    let queue = Service::queue_service(&["--entity-limits", &file]).await;
    let client = queue.grpc().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(ask(&client, "echo").await);
    }
    ask(&client, "other").await;
    let first = client.claim(&ids[0], "worker 1").await.unwrap();
    let second = client.claim_next("worker 1", &["echo"], 0).await.unwrap().expect("one more may begin");
    assert_eq!(client.claim_next("worker 1", &["echo"], 0).await.unwrap(), None);
    let refusal = client.claim(&ids[3], "worker 1").await.unwrap_err();
    assert!(refusal.message().contains("at its limit of 2 messages in flight"), "{refusal:?}");
    assert_eq!(refused::<()>(Err(refusal)), (Code::ResourceExhausted, "ENTITY_LIMIT".to_owned()));
    let other = client.claim_next("worker 1", &[], 0).await.unwrap().expect("others are not held back");
    assert_eq!(other.message.unwrap().bot_params.unwrap().entity, "other");

    let mut stream = client.stream(work("worker 2", &["echo"], 10)).await.unwrap();
    client.complete(held(&first), reply("Hello.")).await.unwrap();
    let third = stream.work().await;
    assert!(third.message.is_some_and(|message| message.id == ids[2]));
    client.complete(held(&second), reply("Hello.")).await.unwrap();
    stream.work().await;
}

#[tokio::test]
async fn no_more_of_an_entity_is_handed_out_a_minute_than_its_limit_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = limits(folder.path(), "[default]\nper_minute = 60\nburst = 2\n");
    let queue = Service::queue_service(&["--entity-limits", &file]).await;
    let client = queue.grpc().await;
    for _ in 0..5 {
        ask(&client, "echo").await;
    }
    let mut claims = Vec::new();
    for _ in 0..5 {
        let work = client.claim_next("worker 1", &["echo"], 20).await.unwrap().expect("its turn comes");
        claims.push(work.message.unwrap().bot_params.unwrap().claimed_at.unwrap());
    }
    // Two at once, then one a second. The times are the wall clock's, to which the service's own is set again and again.
    const ROUNDING: i64 = 10;
    for later in 2..5 {
        let took = claims[later] - claims[0];
        assert!(took >= (later as i64 - 1) * 1_000 - ROUNDING, "{took} ms until claim {later}: {claims:?}");
    }
}

#[tokio::test]
async fn a_simple_worker_is_told_when_to_come_back_to_an_entity_at_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let file = limits(folder.path(), "[entities.echo]\nper_minute = 1\nburst = 1\n");
    let world = World::with(&["--entity-limits", &file], &[]).await;
    let client = world.grpc().await;
    let (first, second) = (ask(&client, "echo").await, ask(&client, "echo").await);
    client.claim(&first, "worker 1").await.unwrap();
    let body = json!({"messageId": second, "workerId": "worker 1"});
    let answer = Answer::to(world.browser().request(Method::POST, "/api/queue/claim").json(&body)).await;
    let problem = answer.problem(429);
    assert_eq!(problem["reason"], "ENTITY_LIMIT");
    let wait: u32 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let metrics = Metrics::of(&e2e::Browser::new(&world.queue.grpc_url())).await;
    assert_eq!(metrics.refused("entity_limits"), 1.0);
    assert_eq!(metrics.value("repartee_throttled_entities"), 1.0);
}

#[tokio::test]
async fn the_file_of_limits_is_followed_and_wrong_content_is_logged_by_line_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = limits(folder.path(), "[entities.echo]\nin_flight = 1\n");
    let mut queue = Service::queue_service(&["--entity-limits", &file]).await;
    let client = queue.grpc().await;
    let (first, second) = (ask(&client, "echo").await, ask(&client, "echo").await);
    client.claim(&first, "worker 1").await.unwrap();

    limits(folder.path(), "[entities.echo]\n\nin_flight = 0\n");
    queue.process().logs("line 3").await;
    assert!(client.claim(&second, "worker 1").await.is_err(), "the old limits stay");

    limits(folder.path(), "[entities.echo]\nin_flight = 2\n");
    let work = client.claim_next("worker 1", &["echo"], 20).await.unwrap().expect("the new limit applies");
    assert_eq!(work.message.unwrap().id, second);
}

#[tokio::test]
async fn a_service_does_not_start_with_limits_that_make_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = limits(folder.path(), "[default]\nper_minutes = 3\n");
    let nowhere = folder.path().join("nowhere.toml");
    for (file, named) in [(wrong.as_str(), "line 2"), (nowhere.to_str().unwrap(), "nowhere.toml")] {
        let data = folder.path().join("data");
        let settings = ["--data-dir", data.to_str().unwrap(), "--entity-limits", file];
        let mut process = Process::spawn("queue-service", &settings);
        assert_eq!(process.exit_code().await, Some(64), "{}", process.log());
        assert!(process.log().contains(named), "{}", process.log());
    }
}

#[tokio::test]
async fn a_paused_entity_takes_posts_and_hands_out_nothing_until_it_goes_on() {
    let world = World::start().await;
    let client = world.grpc().await;
    let mut leases = client.stream(work("worker 1", &["echo"], 10)).await.unwrap();
    let mut offered = client.stream(offers("worker 2", &["echo"])).await.unwrap();
    let body = json!({"entity": "echo"});
    let paused = world.browser().request(Method::POST, "/api/queue/pause").json(&body);
    let paused = Answer::to(paused).await.ok(200);
    assert!(paused["pausedSince"].as_i64().is_some_and(|since| since > 0), "{paused}");
    assert_eq!(stats_of(&world, "echo").await["paused"], true, "it is shown without work too");

    let id = ask(&client, "echo").await;
    assert_eq!(refused(client.claim(&id, "worker 3").await), precondition("ENTITY_PAUSED"));
    assert_eq!(client.claim_next("worker 3", &[], 0).await.unwrap(), None);
    let shown = stats_of(&world, "echo").await;
    assert_eq!((&shown["pending"], &shown["paused"]), (&json!(1), &json!(true)));
    let metrics = Metrics::of(&e2e::Browser::new(&world.queue.grpc_url())).await;
    assert_eq!(metrics.value("repartee_paused_entities"), 1.0);

    let resumed = world.browser().request(Method::POST, "/api/queue/resume").json(&body);
    assert_eq!(Answer::to(resumed).await.ok(200)["wasPaused"], true);
    assert_eq!(leases.work().await.message.unwrap().id, id);
    let again = ask(&client, "echo").await;
    leases.work().await;
    // Both were pending for a moment at the most; what is offered is claimed already or not.
    let offer = offered.work().await.message.unwrap().id;
    assert!(offer == id || offer == again, "{offer}");
    assert_eq!(stats_of(&world, "echo").await["paused"], false);
}

#[tokio::test]
async fn what_was_held_back_by_a_pause_is_offered_once_it_ends() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    pause(&client, "echo").await;
    let id = ask(&client, "echo").await;
    let other = ask(&client, "other").await;
    let mut offered = client.stream(offers("worker 1", &[])).await.unwrap();
    assert_eq!(offered.work().await.message.unwrap().id, other);
    assert!(resume(&client, "echo").await);
    assert_eq!(offered.work().await.message.unwrap().id, id);
    assert!(client.claim(&id, "worker 1").await.is_ok());
}

#[tokio::test]
async fn what_was_offered_and_given_back_during_a_pause_is_offered_again_once_it_ends() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut offered = client.stream(offers("worker 1", &["echo"])).await.unwrap();
    let id = ask(&client, "echo").await;
    assert_eq!(offered.work().await.message.unwrap().id, id);
    let claimed = client.claim(&id, "worker 1").await.unwrap();
    pause(&client, "echo").await;
    client.release(held(&claimed)).await.unwrap();
    assert!(resume(&client, "echo").await);
    assert_eq!(offered.work().await.message.unwrap().id, id);
    // What was only offered before the pause is so still.
    pause(&client, "echo").await;
    assert!(resume(&client, "echo").await);
    let next = ask(&client, "echo").await;
    assert_eq!(offered.work().await.message.unwrap().id, next);
}

#[tokio::test]
async fn a_pause_lasts_over_a_kill_and_a_restart() {
    let mut queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    pause(&client, "echo").await;
    let id = ask(&client, "echo").await;
    queue.kill().await;
    queue.start_again().await;
    let client = queue.grpc().await;
    assert_eq!(refused(client.claim(&id, "worker 1").await), precondition("ENTITY_PAUSED"));
    let stats = client.stats().await.unwrap();
    assert!(stats.entities.iter().any(|entity| entity.entity == "echo" && entity.paused), "{stats:?}");
    assert!(resume(&client, "echo").await);
    assert!(!resume(&client, "echo").await, "it goes on already");
    queue.kill().await;
    queue.start_again().await;
    assert!(queue.grpc().await.claim(&id, "worker 1").await.is_ok());
}

#[tokio::test]
async fn an_entity_is_named_within_its_limits() {
    let world = World::start().await;
    for (path, entity) in [("/api/queue/pause", "x".repeat(65)), ("/api/queue/resume", String::new())] {
        let request = world.browser().request(Method::POST, path).json(&json!({"entity": entity}));
        let problem = Answer::to(request).await.problem(400);
        assert_eq!(problem["errors"][0]["pointer"], "/entity");
    }
}
