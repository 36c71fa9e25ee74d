//! Posts on one stream: in order, one outcome each, each by the rules of PostMessage; and what becomes of them when the stream
//! or the service ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashSet;

use e2e::{
    Browser, GATEWAY, Grpc, Metrics, OPERATOR, PostStream, Process, Refused, Service, WORKER, add_token,
    platform_post, post_item, question, read_post, within_deadline,
};
use repartee_process::Role;
use repartee_proto::v1::{
    ItemMetadata, MessageType, NewMessage, PostMessageRequest, PostsRequest, posts_response::Event,
};
use tempfile::TempDir;
use tonic::{Code, Status};

/// An item whose repetition is recognised.
fn keyed(number: u64) -> PostsRequest {
    let message = platform_post("Ann", &format!("Number {number}."));
    let post = PostMessageRequest { message: Some(message), idempotency_key: Some(format!("key {number}")) };
    PostsRequest { post: Some(post), ..post_item(number, NewMessage::default()) }
}

fn with(item: PostsRequest, metadata: ItemMetadata) -> PostsRequest {
    PostsRequest { metadata: Some(metadata), ..item }
}

async fn texts(client: &Grpc) -> Vec<String> {
    client.all().await.unwrap().into_iter().map(|message| message.text).collect()
}

#[tokio::test]
async fn posts_are_stored_in_their_order_and_each_has_one_outcome() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut stream = PostStream::open(&client).await.unwrap();
    let items = stream.items();
    let sending = tokio::spawn(async move {
        for number in 0..1_000 {
            items.send(post_item(number, platform_post("Ann", &format!("Number {number}.")))).await.unwrap();
        }
    });
    let mut last = 0;
    for number in 0..1_000 {
        let (answered, posted) = stream.outcome().await;
        let message = posted.unwrap().message.unwrap();
        assert_eq!((answered, message.text), (number, format!("Number {number}.")));
        assert!(message.seq > last, "{} follows {last}", message.seq);
        last = message.seq;
    }
    sending.await.unwrap();
    stream.end();
    assert_eq!(stream.event().await.unwrap(), None, "nothing follows the last outcome");
    let expected: Vec<String> = (0..1_000).map(|number| format!("Number {number}.")).collect();
    assert_eq!(texts(&client).await, expected);

    let metrics = Metrics::of(&Browser::new(&queue.grpc_url())).await;
    let calls = "repartee_grpc_calls_total{method=\"/repartee.v1.QueueService/PostMessage\",code=\"OK\"}";
    assert_eq!(metrics.value(calls), 1_000.0, "an item counts as the call for which it stands");
    assert_eq!(metrics.bound("calls").0, 0.0);
}

#[tokio::test]
async fn an_item_is_refused_as_the_call_is_and_the_others_are_stored() {
    let queue = Service::queue_service(&[]).await;
    let visitor = queue.grpc_with(None).await;
    let mut stream = PostStream::open(&visitor).await.unwrap();
    let long = platform_post("Ann", &"x".repeat(16_385));
    let nameless = NewMessage { username: String::new(), domain: String::new(), ..platform_post("", "") };
    let ai = NewMessage { message_type: MessageType::Ai.into(), ..platform_post("echo", "I am the bot.") };
    let orphan = NewMessage {
        reply_to: Some("00000000-0000-4000-8000-000000000000".into()),
        ..platform_post("Ann", "To whom?")
    };
    let mut stored = 0;
    for message in [long, nameless, ai, orphan] {
        let by_call = visitor.post(message.clone()).await.unwrap_err();
        let by_item = stream.post(post_item(7, message)).await.unwrap_err();
        assert_eq!(Refused::from(&by_item), Refused::from(&by_call));
        assert_eq!(by_item.message(), by_call.message());
        stream.post(post_item(7, platform_post("Ann", "Good."))).await.unwrap();
        stored += 1;
    }
    let empty = stream.post(PostsRequest { number: 1, ..PostsRequest::default() }).await.unwrap_err();
    assert_eq!(empty.code(), Code::InvalidArgument);
    assert_eq!(texts(&queue.grpc().await).await.len(), stored);
}

#[tokio::test]
async fn an_item_whose_time_is_over_is_not_stored() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut stream = PostStream::open(&client).await.unwrap();
    for seconds in [0, -1] {
        let item =
            PostsRequest { timeout: e2e::seconds(seconds), ..post_item(1, platform_post("Ann", "Late.")) };
        assert_eq!(stream.post(item).await.unwrap_err().code(), Code::DeadlineExceeded, "{seconds} s");
    }
    let item = PostsRequest { timeout: e2e::seconds(60), ..post_item(2, platform_post("Ann", "In time.")) };
    stream.post(item).await.unwrap();
    assert_eq!(texts(&client).await, ["In time."]);
}

