//! The gateway's tail against the real queue-service: polls that cost no call, answers equal to those of the
//! queue-service, own writes in the next poll, and no gap when the queue-service dies.

use std::{collections::HashSet, time::Duration};

use e2e::{Browser, DOMAIN, Grpc, Service, World, held, platform_post, question_json, within_deadline};
use rand::seq::IndexedRandom as _;
use repartee_proto::v1::{
    ListMessagesRequest, ListMessagesResponse, Message, NewMessage, PostMessageRequest, PostMessagesRequest,
    list_messages_request::Position, post_outcome::Outcome,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};

/// Calls of this name that the queue-service has served.
async fn calls_of(client: &Grpc, call: &str) -> u64 {
    let stats = client.stats().await.expect("an operator sees the stats");
    stats.calls.iter().filter(|stats| stats.call == call).map(|stats| stats.calls).sum()
}

fn comment(domain: &str, text: &str) -> Value {
    json!({"domain": domain, "text": text, "username": "Ann", "color": "001001001"})
}

/// Posts so many messages to the domains in turn, in one commit.
async fn post_at_once(client: &Grpc, domains: &[&str], count: usize) -> Vec<Message> {
    let message = |number: usize| {
        let domain = domains[number % domains.len()].to_owned();
        let message = Some(NewMessage { domain, ..platform_post("Ann", &format!("Post {number}.")) });
        PostMessageRequest { message, idempotency_key: None }
    };
    let request = PostMessagesRequest { items: (0..count).map(message).collect() };
    let answer = client.raw().post_messages(request).await.expect("a batch is stored").into_inner();
    let posted = answer.outcomes.into_iter().map(|outcome| match outcome.outcome {
        Some(Outcome::Posted(posted)) => posted.message.expect("the message as stored"),
        other => panic!("a post of the batch was refused: {other:?}"),
    });
    posted.collect()
}

async fn list(client: &Grpc, domain: &str, after: i64, limit: u32) -> ListMessagesResponse {
    let position = (after > 0).then_some(Position::After(after));
    let request = ListMessagesRequest { domain: domain.to_owned(), position, limit };
    client.raw().list_messages(request).await.expect("a page").into_inner()
}

/// Waits until polls through this gateway show what the queue-service shows.
async fn caught_up(browser: &Browser, client: &Grpc) {
    let newest = list(client, "", 0, 1).await.next_cursor;
    let shown =
        async { while browser.get("/api/comments?limit=1").await.header("x-next-cursor") != newest {} };
    within_deadline("the tail of a gateway", shown).await;
}

/// What both faces tell of a message.
fn told(message: &Message) -> Value {
    let status = message.bot_params.as_ref().map(|bot| bot.status().as_str_name().to_lowercase());
    json!([
        message.id,
        message.seq,
        message.timestamp,
        message.domain,
        message.text,
        message.deleted,
        message.eq_score,
        status.map(|name| name.replace("status_", ""))
    ])
}

fn told_json(message: &Value) -> Value {
    let deleted = message["deleted"].as_bool().unwrap_or_default();
    json!([
        message["id"],
        message["seq"],
        message["timestamp"],
        message["domain"],
        message["text"],
        deleted,
        message["eqScore"],
        message["botParams"]["status"]
    ])
}

/// Checks that the gateway answers this poll as the queue-service does.
async fn assert_same(browser: &Browser, client: &Grpc, domain: &str, after: i64, limit: u32) {
    let expected = list(client, domain, after, limit).await;
    let path = format!("/api/comments?domain={domain}&after={after}&limit={limit}");
    let page = browser.get(&path).await;
    let seen: Vec<Value> = page.ok(200).as_array().expect("a bare array").iter().map(told_json).collect();
    assert_eq!(seen, expected.messages.iter().map(told).collect::<Vec<_>>(), "{path}");
    assert_eq!(page.header("x-more"), expected.more.to_string(), "{path}");
    assert_eq!(page.header("x-next-cursor"), expected.next_cursor, "{path}");
    // What the first answer taught the gateway may let it answer the second by itself, under a tag of its own.
    let tag = browser.get(&path).await.header("etag").to_owned();
    let again = browser.request(Method::GET, &path).header("if-none-match", tag);
    let again = e2e::Answer::to(again).await;
    assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    assert_eq!(again.header("x-next-cursor"), expected.next_cursor, "{path}");
}

