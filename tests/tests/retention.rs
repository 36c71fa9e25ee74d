//! Retention: what is old goes, and everybody who asks for it is told so; work and the newest stay.

use std::time::Duration;

use e2e::{
    Browser, DOMAIN, Grpc, Refused, Service, World, held, platform_post, question, refused, reply,
    watch_from, watch_live, within_deadline,
};
use repartee_proto::v1::{
    GetConversationRequest, ListFailedRequest, ListMessagesRequest, Message, NewMessage, WatchMode,
    list_messages_request::Position, watch_messages_response::Event as Seen,
};
use tonic::Code;

/// The least retention, behind the smallest cache.
const SHORT: [&str; 4] = ["--retention", "1s", "--cache-messages", "1"];

/// Waits until the messages are gone: asked for again and again, for nobody is told of each.
async fn gone(client: &Grpc, messages: &[&Message]) {
    let mut again = tokio::time::interval(Duration::from_millis(20));
    let gone = async {
        for message in messages {
            while client.get(&message.id).await.is_ok() {
                again.tick().await;
            }
            assert_eq!(refused(client.get(&message.id).await).0, Code::NotFound);
        }
    };
    within_deadline("old messages to be swept", gone).await;
}

/// Posts until what was there before has left the smallest cache, and hands out the last one.
async fn push_out(client: &Grpc) -> Message {
    let mut last = None;
    for number in 0..6 {
        last = Some(client.post(platform_post("Bob", &format!("Post {number}."))).await.expect("a post"));
    }
    last.expect("there were some")
}

fn conversation_of(message: &Message) -> GetConversationRequest {
    let bot = message.bot_params.clone().expect("a question has a bot");
    GetConversationRequest {
        human_username: message.username.clone(),
        human_color: message.color.clone(),
        ai_username: bot.ai_username,
        ai_color: bot.ai_color,
        ..GetConversationRequest::default()
    }
}

#[tokio::test]
async fn what_is_old_goes_and_work_and_the_newest_stay_over_a_restart_too() {
    let mut queue = Service::queue_service(&SHORT).await;
    let client = queue.grpc().await;
    let answered = client.post(question("echo", "Why?")).await.unwrap();
    let work = client.claim(&answered.id, "worker 1").await.unwrap();
    let completed = client.complete(held(&work), reply("Because.")).await.unwrap();
    let answer = client.get(completed.reply_id()).await.unwrap();
    let failed = client.post(question("echo", "How?")).await.unwrap();
    client.cancel(&failed.id).await.unwrap();
    let said = client.post_with_key(platform_post("Ann", "Hello."), Some("key 1")).await.unwrap();
    let said = said.message.unwrap();
    let waiting = client.post(question("other", "When?")).await.unwrap();
    let newest = push_out(&client).await;
    gone(&client, &[&answered, &answer, &failed, &said]).await;

    queue.kill().await;
    queue.start_again().await;
    let client = queue.grpc().await;
    gone(&client, &[&answered, &answer, &failed, &said]).await;
    assert_eq!(client.get(&newest.id).await.unwrap(), newest);
    assert_eq!(client.pending("").await.unwrap(), std::slice::from_ref(&waiting));
    assert!(client.failed().await.unwrap().failed.is_empty());
    let page = client.raw().get_conversation(conversation_of(&answered)).await.unwrap().into_inner();
    assert_eq!(page.messages, []);
    let page = client.raw().get_conversation(conversation_of(&waiting)).await.unwrap().into_inner();
    assert_eq!(page.messages, std::slice::from_ref(&waiting), "work stays in its conversation");

    let work = client.claim_next("worker 2", &["other"], 0).await.unwrap().expect("it waits");
    client.complete(held(&work), reply("Now.")).await.unwrap();
    push_out(&client).await;
    gone(&client, &[&waiting]).await;
}

#[tokio::test]
async fn whoever_names_a_swept_message_is_told_that_it_is_unknown() {
    let world = World::with(&SHORT, &["--tail-messages", "1"]).await;
    let client = world.grpc().await;
    let failed = client.post(question("echo", "How?")).await.unwrap();
    client.cancel(&failed.id).await.unwrap();
    let post = || client.post_with_key(platform_post("Ann", "Hello."), Some("key 1"));
    let said = post().await.unwrap();
    let message = said.message.clone().unwrap();
    push_out(&client).await;
    gone(&client, &[&failed, &message]).await;

    assert_eq!(refused(client.claim(&failed.id, "worker 1").await).0, Code::NotFound);
    assert_eq!(refused(client.retry(&failed.id).await).0, Code::NotFound);
    let answer = NewMessage { reply_to: Some(message.id.clone()), ..platform_post("Bob", "Hello to you.") };
    let refusal = Refused::from(&client.post(answer).await.unwrap_err());
    assert_eq!((refusal.code, refusal.fields), (Code::InvalidArgument, vec!["message.reply_to".to_owned()]));
    world.browser().get(&format!("/api/comments/{}", message.id)).await.problem(404);

    let again = post().await.unwrap();
    assert!(again.replayed, "an idempotency key answers for a day, whatever became of the message");
    assert_eq!((again.message, again.edit_token), (said.message, said.edit_token));
    let request = ListFailedRequest { limit: 10, before_id: Some(failed.id) };
    let page = client.raw().list_failed(request).await.unwrap().into_inner();
    assert_eq!(page.failed, [], "a page goes on behind a message that was swept since");
}

