//! What reading costs: nothing within the cache, one range read for a conversation, and a start that looks at what is
//! live and at what is new. Counted by the storage layer itself.

use e2e::{Browser, Grpc, Service, World, platform_post, question_from};
use repartee_proto::v1::{
    GetConversationRequest, ListPendingRequest, Message, NewMessage, PostMessageRequest, PostMessagesRequest,
    list_messages_request::Position, post_outcome::Outcome,
};
use serde_json::json;

/// As many as the system had whose polls cost 1,841 reads each.
const CONVERSATIONS: usize = 1_839;

/// Posts so many messages in batches and hands them out as they were stored.
async fn post_all(client: &Grpc, messages: impl Iterator<Item = NewMessage>) -> Vec<Message> {
    let items: Vec<_> = messages
        .map(|message| PostMessageRequest { message: Some(message), idempotency_key: None })
        .collect();
    let mut stored = Vec::new();
    for batch in items.chunks(256) {
        let request = PostMessagesRequest { items: batch.to_vec() };
        let answer = client.raw().post_messages(request).await.expect("a batch is stored").into_inner();
        stored.extend(answer.outcomes.into_iter().map(|outcome| match outcome.outcome {
            Some(Outcome::Posted(posted)) => posted.message.expect("the message as stored"),
            other => panic!("a post of the batch was refused: {other:?}"),
        }));
    }
    stored
}

/// So many questions, each of a conversation of its own.
fn questions(count: usize) -> impl Iterator<Item = NewMessage> {
    (0..count)
        .map(|number| question_from(&format!("Human {number}"), &format!("bot-{}", number % 20), "Why?"))
}

/// Storage reads that calls of this name cost since the process started.
async fn reads_of(client: &Grpc, call: &str) -> u64 {
    let stats = client.stats().await.expect("an operator sees the stats");
    stats.calls.iter().filter(|stats| stats.call == call).map(|stats| stats.reads).sum()
}

/// Polls in every way over JSON and checks that none read storage.
async fn assert_polls_read_nothing(browser: &Browser, timestamp: i64) {
    let paths = [
        "/api/comments".to_owned(),
        "/api/comments?limit=1000".to_owned(),
        "/api/comments?after=0&domain=test.example".to_owned(),
        format!("/api/comments?after={}", timestamp - 1),
        format!("/api/comments?since={timestamp}"),
    ];
    for path in paths {
        let answer = browser.get(&path).await;
        assert!(answer.ok(200).is_array(), "{path}");
        assert_eq!(answer.header("x-storage-reads"), "0", "{path}");
    }
    for path in ["/api/queue/pending", "/api/queue/pending?limit=1000", "/api/queue/pending?entity=bot-7"] {
        let page = browser.get(path).await.ok(200);
        assert!(!page["pending"].as_array().unwrap_or(&Vec::new()).is_empty(), "{path}");
        assert_eq!(page["platformOnly"], json!([]), "{path}");
        assert_eq!(page["kvStats"], json!({"reads": 0, "writes": 0}), "{path}");
    }
}

/// Polls in every way over gRPC and checks that none read storage.
async fn assert_calls_read_nothing(client: &Grpc, message: &Message) {
    let first = client.list(None, 0).await.expect("the newest page");
    for position in
        [Position::After(0), Position::After(message.timestamp), Position::Cursor(first.next_cursor)]
    {
        let page = client.list(Some(position.clone()), 1_000).await.expect("a page");
        assert_eq!(page.kv_stats.map(|cost| cost.reads), Some(0), "{position:?}");
    }
    let request = ListPendingRequest { entity: String::new(), limit: 1_000 };
    let pending = client.raw().list_pending(request).await.expect("the pending work").into_inner();
    assert_eq!((pending.messages.len(), pending.kv_stats.map(|cost| cost.reads)), (1_000, Some(0)));
    assert_eq!(client.get(&message.id).await.expect("the message is there"), *message);
    for call in ["ListMessages", "ListPending", "GetMessage"] {
        assert_eq!(reads_of(client, call).await, 0, "{call}");
    }
}

#[tokio::test]
async fn no_poll_reads_storage_with_1839_conversations_before_and_after_a_restart() {
    let mut world = World::start().await;
    let stored = post_all(&world.grpc().await, questions(CONVERSATIONS)).await;
    let newest = stored.last().unwrap();
    assert_polls_read_nothing(&world.browser(), newest.timestamp).await;
    assert_calls_read_nothing(&world.grpc().await, newest).await;

    world.queue.kill().await;
    world.queue.start_again().await;
    let gateway = Service::gateway(&world.queue.grpc_url(), &[]).await;
    assert_polls_read_nothing(&gateway.browser(), newest.timestamp).await;
    assert_calls_read_nothing(&world.grpc().await, newest).await;
}

