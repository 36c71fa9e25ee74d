//! More than the services can take: what is acknowledged is there, what is refused is not, and refusals say why.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashSet;

use e2e::{
    Browser, Grpc, Metrics, Refused, Service, World, assert_full, held, platform_post, question,
    question_json, within_deadline, work,
};
use futures_util::future::join_all;
use repartee_proto::v1::{
    NewMessage, PostMessageRequest, PostMessagesRequest, list_messages_request::Position,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

/// Clients that post at the same time over each face.
const CLIENTS: usize = 48;
/// Posts of each of them.
const POSTS: usize = 30;

/// What came of a crowd's posts: the ids of those that were acknowledged, and how many were refused.
#[derive(Default)]
struct Crowd {
    stored: Vec<String>,
    refused: usize,
}

impl Crowd {
    /// Posts without a pause, over gRPC.
    async fn over_grpc(client: Grpc, message: NewMessage) -> Self {
        let mut crowd = Self::default();
        for _ in 0..POSTS {
            match client.post(message.clone()).await {
                Ok(stored) => crowd.stored.push(stored.id),
                Err(status) => {
                    assert_full(&status);
                    crowd.refused += 1;
                }
            }
        }
        crowd
    }

    /// The same over JSON.
    async fn over_json(browser: Browser, text: String) -> Self {
        let mut crowd = Self::default();
        let comment = json!({"domain": e2e::DOMAIN, "username": "Human", "text": text});
        for _ in 0..POSTS {
            let answer = browser.post("/api/comments", &comment).await;
            if answer.status == 201 {
                crowd.stored.push(answer.ok(201)["id"].as_str().unwrap().to_owned());
            } else {
                assert_eq!(answer.problem(429)["reason"], "QUEUE_FULL");
                assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
                crowd.refused += 1;
            }
        }
        crowd
    }

    fn and(mut self, other: Self) -> Self {
        self.stored.extend(other.stored);
        self.refused += other.refused;
        self
    }
}

/// Reads the whole feed.
async fn stored(client: &Grpc) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), 1);
    loop {
        let page = client.list(Some(Position::After(after)), 1_000).await.unwrap();
        let Some(last) = page.messages.last() else { return ids };
        after = last.timestamp;
        ids.extend(page.messages.into_iter().map(|message| message.id));
    }
}

/// Polls over both faces until it is told to stop; each poll has to be answered.
async fn poll_on(browser: Browser, client: Grpc, over: CancellationToken) {
    let polling = async {
        loop {
            browser.get(&format!("/api/comments?domain={}&limit=10", e2e::DOMAIN)).await.ok(200);
            client.list(None, 10).await.unwrap();
            client.stats().await.expect("an operator sees a full queue");
        }
    };
    tokio::select! { () = polling => {}, () = over.cancelled() => {} }
}

/// Lets a crowd post into a service with so little room, while others poll, and checks what is there afterwards.
async fn overload(room: &[&str], text_bytes: usize, bound: &str) {
    let mut world = World::with(room, &[]).await;
    let text = "x".repeat(text_bytes);
    let over = CancellationToken::new();
    let polling = tokio::spawn(poll_on(world.browser(), world.grpc().await, over.clone()));
    let message = platform_post("Human", &text);
    let clients = join_all((0..4).map(|_| world.grpc())).await;
    let over_grpc = (0..CLIENTS)
        .map(|number| tokio::spawn(Crowd::over_grpc(clients[number % 4].clone(), message.clone())));
    let over_grpc = join_all(over_grpc.collect::<Vec<_>>());
    let over_json = (0..CLIENTS).map(|_| tokio::spawn(Crowd::over_json(world.browser(), text.clone())));
    let over_json = join_all(over_json.collect::<Vec<_>>());
    let (over_grpc, over_json) = tokio::join!(over_grpc, over_json);
    over.cancel();
    polling.await.expect("every poll was answered");
    let crowd = over_grpc.into_iter().chain(over_json).map(Result::unwrap).fold(Crowd::default(), Crowd::and);

    assert_eq!(crowd.stored.len() + crowd.refused, 2 * CLIENTS * POSTS);
    assert!(crowd.refused > 0, "there was no overload");
    let acknowledged: HashSet<&String> = crowd.stored.iter().collect();
    assert_eq!(acknowledged.len(), crowd.stored.len(), "each post has an id of its own");
    let metrics = Metrics::of(&Browser::new(&world.queue.grpc_url())).await;
    assert_eq!(metrics.refused(bound), crowd.refused as f64);
    assert_eq!(metrics.bound(bound).0, 0.0, "nothing waits any more");

    world.queue.kill().await;
    world.queue.start_again().await;
    let stored = stored(&world.grpc().await).await;
    assert_eq!(stored.len(), acknowledged.len(), "what was refused is not there");
    assert!(stored.iter().all(|id| acknowledged.contains(id)), "what was acknowledged is");
}

