//! The way of spans to the collector: a bounded queue, batches, one export at a time. A span for which there is no room, and
//! a batch that was not taken, are counted and forgotten.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper_rustls::HttpsConnectorBuilder;
use metrics::{Counter, Unit, counter, describe_counter};
use opentelemetry::{Context, KeyValue, trace::TracerProvider as _};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{
    ExporterBuildError, OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT as TIMEOUT, Protocol as Otlp,
    SpanExporter as OtlpExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Config, SdkTracerProvider, Span, SpanData, SpanExporter,
        SpanProcessor,
    },
};
use tokio::runtime::Handle;
use tokio_rustls::rustls::crypto::ring;
use tonic::transport::ClientTlsConfig;

use super::{
    environment::{Protocol, Traces, Way},
    sampler::WithLinked,
    span::TRACER,
};

/// What the last batch may take at the stop.
pub(super) const LAST_BATCH: Duration = Duration::from_secs(2);
/// Links of one span: a commit serves up to 256 calls, and one batch more.
const LINKS: u32 = 512;

const EXPORTED: &str = "repartee_telemetry_spans_exported_total";
const LOST: &str = "repartee_telemetry_spans_lost_total";

/// Describes what is counted of spans, and begins with 0, also where none are sent.
pub(crate) fn describe() {
    describe_counter!(EXPORTED, Unit::Count, "Spans that the collector has taken");
    describe_counter!(LOST, Unit::Count, "Spans that were forgotten, by why");
    counter!(EXPORTED).increment(0);
    for reason in ["no_room", "not_taken"] {
        lost(reason).increment(0);
    }
}

fn lost(reason: &'static str) -> Counter {
    counter!(LOST, "reason" => reason)
}

/// Begins to record spans and to send them, in this runtime.
///
/// # Errors
/// One sentence about a variable that cannot be used.
pub(super) fn start(environment: &Traces, resource: Resource) -> Result<SdkTracerProvider, String> {
    let exporter = exporter(environment.way).map_err(|error| format!("traces cannot be sent: {error}"))?;
    let queue = Arc::new(Queue::new(environment.queue));
    let exporter =
        Counting { exporter: Arc::new(exporter), queue: Arc::clone(&queue), runtime: Handle::current() };
    // The bound of `Bounded` is reached first, so nothing is lost uncounted.
    let batches = BatchConfigBuilder::default().with_max_queue_size(environment.queue + 1).build();
    let batches = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Bounded { batches, queue })
        .with_sampler(WithLinked(Config::default().sampler))
        .with_max_links_per_span(LINKS)
        .with_resource(resource)
        .build();
    // A second start, as in tests that run several servers in one process, goes on with the first.
    let _ = TRACER.set(provider.tracer("repartee"));
    tracing::info!(protocol = ?environment.way.protocol, "sending traces over OTLP");
    Ok(provider)
}

/// Sends what is left, for 2 s at the most. Blocks.
pub(super) fn end(provider: &SdkTracerProvider) {
    if let Err(error) = provider.shutdown_with_timeout(LAST_BATCH) {
        tracing::debug!(%error, "the last spans were not sent");
    }
}

/// `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` stand over what is known here.
pub(super) fn resource(service: &str) -> Resource {
    let own = [
        KeyValue::new("service.name", service.to_owned()),
        KeyValue::new("service.namespace", "repartee"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", hex::encode(rand::random::<[u8; 16]>())),
    ];
    let given = Resource::builder().build();
    let is_given = |own: &KeyValue| match own.key.as_str() {
        // The SDK's own word for a service without a name.
        "service.name" => {
            given.get(&own.key).is_some_and(|name| !name.as_str().starts_with("unknown_service"))
        }
        _ => given.get(&own.key).is_some(),
    };
    let own: Vec<_> = own.into_iter().filter(|own| !is_given(own)).collect();
    Resource::builder().with_attributes(own).build()
}

fn exporter(way: Way) -> Result<OtlpExporter, ExporterBuildError> {
    match way.protocol {
        Protocol::Grpc => {
            let grpc = OtlpExporter::builder().with_tonic();
            let tls = || ClientTlsConfig::new().with_native_roots();
            if way.tls { grpc.with_tls_config(tls()).build() } else { grpc.build() }
        }
        Protocol::HttpProtobuf => {
            let http = OtlpExporter::builder().with_http().with_protocol(Otlp::HttpBinary);
            if !way.tls {
                return http.with_http_client(HyperClient::with_default_connector(TIMEOUT, None)).build();
            }
            let tls = HttpsConnectorBuilder::new().with_provider_and_native_roots(ring::default_provider());
            let tls = tls.map_err(|error| ExporterBuildError::InternalFailure(error.to_string()))?;
            let connector = tls.https_only().enable_http1().build();
            http.with_http_client(HyperClient::new(connector, TIMEOUT, None)).build()
        }
    }
}

/// How many spans wait, and how many were lost.
struct Queue {
    waiting: AtomicUsize,
    limit: usize,
    is_away: AtomicBool,
    exported: Counter,
    no_room: Counter,
    not_taken: Counter,
}

impl Queue {
    fn new(limit: usize) -> Self {
        crate::start_metrics();
        Self {
            waiting: AtomicUsize::new(0),
            limit,
            is_away: AtomicBool::new(false),
            exported: counter!(EXPORTED),
            no_room: lost("no_room"),
            not_taken: lost("not_taken"),
        }
    }

    /// False if there is no room for one more.
    fn enter(&self) -> bool {
        let more = |waiting| (waiting < self.limit).then_some(waiting + 1);
        let entered = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if !entered {
            self.no_room.increment(1);
        }
        entered
    }

    /// These left it. Says once that the collector is away, and once that it is back.
    fn leave(&self, spans: usize, taken: &OTelSdkResult) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        let counter = if taken.is_ok() { &self.exported } else { &self.not_taken };
        counter.increment(spans as u64);
        let was_away = self.is_away.swap(taken.is_err(), Ordering::Relaxed);
        match taken {
            Err(error) if !was_away => {
                tracing::warn!(%error, "the collector does not take traces; they are lost meanwhile");
            }
            Ok(()) if was_away => tracing::info!("the collector takes traces again"),
            Ok(()) | Err(_) => {}
        }
    }
}

/// Gives spans to the batches as far as there is room.
struct Bounded {
    batches: BatchSpanProcessor,
    queue: Arc<Queue>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.queue.enter() {
            self.batches.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Exports in the runtime of the process: the thread of the batches has none.
struct Counting {
    exporter: Arc<OtlpExporter>,
    queue: Arc<Queue>,
    runtime: Handle,
}

impl SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let (exporter, spans) = (Arc::clone(&self.exporter), batch.len());
        let sent = self.runtime.spawn(async move { exporter.export(batch).await }).await;
        let taken =
            sent.unwrap_or_else(|_| Err(OTelSdkError::InternalFailure("the process ends".to_owned())));
        self.queue.leave(spans, &taken);
        taken
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(exporter) = Arc::get_mut(&mut self.exporter) {
            exporter.set_resource(resource);
        }
    }
}

macro_rules! debug_by_name {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
debug_by_name!(Bounded, Counting);