/// Takes one step at random, through this gateway.
async fn step(browser: &Browser, client: &Grpc, domains: &[&str], known: &[Value]) {
    let domain = *domains.choose(&mut rand::rng()).expect("there is one");
    let message = known.choose(&mut rand::rng()).map_or("", |message| message["id"].as_str().unwrap_or(""));
    let path = format!("/api/comments/{message}");
    match rand::random_range(0..10) {
        0 | 1 => drop(browser.comment(&comment(domain, "Hello.")).await),
        2 | 3 => {
            let question =
                json!({"domain": domain, "text": "Why?", "username": "Ann", "botParams": {"entity": "echo"}});
            browser.comment(&question).await;
        }
        4 => drop(post_at_once(client, domains, rand::random_range(2..9)).await),
        5 => drop(
            e2e::Answer::to(browser.request(Method::PATCH, &path).json(&json!({"text": "Edited."}))).await,
        ),
        6 => drop(e2e::Answer::to(browser.request(Method::PATCH, &path).json(&json!({"eqScore": 7}))).await),
        7 => drop(e2e::Answer::to(browser.request(Method::DELETE, &path)).await),
        _ => {
            let claimed = browser.post("/api/queue/claim-next", &json!({"workerId": "worker 1"})).await;
            if claimed.status == 200 {
                let work = claimed.json();
                let lease = json!({"messageId": work["message"]["id"], "leaseToken": work["lease"]["token"]});
                let mut step = lease.clone();
                let name = ["complete", "fail", "release"].choose(&mut rand::rng()).expect("there is one");
                match *name {
                    "complete" => step["reply"] = json!({"text": "Because."}),
                    "fail" => step["error"] = json!("no idea"),
                    _ => {}
                }
                browser.post(&format!("/api/queue/{name}"), &step).await.ok(200);
            }
        }
    }
}

#[tokio::test]
async fn polls_of_up_to_date_browsers_cost_the_queue_service_no_call() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    let posted = browser.comment(&question_json("echo", "Why?")).await;
    let before = calls_of(&client, "ListMessages").await;
    let after = posted["timestamp"].as_i64().expect("a time stamp");
    for _ in 0..50 {
        for path in [
            "/api/comments".to_owned(),
            format!("/api/comments?domain={DOMAIN}"),
            format!("/api/comments?domain={DOMAIN}&after={after}"),
            format!("/api/comments?since={}&limit=7", after - 1),
        ] {
            let page = browser.get(&path).await;
            assert_eq!((page.status, page.header("x-storage-reads")), (200, "0"), "{path}");
        }
    }
    assert_eq!(calls_of(&client, "ListMessages").await, before);
    assert_eq!(client.stats().await.unwrap().watchers, 1, "one stream, however many browsers");
}

