//! Posting, reading, changing and removing comments.

use repartee_proto::v1::{self, list_messages_request::Position};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Answer, World, kv_stats, message};

fn page(messages: Vec<v1::Message>) -> v1::ListMessagesResponse {
    v1::ListMessagesResponse {
        messages,
        next_cursor: "e1.1841".to_owned(),
        more: true,
        kv_stats: kv_stats(3, 0),
        ..v1::ListMessagesResponse::default()
    }
}

fn message_json(id: &str) -> Value {
    json!({
        "id": id, "timestamp": 1_762_025_642_726_i64, "seq": 1841, "domain": "test.example",
        "text": "Why is space black?", "username": "Human", "color": "169080199",
        "message-type": "human", "replyTo": null, "eqScore": 0,
        "botParams": {
            "status": "pending", "priority": 5, "entity": "fear-and-loathing", "aiUsername": "FearAndLoathing",
            "aiColor": "080175220", "sessionId": null, "claimedBy": null, "claimedAt": null, "completedAt": null,
            "attempts": 0, "error": null,
        },
    })
}

#[tokio::test]
async fn a_page_is_a_bare_array_with_its_position_in_headers() {
    let world = World::start().await;
    world.queue.answer(page(vec![message("a"), message("b")]));
    let answer = world.get("/api/comments?domain=test.example&after=17&limit=2").await;
    assert_eq!(answer.json(200), json!([message_json("a"), message_json("b")]));
    assert_eq!(answer.header("x-next-cursor"), "e1.1841");
    assert_eq!(answer.header("x-more"), "true");
    assert_eq!(answer.header("x-storage-reads"), "3");
    assert_eq!(answer.header("cache-control"), "public, max-age=0, s-maxage=1");
    let asked: v1::ListMessagesRequest = world.queue.asked();
    assert_eq!(asked.domain, "test.example");
    assert_eq!((asked.position, asked.limit), (Some(Position::After(17)), 2));
}

#[tokio::test]
async fn since_is_after_and_zero_is_the_newest_page() {
    let world = World::start().await;
    world.queue.answer(page(vec![]));
    for (query, position) in [
        ("", None),
        ("?after=0", None),
        ("?since=0", None),
        ("?since=5", Some(Position::After(5))),
        ("?since=5&after=5", Some(Position::After(5))),
    ] {
        world.get(&format!("/api/comments{query}")).await.json(200);
        let asked: v1::ListMessagesRequest = world.queue.asked();
        assert_eq!(asked.position, position, "{query}");
    }
    assert_eq!(world.get("/api/comments?since=5&after=6").await.pointers(), ["/since"]);
}

#[tokio::test]
async fn going_back_asks_for_the_newest_messages_before_another() {
    let world = World::start().await;
    world.queue.answer(v1::ListMessagesResponse { more: true, ..page(vec![message("m1")]) });
    let answer = world.get("/api/comments?domain=test.example&beforeId=m17&limit=2").await;
    assert_eq!(answer.json(200), Value::from(vec![message_json("m1")]));
    assert_eq!((answer.header("x-more"), answer.header("x-next-cursor")), ("true", ""));
    let asked: v1::ListMessagesRequest = world.queue.asked();
    let position = Some(Position::BeforeId("m17".to_owned()));
    assert_eq!(asked, v1::ListMessagesRequest { domain: "test.example".into(), limit: 2, position });
    for wrong in ["beforeId=m17&after=5", "beforeId=m17&since=5"] {
        assert_eq!(world.get(&format!("/api/comments?{wrong}")).await.pointers(), ["/beforeId"], "{wrong}");
    }
}

#[tokio::test]
async fn a_page_that_the_client_has_is_not_sent_again() {
    let world = World::start().await;
    world.queue.answer(page(vec![message("a")]));
    let tag = world.get("/api/comments").await.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag} is not strong");
    for asked in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let request = world.request(Method::GET, "/api/comments").header("if-none-match", &asked);
        let answer = Answer::to(request).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{asked}");
        assert_eq!(answer.header("etag"), tag);
        assert_eq!(answer.header("x-next-cursor"), "e1.1841");
        assert!(answer.header("cache-control").starts_with("public"));
    }
    world.queue.answer(page(vec![message("b")]));
    let request = world.request(Method::GET, "/api/comments").header("if-none-match", &tag);
    let answer = Answer::to(request).await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.header("etag"), tag);
}

