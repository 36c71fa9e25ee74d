//! Seats that are kept for gateways: whoever else takes all that there is does not keep them out.

use e2e::{Browser, Grpc, Metrics, Service, Watch, watch_live, within_deadline};

/// A client without a token, with an open watch.
async fn stranger(queue: &Service) -> Option<(Grpc, Watch)> {
    let client = Grpc::connect_with(&queue.grpc_url(), None).await.ok()?;
    let watch = client.watch(watch_live()).await.ok()?;
    Some((client, watch))
}

/// A client of the metrics, which have an address of their own.
fn metrics_of(queue: &Service) -> Browser {
    Browser::new("http://nobody.invalid").with_metrics_at(Some(queue.metrics_addr()))
}

async fn unproven(queue: &Service) -> f64 {
    let metrics = Metrics::of(&metrics_of(queue)).await;
    metrics.value("repartee_connections_ended_total{bound=\"grpc_connections\",why=\"unproven\"}")
}

#[tokio::test]
async fn a_gateway_gets_in_when_a_stranger_has_all_connections_and_all_watches() {
    let limits = ["--max-connections", "20", "--gateway-connections", "6", "--max-streams", "30"];
    let more = ["--head-timeout", "2s", "--metrics-addr", "127.0.0.1:0"];
    let queue = Service::queue_service(&[&limits[..], &more].concat()).await;
    let mut gateway = Service::gateway(&queue.grpc_url(), &[]).await;
    polls_are_answered(&gateway).await;
    gateway.kill().await;

    let mut held = Vec::new();
    while held.len() < 20 {
        held.push(stranger(&queue).await.unwrap());
    }
    let mut watches = Vec::new();
    while let Ok(watch) = held[0].0.watch(watch_live()).await {
        watches.push(watch);
    }
    let metrics = Metrics::of(&metrics_of(&queue)).await;
    assert_eq!(metrics.bound("watches"), (30.0, 30.0));
    assert_eq!(metrics.bound("grpc_connections"), (20.0, 20.0));

    gateway.start_again().await;
    polls_are_answered(&gateway).await;
    let metrics = Metrics::of(&metrics_of(&queue)).await;
    assert_eq!(metrics.bound("watches"), (30.0, 30.0), "the stranger has all of them still");
    assert_eq!(metrics.bound("gateway_streams").0, 1.0);
    assert!(metrics.bound("gateway_connections").0 >= 1.0);

    // Who takes the kept places without being a gateway loses them, to the next and in time.
    let mut guests = Vec::new();
    for _ in 0..20 {
        guests.push(Grpc::connect_with(&queue.grpc_url(), None).await);
    }
    gateway.kill().await;
    gateway.start_again().await;
    polls_are_answered(&gateway).await;
    let ended = async { while unproven(&queue).await < 15.0 {} };
    within_deadline("the end of those who prove nothing", ended).await;
    polls_are_answered(&gateway).await;
    assert!(held[0].0.all().await.is_ok(), "who had a place keeps it");
}

async fn polls_are_answered(gateway: &Service) {
    let visitor = gateway.visitor();
    let answered = async {
        while visitor.get("/readyz").await.status != 200 {}
        while visitor.get("/api/comments").await.status != 200 {}
    };
    within_deadline("an answer to a poll", answered).await;
}
