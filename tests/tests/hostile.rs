//! What a client should never send. Each gets a clear refusal that names what is wrong, and nothing is stored.

use e2e::{Answer, Grpc, Refused, World, platform_post, question, question_json, within_deadline};
use prost::Message as _;
use repartee_proto::v1::{
    BotAddress, GetConversationRequest, NewMessage, PostMessageRequest, PostMessageResponse,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{Code, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

/// The number of the newest change: it stays the same where nothing is stored.
async fn tail(client: &Grpc) -> u64 {
    client.stats().await.expect("an operator sees the stats").tail_seq
}

async fn send(world: &World, body: impl Into<Vec<u8>>) -> Answer {
    let post =
        world.browser().request(Method::POST, "/api/comments").header("content-type", "application/json");
    Answer::to(post.body(body.into())).await
}

#[tokio::test]
async fn wrong_types_are_refused_with_a_pointer_to_the_member() {
    let world = World::start().await;
    let wrong = [
        ("/text", json!({"domain": "d", "username": "u", "text": 7})),
        ("/text", json!({"domain": "d", "username": "u", "text": null})),
        ("/text", json!({"domain": "d", "username": "u", "text": ["a"]})),
        ("/username", json!({"domain": "d", "username": {"name": "u"}, "text": "t"})),
        ("/domain", json!({"domain": true, "username": "u", "text": "t"})),
        ("/eqScore", json!({"domain": "d", "username": "u", "text": "t", "eqScore": "high"})),
        ("/eqScore", json!({"domain": "d", "username": "u", "text": "t", "eqScore": 99_999_999_999_u64})),
        ("/botParams", json!({"domain": "d", "username": "u", "text": "t", "botParams": "echo"})),
        (
            "/botParams/priority",
            json!({"domain": "d", "username": "u", "text": "t", "botParams": {"entity": "e", "priority": -1}}),
        ),
        (
            "/botParams/priority",
            json!({"domain": "d", "username": "u", "text": "t", "botParams": {"entity": "e", "priority": 1.5}}),
        ),
    ];
    for (pointer, body) in wrong {
        assert_eq!(world.browser().post("/api/comments", &body).await.pointers(400), [pointer], "{body}");
    }
    for body in ["null", "7", "\"text\"", "[]", "[{}]", "true"] {
        send(&world, body).await.problem(400);
    }
    assert_eq!(tail(&world.grpc().await).await, 0);
}

#[tokio::test]
async fn unknown_members_are_refused_with_a_pointer_to_them() {
    let world = World::start().await;
    let mut top = question_json("echo", "Well?");
    top["colour"] = json!("red");
    let mut inner = question_json("echo", "Well?");
    inner["botParams"]["temperature"] = json!(1);
    let mut forged = question_json("echo", "Well?");
    forged["id"] = json!("0b5ba6a4-6c5e-4a6c-9d1f-4f1f5a7f1a11");
    for (pointer, body) in [("/colour", top), ("/botParams/temperature", inner), ("/id", forged)] {
        assert_eq!(world.browser().post("/api/comments", &body).await.pointers(400), [pointer], "{body}");
    }
    let claim = json!({"messageId": "x", "workerId": "w", "force": true});
    assert_eq!(world.browser().post("/api/queue/claim", &claim).await.pointers(400), ["/force"]);
    assert_eq!(tail(&world.grpc().await).await, 0);
}

#[tokio::test]
async fn bad_utf8_and_nul_are_refused_over_json() {
    let world = World::start().await;
    let bad = b"{\"domain\":\"d\",\"username\":\"u\",\"text\":\"\xff\xfe\"}";
    send(&world, bad.to_vec()).await.problem(400);
    let half_a_pair = r#"{"domain":"d","username":"u","text":"\ud800"}"#;
    send(&world, half_a_pair).await.problem(400);
    for (member, pointer) in [("text", "/text"), ("username", "/username"), ("domain", "/domain")] {
        let mut body = json!({"domain": "d", "username": "u", "text": "t"});
        body[member] = json!("a\0b");
        assert_eq!(world.browser().post("/api/comments", &body).await.pointers(400), [pointer], "{body}");
    }
    for path in
        ["/api/comments/%00", "/api/comments/%ff", "/api/comments?domain=%ff", "/api/comments?domain=%00"]
    {
        let answer = world.browser().get(path).await;
        answer.problem(if answer.status == 404 { 404 } else { 400 });
    }
    assert_eq!(tail(&world.grpc().await).await, 0);
}

/// A post whose text is bytes: what a client sends that does not check its strings.
#[derive(Clone, PartialEq, prost::Message)]
struct RawPost {
    #[prost(message, optional, tag = "1")]
    message: Option<RawMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawMessage {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(bytes, tag = "2")]
    text: Vec<u8>,
    #[prost(string, tag = "3")]
    username: String,
}

#[tokio::test]
async fn bad_utf8_is_refused_over_grpc() {
    let world = World::start().await;
    let channel =
        tonic::transport::Endpoint::from_shared(world.queue.grpc_url()).unwrap().connect().await.unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let message = RawMessage { domain: "d".to_owned(), text: vec![0xff, 0xfe], username: "u".to_owned() };
    let codec = ProstCodec::<RawPost, PostMessageResponse>::default();
    let path = PathAndQuery::from_static("/repartee.v1.QueueService/PostMessage");
    let request = tonic::Request::new(RawPost { message: Some(message) });
    let status = client.unary(request, path, codec).await.unwrap_err();
    assert!(matches!(status.code(), Code::Internal | Code::InvalidArgument), "{status:?}");
    assert_eq!(tail(&world.grpc().await).await, 0);
}

#[tokio::test]
async fn an_empty_request_is_refused_by_every_call_that_needs_one() {
    let world = World::start().await;
    let client = world.grpc().await;
    assert!(PostMessageRequest::default().encode_to_vec().is_empty());
    let status = client.raw().post_message(PostMessageRequest::default()).await.unwrap_err();
    let refusal = Refused::from(&status);
    assert_eq!((refusal.code, refusal.fields), (Code::InvalidArgument, vec!["message".to_owned()]));
    for path in ["claim", "claim-next", "renew", "release", "fail", "complete", "retry", "cancel"] {
        let answer = world.browser().post(&format!("/api/queue/{path}"), &json!({})).await;
        assert!(!answer.pointers(400).is_empty(), "{path}");
    }
}

#[tokio::test]
async fn names_of_ten_thousand_characters_and_huge_bodies_are_refused() {
    let world = World::start().await;
    let browser = world.browser();
    let long = "n".repeat(10_000);
    for member in ["username", "domain", "color"] {
        let mut body = question_json("echo", "Well?");
        body[member] = json!(long);
        assert_eq!(browser.post("/api/comments", &body).await.pointers(400), [format!("/{member}")]);
    }
    let claim = json!({"messageId": "x", "workerId": long});
    let answer = browser.post("/api/queue/claim", &claim).await;
    answer.problem(if answer.status == 404 { 404 } else { 400 });
    for length in [70_000, 1 << 20] {
        send(&world, format!("{{\"text\":\"{}\"}}", "x".repeat(length))).await.problem(413);
    }

    let huge = NewMessage { text: "x".repeat(8 << 20), ..platform_post("Human", "") };
    let status = world.grpc().await.post(huge).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted | Code::InvalidArgument),
        "{status:?}"
    );
    assert_eq!(tail(&world.grpc().await).await, 0);
}

