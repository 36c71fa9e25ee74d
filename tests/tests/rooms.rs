//! The list of rooms: off unless it is asked for, and then the domains of what is in memory, by their newest message that
//! readers can see.

use e2e::{Answer, Browser, Grpc, Refused, Service, World, platform_post};
use repartee_proto::v1::{
    DeleteMessageRequest, HideMessageRequest, ListRoomsRequest, NewMessage, PostMessageRequest,
    PostMessagesRequest, RestoreMessageRequest,
};
use reqwest::{Method, header::IF_NONE_MATCH};
use serde_json::{Value, json};
use tonic::Code;

const LIST: &str = "--list-rooms";

async fn world() -> World {
    World::with(&[LIST], &[LIST]).await
}

/// Lets somebody speak in this domain, and gives the id and the timestamp.
async fn speak(client: &Grpc, domain: &str) -> (String, i64) {
    let message = NewMessage { domain: domain.to_owned(), ..platform_post("Ann", "Hello.") };
    let stored = client.post(message).await.expect("it is stored");
    (stored.id, stored.timestamp)
}

/// One commit with a message in each of these domains.
async fn speak_in(client: &Grpc, domains: impl Iterator<Item = String>) {
    let posted = |domain| NewMessage { domain, ..platform_post("Ann", "Hello.") };
    let items =
        domains.map(|domain| PostMessageRequest { message: Some(posted(domain)), idempotency_key: None });
    client.raw().post_messages(PostMessagesRequest { items: items.collect() }).await.expect("it is stored");
}

fn names(page: &Value) -> Vec<&str> {
    page["rooms"]
        .as_array()
        .expect("a page has rooms")
        .iter()
        .map(|room| room["domain"].as_str().expect("a room has a domain"))
        .collect()
}

async fn rooms(browser: &Browser) -> Vec<String> {
    names(&browser.get("/api/rooms").await.ok(200)).into_iter().map(str::to_owned).collect()
}

/// How often the queue-service was asked for the list.
async fn calls(client: &Grpc) -> u64 {
    let calls = client.stats().await.expect("an operator may ask").calls;
    calls.iter().find(|stats| stats.call == "ListRooms").map_or(0, |stats| stats.calls)
}

#[tokio::test]
async fn rooms_are_listed_only_if_both_services_are_told_to() {
    for (queue, gateway) in
        [(&[][..], &[][..]), (&[LIST], &[]), (&[], &[LIST]), (&[], &["--list-rooms=false"])]
    {
        let world = World::with(queue, gateway).await;
        speak(&world.grpc().await, "secret").await;
        let problem = world.browser().get("/api/rooms").await.problem(404);
        assert_eq!(problem["reason"], "ROOMS_NOT_LISTED");
        assert!(problem["detail"].as_str().unwrap().contains("--list-rooms"), "{problem}");
        let page = world.gateway.visitor().get("/").await;
        assert_eq!(page.text().contains("data-rooms"), gateway == [LIST], "what the gateway alone can know");
        if queue.is_empty() {
            let refused = world.grpc().await.raw().list_rooms(ListRoomsRequest::default()).await.unwrap_err();
            assert_eq!(refused.code(), Code::NotFound);
            assert_eq!(Refused::from(&refused).reason, "ROOMS_NOT_LISTED");
        }
    }
}

#[tokio::test]
async fn one_process_lists_its_rooms_by_one_flag() {
    let repartee = Service::repartee(&[LIST]).await;
    let browser = repartee.visitor();
    browser.comment(&json!({"domain": "lobby", "username": "Ann", "text": "Hello."})).await;
    assert_eq!(rooms(&browser).await, ["lobby"]);
    assert!(browser.get("/").await.text().contains("data-rooms"), "the page has the list, too");
}

#[tokio::test]
async fn the_room_that_was_spoken_in_last_comes_first_with_the_time_of_that() {
    let world = world().await;
    let client = world.grpc().await;
    assert_eq!(
        world.gateway.visitor().get("/api/rooms").await.ok(200),
        json!({"rooms": [], "more": false, "next": null, "reset": false})
    );
    speak(&client, "a").await;
    let (_, b) = speak(&client, "b").await;
    let (_, a) = speak(&client, "a").await;
    let answer = world.gateway.visitor().get("/api/rooms").await;
    let expected = json!([{"domain": "a", "lastActivity": a}, {"domain": "b", "lastActivity": b}]);
    assert_eq!(answer.ok(200)["rooms"], expected);
    assert_eq!((answer.header("x-more"), answer.header("x-storage-reads")), ("false", "0"));
}

#[tokio::test]
async fn what_is_deleted_or_hidden_is_no_activity() {
    let world = world().await;
    let (client, browser) = (world.grpc().await, world.browser());
    speak(&client, "a").await;
    speak(&client, "b").await;
    let (message_id, _) = speak(&client, "a").await;
    let hide = HideMessageRequest { message_id: message_id.clone(), reason: String::new() };
    client.raw().hide_message(hide).await.unwrap();
    assert_eq!(rooms(&browser).await, ["b", "a"], "the earlier one counts");
    let restore = RestoreMessageRequest { message_id: message_id.clone(), reason: String::new() };
    client.raw().restore_message(restore).await.unwrap();
    assert_eq!(rooms(&browser).await, ["a", "b"]);
    client.raw().delete_message(DeleteMessageRequest { message_id, ..Default::default() }).await.unwrap();
    assert_eq!(rooms(&browser).await, ["b", "a"]);
    let (message_id, _) = speak(&client, "spam").await;
    client.raw().delete_message(DeleteMessageRequest { message_id, ..Default::default() }).await.unwrap();
    assert_eq!(rooms(&browser).await, ["b", "a"], "a room in which nothing is to be seen is not listed");
}

