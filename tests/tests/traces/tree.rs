//! What a collector is sent of one question.

use std::{collections::BTreeMap, fmt::Write as _};

use e2e::{Collector, GATEWAY, SentSpan, Service, WORKER, within_deadline};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use repartee_proto::v1::{WatchMessagesRequest, watch_messages_response::Event as Seen};

use crate::{ANYBODYS, PAGE, QUESTION, REPLY, TRACE, answered, ask, model::Model, sampled};

const DOCUMENT: &str = include_str!("../../../docs/telemetry.md");
const SERVICE: &str = "repartee.v1.QueueService";

/// The last span of a question's trace, and the commits. More than there should be are there too: waiting for exactly so many
/// would never end then, and would not say what is wrong.
fn is_whole(spans: &[SentSpan]) -> bool {
    let of_question =
        |name: &str| spans.iter().filter(|span| span.trace == TRACE && span.name == name).count();
    let linked: usize = spans.iter().filter(|span| span.name == "commit").map(|span| span.links.len()).sum();
    let complete = format!("{SERVICE}/CompleteMessage");
    of_question("show message") >= 2
        && of_question("process") >= 1
        && of_question("POST /api/comments") >= 1
        && of_question(&format!("{SERVICE}/PostMessage")) >= 2
        && of_question(&complete) >= 2
        && of_question(&format!("{SERVICE}/StreamDraft")) >= 2
        && linked >= 2
}

/// The tree below a span, as lines of text.
fn draw(spans: &[SentSpan], parent: &str, depth: usize, lines: &mut String) {
    let mut children: Vec<_> =
        spans.iter().filter(|span| span.trace == TRACE && span.parent == parent).collect();
    // What goes on at the same time is drawn in one order.
    children.sort_by(|one, other| one.name.cmp(&other.name));
    for span in children {
        let service = &span.resource["service.name"];
        let kind = match span.kind {
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Consumer => "consumer",
            SpanKind::Internal => "internal",
            SpanKind::Unspecified | SpanKind::Producer => "other",
        };
        let indent = "  ".repeat(depth);
        writeln!(lines, "{indent}{} ({service}, {kind})", span.name).unwrap();
        draw(spans, &span.id, depth + 1, lines);
    }
}

fn one<'a>(spans: &'a [SentSpan], service: &str, name: &str) -> &'a SentSpan {
    let found: Vec<_> =
        spans.iter().filter(|span| span.resource["service.name"] == service && span.name == name).collect();
    assert_eq!(found.len(), 1, "{service} {name}: {spans:#?}");
    found[0]
}

fn has(span: &SentSpan, attributes: &[(&str, &str)]) {
    for (name, value) in attributes {
        assert_eq!(span.attributes.get(*name).map(String::as_str), Some(*value), "{name} of {span:#?}");
    }
}

