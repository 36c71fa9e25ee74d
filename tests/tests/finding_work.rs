//! How operators find work: by entity, status, worker, author and the text of its last error, page by page.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::{Answer, Browser, Grpc, World, held, platform_post, question, reply};
use repartee_proto::v1::{ListWorkRequest, PostMessageRequest, PostMessagesRequest, Status};
use reqwest::Method;
use serde_json::{Value, json};

/// The texts of the page that this query finds, and where the next one begins.
async fn find(browser: &Browser, query: &str) -> (Vec<String>, Value) {
    let page = browser.get(&format!("/api/admin/work?{query}")).await.ok(200);
    let texts = page["messages"].as_array().unwrap().iter();
    (
        texts.map(|message| message["text"].as_str().unwrap().to_owned()).collect(),
        page["nextBeforeId"].clone(),
    )
}

/// Asks a bot, and lets a worker give the question up with this error.
async fn given_up(client: &Grpc, entity: &str, text: &str, worker: &str, error: &str) {
    let id = client.post(question(entity, text)).await.unwrap().id;
    let claimed = client.claim(&id, worker).await.unwrap();
    client.give_up(held(&claimed), error).await.unwrap();
}

#[tokio::test]
async fn work_is_found_by_entity_status_worker_author_and_error_and_by_all_of_them() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    given_up(&client, "echo", "First.", "gpu-1", "the model said: Out of MEMORY").await;
    given_up(&client, "poet", "Second.", "gpu-2", "timeout").await;
    let done = client.post(question("echo", "Third.")).await.unwrap().id;
    let claimed = client.claim(&done, "gpu-1").await.unwrap();
    client.complete(held(&claimed), reply("Done.")).await.unwrap();
    let held_one = client.post(question("echo", "Fourth.")).await.unwrap().id;
    client.claim(&held_one, "gpu-2").await.unwrap();
    client.post(platform_post("Ann", "For no bot.")).await.unwrap();
    let asked = json!({
        "domain": "lobby", "username": "Bea", "color": "169080199", "text": "Fifth.", "botParams": {"entity": "poet"},
    });
    let request = world.gateway.visitor().request(Method::POST, "/api/comments").json(&asked);
    Answer::to(request.header("x-visitor", "bea-0123456789abcdef0123456789abcdef")).await.ok(201);
    let waits = browser.get("/api/queue/pending").await.ok(200)["pending"][0].clone();
    let author = waits["author"].as_str().unwrap();

    let all = ["Fifth.", "Fourth.", "Third.", "Second.", "First."];
    for (query, expected) in [
        (String::new(), &all[..]),
        ("entity=&status=any&workerId=&author=&error=".into(), &all),
        ("entity=echo".into(), &["Fourth.", "Third.", "First."]),
        ("status=pending".into(), &["Fifth."]),
        ("status=processing".into(), &["Fourth."]),
        ("status=complete".into(), &["Third."]),
        ("status=failed".into(), &["Second.", "First."]),
        ("workerId=gpu-2".into(), &["Fourth.", "Second."]),
        (format!("author={author}"), &["Fifth."]),
        ("error=out%20of%20memory".into(), &["First."]),
        ("entity=echo&workerId=gpu-1&status=failed".into(), &["First."]),
        ("entity=nobody".into(), &[]),
    ] {
        assert_eq!(
            find(&browser, &query).await,
            (expected.iter().map(|text| (*text).to_owned()).collect(), Value::Null),
            "{query}"
        );
    }
}

#[tokio::test]
async fn pages_of_work_have_neither_a_gap_nor_a_double_and_end_by_their_bytes_too() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    for n in 0..7 {
        client.post(question("echo", &n.to_string())).await.unwrap();
    }
    let (mut found, mut next) = (Vec::new(), json!(""));
    while let Some(before) = next.as_str() {
        let position = if before.is_empty() { String::new() } else { format!("&beforeId={before}") };
        let (texts, after) = find(&browser, &format!("limit=3{position}")).await;
        assert!((1..=3).contains(&texts.len()), "{texts:?}");
        found.extend(texts);
        next = after;
    }
    assert_eq!(found, ["6", "5", "4", "3", "2", "1", "0"]);

    let item = |_| PostMessageRequest {
        message: Some(question("long", &"x".repeat(16_000))),
        idempotency_key: None,
    };
    for _ in 0..3 {
        let request = PostMessagesRequest { items: (0..60).map(item).collect() };
        client.raw().post_messages(request).await.unwrap();
    }
    let request = ListWorkRequest { limit: 1_000, entity: "long".into(), ..Default::default() };
    let page = client.raw().list_work(request).await.unwrap().into_inner();
    assert!((60..80).contains(&page.messages.len()), "{}", page.messages.len());
    assert!(!page.next_before_id.is_empty());
}

#[tokio::test]
async fn one_call_looks_at_so_much_and_says_where_to_go_on_though_nothing_fits() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    client.post(question("rare", "The needle.")).await.unwrap();
    let item = |_| PostMessageRequest { message: Some(question("echo", "hay")), idempotency_key: None };
    for _ in 0..5 {
        let request = PostMessagesRequest { items: (0..256).map(item).collect() };
        client.raw().post_messages(request).await.unwrap();
    }
    let (texts, next) = find(&browser, "entity=rare").await;
    assert_eq!(texts, [] as [&str; 0], "the first 1,000 are others");
    let (texts, end) = find(&browser, &format!("entity=rare&beforeId={}", next.as_str().unwrap())).await;
    assert_eq!((texts, end), (vec!["The needle.".to_owned()], Value::Null));
}

#[tokio::test]
async fn what_is_looked_for_is_checked_and_found_after_a_restart() {
    let mut world = World::start().await;
    let browser = world.browser();
    given_up(&world.grpc().await, "echo", "First.", "gpu-1", "timeout").await;
    for (query, pointer) in [
        ("status=lost", "/status"),
        ("author=xyz", "/author"),
        ("error=%0A", "/error"),
        ("workerId=%E2%80%AE", "/workerId"),
        ("beforeId=x", "/beforeId"),
        ("limit=0", "/limit"),
        ("state=failed", "/state"),
    ] {
        assert_eq!(
            browser.get(&format!("/api/admin/work?{query}")).await.pointers(400),
            [pointer],
            "{query}"
        );
    }
    world.queue.kill().await;
    world.queue.start_again_in_place().await;
    let failed =
        ListWorkRequest { status: Status::Failed.into(), worker_id: "gpu-1".into(), ..Default::default() };
    let page = world.grpc().await.raw().list_work(failed).await.unwrap().into_inner();
    assert_eq!(page.messages.len(), 1);
    assert!(page.kv_stats.unwrap().reads > 0, "what it cost is told");
}
