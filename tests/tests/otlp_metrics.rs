//! Metrics that are sent over OTLP, where that is asked for: the same families as at `/metrics`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use e2e::{Collector, GATEWAY, Metrics, Service, WORKER, within_deadline};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue, any_value::Value as Any},
    metrics::v1::{AggregationTemporality, Metric, NumberDataPoint, metric::Data, number_data_point::Value},
};
use tokio::net::TcpSocket;

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// The metrics of an export by name, and what sent them.
fn of(request: &ExportMetricsServiceRequest) -> (BTreeMap<&str, &Metric>, BTreeMap<String, String>) {
    assert_eq!(request.resource_metrics.len(), 1, "one process has one resource");
    let of_resource = &request.resource_metrics[0];
    let metrics = of_resource.scope_metrics.iter().flat_map(|scope| &scope.metrics);
    let by_name: BTreeMap<_, _> = metrics.map(|metric| (metric.name.as_str(), metric)).collect();
    (by_name, attributes(&of_resource.resource.as_ref().unwrap().attributes))
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |one: &KeyValue| match one.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        other => panic!("a label is a text: {other:?}"),
    };
    attributes.iter().map(|one| (one.key.clone(), text(one))).collect()
}

/// The value with this label; of a metric without labels, with none.
fn value(points: &[NumberDataPoint], label: Option<(&str, &str)>) -> Option<f64> {
    let is_it = |point: &&NumberDataPoint| match label {
        Some((name, value)) => attributes(&point.attributes).get(name).is_some_and(|is| is == value),
        None => true,
    };
    match points.iter().find(is_it)?.value? {
        Value::AsDouble(value) => Some(value),
        Value::AsInt(value) => Some(value as f64),
    }
}

fn posted(request: &ExportMetricsServiceRequest) -> Option<f64> {
    let (metrics, _) = of(request);
    let Some(Data::Sum(sum)) = &metrics.get("repartee_changes_total")?.data else { return None };
    value(&sum.data_points, Some(("kind", "posted")))
}

#[tokio::test]
async fn a_collector_gets_the_families_of_a_scrape_with_their_units_kinds_and_labels() {
    let began = SystemTime::now() - Duration::from_secs(1);
    let collector = Collector::grpc().await;
    let queue = Service::with_variables("queue-service", &[], &collector.variables_with_metrics()).await;
    queue.grpc().await.post(e2e::question("echo", "marked-question-1c7a")).await.unwrap();
    let request = collector.metrics_once("the post", |request| posted(request) == Some(1.0)).await;
    let (metrics, resource) = of(&request);
    assert_eq!(resource["service.name"], "queue-service");
    assert!(resource.contains_key("service.instance.id"), "{resource:?}");

    let scraped = Metrics::of(&e2e::Browser::new("").with_metrics_at(Some(queue.metrics_addr()))).await;
    let families: BTreeSet<_> = scraped.families().into_iter().map(|(name, _)| name).collect();
    assert_eq!(metrics.keys().copied().collect::<BTreeSet<_>>(), families);
    for (name, kind) in scraped.families() {
        let metric = metrics[name];
        assert_eq!(Some(metric.description.as_str()), scraped.help(name), "{name}");
        let unit = match name.trim_end_matches("_total").rsplit('_').next() {
            Some("seconds") => "s",
            Some("bytes") => "By",
            _ => "",
        };
        assert_eq!(metric.unit, unit, "{name}");
        let is_kind = match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => {
                assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (CUMULATIVE, true), "{name}");
                kind == "counter"
            }
            Data::Gauge(_) => kind == "gauge",
            Data::Histogram(histogram) => {
                assert_eq!(histogram.aggregation_temporality, CUMULATIVE, "{name}");
                kind == "histogram"
            }
            other => panic!("{name}: {other:?}"),
        };
        assert!(is_kind, "{name} is a {kind}");
    }

    let nanos = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let Some(Data::Histogram(commits)) = &metrics["repartee_commit_seconds"].data else { panic!() };
    let commit = &commits.data_points[0];
    assert!(commit.count >= 1 && commit.sum.unwrap() > 0.0, "{commit:?}");
    assert_eq!(commit.bucket_counts.iter().sum::<u64>(), commit.count);
    assert_eq!(commit.bucket_counts.len(), commit.explicit_bounds.len() + 1);
    assert!(
        commit.start_time_unix_nano >= nanos(began) && commit.time_unix_nano > commit.start_time_unix_nano
    );
    // What is measured when it is looked at, and rows that come and go.
    let Some(Data::Gauge(pending)) = &metrics["repartee_pending"].data else { panic!() };
    assert_eq!(value(&pending.data_points, None), Some(1.0));
    let Some(Data::Gauge(depth)) = &metrics["repartee_entity_pending"].data else { panic!() };
    assert_eq!(value(&depth.data_points, Some(("entity", "echo"))), Some(1.0));
    for secret in ["marked-question-1c7a", GATEWAY, WORKER] {
        assert!(!collector.was_told(secret), "{secret}");
    }
}

#[tokio::test]
async fn the_one_process_sends_all_of_its_parts_over_http_and_the_last_at_its_stop() {
    let collector = Collector::http().await;
    let mut variables = collector.variables_with_metrics();
    // Only the stop is soon enough.
    variables.push(("OTEL_METRIC_EXPORT_INTERVAL", "3600000".to_owned()));
    let mut everything = Service::with_variables("repartee", &[], &variables).await;
    everything.grpc().await.post(e2e::question("nobody", "Well?")).await.unwrap();
    everything.visitor().get("/api/comments").await.ok(200);
    assert_eq!(everything.terminate().await, Some(0));
    let request = collector.metrics_once("the last export", |_| true).await;
    let (metrics, resource) = of(&request);
    assert_eq!(resource["service.name"], "repartee");
    assert_eq!(posted(&request), Some(1.0));
    for name in ["repartee_changes_total", "repartee_http_requests_total", "repartee_bot_attempts_total"] {
        assert!(metrics.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_collector_that_is_away_costs_a_counted_loss_and_no_call() {
    // Bound, but nobody listens: every connection is refused.
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    for protocol in ["grpc", "http/protobuf"] {
        let variables = [
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", endpoint.clone()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
            ("OTEL_METRICS_EXPORTER", "otlp".to_owned()),
            ("OTEL_METRIC_EXPORT_INTERVAL", "20".to_owned()),
        ];
        let mut queue = Service::with_variables("queue-service", &[], &variables).await;
        let client = queue.grpc().await;
        let at = e2e::Browser::new("").with_metrics_at(Some(queue.metrics_addr()));
        let mut look = tokio::time::interval(Duration::from_millis(10));
        let lost = async {
            while Metrics::of(&at).await.value("repartee_telemetry_points_lost_total") < 500.0 {
                client.post(e2e::question("echo", "Still there?")).await.unwrap();
                look.tick().await;
            }
        };
        within_deadline("points that are lost", lost).await;
        let log = queue.process().log();
        assert_eq!(log.matches("the collector does not take metrics").count(), 1, "{log}");
        assert_eq!(Metrics::of(&at).await.value("repartee_telemetry_points_exported_total"), 0.0);
        assert_eq!(queue.terminate().await, Some(0), "what cannot be sent holds up no stop");
    }
}