#[tokio::test]
async fn the_gateway_answers_as_the_queue_service_does_under_random_steps() {
    let world = World::start().await;
    let client = world.grpc().await;
    let url = world.queue.grpc_url();
    let small = Service::gateway(&url, &["--tail-messages", "12", "--tail-seed", "5"]).await;
    let domains = ["a.example", "b.example", "c.example"];
    let writer = world.browser();
    let mut late = None;
    for round in 0..40 {
        let known = writer.comments().await;
        for _ in 0..5 {
            step(&writer, &client, &domains, &known).await;
        }
        if round == 20 {
            late = Some(Service::gateway(&url, &[]).await);
        }
        let gateways = [Some(&world.gateway), Some(&small), late.as_ref()];
        for browser in gateways.into_iter().flatten().map(Service::browser) {
            caught_up(&browser, &client).await;
            let stamps: Vec<i64> = known.iter().filter_map(|message| message["timestamp"].as_i64()).collect();
            for _ in 0..6 {
                let domain =
                    *["", "a.example", "b.example", "c.example", "nobody"].choose(&mut rand::rng()).unwrap();
                let after =
                    stamps.choose(&mut rand::rng()).map_or(0, |stamp| stamp - rand::random_range(0..2));
                let after = if rand::random_ratio(1, 3) { 0 } else { after };
                assert_same(&browser, &client, domain, after, rand::random_range(1..30)).await;
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_as_before() {
    let world = World::start().await;
    let long = "x".repeat(256);
    for _ in 0..2 {
        let page = world.browser().get(&format!("/api/comments?domain={long}")).await;
        assert_eq!(page.pointers(400), ["/domain"]);
    }
}

#[tokio::test]
async fn whoever_wrote_sees_it_in_the_next_poll_also_under_load() {
    let world = World::start().await;
    let mut writers = JoinSet::new();
    for writer in 0..16 {
        let browser = world.browser();
        writers.spawn(async move {
            for number in 0..15 {
                let text = format!("{writer}/{number}");
                let posted = browser.comment(&comment(DOMAIN, &text)).await;
                let (id, after) = (&posted["id"], posted["timestamp"].as_i64().unwrap() - 1);
                let poll = format!("/api/comments?domain={DOMAIN}&after={after}&limit=1000");
                let page = browser.get(&poll).await.ok(200);
                assert!(page.as_array().unwrap().iter().any(|message| message["id"] == *id), "{text}");
                let path = format!("/api/comments/{}", id.as_str().unwrap());
                let edited = browser.request(Method::PATCH, &path).json(&json!({"text": "Edited."}));
                let edited = e2e::Answer::to(edited).await.ok(200);
                let page = browser.get(&poll).await.ok(200);
                let shown = page.as_array().unwrap().iter().find(|message| message["id"] == *id).unwrap();
                assert_eq!((&shown["text"], &shown["seq"]), (&json!("Edited."), &edited["seq"]), "{text}");
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
}

#[tokio::test]
async fn a_reply_is_in_the_poll_after_its_completion() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    for number in 0..20 {
        let question = browser.comment(&question_json("echo", &format!("{number}?"))).await;
        let work = client.claim(question["id"].as_str().unwrap(), "worker 1").await.unwrap();
        let lease = held(&work);
        let complete = json!({"messageId": lease.message_id, "leaseToken": lease.lease_token, "reply": {"text": "Yes."}});
        let done = browser.post("/api/queue/complete", &complete).await.ok(200);
        let page = browser.get(&format!("/api/comments?after={}", question["timestamp"])).await.ok(200);
        assert!(page.as_array().unwrap().iter().any(|message| message["id"] == done["replyId"]), "{page}");
    }
}

#[tokio::test]
async fn a_killed_queue_service_makes_no_gap_and_no_double() {
    let mut world = World::start().await;
    let reader = world.browser();
    let (client, mut sent) = (world.grpc().await, Vec::new());
    sent.extend(post_at_once(&client, &[DOMAIN], 30).await);
    caught_up(&reader, &client).await;
    let mut read: Vec<String> = Vec::new();
    let mut after = 1;
    let (mut unavailable, mut life) = (0, 0);
    let deadline = Instant::now() + e2e::DEADLINE;
    while read.len() < sent.len() || life < 3 {
        assert!(Instant::now() < deadline, "{} of {} read, {unavailable} refusals", read.len(), sent.len());
        let page = reader.get(&format!("/api/comments?domain={DOMAIN}&after={after}&limit=7")).await;
        if page.status == 503 {
            page.problem(503);
            unavailable += 1;
            continue;
        }
        let messages = page.ok(200);
        for message in messages.as_array().unwrap() {
            read.push(message["id"].as_str().unwrap().to_owned());
            after = message["timestamp"].as_i64().unwrap();
        }
        if read.len() == sent.len() && life < 3 {
            life += 1;
            sent.extend(post_at_once(&world.grpc().await, &[DOMAIN], 5).await);
            world.queue.kill().await;
            if life == 1 {
                // Longer than the grace: while the queue-service is away, browsers are told so.
                let told = async { while reader.get("/api/comments?limit=1").await.status != 503 {} };
                within_deadline("a refusal", told).await;
                reader.get("/readyz").await.problem(503);
            }
            world.queue.start_again_in_place().await;
            sent.extend(post_at_once(&world.grpc().await, &[DOMAIN], 5).await);
        }
    }
    assert_eq!(read.iter().collect::<HashSet<_>>().len(), read.len(), "none twice");
    assert_eq!(read, sent.iter().map(|message| message.id.clone()).collect::<Vec<_>>());
    let back = async { while reader.get("/readyz").await.status != 200 {} };
    within_deadline("a gateway that is ready", back).await;
}

#[tokio::test]
async fn positions_older_than_the_tail_are_read_from_the_queue_service() {
    let world = World::with(&[], &["--tail-messages", "20", "--tail-seed", "10"]).await;
    let (client, browser) = (world.grpc().await, world.browser());
    let mut sent = Vec::new();
    for _ in 0..40 {
        sent.extend(post_at_once(&client, &["a.example", "b.example"], 4).await);
    }
    caught_up(&browser, &client).await;
    let before = calls_of(&client, "ListMessages").await;
    let (mut read, mut after, mut more) = (Vec::new(), 1, true);
    while more {
        let page = browser.get(&format!("/api/comments?after={after}&limit=9")).await;
        let messages = page.ok(200);
        read.extend(messages.as_array().unwrap().iter().map(|message| message["id"].clone()));
        after = messages.as_array().unwrap().last().unwrap()["timestamp"].as_i64().unwrap();
        more = page.header("x-more") == "true";
    }
    assert_eq!(read, sent.iter().map(|message| json!(message.id)).collect::<Vec<_>>());
    let calls = calls_of(&client, "ListMessages").await - before;
    assert!(calls > 0, "the tail is too small for all of it");
    let newest = browser.get("/api/comments?limit=4").await;
    assert_eq!(newest.ok(200).as_array().unwrap().len(), 4);
    assert_eq!(calls_of(&client, "ListMessages").await - before, calls, "but not for the newest");
}

#[tokio::test]
async fn readers_of_many_quiet_domains_cost_one_call_each_at_the_most() {
    let world = World::with(&[], &["--tail-messages", "50", "--tail-seed", "10"]).await;
    let (client, browser) = (world.grpc().await, world.browser());
    let names: Vec<String> = (0..100).map(|number| format!("{number}.example")).collect();
    let domains: Vec<&str> = names.iter().map(String::as_str).collect();
    let quiet = post_at_once(&client, &domains, 100).await;
    let gateway =
        Service::gateway(&world.queue.grpc_url(), &["--tail-messages", "50", "--tail-seed", "10"]).await;
    post_at_once(&client, &["loud.example"], 200).await;
    caught_up(&gateway.browser(), &client).await;
    let polls = async |browser: &Browser| {
        for message in &quiet {
            let path = format!("/api/comments?domain={}&after={}", message.domain, message.timestamp);
            assert_eq!(browser.get(&path).await.ok(200), json!([]));
        }
    };
    polls(&gateway.browser()).await;
    let before = calls_of(&client, "ListMessages").await;
    for _ in 0..3 {
        polls(&gateway.browser()).await;
    }
    assert_eq!(calls_of(&client, "ListMessages").await, before);
    drop(browser);
}

#[tokio::test]
async fn a_gateway_finds_its_queue_service_again_after_a_long_absence() {
    let mut queue = Service::queue_service(&[]).await;
    let gateway = Service::gateway(&queue.grpc_url(), &[]).await;
    queue.grpc().await.post(platform_post("Ann", "Before.")).await.unwrap();
    queue.kill().await;
    let refused = async { while gateway.browser().get("/api/comments").await.status != 503 {} };
    within_deadline("a refusal", refused).await;
    queue.start_again_in_place().await;
    let found = async { while gateway.browser().get("/api/comments").await.status != 200 {} };
    tokio::time::timeout(Duration::from_secs(20), found).await.expect("it comes back by itself");
    assert_eq!(gateway.browser().comments().await.len(), 1);
}
