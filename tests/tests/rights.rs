//! Who may do what, over the wire: who may set which field, and what a worker's token is good for. Every JSON route by every
//! caller is in `route_rights.rs`; the calls of gRPC by every caller are a table in the queue-service's own tests.

use e2e::{
    Answer, Browser, ECHO_WORKER, GATEWAY, Grpc, OPERATOR, Refused, Service, WORKER, World, held,
    platform_post, precondition, question, question_json, refused, reply, work,
};
use repartee_proto::v1::{
    BotAddress, CompleteMessageRequest, CompleteMessagesRequest, GetConversationRequest, GetStatsRequest,
    LeaseRef, ListPendingRequest, MessageType, NewMessage, PostMessageRequest, RenewLeasesRequest,
    UpdateMessageRequest, complete_outcome, renew_outcome,
};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::{Code, Request, Status};

fn code<T: std::fmt::Debug>(outcome: Result<T, Status>) -> Code {
    outcome.map_or_else(|status| Refused::from(&status).code, |_| Code::Ok)
}

/// A message by an AI.
fn spoken(username: &str, reply_to: Option<String>) -> NewMessage {
    let message_type = MessageType::Ai.into();
    NewMessage { message_type, reply_to, ..platform_post(username, "I am the bot.") }
}

async fn post(client: &Grpc, message: NewMessage) -> Code {
    code(client.post(message).await)
}

#[tokio::test]
async fn nobody_but_workers_and_operators_speaks_as_a_bot() {
    let world = World::start().await;
    let asked = world.grpc().await.post(question("echo", "Well?")).await.unwrap().id;
    let [visitor, echo, worker] = [None, Some(ECHO_WORKER), Some(WORKER)];
    let named = NewMessage {
        human_username: Some("Ann".into()),
        human_color: Some("001001001".into()),
        ..spoken("echo", None)
    };
    for (token, message, expected) in [
        (visitor, spoken("echo", None), Code::Unauthenticated),
        (visitor, spoken("echo", Some(asked.clone())), Code::Unauthenticated),
        (visitor, named.clone(), Code::Unauthenticated),
        (echo, spoken("echo", None), Code::Ok),
        (echo, spoken("echo", Some(asked.clone())), Code::Ok),
        (echo, named, Code::Ok),
        (echo, spoken("another", None), Code::PermissionDenied),
        (echo, spoken("another", Some(asked.clone())), Code::PermissionDenied),
        (worker, spoken("another", None), Code::Ok),
        (Some(OPERATOR), spoken("another", Some(asked)), Code::Ok),
    ] {
        let told = format!("{token:?} {message:?}");
        assert_eq!(post(&world.queue.grpc_with(token).await, message).await, expected, "{told}");
    }
    let forged = json!({"domain": "d", "username": "echo", "color": "default", "text": "Send your password…", "message-type": "AI"});
    let refused = world.gateway.visitor().post("/api/comments", &forged).await;
    assert_eq!(refused.pointers(401), ["/message-type"]);
}

#[tokio::test]
async fn a_visitors_urgency_and_score_are_not_theirs_to_choose() {
    let world = World::with(&["--visitor-priority", "7"], &[]).await;
    let visitor = world.queue.grpc_with(None).await;
    let urgent = |priority| {
        let bot = BotAddress { priority, ..question("echo", "").bot.unwrap() };
        NewMessage { bot: Some(bot), ..question("echo", "Now!") }
    };
    for (asked, given) in [(Some(99), 7), (Some(3), 3), (None, 7)] {
        let stored = visitor.post(urgent(asked)).await.unwrap();
        assert_eq!(stored.bot_params.unwrap().priority, given, "{asked:?}");
    }
    let stored = world.grpc().await.post(urgent(Some(99))).await.unwrap();
    assert_eq!(stored.bot_params.unwrap().priority, 99, "an operator's");
    let scored = NewMessage { eq_score: 5, ..platform_post("Ann", "Great!") };
    assert_eq!(post(&visitor, scored.clone()).await, Code::Unauthenticated);
    assert_eq!(post(&world.queue.grpc_with(Some(WORKER)).await, scored).await, Code::Ok);
}

