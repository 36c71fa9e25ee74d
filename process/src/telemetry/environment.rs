//! The standard variables that say whether, where and how spans are sent. Those that are not read here, the SDK reads:
//! `OTEL_TRACES_SAMPLER` with its argument, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`, `OTEL_BSP_*`, `OTEL_SPAN_*`, and
//! the exporter its endpoint, headers and timeout.

use std::env;

use http::Uri;

/// Where spans are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(super) protocol: Protocol,
    /// True for `https://`.
    pub(super) tls: bool,
    /// Most spans that wait to be sent.
    pub(super) queue: usize,
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
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const PROPAGATORS: &str = "OTEL_PROPAGATORS";
const QUEUE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";

/// Spans that wait unless [`QUEUE`] says otherwise, and the most that it may say.
const DEFAULT_QUEUE: usize = 2_048;
const LARGEST_QUEUE: usize = 1_000_000;
/// Longest time between two exports, in milliseconds.
const LONGEST_DELAY: usize = 60_000;

impl Environment {
    /// What the variables of this process say; `None` if telemetry is off, as it is without an endpoint.
    ///
    /// # Errors
    /// One sentence that names the variable, what it may be and what it is.
    pub(crate) fn read() -> Result<Option<Self>, String> {
        Self::of(|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let one_of = |name: &str, known: &[&str]| match variable(name) {
            Some(value) if !known.contains(&value.as_str()) => {
                Err(format!("{name} must be one of {}, is {value:?}", known.join(", ")))
            }
            value => Ok(value),
        };
        let first = |names: [&'static str; 2]| names.into_iter().find(|name| variable(name).is_some());
        let is_disabled = variable(SDK_DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let exporter = one_of(EXPORTER, &["otlp", "none"])?;
        // Metrics are read at /metrics, and sent nowhere: whoever asks for that is told.
        one_of(METRICS_EXPORTER, &["prometheus", "none"])?;
        let Some(endpoint) = first(ENDPOINTS) else { return Ok(None) };
        if is_disabled || exporter.as_deref() == Some("none") {
            return Ok(None);
        }
        let url = variable(endpoint).unwrap_or_default();
        let scheme =
            url.parse::<Uri>().ok().and_then(|uri| uri.authority().and(uri.scheme_str().map(str::to_owned)));
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            return Err(format!("{endpoint} must look like http://127.0.0.1:4318 or https://…, is {url:?}"));
        }
        let protocol = match first(PROTOCOLS) {
            Some(name) => match one_of(name, &["grpc", "http/protobuf"])?.as_deref() {
                Some("grpc") => Protocol::Grpc,
                _ => Protocol::HttpProtobuf,
            },
            None => Protocol::HttpProtobuf,
        };
        check_sampler(&one_of, &variable)?;
        check_propagators(variable(PROPAGATORS).as_deref())?;
        let number = |name: &str, most: usize| match variable(name).map(|text| (text.parse().ok(), text)) {
            Some((Some(number), _)) if (1..=most).contains(&number) => Ok(Some(number)),
            Some((_, text)) => Err(format!("{name} must be a number from 1 to {most}, is {text:?}")),
            None => Ok(None),
        };
        let queue = number(QUEUE, LARGEST_QUEUE)?.unwrap_or(DEFAULT_QUEUE);
        // Both are read by the SDK, which would go on with what means nothing, or without a pause.
        number(DELAY, LONGEST_DELAY)?;
        number(BATCH, LARGEST_QUEUE)?;
        Ok(Some(Self { protocol, tls: scheme.as_deref() == Some("https"), queue }))
    }
}

/// The SDK would go on with another sampler if it does not know this one.
fn check_sampler(
    one_of: &impl Fn(&str, &[&str]) -> Result<Option<String>, String>,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<(), String> {
    const KNOWN: [&str; 6] = [
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ];
    let sampler = one_of(SAMPLER, &KNOWN)?;
    let ratio = variable(SAMPLER_ARG).unwrap_or_default();
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
    use super::{Environment, Protocol};

    fn read(variables: &[(&str, &str)]) -> Result<Option<Environment>, String> {
        Environment::of(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
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
        let protocol = |variables: &[_]| read(variables).unwrap().unwrap().protocol;
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
            ("OTEL_METRICS_EXPORTER", "otlp"),
        ] {
            let refusal = read(&[ENDPOINT, (name, value)]).unwrap_err();
            assert!(refusal.starts_with(name) && refusal.contains(value), "{refusal}");
        }
        let ratio = [ENDPOINT, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")];
        assert!(
            read(&ratio).unwrap_err().starts_with("OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1")
        );
    }
}