#[tokio::test]
async fn too_many_commands_are_refused_and_none_that_was_acknowledged_is_lost() {
    overload(&["--max-commands", "4"], 100, "commands").await;
}

#[tokio::test]
async fn commands_with_too_many_bytes_are_refused_and_none_that_was_acknowledged_is_lost() {
    overload(&["--max-command-bytes", "65536"], 16_384, "command_bytes").await;
}

/// Posts so many long messages in one commit.
async fn post_batch(client: &Grpc, count: usize) -> Result<usize, Status> {
    let message = Some(platform_post("Human", &"x".repeat(16_384)));
    let items = vec![PostMessageRequest { message, idempotency_key: None }; count];
    Ok(client.raw().post_messages(PostMessagesRequest { items }).await?.into_inner().outcomes.len())
}

#[tokio::test]
async fn a_batch_larger_than_all_the_room_is_taken_where_nothing_else_waits() {
    let queue = Service::queue_service(&["--max-command-bytes", "65536"]).await;
    let client = queue.grpc().await;
    assert_eq!(post_batch(&client, 32).await.unwrap(), 32);
    assert_eq!(client.stats().await.unwrap().tail_seq, 32);
}

#[tokio::test]
async fn a_megabyte_that_is_refused_before_it_is_read_is_told_why_and_its_connection_lives_on() {
    let queue = Service::queue_service(&["--max-commands", "1"]).await;
    let (client, over) = (queue.grpc().await, CancellationToken::new());
    let crowd = (0..8).map(|_| {
        let (client, over) = (client.clone(), over.clone());
        tokio::spawn(async move {
            let posting = async {
                loop {
                    let _ = client.post(platform_post("Human", "Hello.")).await;
                }
            };
            tokio::select! { () = posting => {}, () = over.cancelled() => {} }
        })
    });
    let crowd: Vec<_> = crowd.collect();
    let (mut stored, mut refused) = (0, 0);
    let both = async {
        while stored == 0 || refused == 0 {
            match post_batch(&client, 64).await {
                Ok(_) => stored += 1,
                Err(status) => {
                    assert_full(&status);
                    refused += 1;
                }
            }
        }
    };
    within_deadline("a batch that is stored and one that is refused", both).await;
    over.cancel();
    join_all(crowd).await;
}

#[tokio::test]
async fn too_many_calls_are_refused_and_streams_and_probes_are_no_calls() {
    let queue = Service::queue_service(&["--max-calls", "1"]).await;
    let (client, operator) = (queue.grpc().await, Browser::new(&queue.grpc_url()));
    let _watch = client.watch(e2e::watch_live()).await.unwrap();
    let waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.claim_next("worker 1", &["echo"], 25).await });
    let held = async { while Metrics::of(&operator).await.bound("calls") != (1.0, 1.0) {} };
    within_deadline("the call that waits", held).await;

    let refused = Refused::from(&client.stats().await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "TOO_MANY_CALLS"));
    assert!(refused.retry_after.is_some_and(|delay| !delay.is_zero()));
    assert_eq!(Metrics::of(&operator).await.refused("calls"), 1.0);
    let channel = tonic::transport::Endpoint::from_shared(queue.grpc_url()).unwrap().connect().await.unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    health.check(tonic_health::pb::HealthCheckRequest::default()).await.unwrap();
    waiting.abort();
    let free = async { while client.stats().await.is_err() {} };
    within_deadline("the place of the call that was given up", free).await;
}

