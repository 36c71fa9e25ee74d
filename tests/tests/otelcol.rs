//! What a real collector makes of what is sent to it: OpenTelemetry's own receiver, which nobody here wrote, built by `tests/run` from
//! tests/otelcol. `REPARTEE_OTELCOL` says where it is; without it the tests are skipped and say so.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    process::Stdio,
};

use e2e::{Answer, GATEWAY, Service, WORKER, question_json, within_deadline};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use reqwest::Method;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// A trace that a page has begun, and its span.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PAGE: &str = "00f067aa0ba902b7";
const QUESTION: &str = "marked-question-88d0";

fn main() {
    let trial = |protocol: &'static str| {
        let name = format!("a_real_collector_takes_the_trace_of_a_question_and_metrics_over_{protocol}");
        Trial::ignorable_test(name, move || {
            let Some(program) = env::var_os("REPARTEE_OTELCOL") else {
                return Ok(Completion::ignored_with("there is no collector: REPARTEE_OTELCOL is not set"));
            };
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(takes(Command::new(program), protocol)).map(|()| Completion::Completed)
        })
    };
    libtest_mimic::run(&Arguments::from_args(), ["grpc", "http"].map(trial).into()).exit();
}

/// A running collector. Dropping it ends it.
struct Collector {
    _process: Child,
    told: Lines<BufReader<ChildStdout>>,
    addresses: Value,
    /// All lines so far.
    text: String,
}

impl Collector {
    async fn start(mut command: Command) -> Result<Self, Failed> {
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let told = process.stdout.take().ok_or("it is piped")?;
        let mut told = BufReader::new(told).lines();
        let first =
            within_deadline("a collector", told.next_line()).await?.ok_or("the collector has ended")?;
        Ok(Self { _process: process, told, addresses: serde_json::from_str(&first)?, text: String::new() })
    }

    async fn next(&mut self) -> Result<Value, Failed> {
        let line = self.told.next_line().await?.ok_or("the collector has ended")?;
        self.text.push_str(&line);
        Ok(serde_json::from_str(&line)?)
    }
}

/// The elements of lists within lists.
fn all<'a>(of: &'a Value, path: &[&str]) -> Vec<&'a Value> {
    path.iter().fold(vec![of], |found, name| {
        found.into_iter().flat_map(|one| one[name].as_array().into_iter().flatten()).collect()
    })
}

async fn takes(collector: Command, protocol: &str) -> Result<(), Failed> {
    let mut collector = Collector::start(collector).await?;
    let address = collector.addresses[protocol].as_str().ok_or("the first line has its addresses")?;
    let protocol = if protocol == "grpc" { "grpc" } else { "http/protobuf" };
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "20".to_owned()),
        ("OTEL_METRICS_EXPORTER", "otlp".to_owned()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100".to_owned()),
        ("REPARTEE_TRACE_PARENTS", "all".to_owned()),
    ];
    let queue = Service::with_variables("queue-service", &[], &variables).await;
    let url = queue.grpc_url();
    let gateway = Service::with_variables("rest-gateway", &["--queue-url", &url], &variables).await;
    let bot = ["--queue-url", &url, "--reply", "echo", "--entity", "echo"];
    let _bot = Service::with_variables("bot-worker", &bot, &variables).await;
    let ask = gateway.visitor().request(Method::POST, "/api/comments").json(&question_json("echo", QUESTION));
    Answer::to(ask.header("traceparent", format!("00-{TRACE}-{PAGE}-01"))).await.ok(201);

    let (mut spans, mut posted) = (BTreeMap::new(), 0.0);
    let taken = async {
        while !is_whole(&spans) || posted < 1.0 {
            let line = collector.next().await?;
            for span in all(&line, &["resourceSpans", "scopeSpans", "spans"]) {
                if span["traceId"] == TRACE {
                    let id = span["spanId"].as_str().unwrap_or_default().to_owned();
                    spans.insert(id, (text(&span["name"]), text(&span["parentSpanId"])));
                }
            }
            for metric in all(&line, &["resourceMetrics", "scopeMetrics", "metrics"]) {
                if metric["name"] == "repartee_changes_total" {
                    posted = posted_of(metric)?.max(posted);
                }
            }
        }
        Ok::<_, Failed>(())
    };
    within_deadline("the whole trace and its metrics", taken).await?;
    let is_known = |parent: &String| parent == PAGE || spans.contains_key(parent);
    assert!(spans.values().all(|(_, parent)| is_known(parent)), "one tree: {spans:#?}");
    for secret in [QUESTION, GATEWAY, WORKER] {
        assert!(!collector.text.contains(secret), "{secret}");
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// True if the question's spans are there from the request to the answer's show.
fn is_whole(spans: &BTreeMap<String, (String, String)>) -> bool {
    let names: BTreeSet<_> = spans.values().map(|(name, _)| name.as_str()).collect();
    let service = |method| format!("repartee.v1.QueueService/{method}");
    let needed = ["POST /api/comments", "claim", "process", "show message"];
    let calls = ["PostMessage", "CompleteMessage"].map(service);
    needed.iter().all(|name| names.contains(name))
        && calls.iter().all(|name| names.contains(name.as_str()))
        && spans.values().filter(|(name, _)| name == "show message").count() >= 2
}

/// How many changes were posts; the collector writes a cumulative, monotonic sum as such.
fn posted_of(metric: &Value) -> Result<f64, Failed> {
    let sum = &metric["sum"];
    assert_eq!((&sum["aggregationTemporality"], &sum["isMonotonic"]), (&2.into(), &true.into()), "{metric}");
    let points = all(sum, &["dataPoints"]);
    let is_post = |point: &&&Value| {
        all(point, &["attributes"]).iter().any(|one| one["value"]["stringValue"] == "posted")
    };
    let post = points.iter().find(is_post).ok_or("all kinds are there from the start")?;
    assert!(post["startTimeUnixNano"].as_str().is_some_and(|start| start.len() == 19), "{post}");
    post["asDouble"].as_f64().ok_or_else(|| "a value".into())
}