#[tokio::test]
async fn a_huge_body_that_is_announced_is_refused_without_waiting_for_it() {
    let world = World::with(&[], &["--request-timeout", "1s"]).await;
    let mut connection = TcpStream::connect(world.gateway.http_addr()).await.unwrap();
    let head = "POST /api/comments HTTP/1.1\r\nHost: test.example\r\nContent-Type: application/json\r\n\
                Content-Length: 10000000000\r\n\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    within_deadline("the refusal", connection.read_exact(&mut status)).await.unwrap();
    assert_eq!(str::from_utf8(&status).unwrap(), "HTTP/1.1 413");
}

#[tokio::test]
async fn deep_nesting_and_doubled_members_are_refused() {
    let world = World::start().await;
    let deep = format!("{{\"text\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    send(&world, deep).await.problem(400);
    send(&world, "[".repeat(30_000)).await.problem(400);
    let doubled = r#"{"domain":"d","username":"u","text":"one","text":"two"}"#;
    send(&world, doubled).await.problem(400);
    assert_eq!(tail(&world.grpc().await).await, 0);
}

#[tokio::test]
async fn what_looks_like_code_is_stored_and_shown_as_it_was_written() {
    let world = World::start().await;
    for text in [
        "<script>alert(1)</script>",
        "'; DROP TABLE messages; --",
        "../../etc/passwd",
        "{{7*7}}",
        "\u{202e}evil",
    ] {
        let posted = world.browser().comment(&question_json("echo", text)).await;
        assert_eq!(posted["message"]["text"], text);
    }
    let texts = world.browser().get("/api/comments").await;
    assert_eq!(texts.header("x-content-type-options"), "nosniff");
    assert_eq!(texts.header("content-type"), "application/json");
}

/// A question by `human` to `ai`, whose two names are all that tells its conversation.
fn between(human: &str, ai: &str) -> NewMessage {
    let bot =
        BotAddress { entity: "echo".to_owned(), ai_username: Some(ai.to_owned()), ..BotAddress::default() };
    NewMessage { username: human.to_owned(), color: String::new(), bot: Some(bot), ..question("echo", human) }
}

#[tokio::test]
async fn colons_in_names_never_make_two_conversations_meet() {
    let world = World::start().await;
    let client = world.grpc().await;
    let pairs = [
        ("a:b", "c"),
        ("a", "b:c"),
        ("a:", ":b:c"),
        ("a", "::"),
        ("a:default", "echo"),
        ("a\\", "b"),
        ("a", "\\b"),
    ];
    for (human, ai) in pairs {
        client.post(between(human, ai)).await.unwrap();
    }
    for (human, ai) in pairs {
        let request = GetConversationRequest {
            human_username: human.to_owned(),
            ai_username: ai.to_owned(),
            ai_color: "default".to_owned(),
            ..GetConversationRequest::default()
        };
        let messages = client.raw().get_conversation(request).await.unwrap().into_inner().messages;
        let texts: Vec<_> = messages.iter().map(|message| message.text.as_str()).collect();
        assert_eq!(texts, [human], "the conversation of {human:?} and {ai:?}");
    }
}

#[tokio::test]
async fn a_session_and_a_color_are_not_taken_for_parts_of_a_name() {
    let world = World::start().await;
    let client = world.grpc().await;
    let plain = between("Ann", "echo");
    let mut session = plain.clone();
    session.bot.as_mut().unwrap().session_id = Some("default".to_owned());
    let colored = NewMessage { color: "default".to_owned(), ..plain.clone() };
    for message in [plain, session, colored] {
        client.post(message).await.unwrap();
    }
    for (query, count) in [
        ("humanUsername=Ann&humanColor=&aiUsername=echo&aiColor=default", 1),
        ("humanUsername=Ann&humanColor=&aiUsername=echo&aiColor=default&sessionId=default", 1),
        ("humanUsername=Ann&humanColor=default&aiUsername=echo&aiColor=default", 1),
        ("humanUsername=ann&humanColor=&aiUsername=echo&aiColor=default", 0),
    ] {
        let page: Value = world.browser().get(&format!("/api/conversation?{query}")).await.ok(200);
        assert_eq!(page.as_array().unwrap().len(), count, "{query}");
    }
}
