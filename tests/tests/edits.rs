//! Messages that are changed or removed after they were posted: every reader sees it, wherever it looks.

use e2e::{
    Answer, Grpc, Service, World, held, platform_post, question, question_json, reply, watch_from, watch_live,
};
use repartee_proto::v1::{
    ChangeKind, DeleteMessageRequest, UpdateMessageRequest, list_messages_request::Position,
};
use reqwest::Method;
use serde_json::{Value, json};

/// Sends a PATCH as an operator.
async fn patch(world: &World, posted: &Value, body: Value) -> Answer {
    let path = format!("/api/comments/{}", posted["id"].as_str().expect("an answer names the id"));
    Answer::to(world.browser().request(Method::PATCH, &path).json(&body)).await
}

async fn delete(client: &Grpc, message_id: &str) {
    let request = DeleteMessageRequest { message_id: message_id.to_owned(), ..Default::default() };
    client.raw().delete_message(request).await.expect("an operator may delete");
}

#[tokio::test]
async fn an_edit_is_a_change_that_every_reader_sees() {
    let world = World::start().await;
    let client = world.grpc().await;
    let mut watch = client.watch(watch_live()).await.unwrap();
    let posted = world.browser().comment(&question_json("echo", "Helo?")).await;
    let id = posted["id"].as_str().unwrap();
    let edited = patch(&world, &posted, json!({"text": "Hello?", "eqScore": 7})).await.ok(200);
    assert_eq!(
        (&edited["text"], &edited["eqScore"], &edited["timestamp"]),
        (&json!("Hello?"), &json!(7), &posted["timestamp"])
    );
    assert!(edited["seq"].as_u64() > posted["seq"].as_u64());

    let change = watch.until(ChangeKind::Edited, id).await;
    assert_eq!(change.message.unwrap().text, "Hello?");
    let comments = world.browser().comments().await;
    assert_eq!(comments, [edited]);
    assert_eq!(client.claim_next("worker 1", &[], 0).await.unwrap().unwrap().message.unwrap().text, "Hello?");
}

#[tokio::test]
async fn a_late_reader_of_the_feed_sees_the_edited_text_only() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let origin = client.watch(watch_live()).await.unwrap().hello.tail;
    let id = client.post(platform_post("Ann", "My secret is 4711.")).await.unwrap().id;
    let edit =
        UpdateMessageRequest { message_id: id, text: Some("Nothing.".to_owned()), ..Default::default() };
    client.raw().update_message(edit).await.unwrap();
    let mut watch = client.watch(watch_from(&origin)).await.unwrap();
    let tail = watch.hello.tail.clone();
    let texts: Vec<_> =
        watch.up_to(&tail).await.into_iter().map(|change| change.message.unwrap().text).collect();
    assert_eq!(texts, ["Nothing.", "Nothing."]);
}

#[tokio::test]
async fn a_deleted_message_leaves_a_tombstone_and_its_text_is_gone_everywhere() {
    let mut queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let origin = client.watch(watch_live()).await.unwrap().hello.tail;
    let mut watch = client.watch(watch_live()).await.unwrap();
    let asked = client.post(question("echo", "My secret is 4711.")).await.unwrap();
    let work = client.claim_next("worker 1", &[], 0).await.unwrap().unwrap();
    client.complete(held(&work), reply("I keep it.")).await.unwrap();
    delete(&client, &asked.id).await;

    let tombstone = watch.until(ChangeKind::Deleted, &asked.id).await.message.unwrap();
    assert_eq!((tombstone.text.as_str(), tombstone.deleted), ("", true));
    queue.kill().await;
    queue.start_again().await;

    let client = queue.grpc().await;
    let gateway = Service::gateway(&queue.grpc_url(), &[]).await;
    let changes = client.list(Some(Position::Cursor(origin)), 100).await.unwrap().messages;
    assert_eq!(changes.len(), 5, "posted, claimed, replied, completed, deleted");
    let bot = asked.bot_params.unwrap();
    let conversation = format!(
        "/api/conversation?humanUsername={}&humanColor={}&aiUsername={}&aiColor={}",
        asked.username.replace(' ', "%20"),
        asked.color,
        bot.ai_username,
        bot.ai_color
    );
    let feed = gateway.browser().get("/api/comments").await;
    let conversation = gateway.browser().get(&conversation).await;
    for seen in [format!("{changes:?}"), feed.text().to_owned(), conversation.text().to_owned()] {
        assert!(!seen.contains("My secret") && seen.contains("I keep it."), "{seen}");
    }
    assert_eq!(client.get(&asked.id).await.unwrap(), tombstone);
    let shown = feed.json();
    let shown = shown.as_array().unwrap().iter().find(|comment| comment["id"] == asked.id.as_str()).unwrap();
    assert_eq!(shown["text"], "", "its place in the feed remains");
}

#[tokio::test]
async fn a_deleted_question_is_nobodys_work_any_more() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let asked = client.post(question("echo", "Never mind?")).await.unwrap();
    delete(&client, &asked.id).await;
    assert_eq!(client.claim_next("worker 1", &[], 0).await.unwrap(), None);
    assert!(client.pending("").await.unwrap().is_empty());
    client.claim(&asked.id, "worker 1").await.unwrap_err();
    assert_eq!(client.stats().await.unwrap().pending, 0);
}

#[tokio::test]
async fn a_message_older_than_the_cache_can_be_read_edited_and_deleted() {
    let world = World::with(&["--cache-messages", "10"], &[]).await;
    let client = world.grpc().await;
    let old = world.browser().comment(&question_json("echo", "Old?")).await;
    for number in 0..50 {
        client.post(platform_post("Ann", &format!("Post {number}."))).await.unwrap();
    }
    let edited = patch(&world, &old, json!({"text": "Edited."})).await.ok(200);
    assert_eq!(edited["text"], "Edited.");
    let path = format!("/api/comments/{}", old["id"].as_str().unwrap());
    assert_eq!(world.browser().get(&path).await.ok(200), edited);
    let token = old["editToken"].as_str().unwrap();
    let delete = world.browser().request(Method::DELETE, &path).bearer_auth(token);
    assert_eq!(Answer::to(delete).await.ok(200)["text"], "");
}

#[tokio::test]
async fn the_first_designs_status_patches_walk_the_lifecycle() {
    let world = World::start().await;
    let posted = world.browser().comment(&question_json("echo", "Well?")).await;
    for (patched, status) in [
        (json!({"botParams": {"status": "processing"}}), "processing"),
        (json!({"botParams": {"status": "pending"}}), "pending"),
        (json!({"status": "processing"}), "processing"),
        (json!({"status": "complete"}), "complete"),
    ] {
        let answer = patch(&world, &posted, patched).await.ok(200);
        assert_eq!(answer["botParams"]["status"], status);
    }
    patch(&world, &posted, json!({"status": "pending"})).await.problem(409);
    patch(&world, &posted, json!({})).await.problem(400);
    assert_eq!(patch(&world, &posted, json!({"status": "done"})).await.pointers(400), ["/status"]);
}
