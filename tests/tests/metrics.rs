//! What is counted is explained, counted once, and there from the start: on both services, on a bot, and in the one process.

use std::collections::{BTreeSet, HashSet};

use e2e::{
    Browser, ECHO_WORKER, Metrics, Scrapes, Service, World, held, question, question_json, reply,
    within_deadline,
};
use repartee_proto::v1::Status;
use tokio::net::TcpListener;

/// What the system says about a process.
const OF_PROCESS: [&str; 6] = [
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_threads",
    "process_start_time_seconds",
];

fn at(service: &Service) -> Browser {
    Browser::new("").with_metrics_at(Some(service.metrics_addr()))
}

#[tokio::test]
async fn every_family_says_what_it_means_and_comes_once() {
    for (who, metrics) in Scrapes::take().await.all() {
        let families = metrics.families();
        for (family, kind) in &families {
            let help = metrics.help(family);
            assert!(help.is_some_and(|help| !help.is_empty()), "{who}: {family} has no help");
            assert_ne!(*kind, "summary", "{who}: {family}");
            let own = family.starts_with("repartee_") || family.starts_with("process_");
            assert!(own, "{who}: {family}");
            assert_eq!(*kind == "counter", family.ends_with("_total"), "{who}: {family} is a {kind}");
        }
        for family in OF_PROCESS {
            // The time of the processor is counted in whole seconds.
            let least = if family.contains("cpu") { 0.0 } else { 1.0 };
            assert!(metrics.value(family) >= least, "{who}: {family}");
        }
        assert!(families.iter().any(|(family, _)| *family == "repartee_build_info"), "{who}");
        let names: HashSet<_> = families.iter().map(|(family, _)| family).collect();
        assert_eq!(names.len(), families.len(), "{who}: a family comes twice");
        let samples = metrics.samples();
        assert_eq!(
            samples.iter().collect::<HashSet<_>>().len(),
            samples.len(),
            "{who}: a sample comes twice"
        );
    }
}

#[tokio::test]
async fn counts_begin_with_zero() {
    let world = World::start().await;
    let (queue, gateway) = (Metrics::of(&at(&world.queue)).await, Metrics::of(&at(&world.gateway)).await);
    for sample in [
        "repartee_changes_total{kind=\"retry_scheduled\"}",
        "repartee_leases_lost_total{reason=\"expired\"}",
        "repartee_leases_lost_total{reason=\"claim_limit\"}",
        "repartee_grpc_calls_total{method=\"/repartee.v1.QueueService/PostMessage\",code=\"ResourceExhausted\"}",
        "repartee_grpc_call_seconds_count{method=\"/repartee.v1.QueueService/PostMessage\",code=\"OK\"}",
        "repartee_offer_to_claim_seconds_count",
        "repartee_claim_to_complete_seconds_count",
        "repartee_wrong_tokens_total",
        "repartee_swept_messages_total",
        "repartee_sweep_stopped",
        "repartee_failed",
        "repartee_oldest_pending_seconds",
        "repartee_entity_pending{entity=\"other\"}",
    ] {
        assert_eq!(queue.value(sample), 0.0, "{sample}");
    }
    for sample in [
        "repartee_polls_total{outcome=\"refused\"}",
        "repartee_changes_polls_total{outcome=\"reset\"}",
        "repartee_sse_clients",
        "repartee_drafts",
        "repartee_draft_updates_total",
        "repartee_upstream_repeats_total",
        "repartee_feed_delay_seconds_count",
    ] {
        assert_eq!(gateway.value(sample), 0.0, "{sample}");
    }
}

#[tokio::test]
async fn what_happens_to_messages_is_counted_and_timed() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    let bot = Service::echo_bot(&world.queue.grpc_url(), &["helper"]).await;
    let asked = client.post(question("helper", "Well?")).await.unwrap().id;
    let answered = async { while client.status(&asked).await.unwrap() != Status::Complete {} };
    within_deadline("an answer of the bot", answered).await;
    for _ in 0..2 {
        client.post(question("echo", "Well?")).await.unwrap();
    }
    let work = client.claim_next("w", &["echo"], 5).await.unwrap().expect("one waits");
    client.complete(held(&work), reply("Well.")).await.unwrap();
    let work = client.claim_next("w", &["echo"], 5).await.unwrap().expect("one waits");
    client.give_up(held(&work), "no").await.unwrap();
    let stranger = world.queue.grpc_with(Some(ECHO_WORKER)).await;
    stranger.stats().await.unwrap_err();
    browser.get("/api/comments").await.ok(200);

    let queue = Metrics::of(&at(&world.queue)).await;
    let method = "method=\"/repartee.v1.QueueService";
    assert_eq!(
        queue.value(&format!("repartee_grpc_calls_total{{{method}/CompleteMessage\",code=\"OK\"}}")),
        2.0
    );
    assert_eq!(
        queue.value(&format!("repartee_grpc_call_seconds_count{{{method}/CompleteMessage\",code=\"OK\"}}")),
        2.0
    );
    assert_eq!(
        queue.value(&format!("repartee_grpc_calls_total{{{method}/GetStats\",code=\"PermissionDenied\"}}")),
        1.0
    );
    assert_eq!(queue.value("repartee_changes_total{kind=\"completed\"}"), 2.0);
    assert_eq!(queue.value("repartee_offer_to_claim_seconds_count"), 3.0);
    assert_eq!(queue.value("repartee_claim_to_complete_seconds_count"), 2.0);
    assert_eq!(queue.value("repartee_failed"), 1.0);
    assert!(
        queue.value("repartee_commit_sync_seconds_count") >= queue.value("repartee_commit_seconds_count")
    );
    assert!(queue.value("repartee_commit_commands_sum") >= 6.0);
    let bot = Metrics::of(&at(&bot)).await;
    assert_eq!(bot.value("repartee_bot_attempts_total{bot=\"helper\",outcome=\"completed\"}"), 1.0);
    assert_eq!(bot.value("repartee_bot_attempt_seconds_count{bot=\"helper\"}"), 1.0);
    assert_eq!(bot.value("repartee_bot_streams{bot=\"helper\"}"), 1.0);
    let polls = Metrics::of(&at(&world.gateway)).await;
    let outcomes = ["unchanged", "tail", "queue"]
        .map(|outcome| format!("repartee_polls_total{{outcome=\"{outcome}\"}}"));
    assert_eq!(outcomes.iter().map(|outcome| polls.value(outcome)).sum::<f64>(), 1.0);
}

