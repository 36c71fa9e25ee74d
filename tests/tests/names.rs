//! Names: two spellings of one name are one name everywhere, and no name hides what it is. Over the wire.

use e2e::{Grpc, Refused, Service, World, platform_post, question, work};
use repartee_proto::v1::{
    BotAddress, GetConversationRequest, ListMessagesRequest, NewMessage, PostMessageRequest,
};
use serde_json::{Value, json};
use tonic::{Code, Request, Status};

/// Percent-encodes a query value.
fn encoded(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn comment(domain: &str, username: &str) -> Value {
    json!({"domain": domain, "username": username, "color": "169080199", "text": "cafe\u{301}"})
}

#[tokio::test]
async fn a_domain_is_the_same_in_every_spelling_whoever_asks_for_it_and_however() {
    let world = World::start().await;
    let (browser, client) = (world.browser(), world.grpc().await);
    let (composed, decomposed) = ("caf\u{e9} am See", "cafe\u{301}\u{a0}am  See ");
    let posted = browser.post("/api/comments", &comment(decomposed, "Zoe\u{308}")).await.ok(201);
    assert_eq!(posted["message"]["domain"], composed);
    assert_eq!(posted["message"]["username"], "Zo\u{eb}");
    assert_eq!(posted["message"]["text"], "cafe\u{301}", "a text is kept as it was written");
    browser.post("/api/comments", &comment(composed, "Ann")).await.ok(201);
    for domain in [composed, decomposed] {
        let domain = encoded(domain);
        for path in ["/api/comments?limit=10&domain=", "/api/comments?after=1&domain="] {
            let page = browser.get(&format!("{path}{domain}")).await;
            assert_eq!(page.ok(200).as_array().unwrap().len(), 2, "{path}{domain}");
            let tag = page.header("etag").to_owned();
            // From the tail, with the tag of that very domain.
            let again = browser.get(&format!("{path}{domain}")).await;
            assert_eq!((again.header("etag"), again.header("x-storage-reads")), (tag.as_str(), "0"));
        }
        let changes = browser.get(&format!("/api/comments/changes?domain={domain}")).await.ok(200);
        assert_eq!(changes["messages"].as_array().unwrap().len(), 2, "{domain}");
    }
    for domain in [composed, decomposed] {
        let request = ListMessagesRequest { domain: domain.to_owned(), ..Default::default() };
        let listed = client.raw().list_messages(request).await.unwrap().into_inner();
        assert_eq!(listed.messages.len(), 2, "{domain:?}");
    }
}

#[tokio::test]
async fn a_stream_of_a_domain_brings_what_was_posted_under_another_spelling() {
    let world = World::start().await;
    let browser = world.browser();
    browser.post("/api/comments", &comment("caf\u{e9}", "Ann")).await.ok(201);
    let cursor = browser.get("/api/comments/changes?domain=caf%C3%A9").await.ok(200)["next"].clone();
    let path = format!("/api/comments/changes?domain=cafe%CC%81&wait=20&cursor={}", cursor.as_str().unwrap());
    let bea = comment("caf\u{e9}", "Bea");
    let (waited, _) = tokio::join!(browser.get(&path), browser.post("/api/comments", &bea));
    let messages = waited.ok(200)["messages"].clone();
    assert_eq!(messages[0]["username"], "Bea", "{messages}");
}

#[tokio::test]
async fn a_conversation_and_an_entity_are_found_in_every_spelling() {
    let world = World::start().await;
    let client = world.grpc().await;
    let asked = NewMessage { username: "Zoe\u{308}".to_owned(), ..question("me\u{301}te\u{301}o", "Rain?") };
    let stored = client.post(asked).await.unwrap();
    let bot = stored.bot_params.unwrap();
    assert_eq!((bot.entity.as_str(), bot.ai_username.as_str()), ("m\u{e9}t\u{e9}o", "m\u{e9}t\u{e9}o"));
    for (human, ai) in [("Zo\u{eb}", "m\u{e9}t\u{e9}o"), ("Zoe\u{308}", "me\u{301}te\u{301}o")] {
        let request = GetConversationRequest {
            human_username: human.to_owned(),
            human_color: stored.color.clone(),
            ai_username: ai.to_owned(),
            ai_color: bot.ai_color.clone(),
            ..GetConversationRequest::default()
        };
        let messages = client.raw().get_conversation(request).await.unwrap().into_inner().messages;
        assert_eq!(messages.len(), 1, "{human:?} {ai:?}");
        assert_eq!(client.pending(ai).await.unwrap().len(), 1, "{ai:?}");
    }
    let work = client.claim_next("worker", &["me\u{301}te\u{301}o"], 0).await.unwrap();
    assert_eq!(work.unwrap().message.unwrap().id, stored.id);
}

#[tokio::test]
async fn a_repeated_post_is_the_same_in_another_spelling() {
    let world = World::start().await;
    let client = world.grpc().await;
    let said = |username: &str| platform_post(username, "Hello.");
    let first = client.post_with_key(said("Zo\u{eb}"), Some("k")).await.unwrap();
    let again = client.post_with_key(said("Zoe\u{308}"), Some("k")).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.message.unwrap().id, first.message.unwrap().id);
}

