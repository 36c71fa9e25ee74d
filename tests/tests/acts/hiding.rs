//! Messages that an operator hides and shows again.

use e2e::{
    Answer, Browser, Events, Service, WORKER, World, held, question, question_from, reply, watch_live,
    within_deadline, work,
};
use repartee_proto::v1::{
    ChangeKind, ClaimNextRequest, HideMessageRequest, ListMessagesRequest, RestoreMessageRequest,
    list_messages_request::Position,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{ANN, Visitor, acts, waiting, world};

const SECRET: &str = "Call 555 0100 for pills!";

async fn say(world: &World, visitor: Visitor, text: &str) -> Value {
    let body = json!({"domain": "lobby", "username": "Somebody", "text": text});
    visitor.send(world, Method::POST, "/api/comments", &body).await.ok(201)
}

async fn hide(browser: &Browser, id: &Value) -> Value {
    browser.post("/api/admin/hide", &json!({"messageId": id, "reason": "ads"})).await.ok(200)
}

async fn restore(browser: &Browser, id: &Value) -> Answer {
    browser.post("/api/admin/restore", &json!({"messageId": id})).await
}

fn assert_gone(message: &Value) {
    assert_eq!((&message["text"], &message["deleted"]), (&json!(""), &json!(true)), "{message}");
    assert_eq!(message.get("hidden"), None, "nobody is told that it was hidden: {message}");
}

fn assert_there(message: &Value) {
    assert_eq!((&message["text"], message.get("deleted")), (&json!(SECRET), None), "{message}");
}

#[tokio::test]
async fn a_hidden_message_looks_deleted_however_it_is_read_and_comes_back_in_full_at_its_place() {
    let world = world().await;
    let (visitor, browser) = (world.gateway.visitor(), world.browser());
    let ann = Visitor(ANN, "203.0.113.9");
    let before = say(&world, ann, "Before.").await["id"].clone();
    let id = say(&world, ann, SECRET).await["id"].clone();
    let after = say(&world, ann, "After.").await["id"].clone();
    let changes = |cursor: String| {
        let visitor = visitor.clone();
        async move { visitor.get(&format!("/api/comments/changes?domain=lobby&cursor={cursor}")).await.ok(200) }
    };
    let newest = visitor.get("/api/comments/changes?domain=lobby").await.ok(200);
    let end = newest["next"].as_str().unwrap().to_owned();
    let mut stream = Events::open(&visitor, "/api/comments/stream?domain=lobby", "").await.unwrap();
    let mut watch = world.grpc().await.watch(watch_live()).await.unwrap();
    let path = format!("/api/comments/{}", id.as_str().unwrap());

    let hidden = hide(&browser, &id).await;
    assert_eq!((&hidden["message"]["text"], &hidden["message"]["hidden"]), (&json!(SECRET), &json!(true)));
    assert_gone(&stream.until("message").await.data);
    let told = watch.until(ChangeKind::Deleted, id.as_str().unwrap()).await.message.unwrap();
    assert!(told.deleted && told.text.is_empty() && !told.hidden);
    let page = changes(end.clone()).await;
    assert_gone(&page["messages"][0]);
    assert_gone(&visitor.get(&path).await.ok(200));
    let feed = visitor.comments().await;
    let ids: Vec<_> = feed.iter().map(|message| message["id"].clone()).collect();
    assert_eq!(ids, [before.clone(), id.clone(), after.clone()], "it keeps its place, as a tombstone does");
    assert_gone(&feed[1]);
    let worker = Browser::with(&format!("http://{}", world.gateway.http_addr()), Some(WORKER));
    assert_gone(&worker.get(&path).await.ok(200));
    let seen = browser.get(&path).await.ok(200);
    assert_eq!((&seen["text"], &seen["hidden"]), (&json!(SECRET), &json!(true)), "operators see it");
    let listed = browser.get("/api/admin/hidden").await.ok(200);
    assert_eq!((&listed["hidden"][0]["id"], &listed["more"]), (&id, &json!(false)));
    // Nor is it in what was told of it before.
    let listed = ListMessagesRequest {
        position: Some(Position::Cursor(format!("{}.0", end.split('.').next().unwrap()))),
        ..Default::default()
    };
    let told = world.grpc().await.raw().list_messages(listed).await.unwrap().into_inner().messages;
    assert!(told.iter().all(|message| message.text != SECRET), "{told:?}");

    assert_there(&restore(&browser, &id).await.ok(200)["message"]);
    assert_there(&stream.until("message").await.data);
    let told = watch.until(ChangeKind::Edited, id.as_str().unwrap()).await.message.unwrap();
    assert_eq!((told.text.as_str(), told.deleted), (SECRET, false));
    let page = changes(end).await;
    assert_gone(&page["messages"][0]);
    assert_there(&page["messages"][1]);
    assert_there(&visitor.get(&path).await.ok(200));
    assert_there(&visitor.comments().await[1]);
    assert_eq!(browser.get("/api/admin/hidden").await.ok(200)["hidden"], json!([]));
    hide(&browser, &id).await;
    hide(&browser, &id).await;
    restore(&browser, &id).await.ok(200);
    restore(&browser, &id).await.ok(200);
    let kinds: Vec<_> = acts(&browser).await.iter().map(|act| act["kind"].clone()).collect();
    assert_eq!(kinds, ["restore", "hide", "restore", "hide"], "what changes nothing is no act");
}

#[tokio::test]
async fn what_is_hidden_is_in_no_conversation_and_in_no_bots_context() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let asked = client.post(question_from("Ann", "echo", SECRET)).await.unwrap().id;
    let claimed = client.claim(&asked, "w").await.unwrap();
    client.complete(held(&claimed), reply("No pills here.")).await.unwrap();
    let request = HideMessageRequest { message_id: asked.clone(), reason: String::new() };
    client.raw().hide_message(request).await.unwrap();
    client.post(question_from("Ann", "echo", "And now?")).await.unwrap();
    let context = async || {
        let request =
            ClaimNextRequest { worker_id: "w".to_owned(), context_limit: 10, ..ClaimNextRequest::default() };
        let work = client.raw().claim_next(request).await.unwrap().into_inner().work.unwrap();
        let texts: Vec<_> = work.context.iter().map(|message| message.text.clone()).collect();
        client.release(held(&work)).await.unwrap();
        texts
    };
    assert_eq!(context().await, ["No pills here."]);
    let request = RestoreMessageRequest { message_id: asked, reason: String::new() };
    client.raw().restore_message(request).await.unwrap();
    assert_eq!(context().await, [SECRET, "No pills here."]);
}

