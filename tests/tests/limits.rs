//! Every limit of what a client may send over gRPC: a refusal names the field, and nothing is stored.

use e2e::{Refused, Service, held, platform_post, question, reply, seconds, work};
use repartee_proto::v1::{
    BotAddress, ClaimNextRequest, GetConversationRequest, LeaseRef, ListMessagesRequest, MessageType,
    NewMessage, PostMessagesRequest, RenewLeasesRequest, StreamPendingRequest, UpdateMessageRequest,
    list_messages_request::Position,
};
use tonic::{Code, Status};
use uuid::Uuid;

/// The one field that a refused request is told to correct.
fn wrong_field<T: std::fmt::Debug>(outcome: Result<T, Status>) -> String {
    let status = outcome.expect_err("the call must be refused");
    let refusal = Refused::from(&status);
    assert_eq!(refusal.code, Code::InvalidArgument, "{status:?}");
    let [field] = refusal.fields.as_slice() else { panic!("one field is at fault: {status:?}") };
    field.clone()
}

#[tokio::test]
async fn a_message_that_breaks_a_limit_is_refused_by_the_name_of_the_field() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let (good, long) = (platform_post("Human", "Hello."), |length: usize| "x".repeat(length));
    let bot = BotAddress { entity: "echo".to_owned(), ..BotAddress::default() };
    let asked = |bot| NewMessage { bot: Some(bot), ..good.clone() };
    let ai = NewMessage { message_type: MessageType::Ai.into(), ..good.clone() };
    let wrong = [
        ("message.domain", NewMessage { domain: String::new(), ..good.clone() }),
        ("message.domain", NewMessage { domain: long(256), ..good.clone() }),
        ("message.text", NewMessage { text: String::new(), ..good.clone() }),
        ("message.text", NewMessage { text: long(16_385), ..good.clone() }),
        ("message.text", NewMessage { text: "a\0b".to_owned(), ..good.clone() }),
        ("message.username", NewMessage { username: String::new(), ..good.clone() }),
        ("message.username", NewMessage { username: long(65), ..good.clone() }),
        ("message.message_type", NewMessage { message_type: -1, ..good.clone() }),
        ("message.message_type", NewMessage { message_type: 7, ..good.clone() }),
        ("message.reply_to", NewMessage { reply_to: Some(Uuid::new_v4().to_string()), ..good.clone() }),
        ("message.bot", NewMessage { bot: Some(bot.clone()), ..ai.clone() }),
        ("message.bot.entity", asked(BotAddress { entity: String::new(), ..bot.clone() })),
        ("message.bot.entity", asked(BotAddress { entity: long(65), ..bot.clone() })),
        ("message.bot.priority", asked(BotAddress { priority: Some(100), ..bot.clone() })),
        ("message.bot.ai_username", asked(BotAddress { ai_username: Some(long(65)), ..bot.clone() })),
        ("message.bot.session_id", asked(BotAddress { session_id: Some(long(65)), ..bot.clone() })),
    ];
    for (field, message) in wrong {
        assert_eq!(wrong_field(client.post(message).await), field);
    }
    let id = Uuid::new_v4();
    for spelled in [id.braced().to_string(), id.simple().to_string(), id.urn().to_string(), format!(" {id}")]
    {
        assert_eq!(wrong_field(client.get(&spelled).await), "message_id", "{spelled}");
        let reply = NewMessage { reply_to: Some(spelled), ..good.clone() };
        assert_eq!(wrong_field(client.post(reply).await), "message.reply_to");
    }
    for key in [String::new(), long(256)] {
        assert_eq!(wrong_field(client.post_with_key(good.clone(), Some(&key)).await), "idempotency_key");
    }
    assert_eq!(client.stats().await.unwrap().tail_seq, 0, "nothing was stored");
}