#[tokio::test]
async fn who_reads_no_outcomes_stops_his_own_posts_and_nobody_elses() {
    const SENT: u64 = 4_000;
    let queue = Service::queue_service(&["--stream-patience", "1s"]).await;
    let client = queue.grpc().await;
    let mut slow = PostStream::open(&queue.grpc().await).await.unwrap();
    let (items, text) = (slow.items(), "x".repeat(16_000));
    let sending = tokio::spawn(async move {
        for number in 0..SENT {
            if items.send(post_item(number, platform_post("Slow", &text))).await.is_err() {
                return number;
            }
        }
        SENT
    });
    let mut other = PostStream::open(&client).await.unwrap();
    let operator = Browser::new(&queue.grpc_url());
    let ended = async {
        let mut number = 0;
        while Metrics::of(&operator).await.refused("stream_events") < 1.0 {
            other.post(post_item(number, platform_post("Quick", "I am served."))).await.unwrap();
            number += 1;
        }
        number
    };
    assert!(within_deadline("the end of the slow stream", ended).await > 0);
    let mut acknowledged = HashSet::new();
    let refusal = loop {
        match slow.event().await {
            Ok(Some(Event::Outcome(outcome))) => {
                acknowledged.insert(read_post(outcome).1.unwrap().message.unwrap().id);
            }
            Ok(other) => panic!("a stream does not end without a word: {other:?}"),
            Err(status) => break Refused::from(&status),
        }
    };
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::ResourceExhausted, "SLOW_READER"));
    assert!(sending.await.unwrap() < SENT, "what nobody takes the outcomes of is not even sent");
    let all = client.all().await.unwrap();
    let stored: HashSet<String> =
        all.into_iter().filter(|message| message.username == "Slow").map(|message| message.id).collect();
    assert!(acknowledged.is_subset(&stored), "what was acknowledged is there");
    // What was taken up, or waits in the buffers of the connection: far less than was to be sent.
    assert!((stored.len() as u64) < SENT / 2, "{} were stored", stored.len());
}

#[tokio::test]
async fn a_stream_that_is_cancelled_loses_nothing_that_was_acknowledged_and_a_repetition_stores_nothing_twice()
 {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    for round in 0..4 {
        let mut stream = PostStream::open(&client).await.unwrap();
        let items = stream.items();
        let numbers = round * 100..round * 100 + 100;
        let sent = numbers.clone();
        let sending = tokio::spawn(async move {
            for number in sent {
                if items.send(keyed(number)).await.is_err() {
                    return;
                }
            }
        });
        let mut acknowledged = Vec::new();
        for _ in 0..20 {
            acknowledged.push(stream.outcome().await.1.unwrap().message.unwrap().id);
        }
        drop(stream);
        sending.await.unwrap();
        for id in &acknowledged {
            client.get(id).await.unwrap();
        }
        let mut again = PostStream::open(&client).await.unwrap();
        for number in numbers {
            let posted = again.post(keyed(number)).await.unwrap();
            let at = (number - round * 100) as usize;
            if let Some(id) = acknowledged.get(at) {
                assert_eq!((&posted.message.unwrap().id, posted.replayed), (id, true));
            }
        }
    }
    let expected: HashSet<String> = (0..400).map(|number| format!("Number {number}.")).collect();
    let stored = texts(&client).await;
    assert_eq!((stored.len(), HashSet::from_iter(stored)), (400, expected));
}

#[tokio::test]
async fn a_service_that_stops_says_so_and_whatever_it_took_up_has_its_outcome() {
    let mut queue = Service::queue_service(&[]).await;
    let mut stream = PostStream::open(&queue.grpc().await).await.unwrap();
    stream.post(keyed(0)).await.unwrap();
    let items = stream.items();
    let sending = tokio::spawn(async move {
        let mut number = 1;
        while items.send(keyed(number)).await.is_ok() {
            number += 1;
        }
    });
    let reading = async {
        let (mut stored, mut was_told) = (1, false);
        while let Some(event) = stream.event().await.unwrap() {
            match event {
                Event::Outcome(outcome) => {
                    let (number, outcome) = read_post(outcome);
                    assert_eq!(number, stored);
                    outcome.unwrap();
                    stored += 1;
                }
                Event::GoingAway(going) => {
                    assert!(going.retry_after.is_some());
                    was_told = true;
                }
                Event::Hello(_) | Event::Heartbeat(_) => panic!("{event:?} is not to come here"),
            }
        }
        assert!(was_told, "the end is told before");
        stored
    };
    let (stored, code) = tokio::join!(reading, queue.terminate());
    assert_eq!(code, Some(0));
    sending.await.unwrap();
    queue.start_again().await;
    let expected: Vec<String> = (0..stored).map(|number| format!("Number {number}.")).collect();
    let stored = texts(&queue.grpc().await).await;
    assert!(stored == expected, "{} of {}: what has no outcome was not done", stored.len(), expected.len());
}

