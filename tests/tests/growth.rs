//! What clients have made before costs those who come later nothing: edits, domains, entities, and bytes that wait.

use std::collections::BTreeSet;

use e2e::{Browser, Grpc, Metrics, Refused, Service, World, assert_full, held, platform_post, question};
use futures_util::future::join_all;
use repartee_proto::v1::{
    GetStatsRequest, NewMessage, PostMessageRequest, PostMessagesRequest, UpdateMessageRequest,
};
use serde_json::Value;
use tonic::{Code, Status};

/// The longest text.
const LONG: usize = 16_384;

async fn edit(client: &Grpc, message_id: &str, text: String) -> Result<(), Status> {
    let message_id = message_id.to_owned();
    let edit = UpdateMessageRequest { message_id, text: Some(text), ..Default::default() };
    client.raw().update_message(edit).await.map(|_| ())
}

/// Posts so many messages, 256 in a commit.
async fn post_all(client: &Grpc, messages: impl Iterator<Item = NewMessage>) {
    let item = |message| PostMessageRequest { message: Some(message), idempotency_key: None };
    let mut items = messages.map(item).peekable();
    while items.peek().is_some() {
        let items = items.by_ref().take(256).collect();
        let posted = client
            .raw()
            .post_messages(PostMessagesRequest { items })
            .await
            .expect("a batch is taken")
            .into_inner();
        assert!(!posted.outcomes.is_empty());
    }
}

/// An edit writes nothing anew for the changes before it, in the gateway's tail either; and still reaches back into them.
#[tokio::test]
async fn the_thousandth_edit_of_a_message_costs_what_the_first_did_and_old_changes_show_the_last_text() {
    const EDITS: usize = 1_500;
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    let begin = browser.get("/api/comments/changes").await.ok(200)["next"].as_str().unwrap().to_owned();
    let id = client.post(platform_post("Ann", "first")).await.unwrap().id;
    for first in (0..EDITS).step_by(50) {
        let edits = (first..first + 50).map(|n| edit(&client, &id, format!("edit {n}")));
        join_all(edits).await.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    }
    edit(&client, &id, "the last one".to_owned()).await.unwrap();
    let shown =
        browser.comments_once(|comments| comments.iter().any(|one| one["text"] == "the last one")).await;
    assert_eq!(shown.len(), 1);
    let rewritten = async || Metrics::of(&browser).await.value("repartee_tail_rewrites_total");
    assert_eq!(rewritten().await, 0.0, "nobody has read an old change yet");

    let path = format!("/api/comments/changes?limit=100&cursor={begin}");
    let page = browser.get(&path).await.ok(200);
    let texts: BTreeSet<_> = page["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, BTreeSet::from(["the last one"]), "old changes show what is said now");
    assert_eq!(rewritten().await, 100.0, "each that was read, once");
}

/// Quiet domains leave one by one: far more of them than are remembered push out no more than is needed.
#[tokio::test]
async fn many_domains_push_out_the_longest_unused_only() {
    const DOMAINS: usize = 12_000;
    let world = World::with(&["--durability", "process"], &["--tail-messages", "100"]).await;
    let (client, browser) = (world.grpc().await, world.browser());
    let message = |n| NewMessage { domain: format!("domain{n}.example"), ..platform_post("Ann", "Hello.") };
    post_all(&client, (0..DOMAINS).map(message)).await;
    let last = format!("/api/comments?domain=domain{}.example", DOMAINS - 1);
    while browser.get(&last).await.ok(200).as_array().unwrap().is_empty() {}
    let domains = Metrics::of(&browser).await.value("repartee_tail_domains");
    assert!(
        (10_000.0..=10_500.0).contains(&domains),
        "{domains}: the quiet ones that are kept, and what is held"
    );
}

/// Asserts that a post was refused for the bytes that wait.
fn assert_full_of_bytes(status: &Status) {
    assert_full(status);
    assert!(status.message().contains("--max-pending-bytes"), "{status:?}");
    assert!(status.message().contains("1048576"), "{status:?}");
}

#[tokio::test]
async fn what_waits_is_bounded_in_bytes() {
    let world = World::with(&["--max-pending-bytes", "1MiB"], &[]).await;
    let (client, browser) = (world.grpc().await, world.browser());
    let operator = Browser::new(&world.queue.grpc_url());
    let mut ids = Vec::new();
    let refusal = loop {
        match client.post(question("nobody", &"x".repeat(LONG))).await {
            Ok(message) => ids.push(message.id),
            Err(refusal) => break refusal,
        }
        assert!(ids.len() < 100, "there is no bound");
    };
    assert_full_of_bytes(&refusal);
    assert!(ids.len() > 40, "{} texts of 16 KiB fit into 1 MiB", ids.len());
    let answer = browser.post("/api/comments", &e2e::question_json("nobody", &"x".repeat(LONG))).await;
    let problem = answer.problem(429);
    assert_eq!(problem["reason"], "QUEUE_FULL");
    assert!(problem["detail"].as_str().unwrap().contains("--max-pending-bytes"), "{problem}");
    let metrics = Metrics::of(&operator).await;
    let (bytes, limit) = metrics.bound("pending_bytes");
    assert!(bytes <= limit && bytes > 0.95 * limit && limit == 1_048_576.0, "{bytes} of {limit}");
    assert_eq!(metrics.refused("pending_bytes"), 2.0);

    // Others go on: who asks nobody, and whoever makes what waits shorter.
    client.post(platform_post("Ann", &"x".repeat(LONG))).await.unwrap();
    edit(&client, &ids[0], "short".to_owned()).await.unwrap();
    let short = || client.post(question("nobody", "I fit into that."));
    short().await.unwrap();
    while short().await.is_ok() {}
    assert_full_of_bytes(&edit(&client, &ids[0], "x".repeat(LONG)).await.unwrap_err());

    // Work that a worker holds is in memory too; once it is finished, there is room.
    let work = client.claim(&ids[1], "worker 1").await.unwrap();
    assert_full_of_bytes(&client.post(question("nobody", &"x".repeat(LONG))).await.unwrap_err());
    client.complete(held(&work), None).await.unwrap();
    client.post(question("nobody", &"x".repeat(LONG))).await.unwrap();
}

#[tokio::test]
async fn what_was_let_in_counts_again_after_a_restart() {
    let mut queue = Service::queue_service(&["--max-pending-bytes", "1MiB"]).await;
    let (client, operator) = (queue.grpc().await, Browser::new(&queue.grpc_url()));
    for _ in 0..20 {
        client.post(question("nobody", &"x".repeat(LONG))).await.unwrap();
    }
    let before = Metrics::of(&operator).await.bound("pending_bytes");
    queue.kill().await;
    queue.start_again().await;
    assert_eq!(Metrics::of(&Browser::new(&queue.grpc_url())).await.bound("pending_bytes"), before);
}

/// All rows of a list of `/api/stats`, by page; no answer is larger than 1 MiB.
async fn all_rows(browser: &Browser, limit: usize, list: &str, cursor: &str) -> Vec<Value> {
    let (mut rows, mut after) = (Vec::new(), String::new());
    loop {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair(cursor, &after).finish();
        let answer = browser.get(&format!("/api/stats?limit={limit}&{query}")).await;
        assert!(answer.body.len() < 1 << 20, "{} bytes", answer.body.len());
        let stats = answer.ok(200);
        let page = stats[list].as_array().expect("a list");
        assert!(page.len() <= limit);
        rows.extend(page.iter().cloned());
        let next = format!("next{}{}", cursor[..1].to_uppercase(), &cursor[1..]);
        match stats[&next].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return rows,
        }
    }
}