#[tokio::test]
async fn work_in_a_hidden_message_is_called_off_and_handed_out_again_only_after_a_retry() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    let mut stream = client.stream(work("worker 1", &["echo"], 1)).await.unwrap();
    let in_work = json!(client.post(question("echo", "In work.")).await.unwrap().id);
    stream.work().await;
    let waits = json!(client.post(question("echo", "Waits.")).await.unwrap().id);
    hide(&browser, &waits).await;
    assert_eq!(waiting(&browser).await, [] as [Value; 0]);
    hide(&browser, &in_work).await;
    assert_eq!(json!(stream.cancelled().await), in_work);
    let failed = browser.get("/api/queue/failed").await.ok(200);
    assert_eq!(failed["failed"], json!([]), "there is nothing to retry as long as they are hidden");
    let refused = browser.post("/api/queue/retry", &json!({"messageId": waits})).await.problem(409);
    assert_eq!(refused["reason"], "HIDDEN");
    restore(&browser, &waits).await.ok(200);
    browser.post("/api/queue/retry", &json!({"messageId": waits})).await.ok(200);
    assert_eq!(json!(stream.work().await.message.unwrap().id), waits);
}

#[tokio::test]
async fn an_author_cannot_edit_what_is_hidden_and_still_deletes_it() {
    let world = world().await;
    let posted = say(&world, Visitor(ANN, "203.0.113.9"), SECRET).await;
    let token = posted["editToken"].as_str().unwrap();
    let author = Browser::with(&format!("http://{}", world.gateway.http_addr()), Some(token));
    hide(&world.browser(), &posted["id"]).await;
    let path = format!("/api/comments/{}", posted["id"].as_str().unwrap());
    for browser in [&author, &world.browser()] {
        let edit = browser.request(Method::PATCH, &path).json(&json!({"text": "Something else."}));
        assert_eq!(Answer::to(edit).await.problem(409)["reason"], "HIDDEN");
    }
    assert_gone(&Answer::to(author.request(Method::DELETE, &path)).await.ok(200));
    assert_eq!(restore(&world.browser(), &posted["id"]).await.problem(409)["reason"], "WRONG_STATUS");
    assert_eq!(world.browser().get(&path).await.ok(200)["text"], "", "its text is gone for operators, too");
    assert_eq!(world.browser().get("/api/admin/hidden").await.ok(200)["hidden"], json!([]));
}

#[tokio::test]
async fn a_message_stays_hidden_over_a_kill_and_can_be_shown_after_it() {
    let mut world = world().await;
    let browser = world.browser();
    let id = say(&world, Visitor(ANN, "203.0.113.9"), SECRET).await["id"].clone();
    hide(&browser, &id).await;
    world.queue.kill().await;
    world.queue.start_again_in_place().await;
    let ready = async { while browser.get("/readyz").await.status != 200 {} };
    within_deadline("the gateway to find the queue-service again", ready).await;
    let visitor = world.gateway.visitor();
    assert_gone(&visitor.comments().await[0]);
    let path = format!("/api/comments/{}", id.as_str().unwrap());
    assert_gone(&visitor.get(&path).await.ok(200));
    assert_eq!(browser.get("/api/admin/hidden").await.ok(200)["hidden"][0]["text"], SECRET);
    restore(&browser, &id).await.ok(200);
    assert_there(&visitor.comments().await[0]);
}
