//! What operators are shown.

use e2e::{World, held, question, reply, within_deadline};

#[tokio::test]
async fn the_charts_tell_how_long_answers_take() {
    let world = World::with(&[], &["--history-interval", "0.1s"]).await;
    let (client, browser) = (world.grpc().await, world.browser());
    let id = client.post(question("echo", "Well?")).await.unwrap().id;
    let claimed = client.claim(&id, "worker 1").await.unwrap();
    client.complete(held(&claimed), reply("Well.")).await.unwrap();
    let message = client.get(&id).await.unwrap();
    let took = message.bot_params.unwrap().completed_at.unwrap() - message.timestamp;
    let point = within_deadline("a point with the answer", async {
        loop {
            let history = browser.get("/api/admin/history").await.ok(200);
            let points = history["points"].as_array().unwrap().clone();
            if let Some(point) = points.into_iter().find(|point| point["answers"] == 1) {
                break point;
            }
        }
    })
    .await;
    // Two digits of it are kept.
    let near = (took as f64 * 0.98 - 0.01)..=(took as f64 * 1.02 + 0.01);
    assert!(near.contains(&point["answerP50Ms"].as_f64().unwrap()), "{took} ms: {point}");
    assert_eq!(point["answerP50Ms"], point["answerP99Ms"]);
    assert_eq!(browser.get("/api/admin/chart/answers").await.status, 200);
}
