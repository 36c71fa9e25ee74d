//! Workers that claim and bring no result, beside a sound one: what they lose is answered, and not destroyed.

use std::{collections::BTreeSet, time::Duration};

use e2e::{
    ECHO_WORKER, Grpc, Process, Refused, Service, WORKER, Watch, World, held, id_of, question, refused,
    reply, seconds, watch_live, within_deadline, work,
};
use repartee_proto::v1::{
    ChangeKind, ClaimNextRequest, StreamPendingRequest, stream_pending_response::Event as Sent,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::Code;

async fn ask(client: &Grpc, questions: usize) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for _ in 0..questions {
        ids.insert(client.post(question("echo", "Well?")).await.expect("a question is stored").id);
    }
    ids
}

/// A sound worker: one message at a time, each answered at once.
async fn sound(client: Grpc) -> JoinHandle<()> {
    let mut stream = client.stream(work("sound", &["echo"], 1)).await.expect("a worker may stream");
    tokio::spawn(async move {
        while let Ok(Some(event)) = stream.event().await {
            if let Sent::Work(work) = event {
                client.complete(held(&work), reply("Well.")).await.expect("a result is taken");
            }
        }
    })
}

/// Waits until all of these messages are complete, and none of them is given up.
async fn all_answered(watch: &mut Watch, mut ids: BTreeSet<String>) {
    while !ids.is_empty() {
        let change = watch.change().await;
        let id = change.message.as_ref().expect("a change has its message").id.clone();
        assert!(change.kind() != ChangeKind::Failed || !ids.contains(&id), "{id} was given up");
        if change.kind() == ChangeKind::Completed {
            ids.remove(&id);
        }
    }
}

async fn held_back(browser: &e2e::Browser) -> Vec<Value> {
    browser.get("/api/stats").await.ok(200)["heldBack"].as_array().expect("it is a list").clone()
}

#[tokio::test]
async fn a_loop_of_claims_destroys_nothing_beside_a_sound_worker() {
    let world = World::start().await;
    let client = world.grpc().await;
    let mut watch = client.watch(watch_live()).await.unwrap();
    let ids = ask(&client, 60).await;
    let claiming = world.grpc().await;
    let claims = async move || {
        let request = ClaimNextRequest {
            worker_id: "loop".to_owned(),
            wait: seconds(1),
            lease: seconds(5),
            ..ClaimNextRequest::default()
        };
        claiming.raw().claim_next(request).await.map(|answer| answer.into_inner().work)
    };
    for _ in 0..60 {
        claims().await.unwrap().expect("one waits");
    }
    let forever = tokio::spawn(async move {
        loop {
            // It is refused once it has lost so much; a loop does not care.
            let _ = claims().await;
        }
    });
    let sound = sound(world.grpc().await).await;
    all_answered(&mut watch, ids).await;
    assert_eq!(client.failed().await.unwrap().failed, []);
    assert_eq!(held_back(&world.browser()).await[0]["workerId"], "loop");
    forever.abort();
    sound.abort();
}

#[tokio::test]
async fn a_stream_that_hangs_destroys_nothing_beside_a_sound_worker() {
    let world = World::start().await;
    let client = world.grpc().await;
    let mut watch = client.watch(watch_live()).await.unwrap();
    let hung = StreamPendingRequest { lease: seconds(5), ..work("hung", &["echo"], 8) };
    let _hung = client.stream(hung).await.unwrap();
    let ids = ask(&client, 60).await;
    let sound = sound(world.grpc().await).await;
    all_answered(&mut watch, ids).await;
    assert_eq!(client.failed().await.unwrap().failed, []);
    let named = held_back(&world.browser()).await;
    assert_eq!((&named[0]["workerId"], &named[0]["lostLeases"]), (&json!("hung"), &json!(8)), "{named:?}");
    sound.abort();
}

#[tokio::test]
async fn leases_that_one_token_loses_hold_nothing_back_from_the_same_name_under_another() {
    let world = World::start().await;
    let client = world.grpc().await;
    let thief = world.queue.grpc_with(Some(ECHO_WORKER)).await;
    let lost = StreamPendingRequest { lease: seconds(5), ..work("bots", &["echo"], 8) };
    let _lost = thief.stream(lost).await.unwrap();
    ask(&client, 8).await;
    let browser = world.browser();
    let named = async { while held_back(&browser).await.is_empty() {} };
    within_deadline("the worker that loses leases to be named", named).await;
    assert_eq!(held_back(&browser).await[0]["workerId"], "bots");

    let sound = world.queue.grpc_with(Some(WORKER)).await;
    for _ in 0..2 {
        sound.claim_next("bots", &["echo"], 5).await.unwrap().expect("it may hold more than one");
    }
}

