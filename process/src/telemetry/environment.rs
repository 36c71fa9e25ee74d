//! The standard variables that say whether, where and how spans and metrics are sent. Those of spans that are not read here, the
//! SDK reads: `OTEL_TRACES_SAMPLER` with its argument, `OTEL_BSP_*`, `OTEL_SPAN_*`, and the exporter its endpoint, headers and
//! timeout; and those of both, `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`. What is sent of metrics is made here, so
//! all that concerns it is read here.

use std::{env, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

/// What is sent, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(super) traces: Option<Traces>,
    pub(super) metrics: Option<Metrics>,
}

/// Where spans are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Traces {
    pub(super) way: Way,
    /// Most spans that wait to be sent.
    pub(super) queue: usize,
}

/// Where metrics are sent, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metrics {
    pub(super) way: Way,
    /// The address, with its path if it is spoken to by HTTP.
    pub(super) url: Uri,
    /// What each export carries. They may be keys: none is shown.
    pub(super) headers: HeaderMap,
    /// Between two exports.
    pub(super) interval: Duration,
    /// What one export may take.
    pub(super) timeout: Duration,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) protocol: Protocol,
    /// True for `https://`.
    pub(super) tls: bool,
}

/// How they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    HttpProtobuf,
}

const SDK_DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const METRICS_EXPORTER: &str = "OTEL_METRICS_EXPORTER";
const DELAY: &str = "OTEL_BSP_SCHEDULE_DELAY";
const BATCH: &str = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
const METRICS_ENDPOINTS: [&str; 2] = [METRICS_ENDPOINT, "OTEL_EXPORTER_OTLP_ENDPOINT"];
const METRICS_PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const METRICS_HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
const METRICS_TIMEOUTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const PROPAGATORS: &str = "OTEL_PROPAGATORS";
const QUEUE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";

/// Spans that wait unless [`QUEUE`] says otherwise, and the most that it may say.
const DEFAULT_QUEUE: usize = 2_048;
const LARGEST_QUEUE: usize = 1_000_000;
/// Longest time between two exports of spans, in milliseconds.
const LONGEST_DELAY: usize = 60_000;
/// Between two exports of metrics, and what one may take, in milliseconds: the standard's defaults, and the longest.
const DEFAULT_INTERVAL: usize = 60_000;
const LONGEST_INTERVAL: usize = 3_600_000;
const DEFAULT_TIMEOUT: usize = 10_000;
const LONGEST_TIMEOUT: usize = 60_000;

impl Environment {
    /// What the variables of this process say; `None` if nothing is to be sent, as it is without an endpoint.
    ///
    /// # Errors
    /// One sentence that names the variable, what it may be and what it is.
    pub(crate) fn read() -> Result<Option<Self>, String> {
        Self::of(|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let variables = Variables(&variable);
        let (traces, metrics) = (variables.traces()?, variables.metrics()?);
        let is_disabled = variable(SDK_DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let is_any = traces.is_some() || metrics.is_some();
        Ok((is_any && !is_disabled).then_some(Self { traces, metrics }))
    }
}

/// The variables by name.
struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }

    fn traces(&self) -> Result<Option<Traces>, String> {
        let exporter = self.one_of(EXPORTER, &["otlp", "none"])?;
        let Some(endpoint) = self.first(ENDPOINTS) else { return Ok(None) };
        if exporter.as_deref() == Some("none") {
            return Ok(None);
        }
        let (_, tls) = self.endpoint(endpoint)?;
        let way = Way { protocol: self.protocol(PROTOCOLS)?, tls };
        check_sampler(self)?;
        check_propagators(self.get(PROPAGATORS).as_deref())?;
        let queue = self.number(QUEUE, LARGEST_QUEUE)?.unwrap_or(DEFAULT_QUEUE);
        // Both are read by the SDK, which would go on with what means nothing, or without a pause.
        self.number(DELAY, LONGEST_DELAY)?;
        self.number(BATCH, LARGEST_QUEUE)?;
        Ok(Some(Traces { way, queue }))
    }