#[tokio::test]
async fn names_that_hide_what_they_are_are_refused_with_the_character_and_its_place() {
    let world = World::start().await;
    let browser = world.browser();
    for (name, character) in [
        ("ec\u{202e}ho", "U+202E at character 3"),
        ("\u{2066}echo", "U+2066 at character 1"),
        ("echo\u{200b}", "U+200B at character 5"),
        ("\u{feff}echo", "U+FEFF at character 1"),
        ("ec\u{ad}ho", "U+00AD at character 3"),
        ("\u{3164}", "U+3164 at character 1"),
        ("echo\u{fe0f}", "U+FE0F at character 5"),
        ("e\u{200d}cho", "U+200D at character 2"),
        ("echo\u{e0041}", "U+E0041 at character 5"),
        ("echo\n", "U+000A at character 5"),
    ] {
        for (field, body) in [
            ("/username", comment("d", name)),
            ("/domain", comment(name, "Ann")),
            (
                "/botParams/entity",
                json!({"domain": "d", "username": "Ann", "text": "t", "botParams": {"entity": name}}),
            ),
            (
                "/botParams/aiUsername",
                json!({"domain": "d", "username": "Ann", "text": "t", "botParams": {"entity": "e", "aiUsername": name}}),
            ),
        ] {
            let answer = browser.post("/api/comments", &body).await;
            assert_eq!(answer.pointers(400), [field], "{name:?}");
            let detail = answer.json()["errors"][0]["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(character), "{field} {name:?}: {detail}");
        }
        let answer = browser.get(&format!("/api/comments?domain={}", encoded(name))).await;
        assert_eq!(answer.pointers(400), ["/domain"], "{name:?}");
    }
    assert_eq!(browser.comments().await.len(), 0, "nothing was stored");
}

#[tokio::test]
async fn a_name_and_a_text_have_to_show_something() {
    let world = World::start().await;
    let (browser, client) = (world.browser(), world.grpc().await);
    for nothing in [" ", "\u{a0}", "\u{3000} ", "\u{2003}"] {
        assert_eq!(browser.post("/api/comments", &comment("d", nothing)).await.pointers(400), ["/username"]);
        assert_eq!(browser.post("/api/comments", &comment(nothing, "Ann")).await.pointers(400), ["/domain"]);
        // Never taken for "all domains".
        browser.get(&format!("/api/comments?domain={}", encoded(nothing))).await.problem(400);
    }
    let stored = client.post(platform_post("Ann", "Hello.")).await.unwrap();
    for nothing in [" ", "\n\t", "\u{200b}", "\u{202e}", "\u{2800}", "\u{301}"] {
        let body = json!({"domain": "d", "username": "Ann", "text": nothing});
        assert_eq!(browser.post("/api/comments", &body).await.pointers(400), ["/text"], "{nothing:?}");
        let refused = Refused::from(&client.post(platform_post("Ann", nothing)).await.unwrap_err());
        assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["message.text".to_owned()]));
    }
    assert_eq!(client.get(&stored.id).await.unwrap().text, "Hello.");
}