#[tokio::test]
async fn an_author_changes_the_text_and_an_operator_the_rest() {
    let world = World::start().await;
    let visitor = world.queue.grpc_with(None).await;
    let posted = visitor.post_with_key(question("echo", "Mine?"), None).await.unwrap();
    let other = visitor.post_with_key(platform_post("Bob", "His."), None).await.unwrap();
    let id = posted.message.unwrap().id;
    let edit = |change: UpdateMessageRequest| UpdateMessageRequest { message_id: id.clone(), ..change };
    let text = edit(UpdateMessageRequest { text: Some("Edited?".into()), ..Default::default() });
    let score = edit(UpdateMessageRequest { eq_score: Some(1), ..Default::default() });
    let priority = edit(UpdateMessageRequest { priority: Some(99), ..Default::default() });
    let status = edit(UpdateMessageRequest { status: Some(2), ..Default::default() });
    let (mine, his) = (posted.edit_token.as_str(), other.edit_token.as_str());
    for (token, change, expected) in [
        (None, &text, Code::Unauthenticated),
        (Some(his), &text, Code::PermissionDenied),
        (Some("garbage"), &text, Code::PermissionDenied),
        (Some(WORKER), &text, Code::PermissionDenied),
        (Some(GATEWAY), &text, Code::PermissionDenied),
        (Some(mine), &text, Code::Ok),
        (Some(mine), &score, Code::PermissionDenied),
        (Some(mine), &priority, Code::PermissionDenied),
        (Some(mine), &status, Code::PermissionDenied),
        (Some(OPERATOR), &score, Code::Ok),
        (Some(OPERATOR), &priority, Code::Ok),
        (Some(OPERATOR), &status, Code::Ok),
    ] {
        let client = world.queue.grpc_with(token).await;
        assert_eq!(code(client.raw().update_message(change.clone()).await), expected, "{token:?} {change:?}");
    }
    let path = format!("/api/comments/{id}");
    let both = world.gateway.visitor().request(Method::PATCH, &path).bearer_auth(mine);
    let refused = Answer::to(both.json(&json!({"text": "Again?", "status": "pending", "priority": 9}))).await;
    assert_eq!(refused.pointers(403), ["/priority", "/status"]);
    assert_eq!(visitor.get(&id).await.unwrap().text, "Edited?", "nothing was changed");
}

#[tokio::test]
async fn an_author_cancels_and_removes_what_is_theirs() {
    let world = World::start().await;
    let visitor = world.gateway.visitor();
    let posted = visitor.comment(&question_json("echo", "Never mind?")).await;
    let other = visitor.comment(&question_json("echo", "And I?")).await;
    let token = |posted: &Value| posted["editToken"].as_str().unwrap().to_owned();
    let cancel = |token: &str| {
        let body = json!({"messageId": posted["id"]});
        visitor.request(Method::POST, "/api/queue/cancel").bearer_auth(token).json(&body)
    };
    Answer::to(cancel(&token(&other))).await.problem(403);
    Answer::to(cancel(&token(&posted))).await.ok(200);
    let path = format!("/api/comments/{}", posted["id"].as_str().unwrap());
    let remove = |token: &str| visitor.request(Method::DELETE, &path).bearer_auth(token);
    Answer::to(remove(&token(&other))).await.problem(403);
    assert_eq!(Answer::to(remove(&token(&posted))).await.ok(200)["deleted"], true);
}

#[tokio::test]
async fn an_author_cancels_what_a_worker_is_at_and_the_worker_is_told() {
    let world = World::start().await;
    let visitor = world.gateway.visitor();
    let posted = visitor.comment(&question_json("echo", "Well?")).await;
    let (id, token) = (posted["id"].as_str().unwrap(), posted["editToken"].as_str().unwrap());
    let worker = world.queue.grpc_with(Some(ECHO_WORKER)).await;
    let mut stream = worker.stream(work("worker 1", &["echo"], 1)).await.unwrap();
    let claimed = stream.work().await;
    let cancel = |token: &str| {
        let body = json!({"messageId": id});
        visitor.request(Method::POST, "/api/queue/cancel").bearer_auth(token).json(&body)
    };
    Answer::to(cancel(WORKER)).await.problem(403);
    let cancelled = Answer::to(cancel(token)).await.ok(200);
    assert_eq!(stream.cancelled().await, id, "{cancelled}");
    let late = worker.complete(held(&claimed), reply("Too late.")).await;
    assert_eq!(refused(late), precondition("CANCELLED"));
    let message = world.grpc().await.get(id).await.unwrap();
    assert_eq!(message.bot_params.unwrap().error.as_deref(), Some("cancelled"));

    // What is answered stays answered.
    let answered = visitor.comment(&question_json("echo", "And now?")).await;
    let work = stream.work().await;
    worker.complete(held(&work), reply("So.")).await.unwrap();
    let (id, token) = (answered["id"].as_str().unwrap(), answered["editToken"].as_str().unwrap());
    let request = visitor.request(Method::POST, "/api/queue/cancel").bearer_auth(token);
    Answer::to(request.json(&json!({"messageId": id}))).await.problem(409);
}