#[tokio::test]
async fn a_color_that_is_none_is_refused_wherever_one_is_taken() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let good = question("echo", "Well?");
    let spoken = NewMessage {
        message_type: MessageType::Ai.into(),
        human_username: Some("Ann".to_owned()),
        human_color: Some("default".to_owned()),
        ..platform_post("echo", "Hello.")
    };
    let pair = |human_color: &str, ai_color: &str| GetConversationRequest {
        human_username: "Ann".to_owned(),
        human_color: human_color.to_owned(),
        ai_username: "echo".to_owned(),
        ai_color: ai_color.to_owned(),
        ..GetConversationRequest::default()
    };
    for color in
        ["1", "red", "#a950c7", "256000000", "1690801990", " 169080199", "Default", "\u{661}69080199"]
    {
        let posted = client.post(NewMessage { color: color.to_owned(), ..good.clone() }).await;
        assert_eq!(wrong_field(posted), "message.color", "{color:?}");
        let mut asked = good.clone();
        asked.bot.as_mut().unwrap().ai_color = Some(color.to_owned());
        assert_eq!(wrong_field(client.post(asked).await), "message.bot.ai_color", "{color:?}");
        let of_human = NewMessage { human_color: Some(color.to_owned()), ..spoken.clone() };
        assert_eq!(wrong_field(client.post(of_human).await), "message.human_color", "{color:?}");
        let read = client.raw().get_conversation(pair(color, "default")).await;
        assert_eq!(wrong_field(read), "human_color", "{color:?}");
        let read = client.raw().get_conversation(pair("169080199", color)).await;
        assert_eq!(wrong_field(read), "ai_color", "{color:?}");
    }
    assert_eq!(client.stats().await.unwrap().tail_seq, 0, "nothing was stored");
    for color in ["", "default", "000000000", "255255255"] {
        let posted = client.post(NewMessage { color: color.to_owned(), ..good.clone() }).await.unwrap();
        assert_eq!(posted.color, color, "as it was sent");
    }
}

#[tokio::test]
async fn who_does_not_say_what_speaks_is_a_human() {
    let queue = Service::queue_service(&[]).await;
    let message =
        NewMessage { message_type: MessageType::Unspecified.into(), ..platform_post("Ann", "Hello.") };
    let posted = queue.grpc().await.post(message).await.unwrap();
    assert_eq!(posted.message_type(), MessageType::Human);
}

#[tokio::test]
async fn a_default_that_is_written_out_is_the_same_request() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let first = client.post(platform_post("Ann", "First.")).await.unwrap();
    let bare = NewMessage { reply_to: Some(first.id.clone()), ..question("echo", "Well?") };
    let bare = NewMessage { message_type: MessageType::Unspecified.into(), ..bare };
    let bot = BotAddress { entity: "echo".to_owned(), ..BotAddress::default() };
    let bare = NewMessage { bot: Some(bot.clone()), ..bare };
    let posted = client.post_with_key(bare.clone(), Some("key")).await.unwrap();
    let spelled_out = BotAddress {
        priority: Some(5),
        ai_username: Some(" echo ".to_owned()),
        ai_color: Some("default".to_owned()),
        ..bot.clone()
    };
    for (what, message) in [
        ("the bot's", NewMessage { bot: Some(spelled_out), ..bare.clone() }),
        ("the type", NewMessage { message_type: MessageType::Human.into(), ..bare.clone() }),
        ("the id's case", NewMessage { reply_to: Some(first.id.to_uppercase()), ..bare.clone() }),
    ] {
        let again = client.post_with_key(message, Some("key")).await.unwrap();
        assert!(again.replayed && again.message == posted.message, "{what}");
    }
    let urgent = NewMessage { bot: Some(BotAddress { priority: Some(6), ..bot }), ..bare };
    assert!(client.post_with_key(urgent, Some("key")).await.is_err(), "another priority is another request");
}

#[tokio::test]
async fn the_longest_allowed_values_are_stored() {
    let queue = Service::queue_service(&[]).await;
    let wide = |length: usize| "ß".repeat(length);
    let bot = BotAddress {
        entity: wide(64),
        priority: Some(99),
        session_id: Some(wide(64)),
        ..BotAddress::default()
    };
    let longest = NewMessage {
        domain: wide(255),
        text: wide(8_192),
        username: wide(64),
        color: "255255255".to_owned(),
        bot: Some(bot),
        ..platform_post("Human", "")
    };
    let stored =
        queue.grpc().await.post_with_key(longest.clone(), Some(&wide(255))).await.unwrap().message.unwrap();
    assert_eq!(
        (stored.text, stored.username, stored.domain),
        (longest.text, longest.username, longest.domain)
    );
}

