//! One JSON object a line, its fields named as OpenTelemetry's log data model names them.

use std::{fmt, time::SystemTime};

use serde_json::{Map, Value, json};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::telemetry::with_current;

/// Fields in which `tracing-log` passes on where a record of the crate `log` comes from.
const OF_LOG: [&str; 4] = ["log.target", "log.module_path", "log.file", "log.line"];

/// Writes records.
pub(super) struct Records;

/// What an event says: its message, and everything else.
#[derive(Default)]
struct Said {
    body: String,
    attributes: Map<String, Value>,
}

impl<S, N> FormatEvent<S, N> for Records
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        writeln!(line, "{}", record(event, SystemTime::now()))
    }
}

fn record(event: &Event<'_>, now: SystemTime) -> Value {
    let mut said = Said::default();
    event.record(&mut said);
    // What comes through the crate `log` has its own scope among its fields.
    let normalized = event.normalized_metadata();
    if normalized.is_some() {
        said.attributes.retain(|name, _| !OF_LOG.contains(&name.as_str()));
    }
    let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
    let (severity_text, severity_number) = severity(*metadata.level());
    let mut record = json!({
        "timestamp": humantime::format_rfc3339_micros(now).to_string(),
        "severity_text": severity_text,
        "severity_number": severity_number,
        "body": said.body,
        "scope": metadata.target(),
    });
    with_current(|call| {
        if let Some(trace) = &call.trace {
            record["trace_id"] = trace.trace_id().into();
            record["span_id"] = trace.span_id().into();
            record["trace_flags"] = format!("{:02x}", trace.flags()).into();
        }
        if let Some(id) = call.request_id() {
            said.attributes.entry("request_id").or_insert_with(|| id.into());
        }
    });
    record["attributes"] = said.attributes.into();
    record
}

/// The short name and the number of a level in the log data model.
fn severity(level: Level) -> (&'static str, u8) {
    match level {
        Level::TRACE => ("TRACE", 1),
        Level::DEBUG => ("DEBUG", 5),
        Level::INFO => ("INFO", 9),
        Level::WARN => ("WARN", 13),
        Level::ERROR => ("ERROR", 17),
    }
}

impl Said {
    fn take(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.body = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        } else {
            self.attributes.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use http::HeaderValue;
    use serde_json::{Value, json};
    use tracing::subscriber::with_default;

    use super::Records;
    use crate::telemetry::{Call, Span, TraceContext, in_call};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(log: impl FnOnce()) -> Value {
        let lines = Written::default();
        let into = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().event_format(Records).with_writer(move || into.clone()).finish();
        with_default(subscriber, log);
        let bytes = lines.0.lock().unwrap();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn a_record_has_the_fields_of_the_log_data_model() {
        let record =
            written(|| tracing::warn!(http.route = "/a\n", count = 3, is = true, "{} there", "who's"));
        assert_eq!((&record["severity_text"], &record["severity_number"]), (&json!("WARN"), &json!(13)));
        assert_eq!(record["body"], "who's there");
        assert_eq!(record["attributes"], json!({"http.route": "/a\n", "count": 3, "is": true}));
        assert!(record["timestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!(record.get("trace_id"), None);
    }

    #[test]
    fn a_record_of_the_crate_log_has_the_scope_of_who_wrote_it() {
        let record = written(|| {
            let mut record = tracing_log::log::Record::builder();
            record.target("sled::pagecache").module_path(Some("sled::pagecache::iobuf")).line(Some(7));
            let record = record.level(tracing_log::log::Level::Warn);
            tracing_log::format_trace(&record.args(format_args!("late")).build()).unwrap();
        });
        assert_eq!((&record["scope"], &record["body"]), (&json!("sled::pagecache"), &json!("late")));
        assert_eq!((&record["severity_text"], &record["attributes"]), (&json!("WARN"), &json!({})));
    }

    #[test]
    fn a_record_names_the_call_that_it_is_of() {
        let sent = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
        let call = Call::new(Span::default(), sent).named(Some(HeaderValue::from_static("r-17")));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let record = written(|| runtime.block_on(in_call(call, async { tracing::info!("done") })));
        assert_eq!(record["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((&record["span_id"], &record["trace_flags"]), (&json!("00f067aa0ba902b7"), &json!("01")));
        assert_eq!(record["attributes"], json!({"request_id": "r-17"}));
    }
}
