//! In which order work is handed out, to whom, and how much of it.

use e2e::{
    Grpc, Service, WorkStream, World, held, offers, platform_post, question, question_from, reply, work,
};
use repartee_proto::v1::{BotAddress, ListPendingRequest, Message, NewMessage, Work};
use serde_json::json;

/// A question with this priority, of a conversation of its own.
fn urgent(text: &str, priority: u32) -> NewMessage {
    let plain = question("echo", text);
    let bot = BotAddress { priority: Some(priority), ..plain.bot.clone().expect("a question is addressed") };
    NewMessage { bot: Some(bot), ..plain }
}

fn text(work: &Work) -> &str {
    &work.message.as_ref().expect("work has a message").text
}

async fn post(client: &Grpc, message: NewMessage) -> Message {
    client.post(message).await.expect("the message is stored")
}

async fn next(client: &Grpc) -> Option<Work> {
    client.claim_next("worker 1", &[], 0).await.expect("claim-next answers")
}

#[tokio::test]
async fn higher_priority_comes_first_then_the_older_message() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    for (text, priority) in [("later", 5), ("last", 0), ("first", 99), ("second", 99), ("third", 50)] {
        post(&client, urgent(text, priority)).await;
    }
    post(&client, question("echo", "later still")).await;
    let order = ["first", "second", "third", "later", "later still", "last"];
    let listed: Vec<_> = client.pending("").await.unwrap().into_iter().map(|message| message.text).collect();
    assert_eq!(listed, order, "the list shows the order in which work is handed out");
    for expected in order {
        assert_eq!(text(&next(&client).await.unwrap()), expected);
    }
    assert_eq!(next(&client).await, None);
}

#[tokio::test]
async fn a_waiting_message_can_be_made_more_urgent() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    post(&client, question("echo", "early")).await;
    let late = post(&client, question("echo", "late")).await;
    let edit = repartee_proto::v1::UpdateMessageRequest {
        message_id: late.id,
        priority: Some(9),
        ..Default::default()
    };
    client.raw().update_message(edit).await.unwrap();
    assert_eq!(text(&next(&client).await.unwrap()), "late");
    assert_eq!(text(&next(&client).await.unwrap()), "early");
}

#[tokio::test]
async fn platform_posts_are_nobodys_work() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let stored = post(&client, platform_post("Ann", "Hello, all.")).await;
    assert_eq!(stored.bot_params, None);
    assert_eq!(next(&client).await, None);
    assert!(client.pending("").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_worker_gets_only_the_entities_that_it_answers() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    for entity in ["cat", "dog", "cow"] {
        post(&client, question(entity, entity)).await;
    }
    let claimed = client.claim_next("worker 1", &["cow", "dog"], 0).await.unwrap().unwrap();
    assert_eq!(text(&claimed), "dog", "the oldest among its entities");
    let mut stream = client.stream(work("worker 2", &["cow"], 5)).await.unwrap();
    assert_eq!(text(&stream.work().await), "cow");
    let request = ListPendingRequest { entity: "cat".to_owned(), limit: 0 };
    let listed = client.raw().list_pending(request).await.unwrap().into_inner().messages;
    assert_eq!(listed.len(), 1);
    assert_eq!(client.claim_next("worker 1", &["cow", "dog"], 0).await.unwrap(), None);
}

#[tokio::test]
async fn claim_next_waits_for_work_that_comes_later() {
    let queue = Service::queue_service(&[]).await;
    let (waiting, client) = (queue.grpc().await, queue.grpc().await);
    let waiter = tokio::spawn(async move { waiting.claim_next("worker 1", &["echo"], 25).await });
    post(&client, question("other", "not yours")).await;
    post(&client, question("echo", "yours")).await;
    let claimed = e2e::within_deadline("the waiting claim", waiter).await.unwrap().unwrap().unwrap();
    assert_eq!(text(&claimed), "yours");
}

#[tokio::test]
async fn two_quick_questions_of_one_conversation_are_answered_in_order() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut stream = client.stream(work("worker 1", &["echo"], 10)).await.unwrap();
    post(&client, question_from("Ann", "echo", "first")).await;
    post(&client, question_from("Ann", "echo", "second")).await;
    post(&client, question_from("Bob", "echo", "other")).await;
    let first = stream.work().await;
    assert_eq!(text(&first), "first");
    assert_eq!(text(&stream.work().await), "other", "the second question waits for the first answer");
    assert_eq!(next(&client).await, None, "claim-next holds to the same rule");
    client.complete(held(&first), reply("one")).await.unwrap();
    assert_eq!(text(&stream.work().await), "second");
}

#[tokio::test]
async fn a_claim_by_id_may_overtake_in_a_conversation() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    post(&client, question_from("Ann", "echo", "first")).await;
    let second = post(&client, question_from("Ann", "echo", "second")).await;
    assert_eq!(text(&next(&client).await.unwrap()), "first");
    client.claim(&second.id, "worker 2").await.unwrap();
}