#[tokio::test]
async fn a_workers_call_that_breaks_a_limit_is_refused_by_the_name_of_the_field() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let id = client.post(question("echo", "Well?")).await.unwrap().id;
    let many = vec!["echo".to_owned(); 101];
    for worker in [String::new(), "x".repeat(65)] {
        assert_eq!(wrong_field(client.claim(&id, &worker).await), "worker_id");
        assert_eq!(wrong_field(client.claim_next(&worker, &[], 0).await), "worker_id");
        assert_eq!(wrong_field(client.stream(work(&worker, &["echo"], 1)).await), "worker_id");
    }
    for lease in [4, 601, -1] {
        assert_eq!(wrong_field(client.claim_for(&id, "worker 1", lease).await), "lease");
    }
    assert_eq!(wrong_field(client.claim_next("worker 1", &[], 26).await), "wait");
    let next = ClaimNextRequest { worker_id: "worker 1".to_owned(), ..ClaimNextRequest::default() };
    let too_many = ClaimNextRequest { entities: many.clone(), ..next.clone() };
    assert_eq!(wrong_field(client.raw().claim_next(too_many).await), "entities");
    let too_much = ClaimNextRequest { context_limit: 101, ..next };
    assert_eq!(wrong_field(client.raw().claim_next(too_much).await), "context_limit");

    let stream = work("worker 1", &["echo"], 1);
    let wrong = [
        ("session_id", StreamPendingRequest { session_id: String::new(), ..stream.clone() }),
        ("entities", StreamPendingRequest { entities: many, ..stream.clone() }),
        ("mode", StreamPendingRequest { mode: 9, ..stream.clone() }),
        ("max_in_flight", StreamPendingRequest { max_in_flight: 1_001, ..stream.clone() }),
        ("lease", StreamPendingRequest { lease: seconds(601), ..stream.clone() }),
        ("context_limit", StreamPendingRequest { context_limit: 101, ..stream }),
    ];
    for (field, request) in wrong {
        assert_eq!(wrong_field(client.stream(request).await), field);
    }
    assert_eq!(client.get(&id).await.unwrap().bot_params.unwrap().attempts, 0, "nothing was claimed");
}

#[tokio::test]
async fn a_finish_that_breaks_a_limit_is_refused_and_the_claim_lives_on() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let id = client.post(question("echo", "Well?")).await.unwrap().id;
    let lease = held(&client.claim(&id, "worker 1").await.unwrap());
    for text in [String::new(), "x".repeat(16_385), "a\0b".to_owned()] {
        assert_eq!(wrong_field(client.complete(lease.clone(), reply(&text)).await), "reply.text");
    }
    for error in [String::new(), "x".repeat(1_025)] {
        assert_eq!(wrong_field(client.fail(lease.clone(), &error, None).await), "error");
    }
    assert_eq!(wrong_field(client.fail(lease.clone(), "why", Some(86_401)).await), "retry_after");
    let nobody = LeaseRef { lease_token: String::new(), ..lease.clone() };
    assert_eq!(wrong_field(client.complete(nobody, reply("Well.")).await), "lease.lease_token");
    let none = RenewLeasesRequest { leases: Vec::new(), lease: None };
    assert_eq!(wrong_field(client.raw().renew_leases(none).await), "leases");
    client.complete(lease, reply("Well.")).await.unwrap();
}

#[tokio::test]
async fn a_page_or_batch_beyond_its_limit_is_refused() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    assert_eq!(wrong_field(client.list(None, 1_001).await), "limit");
    assert_eq!(wrong_field(client.list(Some(Position::After(-1)), 0).await), "after");
    let long = ListMessagesRequest { domain: "x".repeat(256), ..ListMessagesRequest::default() };
    assert_eq!(wrong_field(client.raw().list_messages(long).await), "domain");
    assert_eq!(
        wrong_field(client.raw().post_messages(PostMessagesRequest { items: Vec::new() }).await),
        "items"
    );
    let items = vec![Default::default(); 257];
    assert_eq!(wrong_field(client.raw().post_messages(PostMessagesRequest { items }).await), "items");
}

#[tokio::test]
async fn an_edit_that_breaks_a_limit_is_refused_by_the_name_of_the_field() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let message_id = client.post(question("echo", "Well?")).await.unwrap().id;
    let edit = UpdateMessageRequest { message_id, ..UpdateMessageRequest::default() };
    let wrong = [
        (
            "message_id",
            UpdateMessageRequest { message_id: "no id".to_owned(), eq_score: Some(1), ..edit.clone() },
        ),
        ("text", edit.clone()),
        ("text", UpdateMessageRequest { text: Some(String::new()), ..edit.clone() }),
        ("text", UpdateMessageRequest { text: Some("x".repeat(16_385)), ..edit.clone() }),
        ("priority", UpdateMessageRequest { priority: Some(100), ..edit.clone() }),
        ("status", UpdateMessageRequest { status: Some(0), ..edit.clone() }),
        ("status", UpdateMessageRequest { status: Some(9), ..edit }),
    ];
    for (field, edit) in wrong {
        assert_eq!(wrong_field(client.raw().update_message(edit).await), field);
    }
    assert_eq!(client.stats().await.unwrap().tail_seq, 1, "nothing was changed");
}