    /// Metrics are sent only if that is asked for: they are read at `/metrics` as well.
    fn metrics(&self) -> Result<Option<Metrics>, String> {
        let wanted = self.get(METRICS_EXPORTER).unwrap_or_default();
        let known = |name: &str| matches!(name.trim(), "otlp" | "prometheus" | "none");
        if !wanted.is_empty() && !wanted.split(',').all(known) {
            return Err(format!(
                "{METRICS_EXPORTER} must be otlp, prometheus, both with a comma, or none, is {wanted:?}"
            ));
        }
        if !wanted.split(',').any(|name| name.trim() == "otlp") {
            return Ok(None);
        }
        let Some(endpoint) = self.first(METRICS_ENDPOINTS) else {
            let [own, all] = METRICS_ENDPOINTS;
            return Err(format!("{METRICS_EXPORTER} is {wanted:?}, so {own} or {all} must name a collector"));
        };
        let (mut url, tls) = self.endpoint(endpoint)?;
        let way = Way { protocol: self.protocol(METRICS_PROTOCOLS)?, tls };
        if way.protocol == Protocol::HttpProtobuf && endpoint != METRICS_ENDPOINT {
            let text = format!("{}/v1/metrics", url.to_string().trim_end_matches('/'));
            url = text.parse().map_err(|error| format!("{endpoint} and /v1/metrics are no URL: {error}"))?;
        }
        self.one_of(TEMPORALITY, &["cumulative"])?;
        let millis = |number: usize| Duration::from_millis(number as u64);
        let interval = self.number(INTERVAL, LONGEST_INTERVAL)?.unwrap_or(DEFAULT_INTERVAL);
        let timeout = self.first(METRICS_TIMEOUTS).map(|name| self.number(name, LONGEST_TIMEOUT));
        let timeout = timeout.transpose()?.flatten().unwrap_or(DEFAULT_TIMEOUT);
        let headers = self.headers()?;
        Ok(Some(Metrics { way, url, headers, interval: millis(interval), timeout: millis(timeout) }))
    }

    fn first(&self, names: [&'static str; 2]) -> Option<&'static str> {
        names.into_iter().find(|name| self.get(name).is_some())
    }

    fn one_of(&self, name: &str, known: &[&str]) -> Result<Option<String>, String> {
        match self.get(name) {
            Some(value) if !known.contains(&value.as_str()) => {
                Err(format!("{name} must be one of {}, is {value:?}", known.join(", ")))
            }
            value => Ok(value),
        }
    }

    fn number(&self, name: &str, most: usize) -> Result<Option<usize>, String> {
        match self.get(name).map(|text| (text.parse().ok(), text)) {
            Some((Some(number), _)) if (1..=most).contains(&number) => Ok(Some(number)),
            Some((_, text)) => Err(format!("{name} must be a number from 1 to {most}, is {text:?}")),
            None => Ok(None),
        }
    }

    /// The URL in this variable, and whether it is one for TLS.
    fn endpoint(&self, name: &str) -> Result<(Uri, bool), String> {
        let text = self.get(name).unwrap_or_default();
        let url = text.parse::<Uri>().ok().filter(|url| url.authority().is_some());
        let url = url.filter(|url| matches!(url.scheme_str(), Some("http" | "https")));
        let url = url.ok_or_else(|| {
            format!("{name} must look like http://127.0.0.1:4318 or https://…, is {text:?}")
        })?;
        let tls = url.scheme_str() == Some("https");
        Ok((url, tls))
    }

    fn protocol(&self, names: [&'static str; 2]) -> Result<Protocol, String> {
        let Some(name) = self.first(names) else { return Ok(Protocol::HttpProtobuf) };
        Ok(match self.one_of(name, &["grpc", "http/protobuf"])?.as_deref() {
            Some("grpc") => Protocol::Grpc,
            _ => Protocol::HttpProtobuf,
        })
    }

    /// `name=value` with commas between, values as URLs write them. What is wrong is not shown: it may be a key.
    fn headers(&self) -> Result<HeaderMap, String> {
        let Some(variable) = self.first(METRICS_HEADERS) else { return Ok(HeaderMap::new()) };
        let text = self.get(variable).unwrap_or_default();
        let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
        let header = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let mut value = HeaderValue::from_str(&value).ok()?;
            value.set_sensitive(true);
            Some((name.trim().parse::<HeaderName>().ok()?, value))
        };
        let headers: Option<HeaderMap> = pairs.map(header).collect();
        headers.ok_or_else(|| format!("{variable} must be a list as name=value,name=value"))
    }
}

/// The SDK would go on with another sampler if it does not know this one.
fn check_sampler(variables: &Variables<'_>) -> Result<(), String> {
    const KNOWN: [&str; 6] = [
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ];
    let sampler = variables.one_of(SAMPLER, &KNOWN)?;
    let ratio = variables.get(SAMPLER_ARG).unwrap_or_default();
    let is_ratio = ratio.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio));
    if sampler.is_some_and(|sampler| sampler.ends_with("traceidratio")) && !is_ratio {
        return Err(format!("{SAMPLER_ARG} must be a number from 0 to 1 for this {SAMPLER}, is {ratio:?}"));
    }
    Ok(())
}