/// A gateway that continues the traces of pages.
async fn gateway(queue_url: &str, variables: &[(&'static str, String)]) -> Service {
    let settings = [&["--queue-url", queue_url], &ANYBODYS[..]].concat();
    Service::with_variables("rest-gateway", &settings, variables).await
}

/// Waits until people see what the bot is writing.
async fn draft_of(queue: &Service, question: &str) {
    let all = WatchMessagesRequest { drafts: true, ..WatchMessagesRequest::default() };
    let mut watch = queue.grpc().await.watch(all).await.unwrap();
    let seen = async {
        loop {
            match watch.event().await.unwrap().unwrap() {
                Seen::Draft(draft) if draft.message_id == question => return,
                _ => {}
            }
        }
    };
    within_deadline("a draft", seen).await;
}

#[tokio::test]
async fn a_question_and_its_answer_are_one_trace_from_the_browser_to_the_bot_and_back() {
    let (collector, model) = (Collector::grpc().await, Model::start().await);
    let variables = collector.variables();
    let queue = Service::with_variables("queue-service", &[], &variables).await;
    let url = queue.grpc_url();
    let gateway = gateway(&url, &variables).await;
    let base = model.base_url();
    let bot = ["--queue-url", &url, "--entity", "echo", "--openai-base-url", &base, "--model", "small"];
    let _bot = Service::with_variables("bot-worker", &bot, &variables).await;

    let parent = sampled();
    let asked =
        ask(&gateway, &[("traceparent", &parent), ("tracestate", "page=1"), ("baggage", "who=ann")]).await;
    let question = asked.json();
    draft_of(&queue, question["id"].as_str().unwrap()).await;
    model.finish_one();
    let reply = answered(&gateway, &question).await;
    let spans = collector.until("the whole trace", is_whole).await;

    let mut drawn = "the page\n".to_owned();
    draw(&spans, PAGE, 1, &mut drawn);
    assert!(DOCUMENT.contains(&drawn), "docs/telemetry.md has to show this tree:\n{drawn}");

    let http = one(&spans, "rest-gateway", "POST /api/comments");
    assert_eq!(http.parent, PAGE);
    let (method, route) = (("http.request.method", "POST"), ("http.route", "/api/comments"));
    has(http, &[method, route, ("http.response.status_code", "201")]);
    assert_eq!(asked.header("traceparent"), format!("00-{TRACE}-{}-01", http.id), "what the page is told");
    assert_eq!(asked.header("tracestate"), "page=1");

    let post = format!("{SERVICE}/PostMessage");
    let id = question["id"].as_str().unwrap();
    let rpc = [("rpc.system.name", "grpc"), ("rpc.method", &post), ("rpc.response.status_code", "OK")];
    has(one(&spans, "rest-gateway", &post), &rpc);
    let posted = one(&spans, "queue-service", &post);
    has(posted, &[("messaging.message.id", id), ("messaging.destination.name", "echo")]);
    has(posted, &rpc);
    has(
        one(&spans, "queue-service", "claim"),
        &[("messaging.operation.type", "receive"), ("repartee.attempt", "1")],
    );
    has(
        one(&spans, "bot-worker", "process"),
        &[("messaging.message.id", id), ("messaging.system", "repartee")],
    );
    let chat = one(&spans, "bot-worker", "chat small");
    let (name, model) = (("gen_ai.operation.name", "chat"), ("gen_ai.request.model", "small"));
    let tokens = [("gen_ai.usage.input_tokens", "21"), ("gen_ai.usage.output_tokens", "4")];
    has(chat, &[name, model, tokens[0], tokens[1], ("gen_ai.response.finish_reasons", "stop")]);
    let shown: BTreeMap<_, _> = spans
        .iter()
        .filter(|span| span.name == "show message")
        .map(|span| (span.attributes["messaging.message.id"].clone(), span))
        .collect();
    assert!(shown.contains_key(id) && shown.contains_key(&reply), "{shown:#?}");

    let completed = one(&spans, "queue-service", &format!("{SERVICE}/CompleteMessage"));
    for call in [posted, completed] {
        let commits = spans.iter().filter(|span| span.name == "commit");
        let linked = commits.filter(|commit| commit.links.contains(&(TRACE.to_owned(), call.id.clone())));
        assert_eq!(linked.count(), 1, "the commit that made {} durable", call.name);
    }
    assert!(spans.iter().all(|span| !span.failed), "{spans:#?}");
    let edit = question["editToken"].as_str().unwrap();
    for secret in [QUESTION, REPLY, GATEWAY, WORKER, edit, "who=ann"] {
        assert!(!collector.was_told(secret), "{secret}");
    }
}

#[tokio::test]
async fn one_process_sends_the_same_over_http() {
    let collector = Collector::http().await;
    let variables = collector.variables();
    let anybodys = [&variables[..], &[("REPARTEE_TRACE_PARENTS", "all".to_owned())]].concat();
    let everything = Service::with_variables("repartee", &[], &anybodys).await;
    let parent = sampled();
    ask(&everything, &[("traceparent", &parent)]).await;
    let is_there = |spans: &[SentSpan]| {
        ["POST /api/comments", "claim", "process", "show message", "commit"]
            .iter()
            .all(|name| spans.iter().any(|span| span.name == *name))
    };
    let spans = collector.until("the spans of one question", is_there).await;
    assert!(spans.iter().all(|span| span.resource["service.name"] == "repartee"), "{spans:#?}");
    assert!(spans.iter().filter(|span| span.name != "commit").all(|span| span.trace == TRACE), "{spans:#?}");
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_is_passed_on_and_sent_nowhere() {
    let collector = Collector::grpc().await;
    let variables = collector.variables();
    let queue = Service::with_variables("queue-service", &[], &variables).await;
    let gateway = gateway(&queue.grpc_url(), &variables).await;
    let other = TRACE.replace('4', "5");
    let answer = ask(&gateway, &[("traceparent", &format!("00-{other}-{PAGE}-00"))]).await;
    let told = answer.header("traceparent");
    assert!(told.starts_with(&format!("00-{other}-")) && told.ends_with("-00"), "{told}");
    let parent = sampled();
    ask(&gateway, &[("traceparent", &parent)]).await;
    let is_shown = |spans: &[SentSpan]| spans.iter().any(|span| span.name == "show message");
    let spans = collector.until("a trace that is sampled", is_shown).await;
    assert!(spans.iter().all(|span| span.trace != other), "{spans:#?}");
}

#[tokio::test]
async fn a_gateway_begins_the_trace_of_a_page_that_has_none_as_the_sampler_says() {
    let collector = Collector::grpc().await;
    let sent = collector.variables();
    let never = [&sent[..], &[("OTEL_TRACES_SAMPLER", "always_off".to_owned())]].concat();
    let queue = Service::with_variables("queue-service", &[], &sent).await;
    let url = queue.grpc_url();
    let one = Service::with_variables("rest-gateway", &["--queue-url", &url], &sent).await;
    let other = Service::with_variables("rest-gateway", &["--queue-url", &url], &never).await;
    assert!(ask(&other, &[]).await.header("traceparent").ends_with("-00"));
    let told = ask(&one, &[]).await.header("traceparent").to_owned();
    assert!(told.ends_with("-01"), "{told}");
    let is_there = |spans: &[SentSpan]| spans.iter().any(|span| span.name == "POST /api/comments");
    let spans = collector.until("the trace of the gateway that samples", is_there).await;
    let begun: Vec<_> = spans.iter().filter(|span| span.name == "POST /api/comments").collect();
    assert_eq!(begun.len(), 1, "{begun:#?}");
    assert_eq!((begun[0].parent.as_str(), &begun[0].trace), ("", &told[3..35].to_owned()));
}
