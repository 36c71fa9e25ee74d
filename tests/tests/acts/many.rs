//! Retrying and cancelling many messages in one call, each with an outcome of its own.

use e2e::{World, held, question, reply};
use serde_json::{Value, json};

use crate::acts;

/// The status and the reason of each outcome.
fn told(answer: &Value) -> Vec<(Value, Value, Value)> {
    let outcomes = answer["outcomes"].as_array().unwrap().iter();
    let told =
        |outcome: &Value| (outcome["success"].clone(), outcome["status"].clone(), outcome["reason"].clone());
    outcomes.map(told).collect()
}

#[tokio::test]
async fn many_are_cancelled_and_retried_and_what_cannot_be_is_named_and_left_alone() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(client.post(question("echo", &format!("Question {n}?"))).await.unwrap().id);
    }
    let claimed = client.claim(&ids[2], "worker 1").await.unwrap();
    client.complete(held(&claimed), reply("So.")).await.unwrap();
    let unknown = uuid::Uuid::new_v4().to_string();
    let named = [ids.clone(), vec![unknown.clone()]].concat();
    let body = json!({"messageIds": named, "reason": "rude"});
    let answer = browser.post("/api/queue/cancel-messages", &body).await;
    assert!(answer.header("x-reached").contains('.'), "it says what it has reached, as every write");
    let answer = answer.ok(200);
    let taken = |status: &str| (json!(true), json!(status), Value::Null);
    let refused = |reason: Value| (json!(false), Value::Null, reason);
    let expected =
        vec![taken("failed"), taken("failed"), refused(json!("ALREADY_COMPLETED")), refused(Value::Null)];
    assert_eq!(told(&answer), expected, "{answer}");
    let of: Vec<_> = answer["outcomes"].as_array().unwrap().iter().map(|one| &one["messageId"]).collect();
    assert_eq!(of, named.iter().collect::<Vec<_>>(), "in the order of the request");

    let answer = browser.post("/api/queue/retry-messages", &json!({"messageIds": ids})).await.ok(200);
    assert_eq!(
        told(&answer),
        [taken("pending"), taken("pending"), refused(json!("ALREADY_COMPLETED"))],
        "{answer}"
    );
    assert_eq!(client.pending("echo").await.unwrap().len(), 2);
    let log = acts(&browser).await;
    let entries: Vec<_> = log.iter().map(|act| (&act["kind"], &act["messageId"], &act["reason"])).collect();
    let entry = |kind: &str, at: usize, why: &str| (json!(kind), json!(ids[at]), json!(why));
    let expected = [
        entry("retry", 1, ""),
        entry("retry", 0, ""),
        entry("cancel", 1, "rude"),
        entry("cancel", 0, "rude"),
    ];
    assert_eq!(entries, expected.iter().map(|(a, b, c)| (a, b, c)).collect::<Vec<_>>(), "newest first");
}

#[tokio::test]
async fn a_list_of_messages_that_is_not_well_formed_is_refused_whole() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    let id = client.post(question("echo", "Well?")).await.unwrap().id;
    for (body, pointer) in [
        (json!({}), "/messageIds"),
        (json!({"messageIds": []}), "/messageIds"),
        (json!({"messageIds": vec![id.clone(); 257]}), "/messageIds"),
        (json!({"messageIds": [id, "x"]}), "/messageIds/1"),
        (json!({"messageIds": [id], "reason": "x".repeat(201)}), "/reason"),
    ] {
        for path in ["/api/queue/cancel-messages", "/api/queue/retry-messages"] {
            assert_eq!(browser.post(path, &body).await.pointers(400), [pointer], "{path}");
        }
    }
    let wrong = json!({"messageIds": vec!["x".repeat(50); 256]});
    let named = browser.post("/api/queue/cancel-messages", &wrong).await.pointers(400);
    assert_eq!((named.len(), named[15].as_str()), (16, "/messageIds/15"), "so many fit into a refusal");
    assert_eq!(client.pending("echo").await.unwrap().len(), 1, "nothing was changed");
    assert_eq!(acts(&browser).await, [] as [Value; 0]);
}