#[tokio::test]
async fn the_deepest_entities_have_rows_of_their_own_and_all_others_share_one() {
    let world = World::start().await;
    let client = world.grpc().await;
    for entity in 0..21 {
        for _ in 0..=entity / 20 + 1 {
            client.post(question(&format!("bot-{entity:02}"), "Well?")).await.unwrap();
        }
    }
    client.post(question("other", "Well?")).await.unwrap();
    let queue = Metrics::of(&at(&world.queue)).await;
    let rows = queue.samples().into_iter().filter(|sample| sample.starts_with("repartee_entity_pending{"));
    assert_eq!(rows.collect::<BTreeSet<_>>().len(), 21, "{}", queue.text());
    assert_eq!(queue.value("repartee_entity_pending{entity=\"bot-20\"}"), 3.0);
    // One of the others that have two each, and the entity of that name.
    assert_eq!(queue.value("repartee_entity_pending{entity=\"other\"}"), 3.0);
    assert_eq!(queue.value("repartee_pending"), 44.0);
    assert!(queue.value("repartee_entity_oldest_pending_seconds{entity=\"bot-20\"}") >= 0.0);
}

#[tokio::test]
async fn a_message_for_later_does_not_age_before_its_time() {
    let world = World::start().await;
    let browser = world.browser();
    let mut later = question_json("echo", "Tomorrow.");
    let now = browser.get("/api/comments/changes").await.ok(200)["serverTime"].as_i64().unwrap();
    later["botParams"]["notBefore"] = (now + 24 * 3_600_000).into();
    browser.comment(&later).await;
    let queue = Metrics::of(&at(&world.queue)).await;
    assert_eq!(queue.value("repartee_pending"), 1.0);
    assert_eq!(queue.value("repartee_oldest_pending_seconds"), 0.0);
}

#[tokio::test]
async fn the_one_process_counts_all_of_its_parts_at_one_address() {
    let all = Service::repartee(&[]).await;
    let client = all.grpc().await;
    let asked = client.post(question("echo", "Well?")).await.unwrap().id;
    let answered = async { while client.status(&asked).await.unwrap() != Status::Complete {} };
    within_deadline("an answer of the demo bot", answered).await;
    client.post(question("nobody", "Well?")).await.unwrap();
    let metrics = Metrics::of(&at(&all)).await;
    assert_eq!(metrics.value("repartee_changes_total{kind=\"completed\"}"), 1.0);
    assert_eq!(metrics.value("repartee_pending"), 1.0, "the queue is measured when it is asked for");
    assert_eq!(metrics.value("repartee_entity_pending{entity=\"nobody\"}"), 1.0);
    assert_eq!(metrics.value("repartee_bot_attempts_total{bot=\"demo-bot\",outcome=\"completed\"}"), 1.0);
    assert_eq!(metrics.value("repartee_tail_live"), 1.0);
    let elsewhere = Browser::with(&all.grpc_url(), Some(e2e::OPERATOR)).get("/metrics").await;
    assert!(!elsewhere.text().contains("# TYPE"), "{}", elsewhere.text());
}

/// Asks until the answer has this status.
async fn asked_until(status: u16, browser: &Browser, path: &str) -> String {
    let asking = async {
        loop {
            let answer = browser.get(path).await;
            if answer.status == status {
                return answer.text().to_owned();
            }
        }
    };
    within_deadline(&format!("{status} from {path}"), asking).await
}

#[tokio::test]
async fn a_bot_is_ready_while_it_is_connected_and_does_not_drain() {
    let mut queue = Service::queue_service(&[]).await;
    // It takes questions, and never answers.
    let endpoint = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", endpoint.local_addr().unwrap());
    let mut bot = Service::bot(&queue.grpc_url(), "helper", &base_url, &[]).await;
    let probes = Browser::new(&format!("http://{}", bot.metrics_addr()));
    assert_eq!(probes.get("/readyz").await.status, 200);
    queue.kill().await;
    assert_eq!(asked_until(503, &probes, "/readyz").await, "not connected: helper\n");
    assert_eq!(probes.get("/livez").await.status, 200, "to start it anew would not help");
    queue.start_again_in_place().await;
    assert_eq!(asked_until(200, &probes, "/readyz").await, "ok\n");

    queue.grpc().await.post(question("helper", "Well?")).await.unwrap();
    let _question = within_deadline("a question at the endpoint", endpoint.accept()).await.unwrap();
    bot.process().ask_to_stop();
    assert_eq!(asked_until(503, &probes, "/readyz").await, "draining\n");
    assert_eq!(probes.get("/livez").await.status, 200);
    assert_eq!(probes.get("/elsewhere").await.status, 404);
}
