//! A writer sees what was written in the next list, through any gateway.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use e2e::{Answer, Browser, DOMAIN, Service, Way, within_deadline};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

const CHANGES: &str = "/api/comments/changes?domain=test.example";
const LIST: &str = "/api/comments?domain=test.example";

fn comment(text: &str) -> Value {
    json!({"domain": DOMAIN, "username": "Human", "text": text})
}

/// The cookie of a write, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    let set = answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    let reached = set.filter(|line| line.starts_with("repartee-reached=")).collect::<Vec<_>>();
    let [line] = reached[..] else { panic!("one cookie says what was reached: {:?}", answer.headers) };
    assert!(line.contains("; Max-Age=10; ") && line.contains("SameSite=Lax"), "{line}");
    let (cookie, _) = line.split_once(';').unwrap();
    assert_eq!(cookie, format!("repartee-reached={}", answer.header("x-reached")));
    cookie.to_owned()
}

async fn list_with(browser: &Browser, cookie: &str) -> Answer {
    Answer::to(browser.request(Method::GET, LIST).header("cookie", cookie)).await
}

fn texts(list: &Answer) -> Vec<Value> {
    list.ok(200).as_array().unwrap().iter().map(|comment| comment["text"].clone()).collect()
}

/// The gateway has to live as long as its browser.
fn with_browser(gateway: Service) -> (Browser, Service) {
    (gateway.browser(), gateway)
}

#[tokio::test]
async fn a_write_through_one_gateway_is_in_the_next_list_through_another_that_is_behind() {
    let queue = Service::queue_service(&[]).await;
    let way = Way::to(queue.grpc_addr()).await;
    let one = with_browser(Service::gateway(&queue.grpc_url(), &[]).await);
    let other = with_browser(Service::gateway(&way.url(), &[]).await);
    assert_eq!(texts(&other.0.get(LIST).await), [] as [Value; 0]);
    for (number, by_address) in [false, true, false, true].into_iter().enumerate() {
        let text = format!("Comment {number}.");
        way.hold();
        let posted = one.0.post("/api/comments", &comment(&text)).await;
        posted.ok(201);
        let (cookie, browser) = (cookie(&posted), other.0.clone());
        let by_parameter = format!("{LIST}&reached={}", posted.header("x-reached"));
        let mut list = tokio::spawn(async move {
            if by_address { browser.get(&by_parameter).await } else { list_with(&browser, &cookie).await }
        });
        assert!(timeout(Duration::from_millis(300), &mut list).await.is_err(), "it waits for what it lacks");
        way.mend();
        let list = within_deadline("the list", list).await.unwrap();
        assert!(texts(&list).contains(&text.into()), "{}", list.text());
        assert_eq!(list.header("cache-control"), "private, no-cache");
    }
}

#[tokio::test]
async fn the_newest_page_of_changes_holds_what_its_reader_wrote_elsewhere_too() {
    let queue = Service::queue_service(&[]).await;
    let way = Way::to(queue.grpc_addr()).await;
    let one = with_browser(Service::gateway(&queue.grpc_url(), &[]).await);
    let other = with_browser(Service::gateway(&way.url(), &[]).await);
    other.0.get(CHANGES).await.ok(200);
    way.hold();
    let posted = one.0.post("/api/comments", &comment("Mine.")).await;
    posted.ok(201);
    let (position, browser) = (posted.header("x-reached").to_owned(), other.0.clone());
    let page = tokio::spawn(async move { browser.get(&format!("{CHANGES}&reached={position}")).await });
    way.mend();
    let page = within_deadline("the page", page).await.unwrap().ok(200);
    assert_eq!(page["messages"][0]["text"], "Mine.");
}

#[tokio::test]
async fn edits_and_deletions_say_what_they_have_reached_too_and_a_refused_write_nothing() {
    let queue = Service::queue_service(&[]).await;
    let gateway = Service::gateway(&queue.grpc_url(), &[]).await;
    let browser = gateway.browser();
    let posted = browser.post("/api/comments", &comment("First.")).await;
    let path = format!("/api/comments/{}", posted.ok(201)["id"].as_str().unwrap());
    let mut positions = vec![cookie(&posted)];
    let edit = browser.request(Method::PATCH, &path).json(&json!({"text": "Second."}));
    positions.push(cookie(&Answer::to(edit).await));
    positions.push(cookie(&Answer::to(browser.request(Method::DELETE, &path)).await));
    assert!(positions.is_sorted() && positions[0] != positions[2], "{positions:?}");
    let refused = browser.post("/api/comments", &json!({})).await;
    refused.problem(400);
    assert_eq!((refused.header("x-reached"), refused.header("set-cookie")), ("", ""));
}

#[tokio::test]
async fn what_is_no_position_of_this_log_is_not_waited_for() {
    let queue = Service::queue_service(&[]).await;
    let gateway = Service::gateway(&queue.grpc_url(), &[]).await;
    let browser = gateway.browser();
    browser.comment(&comment("Here.")).await;
    for position in ["", "nonsense", "another-log.999999", &"x".repeat(500)] {
        let list = list_with(&browser, &format!("repartee-reached={position}")).await;
        assert_eq!(texts(&list), ["Here."], "{position}");
    }
}

#[tokio::test]
async fn answers_that_others_may_have_depend_on_the_cookie_and_browsers_ask_each_time() {
    let queue = Service::queue_service(&[]).await;
    let gateway = Service::gateway(&queue.grpc_url(), &[]).await;
    let browser = gateway.browser();
    // The first look at a domain goes upstream.
    browser.get(LIST).await.ok(200);
    let list = browser.get(LIST).await;
    assert_eq!(list.header("cache-control"), "public, max-age=0, s-maxage=1");
    let unchanged = browser.request(Method::GET, LIST).header("if-none-match", list.header("etag"));
    let unchanged = Answer::to(unchanged).await;
    assert_eq!(unchanged.status, 304);
    for answer in [&list, &unchanged] {
        let varies: Vec<_> = answer.headers.get_all("vary").iter().map(|v| v.to_str().unwrap()).collect();
        assert!(varies.join(", ").contains("cookie, origin"), "{varies:?}");
        assert!(!answer.header("cache-control").contains("stale"), "{:?}", answer.headers);
    }
    let elsewhere = browser.request(Method::GET, LIST).header("origin", "https://elsewhere.example");
    assert_eq!(
        Answer::to(elsewhere).await.header("cache-control"),
        "private, no-cache",
        "it sends no cookie"
    );
}
