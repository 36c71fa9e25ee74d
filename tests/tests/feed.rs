//! The feed: nobody who follows it, by cursor or by timestamp, misses a change or sees one twice.

use std::collections::HashSet;

use e2e::{
    Grpc, Service, World, held, platform_post, question, question_json, reply, watch_from, watch_live,
    within_deadline,
};
use repartee_proto::v1::{
    ChangeKind, DeleteMessageRequest, ListMessagesRequest, Message, NewMessage, PostMessageRequest,
    PostMessagesRequest, WatchMessagesRequest, WatchMode, list_messages_request::Position,
    post_outcome::Outcome, watch_messages_response::Event,
};
use tokio::task::JoinSet;
use tonic::Code;

/// Posts so many messages in one commit.
async fn post_at_once(client: &Grpc, count: usize) -> Vec<Message> {
    let items = (0..count).map(|number| platform_post("Ann", &format!("Post {number}.")));
    let items =
        items.map(|message| PostMessageRequest { message: Some(message), idempotency_key: None }).collect();
    let answer = client
        .raw()
        .post_messages(PostMessagesRequest { items })
        .await
        .expect("a batch is stored")
        .into_inner();
    let posted = answer.outcomes.into_iter().map(|outcome| match outcome.outcome {
        Some(Outcome::Posted(posted)) => posted.message.expect("the message as stored"),
        other => panic!("a post of the batch was refused: {other:?}"),
    });
    posted.collect()
}

#[tokio::test]
async fn a_watch_without_a_cursor_begins_now() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    client.post(question("echo", "Before.")).await.unwrap();
    let mut watch = client.watch(watch_live()).await.unwrap();
    assert_eq!(watch.hello.mode(), WatchMode::Live);
    assert_eq!(watch.hello.epoch, client.stats().await.unwrap().epoch);
    let after = client.post(question("echo", "After.")).await.unwrap();
    let change = watch.change().await;
    assert_eq!((change.seq, change.kind(), change.message), (after.seq, ChangeKind::Posted, Some(after)));
}

#[tokio::test]
async fn a_watch_resumes_after_its_cursor_even_across_a_restart() {
    let mut queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut watch = client.watch(watch_live()).await.unwrap();
    client.post(question("echo", "One.")).await.unwrap();
    let seen = watch.change().await;
    drop(watch);
    let work = client.claim_next("worker 1", &[], 0).await.unwrap().unwrap();
    client.complete(held(&work), reply("Two.")).await.unwrap();
    queue.kill().await;
    queue.start_again().await;

    let client = queue.grpc().await;
    let mut watch = client.watch(watch_from(&seen.cursor)).await.unwrap();
    assert_eq!(watch.hello.mode(), WatchMode::Resumed);
    let tail = watch.hello.tail.clone();
    let changes = watch.up_to(&tail).await;
    let numbers: Vec<_> = changes.iter().map(|change| change.seq).collect();
    assert_eq!(numbers, [seen.seq + 1, seen.seq + 2, seen.seq + 3]);
    let kinds: HashSet<_> = changes.iter().map(|change| change.kind()).collect();
    assert_eq!(kinds, HashSet::from([ChangeKind::Claimed, ChangeKind::Posted, ChangeKind::Completed]));
    let live = client.post(question("echo", "Three.")).await.unwrap();
    assert_eq!(watch.change().await.seq, live.seq, "then it goes on live");
}

#[tokio::test]
async fn a_cursor_of_another_log_is_reset_and_the_stream_goes_on() {
    let (old, new) = (Service::queue_service(&[]).await, Service::queue_service(&[]).await);
    old.grpc().await.post(question("echo", "Elsewhere.")).await.unwrap();
    let foreign = old.grpc().await.watch(watch_live()).await.unwrap().hello.tail;
    let client = new.grpc().await;
    let here = client.post(question("echo", "Here.")).await.unwrap();

    let page = client.list(Some(Position::Cursor(foreign.clone())), 0).await.unwrap();
    assert!(page.reset && !page.reset_reason.is_empty());
    assert_eq!(page.messages, [here]);
    let mut watch = client.watch(watch_from(&foreign)).await.unwrap();
    assert_eq!(watch.hello.mode(), WatchMode::Reset);
    let reset = watch.reset().await;
    assert!(!reset.reason.is_empty());
    assert_eq!(reset.cursor, page.next_cursor);
    let live = client.post(question("echo", "Live.")).await.unwrap();
    assert_eq!(watch.change().await.message, Some(live));
}

