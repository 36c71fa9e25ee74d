//! Who may do what: everybody reads and posts; the author edits; workers and operators are whoever calls from this machine,
//! through however many proxies, and whoever has the token of operators where there is one.

use e2e::{Answer, Grpc, Refused, World, held, platform_post, question, question_json, reply};
use futures_util::stream::iter;
use repartee_proto::v1::{
    CancelMessageRequest, ClaimMessageRequest, ClaimNextRequest, CompleteMessageRequest,
    CompleteMessagesRequest, DeleteMessageRequest, FailMessageRequest, GetMessageRequest, GetStatsRequest,
    ListFailedRequest, ListMessagesRequest, ListPendingRequest, PostMessageRequest, ReleaseMessageRequest,
    RenewLeasesRequest, RetryMessageRequest, StreamDraftRequest, StreamPendingRequest, UpdateMessageRequest,
    WatchMessagesRequest,
};
use reqwest::Method;
use serde_json::json;
use tonic::{Code, Request, Status};

/// Somebody elsewhere, as a proxy on this machine tells it.
const ELSEWHERE: &str = "203.0.113.7";

/// A queue-service with a token of operators.
const WITH_TOKEN: [&str; 2] = ["--admin-token", "of-the-house"];

/// The request as a proxy passes it on for `peer`, with an Authorization header where there is a token.
fn passed_on<T>(message: T, peer: &str, token: Option<&str>) -> Request<T> {
    let mut request = from(message, token);
    request.metadata_mut().insert("x-forwarded-for", peer.parse().expect("an address is metadata"));
    request
}

/// The request as its caller sends it.
fn from<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let bearer = format!("Bearer {token}");
        request.metadata_mut().insert("authorization", bearer.parse().expect("a token is metadata"));
    }
    request
}

fn elsewhere<T>(message: T) -> Request<T> {
    passed_on(message, ELSEWHERE, None)
}

fn some_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn code<T: std::fmt::Debug>(outcome: Result<T, Status>) -> Code {
    outcome.map_or_else(|status| Refused::from(&status).code, |_| Code::Ok)
}

/// What every call of workers and operators answers somebody elsewhere.
async fn work_and_operate(client: &Grpc, token: Option<&str>) -> [Code; 15] {
    fn elsewhere<T>(message: T, token: Option<&str>) -> Request<T> {
        passed_on(message, ELSEWHERE, token)
    }
    let mut raw = client.raw();
    [
        code(raw.claim_message(elsewhere(ClaimMessageRequest::default(), token)).await),
        code(raw.claim_next(elsewhere(ClaimNextRequest::default(), token)).await),
        code(raw.renew_leases(elsewhere(RenewLeasesRequest::default(), token)).await),
        code(raw.release_message(elsewhere(ReleaseMessageRequest::default(), token)).await),
        code(raw.complete_message(elsewhere(CompleteMessageRequest::default(), token)).await),
        code(raw.complete_messages(elsewhere(CompleteMessagesRequest::default(), token)).await),
        code(raw.fail_message(elsewhere(FailMessageRequest::default(), token)).await),
        code(raw.retry_message(elsewhere(RetryMessageRequest::default(), token)).await),
        code(raw.cancel_message(elsewhere(CancelMessageRequest::default(), token)).await),
        code(raw.stream_pending(elsewhere(StreamPendingRequest::default(), token)).await.map(drop)),
        code(raw.list_failed(elsewhere(ListFailedRequest::default(), token)).await),
        code(raw.get_stats(elsewhere(GetStatsRequest::default(), token)).await),
        code(
            raw.update_message(elsewhere(
                UpdateMessageRequest { message_id: some_id(), eq_score: Some(1), ..Default::default() },
                token,
            ))
            .await,
        ),
        code(raw.delete_message(elsewhere(DeleteMessageRequest { message_id: some_id() }, token)).await),
        code(raw.stream_draft(elsewhere(iter([StreamDraftRequest::default()]), token)).await),
    ]
}

#[tokio::test]
async fn calls_of_workers_and_operators_are_refused_to_callers_elsewhere() {
    for settings in [&[][..], &WITH_TOKEN] {
        let world = World::with(settings, &[]).await;
        let codes = work_and_operate(&world.grpc().await, None).await;
        assert_eq!(codes, [Code::Unauthenticated; 15], "{settings:?}");
    }
}