/// A worker that is killed whenever it works on something, by an endpoint that never answers.
struct Mortal {
    settings: Vec<String>,
    _endpoint: TcpListener,
}

impl Mortal {
    async fn new(queue: &Service) -> Self {
        let endpoint = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}/v1", endpoint.local_addr().expect("it is bound"));
        let settings =
            ["--queue-url", &queue.grpc_url(), "--entity", "echo", "--openai-base-url", &url, "--model", "m"];
        Self { settings: settings.iter().map(|setting| (*setting).to_owned()).collect(), _endpoint: endpoint }
    }

    /// Starts it, and kills it as soon as it holds a message.
    async fn live_and_die(&self, watch: &mut Watch) {
        let mut process = Process::spawn_with("bot-worker", &self.settings, &[]);
        while watch.change().await.kind() != ChangeKind::Claimed {}
        process.kill().await;
    }
}

#[tokio::test]
async fn a_worker_that_is_killed_again_and_again_destroys_nothing_and_is_named() {
    let world = World::start().await;
    let client = world.grpc().await;
    let mut watch = client.watch(watch_live()).await.unwrap();
    let mut answers = client.watch(watch_live()).await.unwrap();
    let ids = ask(&client, 20).await;
    let mortal = Mortal::new(&world.queue).await;
    for _ in 0..2 {
        mortal.live_and_die(&mut watch).await;
        while watch.change().await.kind() != ChangeKind::Expired {}
    }
    let browser = world.browser();
    let named = within_deadline("the worker to be named", async {
        loop {
            let named = held_back(&browser).await;
            if named.iter().any(|worker| worker["pausedUntil"].is_i64()) {
                break named;
            }
        }
    })
    .await;
    assert_eq!(named[0]["workerId"], "bot-worker", "{named:?}");
    // Its next life is given nothing; the sound worker beside it is.
    let mut third = Process::spawn_with("bot-worker", &mortal.settings, &[]);
    let sound = sound(world.grpc().await).await;
    all_answered(&mut answers, ids).await;
    assert_eq!(client.failed().await.unwrap().failed, []);
    third.kill().await;
    sound.abort();
}

#[tokio::test]
async fn claims_of_one_worker_are_bounded_over_grpc_and_json() {
    let world = World::with(&["--max-worker-claims", "2"], &[]).await;
    let (client, browser) = (world.grpc().await, world.browser());
    let ids = Vec::from_iter(ask(&client, 5).await);
    let first = client.claim_next("greedy", &[], 0).await.unwrap().expect("one waits");
    client.claim_next("greedy", &[], 0).await.unwrap().expect("one waits");
    let full = client.claim_next("greedy", &[], 0).await;
    assert_eq!(refused(full), (Code::ResourceExhausted, "TOO_MANY_CLAIMS".to_owned()));
    let free = async || {
        for id in &ids {
            if client.status(id).await.unwrap() == repartee_proto::v1::Status::Pending {
                return id.clone();
            }
        }
        panic!("three of five wait")
    };
    let by_id = client.claim(&free().await, "greedy").await.expect_err("it holds two");
    let refusal = Refused::from(&by_id);
    assert_eq!(
        (refusal.reason.as_str(), refusal.retry_after),
        ("TOO_MANY_CLAIMS", Some(Duration::from_secs(1)))
    );
    for (path, body) in [
        ("/api/queue/claim", json!({"messageId": free().await, "workerId": "greedy"})),
        ("/api/queue/claim-next", json!({"workerId": "greedy"})),
    ] {
        assert_eq!(browser.post(path, &body).await.problem(429)["reason"], "TOO_MANY_CLAIMS", "{path}");
    }
    client.claim_next("another", &[], 0).await.unwrap().expect("the others go on");
    client.complete(held(&first), None).await.unwrap();
    client.claim_next("greedy", &[], 0).await.unwrap().expect("there is room again");
}

#[tokio::test]
async fn a_session_is_not_offered_again_what_it_may_still_be_working_on() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut watch = client.watch(watch_live()).await.unwrap();
    let mut stream = client.stream(work("slow", &["echo"], 2)).await.unwrap();
    let id = client.post(question("echo", "Well?")).await.unwrap().id;
    let slow = stream.work().await;
    watch.until(ChangeKind::Expired, &id).await;
    let other = client.post(question("echo", "And this?")).await.unwrap().id;
    let next = stream.work().await;
    assert_eq!(id_of(&next), other, "not the first one again, though it stands before");
    let late = client.complete(held(&slow), reply("At last.")).await.unwrap();
    assert!(late.late && late.reply_id.is_some());
}