#[tokio::test]
async fn a_domain_shows_its_own_messages_only() {
    let world = World::start().await;
    let client = world.grpc().await;
    let elsewhere =
        |text: &str| NewMessage { domain: "elsewhere.example".to_owned(), ..platform_post("Ann", text) };
    let request =
        WatchMessagesRequest { cursor: None, domain: "elsewhere.example".to_owned(), drafts: false };
    let mut watch = client.watch(request).await.unwrap();
    client.post(platform_post("Ann", "Here.")).await.unwrap();
    let there = client.post(elsewhere("There.")).await.unwrap();
    assert_eq!(watch.change().await.message.as_ref(), Some(&there));
    let request = ListMessagesRequest { domain: "elsewhere.example".to_owned(), ..Default::default() };
    let page = client.raw().list_messages(request).await.unwrap().into_inner();
    assert_eq!(page.messages, [there]);
    let all = world.browser().comments_once(|comments| comments.len() == 2).await;
    let one = world.browser().get("/api/comments?domain=elsewhere.example").await.ok(200);
    let none = world.browser().get("/api/comments?domain=nowhere.example").await.ok(200);
    assert_eq!([all.len(), one.as_array().unwrap().len(), none.as_array().unwrap().len()], [2, 1, 0]);
}

#[tokio::test]
async fn a_page_never_ends_inside_a_timestamp() {
    let world = World::start().await;
    let client = world.grpc().await;
    let (one, two) = (post_at_once(&client, 20).await, post_at_once(&client, 3).await);
    assert!(one.iter().all(|message| message.timestamp == one[0].timestamp), "one commit, one timestamp");
    assert!(two[0].timestamp > one[0].timestamp, "the next commit is later");
    let page = client.list(Some(Position::After(one[0].timestamp - 1)), 5).await.unwrap();
    assert_eq!((page.messages, page.more), (one.clone(), true));
    let page = client.list(Some(Position::After(one[0].timestamp)), 5).await.unwrap();
    assert_eq!((page.messages, page.more), (two.clone(), false));

    let path = format!("/api/comments?limit=5&after={}", one[0].timestamp - 1);
    let answer = world.browser().get(&path).await;
    assert_eq!((answer.ok(200).as_array().unwrap().len(), answer.header("x-more")), (20, "true"));
    let newest = client.list(None, 2).await.unwrap().messages;
    assert_eq!(newest, two, "the newest page is whole, too, and oldest first");
}

#[tokio::test]
async fn going_back_by_id_shows_every_message_once_also_past_the_cache_and_a_restart() {
    let mut service = Service::repartee(&["--demo-bot", "false", "--cache-messages", "20"]).await;
    let client = service.grpc().await;
    let mut posted = Vec::new();
    for _ in 0..5 {
        posted.extend(post_at_once(&client, 7).await);
        posted.push(client.post(platform_post("Ann", "Alone.")).await.unwrap());
    }
    let ids: Vec<_> = posted.iter().map(|message| message.id.clone()).collect();
    client
        .raw()
        .delete_message(DeleteMessageRequest { message_id: ids[3].clone(), ..Default::default() })
        .await
        .unwrap();
    service.kill().await;
    service.start_again().await;

    let browser = service.browser();
    for from in [3, 12, ids.len() - 1] {
        let (mut oldest, mut seen) = (ids[from].clone(), Vec::new());
        loop {
            let answer = browser.get(&format!("/api/comments?limit=3&beforeId={oldest}")).await;
            let page = answer.ok(200);
            let page = page.as_array().expect("a page is an array").iter();
            let page: Vec<_> =
                page.map(|comment| comment["id"].as_str().expect("a comment has an id").to_owned()).collect();
            oldest = page.first().unwrap_or(&oldest).clone();
            seen.splice(0..0, page);
            if answer.header("x-more") == "false" {
                break;
            }
        }
        assert_eq!(seen, ids[..from], "back from {from}, the tombstone included");
    }
    let newest = browser.get(&format!("/api/comments?limit=1&beforeId={}", ids[ids.len() - 1])).await;
    assert_eq!((newest.ok(200).as_array().unwrap().len(), newest.header("x-storage-reads")), (7, "0"));
}

#[tokio::test]
async fn who_goes_back_from_what_is_no_message_is_told_so() {
    let service = Service::repartee(&["--demo-bot", "false"]).await;
    let browser = service.browser();
    for unknown in ["x", "", "1762025642726", "5f0c4c1e-3f4b-4a57-9d0e-0c3ad1f5b1aa"] {
        let answer = browser.get(&format!("/api/comments?beforeId={unknown}")).await;
        assert_eq!(answer.pointers(400), ["/beforeId"], "{unknown:?}");
    }
}