#[tokio::test]
async fn a_reset_is_never_cached() {
    let world = World::start().await;
    world.queue.answer(v1::ListMessagesResponse { reset: true, ..page(vec![message("a")]) });
    let answer = world.get("/api/comments?after=1").await;
    assert_eq!(answer.json(200), json!([message_json("a")]));
    assert_eq!((answer.header("cache-control"), answer.header("etag")), ("no-store", ""));
}

#[tokio::test]
async fn a_posted_comment_is_answered_with_its_place_and_its_edit_token() {
    let world = World::start().await;
    world.queue.answer(v1::PostMessageResponse {
        message: Some(message("m1")),
        edit_token: "secret".to_owned(),
        ..Default::default()
    });
    let body = json!({
        "text": "Why?", "username": "Human", "color": "1", "domain": "test.example", "message-type": "human",
        "replyTo": "m0", "eqScore": 7,
        "botParams": {"entity": "echo", "priority": 9, "aiUsername": "Echo", "aiColor": "2", "sessionId": "s",
            "status": "pending"},
    });
    let request = world.request(Method::POST, "/api/comments").header("idempotency-key", "k-1").json(&body);
    let answer = Answer::to(request).await;
    let expected = json!({
        "id": "m1", "timestamp": 1_762_025_642_726_i64, "seq": 1841, "status": "success", "editToken": "secret",
        "message": message_json("m1"),
    });
    assert_eq!(answer.json(201), expected);
    assert_eq!(answer.header("location"), "comments/m1", "relative to /api/comments");
    assert_eq!(answer.header("idempotent-replayed"), "");
    let asked: v1::PostMessageRequest = world.queue.asked();
    assert_eq!(asked.idempotency_key.as_deref(), Some("k-1"));
    let sent = asked.message.unwrap();
    assert_eq!(sent.message_type(), v1::MessageType::Human);
    assert_eq!((sent.text.as_str(), sent.reply_to.as_deref(), sent.eq_score), ("Why?", Some("m0"), 7));
    let bot = sent.bot.unwrap();
    assert_eq!(
        (bot.entity.as_str(), bot.priority, bot.ai_username.as_deref()),
        ("echo", Some(9), Some("Echo"))
    );
    assert_eq!((bot.ai_color.as_deref(), bot.session_id.as_deref()), (Some("2"), Some("s")));
}