#[tokio::test]
async fn after_a_kill_what_was_acknowledged_is_there_and_a_repetition_stores_the_rest_once() {
    let mut queue = Service::queue_service(&[]).await;
    let mut stream = PostStream::open(&queue.grpc().await).await.unwrap();
    let items = stream.items();
    let sending = tokio::spawn(async move {
        for number in 0..10_000 {
            if items.send(keyed(number)).await.is_err() {
                return;
            }
        }
    });
    let mut acknowledged = Vec::new();
    for _ in 0..300 {
        acknowledged.push(stream.outcome().await.1.unwrap().message.unwrap().id);
    }
    queue.kill().await;
    while let Ok(Some(event)) = stream.event().await {
        let Event::Outcome(outcome) = event else { panic!("{event:?} is not to come here") };
        acknowledged.push(read_post(outcome).1.unwrap().message.unwrap().id);
    }
    drop(stream);
    sending.await.unwrap();

    queue.start_again().await;
    let client = queue.grpc().await;
    let mut again = PostStream::open(&client).await.unwrap();
    for (number, id) in (0..).zip(&acknowledged) {
        let posted = again.post(keyed(number)).await.unwrap();
        assert_eq!((&posted.message.unwrap().id, posted.replayed), (id, true), "{number}");
    }
    let after = acknowledged.len() as u64..acknowledged.len() as u64 + 600;
    for number in after.clone() {
        again.post(keyed(number)).await.unwrap();
    }
    let stored = texts(&client).await;
    let distinct: HashSet<&String> = stored.iter().collect();
    assert_eq!(distinct.len(), stored.len(), "nothing is stored twice");
    assert!(stored.len() as u64 >= after.end, "{} of {}", stored.len(), after.end);
}

#[tokio::test]
async fn a_gateways_items_are_judged_by_whom_they_name() {
    let queue = Service::queue_service(&[]).await;
    let gateway = queue.grpc_with(Some(GATEWAY)).await;
    let mut stream = PostStream::open(&gateway).await.unwrap();
    let of = |client: &str, authorization: &str, visitor: &str| ItemMetadata {
        client: client.into(),
        authorization: authorization.into(),
        visitor: visitor.into(),
        ..ItemMetadata::default()
    };
    let said = |text: &str| post_item(1, platform_post("Ann", text));
    let own = stream.post(said("Mine.")).await.unwrap_err();
    assert_eq!(own.code(), Code::PermissionDenied, "a gateway posts nothing for itself");
    stream.post(with(said("A visitor's."), of("203.0.113.7", "", "ann"))).await.unwrap();
    let ai = |number| {
        let message_type = MessageType::Ai.into();
        post_item(number, NewMessage { message_type, ..platform_post("echo", "By the bot.") })
    };
    let by_visitor = stream.post(with(ai(2), of("203.0.113.7", "", "ann"))).await.unwrap_err();
    assert_eq!(by_visitor.code(), Code::Unauthenticated);
    let worker = format!("Bearer {WORKER}");
    stream.post(with(ai(3), of("203.0.113.7", &worker, ""))).await.unwrap();
    let unknown = format!("Bearer rpt_000000000000_{}", "0".repeat(64));
    let wrong = stream.post(with(ai(4), of("203.0.113.7", &unknown, ""))).await.unwrap_err();
    assert_eq!(Refused::from(&wrong).reason, "TOKEN_UNKNOWN");
    let itself = format!("Bearer {GATEWAY}");
    let as_gateway = stream.post(with(ai(5), of("203.0.113.7", &itself, ""))).await.unwrap_err();
    assert_eq!(as_gateway.code(), Code::PermissionDenied);

    // A key belongs to whoever sent it: the same one of another visitor is another.
    let first = stream.post(with(keyed(9), of("203.0.113.7", "", "ann"))).await.unwrap();
    let other = stream.post(with(keyed(9), of("203.0.113.7", "", "bea"))).await.unwrap();
    let again = stream.post(with(keyed(9), of("203.0.113.8", "", "ann"))).await.unwrap();
    assert_eq!((first.replayed, other.replayed, again.replayed), (false, false, true));

    // Nobody else is believed.
    for token in [WORKER, OPERATOR] {
        let mut stream = PostStream::open(&queue.grpc_with(Some(token)).await).await.unwrap();
        let refused = stream.post(with(said("Whose?"), of("203.0.113.7", "", ""))).await.unwrap_err();
        assert_eq!(Refused::from(&refused).reason, "GATEWAY_REFUSED");
        stream.post(said("My own.")).await.unwrap();
    }
    let metrics = Metrics::of(&Browser::new(&queue.grpc_url())).await;
    assert_eq!(metrics.bound("gateway_streams").0, 1.0);
}

