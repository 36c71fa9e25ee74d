//! Metrics in OpenTelemetry's data model: the families of `/metrics`, under the same names.

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point::Value,
    },
    resource::v1::Resource,
};

use crate::metrics::snapshot::{Buckets, Family, Labels, Rows};

/// What the names end in whose unit OpenTelemetry knows, and that unit as UCUM writes it. What is counted in pieces has none.
const UNITS: [(&str, &str); 2] = [("_seconds", "s"), ("_bytes", "By")];

/// When counting began, and when it was looked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    start: u64,
    now: u64,
}

impl Times {
    pub(super) fn new(start: SystemTime, now: SystemTime) -> Self {
        Self { start: nanos(start), now: nanos(now) }
    }
}

/// A request of OTLP with all of these, and how many points that are.
pub(super) fn request(
    resource: &Resource,
    families: Vec<Family>,
    times: Times,
) -> (ExportMetricsServiceRequest, u64) {
    let points = families.iter().map(|family| points(&family.rows)).sum();
    let scope = InstrumentationScope {
        name: "repartee".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let metrics = families.into_iter().map(|family| metric(family, times)).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource.clone()), scope_metrics, schema_url: String::new() }];
    (ExportMetricsServiceRequest { resource_metrics }, points)
}

fn points(rows: &Rows) -> u64 {
    let rows = match rows {
        Rows::Counter(rows) | Rows::Gauge(rows) => rows.len(),
        Rows::Histogram(rows) => rows.len(),
    };
    rows as u64
}

fn metric(family: Family, times: Times) -> Metric {
    let Family { name, help, rows } = family;
    let counted = name.strip_suffix("_total").unwrap_or(&name);
    let unit = UNITS.iter().find(|(ending, _)| counted.ends_with(ending)).map_or("", |(_, unit)| *unit);
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match rows {
        Rows::Counter(rows) => {
            let data_points = rows.into_iter().map(|row| number(row, times.start, times.now)).collect();
            Data::Sum(Sum { data_points, aggregation_temporality: cumulative, is_monotonic: true })
        }
        // What is so at present began at no time.
        Rows::Gauge(rows) => Data::Gauge(Gauge {
            data_points: rows.into_iter().map(|row| number(row, 0, times.now)).collect(),
        }),
        Rows::Histogram(rows) => {
            let data_points = rows.into_iter().map(|row| measured(row, times)).collect();
            Data::Histogram(Histogram { data_points, aggregation_temporality: cumulative })
        }
    };
    Metric { unit: unit.to_owned(), name, description: help, data: Some(data), ..Metric::default() }
}

fn number((labels, value): (Labels, f64), start: u64, now: u64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn measured((labels, buckets): (Labels, Buckets), times: Times) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        count: buckets.count,
        sum: Some(buckets.sum),
        bucket_counts: buckets.counts(),
        explicit_bounds: buckets.upto.into_iter().map(|(bound, _)| bound).collect(),
        ..HistogramDataPoint::default()
    }
}

fn attributes(labels: Labels) -> Vec<KeyValue> {
    let attribute = |(key, value)| {
        let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value)) });
        KeyValue { key, value, ..KeyValue::default() }
    };
    labels.into_iter().map(attribute).collect()
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};

    use super::{Resource, Times, request};
    use crate::metrics::snapshot;

    fn metrics(text: &str) -> (Vec<Metric>, u64) {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let (request, points) = request(&Resource::default(), snapshot::read(text), Times::new(at(1), at(3)));
        let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        (scopes.flat_map(|scope| scope.metrics).collect(), points)
    }

    #[test]
    fn names_stay_and_units_are_told_where_opentelemetry_knows_them() {
        let text = ["a_seconds", "b_bytes", "c", "d_seconds_total", "e_total"].map(|name| {
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            format!("# TYPE {name} {kind}\n{name} 1\n")
        });
        let (metrics, points) = metrics(&text.concat());
        let units = metrics.iter().map(|metric| (metric.name.as_str(), metric.unit.as_str()));
        let expected =
            [("a_seconds", "s"), ("b_bytes", "By"), ("c", ""), ("d_seconds_total", "s"), ("e_total", "")];
        assert_eq!((units.collect::<Vec<_>>(), points), (expected.to_vec(), 5));
    }

    #[test]
    fn a_counter_is_a_cumulative_sum_since_the_start_and_a_gauge_has_none() {
        let (metrics, _) = metrics("# TYPE a_total counter\na_total 2\n# TYPE b gauge\nb 2\n");
        let [Some(Data::Sum(sum)), Some(Data::Gauge(gauge))] = [&metrics[0].data, &metrics[1].data] else {
            panic!("{metrics:?}");
        };
        assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (2, true));
        let times = |point: &super::NumberDataPoint| (point.start_time_unix_nano, point.time_unix_nano);
        assert_eq!(times(&sum.data_points[0]), (1_000_000_000, 3_000_000_000));
        assert_eq!(times(&gauge.data_points[0]), (0, 3_000_000_000));
    }
}