#[tokio::test]
async fn the_cache_holds_so_many_messages_and_so_many_bytes() {
    let few = Service::queue_service(&["--cache-messages", "10"]).await;
    let small = Service::queue_service(&["--cache-bytes", "1048576"]).await;
    for (queue, bound, limit) in [(&few, "cache_messages", 10.0), (&small, "cache_bytes", 1_048_576.0)] {
        let (client, operator) = (queue.grpc().await, Browser::new(&queue.grpc_url()));
        for _ in 0..100 {
            client.post(platform_post("Human", &"x".repeat(16_384))).await.unwrap();
            let (held, most) = Metrics::of(&operator).await.bound(bound);
            assert!(held <= most && most == limit, "{held} of {most}");
        }
        let (held, most) = Metrics::of(&operator).await.bound(bound);
        assert!(held > 0.9 * most, "it is full");
        assert_eq!(stored(&client).await.len(), 100, "what has left it is read from the storage");
    }
}

#[tokio::test]
async fn an_operators_retry_needs_room() {
    let world = World::with(&["--max-pending", "1"], &[]).await;
    let (client, browser) = (world.grpc().await, world.browser());
    let id = client.post(question("echo", "Well?")).await.unwrap().id;
    client.give_up(held(&client.claim(&id, "worker 1").await.unwrap()), "no such model").await.unwrap();
    let waits = client.post(question("echo", "And now?")).await.unwrap().id;
    assert_full(&client.retry(&id).await.unwrap_err());
    let answer = browser.post("/api/queue/retry", &json!({"messageId": id})).await;
    assert_eq!(answer.problem(429)["reason"], "QUEUE_FULL");
    assert_eq!(Metrics::of(&Browser::new(&world.queue.grpc_url())).await.refused("pending"), 2.0);
    client.cancel(&waits).await.unwrap();
    client.retry(&id).await.unwrap();
}

#[tokio::test]
async fn every_bound_is_shown_with_what_is_held_of_it() {
    let world = World::with(&["--max-pending", "7", "--max-pending-per-entity", "5"], &[]).await;
    let (client, browser) = (world.grpc().await, world.browser());
    let _watch = client.watch(e2e::watch_live()).await.unwrap();
    let _worker = client.stream(work("worker 1", &["nobody"], 1)).await.unwrap();
    for entity in ["one", "one", "two"] {
        browser.comment(&question_json(entity, "Well?")).await;
    }
    let expected = [
        ("commands", 0.0..=1.0, 4_096.0),
        ("command_bytes", 0.0..=600.0, 33_554_432.0),
        ("pending", 3.0..=3.0, 7.0),
        ("pending_of_entity", 2.0..=2.0, 5.0),
        ("pending_bytes", 3.0 * 3_000.0..=3.0 * 4_000.0, 268_435_456.0),
        ("worker_streams", 1.0..=1.0, 10_000.0),
        ("watches", 1.0..=1.0, 10_000.0),
        // The watch, and those that are opened for what it posts.
        ("gateway_streams", 1.0..=3.0, 64.0),
        ("post_streams", 0.0..=0.0, 10_000.0),
        ("gateway_connections", 0.0..=0.0, 256.0),
        ("calls", 0.0..=2.0, 16_384.0),
        ("cache_messages", 3.0..=3.0, 50_000.0),
        ("cache_bytes", 1.0..=1e6, 104_857_600.0),
    ];
    let metrics = Metrics::of(&Browser::new(&world.queue.grpc_url())).await;
    let stats = client.stats().await.unwrap().bounds;
    let shown = browser.get("/api/stats").await.ok(200);
    for (name, held, limit) in expected {
        let told = stats.iter().find(|bound| bound.bound == name).expect(name);
        let json =
            shown["bounds"].as_array().unwrap().iter().find(|bound| bound["bound"] == name).expect(name);
        let json = (json["held"].as_f64().unwrap(), json["limit"].as_f64().unwrap());
        for (of, most) in [metrics.bound(name), (told.held as f64, told.limit as f64), json] {
            assert!(held.contains(&of) && most == limit, "{name}: {of} of {most}");
        }
    }
    for name in ["commands", "command_bytes", "pending", "pending_of_entity", "worker_streams", "watches"] {
        assert_eq!(metrics.refused(name), 0.0, "{name}");
    }
    for name in ["calls", "grpc_connections", "stream_events"] {
        assert_eq!(metrics.refused(name), 0.0, "{name}");
    }
    let gateway = Metrics::of(&browser).await;
    for name in ["http_connections", "requests", "upstream_calls"] {
        assert_eq!(gateway.refused(name), 0.0, "{name}");
    }
    assert_eq!(gateway.bound("http_connections").0, 1.0);
    assert_eq!((gateway.bound("requests").0, gateway.bound("upstream_calls").0), (0.0, 0.0));
}