#[tokio::test]
async fn a_cursor_from_before_the_beginning_is_reset_and_a_time_begins_with_the_oldest_that_is_kept() {
    let world = World::with(&SHORT, &["--tail-messages", "1"]).await;
    let client = world.grpc().await;
    let origin = client.watch(watch_live()).await.unwrap().hello.tail;
    let old = client.post(platform_post("Ann", "Hello.")).await.unwrap();
    push_out(&client).await;
    gone(&client, &[&old]).await;

    let page = client.list(Some(Position::Cursor(origin.clone())), 100).await.unwrap();
    assert!(page.reset && page.reset_reason.contains("retention"), "{page:?}");
    let mut watch = client.watch(watch_from(&origin)).await.unwrap();
    assert_eq!(watch.hello.mode(), WatchMode::Reset);
    let reset = watch.reset().await;
    let live = client.post(platform_post("Ann", "Live.")).await.unwrap();
    assert_eq!(watch.change().await.message.as_ref(), Some(&live));
    let mut watch = client.watch(watch_from(&reset.cursor)).await.unwrap();
    assert_eq!(watch.change().await.message, Some(live.clone()), "from the reset on nothing is missed");

    let polled = client.list(Some(Position::After(old.timestamp - 1)), 100).await.unwrap();
    assert!(!polled.reset);
    assert_eq!(polled.messages.last(), Some(&live));
    assert!(polled.messages.iter().all(|message| message.id != old.id));
    let path = format!("/api/comments?after={}", old.timestamp - 1);
    let comments = world.browser().get(&path).await.ok(200);
    assert!(comments.as_array().unwrap().iter().all(|comment| comment["id"] != old.id.as_str()));

    let stats = client.stats().await.unwrap();
    assert!(stats.begins_after_seq >= old.seq && stats.begins_after_timestamp >= old.timestamp);
    let shown = world.browser().get("/api/stats").await.ok(200);
    assert!(shown["beginsAfterSeq"].as_u64() >= Some(old.seq), "{shown}");
    assert!(shown["beginsAfterTimestamp"].as_i64() >= Some(old.timestamp), "{shown}");
    let metrics = Browser::new(&world.queue.grpc_url()).get("/metrics").await;
    let value = |name: &str| -> f64 {
        let line = metrics.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {}", metrics.text())).parse().unwrap()
    };
    assert!(value("repartee_swept_messages_total") >= 1.0);
    assert!(value("repartee_log_begins_seq") >= old.seq as f64);
    assert!(value("repartee_log_begins_timestamp_seconds") >= old.timestamp as f64 / 1_000.0);
}

#[tokio::test]
async fn a_page_that_ends_with_kept_work_before_the_logs_beginning_hands_out_no_cursor() {
    let world = World::with(&SHORT, &["--tail-messages", "1"]).await;
    let client = world.grpc().await;
    let waiting = client.post(question("other", "When?")).await.unwrap();
    let old = client.post(platform_post("Ann", "Hello.")).await.unwrap();
    push_out(&client).await;
    gone(&client, &[&old]).await;

    let after = waiting.timestamp - 1;
    let page = client.list(Some(Position::After(after)), 1).await.unwrap();
    assert_eq!((page.messages, page.more), (vec![waiting.clone()], true));
    assert_eq!(page.next_cursor, "", "a cursor from there is lost already");

    let browser = world.browser();
    let path = |after: i64, limit: u32| format!("/api/comments?domain={DOMAIN}&after={after}&limit={limit}");
    let polled = browser.get(&path(after, 1)).await;
    assert_eq!((polled.header("x-next-cursor"), polled.header("x-more")), ("", "true"));
    assert_eq!(polled.ok(200)[0]["id"], waiting.id.as_str());
    let polled = browser.get(&path(waiting.timestamp, 100)).await;
    let cursor = polled.header("x-next-cursor").to_owned();
    assert_eq!(polled.header("x-more"), "false");
    let changes =
        browser.get(&format!("/api/comments/changes?domain={DOMAIN}&cursor={cursor}")).await.ok(200);
    assert_eq!(changes["reset"], false, "{changes}");
}

