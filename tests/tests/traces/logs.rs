//! What the logs say of a call, and what they never say.

use e2e::{GATEWAY, Service, WORKER};
use serde_json::Value;

use crate::{ANYBODYS, QUESTION, REPLY, TRACE, answered, ask, model::Model, sampled};

/// The records of a log that are of the trace.
fn of_trace(log: &str) -> Vec<Value> {
    let records =
        log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{line}")));
    records.filter(|record| record["trace_id"] == TRACE).collect()
}

#[tokio::test]
async fn all_logs_name_the_trace_and_the_request_and_none_a_text_or_a_token_even_at_debug() {
    let debug = [("RUST_LOG", "debug".to_owned())];
    let mut queue = Service::with_variables("queue-service", &[], &debug).await;
    let url = queue.grpc_url();
    let plain = [&["--queue-url", &url, "--log-addresses", "plain"], &ANYBODYS[..]].concat();
    let mut gateway = Service::with_variables("rest-gateway", &plain, &debug).await;
    let model = Model::start().await;
    model.finish_one();
    let base = model.base_url();
    let bot = ["--queue-url", &url, "--entity", "echo", "--openai-base-url", &base, "--model", "small"];
    let mut bot = Service::with_variables("bot-worker", &bot, &debug).await;

    let parent = sampled();
    let asked = ask(&gateway, &[("traceparent", &parent), ("x-request-id", "request-17")]).await.json();
    answered(&gateway, &asked).await;
    bot.process().logs("\"completed\"").await;
    let refused = gateway.visitor().request(reqwest::Method::DELETE, "/api/comments/none");
    let refused = refused.header("traceparent", &parent).bearer_auth("marked-token-9c3e");
    let refused = e2e::Answer::to(refused).await;
    assert!(refused.status >= 400);
    gateway.process().logs("/api/comments/{id}").await;

    let mut seen = Vec::new();
    for (service, process) in [
        ("rest-gateway", gateway.process()),
        ("queue-service", queue.process()),
        ("bot-worker", bot.process()),
    ] {
        let log = process.log();
        for marked in
            [QUESTION, REPLY, GATEWAY, WORKER, "marked-token-9c3e", asked["editToken"].as_str().unwrap()]
        {
            assert!(!log.contains(marked), "{service} says {marked}: {log}");
        }
        let records = of_trace(&log);
        assert!(!records.is_empty(), "{service}: {log}");
        for record in &records {
            assert_eq!(record["span_id"].as_str().map(str::len), Some(16), "{record}");
            assert_eq!(record["trace_flags"], "01");
            assert!(record["severity_number"].is_u64() && record["body"].is_string(), "{record}");
        }
        seen.extend(records);
    }
    let requests = seen.iter().filter(|record| record["attributes"]["request_id"] == "request-17");
    let scopes: std::collections::BTreeSet<_> =
        requests.filter_map(|record| record["scope"].as_str()?.split("::").next()).collect();
    assert!(scopes.contains("rest_gateway") && scopes.contains("queue_service"), "{scopes:?}");
    let named = |record: &&Value| record["attributes"]["client.address"] == "127.0.0.1";
    assert!(seen.iter().any(|record| named(&record)), "the judged address of who was refused");
}