#[tokio::test]
async fn a_page_by_cursor_goes_on_where_the_last_one_ended() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut cursor = client.watch(watch_live()).await.unwrap().hello.tail;
    let posted = post_at_once(&client, 25).await;
    let mut read = Vec::new();
    loop {
        let page = client.list(Some(Position::Cursor(cursor)), 4).await.unwrap();
        cursor = page.next_cursor;
        read.extend(page.messages);
        if !page.more {
            break;
        }
    }
    assert_eq!(read, posted);
    let page = client.list(Some(Position::Cursor(cursor.clone())), 4).await.unwrap();
    assert_eq!((page.messages, page.next_cursor, page.more), (Vec::new(), cursor, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_timestamps_while_others_post_misses_nothing() {
    let world = World::start().await;
    let mut posters = JoinSet::new();
    for poster in 0..8 {
        let browser = world.browser();
        posters.spawn(async move {
            let mut ids = Vec::new();
            for number in 0..40 {
                let posted = browser.comment(&question_json("echo", &format!("{poster}.{number}?"))).await;
                ids.push(posted["id"].as_str().expect("an answer names the id").to_owned());
            }
            ids
        });
    }
    let posting = tokio::spawn(posters.join_all());
    let (browser, mut after, mut seen) = (world.browser(), 1, Vec::new());
    within_deadline("the posters to end", async {
        loop {
            let over = posting.is_finished();
            let page = browser.get(&format!("/api/comments?limit=10&after={after}")).await.ok(200);
            let page = page.as_array().expect("a page is an array");
            for comment in page {
                assert!(comment["timestamp"].as_i64() >= Some(after), "{comment}");
                seen.push(comment["id"].as_str().expect("a comment has an id").to_owned());
            }
            after = page.last().map_or(after, |last| last["timestamp"].as_i64().expect("a timestamp"));
            if over && page.is_empty() {
                break;
            }
        }
    })
    .await;
    let posted: HashSet<String> = posting.await.unwrap().into_iter().flatten().collect();
    assert_eq!(seen.len(), posted.len(), "nothing twice");
    assert_eq!(HashSet::from_iter(seen), posted, "nothing missed");
}

#[tokio::test]
async fn a_watch_grows_old_also_while_there_is_always_more_to_tell() {
    const BATCHES: usize = 12;
    const BATCH: usize = 250;
    let queue = Service::queue_service(&["--stream-age", "1s"]).await;
    let client = queue.grpc().await;
    let begin = client.watch(watch_live()).await.unwrap().hello.tail;
    let text = "x".repeat(4_000);
    for _ in 0..BATCHES {
        let items = (0..BATCH).map(|_| PostMessageRequest {
            message: Some(platform_post("Ann", &text)),
            idempotency_key: None,
        });
        client.raw().post_messages(PostMessagesRequest { items: items.collect() }).await.unwrap();
    }
    // More than the ways between hold: it is told a part of it only, while it does not read.
    let mut behind = queue.grpc().await.watch(watch_from(&begin)).await.unwrap();
    // Each of these lives for a second at least, and the other one for two at most.
    for _ in 0..3 {
        let mut idle = client.watch(watch_live()).await.unwrap();
        assert!(matches!(idle.event().await, Ok(Some(Event::GoingAway(_)))));
    }
    let mut told = 0;
    loop {
        match behind.event().await {
            Ok(Some(Event::Change(_))) => told += 1,
            Ok(Some(Event::GoingAway(_))) => break,
            other => panic!("waited for a change or a farewell, got {other:?}"),
        }
    }
    assert!(told < BATCHES * BATCH, "it was told everything first");
}

#[tokio::test]
async fn a_watcher_that_does_not_read_for_a_while_misses_nothing() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut slow = queue.grpc().await.watch(watch_live()).await.unwrap();
    let mut posted = Vec::new();
    for _ in 0..20 {
        posted.extend(post_at_once(&client, 200).await.into_iter().map(|message| message.seq));
    }
    let (mut seen, mut cursor) = (Vec::new(), slow.hello.tail.clone());
    while seen.len() < posted.len() {
        match slow.event().await {
            Ok(Some(Event::Change(change))) => {
                seen.push(change.seq);
                cursor = change.cursor;
            }
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                slow = client.watch(watch_from(&cursor)).await.unwrap();
            }
            other => panic!("waited for a change, got {other:?}"),
        }
    }
    assert_eq!(seen, posted);
}
