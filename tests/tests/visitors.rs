//! Conversations belong to the visitors who began them: by a secret in a cookie or a header, or by the address where there
//! is none. What a stranger types opens nothing.

use std::{net::Ipv4Addr, time::Duration};

use e2e::{Answer, Browser, Service, WORKER, World, held, platform_post, question, reply, within_deadline};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

const ANN: &str = "ann-0123456789abcdef0123456789abcdef";
const BEA: &str = "bea-0123456789abcdef0123456789abcdef";
/// Two addresses of this machine.
const HOME: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const AWAY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
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

/// The secret that an answer gives, as a header and as a cookie.
fn given(answer: &Answer) -> Option<String> {
    let (secret, cookie) = (answer.header("x-visitor"), answer.header("set-cookie"));
    assert_eq!(cookie.starts_with(&format!("repartee-visitor={secret};")), !secret.is_empty(), "{cookie}");
    (!secret.is_empty()).then(|| secret.to_owned())
}

/// Neither writes nor reads.
async fn taken(browser: &Browser, headers: &[(&str, &str)]) {
    assert_eq!(ask(browser, "Let me in!", headers).await.problem(409)["reason"], "CONVERSATION_TAKEN");
    assert_eq!(read(browser, headers).await.problem(403)["reason"], "CONVERSATION_TAKEN");
}

async fn restart(world: &mut World) {
    world.queue.kill().await;
    world.queue.start_again_in_place().await;
    let ready = async { while world.gateway.browser().get("/readyz").await.status != 200 {} };
    within_deadline("the gateway to find the queue-service again", ready).await;
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
            restart(&mut world).await;
        }
    }
}

#[tokio::test]
async fn a_visitor_without_a_secret_is_given_one_and_their_address_stands_for_it_until_it_comes_back() {
    let mut world = World::start().await;
    let [home, away] = [HOME, AWAY].map(|address| world.gateway.visitor_at(address));
    let first = ask(&home, "Is anybody there?", &[]).await;
    first.ok(201);
    let secret = given(&first).expect("whoever begins a conversation is given its secret");
    let cookie = first.header("set-cookie");
    assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    let [mine, bea] = [[("x-visitor", secret.as_str())], [("x-visitor", BEA)]];

    // It has not come back: whoever is at the address may be the same visitor.
    for headers in [&[][..], &bea] {
        assert_eq!(given(&ask(&home, "A script keeps nothing.", headers).await), None);
        read(&home, headers).await.ok(200);
        taken(&away, headers).await;
    }
    assert_eq!(given(&ask(&away, "I am on my way.", &mine).await), None, "who has a secret is given none");
    // It has: neighbours are strangers again.
    for restarted in [false, true] {
        for visitor in [&home, &away] {
            taken(visitor, &[]).await;
            taken(visitor, &bea).await;
            ask(visitor, "It is me.", &mine).await.ok(201);
            read(visitor, &mine).await.ok(200);
        }
        if !restarted {
            restart(&mut world).await;
        }
    }
}

#[tokio::test]
async fn a_first_question_that_is_sent_again_shuts_nobody_out() {
    let mut world = World::start().await;
    let [home, away] = [HOME, AWAY].map(|address| world.gateway.visitor_at(address));
    let key = [("idempotency-key", "the first one")];
    let first = ask(&home, "Is anybody there?", &key).await;
    let secret = given(&first).unwrap();
    for restarted in [false, true] {
        let again = ask(&home, "Is anybody there?", &key).await;
        assert_eq!(again.ok(201)["id"], first.ok(201)["id"]);
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(given(&again), None, "no other secret takes the place of the first");
        if !restarted {
            restart(&mut world).await;
        }
    }
    // Nor is it stored twice for whoever has the secret by now, but not the rest of the answer.
    let with_secret = [key[0], ("x-visitor", secret.as_str())];
    assert_eq!(ask(&home, "Is anybody there?", &with_secret).await.ok(201)["id"], first.ok(201)["id"]);
    // Who lost the answer, and gets a secret with the page, goes on from where they are.
    let from_page = home.get("/").await.header("x-visitor").to_owned();
    ask(&home, "I lost your answer.", &[("x-visitor", &from_page)]).await.ok(201);
    taken(&away, &[("x-visitor", &from_page)]).await;
    ask(&away, "I did not.", &[("x-visitor", &secret)]).await.ok(201);
}

#[tokio::test]
async fn of_first_questions_at_once_one_is_answered_with_the_secret_of_their_conversation() {
    let world = World::start().await;
    let [home, away] = [HOME, AWAY].map(|address| world.gateway.visitor_at(address));
    let answers = join_all((0..8).map(|_| ask(&home, "Hello?", &[]))).await;
    let secrets: Vec<_> = answers.iter().filter_map(given).collect();
    assert_eq!(secrets.len(), 1, "{secrets:?}");
    ask(&away, "Hello again?", &[("x-visitor", &secrets[0])]).await.ok(201);
    taken(&home, &[]).await;
}

#[tokio::test]
async fn who_begins_no_conversation_is_given_no_secret() {
    let world = World::start().await;
    let visitor = world.gateway.visitor();
    let mut said = asks("To everybody.");
    said["botParams"] = Value::Null;
    let remark = visitor.post("/api/comments", &said).await;
    remark.ok(201);
    assert_eq!(given(&remark), None);
    let worker = Browser::with(&format!("http://{}", world.gateway.http_addr()), Some(WORKER));
    assert_eq!(given(&ask(&worker, "On behalf of somebody?", &[]).await), None);
    assert_eq!(given(&ask(&visitor, "So it is mine?", &[]).await).map(|secret| secret.len()), Some(64));
}

#[tokio::test]
async fn the_page_gives_each_browser_a_secret_before_its_first_question() {
    let world = World::start().await;
    let visitor = world.gateway.visitor();
    let page = visitor.get("/").await;
    let secret = given(&page).expect("the page's first question is its visitor's");
    assert_eq!(page.header("cache-control"), "no-store", "no cache gives it to anybody else");
    let cookie = format!("repartee-visitor={secret}");
    let known = Answer::to(visitor.request(Method::GET, "/").header("cookie", &cookie)).await;
    assert_eq!(given(&known), None);
    assert_eq!(given(&ask(&visitor, "Mine?", &[("cookie", &cookie)]).await), None);
    taken(&visitor, &[]).await;
    let wrong = ask(&visitor, "?", &[("x-visitor", "short")]).await.problem(400);
    assert!(wrong["detail"].as_str().unwrap().contains("32 to 128"), "{wrong}");
}

#[tokio::test]
async fn conversations_that_belong_to_nobody_are_open_to_whoever_types_their_names() {
    let world = World::with(&["--conversation-owner", "off"], &[]).await;
    let visitor = world.gateway.visitor();
    ask(&visitor, "Mine?", &[("x-visitor", ANN)]).await.ok(201);
    ask(&visitor, "Mine, too?", &[("x-visitor", BEA)]).await.ok(201);
    assert_eq!(given(&ask(&visitor, "And mine?", &[]).await), None, "a secret would own nothing");
    assert_eq!(read(&visitor, &[]).await.ok(200).as_array().unwrap().len(), 3);
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