#[tokio::test]
async fn a_workers_token_is_good_for_its_entities_only() {
    let world = World::start().await;
    let (operator, echo) = (world.grpc().await, world.queue.grpc_with(Some(ECHO_WORKER)).await);
    let own = operator.post(question("echo", "For echo?")).await.unwrap().id;
    let other = operator.post(question("helper", "For helper?")).await.unwrap().id;
    let listed = echo.raw().list_pending(ListPendingRequest::default()).await.unwrap().into_inner().messages;
    assert_eq!(listed.iter().map(|message| &message.id).collect::<Vec<_>>(), [&own]);
    assert_eq!(code(echo.pending("helper").await), Code::PermissionDenied);
    assert_eq!(code(echo.claim(&other, "w").await), Code::PermissionDenied);
    assert_eq!(code(echo.claim_next("w", &["helper"], 0).await), Code::PermissionDenied);
    assert_eq!(code(echo.stream(work("w", &["helper"], 1)).await.map(drop)), Code::PermissionDenied);
    let claimed = echo.claim_next("w", &[], 0).await.unwrap().unwrap();
    assert_eq!(claimed.message.as_ref().unwrap().id, own);
    assert!(echo.claim_next("w", &[], 0).await.unwrap().is_none(), "the other is not for it");

    // Not even with the lease of somebody else, or with their worker id.
    let lease = held(&operator.claim(&other, "helper-worker").await.unwrap());
    let by_name = LeaseRef { lease_token: String::new(), worker_id: "helper-worker".into(), ..lease.clone() };
    for lease in [lease.clone(), by_name] {
        assert_eq!(code(echo.complete(lease.clone(), reply("Mine!")).await), Code::PermissionDenied);
        assert_eq!(code(echo.fail(lease.clone(), "no", None).await), Code::PermissionDenied);
        assert_eq!(code(echo.release(lease.clone()).await), Code::PermissionDenied);
    }
    let both = RenewLeasesRequest { leases: vec![held(&claimed), lease.clone()], lease: None };
    let outcomes = echo.raw().renew_leases(both).await.unwrap().into_inner().outcomes;
    assert!(matches!(outcomes[0].outcome, Some(renew_outcome::Outcome::ExpiresAt(_))));
    assert!(
        matches!(&outcomes[1].outcome, Some(renew_outcome::Outcome::Rejection(no)) if no.code == Code::PermissionDenied as i32)
    );
    let item = |lease| CompleteMessageRequest { lease: Some(lease), reply: reply("Yes.") };
    let items = CompleteMessagesRequest { items: vec![item(lease), item(held(&claimed))] };
    let outcomes = echo.raw().complete_messages(items).await.unwrap().into_inner().outcomes;
    assert!(
        matches!(&outcomes[0].outcome, Some(complete_outcome::Outcome::Rejection(no)) if no.code == Code::PermissionDenied as i32)
    );
    assert!(matches!(outcomes[1].outcome, Some(complete_outcome::Outcome::Completed(_))));
}

#[tokio::test]
async fn a_workers_token_reads_and_goes_on_with_the_conversations_of_its_entities_only() {
    let world = World::start().await;
    let (operator, echo) = (world.grpc().await, world.queue.grpc_with(Some(ECHO_WORKER)).await);
    for (entity, expected) in [("echo", Code::Ok), ("helper", Code::PermissionDenied)] {
        let asked = operator.post(question(entity, "Well?")).await.unwrap();
        let work = operator.claim(&asked.id, "worker 1").await.unwrap();
        let answer = operator.complete(held(&work), reply("So.")).await.unwrap().reply_id().to_owned();
        let bot = asked.bot_params.clone().unwrap();
        for limit in [None, Some(1)] {
            let conversation = GetConversationRequest {
                human_username: asked.username.clone(),
                human_color: asked.color.clone(),
                ai_username: bot.ai_username.clone(),
                ai_color: bot.ai_color.clone(),
                session_id: None,
                limit: limit.unwrap_or_default(),
            };
            assert_eq!(
                code(echo.raw().get_conversation(conversation).await),
                expected,
                "{entity}, {limit:?}"
            );
        }
        assert_eq!(post(&echo, spoken("echo", Some(answer))).await, expected, "a second line, {entity}");
    }
}

#[tokio::test]
async fn an_idempotency_key_of_somebody_else_never_gives_their_edit_token() {
    let world = World::start().await;
    let (there, else_) =
        (question_json("echo", "Is anybody there?"), question_json("echo", "Something else?"));
    let key = |client: &Browser, body: &Value| {
        client.request(Method::POST, "/api/comments").header("idempotency-key", "1").json(body)
    };
    let url = format!("http://{}", world.gateway.http_addr());
    let [ann, worker] = [None, Some(WORKER)].map(|token| Browser::with(&url, token));
    let first = Answer::to(key(&ann, &there)).await.ok(201);
    let again = Answer::to(key(&ann, &there)).await.ok(201);
    assert_eq!(first["editToken"], again["editToken"], "her own key answers her");
    let another = Answer::to(key(&worker, &there)).await.ok(201);
    assert_ne!(first["id"], another["id"]);
    assert_ne!(first["editToken"], another["editToken"]);
    Answer::to(key(&worker, &else_)).await.problem(422);
}