#[tokio::test]
async fn a_gateway_without_a_token_takes_no_answer_for_a_proof_of_its_clients_tokens() {
    let limits = ["--client-posts", "1/1h", "--client-post-burst", "1"];
    // With one, the queue-service has judged the client's token: its holder has no limits of visitors.
    for (world, second) in
        [(World::start_with(&limits).await, 201), (World::without_token(&limits).await, 429)]
    {
        for status in [201, second] {
            world
                .queue
                .answer(v1::PostMessageResponse { message: Some(message("m1")), ..Default::default() });
            let request = world.request(Method::POST, "/api/comments").bearer_auth("rpt_made_up");
            let answer =
                Answer::to(request.json(&json!({"text": "a", "username": "b", "domain": "c"}))).await;
            assert_eq!(answer.status, status, "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_replayed_post_says_so() {
    let world = World::start().await;
    let posted =
        v1::PostMessageResponse { message: Some(message("m1")), replayed: true, ..Default::default() };
    world.queue.answer(posted);
    let body = json!({"text": "a", "username": "b", "domain": "c"});
    let answer = world.post("/api/comments", body).await;
    assert_eq!((answer.status, answer.header("idempotent-replayed")), (201, "true"));
}

#[tokio::test]
async fn an_ai_message_names_the_human_of_its_conversation() {
    let world = World::start().await;
    world.queue.answer(v1::PostMessageResponse { message: Some(message("m1")), ..Default::default() });
    let body = json!({
        "text": "a", "username": "b", "domain": "c", "messageType": "AI", "humanUsername": "H", "humanColor": "1",
        "sessionId": "s", "botParams": null,
    });
    world.post("/api/comments", body).await.json(201);
    let sent = world.queue.asked::<v1::PostMessageRequest>().message.unwrap();
    assert_eq!(sent.message_type(), v1::MessageType::Ai);
    assert_eq!((sent.human_username.as_deref(), sent.human_color.as_deref()), (Some("H"), Some("1")));
    assert_eq!((sent.session_id.as_deref(), sent.bot), (Some("s"), None));
}

#[tokio::test]
async fn one_comment_is_read_by_its_id() {
    let world = World::start().await;
    world.queue.answer(v1::GetMessageResponse { message: Some(message("ä/b")), kv_stats: kv_stats(1, 0) });
    let answer = world.get("/api/comments/%C3%A4%2Fb").await;
    assert_eq!(answer.json(200), message_json("ä/b"));
    assert_eq!(answer.header("x-storage-reads"), "1");
    assert_eq!(world.queue.asked::<v1::GetMessageRequest>().message_id, "ä/b");
}

#[tokio::test]
async fn a_comment_is_changed_with_the_token_of_its_author() {
    let world = World::start().await;
    world.queue.answer(v1::UpdateMessageResponse { message: Some(message("m1")) });
    let body = json!({"text": "b", "eqScore": -3, "botParams": {"status": "complete", "priority": 1}});
    let request = world.request(Method::PATCH, "/api/comments/m1").bearer_auth("token").json(&body);
    assert_eq!(Answer::to(request).await.json(200), message_json("m1"));
    assert_eq!(world.queue.metadata("x-repartee-authorization"), "Bearer token");
    let asked: v1::UpdateMessageRequest = world.queue.asked();
    assert_eq!((asked.message_id.as_str(), asked.text.as_deref()), ("m1", Some("b")));
    assert_eq!((asked.eq_score, asked.priority), (Some(-3), Some(1)));
    assert_eq!(asked.status, Some(v1::Status::Complete.into()));
}

#[tokio::test]
async fn a_change_that_contradicts_itself_is_refused() {
    let world = World::start().await;
    let body = json!({"status": "complete", "botParams": {"status": "failed"}});
    assert_eq!(world.patch("/api/comments/m1", body).await.pointers(), ["/botParams/status"]);
    let body = json!({"priority": 1, "botParams": {"priority": 2}});
    assert_eq!(world.patch("/api/comments/m1", body).await.pointers(), ["/botParams/priority"]);
    assert_eq!(world.queue.calls(), 0);
}

#[tokio::test]
async fn a_removed_comment_leaves_a_tombstone() {
    let world = World::start().await;
    let tombstone = v1::Message { text: String::new(), deleted: true, ..message("m1") };
    world.queue.answer(v1::DeleteMessageResponse { message: Some(tombstone) });
    let answer = Answer::to(world.request(Method::DELETE, "/api/comments/m1").bearer_auth("token")).await;
    let tombstone = answer.json(200);
    assert_eq!((&tombstone["text"], &tombstone["deleted"]), (&json!(""), &json!(true)));
    assert_eq!(world.queue.asked::<v1::DeleteMessageRequest>().message_id, "m1");
}

#[tokio::test]
async fn a_conversation_is_named_by_both_sides() {
    let world = World::start().await;
    world.queue.answer(v1::GetConversationResponse {
        messages: vec![message("a")],
        kv_stats: kv_stats(1, 0),
        more: true,
    });
    let query = "humanUsername=H:1&humanColor=%23aaa&aiUsername=A+I&aiColor=&sessionId=s&limit=7";
    let answer = world.get(&format!("/api/conversation?{query}")).await;
    assert_eq!(answer.json(200), json!([message_json("a")]));
    assert_eq!((answer.header("x-storage-reads"), answer.header("x-more")), ("1", "true"));
    let asked: v1::GetConversationRequest = world.queue.asked();
    assert_eq!((asked.human_username.as_str(), asked.human_color.as_str()), ("H:1", "#aaa"));
    assert_eq!((asked.ai_username.as_str(), asked.ai_color.as_str()), ("A I", ""));
    assert_eq!((asked.session_id.as_deref(), asked.limit), (Some("s"), 7));
}
