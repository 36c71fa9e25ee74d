//! A collector that is away.

use std::time::Duration;

use e2e::{Metrics, Service, within_deadline};
use tokio::net::TcpSocket;

use crate::{ANYBODYS, ask, sampled};

const LOST: &str = "repartee_telemetry_spans_lost_total{reason=\"not_taken\"}";

#[tokio::test]
async fn a_collector_that_is_away_fails_no_call_and_its_loss_is_counted_and_said_once() {
    // Bound, but nobody listens: every connection is refused.
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "20".to_owned())];
    let queue = Service::with_variables("queue-service", &[], &[]).await;
    let url = queue.grpc_url();
    let settings = [&["--queue-url", &url], &ANYBODYS[..]].concat();
    let mut gateway = Service::with_variables("rest-gateway", &settings, &variables).await;
    let parent = sampled();
    for _ in 0..3 {
        ask(&gateway, &[("traceparent", &parent)]).await;
    }
    let mut look = tokio::time::interval(Duration::from_millis(10));
    let lost = async {
        // Of each request its own span, and that of its call.
        while Metrics::of(&gateway.browser()).await.value(LOST) < 6.0 {
            look.tick().await;
        }
    };
    within_deadline("spans that are lost", lost).await;
    gateway.process().logs("the collector does not take traces").await;
    let log = gateway.process().log();
    assert_eq!(log.matches("the collector does not take traces").count(), 1, "{log}");
    assert_eq!(gateway.terminate().await, Some(0), "what cannot be sent holds up no stop");
}

#[tokio::test]
async fn a_variable_that_means_nothing_ends_the_start_with_its_name() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon"),
    ];
    let mut process = e2e::Process::spawn_with("queue-service", &["--grpc-addr", "127.0.0.1:0"], &variables);
    assert_eq!(process.exit_code().await, Some(64), "{}", process.log());
    let log = process.log();
    assert!(log.contains("OTEL_EXPORTER_OTLP_PROTOCOL") && log.contains("carrier-pigeon"), "{log}");
}