#[tokio::test]
async fn a_conversation_costs_one_range_read_however_many_others_there_are() {
    let world = World::start().await;
    let client = world.grpc().await;
    let stored = post_all(&client, questions(CONVERSATIONS)).await;
    post_all(&client, (0..30).map(|number| question_from("Human 7", "bot-7", &format!("Again {number}?"))))
        .await;
    let request = GetConversationRequest {
        human_username: "Human 7".to_owned(),
        human_color: stored[7].color.clone(),
        ai_username: "bot-7".to_owned(),
        ai_color: "default".to_owned(),
        ..GetConversationRequest::default()
    };
    let answer = client.raw().get_conversation(request).await.unwrap().into_inner();
    assert_eq!(answer.messages.len(), 31);
    assert_eq!(answer.messages[0], stored[7]);
    assert_eq!(answer.kv_stats.unwrap().reads, 1);

    let path = "/api/conversation?humanUsername=Human%207&humanColor=169080199&aiUsername=bot-7&aiColor=default&limit=5";
    let page = world.browser().get(path).await;
    assert_eq!((page.ok(200).as_array().unwrap().len(), page.header("x-storage-reads")), (5, "1"));
}

#[tokio::test]
async fn a_start_reads_what_is_live_and_what_is_cached_not_all_history() {
    let (history, live, cached) = (3_000, 40, 100);
    let mut queue = Service::queue_service(&["--cache-messages", "100"]).await;
    let client = queue.grpc().await;
    post_all(&client, questions(live)).await;
    post_all(&client, (0..history).map(|number| platform_post("Human", &format!("Post {number}")))).await;
    queue.kill().await;
    queue.start_again().await;

    let client = queue.grpc().await;
    let reads = reads_of(&client, "Start").await;
    let bound = 2 * u64::try_from(live + cached).unwrap() + 32;
    assert!(reads > 0 && reads <= bound, "{reads} reads at start, at most {bound} allowed");
    assert_eq!(client.pending("").await.unwrap().len(), live);
    let cache = client.stats().await.unwrap().cache.unwrap();
    assert!(cache.messages <= cache.max_messages + live as u64, "{cache:?}");
    assert_eq!(cache.max_messages, 100);
}

#[tokio::test]
async fn history_older_than_the_cache_is_still_read_and_says_what_it_cost() {
    let queue = Service::queue_service(&["--cache-messages", "100"]).await;
    let client = queue.grpc().await;
    let stored =
        post_all(&client, (0..600).map(|number| platform_post("Human", &format!("Post {number}")))).await;
    let mut read = vec![stored[0].clone()];
    let mut reads = 0;
    loop {
        let after = Position::After(read.last().map_or(0, |message| message.timestamp));
        let page = client.list(Some(after), 50).await.unwrap();
        reads += page.kv_stats.unwrap().reads;
        read.extend(page.messages);
        if !page.more {
            break;
        }
    }
    let first_commit = stored.iter().filter(|message| message.timestamp == stored[0].timestamp).count();
    assert_eq!(read[1..], stored[first_commit..]);
    assert!(reads > 0, "what is not cached was read from storage, and counted");
    assert_eq!(client.get(&stored[0].id).await.unwrap(), stored[0]);
}

#[tokio::test]
async fn a_page_by_cursor_from_the_storage_is_as_long_as_was_asked() {
    let queue = Service::queue_service(&["--cache-messages", "5"]).await;
    let client = queue.grpc().await;
    let start = client.list(None, 0).await.unwrap().next_cursor;
    let posted = post_all(&client, (0..300).map(|number| platform_post("Ann", &format!("{number}")))).await;
    for limit in [1, 7, 255, 256, 257, 1_000] {
        let (mut cursor, mut told) = (start.clone(), Vec::new());
        loop {
            let page = client.list(Some(Position::Cursor(cursor)), limit).await.unwrap();
            assert!(page.messages.len() <= limit as usize, "{} of {limit}", page.messages.len());
            told.extend(page.messages.into_iter().map(|message| message.id));
            cursor = page.next_cursor;
            if !page.more {
                break;
            }
        }
        assert!(told.iter().eq(posted.iter().map(|message| &message.id)), "each once, in order, by {limit}");
    }
}