#[tokio::test]
async fn names_of_every_script_and_emoji_are_welcome_and_so_are_texts_in_any_direction() {
    let world = World::start().await;
    let client = world.grpc().await;
    for name in [
        "Ольга",
        "山田 太郎",
        "葛\u{e0100}城",
        "ශ\u{dca}\u{200d}රී",
        "می\u{200c}خواهم",
        "דָּוִד",
        "👩🏽\u{200d}🚀",
        "❤\u{fe0f}",
        "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
        "a:b/c?𝔘",
    ] {
        let stored = client.post(platform_post(name, "\u{202e}evil \u{200f}שלום")).await.unwrap();
        assert_eq!((stored.username.as_str(), stored.text.as_str()), (name, "\u{202e}evil \u{200f}שלום"));
    }
}

/// A post of somebody elsewhere, who has no token, as a gateway passes it on.
async fn posted_by_a_visitor(client: &Grpc, message: NewMessage) -> Result<(), Status> {
    let mut request = Request::new(PostMessageRequest { message: Some(message), idempotency_key: None });
    // No token: what is there keeps the client from sending its own.
    request.metadata_mut().insert("authorization", "none".parse().expect("visible ASCII"));
    client.raw().post_message(request).await.map(drop)
}

/// The field of a post that is refused because a name in it is a bot's.
async fn reserved_field(client: &Grpc, message: NewMessage) -> String {
    let refused =
        Refused::from(&posted_by_a_visitor(client, message).await.expect_err("the post must be refused"));
    assert_eq!((refused.code, refused.reason.as_str()), (Code::InvalidArgument, "NAME_RESERVED"));
    refused.fields.concat()
}

#[tokio::test]
async fn a_visitor_does_not_speak_under_a_name_that_a_bot_answers_under_or_that_looks_like_one() {
    let mut queue =
        Service::queue_service(&["--reserved-name", "Moderator", "--bot-name", "doctor=Dr. Bob"]).await;
    let client = queue.grpc().await;
    // Until somebody serves it, the name is anybody's.
    posted_by_a_visitor(&client, platform_post("helper", "Hello.")).await.unwrap();
    let stream = client.stream(work("w", &["helper"], 1)).await.unwrap();
    for name in [
        "helper",
        "HELPER",
        "he1per",
        "HeIper",
        "һelper",
        "ｈｅｌｐｅｒ",
        "Moderator",
        "mοderator",
        "Dr. Bob",
        "DR. BOB",
        "doctor",
    ] {
        assert_eq!(
            reserved_field(&client, platform_post(name, "It is me.")).await,
            "message.username",
            "{name}"
        );
    }
    for name in ["helpers", "Help", "Bob"] {
        posted_by_a_visitor(&client, platform_post(name, "Hello.")).await.unwrap();
    }
    client.post(platform_post("helper", "Workers and operators are not held to it.")).await.unwrap();
    drop(stream);
    // Nobody serves it now, and the service has begun anew: the name is still the bot's.
    assert_eq!(queue.terminate().await, Some(0));
    queue.start_again().await;
    let client = queue.grpc().await;
    assert_eq!(reserved_field(&client, platform_post("Helper", "It is me.")).await, "message.username");
}

#[tokio::test]
async fn a_bot_answers_a_visitor_under_its_own_names_only() {
    let queue = Service::queue_service(&["--bot-name", "fear-and-loathing=The Doctor"]).await;
    let client = queue.grpc().await;
    let asked = |entity: &str, name: &str| {
        let bot = BotAddress {
            entity: entity.to_owned(),
            ai_username: Some(name.to_owned()),
            ai_color: Some("080175220".to_owned()),
            ..BotAddress::default()
        };
        NewMessage { bot: Some(bot), ..question(entity, "Why?") }
    };
    for (entity, name) in [
        ("fear-and-loathing", "FearAndLoathing"),
        ("fear-and-loathing", "The Doctor"),
        ("echo", "Echo"),
        ("echo", "echo"),
        // What a visitor asks for reserves nothing.
        ("Bea", "Bea"),
    ] {
        posted_by_a_visitor(&client, asked(entity, name)).await.unwrap();
    }
    for (entity, name) in [("echo", "Bea"), ("echo", "The Doctor"), ("fear-and-loathing", "echo")] {
        let field = reserved_field(&client, asked(entity, name)).await;
        assert_eq!(field, "message.bot.ai_username", "{entity} {name}");
    }
    posted_by_a_visitor(&client, platform_post("Bea", "I am a person.")).await.unwrap();
}