#[tokio::test]
async fn the_request_of_an_item_is_known_by_its_metadata() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut stream = PostStream::open(&client).await.unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let named = ItemMetadata { request_id: "r-1".into(), ..ItemMetadata::default() };
    let traced = ItemMetadata { traceparent: format!("00-{trace}-00f067aa0ba902b7-01"), ..named.clone() };
    let broken = ItemMetadata { request_id: "two words".into(), ..ItemMetadata::default() };
    for (metadata, expected) in [(named, Some("r-1")), (traced, Some(trace)), (broken, None)] {
        let posted = stream.post(with(post_item(1, question("echo", "Well?")), metadata)).await.unwrap();
        let message_id = posted.message.unwrap().id;
        let request = repartee_proto::v1::InspectMessageRequest { message_id };
        let inspected = client.raw().inspect_message(request).await.unwrap().into_inner();
        assert_eq!(inspected.trace_id.as_deref(), expected);
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_what_was_taken_up_has_its_outcome() {
    let folder = TempDir::new().unwrap();
    let tokens = folder.path().join("tokens");
    add_token(&tokens, OPERATOR, Role::Operator, &[]);
    add_token(&tokens, WORKER, Role::Worker, &["*"]);
    let data = folder.path().join("data");
    let flags = ["--grpc-addr", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
    let file = ["--tokens-file", tokens.to_str().unwrap()];
    let mut process = Process::spawn_bare("queue-service", &[&flags[..], &file].concat(), &[]);
    let url = format!("http://{}", process.ready().await.grpc.unwrap());
    let mut stream = PostStream::open(&Grpc::connect_with(&url, Some(WORKER)).await.unwrap()).await.unwrap();
    stream.post(keyed(0)).await.unwrap();
    let items = stream.items();
    let sending = tokio::spawn(async move {
        let mut number = 1;
        while items.send(keyed(number)).await.is_ok() {
            number += 1;
        }
    });
    std::fs::remove_file(&tokens).unwrap();
    add_token(&tokens, OPERATOR, Role::Operator, &[]);
    let mut stored = 1;
    let refused: Status = loop {
        match stream.event().await {
            Ok(Some(Event::Outcome(outcome))) => {
                let (number, outcome) = read_post(outcome);
                assert_eq!(number, stored);
                outcome.unwrap();
                stored += 1;
            }
            Ok(other) => panic!("it ends with a refusal, not with {other:?}"),
            Err(status) => break status,
        }
    };
    assert_eq!(refused.code(), Code::PermissionDenied);
    sending.await.unwrap();
    let expected: Vec<String> = (0..stored).map(|number| format!("Number {number}.")).collect();
    let stored = texts(&Grpc::connect(&url).await.unwrap()).await;
    assert!(stored == expected, "{} of {}: what has no outcome was not done", stored.len(), expected.len());
}

#[tokio::test]
async fn streams_of_posts_have_a_bound() {
    let queue = Service::queue_service(&["--max-streams", "2"]).await;
    let client = queue.grpc().await;
    let _open = (PostStream::open(&client).await.unwrap(), PostStream::open(&client).await.unwrap());
    let refused = PostStream::open(&client).await.unwrap_err();
    let refused = Refused::from(&refused);
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "TOO_MANY_STREAMS"));
    let metrics = Metrics::of(&Browser::new(&queue.grpc_url())).await;
    assert_eq!(metrics.bound("post_streams"), (2.0, 2.0));
    assert_eq!(metrics.refused("post_streams"), 1.0);
}
