//! Everything in one process: its parts reach the queue without a socket, others by the one that listens for them.

use e2e::{Metrics, Service, question, question_json, within_deadline};
use repartee_proto::v1::Status;

#[tokio::test]
async fn gateway_and_bot_need_no_connection_and_others_have_theirs() {
    let repartee = Service::repartee(&[]).await;
    let browser = repartee.browser();
    let answered = async || {
        let asked = browser.comment(&question_json("echo", "Is anybody there?")).await;
        let path = format!("/api/comments/{}", asked["id"].as_str().unwrap());
        let complete =
            async { while browser.get(&path).await.ok(200)["botParams"]["status"] != "complete" {} };
        within_deadline("the answer of the bot", complete).await;
    };
    answered().await;
    let metrics = Metrics::of(&browser).await;
    assert_eq!(metrics.bound("grpc_connections").0, 0.0, "nobody has connected");
    assert_eq!(metrics.bound("gateway_connections").0, 0.0);
    assert_eq!(metrics.bound("worker_streams").0, 1.0, "the bot is there");
    assert!(metrics.bound("gateway_streams").0 >= 1.0, "and the gateway");

    let client = repartee.grpc().await;
    let asked = client.post(question("echo", "And by a socket?")).await.unwrap();
    let complete = async { while client.status(&asked.id).await.unwrap() != Status::Complete {} };
    within_deadline("the answer of the bot", complete).await;
    assert_eq!(Metrics::of(&browser).await.bound("grpc_connections").0, 1.0);
    answered().await;
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight_and_the_next_start_has_it() {
    let mut repartee = Service::repartee(&[]).await;
    let browser = repartee.browser();
    let posted = browser.comment(&question_json("echo", "Will you remember?")).await;
    assert_eq!(repartee.terminate().await, Some(0));
    repartee.start_again().await;
    let path = format!("/api/comments/{}", posted["id"].as_str().unwrap());
    let browser = repartee.browser();
    let complete = async { while browser.get(&path).await.ok(200)["botParams"]["status"] != "complete" {} };
    within_deadline("the answer of the bot", complete).await;
}