#[tokio::test]
async fn with_the_token_a_caller_elsewhere_may_do_what_local_callers_may() {
    let world = World::with(&WITH_TOKEN, &[]).await;
    let client = world.grpc().await;
    let refused = work_and_operate(&client, Some("of-another-house")).await;
    assert_eq!(refused, [Code::PermissionDenied; 15]);
    let heard = work_and_operate(&client, Some("of-the-house")).await;
    let judged = |code: &Code| matches!(code, Code::Unauthenticated | Code::PermissionDenied);
    assert!(!heard.iter().any(judged), "{heard:?}");
    assert_eq!(heard[10..12], [Code::Ok; 2], "failed messages and statistics");

    let posted = client.post_with_key(platform_post("Ann", "Mine."), None).await.unwrap();
    let id = posted.message.unwrap().id;
    for (token, expected) in [
        (None, Code::Unauthenticated),
        (Some("of-another-house"), Code::PermissionDenied),
        (Some("of-the-house"), Code::Ok),
        (Some(&*posted.edit_token), Code::Ok),
    ] {
        assert_eq!(edit(&client, &id, token).await, expected, "{token:?}");
    }
}

#[tokio::test]
async fn where_there_is_a_token_a_wrong_one_is_refused_to_local_callers_too_and_none_is_fine() {
    let world = World::with(&WITH_TOKEN, &[]).await;
    let client = world.grpc().await;
    let id = client.post(platform_post("Ann", "Mine.")).await.unwrap().id;
    let edit = UpdateMessageRequest { message_id: id, eq_score: Some(1), ..Default::default() };
    for (token, expected) in [
        (None, Code::Ok),
        (Some("of-another-house"), Code::PermissionDenied),
        (Some("of-the-house"), Code::Ok),
    ] {
        let mut raw = client.raw();
        let asked = code(raw.get_stats(from(GetStatsRequest::default(), token)).await);
        let changed = code(raw.update_message(from(edit.clone(), token)).await);
        assert_eq!((asked, changed), (expected, expected), "{token:?}");
    }
}

#[tokio::test]
async fn where_there_is_no_token_a_local_caller_that_asks_for_itself_may_send_any() {
    let world = World::start().await;
    let client = world.grpc().await;
    let id = client.post(platform_post("Ann", "Mine.")).await.unwrap().id;
    let edit = UpdateMessageRequest { message_id: id, eq_score: Some(1), ..Default::default() };
    let mut raw = client.raw();
    let token = Some("of-the-house");
    assert_eq!(code(raw.update_message(from(edit.clone(), token)).await), Code::Ok);
    let for_another = passed_on(edit, "127.0.0.1", token);
    assert_eq!(code(raw.update_message(for_another).await), Code::PermissionDenied);
}

#[tokio::test]
async fn callers_elsewhere_may_post_and_read() {
    let world = World::start().await;
    let client = world.grpc().await;
    let mut raw = client.raw();
    let post = PostMessageRequest { message: Some(platform_post("Human", "Hello.")), idempotency_key: None };
    let message_id = raw.post_message(elsewhere(post)).await.unwrap().into_inner().message.unwrap().id;
    let codes = [
        code(raw.get_message(elsewhere(GetMessageRequest { message_id })).await),
        code(raw.list_messages(elsewhere(ListMessagesRequest::default())).await),
        code(raw.list_pending(elsewhere(ListPendingRequest::default())).await),
        code(raw.watch_messages(elsewhere(WatchMessagesRequest::default())).await.map(drop)),
    ];
    assert_eq!(codes, [Code::Ok; 4]);
}

#[tokio::test]
async fn a_caller_is_local_only_where_every_proxy_on_the_way_is() {
    let world = World::start().await;
    let client = world.grpc().await;
    let mut raw = client.raw();
    let chains = [
        ("127.0.0.1", Code::Ok),
        ("127.0.0.1, ::1", Code::Ok),
        ("127.0.0.1, 203.0.113.7", Code::Unauthenticated),
        ("203.0.113.7, 127.0.0.1", Code::Unauthenticated),
        ("unknown", Code::Unauthenticated),
    ];
    for (chain, expected) in chains {
        assert_eq!(
            code(raw.get_stats(passed_on(GetStatsRequest::default(), chain, None)).await),
            expected,
            "{chain}"
        );
    }
}

/// Edits the message as somebody elsewhere.
async fn edit(client: &Grpc, message_id: &str, token: Option<&str>) -> Code {
    let edit = UpdateMessageRequest {
        message_id: message_id.to_owned(),
        text: Some("Edited.".to_owned()),
        ..UpdateMessageRequest::default()
    };
    code(client.raw().update_message(passed_on(edit, ELSEWHERE, token)).await)
}

#[tokio::test]
async fn an_edit_token_opens_its_own_message_and_no_other() {
    let world = World::start().await;
    let client = world.grpc().await;
    let mine = client.post_with_key(platform_post("Ann", "Mine."), None).await.unwrap();
    let other = client.post_with_key(platform_post("Bob", "Mine."), None).await.unwrap();
    let id = mine.message.unwrap().id;
    assert_eq!(edit(&client, &id, Some(&other.edit_token)).await, Code::PermissionDenied);
    assert_eq!(edit(&client, &id, Some("garbage")).await, Code::PermissionDenied);
    assert_eq!(client.get(&id).await.unwrap().text, "Mine.");
    assert_eq!(edit(&client, &id, Some(&mine.edit_token)).await, Code::Ok);
    assert_eq!(client.get(&id).await.unwrap().text, "Edited.");
}

