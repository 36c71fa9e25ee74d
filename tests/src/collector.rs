//! A collector of traces and metrics: takes what is sent to it over OTLP, by gRPC or by HTTP, and shows it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use crate::within_deadline;

/// How soon a span is sent once it has ended, in milliseconds.
const SOON: &str = "20";

/// A running collector. Dropping it ends it.
#[derive(Debug)]
pub struct Collector {
    url: String,
    protocol: &'static str,
    taken: Taken,
    metrics: Taken,
    _server: Running,
}

#[derive(Debug)]
#[expect(dead_code, reason = "it serves as long as it is held")]
enum Running {
    Grpc(JoinHandle<Result<(), tonic::transport::Error>>),
    Http(MockServer),
}

/// What was sent so far.
#[derive(Debug, Clone)]
struct Taken {
    batches: Arc<Mutex<Vec<Vec<u8>>>>,
    count: watch::Sender<usize>,
}

/// One span, as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct SentSpan {
    /// 32 hex digits.
    pub trace: String,
    /// 16 hex digits.
    pub id: String,
    /// The span that it is a part of; empty for the first of a trace.
    pub parent: String,
    /// What was done.
    pub name: String,
    /// Who does what for whom.
    pub kind: SpanKind,
    /// Its attributes, lists joined by commas.
    pub attributes: BTreeMap<String, String>,
    /// Trace and span of each link.
    pub links: Vec<(String, String)>,
    /// The service that sent it, and what else is told of that.
    pub resource: BTreeMap<String, String>,
    /// True if it is told to have failed.
    pub failed: bool,
    /// When it began and ended, Unix nanoseconds.
    pub times: (u64, u64),
}

impl Collector {
    /// One that is spoken to by gRPC.
    pub async fn grpc() -> Self {
        let (taken, metrics) = (Taken::default(), Taken::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let services = Server::builder()
            .add_service(TraceServiceServer::new(taken.clone()))
            .add_service(MetricsServiceServer::new(metrics.clone()));
        let serving = services.serve_with_incoming(TcpIncoming::from(listener));
        Self { url, protocol: "grpc", taken, metrics, _server: Running::Grpc(tokio::spawn(serving)) }
    }

    /// One that is spoken to by HTTP.
    pub async fn http() -> Self {
        let (taken, metrics, server) = (Taken::default(), Taken::default(), MockServer::start().await);
        for (path, taken) in [("/v1/traces", &taken), ("/v1/metrics", &metrics)] {
            let taking = taken.clone();
            let answer = move |request: &wiremock::Request| {
                taking.take(request.body.clone());
                ResponseTemplate::new(200).set_body_raw(Vec::new(), "application/x-protobuf")
            };
            let call = Mock::given(matchers::method("POST")).and(matchers::path(path));
            let call = call.and(matchers::header("content-type", "application/x-protobuf"));
            call.respond_with(answer).mount(&server).await;
        }
        Self { url: server.uri(), protocol: "http/protobuf", taken, metrics, _server: Running::Http(server) }
    }

    /// The variables of a process that sends its traces here.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.url.clone()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", self.protocol.to_owned()),
            ("OTEL_BSP_SCHEDULE_DELAY", SOON.to_owned()),
        ]
    }

    /// The same of one that sends its metrics too.
    pub fn variables_with_metrics(&self) -> Vec<(&'static str, String)> {
        let metrics = [("OTEL_METRICS_EXPORTER", "otlp"), ("OTEL_METRIC_EXPORT_INTERVAL", SOON)];
        self.variables().into_iter().chain(metrics.map(|(name, value)| (name, value.to_owned()))).collect()
    }

    /// Waits until an export of metrics is such, and gives it.
    ///
    /// # Panics
    /// When the deadline passes, or if something was sent that is none.
    pub async fn metrics_once(
        &self,
        what: &str,
        is_so: impl Fn(&ExportMetricsServiceRequest) -> bool,
    ) -> ExportMetricsServiceRequest {
        let mut count = self.metrics.count.subscribe();
        let seen = async {
            loop {
                count.borrow_and_update();
                let found =
                    self.metrics.decoded::<ExportMetricsServiceRequest>().into_iter().rev().find(&is_so);
                if let Some(found) = found {
                    return found;
                }
                count.changed().await.expect("the collector is there");
            }
        };
        within_deadline(what, seen).await
    }

    /// All spans that were sent so far, in the order of their beginning.
    ///
    /// # Panics
    /// If something was sent that is none.
    pub fn spans(&self) -> Vec<SentSpan> {
        let requests = self.taken.decoded::<ExportTraceServiceRequest>();
        let mut spans: Vec<_> = requests.into_iter().flat_map(read).collect();
        spans.sort_by_key(|span| span.times);
        spans
    }

    /// Waits until the spans that were sent are such.
    ///
    /// # Panics
    /// When the deadline passes.
    pub async fn until(&self, what: &str, is_so: impl Fn(&[SentSpan]) -> bool) -> Vec<SentSpan> {
        let mut count = self.taken.count.subscribe();
        let seen = async {
            loop {
                count.borrow_and_update();
                let spans = self.spans();
                if is_so(&spans) {
                    return spans;
                }
                count.changed().await.expect("the collector is there");
            }
        };
        within_deadline(what, seen).await
    }

    /// True if this stands anywhere in what was sent.
    pub fn was_told(&self, text: &str) -> bool {
        [&self.taken, &self.metrics].iter().any(|taken| {
            let batches = taken.batches.lock().expect("nobody panics meanwhile");
            batches.iter().any(|batch| batch.windows(text.len()).any(|bytes| bytes == text.as_bytes()))
        })
    }
}

impl Default for Taken {
    fn default() -> Self {
        Self { batches: Arc::default(), count: watch::Sender::new(0) }
    }
}

impl Taken {
    /// All that was sent so far.
    fn decoded<M: Message + Default>(&self) -> Vec<M> {
        let batches = self.batches.lock().expect("nobody panics meanwhile");
        batches.iter().map(|bytes| M::decode(&bytes[..]).expect("a collector is sent such")).collect()
    }

    fn take(&self, batch: Vec<u8>) {
        self.batches.lock().expect("nobody panics meanwhile").push(batch);
        self.count.send_modify(|count| *count += 1);
    }
}

#[tonic::async_trait]
impl TraceService for Taken {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.take(request.into_inner().encode_to_vec());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Taken {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.take(request.into_inner().encode_to_vec());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn read(request: ExportTraceServiceRequest) -> impl Iterator<Item = SentSpan> {
    request.resource_spans.into_iter().flat_map(|of_resource| {
        let resource = attributes(&of_resource.resource.unwrap_or_default().attributes);
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        spans.map(move |span| sent(&span, resource.clone())).collect::<Vec<_>>()
    })
}

fn sent(span: &Span, resource: BTreeMap<String, String>) -> SentSpan {
    let link =
        |link: &opentelemetry_proto::tonic::trace::v1::span::Link| (hex(&link.trace_id), hex(&link.span_id));
    SentSpan {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name.clone(),
        kind: span.kind(),
        attributes: attributes(&span.attributes),
        links: span.links.iter().map(link).collect(),
        resource,
        failed: span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error),
        times: (span.start_time_unix_nano, span.end_time_unix_nano),
    }
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|one| (one.key.clone(), text(one.value.as_ref()))).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    use any_value::Value;
    match value.and_then(|value| value.value.as_ref()) {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(is)) => is.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::ArrayValue(list)) => {
            list.values.iter().map(|value| text(Some(value))).collect::<Vec<_>>().join(",")
        }
        Some(other) => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