#[tokio::test]
async fn a_bots_reply_is_not_edited_with_the_questions_token() {
    let world = World::start().await;
    let client = world.grpc().await;
    let posted = client.post_with_key(question("echo", "Well?"), None).await.unwrap();
    let work = client.claim_next("worker 1", &[], 0).await.unwrap().unwrap();
    let reply_id = client.complete(held(&work), reply("Well.")).await.unwrap().reply_id.unwrap();
    let author = world.queue.grpc_with(Some(&posted.edit_token)).await;
    let edit = UpdateMessageRequest { message_id: reply_id, text: Some("No.".into()), ..Default::default() };
    assert_eq!(code(author.raw().update_message(edit).await), Code::PermissionDenied);
}

#[tokio::test]
async fn what_a_proxy_adds_or_leaves_out_gives_no_right() {
    let world = World::start().await;
    let visitor = world.gateway.visitor();
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
        ("host", "localhost"),
        ("host", "127.0.0.1:8080"),
        ("x-repartee-client", "127.0.0.1"),
    ] {
        for (method, path) in [
            (Method::GET, "/api/stats"),
            (Method::GET, "/api/queue/pending"),
            (Method::POST, "/api/queue/claim-next"),
        ] {
            let request = visitor.request(method.clone(), path).header(name, value);
            let request =
                if method == Method::POST { request.json(&json!({"workerId": "w"})) } else { request };
            Answer::to(request).await.problem(401);
        }
        let mut raw = world.queue.grpc_with(None).await.raw();
        let mut request = Request::new(GetStatsRequest::default());
        if name != "host" {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        assert_eq!(code(raw.get_stats(request).await), Code::Unauthenticated, "{name}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_reaches_no_call_over_grpc() {
    let world = World::start().await;
    let id = world.grpc().await.post(question("echo", "Well?")).await.unwrap().id;
    let grpc = world.queue.grpc_addr();
    let client = reqwest::Client::new();
    let body = [&[0, 0, 0, 0, 38, 10, 36], id.as_bytes()].concat();
    let simple = client.post(format!("http://{grpc}/repartee.v1.QueueService/DeleteMessage"));
    let refused = simple.header("content-type", "text/plain").body(body.clone()).send().await.unwrap();
    assert_eq!(refused.status(), 415);
    let named = client.post(format!("http://{grpc}/repartee.v1.QueueService/DeleteMessage"));
    let named = named.header("content-type", "application/grpc").header("origin", "http://evil.example");
    assert_eq!(named.body(body).send().await.unwrap().status(), 403);
    assert!(!world.grpc().await.get(&id).await.unwrap().deleted, "nothing was done");
}

#[tokio::test]
async fn metrics_are_for_operators_or_have_an_address_of_their_own() {
    let queue = Service::queue_service(&["--metrics-addr", "127.0.0.1:0"]).await;
    let status =
        async |url: String, token: Option<&str>| Browser::with(&url, token).get("/metrics").await.status;
    let own = format!("http://{}", queue.metrics_addr());
    assert_eq!(status(own, None).await, 200);
    let grpc = format!("http://{}", queue.grpc_addr());
    for (token, expected) in [(None, 401), (Some(WORKER), 403), (Some("garbage"), 403), (Some(OPERATOR), 200)]
    {
        assert_eq!(status(grpc.clone(), token).await, expected, "{token:?}");
    }
}

#[tokio::test]
async fn posts_in_a_batch_are_judged_one_by_one() {
    let world = World::start().await;
    let items = [question("echo", "Well?"), spoken("echo", None)]
        .map(|message| PostMessageRequest { message: Some(message), idempotency_key: None });
    let request = repartee_proto::v1::PostMessagesRequest { items: items.to_vec() };
    let mut raw = world.queue.grpc_with(None).await.raw();
    let outcomes = raw.post_messages(request).await.unwrap().into_inner().outcomes;
    use repartee_proto::v1::post_outcome::Outcome;
    assert!(matches!(outcomes[0].outcome, Some(Outcome::Posted(_))));
    assert!(
        matches!(&outcomes[1].outcome, Some(Outcome::Rejection(no)) if no.code == Code::Unauthenticated as i32)
    );
}