#[tokio::test]
async fn a_god_mode_session_is_a_conversation_of_its_own() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let plain = question_from("Ann", "echo", "plain");
    let bot =
        |session: &str| BotAddress { session_id: Some(session.to_owned()), ..plain.bot.clone().unwrap() };
    let god =
        |session: &str| NewMessage { bot: Some(bot(session)), text: session.to_owned(), ..plain.clone() };
    for message in [plain.clone(), god("god 1"), god("god 2")] {
        post(&client, message).await;
    }
    let mut stream = client.stream(work("worker 1", &["echo"], 10)).await.unwrap();
    for expected in ["plain", "god 1", "god 2"] {
        let delivered = stream.work().await;
        assert_eq!(text(&delivered), expected, "no conversation waits for another");
        client.complete(held(&delivered), reply(expected)).await.unwrap();
    }
    let world = Service::gateway(&queue.grpc_url(), &[]).await;
    let path = "/api/conversation?humanUsername=Ann&humanColor=169080199&aiUsername=echo&aiColor=default";
    for (session, expected) in
        [("", "plain"), ("&sessionId=god%201", "god 1"), ("&sessionId=god%202", "god 2")]
    {
        let page = world.browser().get(&format!("{path}{session}")).await.ok(200);
        let texts: Vec<_> = page.as_array().unwrap().iter().map(|message| message["text"].clone()).collect();
        assert_eq!(texts, [json!(expected), json!(expected)], "question and answer, nothing else");
    }
}

#[tokio::test]
async fn work_brings_the_last_messages_of_its_conversation() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    for number in 1..=3 {
        post(&client, question_from("Ann", "echo", &format!("question {number}"))).await;
        let claimed = next(&client).await.unwrap();
        client.complete(held(&claimed), reply(&format!("answer {number}"))).await.unwrap();
    }
    post(&client, question_from("Bob", "echo", "from somebody else")).await;
    post(&client, question_from("Ann", "echo", "question 4")).await;
    let mut request = work("worker 1", &["echo"], 10);
    request.context_limit = 3;
    let mut stream = client.stream(request).await.unwrap();
    assert_eq!(stream.work().await.context, []);
    let delivered = stream.work().await;
    let context: Vec<_> = delivered.context.iter().map(|message| message.text.as_str()).collect();
    assert_eq!((text(&delivered), context), ("question 4", vec!["answer 2", "question 3", "answer 3"]));
}

#[tokio::test]
async fn offers_show_every_pending_message_to_every_stream() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let before = post(&client, question("echo", "before")).await;
    let mut streams = Vec::new();
    for number in 0..3 {
        let stream: WorkStream = client.stream(offers(&format!("worker {number}"), &["echo"])).await.unwrap();
        streams.push(stream);
    }
    post(&client, question("other", "not theirs")).await;
    let after = post(&client, question("echo", "after")).await;
    for stream in &mut streams {
        for expected in [&before, &after] {
            let offered = stream.work().await;
            assert_eq!(
                (offered.message.as_ref().map(|message| &message.id), offered.lease),
                (Some(&expected.id), None)
            );
        }
    }
    client.claim(&before.id, "worker 2").await.unwrap();
    client.claim(&before.id, "worker 1").await.unwrap_err();
}

#[tokio::test]
async fn the_worker_of_the_first_design_still_works() {
    let world = World::start().await;
    let browser = world.browser();
    let asked = browser.comment(&e2e::question_json("echo", "Still?")).await;
    let pending = browser.get("/api/queue/pending?limit=10").await.ok(200);
    let message = &pending["pending"][0];
    assert_eq!(message["id"], asked["id"]);

    let claim = json!({"messageId": message["id"], "workerId": "old worker"});
    let claimed = browser.post("/api/queue/claim", &claim).await.ok(200);
    assert_eq!(claimed["success"], true);
    assert_eq!(claimed["message"]["botParams"]["claimedBy"], "old worker");
    let answer = json!({
        "domain": message["domain"], "text": "Still.", "username": message["botParams"]["aiUsername"],
        "color": message["botParams"]["aiColor"], "message-type": "AI", "replyTo": message["id"],
    });
    let answered = browser.comment(&answer).await;
    let complete = json!({"messageId": message["id"], "workerId": "old worker"});
    assert_eq!(browser.post("/api/queue/complete", &complete).await.ok(200)["success"], true);

    let comments = browser.comments().await;
    assert_eq!(comments.len(), 2);
    assert_eq!((&comments[0]["id"], &comments[1]["id"]), (&asked["id"], &answered["id"]));
    assert_eq!(comments[0]["botParams"]["status"], "complete");
    assert_eq!(comments[1]["replyTo"], asked["id"]);
}

#[tokio::test]
async fn claim_next_over_json_brings_context_and_204_where_there_is_nothing() {
    let world = World::start().await;
    let browser = world.browser();
    let request = json!({"workerId": "w", "entities": ["echo"], "contextLimit": 5});
    let nothing = browser.post("/api/queue/claim-next", &request).await;
    assert_eq!((nothing.status, nothing.body.len()), (204, 0));
    browser.comment(&e2e::question_json("echo", "Now?")).await;
    let claimed = browser.post("/api/queue/claim-next", &request).await.ok(200);
    assert_eq!((&claimed["message"]["text"], &claimed["context"]), (&json!("Now?"), &json!([])));
    let token = claimed["lease"]["token"].as_str().unwrap();
    assert_eq!(token.len(), 32, "128 bits in hex");
    let renew = json!({"messageId": claimed["message"]["id"], "leaseToken": token});
    browser.post("/api/queue/renew", &renew).await.ok(200);
    let complete =
        json!({"messageId": claimed["message"]["id"], "leaseToken": token, "reply": {"text": "Now."}});
    let completed = browser.post("/api/queue/complete", &complete).await.ok(200);
    let reply =
        browser.get(&format!("/api/comments/{}", completed["replyId"].as_str().unwrap())).await.ok(200);
    assert_eq!(reply["text"], "Now.");
}