#[tokio::test]
async fn who_follows_while_the_log_is_swept_sees_every_change_or_is_told_of_a_reset() {
    let queue = Service::queue_service(&SHORT).await;
    let client = queue.grpc().await;
    let mut watch = client.watch(watch_live()).await.unwrap();
    let number = |cursor: &str| -> u64 { cursor.rsplit('.').next().unwrap().parse().unwrap() };
    let first = client.post(platform_post("Ann", "The first.")).await.unwrap();
    let mut seen = number(&watch.hello.tail);
    while client.get(&first.id).await.is_ok() {
        let mut last = first.seq;
        for _ in 0..50 {
            last = client.post(platform_post("Ann", "One more.")).await.unwrap().seq;
        }
        while seen < last {
            match watch.event().await.unwrap() {
                Some(Seen::Change(change)) => {
                    assert_eq!(change.seq, seen + 1, "no gap without a reset");
                    seen = change.seq;
                }
                Some(Seen::Reset(reset)) => seen = number(&reset.cursor),
                other => panic!("waited for a change, got {other:?}"),
            }
        }
    }
    assert!(client.stats().await.unwrap().begins_after_seq > 0);
}

#[tokio::test]
async fn a_kill_while_the_log_is_swept_takes_nothing_that_is_kept_and_brings_nothing_back() {
    let mut queue = Service::queue_service(&SHORT).await;
    let mut client = queue.grpc().await;
    let waiting = client.post(question("other", "When?")).await.unwrap();
    let mut posted = Vec::new();
    for _ in 0..5 {
        let before = client.stats().await.unwrap().begins_after_seq;
        while client.stats().await.unwrap().begins_after_seq == before {
            for _ in 0..20 {
                posted.push(client.post(platform_post("Ann", "One more.")).await.unwrap());
            }
        }
        queue.kill().await;
        queue.start_again().await;
        client = queue.grpc().await;
        let begins = client.stats().await.unwrap().begins_after_seq;
        assert!(begins >= before, "what was swept is swept");
        for message in &posted {
            match client.get(&message.id).await {
                Ok(found) => assert_eq!((&found, found.seq > begins), (message, true)),
                Err(refusal) => {
                    assert_eq!(refusal.code(), Code::NotFound);
                    let begins = client.stats().await.unwrap().begins_after_seq;
                    assert!(message.seq <= begins, "{} is gone, the log begins after {begins}", message.seq);
                }
            }
        }
        posted.retain(|message| message.seq > begins);
        assert_eq!(client.pending("").await.unwrap(), std::slice::from_ref(&waiting));
    }
}

/// A question that waits, eight more posts, and one more once retention has passed: the question is kept, so it is in lists.
#[tokio::test]
async fn what_is_kept_for_its_last_change_is_in_every_list_over_a_restart_too() {
    let queue_settings = ["--retention", "1s", "--cache-messages", "5"];
    let mut world = World::with(&queue_settings, &["--tail-messages", "5"]).await;
    let client = world.grpc().await;
    let waiting = client.post(question("echo", "When?")).await.unwrap();
    let mut others = Vec::new();
    for number in 0..8 {
        others.push(client.post(platform_post("Bob", &format!("Post {number}."))).await.unwrap());
    }
    // Each further post sweeps what has left the cache and is old.
    let last = push_out(&client).await;
    gone(&client, &[&others[0], &others[1]]).await;

    for restart in [false, true] {
        if restart {
            world.queue.kill().await;
            world.queue.start_again_in_place().await;
        }
        let (client, browser) = (world.grpc().await, world.browser());
        assert_eq!(client.get(&waiting.id).await.unwrap(), waiting);
        for position in [None, Some(Position::After(1)), Some(Position::After(waiting.timestamp - 1))] {
            let page = client.list(position.clone(), 1_000).await.unwrap();
            assert_eq!(page.messages.first(), Some(&waiting), "{position:?}, restart: {restart}");
            assert_eq!(page.messages.last(), Some(&last), "{position:?}, restart: {restart}");
        }
        let domain = ListMessagesRequest { domain: DOMAIN.to_owned(), position: None, limit: 1_000 };
        let page = client.raw().list_messages(domain).await.unwrap().into_inner();
        assert_eq!(page.messages.first(), Some(&waiting), "by domain, restart: {restart}");
        let first = client.list(Some(Position::After(1)), 1).await.unwrap();
        assert_eq!((first.messages.first(), first.more), (Some(&waiting), true));
        for path in ["/api/comments?limit=1000", "/api/comments?after=1&limit=1000"] {
            let of_domain = format!("{path}&domain={DOMAIN}");
            for path in [path, &of_domain] {
                let page = browser.get(path).await.ok(200);
                let ids: Vec<_> =
                    page.as_array().unwrap().iter().map(|comment| comment["id"].clone()).collect();
                assert!(ids.contains(&waiting.id.clone().into()), "{path}, restart: {restart}: {ids:?}");
            }
        }
    }
    let work = world.grpc().await.claim_next("worker 1", &["echo"], 0).await.unwrap().expect("it waits");
    let client = world.grpc().await;
    client.complete(held(&work), None).await.unwrap();
    push_out(&client).await;
    gone(&client, &[&waiting]).await;
    let page = client.list(Some(Position::After(1)), 1_000).await.unwrap();
    assert!(page.messages.iter().all(|message| message.id != waiting.id), "it goes with its last change");
}
