//! Conversations belong to the visitors who began them: by a secret in a cookie or a header, or by the address where there
//! is none. What a stranger types opens nothing.

use std::time::Duration;

use e2e::{Answer, Browser, Service, WORKER, World, held, platform_post, question, reply, within_deadline};
use reqwest::Method;
use serde_json::{Value, json};

const ANN: &str = "ann-0123456789abcdef0123456789abcdef";
const BEA: &str = "bea-0123456789abcdef0123456789abcdef";
const CONVERSATION: &str =
    "/api/conversation?humanUsername=Ann&humanColor=200120040&aiUsername=echo&aiColor=default";

fn asks(text: &str) -> Value {
    json!({"domain": "lobby", "username": "Ann", "color": "200120040", "text": text, "botParams": {"entity": "echo"}})
}

/// A question in Ann's name.
async fn ask(browser: &Browser, text: &str, headers: &[(&str, &str)]) -> Answer {
    let request = browser.request(Method::POST, "/api/comments").json(&asks(text));
    Answer::to(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

async fn read(browser: &Browser, headers: &[(&str, &str)]) -> Answer {
    let request = browser.request(Method::GET, CONVERSATION);
    Answer::to(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

#[tokio::test]
async fn nobody_writes_into_a_strangers_conversation_or_reads_it_by_its_names() {
    let mut world = World::start().await;
    let cookie = format!("other=1; repartee-visitor={ANN}");
    let [ann, by_cookie, bea] = [[("x-visitor", ANN)], [("cookie", cookie.as_str())], [("x-visitor", BEA)]];
    for restarted in [false, true] {
        let visitor = world.gateway.visitor();
        ask(&visitor, "Mine?", &ann).await.ok(201);
        ask(&visitor, "Mine, too?", &by_cookie).await.ok(201);
        let taken = ask(&visitor, "Let me in!", &bea).await.problem(409);
        assert_eq!(taken["reason"], "CONVERSATION_TAKEN");
        assert!(taken["detail"].as_str().unwrap().contains("color"), "{taken}");
        assert_eq!(ask(&visitor, "Let me in!", &[]).await.problem(409)["reason"], "CONVERSATION_TAKEN");
        let expected = if restarted { 4 } else { 2 };
        for mine in [&ann, &by_cookie] {
            assert_eq!(read(&visitor, mine).await.ok(200).as_array().unwrap().len(), expected);
        }
        for others in [&bea[..], &[]] {
            assert_eq!(read(&visitor, others).await.problem(403)["reason"], "CONVERSATION_TAKEN");
        }
        let worker = Browser::with(&format!("http://{}", world.gateway.http_addr()), Some(WORKER));
        assert_eq!(read(&worker, &[]).await.ok(200).as_array().unwrap().len(), expected);
        // Another color is another conversation.
        let other = Value::from("100100100");
        let mut hers = asks("Then so?");
        hers["color"] = other;
        let request = visitor.request(Method::POST, "/api/comments").header("x-visitor", BEA).json(&hers);
        Answer::to(request).await.ok(201);
        if !restarted {
            world.queue.kill().await;
            world.queue.start_again_in_place().await;
            let ready = async { while world.gateway.browser().get("/readyz").await.status != 200 {} };
            within_deadline("the gateway to find the queue-service again", ready).await;
        }
    }
}

#[tokio::test]
async fn a_visitor_without_a_secret_is_given_one_and_their_address_stands_for_it_until_it_comes_back() {
    let world = World::start().await;
    let visitor = world.gateway.visitor();
    let first = ask(&visitor, "Is anybody there?", &[]).await;
    first.ok(201);
    let secret = first.header("x-visitor").to_owned();
    let cookie = first.header("set-cookie");
    assert!(cookie.starts_with(&format!("repartee-visitor={secret};")), "{cookie}");
    assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    let again = ask(&visitor, "And again?", &[("x-visitor", &secret)]).await;
    assert_eq!((again.status, again.header("set-cookie")), (201, ""), "who has one is given none");
    ask(&visitor, "A script keeps nothing.", &[]).await.ok(201);
    ask(&visitor, "A neighbour.", &[("x-visitor", BEA)]).await.problem(409);
    let wrong = ask(&visitor, "?", &[("x-visitor", "short")]).await.problem(400);
    assert!(wrong["detail"].as_str().unwrap().contains("32 to 128"), "{wrong}");
    let page = visitor.get("/").await;
    assert!(
        page.header("set-cookie").starts_with("repartee-visitor="),
        "the page's first comment is its visitor's"
    );
    assert_eq!(page.header("cache-control"), "no-store", "no cache gives it to anybody else");
    let known =
        Answer::to(visitor.request(Method::GET, "/").header("cookie", format!("repartee-visitor={ANN}")))
            .await;
    assert_eq!(known.header("set-cookie"), "");
}

#[tokio::test]
async fn conversations_that_belong_to_nobody_are_open_to_whoever_types_their_names() {
    let world = World::with(&["--conversation-owner", "off"], &[]).await;
    let visitor = world.gateway.visitor();
    ask(&visitor, "Mine?", &[("x-visitor", ANN)]).await.ok(201);
    ask(&visitor, "Mine, too?", &[("x-visitor", BEA)]).await.ok(201);
    assert_eq!(read(&visitor, &[]).await.ok(200).as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_god_mode_session_is_shown_as_a_digest_and_given_to_who_works_on_it() {
    let world = World::start().await;
    let mut asked = asks("In secret?");
    asked["botParams"]["sessionId"] = "the-session".into();
    let visitor = world.gateway.visitor();
    let request = visitor.request(Method::POST, "/api/comments").header("x-visitor", ANN).json(&asked);
    let posted = Answer::to(request).await.ok(201);
    let digest = posted["message"]["botParams"]["sessionId"].as_str().unwrap().to_owned();
    assert!(digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest}");
    let seen = visitor.get("/api/comments?domain=lobby").await;
    assert!(!seen.text().contains("the-session") && seen.text().contains(&digest), "{}", seen.text());
    let client = world.queue.grpc_with(Some(WORKER)).await;
    let work = client.claim_next("w", &["echo"], 0).await.unwrap().unwrap();
    let params = work.message.as_ref().unwrap().bot_params.as_ref().unwrap();
    assert_eq!(params.session_id.as_deref(), Some("the-session"));
    client.complete(held(&work), reply("Yes.")).await.unwrap();
    assert!(!visitor.get("/api/comments?domain=lobby").await.text().contains("the-session"));
}

#[tokio::test]
async fn sixty_questions_of_one_visitor_keep_another_waiting_for_a_few_only() {
    let world = World::with(&["--one-per-conversation", "false"], &[]).await;
    let visitor = world.gateway.visitor();
    for number in 0..60 {
        let mut asked = asks(&format!("Mine {number}?"));
        asked["username"] = format!("Ann {number}").into();
        let request = visitor.request(Method::POST, "/api/comments").header("x-visitor", ANN).json(&asked);
        Answer::to(request).await.ok(201);
    }
    let mut asked = asks("And I?");
    asked["username"] = "Bea".into();
    let request = visitor.request(Method::POST, "/api/comments").header("x-visitor", BEA).json(&asked);
    let hers = Answer::to(request).await.ok(201)["id"].as_str().unwrap().to_owned();
    let waiting = world.grpc().await.pending("echo").await.unwrap();
    let place = waiting.iter().position(|message| message.id == hers).unwrap();
    assert!(place < 5, "she is number {place} of {}", waiting.len());
}

#[tokio::test]
async fn a_worker_is_no_visitor_and_owns_no_conversation() {
    let queue = Service::queue_service(&[]).await;
    let (worker, visitor) = (queue.grpc_with(Some(WORKER)).await, queue.grpc_with(None).await);
    let asked = question("echo", "On behalf of somebody.");
    worker.post(asked.clone()).await.unwrap();
    visitor.post(asked.clone()).await.unwrap();
    worker.post(asked).await.unwrap();
}

#[tokio::test]
async fn a_conversation_that_was_swept_and_begins_again_has_an_owner_again() {
    let world = World::with(&["--retention", "1s", "--cache-messages", "1"], &["--tail-messages", "1"]).await;
    let (visitor, operator) = (world.gateway.visitor(), world.grpc().await);
    let first =
        ask(&visitor, "Mine?", &[("x-visitor", ANN)]).await.ok(201)["id"].as_str().unwrap().to_owned();
    operator.cancel(&first).await.unwrap();
    let mut again = tokio::time::interval(Duration::from_millis(20));
    let swept = async {
        while operator.get(&first).await.is_ok() {
            operator.post(platform_post("Cleo", "It goes on.")).await.unwrap();
            again.tick().await;
        }
    };
    within_deadline("the conversation to be swept", swept).await;

    ask(&visitor, "Mine again?", &[("x-visitor", ANN)]).await.ok(201);
    let bea = [("x-visitor", BEA)];
    assert_eq!(read(&visitor, &bea).await.problem(403)["reason"], "CONVERSATION_TAKEN");
    assert_eq!(ask(&visitor, "Let me in!", &bea).await.problem(409)["reason"], "CONVERSATION_TAKEN");
    assert_eq!(read(&visitor, &[("x-visitor", ANN)]).await.ok(200).as_array().unwrap().len(), 1);
}
