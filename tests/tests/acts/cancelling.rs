//! Cancelling all that waits of an entity, an author or an address.

use e2e::{Browser, Service, WORKER, World, question, work};
use repartee_proto::v1::{
    CancelPendingRequest, PostMessageRequest, PostMessagesRequest, cancel_pending_request::Which,
};
use serde_json::{Value, json};

use crate::{ANN, BEA, Visitor, acts, waiting, world};

#[tokio::test]
async fn a_flood_of_one_author_or_address_is_cancelled_in_one_call_and_nobody_elses_question() {
    let world = world().await;
    let browser = world.browser();
    let [spam, neighbour, bea] =
        [Visitor(ANN, "203.0.113.9"), Visitor(BEA, "203.0.113.9"), Visitor(BEA, "203.0.113.10")];
    let first = spam.ask(&world, "echo", 100).await["id"].clone();
    for n in 1..12 {
        spam.ask(&world, if n % 2 == 0 { "echo" } else { "poet" }, 100 + n).await;
    }
    let [near, far] = [neighbour.ask(&world, "echo", 300).await, bea.ask(&world, "echo", 301).await];
    // Operators see who it was, as something that cannot be turned into a secret or an address.
    let listed = waiting(&browser).await;
    let of = |id: &Value, field: &str| {
        listed.iter().find(|message| message["id"] == *id).unwrap()[field].as_str().unwrap().to_owned()
    };
    assert_eq!(of(&near["id"], "author"), of(&far["id"], "author"));
    assert_eq!(of(&near["id"], "address"), of(&first, "address"));
    assert_ne!(of(&first, "author"), of(&near["id"], "author"));
    assert_eq!(of(&first, "author").len(), 32);

    let body = json!({"authorOf": first, "reason": "spam"});
    let answer = browser.post("/api/queue/cancel-pending", &body).await;
    assert!(answer.header("x-reached").contains('.'), "it says what it has reached, as every write");
    let cancelled = answer.ok(200);
    assert_eq!((&cancelled["cancelled"], &cancelled["more"]), (&json!(12), &json!(false)));
    assert_eq!(waiting(&browser).await.len(), 2, "what others asked waits on");
    let again = browser.post("/api/queue/cancel-pending", &body).await.ok(200);
    assert_eq!(again["cancelled"], 0, "the second time there is nothing to do");
    let body = json!({"address": of(&first, "address")});
    assert_eq!(browser.post("/api/queue/cancel-pending", &body).await.ok(200)["cancelled"], 1);
    let body = json!({"entity": "echo"});
    assert_eq!(browser.post("/api/queue/cancel-pending", &body).await.ok(200)["cancelled"], 1);

    let log = acts(&browser).await;
    let told: Vec<_> = log.iter().map(|act| (&act["kind"], &act["count"], &act["reason"])).collect();
    let expected = [(1, ""), (1, ""), (12, "spam")];
    let expected: Vec<_> =
        expected.iter().map(|(count, why)| (json!("cancel"), json!(count), json!(why))).collect();
    assert_eq!(told, expected.iter().map(|(a, b, c)| (a, b, c)).collect::<Vec<_>>(), "newest first");
    assert_eq!(log[2]["author"], of(&first, "author"));
    assert_eq!((&log[0]["entity"], &log[0]["tokenId"]), (&json!("echo"), &json!("000000000001")));
}

#[tokio::test]
async fn visitors_and_workers_are_shown_nobodys_author_or_address() {
    let world = world().await;
    let posted = Visitor(ANN, "203.0.113.9").ask(&world, "echo", 1).await;
    let worker = Browser::with(&format!("http://{}", world.gateway.http_addr()), Some(WORKER));
    let path = format!("/api/comments/{}", posted["id"].as_str().unwrap());
    let mut shown = vec![posted["message"].clone()];
    for browser in [&world.gateway.visitor(), &worker] {
        shown.push(browser.get(&path).await.ok(200));
        shown.extend(browser.comments().await);
    }
    shown.extend(waiting(&worker).await);
    let claimed = worker.post("/api/queue/claim-next", &json!({"workerId": "w"})).await.ok(200);
    shown.push(claimed["message"].clone());
    assert_eq!(shown.len(), 7);
    for message in shown {
        assert_eq!((message.get("author"), message.get("address")), (None, None), "{message}");
    }
    let seen = world.browser().get(&path).await.ok(200);
    assert!(seen["author"].is_string() && seen["address"].is_string(), "{seen}");
}

#[tokio::test]
async fn what_a_worker_holds_is_cancelled_only_if_that_is_asked() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut stream = client.stream(work("worker 1", &["echo"], 1)).await.unwrap();
    let held = client.post(question("echo", "First.")).await.unwrap().id;
    assert_eq!(stream.work().await.message.unwrap().id, held);
    client.post(question("echo", "Second.")).await.unwrap();
    let cancel = async |include_processing| {
        let which = Some(Which::Entity("echo".to_owned()));
        let request = CancelPendingRequest { which, include_processing, reason: String::new() };
        client.raw().cancel_pending(request).await.unwrap().into_inner().cancelled
    };
    assert_eq!(cancel(false).await, 1);
    assert_eq!(cancel(true).await, 1);
    assert_eq!(stream.cancelled().await, held);
    assert_eq!(cancel(true).await, 0);
}

#[tokio::test]
async fn more_than_one_commit_takes_is_cancelled_in_one_call_and_is_one_act() {
    let world = World::start().await;
    let client = world.grpc().await;
    for _ in 0..3 {
        let item = |_| PostMessageRequest { message: Some(question("echo", "?")), idempotency_key: None };
        let request = PostMessagesRequest { items: (0..200).map(item).collect() };
        client.raw().post_messages(request).await.unwrap();
    }
    let browser = world.browser();
    let body = json!({"entity": "echo"});
    let cancelled = browser.post("/api/queue/cancel-pending", &body).await.ok(200);
    assert_eq!((&cancelled["cancelled"], &cancelled["more"]), (&json!(600), &json!(false)));
    let log = acts(&browser).await;
    assert_eq!((log.len(), &log[0]["count"]), (1, &json!(600)));
}

#[tokio::test]
async fn whose_messages_are_cancelled_is_said_once_and_well_formed() {
    let world = World::start().await;
    let browser = world.browser();
    let id = world.grpc().await.post(question("echo", "By an operator.")).await.unwrap().id;
    let unknown = uuid::Uuid::new_v4().to_string();
    for (body, pointer) in [
        (json!({}), ""),
        (json!({"entity": "a", "author": "0".repeat(32)}), ""),
        (json!({"entity": ""}), "/entity"),
        (json!({"author": "xyz"}), "/author"),
        (json!({"address": "0".repeat(31)}), "/address"),
        (json!({"authorOf": "x"}), "/authorOf"),
        (json!({"authorOf": id}), "/authorOf"),
        (json!({"entity": "a", "reason": "x".repeat(201)}), "/reason"),
        (json!({"entity": "a", "reason": "two\nlines"}), "/reason"),
    ] {
        let answer = browser.post("/api/queue/cancel-pending", &body).await;
        assert_eq!(answer.pointers(400), [pointer], "{body}");
    }
    browser.post("/api/queue/cancel-pending", &json!({"addressOf": unknown})).await.problem(404);
    assert_eq!(acts(&browser).await, [] as [Value; 0], "what is refused is no act");
}