/// Baggage may be named, as it is by default, and is passed on by nobody here.
fn check_propagators(listed: Option<&str>) -> Result<(), String> {
    let known = |name: &str| matches!(name.trim(), "tracecontext" | "baggage");
    match listed.filter(|listed| !listed.split(',').all(known)) {
        Some(listed) => Err(format!(
            "{PROPAGATORS} must be a list of tracecontext and baggage (which is not passed on), is {listed:?}"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Environment, Metrics, Protocol};

    fn read(variables: &[(&str, &str)]) -> Result<Option<Environment>, String> {
        Environment::of(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn metrics(variables: &[(&str, &str)]) -> Option<Metrics> {
        read(&[&[ENDPOINT], variables].concat()).unwrap().unwrap().metrics
    }

    #[test]
    fn metrics_are_sent_only_if_that_is_asked_for() {
        for off in [&[][..], &[("OTEL_METRICS_EXPORTER", "prometheus")], &[("OTEL_METRICS_EXPORTER", "none")]]
        {
            assert_eq!(metrics(off), None, "{off:?}");
        }
        let otlp = ("OTEL_METRICS_EXPORTER", "otlp");
        let by_default = metrics(&[otlp]).unwrap();
        assert_eq!(by_default.url, "http://127.0.0.1:4318/v1/metrics");
        let spans = (by_default.interval, by_default.timeout);
        assert_eq!(spans, (Duration::from_secs(60), Duration::from_secs(10)));
        let own = [
            otlp,
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://metrics.example/in"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x=y"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1500"),
        ];
        let own = metrics(&own).unwrap();
        assert_eq!((own.url.to_string().as_str(), own.way.tls), ("https://metrics.example/in", true));
        assert!(own.headers["api-key"] == "a b" && own.headers["x"] == "y");
        assert!(!format!("{own:?}").contains("a b"), "{own:?}");
        assert_eq!(own.interval, Duration::from_millis(1_500));
        let alone = [ENDPOINT, otlp, ("OTEL_TRACES_EXPORTER", "none")];
        let alone = read(&alone).unwrap().unwrap();
        assert!(alone.traces.is_none() && alone.metrics.is_some());
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");

    #[test]
    fn without_an_endpoint_or_if_disabled_it_is_off() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("OTEL_TRACES_EXPORTER", "otlp")]), Ok(None));
        assert_eq!(read(&[ENDPOINT, ("OTEL_SDK_DISABLED", "true")]), Ok(None));
        assert_eq!(read(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
    }

    #[test]
    fn the_protocol_of_traces_stands_over_that_of_all_signals() {
        let protocol = |variables: &[_]| read(variables).unwrap().unwrap().traces.unwrap().way.protocol;
        assert_eq!(protocol(&[ENDPOINT]), Protocol::HttpProtobuf);
        assert_eq!(protocol(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), Protocol::Grpc);
        let both = [
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ];
        assert_eq!(protocol(&both), Protocol::HttpProtobuf);
    }

    #[test]
    fn a_value_that_means_nothing_is_refused_with_its_name_and_what_it_may_be() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "127.0.0.1:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_PROPAGATORS", "tracecontext,b3"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_BSP_SCHEDULE_DELAY", "0"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "many"),
            ("OTEL_METRICS_EXPORTER", "statsd"),
        ] {
            let refusal = read(&[ENDPOINT, (name, value)]).unwrap_err();
            assert!(refusal.starts_with(name) && refusal.contains(value), "{refusal}");
        }
        let metrics = ("OTEL_METRICS_EXPORTER", "otlp,prometheus");
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "ftp://127.0.0.1"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "soon"),
        ] {
            let refusal = read(&[ENDPOINT, metrics, (name, value)]).unwrap_err();
            assert!(refusal.starts_with(name) && refusal.contains(value), "{refusal}");
        }
        let key = ("OTEL_EXPORTER_OTLP_HEADERS", "api-key:marked-key");
        let refusal = read(&[ENDPOINT, metrics, key]).unwrap_err();
        assert!(refusal.starts_with(key.0) && !refusal.contains("marked-key"), "{refusal}");
        assert!(read(&[metrics]).unwrap_err().contains("must name a collector"));
        let ratio = [ENDPOINT, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")];
        assert!(
            read(&ratio).unwrap_err().starts_with("OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1")
        );
    }
}