#[tokio::test]
async fn a_wrong_token_is_refused_to_local_callers_too() {
    let world = World::start().await;
    let posted = world.browser().comment(&question_json("echo", "Mine.")).await;
    let path = format!("/api/comments/{}", posted["id"].as_str().unwrap());
    let patch = world
        .browser()
        .request(Method::PATCH, &path)
        .bearer_auth("garbage")
        .json(&json!({"text": "Edited."}));
    Answer::to(patch).await.problem(403);
}

#[tokio::test]
async fn over_json_the_same_rules_hold() {
    let world = World::start().await;
    let browser = world.browser();
    let send = async |method: Method, path: &str, body: serde_json::Value, token: Option<&str>| {
        let request = browser.request(method, path).header("x-forwarded-for", ELSEWHERE);
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        Answer::to(if body.is_null() { request } else { request.json(&body) }).await
    };
    let posted = send(Method::POST, "/api/comments", question_json("echo", "Mine?"), None).await.ok(201);
    let (id, token) = (posted["id"].as_str().unwrap(), posted["editToken"].as_str().unwrap());
    let path = format!("/api/comments/{id}");
    let claim = json!({"messageId": id, "workerId": "worker 1"});
    let lease = json!({"messageId": id, "leaseToken": "0123456789abcdef0123456789abcdef"});
    let failure = json!({"messageId": id, "leaseToken": "0123456789abcdef0123456789abcdef", "error": "why"});
    let message = json!({"messageId": id});
    for (path, body) in [
        ("/api/queue/claim", &claim),
        ("/api/queue/claim-next", &json!({"workerId": "worker 1"})),
        ("/api/queue/renew", &lease),
        ("/api/queue/release", &lease),
        ("/api/queue/fail", &failure),
        ("/api/queue/complete", &lease),
        ("/api/queue/retry", &message),
        ("/api/queue/cancel", &message),
    ] {
        send(Method::POST, path, body.clone(), None).await.problem(401);
    }
    for path in ["/api/queue/failed", "/api/stats", "/api/admin/history", "/api/admin/chart/depth", "/admin"]
    {
        send(Method::GET, path, json!(null), None).await.problem(401);
    }
    send(Method::PATCH, &path, json!({"text": "Edited?"}), None).await.problem(401);
    send(Method::DELETE, &path, json!(null), None).await.problem(401);
    send(Method::DELETE, &path, json!(null), Some("garbage")).await.problem(403);
    send(Method::GET, &path, json!(null), None).await.ok(200);
    let edited = send(Method::PATCH, &path, json!({"text": "Edited?"}), Some(token)).await.ok(200);
    assert_eq!(edited["text"], "Edited?");
    let tombstone = send(Method::DELETE, &path, json!(null), Some(token)).await.ok(200);
    assert_eq!(tombstone["text"], "");
}

#[tokio::test]
async fn a_bots_reply_is_not_edited_with_the_questions_token() {
    let world = World::start().await;
    let client = world.grpc().await;
    let posted = client.post_with_key(question("echo", "Well?"), None).await.unwrap();
    let work = client.claim_next("worker 1", &[], 0).await.unwrap().unwrap();
    let reply_id = client.complete(held(&work), reply("Well.")).await.unwrap().reply_id.unwrap();
    assert_eq!(edit(&client, &reply_id, Some(&posted.edit_token)).await, Code::PermissionDenied);
}

#[tokio::test]
async fn a_page_of_another_site_is_not_a_local_caller() {
    let world = World::start().await;
    let id = world.grpc().await.post(question("echo", "Well?")).await.unwrap().id;
    let (http, grpc) = (world.gateway.http_addr(), world.queue.grpc_addr());
    let client = reqwest::Client::new();
    let remove = || client.delete(format!("http://{http}/api/comments/{id}"));
    for (name, value) in
        [("origin", "http://evil.example"), ("host", "evil.example"), ("forwarded", "for=203.0.113.7")]
    {
        let refused = remove().header(name, value).send().await.unwrap();
        assert_eq!(refused.status(), 401, "{name}: {value}");
    }
    let simple = client.post(format!("http://{grpc}/repartee.v1.QueueService/DeleteMessage"));
    let body = [&[0, 0, 0, 0, 38, 10, 36], id.as_bytes()].concat();
    let refused = simple.header("content-type", "text/plain").body(body.clone()).send().await.unwrap();
    assert_eq!(refused.status(), 415);
    let named = client.post(format!("http://{grpc}/repartee.v1.QueueService/DeleteMessage"));
    let named = named.header("content-type", "application/grpc").header("origin", "http://evil.example");
    assert_eq!(named.body(body).send().await.unwrap().status(), 403);
    assert!(!world.grpc().await.get(&id).await.unwrap().deleted, "nothing was done");
}