#[tokio::test]
async fn pages_follow_each_other_without_a_room_twice_or_left_out() {
    let world = world().await;
    let client = world.grpc().await;
    speak_in(&client, (0..25).map(|n| format!("room {n}"))).await;
    let browser = world.browser();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = browser.get(&format!("/api/rooms?limit=10&cursor={cursor}")).await;
        let (more, page) = (page.header("x-more") == "true", page.ok(200));
        seen.extend(names(&page).into_iter().map(str::to_owned));
        assert_eq!((page["more"].as_bool(), page["next"].is_string()), (Some(more), more), "{page}");
        let Some(next) = page["next"].as_str() else { break };
        cursor = next.to_owned();
        // Who speaks meanwhile moves to the front, and nothing is shown twice for it.
        speak(&client, "room 24").await;
    }
    let expected: Vec<_> = (0..25).rev().map(|n| format!("room {n}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_page_ends_by_its_bytes_as_well() {
    let world = World::with(&[LIST, "--max-domain-chars", "1024"], &[LIST]).await;
    let client = world.grpc().await;
    for first in [0, 200, 400, 600] {
        speak_in(&client, (first..first + 200).map(|n| format!("{n:03}{}", "ß".repeat(1_021)))).await;
    }
    let first = world.browser().get("/api/rooms?limit=1000").await;
    assert!(first.body.len() <= 1024 * 1024, "{}", first.body.len());
    let first = first.ok(200);
    assert_eq!(first["more"], true);
    let cursor = first["next"].as_str().unwrap();
    let second = world.browser().get(&format!("/api/rooms?limit=1000&cursor={cursor}")).await.ok(200);
    assert_eq!((names(&first).len() + names(&second).len(), &second["more"]), (800, &json!(false)));
}

#[tokio::test]
async fn who_has_the_list_gets_304_without_a_call_until_something_changes() {
    let world = world().await;
    let (client, browser) = (world.grpc().await, world.gateway.visitor());
    let posted = browser.comment(&json!({"domain": "a", "username": "Ann", "text": "Hello."})).await;
    let first = browser.get("/api/rooms").await;
    let ask = |tag: &str| Answer::to(browser.request(Method::GET, "/api/rooms").header(IF_NONE_MATCH, tag));
    let before = calls(&client).await;
    for _ in 0..3 {
        let again = ask(first.header("etag")).await;
        assert_eq!((again.status, again.header("x-storage-reads")), (304, "0"));
    }
    assert_eq!(calls(&client).await, before, "nobody was asked");
    // What was written through the gateway is in the list at once, by the tag of before too.
    browser
        .comment(&json!({"domain": "b", "username": "Ann", "text": "Hello.", "replyTo": posted["id"]}))
        .await;
    assert_eq!(names(&ask(first.header("etag")).await.ok(200)), ["b", "a"]);
    assert_eq!(calls(&client).await, before + 1);
}

#[tokio::test]
async fn the_list_is_the_same_after_a_kill() {
    let mut queue = Service::queue_service(&[LIST]).await;
    let client = queue.grpc().await;
    for domain in ["a", "b", "c", "a"] {
        speak(&client, domain).await;
    }
    let (message_id, _) = speak(&client, "b").await;
    client.raw().delete_message(DeleteMessageRequest { message_id, ..Default::default() }).await.unwrap();
    let before = client.raw().list_rooms(ListRoomsRequest::default()).await.unwrap().into_inner().rooms;
    queue.kill().await;
    queue.start_again().await;
    let after = queue.grpc().await.raw().list_rooms(ListRoomsRequest::default()).await.unwrap().into_inner();
    assert_eq!(after.rooms, before);
    assert_eq!(after.rooms.iter().map(|room| room.domain.as_str()).collect::<Vec<_>>(), ["a", "c", "b"]);
}

#[tokio::test]
async fn rooms_are_those_of_what_is_cached_however_many_were_ever_spoken_in() {
    let queue = Service::queue_service(&[LIST, "--cache-messages", "10"]).await;
    let client = queue.grpc().await;
    for first in [0, 200, 400] {
        speak_in(&client, (first..first + 200).map(|n| n.to_string())).await;
    }
    let request = ListRoomsRequest { limit: 1_000, cursor: String::new() };
    let listed = client.raw().list_rooms(request).await.unwrap().into_inner();
    let names: Vec<_> = listed.rooms.iter().map(|room| room.domain.clone()).collect();
    assert_eq!(names, (590..600).rev().map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cursor_of_another_log_begins_anew_and_one_that_is_none_is_refused() {
    let world = world().await;
    speak(&world.grpc().await, "a").await;
    let browser = world.browser();
    let answer = browser.get("/api/rooms?cursor=0123456789abcdef.1").await;
    assert_eq!((&answer.ok(200)["reset"], names(&answer.json())), (&json!(true), vec!["a"]));
    assert_eq!((answer.header("etag"), answer.header("cache-control")), ("", "no-store"));
    for (query, pointer) in
        [("cursor=5", "/cursor"), ("cursor=x.1", "/cursor"), ("limit=0", "/limit"), ("limit=1001", "/limit")]
    {
        assert_eq!(browser.get(&format!("/api/rooms?{query}")).await.pointers(400), [pointer], "{query}");
    }
}