#[tokio::test]
async fn statistics_of_many_entities_come_by_page_and_their_sums_are_of_all() {
    const ENTITIES: usize = 1_200;
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    // The longest names that there can be.
    let name = |n: usize| format!("{n:04}{}", "𝔘".repeat(60));
    post_all(&client, (0..ENTITIES).map(|n| question(&name(n), "Well?"))).await;
    post_all(&client, (0..2).map(|_| question(&name(7), "And?"))).await;
    for n in 0..5 {
        client.claim_next(&format!("worker {n}"), &[&name(n)], 0).await.unwrap().unwrap();
    }
    let first = browser.get("/api/stats").await.ok(200);
    assert_eq!(first["entities"].as_array().unwrap().len(), 100, "a page where nothing is said");
    assert_eq!((&first["entitiesTotal"], &first["sessionsTotal"]), (&ENTITIES.into(), &5.into()));
    assert_eq!((&first["pending"], &first["processing"]), (&(ENTITIES - 3).into(), &5.into()));
    assert!(first["oldestAgeMs"].as_i64().is_some_and(|age| age >= 0));
    for limit in [500, 99] {
        let rows = all_rows(&browser, limit, "entities", "entitiesAfter").await;
        let names: Vec<_> = rows.iter().map(|row| row["entity"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names, (0..ENTITIES).map(name).collect::<Vec<_>>(), "all, each once, in order");
        let pending: u64 = rows.iter().map(|row| row["pending"].as_u64().unwrap()).sum();
        assert_eq!(pending, first["pending"].as_u64().unwrap());
    }
    let sessions = all_rows(&browser, 2, "sessions", "sessionsAfter").await;
    let workers: Vec<_> = sessions.iter().map(|row| row["workerId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(workers, (0..5).map(|n| format!("worker {n}")).collect::<Vec<_>>());
    let fullest = Metrics::of(&Browser::new(&world.queue.grpc_url())).await.bound("pending_of_entity").0;
    assert_eq!(fullest, 3.0);

    let ask = |request: GetStatsRequest| {
        let mut raw = client.raw();
        async move { raw.get_stats(request).await.map(tonic::Response::into_inner) }
    };
    let none = ask(GetStatsRequest { page_size: Some(0), ..Default::default() }).await.unwrap();
    assert!(none.entities.is_empty() && none.sessions.is_empty());
    assert_eq!((none.entities_total, none.sessions_total), (ENTITIES as u64, 5));
    for (request, field) in [
        (GetStatsRequest { page_size: Some(501), ..Default::default() }, "page_size"),
        (GetStatsRequest { sessions_after: "x:1".to_owned(), ..Default::default() }, "sessions_after"),
    ] {
        let refused = Refused::from(&ask(request).await.unwrap_err());
        assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec![field.to_owned()]));
    }
}
